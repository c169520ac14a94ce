//! Files there and back with PyTorch, and to onnxruntime, when asked for.
//!
//! `GRADUS_PYTHON` names the interpreter (else it is `python3`); what it needs stands in CONTRIBUTING.md.
//! `cargo test --all-features --test interop -- --ignored --nocapture` shows the versions and the differences.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use approx::assert_abs_diff_eq;
use gradus::ndarray::Array2;
use gradus::prelude::*;
use gradus::rand::RngExt;
use gradus::save::onnx::Output;
use serde_json::{Value, json};
use support::Scratch;

/// The interpreter, which has what is needed.
fn python() -> String {
    let python = std::env::var("GRADUS_PYTHON").unwrap_or("python3".into());
    let probe = "import torch, safetensors.torch, numpy, onnx, onnxruntime";
    let output = Command::new(&python).args(["-c", probe]).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {python} (GRADUS_PYTHON): {error}"));
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{python} (GRADUS_PYTHON) does not have what is needed: {problem}");
    python
}

/// The network of interop.py.
fn network<F: Scalar>(seed: u64, dropout: DropoutForm) -> Result<Sequential<F>, Error> {
    let mut rng = rng(seed);
    let inner = Sequential::input(16).affine(9, Init::Xavier).sigmoid().build(&mut rng)?;
    Sequential::input(12)
        .affine(16, Init::He)
        .batch_norm()
        .relu()
        .dropout_with(0.3, dropout)
        .layer(inner)
        .batch_norm()
        .affine(7, Init::Xavier)
        .tanh()
        .affine(5, Init::Xavier)
        .build(&mut rng)
}

/// The other network of interop.py: what the first has not.
fn modern<F: Scalar>(seed: u64) -> Result<Sequential<F>, Error> {
    Sequential::input(12)
        .affine_without_bias(16, Init::He)
        .layer_norm()
        .gelu()
        .affine(9, Init::He)
        .leaky_relu(0.1)
        .affine(8, Init::Orthogonal(1.4))
        .prelu()
        .affine(8, Init::He)
        .prelu_per_column()
        .affine(8, Init::He)
        .elu(1.5)
        .gelu_with(GELUForm::Tanh)
        .affine(8, Init::He)
        .silu()
        .softplus(2.0)
        .affine(5, Init::Xavier)
        .build(&mut rng(seed))
}

fn rows<F: Scalar>(count: usize) -> Array2<F> {
    let mut rng = rng(3);
    Array2::from_shape_simple_fn((count, 12), || F::of(rng.random_range(-2.0..2.0)))
}

fn nested<F: Scalar>(array: &Array2<F>) -> Value {
    array.rows().into_iter().map(|row| row.iter().map(|x| x.as_f64()).collect::<Vec<_>>()).collect()
}

fn array<F: Scalar>(nested: &Value) -> Array2<F> {
    let rows = nested.as_array().unwrap();
    let values = rows.iter().flat_map(|row| row.as_array().unwrap()).map(|x| F::of(x.as_f64().unwrap())).collect();
    Array2::from_shape_vec((rows.len(), rows[0].as_array().unwrap().len()), values).unwrap()
}

/// A trained network: biases and running statistics are no longer what they began with.
fn trained<F: Scalar>(mut net: Sequential<F>) -> Result<Sequential<F>, Error> {
    let rows = rows(200).mapv(|x: F| x * F::of(3.0) + F::one());
    let labels = (0..200).map(|n| n * 7 % 5).collect();
    let data = Dataset::classification(rows, labels, 5)?;
    let optimizer = Momentum { learning_rate: 0.05, ..Momentum::default() };
    Trainer::new(SoftmaxCrossEntropy, optimizer).batch_size(40).epochs(5).fit(&mut net, &data)?;
    Ok(net)
}

fn write<F: Scalar>(dir: &Path, name: &str) -> Result<(), Error> {
    let rows = rows::<F>(64);
    let case = |outputs: &Array2<F>| json!({"rows": nested(&rows), "outputs": nested(outputs)}).to_string();
    for (name, net) in
        [(name.to_string(), network::<F>(1, DropoutForm::Inverted)?), (format!("modern_{name}"), modern::<F>(1)?)]
    {
        let net = trained(net)?;
        // What a model has beside its network is no matter to PyTorch.
        let path = dir.join(format!("{name}.safetensors"));
        let scale = Normalizer { mean: vec![0.5; net.inputs()], deviation: vec![2.0; net.inputs()] };
        let classes: Vec<_> = (0..net.outputs()).map(|class| class.to_string()).collect();
        let model = Model::new(net.clone()).scale_inputs(scale)?.name_classes(classes)?.note("by", "interop");
        model.save(&path)?;
        assert_eq!(Sequential::<F>::open(&path)?.predict(&rows)?, net.predict(&rows)?);
        fs::write(dir.join(format!("{name}.json")), case(&net.predict(&rows)?)).unwrap();
        net.save_onnx(dir.join(format!("{name}.onnx")), Output::Raw)?;
    }
    let book = trained(network::<F>(1, DropoutForm::Book)?)?;
    book.save_onnx(dir.join(format!("book_{name}.onnx")), Output::Probabilities)?;
    fs::write(dir.join(format!("book_{name}.json")), case(&book.predict_probabilities(&rows)?)).unwrap();
    let nothing = Sequential::<F>::input(12).dropout(0.5).build(&mut rng(1))?;
    nothing.save_onnx(dir.join(format!("nothing_{name}.onnx")), Output::Raw)?;
    fs::write(dir.join(format!("nothing_{name}.json")), case(&nothing.predict(&rows)?)).unwrap();
    Ok(())
}

fn read<F: Scalar>(dir: &Path, name: &str, mut net: Sequential<F>, tolerance: f64) -> Result<(), Error> {
    net.load(dir.join(format!("torch_{name}.safetensors")))?;
    let case: Value = serde_json::from_slice(&fs::read(dir.join(format!("torch_{name}.json"))).unwrap()).unwrap();
    let expected = array::<F>(&case["outputs"]).mapv(Scalar::as_f64);
    let found = net.predict(&array(&case["rows"]))?.mapv(Scalar::as_f64);
    let largest = expected.fold(1.0, |max: f64, y| max.max(y.abs()));
    let difference = (&expected - &found).fold(0.0, |max: f64, d| max.max(d.abs())) / largest;
    println!("torch -> gradus {name}: largest difference {difference:.1e} (allowed {tolerance:.0e})");
    assert_abs_diff_eq!(found, expected, epsilon = tolerance * largest);
    Ok(())
}

#[test]
#[ignore = "needs Python with PyTorch and onnxruntime: GRADUS_PYTHON=PATH"]
fn files_go_there_and_back() -> Result<(), Error> {
    let python = python();
    let scratch = Scratch::new("interop");
    let dir = &scratch.0;
    write::<f32>(dir, "f32")?;
    write::<f64>(dir, "f64")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop.py");
    let output = Command::new(python).arg(script).arg(dir).output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read::<f32>(dir, "f32", network(2, DropoutForm::Inverted)?, 1e-6)?;
    read::<f64>(dir, "f64", network(2, DropoutForm::Inverted)?, 1e-14)?;
    read::<f32>(dir, "modern_f32", modern(2)?, 1e-6)?;
    read::<f64>(dir, "modern_f64", modern(2)?, 1e-14)?;
    Ok(())
}
