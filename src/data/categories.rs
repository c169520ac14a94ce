//! Text as numbers.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::scalar::Scalar;

/// The distinct values of a column of text, sorted: a class each, or a column of zeros and ones each.
///
/// ```
/// use gradus::data::Categories;
/// let islands = Categories::of(["Torgersen", "Biscoe", "Dream", "Biscoe"])?;
/// assert_eq!(islands.names(), ["Biscoe", "Dream", "Torgersen"]);
/// assert_eq!(islands.label("Dream")?, 1); // a class of `Dataset::classification`
/// assert_eq!(islands.one_hot::<f32>("Dream")?, [0.0, 1.0, 0.0]); // columns of a row
/// let error = islands.label("Atlantis").unwrap_err().to_string();
/// assert_eq!(error, "category: expected one of Biscoe, Dream, Torgersen, found Atlantis");
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Categories {
    names: Vec<String>,
}

/// As many names as an error lists.
const LISTED: usize = 10;

impl Categories {
    /// The values of this column.
    ///
    /// # Errors
    /// No values.
    pub fn of<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        let names: BTreeSet<String> = values.into_iter().map(Into::into).collect();
        if names.is_empty() {
            return Err(Error::empty("values of a column of categories"));
        }
        Ok(Self { names: names.into_iter().collect() })
    }

    /// The values, each at the place that is its number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none, as a file may say.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The number of a value, from 0.
    ///
    /// # Errors
    /// The column had no such value.
    pub fn label(&self, value: &str) -> Result<usize, Error> {
        self.names.iter().position(|name| name == value).ok_or_else(|| {
            let more = if self.len() > LISTED { ", …" } else { "" };
            let listed = self.names[..self.len().min(LISTED)].join(", ");
            Error::invalid("category", format!("one of {listed}{more}"), value)
        })
    }

    /// A row of zeros with a one at the number of the value.
    ///
    /// # Errors
    /// The column had no such value.
    pub fn one_hot<F: Scalar>(&self, value: &str) -> Result<Vec<F>, Error> {
        let mut row = vec![F::zero(); self.len()];
        row[self.label(value)?] = F::one();
        Ok(row)
    }
}
