//! Copies of a network that each take a part of its batches.

use ndarray::{ArcArray2, Array2};

use super::Sequential;
use crate::layer::Layer;
use crate::scalar::Scalar;

/// The copies that a network keeps of itself. A copy of the network has none.
pub(super) struct Replicas<F: Scalar>(Vec<Sequential<F>>);

impl<F: Scalar> Default for Replicas<F> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<F: Scalar> Clone for Replicas<F> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A network's values, as they are lent to its copies for a pass.
#[derive(Debug, Default)]
pub(crate) struct Lent<F>(Vec<(ArcArray2<F>, bool)>);

impl<F: Scalar> Sequential<F> {
    /// Takes so many copies of the network out of it, the ones it keeps and new ones; [`keep_copies`](Self::keep_copies) puts
    /// them back. Their values are what was last lent to them.
    pub(crate) fn take_copies(&mut self, count: usize) -> Vec<Self> {
        let mut copies = std::mem::take(&mut self.replicas.0);
        copies.truncate(count);
        while copies.len() < count {
            copies.push(self.clone());
        }
        copies
    }

    /// Keeps the copies for the next time.
    pub(crate) fn keep_copies(&mut self, copies: Vec<Self>) {
        self.replicas.0 = copies;
    }

    /// Shows the network's values to copies of it, and which are frozen: nothing is copied.
    pub(crate) fn lend(&self, lent: &mut Lent<F>) {
        lent.0.clear();
        self.params(&mut |param| lent.0.push((param.value.clone(), param.frozen)));
    }

    /// Uses the values that another network lends.
    pub(crate) fn borrow(&mut self, lent: &Lent<F>) {
        let mut values = lent.0.iter();
        self.params_mut(&mut |param| {
            let (value, frozen) = values.next().expect("a copy has as many parameters");
            (param.value, param.frozen) = (value.clone(), *frozen);
        });
    }

    /// Gives them up, so that the network that owns them may change them without a copy. `nothing` has no elements.
    pub(crate) fn give_back(&mut self, nothing: &ArcArray2<F>) {
        self.params_mut(&mut |param| param.value = nothing.clone());
    }

    /// Moves the gradients of the trained parameters out, one after another.
    pub(crate) fn take_gradients(&mut self, gradients: &mut Vec<Array2<F>>) {
        self.params_mut(&mut |param| {
            if param.is_trained() {
                gradients.push(std::mem::take(&mut param.grad));
            }
        });
    }

    /// Moves them back.
    pub(crate) fn put_gradients(&mut self, gradients: &mut Vec<Array2<F>>) {
        let mut gradients = gradients.drain(..);
        self.params_mut(&mut |param| {
            if param.is_trained() {
                param.grad = gradients.next().expect("as many as were taken");
            }
        });
    }
}

impl<F> Lent<F> {
    /// Ends the loan.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
