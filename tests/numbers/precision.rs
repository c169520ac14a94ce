//! Numbers that rounding must not spoil: long sums, infinite logits, large counts, small variances.

use gradus::ndarray::{Array2, array};
use gradus::prelude::*;

use crate::support::expect_close;

/// A logit of -inf is a class that cannot be: of no weight in the loss where it is not the right one.
#[test]
fn cross_entropy_of_infinite_logits_is_the_limit() {
    let inf = f64::INFINITY;
    for (logits, label, loss, grad) in [
        (array![[0.0, -inf]], 0, 0.0, array![[0.0, 0.0]]),
        (array![[0.0, -inf, 0.0]], 2, 2.0_f64.ln(), array![[0.5, 0.0, -0.5]]),
        (array![[0.0, -inf]], 1, inf, array![[1.0, -1.0]]),
    ] {
        let width = logits.ncols();
        let one_hot = Array2::from_shape_fn((1, width), |(_, j)| f64::from(u8::from(j == label)));
        for targets in [Targets::Labels { labels: vec![label], classes: width }, Targets::Dense(one_hot)] {
            let found = SoftmaxCrossEntropy.value_and_grad(logits.clone(), &targets);
            assert_eq!(found, (loss, grad.clone()), "{targets:?}");
            let found = SoftmaxCrossEntropy.value_and_grad(
                logits.mapv(|x| x as f32),
                &match &targets {
                    Targets::Labels { labels, classes } => {
                        Targets::Labels { labels: labels.clone(), classes: *classes }
                    }
                    Targets::Dense(t) => Targets::Dense(t.mapv(|t| t as f32)),
                },
            );
            expect_close("the loss in f32", found.0.min(1e9), loss.min(1e9), 1e-7);
            assert_eq!(found.1, grad.mapv(|g| g as f32));
        }
    }
    for (logit, label, loss, slope) in
        [(-inf, 0, 0.0, 0.0), (inf, 1, 0.0, 0.0), (-inf, 1, inf, -1.0), (inf, 0, inf, 1.0)]
    {
        for targets in [Targets::Labels { labels: vec![label], classes: 2 }, Targets::Dense(array![[label as f64]])] {
            let found = BinaryCrossEntropy.value_and_grad(array![[logit]], &targets);
            assert_eq!(found, (loss, array![[slope]]), "{logit} {targets:?}");
        }
    }
    // NaN stays NaN.
    let one_hot = Targets::Dense(array![[1.0, 0.0]]);
    for logits in [array![[0.0, f64::NAN]], array![[f64::NAN, 0.0]], array![[-inf, -inf]]] {
        assert!(SoftmaxCrossEntropy.value(&logits, &one_hot).is_nan());
        assert!(
            BinaryCrossEntropy.value(&array![[f64::NAN]], &Targets::Dense(array![[logits[[0, 0]].max(0.0)]])).is_nan()
        );
    }
}
