//! Random numbers have the distribution they are said to have. Limits are five standard errors of the expected value,
//! so that a result of zeros, or off by a factor of √2 or 2, fails by far; the seeds are fixed.

use approx::{abs_diff_eq, assert_abs_diff_eq, assert_relative_eq};
use gradus::ndarray::{Array2, ArrayRef2};
use gradus::prelude::*;

use crate::support::forward;

const INPUTS: usize = 400;
const OUTPUTS: usize = 200;

/// Five standard errors of the mean and, relative to it, of the standard deviation of `n` values with this kurtosis.
fn limits(n: usize, std: f64, kurtosis: f64) -> (f64, f64) {
    let n = n as f64;
    (5.0 * std / n.sqrt(), 5.0 * ((kurtosis - 1.0) / (4.0 * n)).sqrt())
}

fn moments<F: Scalar>(values: &ArrayRef2<F>) -> (f64, f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().map(|x| x.as_f64()).sum::<f64>() / n;
    let moment = |power| values.iter().map(|x| (x.as_f64() - mean).powi(power)).sum::<f64>() / n;
    let std = moment(2).sqrt();
    (mean, std, moment(4) / std.powi(4))
}

fn expect_distribution<F: Scalar>(init: Init, std: f64, uniform: bool) {
    let weights = init.sample::<F>(INPUTS, OUTPUTS, &mut rng(17)).unwrap();
    assert_eq!(weights.dim(), (INPUTS, OUTPUTS));
    let kurtosis = if uniform { 1.8 } else { 3.0 };
    let (mean_limit, std_limit) = limits(weights.len(), std, kurtosis);
    let (mean, found, found_kurtosis) = moments(&weights);
    println!("{init:?}");
    assert_abs_diff_eq!(mean, 0.0, epsilon = mean_limit);
    assert_abs_diff_eq!(found / std, 1.0, epsilon = std_limit);
    assert_abs_diff_eq!(found_kurtosis, kurtosis, epsilon = 0.15);
    assert_relative_eq!(init.std(INPUTS, OUTPUTS), std, epsilon = 0.0, max_relative = 1e-15);
    if uniform {
        let largest = weights.iter().fold(0.0_f64, |max, w| max.max(w.as_f64().abs()));
        let limit = 3.0_f64.sqrt() * std;
        assert!(largest <= limit * (1.0 + 1e-7) && largest > 0.999 * limit, "{init:?}: {largest} of {limit}");
    }
    // Neither rows nor columns repeat each other.
    for (a, b) in [(weights.row(0), weights.row(1)), (weights.column(0), weights.column(1))] {
        let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
        assert!(same < 3, "{init:?}: {same} equal neighbours");
    }
}

#[test]
fn every_init_has_its_distribution() {
    let (n_in, n_out) = (INPUTS as f64, OUTPUTS as f64);
    for (init, std, uniform) in [
        (Init::Uniform(0.3), 0.3 / 3.0_f64.sqrt(), true),
        (Init::Normal(1.0), 1.0, false),
        (Init::Normal(0.01), 0.01, false),
        (Init::Xavier, (1.0 / n_in).sqrt(), false),
        (Init::He, (2.0 / n_in).sqrt(), false),
        (Init::Glorot, (2.0 / (n_in + n_out)).sqrt(), false),
        (Init::XavierUniform, (1.0 / n_in).sqrt(), true),
        (Init::HeUniform, (2.0 / n_in).sqrt(), true),
        (Init::GlorotUniform, (2.0 / (n_in + n_out)).sqrt(), true),
    ] {
        expect_distribution::<f32>(init, std, uniform);
        expect_distribution::<f64>(init, std, uniform);
    }
}

/// `WᵀW` or `WWᵀ`, the smaller, is the identity times the square of the gain, and the entries are spread as they should.
#[test]
fn orthogonal_weights_are_orthogonal() {
    for (inputs, outputs) in [(200, 200), (300, 70), (70, 300), (1, 5), (5, 1), (1, 1)] {
        let init = Init::Orthogonal(1.5);
        let weights = init.sample::<f64>(inputs, outputs, &mut rng(5)).unwrap();
        assert_eq!(weights.dim(), (inputs, outputs));
        let gram = if inputs < outputs { weights.dot(&weights.t()) } else { weights.t().dot(&weights) };
        assert_abs_diff_eq!(gram / 1.5_f64.powi(2), Array2::eye(inputs.min(outputs)), epsilon = 1e-12);
        let squares = weights.iter().map(|w| w * w).sum::<f64>() / weights.len() as f64;
        assert_relative_eq!(squares.sqrt(), init.std(inputs, outputs), max_relative = 1e-12);
    }
    let (mean, _, kurtosis) = moments(&Init::Orthogonal(1.0).sample::<f64>(200, 200, &mut rng(6)).unwrap());
    assert_abs_diff_eq!(mean, 0.0, epsilon = limits(200 * 200, 1.0 / 200.0_f64.sqrt(), 3.0).0);
    assert_abs_diff_eq!(kurtosis, 3.0, epsilon = 0.15); // nearly normal
    let mut negative = 0;
    for seed in 0..100 {
        negative += usize::from(Init::Orthogonal(1.0).sample::<f64>(2, 2, &mut rng(seed)).unwrap()[[1, 1]] < 0.0);
    }
    assert!((30..=70).contains(&negative), "{negative} of 100: signs are drawn as well");
}

/// A seed is a promise: no later version of this crate, or of one below it, draws others.
#[test]
fn the_weights_of_a_seed_never_change() {
    fn first<F: Scalar>(init: Init) -> Vec<F> {
        init.sample(7, 5, &mut rng(42)).unwrap().into_iter().take(3).collect()
    }
    assert_eq!(first::<f64>(Init::Xavier), [0.3153726290730073, -0.1946376917564809, 0.5320710103147647]);
    assert_eq!(first::<f64>(Init::He), [0.4460042492363064, -0.2752592634310093, 0.7524620389326953]);
    // Worked out apart from `rand`, from the published SplitMix64 and xoshiro256++.
    assert_eq!(first::<f64>(Init::HeUniform), [0.5819800416334373, -0.3354782455336, 0.8959978941228769]);
    assert_eq!(first::<f32>(Init::He), [0.44600424, -0.27525926, 0.752462]);
}

#[test]
fn the_constant_inits_are_constant() {
    let sample = |init: Init| init.sample::<f64>(3, 2, &mut rng(1)).unwrap();
    assert_eq!(sample(Init::Zeros), Array2::<f64>::zeros((3, 2)));
    assert_eq!(sample(Init::Constant(0.3)), Array2::from_elem((3, 2), 0.3));
    assert_eq!(sample(Init::Normal(0.0)), Array2::<f64>::zeros((3, 2)));
}

#[test]
fn affine_has_the_weights_of_its_init_and_no_biases() {
    let affine = Affine::<f64>::new(INPUTS, OUTPUTS, Init::He, &mut rng(3)).unwrap();
    let (_, std, _) = moments(&affine.weight.value);
    let expected = (2.0 / INPUTS as f64).sqrt();
    assert_abs_diff_eq!(std / expected, 1.0, epsilon = limits(INPUTS * OUTPUTS, expected, 3.0).1);
    assert_eq!(affine.bias.unwrap().value, Array2::<f64>::zeros((1, OUTPUTS)));
}

const ROWS: usize = 300;
const COLUMNS: usize = 257;

/// Whether `kept` of `n` neurons is what dropping a share `ratio` leaves, give or take five standard errors.
fn is_share(kept: usize, n: usize, ratio: f64) -> bool {
    let (kept, n) = (kept as f64, n as f64);
    abs_diff_eq!(kept / n, 1.0 - ratio, epsilon = 5.0 * (ratio * (1.0 - ratio) / n).sqrt())
}

fn expect_dropout<F: Scalar>(ratio: f64, form: DropoutForm) {
    let mut dropout = Dropout::<F>::with_form(ratio, form).unwrap();
    let ones = Array2::<F>::ones((ROWS, COLUMNS));
    let scale = if form == DropoutForm::Inverted { 1.0 / (1.0 - ratio) } else { 1.0 };
    let keep = if form == DropoutForm::Inverted { 1.0 } else { 1.0 - ratio };
    assert!(dropout.infer(ones.clone()).iter().all(|&y| y == F::of(keep)), "inference scales by {keep}");

    let mask = forward(&mut dropout, ones.clone());
    let kept = |values: &Array2<F>| values.iter().filter(|&&y| y != F::zero()).count();
    assert!(mask.iter().all(|&y| y == F::zero() || y == F::of(scale)), "kept values are scaled by {scale}");
    assert!(is_share(kept(&mask), mask.len(), ratio), "{} of {} kept at {ratio}", kept(&mask), mask.len());
    for row in mask.rows() {
        let kept = row.iter().filter(|&&y| y != F::zero()).count();
        assert!(is_share(kept, COLUMNS, ratio), "{kept} of a row of {COLUMNS} kept at {ratio}");
    }
    for column in mask.columns() {
        let kept = column.iter().filter(|&&y| y != F::zero()).count();
        assert!(is_share(kept, ROWS, ratio), "{kept} of a column of {ROWS} kept at {ratio}");
    }

    // What was dropped gets no gradient; what was kept gets that of its scale.
    assert_eq!(dropout.backward(ones.clone()), mask);

    // The mask of another generator has nothing to do with this one: both keep a share of (1 - ratio)².
    let both = dropout.forward(ones.clone(), &mut Pass::new(&mut rng(2))) * &mask;
    let both_dropped = 1.0 - (1.0 - ratio) * (1.0 - ratio);
    assert!(is_share(kept(&both), both.len(), both_dropped), "{} of {} kept twice", kept(&both), both.len());

    // Nor has one element's with the next one's.
    let neighbours = mask.as_slice().unwrap().windows(2).filter(|pair| pair[0] != F::zero() && pair[1] != F::zero());
    let pairs = neighbours.count();
    assert!(is_share(pairs, mask.len() - 1, both_dropped), "{pairs} pairs of {}", mask.len());
}

#[test]
fn dropout_drops_its_share() {
    for ratio in [0.1, 0.2, 0.5, 0.75] {
        for form in [DropoutForm::Inverted, DropoutForm::Book] {
            expect_dropout::<f32>(ratio, form);
            expect_dropout::<f64>(ratio, form);
        }
    }
}

#[test]
fn dropout_keeps_the_mean_between_training_and_inference() {
    for form in [DropoutForm::Inverted, DropoutForm::Book] {
        let mut dropout = Dropout::<f64>::with_form(0.3, form).unwrap();
        let x = Array2::from_elem((500, 500), 2.0);
        let (training, inference) = (forward(&mut dropout, x.clone()), dropout.infer(x));
        println!("{form:?}");
        assert_abs_diff_eq!(training.mean().unwrap() / inference.mean().unwrap(), 1.0, epsilon = 0.01);
    }
}

#[test]
fn a_dropout_ratio_of_zero_is_the_identity() {
    let x = Array2::from_shape_fn((20, 30), |(i, j)| (i as f32 - j as f32) / 7.0);
    for form in [DropoutForm::Inverted, DropoutForm::Book] {
        let mut dropout = Dropout::with_form(0.0, form).unwrap();
        assert_eq!(forward(&mut dropout, x.clone()), x);
        assert_eq!(dropout.backward(x.clone()), x);
        assert_eq!(dropout.infer(x.clone()), x);
    }
}

/// Two Dropout layers of a net draw one after the other from the generator of the pass.
#[test]
fn two_dropout_layers_of_a_net_draw_apart() {
    let mut net = Sequential::<f64>::input(1000).dropout(0.5).dropout(0.5).build(&mut rng(9)).unwrap();
    let kept = forward(&mut net, Array2::ones((100, 1000))).iter().filter(|&&y| y != 0.0).count();
    assert!(is_share(kept, 100_000, 0.75), "{kept} of 100000 kept by both");
}
