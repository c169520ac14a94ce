//! Saved weights: there and back, and everything that is no such file.

mod files;
mod open;

use std::fs;
use std::path::Path;

use gradus::layer::Param;
use gradus::ndarray::{Array2, array};
use gradus::prelude::*;
use gradus::rand::RngExt;
use safetensors::{Dtype, SafeTensors};

use crate::support::{Scratch, bits, forward};

/// Every kind of parameter, a network in the network included.
fn net<F: Scalar>(seed: u64) -> Sequential<F> {
    let mut rng = rng(seed);
    let inner = Sequential::input(3).affine(4, Init::He).tanh().build(&mut rng).unwrap();
    let net = Sequential::input(2).affine(3, Init::He).batch_norm().relu().dropout(0.5).layer(inner);
    let mut net = net.affine(2, Init::Xavier).build(&mut rng).unwrap();
    for rows in [5, 4, 3] {
        let x = Array2::from_shape_simple_fn((rows, 2), || F::of(rng.random()));
        forward(&mut net, x);
    }
    net
}

fn there_and_back<F: Scalar>() {
    let scratch = Scratch::new(std::any::type_name::<F>());
    let path = scratch.file("net.safetensors");
    let (saved, mut loaded) = (net::<F>(1), net::<F>(2));
    assert_ne!(bits(&saved), bits(&loaded));
    saved.save(&path).unwrap();
    loaded.load(&path).unwrap();
    assert_eq!(bits(&saved), bits(&loaded));
    assert_eq!(fs::read(&path).unwrap(), saved.to_bytes().unwrap());
    net::<F>(3).save(&path).unwrap(); // over the old one
    loaded.load(&path).unwrap();
    assert_eq!(bits(&net::<F>(3)), bits(&loaded));
    assert_eq!(scratch.names(), ["net.safetensors"]);
}

#[test]
fn what_is_saved_is_loaded_in_f32() {
    there_and_back::<f32>();
}

#[test]
fn what_is_saved_is_loaded_in_f64() {
    there_and_back::<f64>();
}

#[test]
fn names_and_layouts_are_those_of_a_state_dict() {
    let (net, bytes) = (net::<f32>(1), net::<f32>(1).to_bytes().unwrap());
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<_> = file.iter().map(|(name, t)| (name, t.dtype(), t.shape().to_vec())).collect();
    found.sort();
    // As torch.nn.Sequential(Linear(2, 3), BatchNorm1d(3), ReLU(), Dropout(), Sequential(Linear(3, 4), Tanh()),
    // Linear(4, 2)).state_dict() lists them, sorted.
    let expected: [(&str, Dtype, Vec<usize>); 11] = [
        ("0.bias", Dtype::F32, vec![3]),
        ("0.weight", Dtype::F32, vec![3, 2]),
        ("1.bias", Dtype::F32, vec![3]),
        ("1.num_batches_tracked", Dtype::I64, vec![]),
        ("1.running_mean", Dtype::F32, vec![3]),
        ("1.running_var", Dtype::F32, vec![3]),
        ("1.weight", Dtype::F32, vec![3]),
        ("4.0.bias", Dtype::F32, vec![4]),
        ("4.0.weight", Dtype::F32, vec![4, 3]),
        ("5.bias", Dtype::F32, vec![2]),
        ("5.weight", Dtype::F32, vec![2, 4]),
    ];
    assert_eq!(found, expected);
    assert_eq!(file.tensor("1.num_batches_tracked").unwrap().data(), 3_i64.to_le_bytes());
    net.layers()[0].params(&mut |p| {
        if p.role == Role::Weight {
            let first_row: Vec<u8> = p.value.column(0).iter().flat_map(|x| x.to_le_bytes()).collect();
            assert_eq!(file.tensor("0.weight").unwrap().data()[..8], first_row);
        }
    });
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = metadata.metadata().as_ref().unwrap();
    assert_eq!(metadata["gradus.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(metadata["gradus.format"], "1");
    let architecture = "Sequential(2 > Affine 3 > BatchNorm 3 > ReLU 3 > Dropout 3 > \
        Sequential(3 > Affine 4 > Tanh 4) 4 > Affine 2)";
    assert_eq!(metadata["gradus.architecture"], architecture);
}

/// y = x ⊙ a, with a buffer of a shape of its own.
#[derive(Debug, Clone)]
struct Gain {
    a: Param<f32>,
    seen: Param<f32>,
    x: Array2<f32>,
}

impl Gain {
    fn new(start: f32) -> Self {
        let a = Param::new("a", Role::Scale, array![[start, start]]);
        let seen = Param::new("seen", Role::Buffer, array![[start, f32::INFINITY], [1.0, 2.0], [3.0, f32::NAN]]);
        Self { a, seen, x: Array2::default((0, 0)) }
    }
}

impl Layer<f32> for Gain {
    gradus::params!(f32: a, seen);

    fn forward(&mut self, input: Array2<f32>, _pass: &mut Pass<'_>) -> Array2<f32> {
        self.x.clone_from(&input);
        self.infer(input)
    }
    fn backward(&mut self, grad: Array2<f32>) -> Array2<f32> {
        self.a.grad = (&grad * &self.x).sum_axis(gradus::ndarray::Axis(0)).insert_axis(gradus::ndarray::Axis(0));
        grad * &self.a.value
    }
    fn infer(&self, input: Array2<f32>) -> Array2<f32> {
        input * &self.a.value
    }
}

#[test]
fn a_layer_of_ones_own_is_saved_too() {
    let build = |start| Sequential::input(2).layer(Gain::new(start)).build(&mut rng(1)).unwrap();
    let (saved, mut loaded) = (build(2.0), build(7.0));
    loaded.load_bytes(&saved.to_bytes().unwrap()).unwrap();
    assert_eq!(bits(&saved), bits(&loaded));
}

#[test]
fn two_parameters_of_one_name_are_an_error() {
    let mut gain = Gain::new(1.0);
    gain.seen.name = "a".into();
    let mut net = Sequential::input(2).layer(gain).build(&mut rng(1)).unwrap();
    let expected = "the network: a saved file needs a name of its own for each parameter, found 0.a twice";
    assert_eq!(net.to_bytes().unwrap_err().to_string(), expected);
    let one = r#"{"0.a":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]}}"#;
    assert_eq!(net.load_bytes(&file(one, 24)).unwrap_err().to_string(), expected);
}

fn message<F: Scalar>(net: &mut Sequential<F>, bytes: &[u8]) -> String {
    let before = bits(net);
    let message = net.load_bytes(bytes).unwrap_err().to_string();
    assert_eq!(bits(net), before, "{message}: the network was changed");
    message
}

/// A file with this header and these bytes behind it.
fn file(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

/// `ReLU` and a single `Affine(1, 2)`.
fn small() -> Sequential<f32> {
    Sequential::input(1).relu().affine(2, Init::He).build(&mut rng(1)).unwrap()
}

#[test]
fn the_tensor_that_does_not_fit_is_named() {
    let wrong = |header: &str, data| message(&mut small(), &file(header, data));
    let weight = r#""1.weight":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}"#;
    let bias = r#""1.bias":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}"#;
    small().load_bytes(&file(&format!("{{{weight},{bias}}}"), 16)).unwrap();
    assert_eq!(wrong(&format!("{{{weight}}}"), 8), "the bytes, tensor 1.bias: expected F32 [2], found none");
    let more = r#""2.bias":{"dtype":"I8","shape":[1],"data_offsets":[16,17]}"#;
    assert_eq!(
        wrong(&format!("{{{weight},{bias},{more}}}"), 17),
        "the bytes, tensor 2.bias: expected no such tensor, found I8 [1]"
    );
    let other = weight.replace("[2,1]", "[1,2]");
    assert_eq!(
        wrong(&format!("{{{other},{bias}}}"), 16),
        "the bytes, tensor 1.weight: expected F32 [2, 1], found F32 [1, 2]"
    );
    let other = bias.replace("F32", "F64").replace("16", "24");
    assert_eq!(
        wrong(&format!("{{{weight},{other}}}"), 24),
        "the bytes, tensor 1.bias: expected F32 [2], found F64 [2]"
    );
    let mut double = Sequential::<f64>::input(1).relu().affine(2, Init::He).build(&mut rng(1)).unwrap();
    let single = small().to_bytes().unwrap();
    assert_eq!(message(&mut double, &single), "the bytes, tensor 1.bias: expected F64 [2], found F32 [2]");
}

#[test]
fn places_in_the_file_are_checked() {
    let wrong = |header: &str, data| message(&mut small(), &file(header, data));
    let gap = r#"{"1.bias":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    assert_eq!(
        wrong(gap, 12),
        "the bytes, byte 68: tensor 1.bias: expected it to begin at 0 and end behind, found 4 and 12"
    );
    let backwards = r#"{"1.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#;
    assert!(wrong(backwards, 8).contains("tensor b: expected it to begin at 8 and end behind, found 8 and 0"));
    let size = r#"{"1.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,7]}}"#;
    assert!(wrong(size, 7).contains("tensor 1.bias: F32 [2] does not fill 7 bytes"));
    let huge = r#"{"1.bias":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#;
    assert!(wrong(huge, 0).contains("does not fill 0 bytes"));
    let promise = r#"{"1.bias":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}"#;
    assert!(wrong(promise, 3).ends_with("expected 4398046511104 bytes of tensors, found 3"));
    let good = small().to_bytes().unwrap();
    let longer = [&good[..], &[0]].concat();
    let says = message(&mut small(), &longer);
    assert_eq!(says, format!("the bytes, byte {}: expected 16 bytes of tensors, found 17", good.len()));
}

#[test]
fn a_huge_promise_takes_no_memory() {
    let says = message(&mut small(), &u64::MAX.to_le_bytes());
    assert_eq!(says, "the bytes, byte 0: expected a header of at most 100000000 bytes, found 18446744073709551615");
    let bytes = [&99_999_999_u64.to_le_bytes()[..], b"{}"].concat();
    assert!(
        message(&mut small(), &bytes).contains("byte 10: expected 99999999 bytes of the header, found the end after 2")
    );
    // A file of a terabyte, none of it there: its header asks for nothing this network has.
    let scratch = Scratch::new("sparse");
    let path = scratch.file("sparse");
    let header = r#"{"x":{"dtype":"F32","shape":[274877906944],"data_offsets":[0,1099511627776]}}"#;
    fs::write(&path, file(header, 0)).unwrap();
    let long = fs::File::options().write(true).open(&path).unwrap();
    if long.set_len(8 + header.len() as u64 + (1 << 40)).is_ok() {
        let says = small().load(&path).unwrap_err().to_string();
        assert!(says.contains("tensor 1.bias: expected F32 [2], found none"), "{says}");
    }
}

#[test]
fn a_defect_in_the_header_has_its_byte() {
    let says = message(&mut small(), &file("{\n  \"a\": ?}", 0));
    assert!(says.starts_with("the bytes, byte 17: expected a safetensors header, found a defect"), "{says}");
    assert!(message(&mut small(), &file("[]", 0)).contains("a defect"));
    assert!(message(&mut small(), &file(&"[".repeat(100_000), 0)).contains("a defect"));
    assert!(message(&mut small(), b"PK\x03\x04 a zip file of torch.save").contains("byte 0"));
}

#[test]
fn another_architecture_is_refused() {
    let mut net = small();
    let other = Sequential::<f32>::input(1).sigmoid().affine(2, Init::He).build(&mut rng(1)).unwrap();
    let says = message(&mut net, &other.to_bytes().unwrap());
    assert_eq!(
        says,
        "the bytes, gradus.architecture: expected Sequential(1 > ReLU 1 > Affine 2), \
         found Sequential(1 > Sigmoid 1 > Affine 2)"
    );
    let newer = file(r#"{"__metadata__":{"gradus.format":"2"}}"#, 0);
    assert!(message(&mut net, &newer).ends_with("gradus.format: expected 1, found 2"));
}

#[test]
fn numbers_that_are_not_finite_are_named() {
    for bad in [f32::NAN, f32::INFINITY] {
        let mut bytes = small().to_bytes().unwrap();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&bad.to_le_bytes());
        let says = message(&mut small(), &bytes);
        assert_eq!(
            says,
            format!("the bytes, tensor 1.weight: expected finite numbers, found {bad} at row 0, column 1")
        );
        let mut net = small();
        net.params_mut(&mut |p| p.value[[0, 1]] = bad);
        assert!(net.to_bytes().unwrap_err().to_string().starts_with("the network, tensor 1.weight: expected finite"));
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let bytes = net::<f32>(1).to_bytes().unwrap();
    let mut net = net::<f32>(2);
    for end in 0..bytes.len() {
        message(&mut net, &bytes[..end]);
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_a_value() {
    let good = small().to_bytes().unwrap();
    let mut loaded = 0;
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let mut net = small();
        if net.load_bytes(&bytes).is_ok() {
            loaded += 1;
        } else {
            assert_eq!(bits(&net), bits(&small()), "bit {bit}");
        }
    }
    // Values (16 bytes, but for what makes them infinite), what is said but not read (how to build it), padding.
    assert!((100..2000).contains(&loaded), "{loaded}");
}

#[test]
fn random_damage_is_an_error_or_a_value() {
    let good = small().to_bytes().unwrap();
    let mut rng = rng(7);
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..rng.random_range(1..6) {
            let (at, from) = (rng.random_range(0..bytes.len()), rng.random_range(0..bytes.len()));
            match rng.random_range(0..4) {
                0 => bytes[at] = rng.random(),
                1 => bytes[at] = b"0919{}[],:\"-e"[rng.random_range(0..13)],
                2 => drop(bytes.drain(at.min(from)..at.max(from).min(at.min(from) + 9))),
                _ => bytes.extend_from_within(from..),
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
        let mut net = small();
        if net.load_bytes(&bytes).is_err() {
            assert_eq!(bits(&net), bits(&small()));
        }
    }
}

fn io_message(result: Result<(), Error>) -> String {
    match result {
        Err(error @ Error::Io { .. }) => error.to_string(),
        other => panic!("expected an error of the file system, found {other:?}"),
    }
}

#[test]
fn what_is_not_a_file_is_an_error() {
    let scratch = Scratch::new("not-a-file");
    let missing = scratch.file("missing");
    assert!(io_message(small().load(&missing)).starts_with(&format!("cannot open {}", missing.display())));
    assert!(io_message(small().load(&scratch.0)).contains("it is not a regular file"));
    assert!(io_message(small().save(&scratch.0)).contains("it is not a regular file"));
    io_message(small().save(scratch.file("no/such/directory")));
    io_message(small().save(scratch.file("..")));
    io_message(small().save(Path::new("")));
    let file = scratch.file("file");
    small().save(&file).unwrap();
    io_message(small().save(file.join("below a file")));
    if Path::new("/dev/null").exists() {
        assert!(io_message(small().load("/dev/zero")).contains("it is not a regular file"));
        assert!(io_message(small().save("/dev/null")).contains("it is not a regular file"));
    }
    assert_eq!(scratch.names(), ["file"]);
}

/// Of a user who may write everywhere it says nothing.
#[cfg(unix)]
#[test]
fn a_missing_permission_is_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("permission");
    let path = scratch.file("net");
    small().save(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::read(&path).is_err() {
        assert!(io_message(small().load(&path)).contains("ermission"));
        assert!(io_message(small().save(&path)).contains("ermission"));
    }
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link_and_leftovers_go() {
    let scratch = Scratch::new("link");
    fs::create_dir(scratch.file("real")).unwrap();
    let (link, real) = (scratch.file("link"), scratch.file("real/net"));
    fs::write(&real, "old").unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let leftover = scratch.file("real/.net.4711-0.tmp");
    let other = scratch.file("real/.net.mine.tmp");
    fs::write(&leftover, "half a file").unwrap();
    fs::write(&other, "somebody's").unwrap();
    small().save(&link).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    small().load(&real).unwrap();
    assert!(!leftover.exists() && other.exists());
}
