//! Whatever bytes: a model is opened that can be saved again, or there is an error.
#![no_main]

use gradus::prelude::*;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = Model::<f32>::open_bytes(bytes) {
        let again = Model::<f32>::open_bytes(&model.to_bytes().unwrap()).unwrap();
        assert_eq!(again.to_bytes().unwrap(), model.to_bytes().unwrap());
    }
});
