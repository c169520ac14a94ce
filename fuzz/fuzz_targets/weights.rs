//! Whatever bytes: a network is filled, or an error leaves it as it was.
#![no_main]

use gradus::prelude::*;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let net = || Sequential::<f32>::input(1).affine(2, Init::He).batch_norm().build(&mut rng(1)).unwrap();
    let mut filled = net();
    if filled.load_bytes(bytes).is_err() {
        assert_eq!(filled.to_bytes().unwrap(), net().to_bytes().unwrap());
    }
});
