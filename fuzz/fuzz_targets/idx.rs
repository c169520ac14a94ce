//! Whatever bytes: an array, or an error.
#![no_main]

use gradus::data::Idx;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(idx) = Idx::parse(bytes, "fuzz") {
        assert_eq!(idx.shape().iter().product::<usize>(), idx.values().len());
    }
});
