use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::array::short_type_name;
use crate::error::Error;

/// A layer as data: what kind it is and how it is set. What training learned, and how large that is, stands in the
/// tensors beside it.
///
/// ```
/// use gradus::layer::{Description, Dropout, Layer};
/// let dropout: &dyn Layer<f32> = &Dropout::new(0.2)?;
/// assert_eq!(dropout.describe()?, Description::new("Dropout").with("ratio", 0.2).with("form", "Inverted"));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Description {
    /// Its name, by which it is made again.
    pub kind: String,
    /// Its settings by name, as text from which the value reads back exactly.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The layers of a network, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<Description>,
}

impl Description {
    /// A layer of this kind, without settings.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }

    /// The same with a setting.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.settings.insert(name.into(), value.to_string());
        self
    }

    /// The same with a setting that is one of a few, by its name.
    #[must_use]
    pub fn with_form(self, form: impl Debug) -> Self {
        self.with("form", format!("{form:?}"))
    }

    /// Which of these the setting of [`with_form`](Self::with_form) is.
    ///
    /// ```
    /// use gradus::layer::{Description, DropoutForm};
    /// let forms = [DropoutForm::Inverted, DropoutForm::Book];
    /// let description = Description::new("Dropout").with_form(DropoutForm::Book);
    /// assert_eq!(description.form(&forms)?, DropoutForm::Book);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// It is none of them.
    pub fn form<T: Debug + Copy>(&self, forms: &[T]) -> Result<T, Error> {
        let found = self.get::<String>("form")?;
        let form = forms.iter().find(|form| format!("{form:?}") == found);
        form.copied().ok_or_else(|| Error::invalid("setting form", format!("one of {forms:?}"), found))
    }

    /// The value of a setting.
    ///
    /// ```
    /// use gradus::layer::Description;
    /// let description = Description::new("Dropout").with("ratio", 0.1 + 0.2);
    /// assert_eq!(description.get::<f64>("ratio")?, 0.1 + 0.2);
    /// let error = description.get::<bool>("ratio").unwrap_err().to_string();
    /// assert_eq!(error, "setting ratio: expected a value of type bool, found 0.30000000000000004");
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// There is no such setting, or it is no value of this type.
    pub fn get<T: FromStr>(&self, name: &str) -> Result<T, Error> {
        let found = self.settings.get(name);
        found.and_then(|text| text.parse().ok()).ok_or_else(|| {
            let expected = format!("a value of type {}", short_type_name::<T>());
            Error::invalid(format!("setting {name}"), expected, found.map_or("none", |text| text))
        })
    }
}
