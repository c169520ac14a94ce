use super::{MomentumForm, Optimizer, check_beta, check_rate};
use crate::error::Error;
use crate::kernel;
use crate::scalar::Scalar;

/// Nesterov's momentum: [`Momentum`](crate::Momentum) that steps as if the velocity had already been followed.
///
/// ```text
/// form   Book: v ← μ v - η g    PyTorch: v ← μ v + g
///              p ← p + μ v - η g         p ← p - η (g + μ v)
/// ```
///
/// The gradient is taken at p itself, the usual change of variables (Bengio, Boulanger-Lewandowski & Pascanu,
/// *Advances in Optimizing Recurrent Networks*, 2013). The book's code writes the same step with the v before.
/// Where the rate changes the forms part as those of `Momentum` do.
/// Nesterov, *A method for solving the convex programming problem with convergence rate O(1/k²)*, 1983.
///
/// ```
/// use gradus::{Nesterov, Updater};
/// let mut updater = Updater::new(Nesterov { learning_rate: 0.1, ..Nesterov::default() });
/// let mut p = [1.0_f64];
/// updater.step_slice(&mut p, &[1.0])?; // 1 - 0.1 (1 + 0.9)
/// assert!((p[0] - 0.81).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nesterov<F = f32> {
    /// η, 0.01 by default.
    pub learning_rate: F,
    /// μ, the share of the velocity that is kept: 0.9 by default.
    pub momentum: F,
    /// What the velocity holds: the book's form by default.
    pub form: MomentumForm,
}

impl<F: Scalar> Default for Nesterov<F> {
    fn default() -> Self {
        Self { learning_rate: F::of(0.01), momentum: F::of(0.9), form: MomentumForm::Book }
    }
}

impl<F: Scalar> Optimizer<F> for Nesterov<F> {
    fn slots(&self) -> usize {
        1
    }

    fn update(&self, _step: u64, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let (gain, rate) = self.form.gain_and_rate(self.learning_rate);
        let momentum = self.momentum;
        kernel::sweep(param, grad, slots, move |p, g, [v]| {
            let g = gain * g;
            let v = momentum * v + g;
            (p - rate * (g + momentum * v), [v])
        });
    }

    fn learning_rate(&self) -> F {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, rate: F) {
        self.learning_rate = rate;
    }

    fn check(&self) -> Result<(), Error> {
        check_rate(self.learning_rate)?;
        check_beta("momentum", self.momentum)
    }
}
