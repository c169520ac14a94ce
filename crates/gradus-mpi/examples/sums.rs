//! What a sum over all ranks costs, by its length, and what training adds to a step: its latency and its bandwidth.
//!
//! ```text
//! cargo build --release --manifest-path crates/gradus-mpi/Cargo.toml --example sums
//! mpirun -n 2 target/release/examples/sums
//! ```
//!
//! Expect a constant time for short sums, and one that grows with the length for long ones. The last line is the step of the
//! book's network, whose gradients are 109,410 numbers.

use std::time::Instant;

use gradus::collective::Collective;
use gradus::prelude::*;

const ROUNDS: usize = 15;

fn main() {
    gradus_mpi::run(|world| {
        for length in [1, 1_000, 10_000, 109_410, 1_000_000, 10_000_000] {
            let (from, mut to) = (vec![1.0_f32; length], vec![0.0; length]);
            let microseconds = median(&*world, (2_000_000 / length).clamp(1, 200), || world.sum_f32(&from, &mut to));
            assert!(to.iter().all(|&sum| sum == world.size() as f32));
            if world.rank() == 0 {
                let rate = 4e-3 * length as f64 / microseconds;
                println!("{length:>10} numbers {microseconds:>10.1} us {rate:>8.2} GB/s of a rank's own");
            }
        }
        step(&world)
    });
}

/// The step of 128 rows that all ranks take together.
fn step(world: &std::sync::Arc<dyn Collective>) -> Result<(), Error> {
    let data = Digits::load::<f32>()?.take(128)?;
    let rows = gradus::ndarray::Array2::from_shape_fn((128, 784), |(i, j)| data.rows()[[i, j % 64]]);
    let data = Dataset::new(rows, data.targets().clone())?;
    let mut net = Sequential::mlp(784, &[100; 4], 10).build(&mut rng(1))?;
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default()).across(world.clone());
    let mut batch = data.batches(128)?.next().expect("there are 128 rows");
    let mut result = Ok(0.0);
    let microseconds = median(&**world, 100, || {
        data.gather(&(0..128).collect::<Vec<_>>(), &mut batch);
        result = trainer.step(&mut net, &mut batch);
    });
    if world.rank() == 0 {
        println!("a step on {} ranks {microseconds:.1} us", world.size());
    }
    result.map(|_| ())
}

/// The median of rounds of so many calls, in microseconds a call.
fn median(world: &dyn Collective, calls: usize, mut call: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            world.sum_f64(&[0.0], &mut [0.0]); // all begin together
            let began = Instant::now();
            (0..calls).for_each(|_| call());
            began.elapsed().as_secs_f64() * 1e6 / calls as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}
