//! What the rules have in common, so that a rule's file is its fields, its defaults and its formula.

use crate::error::Error;

pub(super) use super::{Optimizer, Step};
pub(super) use crate::kernel::sweep;
pub(super) use crate::scalar::Scalar;

/// The values a hyper-parameter may take, in words and as a test.
pub(super) type Range = (&'static str, fn(f64) -> bool);

/// A learning rate, a decay.
pub(super) const RATE: Range = ("a finite value of at least 0", |x| x >= 0.0 && x.is_finite());
/// The share of a moving average that is kept.
pub(super) const SHARE: Range = ("a value in [0, 1)", |x| (0.0..1.0).contains(&x));
/// An ε: where a gradient has always been zero, 0 is divided by it.
pub(super) const POSITIVE: Range = ("a finite value above 0", |x| x > 0.0 && x.is_finite());

/// Whether a hyper-parameter is in its range as a number of the type `F`: 0.99999999 is 1 in `f32`.
#[inline(always)]
pub(super) fn check<F: Scalar>(name: &str, value: f64, (expected, holds): Range) -> Result<(), Error> {
    if holds(F::of(value).as_f64()) { Ok(()) } else { Err(Error::invalid(name, expected, value)) }
}

/// The struct of a rule: its hyper-parameters with their ranges and defaults; behind a semicolon a choice that is no
/// number.
macro_rules! rule {
    ($(#[$doc:meta])* pub struct $name:ident {
        $(#[$rate_doc:meta])* learning_rate = $rate:expr,
        $($(#[$field_doc:meta])* $field:ident: $range:ident = $default:expr,)*
        $(; $(#[$choice_doc:meta])* $choice:ident: $type:ty = $option:expr,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            $(#[$rate_doc])*
            pub learning_rate: f64,
            $($(#[$field_doc])* pub $field: f64,)*
            $($(#[$choice_doc])* pub $choice: $type,)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { learning_rate: $rate, $($field: $default,)* $($choice: $option,)? }
            }
        }

        impl $name {
            /// The hyper-parameters other than the learning rate: name, value, range.
            fn ranges(&self) -> impl IntoIterator<Item = (&'static str, f64, $crate::optim::rule::Range)> {
                [$((stringify!($field), self.$field, $crate::optim::rule::$range)),*]
            }

            /// What is chosen besides these numbers: name, choice.
            fn choices(&self) -> impl IntoIterator<Item = (&'static str, String)> {
                [$((stringify!($choice), format!("{:?}", self.$choice)))?]
            }
        }
    };
}

/// The struct of a rule of Adam's family: β₁, β₂ and ε, and whatever it has besides.
macro_rules! adam_rule {
    ($(#[$doc:meta])* pub struct $name:ident {
        $(#[$rate_doc:meta])* learning_rate = $rate:expr,
        $($more:tt)*
    }) => {
        $crate::optim::rule::rule! {
            $(#[$doc])*
            pub struct $name {
                $(#[$rate_doc])*
                learning_rate = $rate,
                /// β₁, the share that the average of gradients keeps: 0.9 by default.
                beta1: SHARE = 0.9,
                /// β₂, the share that the average of their sizes keeps: 0.999 by default.
                beta2: SHARE = 0.999,
                /// ε, keeps the division finite: 1e-8 by default.
                epsilon: POSITIVE = 1e-8,
                $($more)*
            }
        }

        impl $name {
            /// The numbers of a step.
            #[allow(dead_code, reason = "AdamW leaves the step to Adam")]
            fn numbers<F: $crate::Scalar>(&self, step: $crate::optim::Step<F>) -> $crate::optim::rule::AdamStep<F> {
                $crate::optim::rule::AdamStep::new([self.beta1, self.beta2, self.epsilon], step)
            }
        }
    };
}

/// The methods of [`Optimizer`](super::Optimizer) that follow from the struct.
macro_rules! common {
    (slots: $slots:literal) => {
        fn slots(&self) -> usize {
            $slots
        }

        fn learning_rate(&self) -> f64 {
            self.learning_rate
        }

        fn check(&self) -> Result<(), $crate::Error> {
            self.ranges()
                .into_iter()
                .try_for_each(|(name, value, range)| $crate::optim::rule::check::<F>(name, value, range))
        }

        fn settings(&self) -> Vec<(&'static str, String)> {
            let numbers = self.ranges().into_iter().map(|(name, value, _)| (name, value.to_string()));
            numbers.chain(self.choices()).collect()
        }
    };
}

pub(super) use {adam_rule, common, rule};

/// A gradient whose square is finite: at most √max / 16, 1.2e18 in `f32`. NaN stays NaN.
#[inline(always)]
pub(super) fn bounded<F: Scalar>(g: F) -> F {
    clamp(g, F::max_value().sqrt() / F::of(16.0))
}

/// `g` limited to `[-limit, limit]`; NaN stays NaN.
#[inline(always)]
pub(super) fn clamp<F: Scalar>(g: F, limit: F) -> F {
    let g = if g > limit { limit } else { g };
    if g < -limit { -limit } else { g }
}

/// 1 - βᵗ: what a moving average that started at zero has to be divided by after t steps.
fn correction(beta: f64, step: u64) -> f64 {
    1.0 - beta.powf(step as f64)
}

/// What a step of Adam's family computes with.
pub(super) struct AdamStep<F> {
    pub(super) beta1: F,
    pub(super) beta2: F,
    /// 1 - β₁.
    pub(super) rest1: F,
    /// 1 - β₂.
    pub(super) rest2: F,
    pub(super) epsilon: F,
    /// η / (1 - β₁ᵗ): `rate m` is η m̂.
    pub(super) rate: F,
    /// 1 / √(1 - β₂ᵗ): `root √v` is √v̂.
    pub(super) root: F,
}

impl<F: Scalar> AdamStep<F> {
    pub(super) fn new([beta1, beta2, epsilon]: [f64; 3], step: Step<F>) -> Self {
        Self {
            beta1: F::of(beta1),
            beta2: F::of(beta2),
            rest1: F::of(1.0 - beta1),
            rest2: F::of(1.0 - beta2),
            epsilon: F::of(epsilon),
            rate: step.rate / F::of(correction(beta1, step.number)),
            root: F::of(1.0 / correction(beta2, step.number).sqrt()),
        }
    }
}
