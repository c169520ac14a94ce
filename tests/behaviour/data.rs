//! Data sets: what is checked when they are made, and where the rows go.

use std::collections::BTreeSet;

use gradus::data::{Dataset, Normalizer, Targets};
use gradus::ndarray::{Array2, ShapeBuilder, array, s};
use gradus::{Digits, Error, rng};

use crate::support::expect_close;

/// Row `i` is `[i, 10 i]`, its class `i mod 3`.
fn numbered(count: usize) -> Dataset<f64> {
    let rows = Array2::from_shape_fn((count, 2), |(i, j)| (i * [1, 10][j]) as f64);
    Dataset::classification(rows, (0..count).map(|i| i % 3).collect(), 3).unwrap()
}

/// The same with dense targets `[-i]`.
fn dense(count: usize) -> Dataset<f64> {
    let rows = numbered(count).into_parts().0;
    let targets = rows.slice(s![.., ..1]).mapv(|x| -x);
    Dataset::regression(rows, targets).unwrap()
}

/// The numbers of the rows, each checked to have its own second column and target.
fn numbers(data: &Dataset<f64>) -> Vec<usize> {
    for (i, row) in data.rows().rows().into_iter().enumerate() {
        assert_eq!(row[1], 10.0 * row[0]);
        match data.targets() {
            Targets::Labels { labels, classes } => assert_eq!((labels[i], *classes), (row[0] as usize % 3, 3)),
            Targets::Dense(values) => assert_eq!(values[[i, 0]], -row[0]),
        }
    }
    data.rows().column(0).iter().map(|&x| x as usize).collect()
}

fn message<T>(result: Result<T, Error>) -> String {
    result.err().expect("an error was expected").to_string()
}

#[test]
fn bad_data_is_named() {
    let labels = |rows, labels, classes| message(Dataset::<f64>::classification(rows, labels, classes));
    let dense = |rows, targets| message(Dataset::<f64>::regression(rows, targets));

    assert_eq!(labels(Array2::zeros((0, 2)), vec![], 2), "rows: expected at least one, found none");
    assert_eq!(labels(Array2::zeros((2, 0)), vec![0, 0], 2), "columns of the rows: expected at least one, found none");
    assert_eq!(labels(Array2::zeros((2, 1)), vec![0, 0], 0), "classes: expected at least one, found none");
    assert_eq!(labels(Array2::zeros((2, 1)), vec![0], 2), "targets: expected 2, found 1");
    assert_eq!(
        labels(Array2::zeros((3, 1)), vec![1, 2, 3], 3),
        "row 2: expected a label below 3 (the number of classes), found 3"
    );
    assert_eq!(
        labels(array![[0.0, 0.0], [0.0, f64::NAN]], vec![0, 0], 1),
        "rows, row 1, column 1: expected a finite number, found NaN"
    );
    assert_eq!(dense(array![[1.0], [2.0]], array![[1.0], [2.0], [3.0]]), "targets: expected 2, found 3");
    assert_eq!(
        dense(array![[1.0], [2.0]], array![[1.0, 2.0], [f64::NEG_INFINITY, 0.0]]),
        "targets, row 1, column 0: expected a finite number, found -inf"
    );
    assert_eq!(
        dense(array![[1.0], [2.0]], Array2::zeros((2, 0))),
        "columns of the targets: expected at least one, found none"
    );
}

#[test]
fn other_layouts_become_row_major() {
    let by_column = Array2::from_shape_vec((2, 3).f(), vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]).unwrap();
    let mut backwards = array![[6.0], [5.0]];
    backwards.invert_axis(gradus::ndarray::Axis(0));
    let data = Dataset::<f64>::regression(by_column, backwards).unwrap();
    assert_eq!(data.rows().as_slice(), Some(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
    let Targets::Dense(targets) = data.targets() else { panic!("dense targets became {:?}", data.targets()) };
    assert_eq!(targets.as_slice(), Some(&[5.0, 6.0][..]));
}

#[test]
fn a_data_set_prints_its_counts() {
    assert_eq!(format!("{:?}", numbered(4)), "Dataset { rows: 4, columns: 2, classes: 3 }");
    assert_eq!(format!("{:?}", dense(4)), "Dataset { rows: 4, columns: 2, outputs: 1 }");
}

#[test]
fn a_split_holds_back_the_first_rows_and_loses_none() {
    for data in [numbered(10), dense(10)] {
        let (train, held_back) = data.split(0.3).unwrap();
        assert_eq!(numbers(&held_back), [0, 1, 2]);
        assert_eq!(numbers(&train), [3, 4, 5, 6, 7, 8, 9]);
    }
    // 0.29 · 100 is 28.999999999999996 in floating point.
    assert_eq!(numbered(100).split(0.29).unwrap().1.len(), 29);
}

#[test]
fn a_split_refuses_what_leaves_a_part_empty() {
    for fraction in [0.0, 1.0, -0.1, 1.5, f64::NAN, f64::INFINITY] {
        let expected = format!("fraction_held_back: expected a number between 0 and 1, found {fraction}");
        assert_eq!(message(numbered(10).split(fraction)), expected);
        assert_eq!(message(numbered(10).stratified_split(fraction, &mut rng(1))), expected);
    }
    assert_eq!(
        message(numbered(10).split(0.01)),
        "held-back rows (0.01 of 10 held back): expected at least one, found none"
    );
    assert_eq!(
        message(numbered(10).split(0.99)),
        "training rows (0.99 of 10 held back): expected at least one, found none"
    );
    assert_eq!(numbered(2).split(0.5).map(|(train, back)| (train.len(), back.len())).unwrap(), (1, 1));
    assert!(numbered(1).split(0.5).is_err());
}

#[test]
fn a_shuffle_keeps_every_row_with_its_target() {
    for data in [numbered(100), dense(100)] {
        let shuffled = numbers(&data.clone().shuffle(&mut rng(1)));
        assert_ne!(shuffled, numbers(&data));
        assert_eq!(shuffled, numbers(&data.clone().shuffle(&mut rng(1))));
        assert_ne!(shuffled, numbers(&data.clone().shuffle(&mut rng(2))));
        assert_eq!(shuffled.into_iter().collect::<BTreeSet<_>>(), (0..100).collect());
    }
}

#[test]
fn a_clone_shares_the_rows_and_keeps_them() {
    let data = numbered(100);
    let clone = data.clone();
    assert_eq!((clone.rows().as_ptr(), clone.len()), (data.rows().as_ptr(), data.len()));
    let (mut rows, _) = data.shuffle(&mut rng(1)).into_parts();
    rows.fill(0.0);
    let (mut rows, _) = clone.clone().into_parts();
    rows.fill(0.0);
    assert_eq!(numbers(&clone), (0..100).collect::<Vec<_>>());
}

#[test]
fn taken_and_selected_rows_are_the_named_ones() {
    for data in [numbered(5), dense(5)] {
        assert_eq!(numbers(&data.take(2).unwrap()), [0, 1]);
        assert_eq!(numbers(&data.take(5).unwrap()), [0, 1, 2, 3, 4]);
        assert_eq!(message(data.take(0)), "rows to take: expected 1 to 5, found 0");
        assert_eq!(message(data.take(6)), "rows to take: expected 1 to 5, found 6");
        assert_eq!(numbers(&data.select(&[4, 0, 4]).unwrap()), [4, 0, 4]);
        assert_eq!(message(data.select(&[])), "rows to select: expected at least one, found none");
    }
}

#[test]
#[should_panic(expected = "row 5 of a data set of 5 rows")]
fn a_selection_beyond_the_last_row_panics() {
    let _ = numbered(5).select(&[0, 5]);
}

#[test]
fn batches_cover_every_row_once() {
    for data in [numbered(10), dense(10)] {
        let batches = data.batches(4).unwrap();
        assert_eq!(batches.len(), 3);
        let batches: Vec<_> = batches.map(|batch| Dataset::new(batch.rows, batch.targets).unwrap()).collect();
        assert_eq!(batches.iter().map(Dataset::len).collect::<Vec<_>>(), [4, 4, 2]);
        assert_eq!(batches.iter().flat_map(numbers).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());

        assert_eq!(data.batches(5).unwrap().len(), 2);
        assert_eq!(data.batches(usize::MAX).unwrap().count(), 1);
        assert_eq!(message(data.batches(0)), "batch_size: expected at least 1, found 0");
    }
}

#[test]
fn normalized_columns_have_mean_0_and_variance_1() {
    let digits = Digits::load::<f64>().unwrap();
    let normalizer = Normalizer::of(&digits);
    let constant = |column| normalizer.mean[column] == 0.0;
    let rows = digits.normalize(&normalizer).unwrap().into_parts().0;
    for (i, column) in rows.columns().into_iter().enumerate() {
        let variance = column.mapv(|x| x * x).mean().unwrap();
        expect_close(format_args!("mean of column {i}"), column.mean().unwrap(), 0.0, 1e-14);
        expect_close(format_args!("variance of column {i}"), variance, f64::from(!constant(i)), 1e-12);
    }
    // Corner pixels that nobody touches.
    assert_eq!((0..64).filter(|&i| constant(i)).collect::<Vec<_>>(), [0, 32, 39]);
}

#[test]
fn a_normalizer_survives_constants_and_offsets() {
    // 0.1 is no finite sum of powers of two: the mean of a thousand of it need not be it.
    let rows = Array2::from_shape_fn((1000, 2), |(i, j)| [0.1, 1e9 + (i % 2) as f64][j]);
    let data = Dataset::<f64>::classification(rows, vec![0; 1000], 1).unwrap();
    let normalizer = Normalizer::of(&data);
    assert_eq!((&normalizer.mean[..], &normalizer.deviation[..]), (&[0.1, 1e9 + 0.5][..], &[1.0, 0.5][..]));
    assert_eq!(data.normalize(&normalizer).unwrap().rows().slice(s![..2, ..]), array![[0.0, -1.0], [0.0, 1.0]]);
}

#[test]
fn a_normalizer_refuses_what_does_not_fit() {
    let normalizer = Normalizer::of(&numbered(5));
    let wider = Dataset::<f64>::regression(Array2::zeros((2, 3)), Array2::zeros((2, 1))).unwrap();
    assert_eq!(
        message(wider.normalize(&normalizer)),
        "means of the normalizer (columns of the rows): expected 3, found 2"
    );
    let far = Dataset::<f32>::regression(array![[f32::MAX, 0.0]], array![[0.0]]).unwrap();
    let narrow = Normalizer { mean: vec![0.0; 2], deviation: vec![0.1; 2] };
    assert_eq!(message(far.normalize(&narrow)), "rows, row 0, column 0: expected a finite number, found inf");
}

#[test]
fn each_row_is_judged_in_one_fold() {
    for data in [numbered(11), dense(11)] {
        let folds: Vec<_> = data.k_fold(3).unwrap().collect();
        let judged: Vec<_> = folds.iter().map(|(_, validation)| numbers(validation)).collect();
        assert_eq!(judged, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9, 10]]);
        for (train, validation) in &folds {
            let rest: Vec<_> = (0..11).filter(|i| !numbers(validation).contains(i)).collect();
            assert_eq!(numbers(train), rest);
        }
    }
    for k in [0, 1, 12] {
        let expected = format!("folds: expected 2 to 11 (the number of rows), found {k}");
        assert_eq!(message(numbered(11).k_fold(k)), expected);
        assert_eq!(message(numbered(11).stratified_k_fold(k)), expected);
    }
}

fn counts(data: &Dataset<f32>) -> [usize; 10] {
    let mut counts = [0; 10];
    data.labels().unwrap().iter().for_each(|&label| counts[label] += 1);
    counts
}

const DIGITS: [usize; 10] = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180];

#[test]
fn stratified_folds_have_every_class_in_its_share() {
    let digits = Digits::load::<f32>().unwrap();
    let (mut judged, mut folds) = ([0; 10], 0);
    for (train, validation) in digits.stratified_k_fold(7).unwrap() {
        let (there, rest) = (counts(&validation), counts(&train));
        for class in 0..10 {
            assert!((DIGITS[class] / 7..=DIGITS[class].div_ceil(7)).contains(&there[class]), "{there:?}");
            assert_eq!(there[class] + rest[class], DIGITS[class]);
            judged[class] += there[class];
        }
        assert!((256..=257).contains(&validation.len()));
        folds += 1;
    }
    assert_eq!((judged, folds), (DIGITS, 7));
    assert_eq!(message(dense(6).stratified_k_fold(2)), "stratified folds: expected class labels, found dense targets");
}

#[test]
fn a_stratified_split_has_every_class_in_its_share() {
    let (train, held_back) = Digits::load::<f32>().unwrap().stratified_split(0.1, &mut rng(1)).unwrap();
    assert_eq!(counts(&held_back).iter().sum::<usize>(), 180);
    for (class, count) in DIGITS.into_iter().enumerate() {
        assert_eq!(counts(&train)[class] + counts(&held_back)[class], count);
        assert!((17..=19).contains(&counts(&held_back)[class]), "{:?}", counts(&held_back));
    }

    let parts = |seed| {
        let (train, held_back) = numbered(60).stratified_split(0.5, &mut rng(seed)).unwrap();
        (numbers(&train), numbers(&held_back))
    };
    assert_eq!(parts(1), parts(1));
    assert_ne!(parts(1), parts(2));
    let (train, held_back) = parts(1);
    assert!(train.is_sorted() && held_back.is_sorted());
    assert_eq!(train.into_iter().chain(held_back).collect::<BTreeSet<_>>(), (0..60).collect());
    assert_eq!(
        message(dense(6).stratified_split(0.5, &mut rng(1))),
        "a stratified split: expected class labels, found dense targets"
    );
    // Classes without a row, and labels too large to count up to, cost nothing.
    let sparse = Dataset::<f32>::classification(Array2::zeros((4, 1)), vec![3, usize::MAX - 1, 3, 3], usize::MAX);
    assert_eq!(sparse.unwrap().stratified_split(0.5, &mut rng(1)).unwrap().1.len(), 2);
}

#[test]
fn the_digits_are_those_of_the_source() {
    let digits = Digits::load::<f32>().unwrap();
    assert_eq!(counts(&digits), DIGITS);
    assert_eq!(digits.rows().iter().map(|x| (x * 16.0) as u64).sum::<u64>(), 561_718);
    assert!(digits.rows().iter().all(|x| (0.0..=1.0).contains(x) && (x * 16.0).fract() == 0.0));
    #[rustfmt::skip]
    let first = array![
        [0., 0.,  5., 13.,  9.,  1.,  0., 0.], [0., 0., 13., 15., 10., 15.,  5., 0.],
        [0., 3., 15.,  2.,  0., 11.,  8., 0.], [0., 4., 12.,  0.,  0.,  8.,  8., 0.],
        [0., 5.,  8.,  0.,  0.,  9.,  8., 0.], [0., 4., 11.,  0.,  1., 12.,  7., 0.],
        [0., 2., 14.,  5., 10., 12.,  0., 0.], [0., 0.,  6., 13., 10.,  0.,  0., 0.],
    ];
    assert_eq!(digits.rows().row(0).mapv(|x| 16.0 * x).to_vec(), first.into_raw_vec_and_offset().0);
    assert_eq!(digits.rows().mapv(f64::from), Digits::load::<f64>().unwrap().rows());
}

#[test]
fn data_sets_are_plain_values() {
    fn has_autotraits<T: Send + Sync + Unpin + std::panic::UnwindSafe>() {}
    has_autotraits::<Dataset<f32>>();
    has_autotraits::<gradus::data::Batches<'_, f32>>();
    has_autotraits::<gradus::data::KFold<'_, f32>>();
    has_autotraits::<gradus::data::Idx>();
}
