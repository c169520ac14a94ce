use super::{Param, Role};
use crate::array::values;
use crate::scalar::Scalar;

/// A network's inference pass as plain data: operators of the ONNX standard set, one after another.
///
/// A layer adds what it computes in [`Layer::export`](super::Layer::export); with the feature `onnx`,
/// `Sequential::save_onnx` writes the graph as a file.
///
/// ```
/// use gradus::{Error, Scalar, layer::{Graph, Layer, Pass}, ndarray::Array2};
///
/// /// y = |x|.
/// #[derive(Debug, Clone)]
/// struct Abs;
///
/// impl<F: Scalar> Layer<F> for Abs {
/// #   fn forward(&mut self, input: Array2<F>, _pass: &mut Pass<'_>) -> Array2<F> { input.abs() }
/// #   fn backward(&mut self, grad: Array2<F>) -> Array2<F> { grad }
///     // forward, backward …
///     fn infer(&self, input: Array2<F>) -> Array2<F> {
///         input.abs()
///     }
///     fn export(&self, graph: &mut Graph<F>) -> Result<(), Error> {
///         graph.node("Abs", &[], &[]);
///         Ok(())
///     }
/// }
///
/// let mut graph = Graph::<f32>::default();
/// Abs.export(&mut graph)?;
/// assert_eq!(graph.nodes[0].operator, "Abs");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Graph<F> {
    /// The operators, in order: each takes what the one before gives.
    pub nodes: Vec<Node>,
    /// What the operators take besides that.
    pub constants: Vec<Constant<F>>,
}

/// An operator with what sets it up.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The operator's name in the standard set.
    pub operator: String,
    /// Its inputs from the second on: names of constants, or of what an earlier node gives, [`Graph::value`].
    pub constants: Vec<String>,
    /// Names and values of its attributes.
    pub attributes: Vec<(String, Attribute)>,
}

/// A tensor of the graph that no operator computes.
#[derive(Debug, Clone, PartialEq)]
pub struct Constant<F> {
    /// Its name.
    pub name: String,
    /// Its dimensions, none for a single number.
    pub shape: Vec<usize>,
    /// Its values, row-major.
    pub values: Vec<F>,
}

/// A number that sets an operator up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Attribute {
    /// A floating-point number.
    Float(f32),
    /// A whole number.
    Int(i64),
}

impl<F> Default for Graph<F> {
    fn default() -> Self {
        Self { nodes: Vec::new(), constants: Vec::new() }
    }
}

impl<F: Scalar> Graph<F> {
    /// Adds a parameter as a constant; gives its name. A [`Role::Weight`] is a matrix `(in, out)`, a row of any other
    /// role a vector.
    pub fn parameter(&mut self, param: &Param<F>) -> String {
        let (rows, columns) = param.value.dim();
        let is_vector = param.role != Role::Weight && rows == 1;
        let shape = if is_vector { vec![columns] } else { vec![rows, columns] };
        self.add(param.name.clone(), shape, values(&param.value).to_vec())
    }

    /// Adds a constant of this shape, `[]` for a single number; gives its name.
    ///
    /// # Panics
    /// There are not as many values as the shape has places.
    #[track_caller]
    pub fn constant(&mut self, shape: &[usize], values: &[F]) -> String {
        let places = shape.iter().product::<usize>();
        assert!(places == values.len(), "a constant of shape {shape:?} was given {} values", values.len());
        self.add(format!("constant_{}", self.constants.len()), shape.to_vec(), values.to_vec())
    }

    fn add(&mut self, name: String, shape: Vec<usize>, values: Vec<F>) -> String {
        self.constants.push(Constant { name: name.clone(), shape, values });
        name
    }

    /// The name of what the last node gives (of the network's input, where there is none): for an operator further on that
    /// takes it once more.
    ///
    /// ```
    /// // x σ(x)
    /// let mut graph = gradus::layer::Graph::<f32>::default();
    /// let x = graph.value();
    /// graph.node("Sigmoid", &[], &[]);
    /// graph.node("Mul", &[x], &[]);
    /// assert_eq!(graph.nodes[1].constants, ["input"]);
    /// ```
    pub fn value(&self) -> String {
        self.value_before(self.nodes.len())
    }

    /// The name of what node `i` takes first.
    pub(crate) fn value_before(&self, i: usize) -> String {
        i.checked_sub(1).map_or_else(|| "input".into(), |last| format!("{last}_{}_output", self.nodes[last].operator))
    }

    /// Adds an operator of the standard set: it takes what the node before gives, then the constants.
    pub fn node(&mut self, operator: &str, constants: &[String], attributes: &[(&str, Attribute)]) {
        let attributes = attributes.iter().map(|&(name, value)| (name.to_string(), value)).collect();
        self.nodes.push(Node { operator: operator.to_string(), constants: constants.to_vec(), attributes });
    }
}
