/// Makes weights smaller, so that a network that could learn its training data by heart does not.
///
/// Decays what has the role [`Weight`](crate::layer::Role::Weight); biases and BatchNorm's scale and shift are left alone.
///
/// | variant | with every step | in the reported loss |
/// |---|---|---|
/// | `None` | nothing | nothing |
/// | `L2(λ)` | `g ← g + λ W` before the rule sees it | `½ λ Σ W²` |
/// | `Decoupled(λ)` | `W ← W - η λ W` apart from the rule: AdamW | nothing |
///
/// For SGD the two are the same; for a rule that divides by the size of the gradient they are not
/// (Loshchilov & Hutter, *Decoupled Weight Decay Regularization*, 2019).
///
/// ```
/// use gradus::optim::{SGD, Updater, WeightDecay};
/// let mut updater = Updater::new(SGD { learning_rate: 0.1 }).weight_decay(WeightDecay::L2(0.5));
/// let mut w = [2.0];
/// updater.step_slice(&mut w, &[0.0])?; // the gradient becomes 0.5 · 2
/// assert_eq!(w, [1.9]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum WeightDecay {
    /// No decay.
    #[default]
    None,
    /// The book's: the penalty `½ λ Σ W²` is part of the loss.
    L2(f64),
    /// Loshchilov & Hutter's: apart from the gradient.
    Decoupled(f64),
}

impl WeightDecay {
    /// λ.
    pub fn lambda(self) -> f64 {
        match self {
            Self::None => 0.0,
            Self::L2(lambda) | Self::Decoupled(lambda) => lambda,
        }
    }
}
