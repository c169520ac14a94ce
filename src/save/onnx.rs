//! Networks for other engines, as [ONNX](https://onnx.ai) graphs. (Feature `onnx`.)
//!
//! A graph takes `input`, `(batch, in)`, with a batch of any size, and gives `output`, `(batch, out)`: what
//! [`Sequential::predict`] gives, or [`Sequential::predict_probabilities`]. Operators are those of opset 17, which every current engine knows.
//!
//! | layer | operator |
//! |---|---|
//! | [`Affine`](crate::Affine) | Gemm |
//! | [`ReLU`](crate::ReLU), [`Sigmoid`](crate::Sigmoid), [`Tanh`](crate::Tanh) | Relu, Sigmoid, Tanh |
//! | [`BatchNorm`](crate::BatchNorm) | BatchNormalization, with the running statistics |
//! | [`Dropout`](crate::Dropout) | none; in the book's form a Mul by `1 - ratio` |
//! | [`Sequential`] | those of its layers |
//! | your own | what its [`Layer::onnx`] writes; without, the export is an error that names it |

mod proto;

use std::marker::PhantomData;
use std::path::Path;

use prost::Message;

use super::{file, weights};
use crate::error::Error;
use crate::layer::{Layer, Param, Role, values};
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

/// A number that an operator is set up with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Attribute {
    /// A floating-point number.
    Float(f32),
    /// A whole number.
    Int(i64),
}

/// A graph that grows layer by layer; a layer adds what it computes: [`Layer::onnx`].
///
/// ```
/// use gradus::{Error, Layer, Sequential, ndarray::Array2, onnx};
///
/// /// y = |x|.
/// #[derive(Debug)]
/// struct Abs;
///
/// impl Layer<f32> for Abs {
/// #   fn forward(&mut self, input: Array2<f32>) -> Array2<f32> { input.abs() }
/// #   fn backward(&mut self, grad: Array2<f32>) -> Array2<f32> { grad }
///     // forward, backward …
///     fn infer(&self, input: Array2<f32>) -> Array2<f32> {
///         input.abs()
///     }
///     fn onnx(&self, graph: &mut onnx::Graph<f32>) -> Result<(), Error> {
///         graph.node("Abs", &[], &[]);
///         Ok(())
///     }
/// }
///
/// let net = Sequential::input(3).layer(Abs).build(&mut gradus::rng(1))?;
/// assert!(!net.to_onnx(onnx::Output::Probabilities)?.is_empty());
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Graph<F> {
    graph: proto::Graph,
    /// What the next node takes.
    value: String,
    scalar: PhantomData<F>,
}

impl<F: Scalar> Graph<F> {
    fn new() -> Self {
        let graph = proto::Graph { name: "gradus".into(), ..proto::Graph::default() };
        Self { graph, value: "input".into(), scalar: PhantomData }
    }

    /// A parameter as a constant of the graph; gives its name there. A [`Role::Weight`] is a matrix `(in, out)`, a
    /// row of any other role a vector.
    pub fn parameter(&mut self, param: &Param<F>) -> String {
        let (rows, columns) = param.value.dim();
        let is_vector = param.role != Role::Weight && rows == 1;
        let shape: &[usize] = if is_vector { &[columns] } else { &[rows, columns] };
        self.initializer(param.name.clone(), shape, values(&param.value))
    }

    /// A constant of this shape, `[]` for a single number; gives its name in the graph.
    ///
    /// # Panics
    /// There are not as many values as the shape has places.
    #[track_caller]
    pub fn constant(&mut self, shape: &[usize], values: &[F]) -> String {
        let places = shape.iter().product::<usize>();
        assert!(places == values.len(), "a constant of shape {shape:?} was given {} values", values.len());
        self.initializer(format!("constant_{}", self.graph.initializer.len()), shape, values)
    }

    fn initializer(&mut self, name: String, shape: &[usize], values: &[F]) -> String {
        self.graph.initializer.push(proto::Tensor {
            dims: shape.iter().map(|&n| n as i64).collect(),
            data_type: data_type::<F>(),
            name: name.clone(),
            raw_data: weights::to_le_bytes(values.iter()),
        });
        name
    }

    /// An operator of the standard set: it takes what the node before gives, then the constants; what it gives is
    /// taken by the next.
    pub fn node(&mut self, operator: &str, constants: &[String], attributes: &[(&str, Attribute)]) {
        let name = format!("{}_{operator}", self.graph.node.len());
        let output = format!("{name}_output");
        let input = std::mem::replace(&mut self.value, output.clone());
        self.graph.node.push(proto::Node {
            input: [&[input], constants].concat(),
            output: vec![output],
            name,
            op_type: operator.into(),
            attribute: attributes.iter().map(|&(name, value)| attribute(name, value)).collect(),
        });
    }

    fn finish(mut self, net: &Sequential<F>) -> Result<Vec<u8>, Error> {
        if self.graph.node.is_empty() {
            self.node("Identity", &[], &[]);
        }
        let last = self.graph.node.last_mut().expect("there is one now");
        last.output = vec!["output".into()];
        self.graph.input = vec![value_info::<F>("input", net.inputs())];
        self.graph.output = vec![value_info::<F>("output", net.outputs())];
        let problem = |problem| Err(Error::Export { layer: "the network".into(), problem });
        let mut names: Vec<_> = self.graph.initializer.iter().map(|tensor| &tensor.name).collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return problem(format!("two parameters are called {}", twice[0]));
        }
        let model = proto::Model {
            ir_version: 8,
            producer_name: env!("CARGO_PKG_NAME").into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            doc_string: format!("{net:?}"),
            graph: Some(self.graph),
            opset_import: vec![proto::OperatorSet { version: 17 }],
        };
        if model.encoded_len() > i32::MAX as usize {
            return problem(format!("it takes {} bytes, and a file may have 2 GiB", model.encoded_len()));
        }
        Ok(model.encode_to_vec())
    }
}

impl<F: Scalar> Sequential<F> {
    /// Writes the network's inference pass as an ONNX file.
    ///
    /// # Errors
    /// [`Error::Export`] where a layer has no [`Layer::onnx`], or the file would be larger than 2 GiB;
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
        let mut graph = Graph::new();
        self.onnx(&mut graph)?;
        match output {
            Output::Raw => {}
            Output::Probabilities if self.outputs() == 1 => graph.node("Sigmoid", &[], &[]),
            Output::Probabilities => graph.node("Softmax", &[], &[("axis", Attribute::Int(-1))]),
        }
        graph.finish(self)
    }
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

    #[derive(Debug)]
    struct Mine;

    impl Layer<f32> for Mine {
        fn forward(&mut self, input: Array2<f32>) -> Array2<f32> {
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
        assert_eq!(error, "layer 2.1 (Mine) cannot be exported: it does not implement `Layer::onnx`");
    }
}
