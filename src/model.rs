//! What leaves the program that trained it: a network with what belongs to it.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, ArrayRef2, AsArray, Axis};
use serde::{Deserialize, Serialize};

use crate::data::{Dataset, Normalizer, Targets, check_finite};
use crate::error::{Error, require};
use crate::metric;
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// A network with the scales of its data, the names of its classes and notes of your own: what is saved and served.
///
/// A [`Sequential`] knows nothing of units: whoever trains, nests or exports one sees the numbers that its layers see, and
/// none of its methods has a second meaning. A model is the value that leaves the program: it owns both, takes rows in the
/// units of the data and answers in those of the targets, so that neither is ever without the other.
///
/// ```
/// use gradus::{prelude::*, metric, ndarray::Array2};
/// # let path = std::env::temp_dir().join(format!("gradus-doc-model-{}.safetensors", std::process::id()));
/// // Areas in square metres, prices in euros.
/// let area = Array2::from_shape_fn((200, 1), |(i, _)| 40.0 + i as f32);
/// let price = area.mapv(|area| 1e5 + 3e3 * area);
/// let (train, test) = Dataset::regression(area, price)?.shuffle(&mut rng(1)).split(0.2)?;
///
/// let (inputs, targets) = (Normalizer::of(&train), Normalizer::of_targets(&train)?);
/// let scaled = train.normalize(&inputs)?.normalize_targets(&targets)?;
/// let mut net = Sequential::mlp(1, &[8], 1).build(&mut rng(1))?;
/// let adam = Adam { learning_rate: 0.01, ..Adam::default() };
/// Trainer::new(MeanSquaredError, adam).batch_size(20).epochs(100).fit(&mut net, &scaled)?;
///
/// let model = Model::new(net).scale_inputs(inputs)?.scale_targets(targets)?.note("unit", "euro");
/// model.save(&path)?;
/// let model = Model::<f32>::open(&path)?; // in another program
/// let price = model.predict_row(&[100.0])?[0];
/// assert!((price - 4e5).abs() < 2e4, "{price}");
/// assert!(model.measure(metric::root_mean_squared_error, &test)? < 2e4); // euros
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Model<F: Scalar = f32> {
    net: Sequential<F>,
    pub(crate) about: About,
}

/// What of a model is not in its network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct About {
    inputs: Option<Normalizer>,
    targets: Option<Normalizer>,
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default)]
    notes: BTreeMap<String, String>,
}

impl<F: Scalar> Model<F> {
    /// A network whose data are as they are.
    pub fn new(net: Sequential<F>) -> Self {
        Self { net, about: About::default() }
    }

    /// A network with what a file says of it.
    pub(crate) fn with(net: Sequential<F>, about: About) -> Result<Self, Error> {
        let About { inputs, targets, classes, notes } = about;
        let mut model = Self::new(net);
        if let Some(inputs) = inputs {
            model = model.scale_inputs(inputs)?;
        }
        if let Some(targets) = targets {
            model = model.scale_targets(targets)?;
        }
        if !classes.is_empty() {
            model = model.name_classes(classes)?;
        }
        model.about.notes = notes;
        Ok(model)
    }

    /// The same with the scale on which the network was trained: rows are brought onto it.
    ///
    /// # Errors
    /// A normalizer of another width than the network's input, or one that cannot scale.
    pub fn scale_inputs(mut self, scale: Normalizer) -> Result<Self, Error> {
        scale.check(self.net.inputs())?;
        self.about.inputs = Some(scale);
        Ok(self)
    }

    /// The same with the scale of the targets: outputs are brought back from it.
    ///
    /// # Errors
    /// A normalizer of another width than the network's output, or one that cannot scale.
    pub fn scale_targets(mut self, scale: Normalizer) -> Result<Self, Error> {
        scale.check(self.net.outputs())?;
        self.about.targets = Some(scale);
        Ok(self)
    }

    /// The same with names of its classes, in order.
    ///
    /// # Errors
    /// More or fewer names than classes.
    pub fn name_classes<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let classes = self.net.outputs().max(2);
        require(names.len() == classes, "names of classes", &classes.to_string(), names.len())?;
        self.about.classes = names;
        Ok(self)
    }

    /// The same with a text of your own, saved with it: how its columns are made, what they are called.
    #[must_use]
    pub fn note(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.about.notes.insert(name.into(), text.into());
        self
    }

    /// The network, which works on the scales it was trained on.
    pub fn net(&self) -> &Sequential<F> {
        &self.net
    }

    /// The scale onto which rows are brought, if there is one.
    pub fn input_scale(&self) -> Option<&Normalizer> {
        self.about.inputs.as_ref()
    }

    /// The scale from which outputs are brought back, if there is one.
    pub fn target_scale(&self) -> Option<&Normalizer> {
        self.about.targets.as_ref()
    }

    /// The names of its classes; none where none were given.
    pub fn class_names(&self) -> &[String] {
        &self.about.classes
    }

    /// The notes by name.
    pub fn notes(&self) -> &BTreeMap<String, String> {
        &self.about.notes
    }

    /// [`Sequential::predict`], from rows in the units of the data to outputs in those of the targets.
    ///
    /// # Errors
    /// Rows of another width than the network's; a value that is NaN or infinite, or too far from the others for the number
    /// type (row and column are named).
    pub fn predict(&self, rows: &ArrayRef2<F>) -> Result<Array2<F>, Error> {
        let outputs = match &self.about.inputs {
            None => self.net.predict(rows)?,
            Some(scale) => {
                self.net.expect_width(rows.ncols())?;
                check_finite("rows", rows)?;
                self.net.predict(&scale.apply(rows.as_standard_layout().into_owned())?)?
            }
        };
        match &self.about.targets {
            None => Ok(outputs),
            Some(scale) => scale.undo(outputs),
        }
    }

    /// [`Sequential::predict_row`], in the units of the data.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_row<'a>(&self, row: impl AsArray<'a, F>) -> Result<Array1<F>, Error> {
        Ok(self.predict(&row.into().insert_axis(Axis(0)))?.index_axis_move(Axis(0), 0))
    }

    /// [`Sequential::predict_probabilities`] of rows in the units of the data.
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn predict_probabilities(&self, rows: &ArrayRef2<F>) -> Result<Array2<F>, Error> {
        Ok(crate::sequential::probabilities(self.predict(rows)?))
    }

    /// [`Sequential::classify`] of rows in the units of the data.
    ///
    /// # Errors
    /// As [`Sequential::classify`].
    pub fn classify(&self, rows: &ArrayRef2<F>) -> Result<Vec<usize>, Error> {
        metric::certain_classes(&self.predict(rows)?)
    }

    /// [`Sequential::classify_row`] of a row in the units of the data.
    ///
    /// # Errors
    /// As [`classify`](Self::classify).
    pub fn classify_row<'a>(&self, row: impl AsArray<'a, F>) -> Result<usize, Error> {
        Ok(self.classify(&row.into().insert_axis(Axis(0)))?[0])
    }

    /// [`Sequential::measure`] on data in their own units.
    ///
    /// # Errors
    /// Those of [`predict`](Self::predict) and of the function.
    pub fn measure<T>(
        &self,
        figure: impl FnOnce(&Array2<F>, &Targets<F>) -> Result<T, Error>,
        data: &Dataset<F>,
    ) -> Result<T, Error> {
        figure(&self.predict(data.rows())?, data.targets())
    }
}
