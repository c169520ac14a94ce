//! Networks that are opened without the code that built them.

use gradus::layer::{Description, Param};
use gradus::ndarray::{Array2, array};
use gradus::prelude::*;
use gradus::rand::RngExt;
use gradus::save::Registry;
use serde_json::{Value, json};

use super::{Gain, file};
use crate::support::{Scratch, bits, forward};

/// Every kind of layer, none of them set as it is by default.
fn net<F: Scalar>() -> Sequential<F> {
    let mut rng = rng(1);
    let norm = BatchNorm::new(4).unwrap().with_epsilon(0.1 + 0.2).unwrap().with_momentum(1.0 / 3.0).unwrap();
    let innermost = Sequential::input(4).layer(norm).tanh().build(&mut rng).unwrap();
    let inner = Sequential::input(4).sigmoid().layer(innermost).affine(4, Init::He);
    let inner = inner.layer(ELU::new(0.7).unwrap()).layer(GELU::with_form(GELUForm::Tanh)).layer(PReLU::new());
    let inner = inner.layer(LeakyReLU::new(0.3).unwrap()).layer(PReLU::per_column(4).unwrap()).layer(SiLU::new());
    let inner = inner.layer(LayerNorm::new(4).unwrap().with_epsilon(0.01).unwrap()).affine_without_bias(4, Init::He);
    let inner = inner.layer(Softplus::new(1.7).unwrap()).build(&mut rng).unwrap();
    let net = Sequential::input(3).dropout(0.1 + 0.2).affine(4, Init::He).relu().layer(inner);
    let mut net = net.dropout_with(1.0 / 3.0, DropoutForm::Book).affine(2, Init::Xavier).build(&mut rng).unwrap();
    for rows in [5, 4, 3] {
        forward(&mut net, Array2::from_shape_simple_fn((rows, 3), || F::of(rng.random())));
    }
    net
}

fn there_and_back<F: Scalar>() {
    let scratch = Scratch::new(std::any::type_name::<F>());
    let path = scratch.file("net.safetensors");
    let mut net = net::<F>();
    net.save(&path).unwrap();
    let mut opened = Sequential::<F>::open(&path).unwrap();
    assert_eq!(opened.to_bytes().unwrap(), net.to_bytes().unwrap());
    assert_eq!(opened.describe().unwrap(), net.describe().unwrap());
    // In training too: every setting is the same, bit for bit.
    let rows = Array2::from_shape_fn((4, 3), |(i, j)| F::of((i * 3 + j) as f64 / 7.0));
    assert_eq!(forward(&mut opened, rows.clone()), forward(&mut net, rows.clone()));
    assert_eq!(bits(&opened), bits(&net));
    assert_eq!(opened.predict(&rows).unwrap(), net.predict(&rows).unwrap());
}

#[test]
fn what_is_saved_is_opened_in_f32() {
    there_and_back::<f32>();
}

#[test]
fn what_is_saved_is_opened_in_f64() {
    there_and_back::<f64>();
}

#[test]
fn a_checkpoint_is_opened_as_its_network() {
    let scratch = Scratch::new("open-checkpoint");
    let path = scratch.file("run");
    let data = Digits::load::<f32>().unwrap().take(50).unwrap();
    let mut net = Sequential::mlp(64, &[5], 10).build(&mut rng(1)).unwrap();
    let mut trainer = Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(2).checkpoint_every(1, &path);
    trainer.fit(&mut net, &data).unwrap();
    assert_eq!(Sequential::<f32>::open(&path).unwrap().to_bytes().unwrap(), net.to_bytes().unwrap());
}

fn message(bytes: &[u8]) -> String {
    Sequential::<f32>::open_bytes(bytes).unwrap_err().to_string()
}

/// A file of `net` in which the description was changed.
fn changed(net: &Sequential<f32>, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let bytes = net.to_bytes().unwrap();
    let end = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    let metadata = &mut header["__metadata__"];
    let mut description: Value = serde_json::from_str(metadata["gradus.network"].as_str().unwrap()).unwrap();
    change(&mut description);
    metadata["gradus.network"] = description.to_string().into();
    [&file(&header.to_string(), 0)[..], &bytes[end..]].concat()
}

fn small() -> Sequential<f32> {
    let inner = Sequential::input(2).dropout(0.5).batch_norm().build(&mut rng(1)).unwrap();
    Sequential::input(1).affine(2, Init::He).relu().layer(inner).build(&mut rng(1)).unwrap()
}

#[test]
fn the_description_is_plain_json() {
    let mut found = Value::Null;
    changed(&small(), |description| found = description.clone());
    let inner = json!([
        {"kind": "Dropout", "settings": {"ratio": "0.5", "form": "Inverted"}},
        {"kind": "BatchNorm", "settings": {"epsilon": "0.000009999999747378752", "momentum": "0.10000000149011612"}},
    ]);
    let layers = json!([
        {"kind": "Affine"}, {"kind": "ReLU"},
        {"kind": "Sequential", "settings": {"inputs": "2"}, "layers": inner},
    ]);
    let expected = json!({"version": 1, "kind": "Sequential", "settings": {"inputs": "1"}, "layers": layers});
    assert_eq!(found, expected);
}

#[test]
fn the_layer_that_cannot_be_made_is_named() {
    let wrong = |change: fn(&mut Value)| message(&changed(&small(), change));
    assert!(Sequential::<f32>::open_bytes(&changed(&small(), |_| ())).is_ok());
    assert_eq!(
        wrong(|d| d["layers"][2]["layers"][0]["settings"]["ratio"] = "much".into()),
        "the bytes, gradus.network, layer 2.0: setting ratio: expected a value of type f64, found much"
    );
    assert_eq!(
        wrong(|d| d["layers"][2]["layers"][0]["settings"]["ratio"] = "1.5".into()),
        "the bytes, gradus.network, layer 2.0: Dropout ratio: expected a share in [0, 1), found 1.5"
    );
    assert_eq!(
        wrong(|d| d["layers"][2]["layers"][0]["settings"] = json!({"ratio": "0.5"})),
        "the bytes, gradus.network, layer 2.0: setting form: expected a value of type String, found none"
    );
    assert_eq!(
        wrong(|d| d["layers"][1]["kind"] = "Convolution".into()),
        "the bytes, gradus.network, layer 1: kind: expected one that is registered, found Convolution"
    );
    assert_eq!(
        wrong(|d| d["layers"].as_array_mut().unwrap().swap(0, 1)),
        "the bytes, tensor 1.weight: expected one of 2 dimensions, found none"
    );
    assert_eq!(
        wrong(|d| d["layers"][0]["kind"] = "BatchNorm".into()),
        "the bytes, tensor 0.weight: expected one of 1 dimensions, found F32 [2, 1]"
    );
    assert_eq!(
        wrong(|d| d["settings"]["inputs"] = "7".into()),
        "the bytes, gradus.network: input width of layer 0 (Affine): expected 1, found 7 from the network's input"
    );
    assert_eq!(
        wrong(|d| d["layers"][2]["settings"] = json!({})),
        "the bytes, gradus.network, layer 2: setting inputs: expected a value of type usize, found none"
    );
    assert_eq!(
        wrong(|d| d["layers"][2]["layers"] = json!([])),
        "the bytes, gradus.network, layer 2: a network's inputs (2) and layers (0): expected at least one, found none"
    );
    assert_eq!(
        wrong(|d| d["layers"][1]["kind"] = "Tanh".into()),
        "the bytes, gradus.architecture: expected Sequential(1 > Affine 2 > Tanh 2 > Sequential(2 > Dropout 2 > \
         BatchNorm 2) 2), found Sequential(1 > Affine 2 > ReLU 2 > Sequential(2 > Dropout 2 > BatchNorm 2) 2)"
    );
    assert_eq!(
        wrong(|d| d["version"] = 2.into()),
        "the bytes, gradus.network: expected a description of version 1, found version 2"
    );
    assert!(wrong(|d| *d = json!([])).starts_with("the bytes, gradus.network: "));
    assert!(wrong(|d| d["layers"][0] = json!([])).contains("gradus.network: "));
}

/// What a setting says takes no memory: sizes are those of tensors, which lie in the file.
#[test]
fn an_absurd_width_is_an_error() {
    for width in ["1000000000000", "18446744073709551615", "-1", "1e3", "0"] {
        let bytes = changed(&small(), |d| d["settings"]["inputs"] = width.into());
        assert!(message(&bytes).contains(width));
        let bytes = changed(&small(), |d| d["layers"][2]["settings"]["inputs"] = width.into());
        assert!(message(&bytes).contains(width));
    }
    let deep = r#"{"version":1,"kind":"Sequential","layers":["#.repeat(5000) + &"]}".repeat(5000);
    let header = json!({"__metadata__": {"gradus.network": deep}});
    assert!(message(&file(&header.to_string(), 0)).contains("recursion limit"));
}

#[test]
fn a_file_that_does_not_say_its_network_is_an_error() {
    let header = r#"{"0.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert_eq!(message(&file(header, 8)), "the bytes, gradus.network: expected how the network is made; found none");
    let inner = Sequential::input(2).relu().layer(Gain::new(1.0)).build(&mut rng(1)).unwrap();
    let net = Sequential::input(2).layer(inner).build(&mut rng(1)).unwrap();
    assert_eq!(
        message(&net.to_bytes().unwrap()),
        "the bytes, gradus.network: expected how the network is made; layer 0.1 (Gain): it cannot be described, since \
         it does not implement `Layer::describe`"
    );
}

/// A layer with a parameter and a setting.
#[derive(Debug, Clone)]
struct Shift {
    by: Param<f32>,
    times: f64,
}

impl Layer<f32> for Shift {
    gradus::params!(f32: by);

    fn forward(&mut self, input: Array2<f32>, _pass: &mut Pass<'_>) -> Array2<f32> {
        self.infer(input)
    }
    fn backward(&mut self, grad: Array2<f32>) -> Array2<f32> {
        grad
    }
    fn infer(&self, input: Array2<f32>) -> Array2<f32> {
        input + &self.by.value * self.times as f32
    }
    fn describe(&self) -> Result<Description, Error> {
        Ok(Description::new("Shift").with("times", self.times))
    }
}

impl Shift {
    fn new(columns: usize, times: f64) -> Self {
        Self { by: Param::new("by", Role::Shift, Array2::zeros((1, columns))), times }
    }
}

#[test]
fn layers_of_ones_own_are_registered() {
    let mut shift = Shift::new(2, 3.0);
    shift.by.value = array![[1.0, 2.0]].into();
    let inner = Sequential::input(2).relu().layer(shift).build(&mut rng(1)).unwrap();
    let net = Sequential::input(2).layer(inner).build(&mut rng(1)).unwrap();
    let bytes = net.to_bytes().unwrap();
    assert!(message(&bytes).ends_with("layer 0.1: kind: expected one that is registered, found Shift"));
    let registry = Registry::default().with("Shift", |described| {
        assert!(described.has("by") && !described.has("weight"));
        let [columns] = described.shape("by")?;
        Ok(Shift::new(columns, described.get("times")?))
    });
    let opened = Sequential::open_bytes_with(&bytes, &registry).unwrap();
    assert_eq!(opened.predict(&array![[1.0, -1.0]]).unwrap(), array![[4.0, 6.0]]);
}

#[test]
fn random_damage_opens_or_is_an_error() {
    let scale = Normalizer { mean: vec![0.5], deviation: vec![0.25] };
    let model = Model::new(small()).scale_inputs(scale).unwrap().name_classes(["a", "b"]).unwrap().note("unit", "m");
    let good = model.to_bytes().unwrap();
    let (mut rng, mut opened) = (rng(7), 0);
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..rng.random_range(1..4) {
            let (at, from) = (rng.random_range(0..bytes.len()), rng.random_range(0..bytes.len()));
            match rng.random_range(0..3) {
                0 => bytes[at] = rng.random(),
                1 => bytes[at] = b"0919{}[],:\"-e"[rng.random_range(0..13)],
                _ => bytes.swap(at, from),
            }
        }
        if let Ok(model) = Model::<f32>::open_bytes(&bytes) {
            let saved = model.to_bytes().unwrap();
            assert_eq!(Model::<f32>::open_bytes(&saved).unwrap().to_bytes().unwrap(), saved);
            opened += 1;
        }
    }
    assert!((100..10_000).contains(&opened), "{opened}");
}
