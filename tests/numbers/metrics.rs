//! The figures of scikit-learn: `tests/golden/metrics.py` makes them.

use gradus::metric::{self, Average, ConfusionMatrix};
use gradus::ndarray::{Array2, array};
use gradus::prelude::*;
use serde_json::Value;

use crate::support::{expect_all_close, expect_close, vector};

const TOLERANCE: f64 = 1e-12;

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(vector).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

fn cases(kind: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../golden/metrics.json")).unwrap();
    let cases = file["cases"].as_array().unwrap();
    let cases: Vec<Value> = cases.iter().filter(|case| case["kind"] == kind).cloned().collect();
    assert!(!cases.is_empty());
    cases
}

#[test]
fn of_classes() {
    for case in cases("classes") {
        let what = |name: &str| format!("{} of {}", name, case["name"]);
        let number = |name: &str, found: f64| {
            expect_close(what(name), found, case[name].as_f64().unwrap(), TOLERANCE);
        };
        let outputs = matrix(&case["logits"]);
        let labels: Vec<usize> = vector(&case["labels"]).into_iter().map(|x| x as usize).collect();
        let classes = outputs.ncols().max(2);
        let one_hot = Array2::from_shape_fn((labels.len(), classes), |(i, j)| f64::from(u8::from(labels[i] == j)));
        let one_hot = if outputs.ncols() == 1 { one_hot.slice_move(gradus::ndarray::s![.., 1..]) } else { one_hot };
        for targets in [Targets::Labels { labels, classes }, Targets::Dense(one_hot)] {
            let found = ConfusionMatrix::of(&outputs, &targets).unwrap();
            assert_eq!(found.counts().mapv(|count| count as f64), matrix(&case["confusion"]), "{}", what("confusion"));
            number("accuracy", found.accuracy());
            number("accuracy", metric::accuracy(&outputs, &targets).unwrap());
            type Figure = fn(&ConfusionMatrix, Average) -> f64;
            let figures: [(&str, Figure); 3] = [
                ("precision", ConfusionMatrix::precision),
                ("recall", ConfusionMatrix::recall),
                ("f1", ConfusionMatrix::f1),
            ];
            for (name, figure) in figures {
                let of_classes: Vec<f64> = (0..classes).map(|class| figure(&found, Average::Class(class))).collect();
                expect_all_close(what(name), &of_classes, &vector(&case[name]), TOLERANCE);
                number(&format!("{name}_macro"), figure(&found, Average::Macro));
                number(&format!("{name}_weighted"), figure(&found, Average::Weighted));
                number(&format!("{name}_micro"), figure(&found, Average::Micro));
            }
            number("f1_macro", metric::f1(&outputs, &targets).unwrap());
            number("precision_macro", metric::precision(&outputs, &targets).unwrap());
            number("recall_macro", metric::recall(&outputs, &targets).unwrap());
            number("log_loss", metric::log_loss(&outputs, &targets).unwrap());
            let areas = metric::roc_auc_classes(&outputs, &targets).unwrap();
            for (found, expected) in areas.iter().zip(case["roc_auc_classes"].as_array().unwrap()) {
                match expected.as_f64() {
                    Some(expected) => expect_close(what("area"), *found, expected, TOLERANCE),
                    None => assert!(found.is_nan(), "{}", what("area")),
                }
            }
            match case.get("roc_auc") {
                Some(_) => number("roc_auc", metric::roc_auc(&outputs, &targets).unwrap()),
                None => assert!(metric::roc_auc(&outputs, &targets).unwrap().is_nan()),
            }
            for (expected, k) in case.get("top_k").map_or(Vec::new(), vector).into_iter().zip(1..) {
                expect_close(
                    what("top k"),
                    metric::top_k_accuracy(&outputs, &targets, k).unwrap(),
                    expected,
                    TOLERANCE,
                );
            }
        }
    }
}

#[test]
fn of_several_labels() {
    for case in cases("several") {
        let (outputs, targets) = (matrix(&case["logits"]), Targets::Dense(matrix(&case["labels"])));
        let number = |name: &str, found: f64| expect_close(name, found, case[name].as_f64().unwrap(), TOLERANCE);
        number("accuracy", metric::multi_label_accuracy(&outputs, &targets).unwrap());
        number("exact_match", metric::exact_match(&outputs, &targets).unwrap());
    }
}

#[test]
fn of_numbers() {
    for case in cases("regression") {
        let (y, t) = (matrix(&case["y"]), Targets::Dense(matrix(&case["t"])));
        let number = |name: &str, found: f64| expect_close(name, found, case[name].as_f64().unwrap(), TOLERANCE);
        let columns = |name: &str, found: Vec<f64>| expect_all_close(name, &found, &vector(&case[name]), TOLERANCE);
        number("r2", metric::r2(&y, &t).unwrap());
        columns("r2_columns", metric::r2_columns(&y, &t).unwrap());
        number("mean_absolute_error", metric::mean_absolute_error(&y, &t).unwrap());
        columns("mean_absolute_error_columns", metric::mean_absolute_error_columns(&y, &t).unwrap());
        number("root_mean_squared_error", metric::root_mean_squared_error(&y, &t).unwrap());
        columns("root_mean_squared_error_columns", metric::root_mean_squared_error_columns(&y, &t).unwrap());
    }
    let one = Targets::Dense(array![[1.0]]);
    assert!(metric::r2(&array![[1.0]], &one).unwrap().is_nan());
}

#[test]
fn the_first_of_equals_is_the_larger() {
    let targets = |labels: Vec<usize>| Targets::Labels { labels, classes: 3 };
    let equal = array![[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]];
    for k in 1..=3 {
        for label in 0..3 {
            let targets = targets(vec![label; 3]);
            let found = metric::top_k_accuracy(&equal, &targets, k).unwrap();
            assert_eq!(found, f64::from(u8::from(label < k)), "label {label} among {k}");
            assert!(k > 1 || found == metric::accuracy(&equal, &targets).unwrap());
        }
    }
    let nan = array![[f64::NAN, 1.0, 2.0], [f64::NAN, 1.0, 2.0]];
    assert_eq!(metric::top_k_accuracy(&nan, &targets(vec![0, 1]), 3).unwrap(), 0.5);
    assert_eq!(metric::top_k_accuracy(&nan, &targets(vec![0, 1]), 1).unwrap(), 0.0);
}

#[test]
fn what_is_no_number_or_no_class_is_an_error() {
    let labels = Targets::Labels { labels: vec![0, 1], classes: 2 };
    let nan = array![[1.0, 0.0], [f64::NAN, f64::INFINITY]];
    let says = |result: Result<f64, Error>| result.unwrap_err().to_string();
    let expected = "outputs, row 1, column 0: expected a finite number, found NaN";
    assert_eq!(says(metric::log_loss(&nan, &labels)), expected);
    assert_eq!(says(metric::roc_auc(&nan, &labels)), expected);
    let nothing = array![[1.0, 0.0], [f64::NAN, f64::NAN]];
    assert_eq!(says(metric::f1(&nothing, &labels)), "outputs, row 1: expected a number, to have a class, found NaN");
    let numbers = Targets::Dense(array![[0.3, 0.7], [1.0, 0.0]]);
    assert_eq!(
        says(metric::roc_auc(&array![[1.0, 0.0], [0.0, 1.0]], &numbers)),
        "the area under the ROC curve: expected class labels or one-hot rows, found dense targets"
    );
    assert_eq!(says(metric::r2(&nan, &numbers)), expected);
    assert_eq!(
        says(metric::mean_absolute_error(&array![[1.0]], &numbers)),
        "outputs: expected the shape of the targets, (2, 2), found (1, 1)"
    );
    assert_eq!(
        says(metric::multi_label_accuracy(&array![[1.0, 0.0], [0.0, 1.0]], &numbers)),
        "targets, row 0, column 0: expected 0 or 1, found 0.3"
    );
    assert_eq!(says(metric::f1(&array![[1.0, 0.0]], &labels)), "targets: expected 1, found 2");
    let shorter = ConfusionMatrix::of_classes(&[0], &[0, 1], 2).unwrap_err().to_string();
    assert_eq!(shorter, "classes answered: expected 2, found 1");
    assert!(ConfusionMatrix::of_classes(&[0, 2], &[0, 1], 2).is_err());
}

#[test]
fn a_confusion_matrix_is_a_table() {
    let matrix = ConfusionMatrix::of_classes(&[0, 1, 1, 1, 2], &[0, 0, 1, 1, 2], 3).unwrap();
    let expected = "              0     1     2  recall
        0     1     1     0   0.500
        1     0     2     0   1.000
        2     0     0     1   1.000
precision 1.000 0.667 1.000   0.800";
    assert_eq!(matrix.to_string(), expected);
    let expected = "              a zebra     c  recall
        a     1     1     0   0.500
    zebra     0     2     0   1.000
        c     0     0     1   1.000
precision 1.000 0.667 1.000   0.800";
    assert_eq!(matrix.clone().named(["a", "zebra", "c"]).unwrap().to_string(), expected);
    let fewer = matrix.named(["a"]).unwrap_err().to_string();
    assert_eq!(fewer, "names of classes: expected 3, found 1");
}
