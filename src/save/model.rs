//! A model as a file: that of its network, which says more.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::container::Reader;
use super::registry::Registry;
use super::weights;
use crate::error::Error;
use crate::model::{About, Model};
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// The metadata of what is not in the network.
const MODEL: &str = "gradus.model";

/// The version of what stands there.
const VERSION: u64 = 1;

impl<F: Scalar> Model<F> {
    /// Saves the network as [`Sequential::save`] does, with the scales, names and notes in the same file. PyTorch and
    /// [`Sequential::open`] read the network alone, which works on the scales it was trained on.
    ///
    /// # Errors
    /// As [`Sequential::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        weights::tensors(self.net())?.save(&self.metadata(), path.as_ref())
    }

    /// The bytes that [`save`](Self::save) writes.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        weights::tensors(self.net())?.to_bytes(&self.metadata())
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let mut about = serde_json::to_value(&self.about).expect("numbers and text are JSON");
        about["version"] = VERSION.into();
        let mut metadata = weights::metadata(self.net());
        metadata.insert(MODEL.into(), about.to_string());
        metadata
    }

    /// The model of a file. Of a network saved alone, or a checkpoint, it is the network.
    ///
    /// # Errors
    /// Those of [`Sequential::open`]; scales or names that do not fit the network.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &Registry::default())
    }

    /// The same with layers of your own: see [`Registry`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, registry: &Registry<F>) -> Result<Self, Error> {
        Self::read(Reader::open(path.as_ref())?, registry)
    }

    /// The model of the bytes of such a file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(Reader::parse(bytes, "the bytes")?, &Registry::default())
    }

    fn read(reader: Reader<'_>, registry: &Registry<F>) -> Result<Self, Error> {
        let source = reader.source().to_string();
        let about = about(&reader)?;
        let wrong = |error: Error| Error::format(source, MODEL, error.to_string());
        Self::with(Sequential::read(reader, registry)?, about).map_err(wrong)
    }
}

/// Of what stands there in any version what says which it is.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

fn about(reader: &Reader<'_>) -> Result<About, Error> {
    let Some(text) = reader.metadata(MODEL) else { return Ok(About::default()) };
    let damage = |error: serde_json::Error| reader.error(MODEL, error.to_string());
    let Versioned { version } = serde_json::from_str(text).map_err(damage)?;
    if version != VERSION {
        return Err(reader.error(MODEL, format!("expected a model of version {VERSION}, found version {version}")));
    }
    serde_json::from_str(text).map_err(damage)
}
