//! What a bug of the calling code meets, and what is none.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gradus::ndarray::{Array2, ShapeBuilder};
use gradus::prelude::*;

use super::{data, net};
use crate::support::forward;

/// What a bug of the calling code panics with.
fn panics<R>(call: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(call)).err().expect("it should panic");
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast_ref::<&str>().expect("a message").to_string(),
    }
}

#[test]
fn misuse_panics_with_the_layer_and_both_shapes() {
    let x = || Array2::<f64>::ones((2, 3));
    let layers: Vec<Box<dyn Layer<f64>>> = vec![
        Box::new(Affine::new(3, 3, Init::He, &mut rng(1)).unwrap()),
        Box::new(BatchNorm::new(3).unwrap()),
        Box::new(ReLU::new()),
        Box::new(Sigmoid::new()),
        Box::new(Tanh::new()),
        Box::new(Dropout::new(0.2).unwrap()),
    ];
    for mut layer in layers {
        let name = layer.name();
        let message = panics(|| layer.backward(x()));
        assert!(
            message.starts_with(&format!("{name}: backward was given a gradient of shape (2, 3), but")),
            "{message}"
        );
        assert!(message.ends_with("(0 x 0: there was none)"), "{message}");
        forward(&mut *layer, x());
        let message = panics(|| layer.backward(Array2::ones((5, 3))));
        assert!(message.contains("of shape (5, 3), but the last forward gave (2, 3)"), "{message}");
        if matches!(name.as_str(), "Affine" | "BatchNorm") {
            for message in
                [panics(|| forward(&mut *layer, Array2::ones((2, 4)))), panics(|| layer.infer(Array2::ones((2, 4))))]
            {
                assert_eq!(message, format!("{name}: expected an input of shape (N, 3), found (2, 4)"));
            }
        }
    }
    let labels = Targets::Labels { labels: vec![0, 1], classes: 4 };
    assert_eq!(
        panics(|| SoftmaxCrossEntropy.value(&x(), &labels)),
        "loss: outputs of shape (2, 3), but 2 targets of width 4"
    );
    assert!(panics(|| net(4, 3).freeze(3..9, true)).contains("out of range"));
}

/// Column-major arrays are turned at the door, not refused.
#[test]
fn an_array_of_any_layout_will_do() {
    let mut net = net(4, 3);
    let rows = data(6, 4, 3).into_parts().0;
    let mut turned = Array2::zeros(rows.raw_dim().f());
    turned.assign(&rows);
    assert!(!turned.is_standard_layout());
    assert_eq!(net.predict(&turned).unwrap(), net.predict(&rows).unwrap());
    assert_eq!(net.activations(&turned).unwrap(), net.activations(&rows).unwrap());
    // A layer that works in place takes no other layout, so the network turns it at its door.
    let mut in_place = Sequential::input(4).tanh().batch_norm().build(&mut rng(1)).unwrap();
    assert_eq!(in_place.infer(turned.clone()), in_place.infer(rows.clone()));
    assert_eq!(forward(&mut in_place, turned.clone()), forward(&mut in_place, rows.clone()));
    assert_eq!(in_place.backward(turned.clone()), in_place.backward(rows.clone()));
    assert_eq!(softmax(turned.clone()), softmax(rows.clone()));
    let dense = Targets::Dense(turned.clone());
    for (output, targets) in [(&turned, &dense), (&rows, &dense), (&turned, &Targets::Dense(rows.clone()))] {
        for loss in [&SoftmaxCrossEntropy as &dyn Loss<f64>, &MeanSquaredError, &BinaryCrossEntropy] {
            assert_eq!(
                loss.value_and_grad(output.clone(), targets),
                loss.value_and_grad(rows.clone(), &Targets::Dense(rows.clone()))
            );
        }
    }
    let targets = Targets::Labels { labels: vec![0, 1, 2, 0, 1, 2], classes: 3 };
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default());
    assert!(trainer.step(&mut net, &mut Batch { rows: turned, targets }).is_ok());
}
