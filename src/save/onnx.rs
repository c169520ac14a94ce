//! Networks for other engines, as [ONNX](https://onnx.ai) graphs. (Feature `onnx`.)
//!
//! A graph takes `input`, `(batch, in)`, with a batch of any size, and gives `output`, `(batch, out)`: what
//! [`Sequential::predict`] gives, or [`Sequential::predict_probabilities`]. Operators are those of opset 17, which every current engine knows.
//!
//! | layer | operator |
//! |---|---|
//! | [`Affine`](crate::layer::Affine) | Gemm |
//! | [`ReLU`](crate::layer::ReLU), [`Sigmoid`](crate::layer::Sigmoid), [`Tanh`](crate::layer::Tanh) | Relu, Sigmoid, Tanh |
//! | [`LeakyReLU`](crate::layer::LeakyReLU), [`PReLU`](crate::layer::PReLU) | PRelu |
//! | [`ELU`](crate::layer::ELU), [`Softplus`](crate::layer::Softplus) | Elu; Softplus between a Mul and a Div by β |
//! | [`SiLU`](crate::layer::SiLU), [`GELU`](crate::layer::GELU) | Sigmoid and Mul; Erf or Tanh and what belongs to it |
//! | [`BatchNorm`](crate::layer::BatchNorm) | BatchNormalization, with the running statistics (in `f64` the variance holds what ε, an `f32` there, lacks) |
//! | [`LayerNorm`](crate::layer::LayerNorm) | LayerNormalization, whose ε is an `f32` |
//! | [`Dropout`](crate::layer::Dropout) | none; in the book's form a Mul by `1 - ratio` |
//! | [`Sequential`] | those of its layers |
//! | your own | what its [`Layer::export`] writes; without, an error names the layer |

mod proto;

use std::path::Path;

use prost::Message;

use super::{file, weights};
use crate::error::Error;
use crate::layer::{Attribute, Constant, Graph, Layer, Node};
use crate::scalar::Scalar;
use crate::sequential::Sequential;
use proto::{attribute_type, dimension};

/// What a graph gives at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Output {
    /// What the network gives: for a classifier logits.
    #[default]
    Raw,
    /// Probabilities: its softmax, row by row; of a single column the sigmoid.
    Probabilities,
}

impl<F: Scalar> Sequential<F> {
    /// Writes the network's inference pass as an ONNX file.
    ///
    /// # Errors
    /// [`Error::Layer`] where a layer has no [`Layer::export`], or the file would be larger than 2 GiB;
    /// [`Error::Io`] where it cannot be written.
    pub fn save_onnx(&self, path: impl AsRef<Path>, output: Output) -> Result<(), Error> {
        let bytes = self.to_onnx(output)?;
        file::replace(path.as_ref(), |stream| stream.write_all(&bytes))
    }

    /// The bytes that [`save_onnx`](Self::save_onnx) writes.
    ///
    /// # Errors
    /// As [`save_onnx`](Self::save_onnx).
    pub fn to_onnx(&self, output: Output) -> Result<Vec<u8>, Error> {
        let mut graph = Graph::default();
        self.export(&mut graph)?;
        match output {
            Output::Raw => {}
            Output::Probabilities if self.outputs() == 1 => graph.node("Sigmoid", &[], &[]),
            Output::Probabilities => graph.node("Softmax", &[], &[("axis", Attribute::Int(-1))]),
        }
        encode(self, graph)
    }
}

/// The file of a graph: each node takes what the one before gives, the first `input`, and the last gives `output`.
fn encode<F: Scalar>(net: &Sequential<F>, mut graph: Graph<F>) -> Result<Vec<u8>, Error> {
    if graph.nodes.is_empty() {
        graph.node("Identity", &[], &[]);
    }
    let problem = |problem| Err(Error::layer("the network", problem));
    let mut names: Vec<_> = graph.constants.iter().map(|constant| &constant.name).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return problem(format!("two parameters are called {}", twice[0]));
    }
    let last = graph.nodes.len() - 1;
    let node = |(i, node): (usize, &Node)| {
        let output = if i == last { "output".to_string() } else { graph.value_before(i + 1) };
        proto::Node {
            input: [&[graph.value_before(i)], &node.constants[..]].concat(),
            output: vec![output],
            name: format!("{i}_{}", node.operator),
            op_type: node.operator.clone(),
            attribute: node.attributes.iter().map(|(name, value)| attribute(name, *value)).collect(),
        }
    };
    let tensor = |constant: &Constant<F>| proto::Tensor {
        dims: constant.shape.iter().map(|&n| n as i64).collect(),
        data_type: data_type::<F>(),
        name: constant.name.clone(),
        raw_data: weights::to_le_bytes(constant.values.iter()),
    };
    let model = proto::Model {
        ir_version: 8,
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc_string: format!("{net:?}"),
        graph: Some(proto::Graph {
            node: graph.nodes.iter().enumerate().map(node).collect(),
            name: "gradus".into(),
            initializer: graph.constants.iter().map(tensor).collect(),
            input: vec![value_info::<F>("input", net.inputs())],
            output: vec![value_info::<F>("output", net.outputs())],
        }),
        opset_import: vec![proto::OperatorSet { version: 17 }],
    };
    if model.encoded_len() > i32::MAX as usize {
        return problem(format!("it takes {} bytes, and a file may have 2 GiB", model.encoded_len()));
    }
    Ok(model.encode_to_vec())
}

fn attribute(name: &str, value: Attribute) -> proto::Attribute {
    let name = name.to_string();
    match value {
        Attribute::Float(f) => proto::Attribute { name, f: Some(f), i: None, kind: attribute_type::FLOAT },
        Attribute::Int(i) => proto::Attribute { name, f: None, i: Some(i), kind: attribute_type::INT },
    }
}

/// `(batch, width)`, the first of any size.
fn value_info<F: Scalar>(name: &str, width: usize) -> proto::ValueInfo {
    let dimension = |value| proto::Dimension { value: Some(value) };
    let dim =
        vec![dimension(dimension::Value::Param("batch".into())), dimension(dimension::Value::Fixed(width as i64))];
    let tensor_type = proto::TensorType { elem_type: data_type::<F>(), shape: Some(proto::Shape { dim }) };
    proto::ValueInfo { name: name.into(), kind: Some(proto::Type { tensor_type: Some(tensor_type) }) }
}

/// FLOAT or DOUBLE.
fn data_type<F: Scalar>() -> i32 {
    if size_of::<F>() == 4 { 1 } else { 11 }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::Init;
    use crate::layer::Pass;

    #[test]
    fn a_file_says_what_the_network_is() {
        let net = Sequential::<f64>::input(3).affine(2, Init::He).relu().build(&mut crate::rng(1)).unwrap();
        let model = proto::Model::decode(&net.to_onnx(Output::Probabilities).unwrap()[..]).unwrap();
        assert_eq!(model.doc_string, "Sequential(3 > Affine 2 > ReLU 2)");
        let graph = model.graph.unwrap();
        let operators: Vec<_> = graph.node.iter().map(|node| &*node.op_type).collect();
        assert_eq!(operators, ["Gemm", "Relu", "Softmax"]);
        assert_eq!(graph.node[0].input, ["input", "0.weight", "0.bias"]);
        assert_eq!((&*graph.node[1].input[0], &*graph.node[2].output[0]), (&*graph.node[0].output[0], "output"));
        assert_eq!((graph.initializer[0].data_type, &graph.initializer[0].dims[..]), (11, &[3, 2][..]));

        let one = Sequential::<f64>::input(3).affine(1, Init::He).build(&mut crate::rng(1)).unwrap();
        let model = proto::Model::decode(&one.to_onnx(Output::Probabilities).unwrap()[..]).unwrap();
        assert_eq!(model.graph.unwrap().node[1].op_type, "Sigmoid");
    }

    #[derive(Debug, Clone)]
    struct Mine;

    impl Layer<f32> for Mine {
        fn forward(&mut self, input: Array2<f32>, _pass: &mut Pass<'_>) -> Array2<f32> {
            input
        }
        fn backward(&mut self, grad: Array2<f32>) -> Array2<f32> {
            grad
        }
        fn infer(&self, input: Array2<f32>) -> Array2<f32> {
            input
        }
    }

    #[test]
    fn a_layer_that_cannot_be_exported_is_named() {
        let inner = Sequential::input(3).relu().layer(Mine).build(&mut crate::rng(1)).unwrap();
        let net = Sequential::input(3).relu().relu().layer(inner).build(&mut crate::rng(1)).unwrap();
        let error = net.to_onnx(Output::Raw).unwrap_err().to_string();
        assert_eq!(error, "layer 2.1 (Mine): it cannot be exported, since it does not implement `Layer::export`");
    }
}
