//! [`gradus`] on many processes and machines, by MPI.
//!
//! A program that trains becomes one that trains on any number of ranks by [`run`] and
//! [`Trainer::across`](gradus::Trainer::across):
//!
//! ```no_run
//! use gradus::prelude::*;
//!
//! fn main() {
//!     gradus_mpi::run(|world| {
//!         let data = Digits::load::<f32>()?;
//!         let mut net = Sequential::mlp(data.width(), &[100], data.classes()).build(&mut rng(1))?;
//!         Trainer::new(SoftmaxCrossEntropy, Adam::default()).across(world.clone()).fit(&mut net, &data)?;
//!         if world.rank() == 0 {
//!             net.save("digits.safetensors")?;
//!         }
//!         Ok::<(), Error>(())
//!     });
//! }
//! ```
//!
//! ```text
//! mpirun -n 4 target/release/train
//! ```
//!
//! Every rank runs the program from its beginning to its end and needs the data. What is to happen once, like the last
//! lines above, asks for the rank; `fit` itself writes files and shows progress on rank 0 alone.
//!
//! A [`Study`](gradus::search::Study::across) gives its trials to the ranks in the same way. What a sum over the ranks costs on
//! your machines, and so what a step there adds to its computation, `examples/sums.rs` measures.
//!
//! # What it needs
//!
//! An MPI with its header, and libclang to read it: on Debian `libopenmpi-dev openmpi-bin libclang-dev`. Tried with Open MPI
//! 4.1. One rank has one thread for its sums; what it computes uses all cores that it may, so on one machine give
//! each rank its own, or set `RAYON_NUM_THREADS`.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use gradus::collective::Collective;
use mpi::collective::SystemOperation;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use mpi::{Rank, Threading};

/// The exit code of a job that a panic ends, that of a program that panics.
const PANICKED: i32 = 101;

/// A message of MPI counts its elements with 32 bits.
const MOST_ELEMENTS: usize = 1 << 30;

/// Runs a program on every rank of the job that `mpirun` has started; without `mpirun`, on one.
///
/// Where a rank returns an error or panics, all of them end, with the message on standard error: by itself a rank that is
/// gone would leave the others waiting for it.
///
/// # Panics
/// MPI was begun already in this process, or does not allow its calls from more than one thread, one at a time.
pub fn run<E: Display>(program: impl FnOnce(Arc<dyn Collective>) -> Result<(), E>) {
    let wanted = Threading::Serialized;
    let (universe, granted) = mpi::initialize_with_threading(wanted).expect("MPI begins once in a process");
    assert!(granted >= wanted, "gradus-mpi needs an MPI with {wanted:?} threads, found {granted:?}");
    let world = World::new();
    let rank = world.rank;
    let code = match catch_unwind(AssertUnwindSafe(|| program(Arc::new(world)))) {
        Ok(Ok(())) => return drop(universe),
        Ok(Err(error)) => {
            eprintln!("rank {rank}: {error}");
            1
        }
        Err(_) => PANICKED, // the message has been printed
    };
    SimpleCommunicator::world().abort(code)
}

/// All ranks of the job.
#[derive(Debug)]
struct World {
    rank: usize,
    size: usize,
}

impl World {
    fn new() -> Self {
        let world = SimpleCommunicator::world();
        let number = |rank: Rank| usize::try_from(rank).expect("ranks count from 0");
        Self { rank: number(world.rank()), size: number(world.size()) }
    }
}

impl Collective for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn sum_f32(&self, from: &[f32], to: &mut [f32]) {
        let world = SimpleCommunicator::world();
        for (from, to) in from.chunks(MOST_ELEMENTS).zip(to.chunks_mut(MOST_ELEMENTS)) {
            world.all_reduce_into(from, to, SystemOperation::sum());
        }
    }

    fn sum_f64(&self, from: &[f64], to: &mut [f64]) {
        let world = SimpleCommunicator::world();
        for (from, to) in from.chunks(MOST_ELEMENTS).zip(to.chunks_mut(MOST_ELEMENTS)) {
            world.all_reduce_into(from, to, SystemOperation::sum());
        }
    }

    fn broadcast(&self, root: usize, bytes: &mut Vec<u8>) {
        let world = SimpleCommunicator::world();
        let root = world.process_at_rank(Rank::try_from(root).expect("a rank of this job"));
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(usize::try_from(length).expect("what one rank holds, another can"), 0);
        for part in bytes.chunks_mut(MOST_ELEMENTS) {
            root.broadcast_into(part);
        }
    }
}
