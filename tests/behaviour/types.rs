//! What the types promise: they go to other threads and are shared by them, print themselves, and are plain values.

use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe};

use approx::assert_abs_diff_eq;
use gradus::data::{Batches, Idx, KFold, Normalizer};
use gradus::layer::{Description, Param};
use gradus::metric::ConfusionMatrix;
use gradus::ndarray::{Array2, array};
use gradus::optim::UpdaterState;
use gradus::prelude::*;
use gradus::save::Registry;
use gradus::train::EpochRecord;
use gradus::{Builder, Generator, check};

use crate::support::{bits, forward};

fn value<T: Send + Sync + Unpin + Debug + Clone>() {}
fn shared<T: Send + Sync + Unpin + Debug>() {}
fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}

#[test]
fn values_are_sent_shared_cloned_and_printed() {
    value::<Affine>();
    value::<BatchNorm>();
    value::<Dropout>();
    value::<ReLU>();
    value::<Sigmoid>();
    value::<Tanh>();
    value::<LeakyReLU>();
    value::<PReLU>();
    value::<LayerNorm>();
    value::<ELU>();
    value::<GELU>();
    value::<GELUForm>();
    value::<SiLU>();
    value::<Softplus>();
    value::<Param<f32>>();
    value::<Role>();
    value::<Init>();
    value::<DropoutForm>();
    value::<SoftmaxCrossEntropy>();
    value::<MeanSquaredError>();
    value::<BinaryCrossEntropy>();
    value::<SGD>();
    value::<Momentum>();
    value::<AdaGrad>();
    value::<Adam>();
    value::<AMSGrad>();
    value::<Nesterov>();
    value::<RMSProp>();
    value::<AdaDelta>();
    value::<AdamW>();
    value::<AdaMax>();
    value::<NAdam>();
    value::<RAdam>();
    value::<AdaBelief>();
    value::<Lion>();
    value::<Clip>();
    value::<WeightDecay>();
    value::<Updater<f32, Adam>>();
    value::<UpdaterState<f32>>();
    value::<Step<f32>>();
    value::<Box<dyn Schedule>>();
    value::<Sequential>();
    value::<Box<dyn Layer<f32>>>();
    value::<Trainer<f32, SoftmaxCrossEntropy, Adam>>();
    value::<Sampling>();
    value::<History>();
    value::<EpochRecord>();
    value::<Dataset>();
    value::<Targets>();
    value::<Batch>();
    value::<Batches<'_>>();
    value::<KFold<'_>>();
    value::<Normalizer>();
    value::<Categories>();
    value::<Model>();
    value::<ConfusionMatrix>();
    value::<Description>();
    shared::<Registry<f32>>();
    value::<Idx>();
    value::<Digits>();
    value::<Generator>();
    value::<check::Report>();
    value::<check::GradientError>();
}

#[test]
fn networks_and_errors_are_sent_and_shared() {
    shared::<Sequential>();
    shared::<Sequential<f64>>();
    shared::<Epoch<'_, f32>>();
    shared::<gradus::Ensemble>();
    shared::<Error>();
    shared::<Box<dyn Layer<f32>>>();
    shared::<Box<dyn Loss<f32>>>();
    shared::<Box<dyn Optimizer<f32>>>();
    unwinds::<Dataset>();
    // A trainer shares its data and borrows nothing.
    fn is_free<T: 'static>() {}
    is_free::<Trainer<f32, SoftmaxCrossEntropy, Adam>>();
    fn is_error<T: std::error::Error + 'static>() {}
    is_error::<Error>();
    // A builder holds closures until it is built.
    fn printed<T: Debug>() {}
    printed::<Builder>();
}

/// One network serves many threads at once, without a copy and without a lock.
#[test]
fn one_network_serves_many_threads() {
    let data = Digits::load::<f32>().unwrap();
    let net = Sequential::input(64).affine(30, Init::He).batch_norm().relu().dropout(0.5).affine(10, Init::Xavier);
    let net = net.build(&mut rng(1)).unwrap();
    let expected = net.predict(data.rows()).unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| net.predict(data.rows()).unwrap())).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), expected);
        }
    });
}

/// A copy has every value, and shares nothing with what it was made of.
#[test]
fn a_clone_of_a_network_is_trained_alone() {
    let data = Digits::load::<f64>().unwrap().take(20).unwrap();
    let net = Sequential::input(64).affine(5, Init::He).batch_norm().relu().dropout(0.5).affine(10, Init::Xavier);
    let net = net.build(&mut rng(1)).unwrap();
    let (before, mut clone) = (bits(&net), net.clone());
    assert_eq!(bits(&clone), before);
    Trainer::new(SoftmaxCrossEntropy, SGD::default()).fit(&mut clone, &data).unwrap();
    assert!(bits(&clone).iter().zip(&before).all(|(after, before)| after != before));
    assert_eq!(bits(&net), before);
}

#[test]
fn a_net_prints_as_a_table() {
    let mut rng = rng(1);
    let inner = Sequential::input(100).affine(50, Init::He).batch_norm().build(&mut rng).unwrap();
    let net = Sequential::<f32>::input(64).affine(100, Init::He).batch_norm().relu().dropout(0.2).layer(inner);
    let net = net.affine(10, Init::Xavier).build(&mut rng).unwrap();
    let table = "     layer              output   parameters
     (input)                64             
  0  Affine                100         6500
  1  BatchNorm             100          200
  2  ReLU                  100            0
  3  Dropout               100            0
  4  Sequential             50         5150
  5  Affine                 10          510
     total                            12360";
    assert_eq!(net.to_string(), table);
    let line = "Sequential(64 > Affine 100 > BatchNorm 100 > ReLU 100 > Dropout 100 > \
                Sequential(100 > Affine 50 > BatchNorm 50) 50 > Affine 10)";
    assert_eq!(format!("{net:?}"), line);
}

/// A batch of no rows has no statistics.
#[test]
fn batch_norm_takes_a_batch_of_no_rows() {
    let mut norm = BatchNorm::<f64>::new(3).unwrap();
    assert_eq!(forward(&mut norm, Array2::zeros((0, 3))).dim(), (0, 3));
    assert_eq!(norm.running_mean.value, Array2::<f64>::zeros((1, 3)));
    assert_eq!(norm.running_var.value, Array2::<f64>::ones((1, 3)));
}

/// A batch of one row: no division by zero, y = β, no gradient for what is in front, finite statistics.
#[test]
fn batch_norm_takes_a_batch_of_one_row() {
    let mut norm = BatchNorm::<f64>::new(3).unwrap();
    norm.beta.value.assign(&array![[1.0, 2.0, 3.0]]);
    let x = array![[10.0, -4.0, 0.5]];
    let y = forward(&mut norm, x.clone());
    assert_eq!(y, norm.beta.value);
    let dx = norm.backward(array![[0.5, 0.25, -3.0]]);
    assert!(dx.iter().all(|&dx| dx == 0.0), "{dx}");
    assert_eq!(norm.beta.grad, array![[0.5, 0.25, -3.0]]);
    assert_abs_diff_eq!(norm.running_mean.value, 0.1 * x, epsilon = 1e-15);
    assert_abs_diff_eq!(norm.running_var.value, array![[0.9, 0.9, 0.9]], epsilon = 1e-15);
}

/// A frozen layer keeps every value, running statistics too, while the rest learns.
#[test]
fn frozen_layers_keep_their_values() {
    let data = Digits::load::<f32>().unwrap().take(200).unwrap();
    let net = Sequential::input(64).affine(20, Init::He).batch_norm().relu().affine(15, Init::He).batch_norm();
    let mut net = net.relu().affine(10, Init::He).build(&mut rng(1)).unwrap();
    let values = |net: &Sequential| {
        let mut values = Vec::new();
        net.params(&mut |param| values.push((param.name.clone(), param.value.clone())));
        values
    };
    net.freeze(0..3, true);
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(2).weight_decay(WeightDecay::L2(0.1));
    let before = values(&net);
    trainer.fit(&mut net, &data).unwrap();
    for ((name, before), (_, after)) in before.iter().zip(&values(&net)) {
        let frozen = name.starts_with("0.") || name.starts_with("1.");
        assert_eq!(before == after, frozen, "{name}");
    }
    net.freeze(0..3, false);
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(1);
    let before = values(&net);
    trainer.fit(&mut net, &data).unwrap();
    assert!(before.iter().zip(&values(&net)).all(|((_, before), (_, after))| before != after));
}

/// A clone shares the values of its parameters until one of the two is changed, and then only that one changes.
#[test]
fn clones_share_values_until_one_changes() {
    let mut net = Sequential::<f32>::mlp(8, &[4], 2).build(&mut gradus::rng(1)).unwrap();
    let clone = net.clone();
    let values = |net: &Sequential<f32>| {
        let mut values = Vec::new();
        net.params(&mut |param| values.push(param.value.clone()));
        values
    };
    let before = values(&net);
    assert!(before.iter().zip(values(&clone)).all(|(a, b)| a.as_ptr() == b.as_ptr()));
    net.params_mut(&mut |param| param.value.fill(0.5));
    assert!(values(&clone) == before && values(&net).iter().all(|value| value.iter().all(|&x| x == 0.5)));
}
