//! One run on many processes, or on what stands for them: each rank takes some rows of every batch, and all of them agree on
//! everything else.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use ndarray::ArrayRef2;

use super::Trainer;
use super::pass::Outcome;
use super::replicas::rows_of;
use crate::array::{values, values_mut};
use crate::collective::{self, Collective};
use crate::data::{Dataset, Targets};
use crate::error::Error;
use crate::layer::Layer;
use crate::loss::Loss;
use crate::metric;
use crate::optim::Optimizer;
use crate::rng::split_mix;
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// Elements from which a gradient is summed where it lies; what is smaller travels together.
const LARGE: usize = 64 << 10;

/// A trainer's end of its group.
#[derive(Clone)]
pub(super) struct World<F> {
    pub(super) ranks: Arc<dyn Collective>,
    small: Vec<F>,
    small_sums: Vec<F>,
    large_sums: Vec<Vec<F>>,
}

impl<F: Scalar> World<F> {
    pub(super) fn new(ranks: Arc<dyn Collective>) -> Self {
        Self { ranks, small: Vec::new(), small_sums: Vec::new(), large_sums: Vec::new() }
    }

    pub(super) fn is_first(&self) -> bool {
        self.ranks.rank() == 0
    }

    /// Outcome of the rows of all ranks.
    pub(super) fn join(&self, Outcome { loss, weight, right }: Outcome) -> Outcome {
        let own = [loss * weight, weight, right.unwrap_or(0) as f64, f64::from(u8::from(right.is_none()))];
        let mut sums = [0.0; 4];
        self.ranks.sum_f64(&own, &mut sums);
        let [loss, weight, right, unknown] = sums;
        Outcome { loss: loss / weight, weight, right: (unknown == 0.0).then_some(right as usize) }
    }

    /// Puts the sums over the ranks in the place of a network's gradients: one sum of all that is small, one of each that
    /// is large, which is not copied.
    pub(super) fn sum_gradients(&mut self, net: &mut Sequential<F>) {
        let Self { ranks, small, small_sums, large_sums } = self;
        small.clear();
        net.params(&mut |param| {
            if param.is_trained() && param.grad.len() < LARGE {
                small.extend_from_slice(values(&param.grad));
            }
        });
        small_sums.resize(small.len(), F::zero());
        collective::sum(&**ranks, small, small_sums);
        let (mut rest, mut large) = (&small_sums[..], 0);
        net.params_mut(&mut |param| {
            if !param.is_trained() {
                return;
            }
            if param.grad.len() < LARGE {
                let sums = rest.split_off(..param.grad.len()).expect("as many as were packed");
                return values_mut(&mut param.grad).copy_from_slice(sums);
            }
            if large == large_sums.len() {
                large_sums.push(Vec::new());
            }
            let sums = &mut large_sums[large];
            large += 1;
            sums.resize(param.grad.len(), F::zero());
            collective::sum(&**ranks, values(&param.grad), sums);
            let (shape, gradient) = (param.grad.dim(), std::mem::take(&mut param.grad).into_raw_vec_and_offset().0);
            let sums = std::mem::replace(sums, gradient);
            param.grad = ndarray::Array2::from_shape_vec(shape, sums).expect("a sum for each element");
        });
    }

    /// `own`, if no rank has failed; else the error of the first that has.
    pub(super) fn agree<T>(&self, own: Result<T, Error>) -> Result<T, Error> {
        collective::agree(&*self.ranks, own)
    }
}

impl<F: Scalar, L: Loss<F>, O: Optimizer<F>> Trainer<F, L, O> {
    /// Loss and right answers on the validation data, and how many rows those are; every rank takes some.
    pub(super) fn validation_outcome(&self, net: &Sequential<F>, data: &Dataset<F>) -> Result<(Outcome, usize), Error> {
        let outcome = |rows: &ArrayRef2<F>, targets: &Targets<F>| {
            let output = net.predict(rows)?;
            let (loss, weight) = (self.loss.value(&output, targets), self.loss.weight(targets));
            Ok(Outcome { loss, weight, right: metric::correct(&output, targets) })
        };
        let Some(world) = &self.world else { return Ok((outcome(data.rows(), data.targets())?, data.len())) };
        let rows = rows_of(world.ranks.rank(), world.ranks.size(), &(0..data.len()));
        let own = if rows.is_empty() {
            Outcome::NONE
        } else {
            let part = data.range(rows);
            outcome(part.rows(), part.targets())?
        };
        Ok((world.join(own), data.len()))
    }

    pub(super) fn is_first(&self) -> bool {
        self.world.as_ref().is_none_or(World::is_first)
    }

    /// `own`, unless another rank has failed.
    pub(super) fn agree<T>(&self, own: Result<T, Error>) -> Result<T, Error> {
        match &self.world {
            Some(world) => world.agree(own),
            None => own,
        }
    }

    /// Whether all ranks are about to do the same.
    pub(super) fn expect_same_run(&self, net: &Sequential<F>, train: &Dataset<F>) -> Result<(), Error> {
        let Some(world) = &self.world else { return Ok(()) };
        let data = |data: &Dataset<F>| format!("{data:?}, digest {:016x}", digest_of_data(data));
        let mut run = self.settings(0, &[], Some(train.len()));
        let validation = self.validation.as_ref().map_or("none".into(), data);
        let own =
            [("epochs", self.epochs.to_string()), ("training data", data(train)), ("validation data", validation)];
        run.extend(own.map(|(name, value)| (name.to_string(), value)));
        run.extend(layout(net));
        collective::expect_same(&*world.ranks, &run)
    }

    /// What rank 0 says at the end of an epoch, on all ranks; their networks have to be the same still.
    pub(super) fn agree_on_end(
        &self,
        net: &Sequential<F>,
        own: Result<ControlFlow<()>, Error>,
    ) -> Result<ControlFlow<()>, Error> {
        if let Some(world) = &self.world {
            let digest = ("digest of the network".into(), format!("{:016x}", digest_of_net(net)));
            collective::expect_same(&*world.ranks, &[digest])?;
        }
        self.agree_on_flow(own)
    }

    /// Whether rank 0 goes on, on all ranks.
    pub(super) fn agree_on_flow(&self, own: Result<ControlFlow<()>, Error>) -> Result<ControlFlow<()>, Error> {
        let Some(world) = &self.world else { return own };
        let flow = world.agree(own)?;
        let mut stop = vec![u8::from(flow.is_break())];
        world.ranks.broadcast(0, &mut stop);
        Ok(if stop == [1] { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

impl<F> fmt::Debug for World<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ranks.fmt(f)
    }
}

/// A number that tells data from other data.
pub(super) fn digest_of_data<F: Scalar>(data: &Dataset<F>) -> u64 {
    let rows = digest(data.rows().iter().copied(), data.len() as u64);
    match data.targets() {
        Targets::Labels { labels, classes } => {
            labels.iter().fold(rows ^ *classes as u64, |digest, &label| split_mix(digest ^ label as u64))
        }
        Targets::Dense(targets) => digest(targets.iter().copied(), rows),
    }
}

/// A number that tells the parameters and buffers of a network from others.
pub(super) fn digest_of_net<F: Scalar>(net: &Sequential<F>) -> u64 {
    let mut all = 0;
    net.params(&mut |param| all = digest(param.value.iter().copied(), all));
    all
}

fn digest<F: Scalar>(values: impl Iterator<Item = F>, begin: u64) -> u64 {
    values.fold(begin, |digest, value| split_mix(digest ^ value.as_f64().to_bits()))
}

/// The parameters of a network, by name and shape.
pub(super) fn layout<F: Scalar>(net: &Sequential<F>) -> Vec<(String, String)> {
    let mut layout = vec![("network".to_string(), net.name())];
    net.params(&mut |param| {
        let frozen = if param.frozen { ", frozen" } else { "" };
        layout.push((param.name.clone(), format!("{:?} {:?}{frozen}", param.role, param.value.dim())));
    });
    layout
}
