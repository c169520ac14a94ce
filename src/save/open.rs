//! Networks without the code that built them.

use std::path::Path;

use serde::Deserialize;

use super::container::Reader;
use super::registry::{NETWORK, Registry};
use crate::error::Error;
use crate::layer::{Description, Layer};
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// The version of what stands in [`NETWORK`].
const VERSION: u64 = 1;

/// Why there is none.
const UNDESCRIBED: &str = "gradus.undescribed";

impl<F: Scalar> Sequential<F> {
    /// The network of a file of [`save`](Self::save), or of a checkpoint, without the code that built it.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// # let path = std::env::temp_dir().join(format!("gradus-doc-open-{}.safetensors", std::process::id()));
    /// let net = Sequential::<f32>::input(8).affine(4, Init::He).batch_norm().relu().dropout(0.2).affine(2, Init::He);
    /// let net = net.build(&mut rng(1))?;
    /// net.save(&path)?;
    /// let opened = Sequential::<f32>::open(&path)?; // in another program, another day
    /// assert_eq!(opened.to_bytes()?, net.to_bytes()?);
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// Nothing is converted: an `f32` network is of a file of `F32`. Whether a parameter is frozen is not in the file.
    /// PyTorch's files do not say what network they are of: build it and [`load`](Self::load) them.
    ///
    /// # Errors
    /// Those of [`load`](Self::load); the file does not say how its network is made; it has a layer of another kind than
    /// those of this crate (the layer is named): see [`open_with`](Self::open_with).
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

    /// The network of the bytes of such a file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_bytes(bytes: &[u8]) -> Result<Self, Error> {
        Self::open_bytes_with(bytes, &Registry::default())
    }

    /// The same with layers of your own: see [`Registry`].
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_bytes_with(bytes: &[u8], registry: &Registry<F>) -> Result<Self, Error> {
        Self::read(Reader::parse(bytes, "the bytes")?, registry)
    }

    pub(super) fn read(reader: Reader<'_>, registry: &Registry<F>) -> Result<Self, Error> {
        let mut net = registry.network(&description(&reader)?, "", &reader)?;
        net.fill(reader)?;
        Ok(net)
    }
}

/// What a file says of its network, or why it says nothing.
pub(super) fn metadata<F: Scalar>(net: &Sequential<F>) -> (&'static str, String) {
    match net.describe() {
        Ok(description) => {
            let mut json = serde_json::to_value(description).expect("text by name is JSON");
            json["version"] = VERSION.into();
            (NETWORK, json.to_string())
        }
        Err(error) => (UNDESCRIBED, error.to_string()),
    }
}

/// Of a description of any version what says which it is.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

fn description(reader: &Reader<'_>) -> Result<Description, Error> {
    let Some(text) = reader.metadata(NETWORK) else {
        let found = reader.metadata(UNDESCRIBED).unwrap_or("found none");
        return Err(reader.error(NETWORK, format!("expected how the network is made; {found}")));
    };
    let damage = |error: serde_json::Error| reader.error(NETWORK, error.to_string());
    let Versioned { version } = serde_json::from_str(text).map_err(damage)?;
    if version != VERSION {
        let problem = format!("expected a description of version {VERSION}, found version {version}");
        return Err(reader.error(NETWORK, problem));
    }
    serde_json::from_str(text).map_err(damage)
}
