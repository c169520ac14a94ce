use super::rule::{Optimizer, Scalar, Step, common, rule, sweep};

rule! {
    /// Lion: steps of one length, into the direction of a momentum's sign.
    ///
    /// ```text
    /// p ← p - η sign(β₁ m + (1 - β₁) g)
    /// m ← β₂ m + (1 - β₂) g
    /// ```
    ///
    /// sign(0) = 0. Found by a search over programs. The authors take a learning rate 3 to 10 times smaller than for
    /// AdamW and a decay larger by as much: [`WeightDecay::Decoupled`](super::WeightDecay::Decoupled), the `λ` of
    /// their algorithm, is set on the [`Trainer`](crate::Trainer) or [`Updater`](super::Updater).
    /// Chen et al., *Symbolic Discovery of Optimization Algorithms*, 2023. PyTorch does not have it.
    ///
    /// ```
    /// use gradus::optim::{Lion, Updater};
    /// let mut updater = Updater::new(Lion { learning_rate: 0.25, ..Lion::default() });
    /// let mut p = [1.0, 1.0, 1.0];
    /// updater.step_slice(&mut p, &[1e-3, -1e3, 0.0])?;
    /// assert_eq!(p, [0.75, 1.25, 1.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Lion {
        /// η, 0.0001 by default.
        learning_rate = 1e-4,
        /// β₁, the share of m in the step: 0.9 by default.
        beta1: SHARE = 0.9,
        /// β₂, the share of m that is kept: 0.99 by default.
        beta2: SHARE = 0.99,
    }
}

impl<F: Scalar> Optimizer<F> for Lion {
    common!(slots: 1);

    fn update(&self, step: Step<F>, param: &mut [F], grad: &[F], slots: &mut [&mut [F]]) {
        let [beta1, beta2] = [self.beta1, self.beta2].map(F::of);
        let [rest1, rest2] = [1.0 - self.beta1, 1.0 - self.beta2].map(F::of);
        sweep(param, grad, slots, move |p, g, [m]| {
            let c = beta1 * m + rest1 * g;
            // `signum` of zero is one; of NaN it is NaN.
            let sign = if c == F::zero() { c } else { c.signum() };
            (p - step.rate * sign, [beta2 * m + rest2 * g])
        });
    }
}
