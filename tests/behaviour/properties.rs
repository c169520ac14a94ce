//! Whatever is put in, there is a result or an error, never a panic; and after an error the network is bit for bit as
//! it was. 256 cases each, or as many as `PROPTEST_CASES` says.

use gradus::ndarray::{Array1, Array2, ArrayView1};
use gradus::{metric, prelude::*};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::support::bits;

/// A number of a network: mostly a small one, now and then anything at all.
fn number() -> impl Strategy<Value = f32> {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-45, -1e-40, 0.0, -0.0];
    prop_oneof![30 => -3.0_f32..3.0, 1 => select(odd.to_vec()), 1 => any::<u32>().prop_map(f32::from_bits)]
}

/// The same with more that is odd.
fn odd_number() -> impl Strategy<Value = f32> {
    prop_oneof![number(), any::<u32>().prop_map(f32::from_bits)]
}

/// A hyper-parameter: a sensible one, an extreme one, or arbitrary bits.
fn setting() -> impl Strategy<Value = f64> {
    let odd = [0.0, 1.0, -1.0, 1e-46, 3e38, 1e39, f64::MAX, f64::NAN, f64::INFINITY, 0.999_999_999];
    prop_oneof![4 => 0.0..1.0, 1 => select(odd.to_vec()), 1 => any::<u64>().prop_map(f64::from_bits)]
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![8 => 0_usize..6, 1 => select(vec![1 << 62, usize::MAX])]
}

fn matrix(
    rows: impl Strategy<Value = usize>,
    columns: impl Strategy<Value = usize>,
) -> impl Strategy<Value = Array2<f32>> {
    let values = |(rows, columns)| {
        vec(number(), rows * columns).prop_map(move |x| Array2::from_shape_vec((rows, columns), x).unwrap())
    };
    (rows, columns).prop_flat_map(values)
}

/// Targets, as a rule for `rows` rows and `width` outputs.
fn targets(rows: usize, width: usize) -> impl Strategy<Value = Targets<f32>> {
    let count = || prop_oneof![6 => Just(rows), 1 => 0_usize..6];
    let classes = prop_oneof![6 => Just(width), 1 => size()];
    let label = prop_oneof![20 => 0..width, 1 => any::<usize>()];
    let labels = (count().prop_flat_map(move |count| vec(label.clone(), count)), classes);
    let one_hot = vec(0..width, rows)
        .prop_map(move |labels| Array2::from_shape_fn((rows, width), |(i, j)| f32::from(u8::from(labels[i] == j))));
    prop_oneof![
        labels.prop_map(|(labels, classes)| Targets::Labels { labels, classes }),
        one_hot.prop_map(Targets::Dense),
        matrix(count(), prop_oneof![6 => Just(width), 1 => 0_usize..4]).prop_map(Targets::Dense),
    ]
}

const INPUTS: usize = 3;
const OUTPUTS: usize = 2;

fn batch() -> impl Strategy<Value = Batch<f32>> {
    let width = prop_oneof![12 => Just(INPUTS), 1 => 0_usize..5];
    let rows = matrix(0_usize..5, width);
    rows.prop_flat_map(|rows| {
        let count = rows.nrows();
        (Just(rows), targets(count, OUTPUTS)).prop_map(|(rows, targets)| Batch { rows, targets })
    })
}

/// Affine, BatchNorm, ReLU, Affine, with these weights.
fn net(weights: &[f32]) -> Sequential<f32> {
    let net = Sequential::input(INPUTS).affine(4, Init::He).batch_norm().relu().affine(OUTPUTS, Init::Xavier);
    let mut net = net.build(&mut rng(1)).unwrap();
    let mut weights = weights.iter().cycle();
    net.params_mut(&mut |param| {
        if param.role == Role::Weight {
            param.value.iter_mut().zip(weights.by_ref()).for_each(|(value, &weight)| *value = weight);
        }
    });
    net
}

fn optimizer() -> impl Strategy<Value = Box<dyn Optimizer<f32>>> {
    (0..7, [setting(), setting(), setting(), setting()]).prop_map(
        |(rule, [learning_rate, a, b, epsilon])| -> Box<dyn Optimizer<f32>> {
            match rule {
                0 => Box::new(SGD { learning_rate }),
                1 => Box::new(Momentum { learning_rate, momentum: a, ..Momentum::default() }),
                2 => Box::new(Adam { learning_rate, beta1: a, beta2: b, epsilon }),
                3 => Box::new(Lion { learning_rate, beta1: a, beta2: b }),
                4 => Box::new(AdaGrad { learning_rate, epsilon }),
                5 => Box::new(NAdam { learning_rate, ..NAdam::default() }),
                _ => Box::new(RAdam { learning_rate, ..RAdam::default() }),
            }
        },
    )
}

fn decay() -> impl Strategy<Value = WeightDecay> {
    prop_oneof![
        3 => Just(WeightDecay::None),
        1 => setting().prop_map(WeightDecay::L2),
        1 => setting().prop_map(WeightDecay::Decoupled),
    ]
}

fn clip() -> impl Strategy<Value = Clip> {
    prop_oneof![3 => Just(Clip::None), 1 => setting().prop_map(Clip::Norm), 1 => setting().prop_map(Clip::Value)]
}

#[derive(Debug, Clone)]
enum Part {
    Affine(usize, Init),
    BatchNorm(f64, f64),
    Dropout(f64),
    Tanh,
}

fn part() -> impl Strategy<Value = Part> {
    let init = (0..4, setting()).prop_map(|(which, x)| match which {
        0 => Init::He,
        1 => Init::Normal(x),
        2 => Init::Constant(x),
        _ => Init::GlorotUniform,
    });
    prop_oneof![
        (size(), init).prop_map(|(width, init)| Part::Affine(width, init)),
        (setting(), setting()).prop_map(|(epsilon, momentum)| Part::BatchNorm(epsilon, momentum)),
        setting().prop_map(Part::Dropout),
        Just(Part::Tanh),
    ]
}

fn build(input: usize, parts: &[Part]) -> Result<Sequential<f32>, Error> {
    let (mut builder, mut width) = (Sequential::input(input), input);
    for part in parts {
        builder = match *part {
            Part::Affine(outputs, init) => {
                width = outputs;
                builder.affine(outputs, init)
            }
            Part::BatchNorm(epsilon, momentum) => {
                builder.layer(BatchNorm::new(width)?.with_epsilon(epsilon)?.with_momentum(momentum)?)
            }
            Part::Dropout(ratio) => builder.dropout(ratio),
            Part::Tanh => builder.tanh(),
        };
    }
    builder.build(&mut rng(1))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn data_are_refused_or_can_be_used(batch in batch()) {
        let Batch { rows, targets } = batch;
        if let Ok(data) = Dataset::new(rows, targets) {
            prop_assert!(data.rows().iter().all(|x| x.is_finite()));
            prop_assert_eq!(data.clone().split(0.5).is_ok(), data.len() > 1);
            prop_assert_eq!(data.batches(2).unwrap().count(), data.len().div_ceil(2));
        }
    }

    #[test]
    fn a_network_is_refused_or_works(input in size(), parts in vec(part(), 0..4)) {
        if let Ok(net) = build(input, &parts) {
            prop_assert_eq!(net.inputs(), input);
            if input < 10 {
                let output = net.predict(&Array2::<f32>::ones((2, input))).unwrap();
                prop_assert_eq!(output.dim(), (2, net.outputs()));
            }
        }
    }

    #[test]
    fn a_step_of_a_trainer_succeeds_or_changes_nothing(
        weights in vec(number(), 20), batches in vec(batch(), 3), optimizer in optimizer(), decay in decay(),
        clip in clip(), rate in prop_oneof![3 => Just(None), 1 => setting().prop_map(Some)], loss in 0..3,
    ) {
        let mut net = net(&weights);
        let loss: Box<dyn Loss<f32>> = match loss {
            0 => Box::new(SoftmaxCrossEntropy),
            1 => Box::new(BinaryCrossEntropy),
            _ => Box::new(MeanSquaredError),
        };
        let mut trainer = Trainer::new(loss, optimizer).weight_decay(decay).clip(clip);
        if let Some(rate) = rate {
            trainer = trainer.schedule(rate);
        }
        for mut batch in batches {
            let (before, steps) = (bits(&net), trainer.updater().steps());
            match trainer.step(&mut net, &mut batch) {
                Ok(loss) => prop_assert!(loss.is_finite() && trainer.updater().steps() == steps + 1),
                Err(_) => prop_assert!(bits(&net) == before && trainer.updater().steps() == steps),
            }
        }
    }

    #[test]
    fn a_step_of_an_updater_succeeds_or_changes_nothing(
        weights in vec(number(), 20), grads in vec(odd_number(), 80), optimizer in optimizer(), decay in decay(),
        clip in clip(), wrong in prop_oneof![8 => Just(9), 1 => 0..9],
    ) {
        let mut net = net(&weights);
        let mut updater = Updater::new(optimizer).weight_decay(decay).clip(clip);
        for skip in [0, 3, 50] {
            let (mut values, mut place) = (grads.iter().cycle().skip(skip), 0);
            net.params_mut(&mut |param| {
                param.grad = match place == wrong {
                    true => Array2::zeros((2, 2)),
                    false => param.value.map(|_| *values.next().unwrap()),
                };
                place += 1;
            });
            let (before, steps) = (bits(&net), updater.steps());
            match updater.step(&mut net) {
                Ok(()) => prop_assert_eq!(updater.steps(), steps + 1),
                Err(_) => prop_assert!(bits(&net) == before && updater.steps() == steps),
            }
        }
        let mut slice = weights.clone();
        let mut updater = Updater::new(SGD::default()).clip(clip);
        _ = updater.step_slice(&mut slice, &grads[..20]);
    }

    #[test]
    fn predictions_and_accuracies_never_panic(weights in vec(odd_number(), 20), batch in batch()) {
        let net = net(&weights);
        let Batch { rows, targets } = batch;
        let output = net.predict(&rows);
        prop_assert_eq!(output.is_ok(), rows.ncols() == INPUTS && rows.iter().all(|x| x.is_finite()));
        let has_class = |row: ArrayView1<'_, f32>| row.iter().any(|x| !x.is_nan());
        let have_classes = output.as_ref().is_ok_and(|output| output.rows().into_iter().all(has_class));
        prop_assert_eq!(net.classify(&rows).is_ok(), have_classes);
        prop_assert_eq!(net.predict_probabilities(&rows).is_ok(), output.is_ok());
        if let Ok(output) = output {
            let classes = metric::classes(&output);
            prop_assert!(classes.len() == rows.nrows() && classes.iter().all(|&class| class < OUTPUTS));
            if let Ok(accuracy) = metric::accuracy(&output, &targets) {
                prop_assert!(targets.is_empty() || (0.0..=1.0).contains(&accuracy));
            }
        }
        if let Ok(data) = Dataset::new(rows, targets) {
            _ = net.accuracy(&data);
            _ = net.loss(&SoftmaxCrossEntropy, &data);
        }
    }

    #[test]
    fn a_run_ends_in_a_finite_network_or_in_an_error(
        weights in vec(number(), 20), batch in batch(), optimizer in optimizer(), decay in decay(),
        size in prop_oneof![4 => 0_usize..6, 1 => select(vec![1 << 62, usize::MAX])], replaced in any::<bool>(),
    ) {
        let (mut net, sampling) = (net(&weights), if replaced { Sampling::WithReplacement } else { Sampling::Shuffled });
        if let Ok(data) = Dataset::new(batch.rows, batch.targets) {
            let trainer = Trainer::new(SoftmaxCrossEntropy, optimizer).weight_decay(decay).sampling(sampling);
            if trainer.batch_size(size).epochs(2).fit(&mut net, &data).is_ok() {
                net.params(&mut |param| assert!(param.value.iter().all(|x| x.is_finite()), "{param:?}"));
            }
        }
    }

    #[test]
    fn a_layer_of_given_parts_is_refused_or_works(weight in matrix(0_usize..4, 0_usize..4), bias in 0_usize..4) {
        let shape = weight.dim();
        if let Ok(affine) = Affine::from_parts(weight, Array1::zeros(bias)) {
            prop_assert_eq!(affine.infer(Array2::ones((2, shape.0))).dim(), (2, shape.1));
        }
    }
}
