//! Several threads: those of the library beside those of a program, with the bits of one.
#![cfg(feature = "parallel")]

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use gradus::ndarray::Array2;
use gradus::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::support::process;

/// A layer that changes nothing and calls a closure in every inference.
#[derive(Clone)]
struct Calls(Arc<dyn Fn() + Send + Sync>);

impl Calls {
    fn new(call: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(call))
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calls")
    }
}

impl Layer<f32> for Calls {
    fn forward(&mut self, input: Array2<f32>, _pass: &mut Pass<'_>) -> Array2<f32> {
        input
    }

    fn backward(&mut self, grad: Array2<f32>) -> Array2<f32> {
        grad
    }

    fn infer(&self, input: Array2<f32>) -> Array2<f32> {
        (self.0)();
        input
    }
}

/// Digits, ten times over: many chunks of rows.
fn digits() -> Dataset<f32> {
    let data = Digits::load::<f32>().unwrap();
    let (rows, labels) = (data.rows(), data.labels().unwrap());
    let rows = Array2::from_shape_fn((17_970, 64), |(i, j)| rows[[i % 1797, j]]);
    Dataset::classification(rows, (0..17_970).map(|i| labels[i % 1797]).collect(), 10).unwrap()
}

fn net() -> Sequential<f32> {
    Sequential::mlp(64, &[40], 10).build(&mut rng(1)).unwrap()
}

fn net_that(calls: impl Fn() + Send + Sync + 'static) -> Sequential<f32> {
    let net = Sequential::input(64).affine(40, Init::He).relu().layer(Calls::new(calls)).affine(10, Init::Zeros);
    net.build(&mut rng(1)).unwrap()
}

fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// One epoch in which the rows of a batch, the products and the updates are worth several threads.
fn train(data: &Dataset<f32>) -> (Vec<f64>, Array2<f32>) {
    let mut net = Sequential::mlp(64, &[500, 500], 10).build(&mut rng(1)).unwrap();
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).batch_size(1500).epochs(1).progress(false);
    let losses = trainer.fit(&mut net, data).unwrap().losses;
    (losses, net.predict(data.rows()).unwrap())
}

/// What a closure gives on a thread of its own, if it ends within a minute, which is for ever.
fn in_time<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(run()));
    result.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("{what} did not end"))
}

/// Waits for something that may never be: at most so many milliseconds.
fn wait_for(milliseconds: u64, what: impl Fn() -> bool) -> bool {
    let until = Instant::now() + Duration::from_millis(milliseconds);
    while !what() && Instant::now() < until {
        thread::sleep(Duration::from_millis(1));
    }
    what()
}

/// Runs a test again in a process of its own with this environment; true in that process.
fn alone(test: &str, environment: &[(&str, &str)]) -> bool {
    const ALONE: &str = "GRADUS_THREADS_ALONE";
    if std::env::var(ALONE).is_ok_and(|name| name == test) {
        return true;
    }
    let mut command = process(module_path!(), test);
    // With one thread the harness starts none for the test.
    command.arg("--test-threads=1").env(ALONE, test).envs(environment.iter().copied());
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains(" 1 passed"), "{environment:?}: {output:?}");
    false
}

#[test]
fn one_network_gives_eight_threads_the_bits_of_one() {
    let (net, data) = (net(), digits());
    let alone = pool(1).install(|| net.predict(data.rows()).unwrap());
    thread::scope(|scope| {
        for threads in 1..=8 {
            let (net, data, alone) = (&net, &data, &alone);
            scope.spawn(move || {
                for _ in 0..10 {
                    assert_eq!(net.predict(data.rows()).unwrap(), alone);
                    assert_eq!(pool(threads).install(|| net.predict(data.rows()).unwrap()), alone);
                }
            });
        }
    });
}

#[test]
fn within_a_pool_of_the_program_the_bits_are_the_same() {
    let data = digits().take(3000).unwrap();
    let alone = pool(1).install(|| train(&data));
    for threads in [2, 3, 7] {
        assert_eq!(pool(threads).install(|| train(&data)), alone, "{threads} threads");
    }
    // All threads of a pool at once.
    assert!(pool(3).broadcast(|_| train(&data)).iter().all(|found| *found == alone));
}

/// A network whose inference panics on every thread but this one, which waits for another to come.
fn panics_elsewhere() -> (Sequential<f32>, Arc<AtomicUsize>) {
    let (here, others) = (thread::current().id(), Arc::new(AtomicUsize::new(0)));
    let counter = others.clone();
    let net = net_that(move || {
        if thread::current().id() == here {
            wait_for(60_000, || counter.load(SeqCst) > 0);
        } else {
            counter.fetch_add(1, SeqCst);
            panic!("out of luck");
        }
    });
    (net, others)
}

#[test]
fn a_panic_on_another_thread_reaches_the_caller_and_leaves_everything_usable() {
    let data = digits();
    let said = |result: thread::Result<()>| *result.unwrap_err().downcast::<&str>().unwrap();
    let expected = net().predict(data.rows()).unwrap();
    pool(3).install(|| {
        for _ in 0..20 {
            let (net, others) = panics_elsewhere();
            let predict = AssertUnwindSafe(|| drop(net.predict(data.rows())));
            assert_eq!(said(catch_unwind(predict)), "out of luck");
            assert!(others.load(SeqCst) > 0);
        }
        let (mut net, _) = panics_elsewhere();
        let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default()).epochs(1).progress(false).validate(&data);
        let fit = AssertUnwindSafe(|| drop(trainer.fit(&mut net, &data.take(300).unwrap())));
        assert_eq!(said(catch_unwind(fit)), "out of luck");
        // Both threads still come.
        let (here, others) = (thread::current().id(), Arc::new(Mutex::new(Vec::new())));
        let (counter, rows) = (others.clone(), data.rows());
        let counts = net_that(move || {
            let id = thread::current().id();
            let mut others = counter.lock().unwrap();
            if id != here && !others.contains(&id) {
                others.push(id);
            }
            drop(others);
            wait_for(60_000, || counter.lock().unwrap().len() == 2);
        });
        counts.predict(rows).unwrap();
        assert_eq!(others.lock().unwrap().len(), 2);
    });
    assert_eq!(net().predict(data.rows()).unwrap(), expected);
}

/// One thread holds a lock and predicts; another predicts with a layer that waits for the lock, and so do the threads
/// that help it.
#[test]
fn a_thread_with_a_lock_does_not_wait_for_those_that_wait_for_the_lock() {
    in_time("a prediction under a lock", || {
        let (lock, waiting) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
        let (layers_lock, layers_waiting) = (lock.clone(), waiting.clone());
        let locks = net_that(move || {
            layers_waiting.fetch_add(1, SeqCst);
            drop(layers_lock.lock().unwrap());
        });
        let data = digits();
        let expected = net().predict(data.rows()).unwrap();
        thread::scope(|scope| {
            let guard = lock.lock().unwrap();
            scope.spawn(|| pool(3).install(|| locks.predict(data.rows()).unwrap()));
            assert!(wait_for(60_000, || waiting.load(SeqCst) == 3), "{waiting:?} threads wait for the lock");
            assert_eq!(pool(3).install(|| net().predict(data.rows()).unwrap()), expected);
            pool(3).install(|| train(&data.take(3000).unwrap()));
            drop(guard);
        });
    });
}

/// Every thread of the global pool predicts, with a layer that needs the pool itself.
#[test]
fn a_layer_may_use_the_pool_whose_threads_all_predict() {
    if !alone("a_layer_may_use_the_pool_whose_threads_all_predict", &[("RAYON_NUM_THREADS", "2")]) {
        return;
    }
    in_time("a prediction within the global pool", || {
        let (uses, data) = (net_that(|| _ = rayon::join(|| 1, || 2)), digits());
        for _ in 0..20 {
            rayon::broadcast(|_| drop(uses.predict(data.rows()).unwrap()));
        }
    });
}

/// How many threads this process has.
#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
#[cfg(target_os = "linux")]
fn a_small_prediction_starts_no_thread() {
    if !alone("a_small_prediction_starts_no_thread", &[("RAYON_NUM_THREADS", "3")]) {
        return;
    }
    let before = threads();
    let (net, rows) = (Sequential::<f32>::mlp(4, &[16], 3).build(&mut rng(1)).unwrap(), Array2::ones((600, 4)));
    net.predict(&rows).unwrap();
    net.predict(&rows.slice(gradus::ndarray::s![..10, ..])).unwrap();
    assert_eq!(threads(), before);
}

#[test]
#[cfg(target_os = "linux")]
fn the_library_keeps_few_threads_and_leaves_the_global_pool_to_the_program() {
    let name = "the_library_keeps_few_threads_and_leaves_the_global_pool_to_the_program";
    if !alone(name, &[("RAYON_NUM_THREADS", "3")]) {
        return;
    }
    let (before, data) = (threads(), digits());
    let alone = train(&data.take(3000).unwrap());
    net().predict(data.rows()).unwrap();
    assert_eq!(threads(), before + 2);
    for threads in 2..=6 {
        pool(threads).install(|| drop(net().predict(data.rows())));
    }
    // The threads of a pool that is dropped end soon.
    assert!(wait_for(60_000, || threads() == before + 5), "{} threads, {before} before", threads());
    ThreadPoolBuilder::new().num_threads(2).build_global().unwrap();
    assert_eq!(rayon::broadcast(|_| train(&data.take(3000).unwrap())), [alone.clone(), alone]);
}

#[test]
fn an_absurd_number_of_threads_is_not_taken() {
    let name = "an_absurd_number_of_threads_is_not_taken";
    for number in ["5000", "99999999999999999999", "0", "-1", "many"] {
        if alone(name, &[("RAYON_NUM_THREADS", number)]) {
            let data = digits().take(3000).unwrap();
            assert_eq!(train(&data), pool(1).install(|| train(&data)));
            #[cfg(target_os = "linux")]
            assert!(threads() < 1000, "{} threads", threads());
            return;
        }
    }
}

/// A stack that does not fit into memory stands for a limit on threads, which does not bind every user.
#[test]
#[cfg(target_pointer_width = "64")]
fn where_no_thread_can_be_started_this_one_does_all() {
    let environment = [("RAYON_NUM_THREADS", "3"), ("RUST_MIN_STACK", "1000000000000000")];
    if !alone("where_no_thread_can_be_started_this_one_does_all", &environment) {
        return;
    }
    assert!(thread::Builder::new().spawn(|| ()).is_err(), "a thread was started");
    let data = digits().take(3000).unwrap();
    let first = train(&data);
    assert_eq!(train(&data), first);
    assert_eq!(first.0.len(), 2);
}
