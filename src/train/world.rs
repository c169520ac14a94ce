//! One run on many processes, or on what stands for them: each rank takes some rows of every batch, and all of them agree on
//! everything else.

use std::fmt;
use std::sync::Arc;

use super::pass::Outcome;
use crate::array::{values, values_mut};
use crate::collective::{self, Collective};
use crate::data::{Dataset, Targets};
use crate::error::Error;
use crate::layer::Layer;
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
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        let (mut failed, mut all) = (vec![0.0; size], vec![0.0; size]);
        failed[rank] = f64::from(u8::from(own.is_err()));
        self.ranks.sum_f64(&failed, &mut all);
        let Some(first) = all.iter().position(|&failed| failed > 0.0) else { return own };
        let mut problem = own.as_ref().err().map(|error| error.to_string().into_bytes()).unwrap_or_default();
        self.ranks.broadcast(first, &mut problem);
        match own {
            Err(error) if rank == first => Err(error),
            _ => Err(Error::Rank { rank: first, problem: String::from_utf8_lossy(&problem).into_owned() }),
        }
    }

    /// Fails on every rank where one has another value of something than rank 0.
    pub(super) fn expect_same(&self, own: &[(String, String)]) -> Result<(), Error> {
        let lines = |own: &[(String, String)]| {
            own.iter().map(|(name, value)| format!("{name}: {}", value.escape_debug())).collect::<Vec<_>>().join("\n")
        };
        let own = lines(own);
        let mut first = own.clone().into_bytes();
        self.ranks.broadcast(0, &mut first);
        let first = String::from_utf8_lossy(&first);
        let differing = own.lines().zip(first.lines()).find(|(own, first)| own != first);
        let result = match differing {
            Some((own, first)) => {
                Err(Error::invalid(format!("rank {}", self.ranks.rank()), format!("{first}, as rank 0 has"), own))
            }
            None if own.len() != first.len() => {
                Err(Error::invalid(format!("rank {}", self.ranks.rank()), "the parameters of rank 0", "others"))
            }
            None => Ok(()),
        };
        self.agree(result)
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
