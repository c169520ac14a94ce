//! Whatever bytes: network and trainer go on from there, or an error leaves both as they were.
#![no_main]

use gradus::prelude::*;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let net = || Sequential::<f32>::input(2).affine(2, Init::He).dropout(0.5).build(&mut rng(1)).unwrap();
    let trainer = || Trainer::new(SoftmaxCrossEntropy, Adam::default());
    let (mut filled, mut resumed) = (net(), trainer());
    if resumed.load_checkpoint_bytes(&mut filled, bytes).is_err() {
        assert_eq!(filled.to_bytes().unwrap(), net().to_bytes().unwrap());
        assert_eq!(format!("{resumed:?}"), format!("{:?}", trainer()));
    }
});
