//! Every bad input has its error, which says what, where, what was expected and what was found; and changes nothing.
//! What a `Dataset`, its parts and IDX files refuse is in `data.rs` and `idx.rs`.

/// That a result is an error of this variant with this message.
macro_rules! expect_error {
    ($result:expr, $variant:ident, $message:expr) => {{
        let error = $result.map(|_| ()).expect_err("it should be refused");
        assert!(matches!(error, Error::$variant { .. }), "expected Error::{}, found {error:?}", stringify!($variant));
        let message: &str = $message;
        assert_eq!(error.to_string(), message);
    }};
}

mod building;
mod divergence;
mod inputs;
mod misuse;

use gradus::ndarray::Array2;
use gradus::prelude::*;

fn data(rows: usize, width: usize, classes: usize) -> Dataset<f64> {
    let x = Array2::from_shape_fn((rows, width), |(i, j)| ((3 * i + 5 * j) % 7) as f64 - 3.0);
    Dataset::classification(x, (0..rows).map(|i| i % classes).collect(), classes).unwrap()
}

fn net(width: usize, classes: usize) -> Sequential<f64> {
    let net = Sequential::input(width).affine(5, Init::He).batch_norm().relu().dropout(0.2);
    net.affine(classes, Init::Xavier).build(&mut rng(1)).unwrap()
}
