//! What leaves the program that trained it, and what is asked of it.

use gradus::ndarray::{Array1, Array2, array, s};
use gradus::prelude::*;
use gradus::train::EpochRecord;
use serde_json::{Value, json};

use crate::support::Scratch;

/// y = 2 x₀ - x₁ on the scale of the network.
fn net() -> Sequential<f64> {
    let affine = Affine::from_parts(array![[2.0], [-1.0]], array![0.0]).unwrap();
    Sequential::from_layers(2, vec![Box::new(affine)]).unwrap()
}

fn scale(mean: &[f64], deviation: &[f64]) -> Normalizer {
    Normalizer { mean: mean.into(), deviation: deviation.into() }
}

fn model() -> Model<f64> {
    let model = Model::new(net()).scale_inputs(scale(&[1.0, 10.0], &[2.0, 0.1 + 0.2])).unwrap();
    let model = model.scale_targets(scale(&[100.0], &[50.0])).unwrap();
    model.name_classes(["no", "yes"]).unwrap().note("columns", "width, height")
}

#[test]
fn a_model_answers_in_the_units_of_the_data() {
    let rows = array![[3.0, 10.0], [1.0, 10.3]];
    let expected = [100.0 + 50.0 * 2.0, 100.0 - 50.0 * (10.3 - 10.0) / (0.1 + 0.2)];
    let found = model().predict(&rows).unwrap();
    assert!((found.column(0).to_owned() - Array1::from(expected.to_vec())).iter().all(|d| d.abs() < 1e-9), "{found}");
    // Columns, not rows, and a part of another array.
    assert_eq!(model().predict(&rows.t().to_owned().t()).unwrap(), found);
    assert_eq!(Model::new(net()).predict(&rows).unwrap(), net().predict(&rows).unwrap());
    let data = Dataset::regression(rows, array![[200.0], [50.0]]).unwrap();
    assert!(model().measure(gradus::metric::mean_absolute_error, &data).unwrap() < 1e-9);
}

#[test]
fn a_model_is_saved_whole() {
    let scratch = Scratch::new("model");
    let path = scratch.file("model.safetensors");
    model().save(&path).unwrap();
    let opened = Model::<f64>::open(&path).unwrap();
    assert_eq!(opened.to_bytes().unwrap(), model().to_bytes().unwrap());
    let rows = array![[3.1, 10.7], [-1.0, 0.3]];
    assert_eq!(opened.predict(&rows).unwrap(), model().predict(&rows).unwrap());
    assert_eq!((opened.input_scale(), opened.target_scale()), (model().input_scale(), model().target_scale()));
    assert_eq!(opened.class_names(), ["no", "yes"]);
    assert_eq!(opened.notes()["columns"], "width, height");
    // The network alone is in the same file, and a network alone is a model.
    let alone = Sequential::<f64>::open(&path).unwrap();
    assert_eq!(alone.predict(&rows).unwrap(), net().predict(&rows).unwrap());
    alone.save(&path).unwrap();
    let alone = Model::<f64>::open(&path).unwrap();
    assert_eq!(alone.predict(&rows).unwrap(), net().predict(&rows).unwrap());
    assert!(alone.class_names().is_empty() && alone.notes().is_empty());
}

/// What opening a file of the model says in which something was changed.
fn message(change: impl FnOnce(&mut Value)) -> String {
    let bytes = model().to_bytes().unwrap();
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    let text = &mut header["__metadata__"]["gradus.model"];
    let mut about: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    change(&mut about);
    *text = about.to_string().into();
    let header = header.to_string();
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &bytes[end..]].concat();
    Model::<f64>::open_bytes(&bytes).unwrap_err().to_string()
}

#[test]
fn a_scale_that_does_not_fit_is_an_error() {
    assert_eq!(
        message(|about| about["inputs"]["mean"] = json!([1.0])),
        "the bytes, gradus.model: means of the normalizer (columns of the rows): expected 2, found 1"
    );
    assert_eq!(
        message(|about| about["inputs"]["deviation"][1] = json!(0.0)),
        "the bytes, gradus.model: deviation of column 1 of the normalizer: expected a finite number above 0, found 0"
    );
    assert_eq!(
        message(|about| about["targets"]["mean"][0] = json!("NaN")),
        "the bytes, gradus.model: mean of column 0 of the normalizer: expected a finite number, found NaN"
    );
    assert_eq!(
        message(|about| about["classes"] = json!(["one"])),
        "the bytes, gradus.model: names of classes: expected 2, found 1"
    );
    assert_eq!(
        message(|about| about["version"] = json!(9)),
        "the bytes, gradus.model: expected a model of version 1, found version 9"
    );
    assert!(message(|about| about["inputs"] = json!(3)).starts_with("the bytes, gradus.model: "));
    assert!(message(|about| *about = json!(3)).starts_with("the bytes, gradus.model: "));
    assert!(Model::new(net()).scale_inputs(scale(&[1.0], &[1.0])).is_err());
}

#[test]
fn a_row_may_be_of_many_kinds() {
    let (net, expected) = (net(), array![3.0]);
    let row = vec![2.0, 1.0];
    assert_eq!(net.predict_row(&row).unwrap(), expected);
    assert_eq!(net.predict_row(&row[..]).unwrap(), expected);
    assert_eq!(net.predict_row(&[2.0, 1.0]).unwrap(), expected);
    assert_eq!(net.predict_row(&array![2.0, 1.0]).unwrap(), expected);
    let columns = array![[2.0, 7.0], [1.0, 7.0]];
    assert_eq!(net.predict_row(columns.column(0)).unwrap(), expected);
    assert_eq!(net.predict_row(columns.slice(s![.., 0])).unwrap(), expected);
    assert_eq!((net.classify_row(&row).unwrap(), model().classify_row(&[0.0, 0.0]).unwrap()), (1, 1));
    assert!(net.predict_row(&[1.0]).unwrap_err().to_string().ends_with("expected 2, found 1"));
}

#[test]
fn a_value_that_is_no_number_is_an_error_wherever_it_stands() {
    let net = Sequential::<f32>::input(3).affine(4, Init::He).relu().dropout(0.5).affine(2, Init::He);
    let net = net.build(&mut rng(1)).unwrap();
    let (model, ensemble) = (Model::new(net.clone()), Ensemble::new(vec![net.clone()]).unwrap());
    for count in [1, 5, 700, 3000] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut rows = Array2::<f32>::ones((count, 3));
            rows[[count - 1, 1]] = bad;
            let says = |result: Result<(), Error>| {
                let expected = format!("rows, row {}, column 1: expected a finite number, found {bad}", count - 1);
                assert_eq!(result.unwrap_err().to_string(), expected);
            };
            says(net.predict(&rows).map(drop));
            says(net.predict_probabilities(&rows).map(drop));
            says(net.classify(&rows).map(drop));
            says(net.activations(&rows).map(drop));
            says(net.predict_monte_carlo(&rows, 1, &mut rng(1)).map(drop));
            says(model.predict(&rows).map(drop));
            says(model.classify(&rows).map(drop));
            says(ensemble.predict(&rows).map(drop));
            says(ensemble.classify(&rows).map(drop));
        }
    }
}

/// Finite numbers may still overflow on their way: that has no class.
#[test]
fn an_answer_of_nothing_but_nan_is_no_class() {
    let affine = |weights| Box::new(Affine::from_parts(weights, array![0.0_f32, 0.0]).unwrap());
    let (large, difference) = (array![[1e38, 1e38], [1e38, 1e38]], array![[1.0, -1.0], [-1.0, 1.0]]);
    let net = Sequential::from_layers(2, vec![affine(large), affine(difference)]).unwrap();
    assert_eq!(net.classify(&array![[1.0, 0.0], [0.0, 0.0]]).unwrap(), [0, 0]);
    let says = net.classify(&array![[1.0, 0.0], [1e38, 1e38]]).unwrap_err().to_string();
    assert_eq!(says, "outputs, row 1: expected a number, to have a class, found NaN");
}

#[test]
fn a_history_is_a_table_and_a_file() {
    let record = |epoch: usize, loss, accuracy| EpochRecord {
        epoch,
        steps: 1000 * epoch as u64,
        learning_rate: 1e-5,
        loss,
        accuracy,
        validation_loss: accuracy,
        validation_accuracy: accuracy,
    };
    let epochs = vec![record(1, 0.1 + 0.2, Some(1.0)), record(99_999, -1e300, None), record(3, f64::NAN, Some(0.0))];
    let history = History { losses: vec![f64::INFINITY, 1.5], epochs };
    let table = history.to_string();
    let expected = "epoch    steps       rate        loss   accuracy  val. loss  val. acc.
    1     1000   1.000e-5     0.30000   100.00 %    1.00000   100.00 %
99999 99999000   1.000e-5  -1.000e300
    3     3000   1.000e-5         NaN     0.00 %    0.00000     0.00 %";
    assert_eq!(table, expected);
    assert!(table.lines().all(|line| line.len() <= 80));
    let csv = history.to_csv();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[1], "1,1000,0.00001,0.30000000000000004,1,1,1");
    assert!(lines.iter().all(|line| line.split(',').count() == 7) && lines[3].contains(",NaN,"));
    let read: History = serde_json::from_str(&serde_json::to_string(&history).unwrap()).unwrap();
    assert_eq!(read.losses, history.losses);
    assert_eq!(read.epochs[..2], history.epochs[..2]);
    assert!(read.epochs[2].loss.is_nan());
}

#[test]
fn scales_and_categories_read_back() {
    let scale = scale(&[0.1 + 0.2, f64::NAN], &[1.0 / 3.0, f64::INFINITY]);
    let read: Normalizer = serde_json::from_str(&serde_json::to_string(&scale).unwrap()).unwrap();
    assert_eq!((read.mean[0], &read.deviation), (scale.mean[0], &scale.deviation));
    assert!(read.mean[1].is_nan() && read.apply(array![[1.0, 2.0]]).is_err());
    let categories = Categories::of(["b", "a", "b"]).unwrap();
    assert_eq!(serde_json::to_string(&categories).unwrap(), r#"["a","b"]"#);
    let read: Categories = serde_json::from_str(r#"["a","b"]"#).unwrap();
    assert_eq!(read, categories);
    let many = Categories::of((10..50).map(|i| i.to_string())).unwrap();
    assert!(many.label("x").unwrap_err().to_string().contains("18, 19, …, found x"));
    assert!(Categories::of(Vec::<String>::new()).is_err());
}
