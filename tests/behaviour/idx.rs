//! The IDX reader, on good files and on everything else.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use gradus::Error;
use gradus::data::{Dataset, Idx, mnist};
use gradus::ndarray::array;
use gradus::rand::{Rng, RngExt};

use crate::support::{Scratch, mnist_folder};

fn idx(shape: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|dimension| bytes.extend(dimension.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Two images of 2×3.
fn images() -> Vec<u8> {
    idx(&[2, 2, 3], &[0, 51, 102, 153, 204, 255, 5, 4, 3, 2, 1, 0])
}

/// The number of the byte that an error names.
fn byte(place: &str) -> u64 {
    place.strip_prefix("byte ").and_then(|number| number.parse().ok()).expect("a byte is named")
}

/// The place and the words of a format error.
fn defect<T>(result: Result<T, Error>) -> (u64, String) {
    match result.err().expect("an error was expected") {
        Error::Format { source, place, problem } => {
            assert_eq!(source, "a test");
            (byte(&place), problem)
        }
        other => panic!("expected a format error, found {other}"),
    }
}

fn parse(bytes: &[u8]) -> Result<Idx, Error> {
    Idx::parse(bytes, "a test")
}

#[test]
fn plain_and_compressed_files_are_read_alike() {
    let plain = parse(&images()).unwrap();
    assert_eq!((plain.shape(), plain.values()), (&[2, 2, 3][..], &images()[16..]));
    assert_eq!(parse(&gzip(&images())).unwrap(), plain);
    assert_eq!(format!("{plain:?}"), r#"Idx { source: "a test", shape: [2, 2, 3], .. }"#);

    // As the programs `gzip` and `cat` allow, a compressed file may be made of several.
    let parts = [gzip(&images()[..7]), gzip(&images()[7..7]), gzip(&images()[7..])].concat();
    assert_eq!(parse(&parts).unwrap(), plain);
}

#[test]
fn any_rank_is_read() {
    for rank in [1, 2, 4, 255] {
        let mut shape = vec![1; rank];
        shape[rank / 2] = 3;
        let idx = parse(&idx(&shape, &[7, 8, 9])).unwrap();
        assert_eq!((idx.shape().len(), idx.values()), (rank, &[7, 8, 9][..]));
    }
    assert!(parse(&idx(&[0, 28, 28], &[])).unwrap().values().is_empty());
}

#[test]
fn a_wrong_header_is_named() {
    let wrong = |bytes: &[u8]| defect(parse(bytes));
    let says = |offset, problem: &str| (offset, problem.to_string());
    assert_eq!(wrong(&[]), says(0, "expected 4 bytes of an IDX header, found the end after 0"));
    assert_eq!(wrong(b"<html>"), says(0, "expected an IDX header, two zeros, found 60 104"));
    assert_eq!(
        wrong(&[0, 0, 13, 1, 0, 0, 0, 0]),
        says(2, "expected type 8 (unsigned bytes), found 13 (32-bit floating-point numbers)")
    );
    assert_eq!(
        wrong(&[0, 0, 7, 1, 0, 0, 0, 0]),
        says(2, "expected type 8 (unsigned bytes), found 7 (no type of this format)")
    );
    assert_eq!(wrong(&[0, 0, 8, 0, 1]), says(3, "expected at least 1 dimension, found 0"));
    assert_eq!(wrong(&idx(&[2], &[1, 2, 3])), says(10, "expected the end, found more bytes"));
    assert_eq!(wrong(&gzip(&idx(&[2], &[1, 2, 3]))), says(10, "expected the end, found more bytes"));
    assert_eq!(wrong(&[&gzip(&idx(&[1], &[1]))[..], b"more"].concat()).0, 9);
}

#[test]
fn a_promise_takes_no_memory() {
    // 2^48 values: to reserve them would abort the process.
    let bytes = idx(&[1 << 16, 1 << 16, 1 << 16], &[1, 2, 3]);
    for bytes in [gzip(&bytes), bytes] {
        assert_eq!(defect(parse(&bytes)), (19, "expected 281474976710656 values, found the end after 3".into()));
    }
    for shape in [&[u32::MAX; 3][..], &[u32::MAX, u32::MAX, u32::MAX, 0]] {
        let (offset, problem) = defect(parse(&idx(shape, &[])));
        assert_eq!((offset, &problem[..31]), (4, "the dimensions [4294967295, 429"));
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    for bytes in [images(), gzip(&images())] {
        for end in 0..bytes.len() {
            let (offset, problem) = defect(parse(&bytes[..end]));
            assert!(offset <= images().len() as u64 && problem.contains("found the end"), "{end}: {offset} {problem}");
        }
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_a_value() {
    let good = parse(&images()).unwrap();
    let flipped = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        parse(&bytes)
    };
    for bit in 0..images().len() * 8 {
        match flipped(&images(), bit) {
            Ok(idx) => {
                let different: Vec<_> = (0..12).filter(|&i| idx.values()[i] != good.values()[i]).collect();
                assert_eq!((idx.shape(), different), (good.shape(), vec![bit / 8 - 16]));
            }
            Err(error) => assert!(bit / 8 < 16, "bit {bit}: {error}"),
        }
    }
    // A compressed file has a checksum: what is read is right (it says when and where it was made, which
    // nobody asks) or refused.
    let compressed = gzip(&images());
    for bit in 0..compressed.len() * 8 {
        match flipped(&compressed, bit) {
            Ok(idx) => assert!(idx == good, "bit {bit}"),
            Err(error) => drop(defect(Err::<(), _>(error))),
        }
    }
}

/// Bytes that are more likely than chance to look like something.
fn noise(rng: &mut impl Rng) -> Vec<u8> {
    let mut values = vec![0; rng.random_range(0..40)];
    rng.fill_bytes(&mut values);
    let mut bytes = match rng.random_range(0..4) {
        0 => values,
        1 => [&[0, 0, 8, rng.random_range(0..6)], &values[..]].concat(),
        _ => {
            let shape: Vec<u32> = (0..rng.random_range(1..4)).map(|_| rng.random_range(0..4)).collect();
            let size = shape.iter().product::<u32>() as usize;
            values.resize(size, rng.random());
            idx(&shape, &values)
        }
    };
    if rng.random_bool(0.5) {
        bytes = gzip(&bytes);
    }
    for _ in 0..rng.random_range(0..3) {
        match (rng.random_range(0..4), bytes.len()) {
            (_, 0) | (0, _) => bytes.push(rng.random()),
            (1, length) => bytes.truncate(rng.random_range(0..length)),
            (_, length) => bytes[rng.random_range(0..length)] = rng.random(),
        }
    }
    bytes
}

#[test]
fn noise_gives_an_array_or_an_error() {
    let mut rng = gradus::rng(1);
    let (mut good, mut bad, mut sets, mut last) = (0, 0, 0, parse(&images()).unwrap());
    for _ in 0..30_000 {
        let bytes = noise(&mut rng);
        match parse(&bytes) {
            Ok(idx) => {
                assert_eq!(idx.shape().iter().product::<usize>(), idx.values().len());
                if bytes[0] == 0 {
                    assert_eq!(4 + 4 * idx.shape().len() + idx.values().len(), bytes.len());
                }
                for (images, labels) in [(&idx, &last), (&last, &idx)] {
                    if let Ok(data) = images.with_labels::<f32>(labels, rng.random(), rng.random_range(0..300)) {
                        assert_eq!((data.len(), data.len() * data.width()), (labels.shape()[0], images.values().len()));
                        sets += 1;
                    }
                }
                last = idx;
                good += 1;
            }
            Err(Error::Format { source, place, problem }) => {
                assert_eq!(source, "a test");
                let offset = byte(&place);
                assert!(!problem.is_empty() && (bytes.starts_with(&[0x1f, 0x8b]) || offset <= bytes.len() as u64));
                bad += 1;
            }
            Err(other) => panic!("expected a format error, found {other}: {bytes:?}"),
        }
    }
    // Noise that were all of one kind would show nothing.
    assert!(good > 5000 && bad > 5000 && sets > 20, "{good} {bad} {sets}");
}

#[test]
fn images_and_labels_have_to_belong_together() {
    let images = parse(&images()).unwrap();
    let with = |shape: &[u32], labels: &[u8]| images.with_labels::<f32>(&parse(&idx(shape, labels)).unwrap(), 255, 10);

    let data = with(&[2], &[9, 0]).unwrap();
    assert_eq!(data.rows(), array![[0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [5., 4., 3., 2., 1., 0.].map(|x| x / 255.0)]);
    assert_eq!((data.labels(), data.classes()), (Some(&[9, 0][..]), 10));

    assert_eq!(
        with(&[3], &[0, 1, 2]).unwrap_err().to_string(),
        "labels in a test (rows in a test): expected 2, found 3"
    );
    assert_eq!(defect(with(&[2], &[9, 10])), (9, "row 1: expected a label below 10, found 10".into()));
    assert_eq!(defect(with(&[2, 1], &[0, 1])), (3, "expected labels, of 1 dimension, found 2".into()));

    let labels = parse(&idx(&[2], &[0, 1])).unwrap();
    assert_eq!(
        defect(images.with_labels::<f32>(&labels, 203, 10)),
        (20, "expected a value of at most 203, found 204".into())
    );
    let wrong = |images: &Idx, largest| images.with_labels::<f32>(&labels, largest, 10).unwrap_err().to_string();
    assert_eq!(wrong(&images, 0), "largest value: expected at least 1, found 0");
    let blank = parse(&idx(&[2, 0], &[])).unwrap();
    assert_eq!(wrong(&blank, 255), "values in a test: expected at least one, found none");
}

/// A folder with these files in it.
fn folder(name: &str, files: &[(&str, Vec<u8>)]) -> Scratch {
    let scratch = Scratch::new(name);
    files.iter().for_each(|(name, bytes)| fs::write(scratch.file(name), bytes).unwrap());
    scratch
}

/// Names and contents.
type Files<'a> = Vec<(&'a str, Vec<u8>)>;

const NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

#[test]
fn a_folder_may_mix_plain_and_compressed() {
    let labels = idx(&[2], &[3, 1]);
    // Names lie: the content decides.
    let files = [
        ("train-images-idx3-ubyte", gzip(&images())),
        ("train-labels-idx1-ubyte.gz", labels.clone()),
        ("t10k-images-idx3-ubyte.gz", gzip(&idx(&[1, 2, 3], &[255; 6]))),
        ("t10k-labels-idx1-ubyte", idx(&[1], &[8])),
    ];
    let (train, test) = mnist::<f64>(&folder("mixed", &files).0).unwrap();
    assert_eq!((train.len(), train.width(), train.labels()), (2, 6, Some(&[3, 1][..])));
    assert_eq!((test.len(), test.classes(), test.labels()), (1, 10, Some(&[8][..])));
    assert_eq!(test.rows(), array![[1.0; 6]]);
}

#[test]
fn a_bad_folder_is_named() {
    let labels = idx(&[2], &[3, 1]);
    let good = [images(), labels.clone(), images(), labels.clone()];
    let error = |name: &str, change: &dyn Fn(&mut Files)| {
        let mut files: Vec<_> = NAMES.into_iter().zip(good.clone()).collect();
        change(&mut files);
        let dir = folder(name, &files);
        let error = mnist::<f32>(&dir.0).unwrap_err();
        (error.to_string().replace(&format!("{}{}", dir.0.display(), std::path::MAIN_SEPARATOR), "DIR/"), error)
    };

    let (said, kind) = error("missing", &|files| drop(files.remove(3)));
    assert!(
        said.starts_with(
            "cannot open DIR/t10k-labels-idx1-ubyte: there is neither this file nor DIR/t10k-labels-idx1-ubyte.gz; \
             the four files of MNIST can be had from https://"
        ),
        "{said}"
    );
    assert!(matches!(kind, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound));

    assert_eq!(
        error("count", &|files| files[1].1 = idx(&[1], &[3])).0,
        "labels in DIR/train-labels-idx1-ubyte (rows in DIR/train-images-idx3-ubyte): expected 2, found 1"
    );
    assert_eq!(
        error("swapped", &|files| files[0].1 = labels.clone()).0,
        "DIR/train-images-idx3-ubyte, byte 3: expected images, of 3 dimensions, found 1"
    );
    assert_eq!(
        error("pixels", &|files| files[2].1 = idx(&[2, 1, 2], &[0; 4])).0,
        "pixels of a test image (of a training image): expected 6, found 2"
    );
    assert_eq!(
        error("cut", &|files| files[2].1.truncate(20)).0,
        "DIR/t10k-images-idx3-ubyte, byte 20: expected 12 values, found the end after 4"
    );
    let (said, _) = error("gzip", &|files| files[3].1 = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    assert!(said.starts_with("DIR/t10k-labels-idx1-ubyte, byte 0: expected gzip data, found a defect: "), "{said}");
}

#[test]
fn a_folder_is_no_file() {
    let dir = folder("none", &[]);
    for (path, action) in [(dir.file("absent"), "open"), (dir.0.clone(), "read")] {
        match Idx::open(&path).unwrap_err() {
            Error::Io { path: named, action: doing, .. } => assert_eq!((named, doing), (path, action)),
            other => panic!("expected an error of the operating system, found {other}"),
        }
    }
}

/// Counts, labels and sums of pixels as NumPy finds them in the files.
#[test]
#[ignore = "needs MNIST: GRADUS_MNIST=DIR"]
fn mnist_is_read_right() {
    let (train, test) = mnist::<f32>(mnist_folder()).unwrap();
    let pixels = |data: &Dataset| data.rows().iter().map(|&x| (f64::from(x) * 255.0).round() as u64).sum::<u64>();
    let counts = |data: &Dataset| {
        let mut counts = [0; 10];
        data.labels().unwrap().iter().for_each(|&label| counts[label] += 1);
        counts
    };
    assert_eq!((train.len(), train.width(), train.classes()), (60_000, 784, 10));
    assert_eq!((test.len(), test.width(), test.classes()), (10_000, 784, 10));
    assert_eq!(train.labels().unwrap()[..5], [5, 0, 4, 1, 9]);
    assert_eq!(test.labels().unwrap()[..5], [7, 2, 1, 0, 4]);
    assert_eq!((pixels(&train), pixels(&test)), (1_567_298_545, 264_923_200));
    assert_eq!(counts(&train), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    assert_eq!(counts(&test), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    assert!(train.rows().iter().all(|x| (0.0..=1.0).contains(x)));
}
