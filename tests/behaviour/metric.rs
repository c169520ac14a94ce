//! The class of a row of outputs, whatever is in it.

use gradus::data::Targets;
use gradus::metric::{accuracy, classes};
use gradus::ndarray::{Array2, array};

const VALUES: [f64; 7] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -2.5];

/// Every row of `width` of the values.
fn rows(width: usize) -> impl Iterator<Item = Vec<f64>> {
    let count = VALUES.len().pow(width as u32);
    (0..count).map(move |n| (0..width).map(|j| VALUES[n / VALUES.len().pow(j as u32) % VALUES.len()]).collect())
}

/// Whether the accuracy of one row with this label is 1, by its number and by its one-hot row.
fn is_right(output: &Array2<f64>, label: usize, classes: usize) -> bool {
    let by_label = accuracy(output, &Targets::Labels { labels: vec![label], classes }).unwrap();
    let one_hot = match output.ncols() {
        1 => array![[label as f64]],
        width => Array2::from_shape_fn((1, width), |(_, j)| f64::from(u8::from(j == label))),
    };
    assert_eq!(accuracy(output, &Targets::Dense(one_hot)).unwrap(), by_label, "{output} {label}");
    by_label == 1.0
}

/// A row is right for its class and for no other label; where all outputs are NaN, for none.
#[test]
fn accuracy_and_classes_agree_on_every_row() {
    for row in (1..=4).flat_map(rows) {
        let width = row.len();
        let output = Array2::from_shape_vec((1, width), row.clone()).unwrap();
        let [class] = classes(&output)[..] else { panic!("one class a row") };
        let is_nothing = row.iter().all(|x| x.is_nan());
        for label in 0..width.max(2) {
            assert_eq!(is_right(&output, label, width.max(2)), label == class && !is_nothing, "{row:?}, {label}");
        }
        // The largest number, the first of equals; NaN is nobody's class.
        let largest = row.iter().copied().filter(|x| !x.is_nan()).reduce(|a, b| if b > a { b } else { a });
        let first = match largest {
            None => 0,
            Some(largest) if width == 1 => usize::from(largest > 0.0),
            Some(largest) => row.iter().position(|&x| x == largest).unwrap(),
        };
        assert_eq!(class, first, "{row:?}");
    }
}
