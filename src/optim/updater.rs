use super::{Optimizer, WeightDecay};
use crate::error::{Error, require};
use crate::kernel;
use crate::layer::{Layer, Param, Role, values, values_mut};
use crate::scalar::Scalar;

/// As many slots as a rule may ask for.
const MAX_SLOTS: usize = 8;

/// Drives an [`Optimizer`]: owns the step count and the state, and does once for all rules what each would
/// otherwise do for itself: weight decay, blocks, threads, and keeping the state free of subnormal numbers.
///
/// One updater belongs to one network (or one slice): it remembers the shapes of the first step and refuses others.
///
/// ```
/// use gradus::{Momentum, Updater};
///
/// // f(x, y) = x²/20 + y², from (-7, 2)
/// let mut updater = Updater::new(Momentum { learning_rate: 0.1, momentum: 0.9 });
/// let mut p = [-7.0_f64, 2.0];
/// for _ in 0..100 {
///     let gradient = [p[0] / 10.0, 2.0 * p[1]];
///     updater.step_slice(&mut p, &gradient)?;
/// }
/// assert!(p[0].abs() < 0.1 && p[1].abs() < 0.1);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Updater<F, O> {
    /// The rule, with its hyper-parameters; they may change between steps.
    pub optimizer: O,
    weight_decay: WeightDecay,
    step: u64,
    state: Vec<State<F>>,
}

/// What one trained parameter has gathered.
#[derive(Debug, Clone, PartialEq)]
struct State<F> {
    /// The parameter's name and shape at the first step.
    name: String,
    shape: (usize, usize),
    /// The slots one after another, each as long as the parameter.
    slots: Vec<F>,
}

impl<F: Scalar, O: Optimizer<F>> Updater<F, O> {
    /// A driver at step 0, without weight decay.
    pub fn new(optimizer: O) -> Self {
        Self { optimizer, weight_decay: WeightDecay::None, step: 0, state: Vec::new() }
    }

    /// Decays weights with every step.
    pub fn weight_decay(mut self, decay: WeightDecay) -> Self {
        self.weight_decay = decay;
        self
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// One step on every trained parameter of a network, by the gradients of its last `backward`.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] where the rule or the decay is out of its range, [`Error::State`] where the
    /// network is not of the shape of the steps before. Nothing is changed then.
    ///
    /// # Panics
    /// The rule asks for more than 8 slots.
    pub fn step<N: Layer<F> + ?Sized>(&mut self, net: &mut N) -> Result<(), Error> {
        self.check()?;
        self.prepare(|show| {
            net.params(&mut |param| {
                if param.is_trained() {
                    show(&param.name, param.value.dim());
                }
            });
        })?;
        self.step += 1;
        let (mut state, optimizer) = (self.state.iter_mut(), &self.optimizer);
        let step = Step { number: self.step, decay: self.weight_decay };
        net.params_mut(&mut |param| {
            if param.is_trained() {
                let state = state.next().expect("one state a parameter, just prepared");
                let decays = param.role == Role::Weight;
                let Param { value, grad, .. } = param;
                step.take(optimizer, decays, values_mut(value), values(grad), &mut state.slots);
            }
        });
        Ok(())
    }

    /// One step on bare numbers; weight decay takes them for weights.
    ///
    /// # Errors
    /// As [`step`](Self::step), and where there are not as many gradients as parameters.
    ///
    /// # Panics
    /// The rule asks for more than 8 slots.
    pub fn step_slice(&mut self, param: &mut [F], grad: &[F]) -> Result<(), Error> {
        self.check()?;
        if param.len() != grad.len() {
            let what = "gradients (one a parameter)".to_string();
            return Err(Error::Mismatch { what, expected: param.len(), found: grad.len() });
        }
        self.prepare(|show| show("the slice", (1, param.len())))?;
        self.step += 1;
        let step = Step { number: self.step, decay: self.weight_decay };
        step.take(&self.optimizer, true, param, grad, &mut self.state[0].slots);
        Ok(())
    }

    /// `½ λ Σ W²`, what [`WeightDecay::L2`] adds to the loss.
    pub fn penalty<N: Layer<F> + ?Sized>(&self, net: &N) -> f64 {
        let WeightDecay::L2(lambda) = self.weight_decay else { return 0.0 };
        let mut sum = 0.0;
        net.params(&mut |param| {
            if param.role == Role::Weight {
                sum += kernel::sum_of_squares(values(&param.value));
            }
        });
        0.5 * lambda * sum
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.optimizer.check()?;
        let lambda = self.weight_decay.lambda();
        require(lambda >= 0.0 && lambda.is_finite(), "weight decay", "a finite value of at least 0", lambda)
    }

    /// Gets the state ready for a step on the parameters that `each` shows (name and shape): the first step makes it,
    /// later ones hold the shapes against it.
    fn prepare(&mut self, each: impl FnOnce(&mut dyn FnMut(&str, (usize, usize)))) -> Result<(), Error> {
        let slots = self.optimizer.slots();
        assert!(slots <= MAX_SLOTS, "{} asks for {slots} slots, at most {MAX_SLOTS} are kept", self.optimizer.name());
        if self.step == 0 {
            self.state.clear();
            each(&mut |name, shape| self.state.push(State::new(name, shape, slots)));
            return Ok(());
        }
        let (mut left, mut result) = (self.state.iter(), Ok(()));
        let mut compare = |found: Option<(&str, (usize, usize))>| {
            let expected = left.next();
            if result.is_ok() && expected.map(|state| state.shape) != found.map(|(_, shape)| shape) {
                result = Err(mismatch(expected, found));
            }
        };
        each(&mut |name, shape| compare(Some((name, shape))));
        compare(None);
        result
    }
}

impl<F: Scalar> State<F> {
    fn new(name: &str, shape: (usize, usize), slots: usize) -> Self {
        Self { name: name.to_string(), shape, slots: vec![F::zero(); slots * shape.0 * shape.1] }
    }
}

fn mismatch<F>(expected: Option<&State<F>>, found: Option<(&str, (usize, usize))>) -> Error {
    let said =
        |it: Option<(&str, (usize, usize))>| it.map_or("none".into(), |(name, shape)| format!("{name} {shape:?}"));
    let expected = expected.map(|state| (&*state.name, state.shape));
    let parameter = found.or(expected).map_or(String::new(), |(name, _)| name.to_string());
    Error::State { parameter, expected: said(expected), found: said(found) }
}

/// What is the same for every parameter of a step.
#[derive(Clone, Copy)]
struct Step {
    number: u64,
    decay: WeightDecay,
}

impl Step {
    /// One step on one parameter, block by block, so that all passes over a block find it in the cache.
    fn take<F: Scalar, O: Optimizer<F>>(self, rule: &O, decays: bool, param: &mut [F], grad: &[F], slots: &mut [F]) {
        let (count, length) = (rule.slots(), param.len());
        let decay = if decays { self.decay } else { WeightDecay::None };
        kernel::blocks(param, grad, slots, count, length, |param, grad, slots| {
            let mut scratch;
            let grad = match decay {
                WeightDecay::L2(lambda) => {
                    scratch = [F::zero(); kernel::BLOCK];
                    let (lambda, scratch) = (F::of(lambda), &mut scratch[..grad.len()]);
                    kernel::vectorize(|| {
                        for ((s, &g), &p) in scratch.iter_mut().zip(grad).zip(param.iter()) {
                            *s = g + lambda * p;
                        }
                    });
                    &*scratch
                }
                _ => grad,
            };
            if let WeightDecay::Decoupled(lambda) = decay {
                let keep = F::one() - rule.learning_rate() * F::of(lambda);
                kernel::vectorize(|| param.iter_mut().for_each(|p| *p *= keep));
            }
            rule.update(self.number, param, grad, slots);
            slots.iter_mut().for_each(|slot| flush(slot));
        });
    }
}

/// Subnormal numbers become zero: they are slow on many processors, and a velocity whose gradient has died
/// would stay among them for ever.
fn flush<F: Scalar>(slot: &mut [F]) {
    kernel::vectorize(|| {
        for s in slot.iter_mut() {
            *s = if s.abs() < F::min_positive_value() { F::zero() } else { *s };
        }
    });
}
