//! Parts to train on and parts to judge by.

use std::collections::BTreeMap;

use rand::Rng;

use crate::data::Dataset;
use crate::error::{Error, require};
use crate::rng::shuffle;
use crate::scalar::Scalar;

/// `(training, validation)` for each of `k` folds: every row is in the validation part of exactly
/// one. Made by [`Dataset::k_fold`] and [`Dataset::stratified_k_fold`].
#[derive(Debug, Clone)]
pub struct KFold<'a, F = f32> {
    data: &'a Dataset<F>,
    /// The fold in which each row is judged.
    fold: Vec<usize>,
    folds: usize,
    next: usize,
}

impl<F: Scalar> Dataset<F> {
    /// `k` folds of consecutive rows, as even as they can be: the first `N mod k` have one row more.
    /// Shuffle first unless the order is random already.
    ///
    /// ```
    /// use gradus::data::Digits;
    ///
    /// let digits = Digits::load::<f32>()?.shuffle(&mut gradus::rng(1));
    /// for (train, validation) in digits.k_fold(5)? {
    ///     assert_eq!(train.len() + validation.len(), 1797);
    ///     // ... fit a new network to `train`, judge it by `validation`
    /// }
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// A `k` that is not 2 to N.
    pub fn k_fold(&self, k: usize) -> Result<KFold<'_, F>, Error> {
        self.require_folds(k)?;
        let (size, longer) = (self.len() / k, self.len() % k);
        let fold = (0..k).flat_map(|fold| std::iter::repeat_n(fold, size + usize::from(fold < longer))).collect();
        Ok(KFold { data: self, fold, folds: k, next: 0 })
    }

    /// `k` folds in each of which every class has its share, and which are as even as they can be: the rows
    /// are dealt out one class after the other, each class in order. So two folds differ by at most one row of
    /// a class; a class of fewer than `k` rows is missing in some. Shuffle first unless the order is random
    /// already.
    ///
    /// ```
    /// # use gradus::{data::Dataset, ndarray::array};
    /// let rows = array![[0.], [1.], [2.], [3.], [4.], [5.]];
    /// let data = Dataset::<f32>::classification(rows, vec![0, 0, 0, 0, 1, 1], 2)?;
    /// for (_train, validation) in data.stratified_k_fold(2)? {
    ///     assert_eq!(validation.labels(), Some(&[0, 0, 1][..]));
    /// }
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// A `k` that is not 2 to N, targets that are not classes.
    pub fn stratified_k_fold(&self, k: usize) -> Result<KFold<'_, F>, Error> {
        self.require_folds(k)?;
        let mut fold = vec![0; self.len()];
        let classes = self.rows_by_class("stratified folds")?;
        for (turn, &row) in classes.values().flatten().enumerate() {
            fold[row] = turn % k;
        }
        Ok(KFold { data: self, fold, folds: k, next: 0 })
    }

    /// [`split`](Self::split) with every class in its share: `(training, held back)`, which rows of a class
    /// are held back left to chance, both parts in their order.
    ///
    /// `n = round(fraction_held_back · N)` rows are held back. Of a class of `c` rows these are `n · c / N`,
    /// rounded down, and one more for those classes that lose most by it.
    ///
    /// ```
    /// # use gradus::{data::Dataset, ndarray::Array2};
    /// let labels: Vec<usize> = (0..100).map(|i| usize::from(i >= 90)).collect(); // 90 of class 0, 10 of class 1
    /// let data = Dataset::<f32>::classification(Array2::zeros((100, 3)), labels, 2)?;
    /// let (_train, held_back) = data.stratified_split(0.2, &mut gradus::rng(1))?;
    /// assert_eq!(held_back.labels().unwrap().iter().sum::<usize>(), 2); // of 20
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`split`](Self::split), targets that are not classes.
    pub fn stratified_split(self, fraction_held_back: f64, rng: &mut impl Rng) -> Result<(Self, Self), Error> {
        let held_back = self.held_back(fraction_held_back)?;
        let mut classes = self.rows_by_class("a stratified split")?;
        let sizes: Vec<usize> = classes.values().map(Vec::len).collect();

        let mut is_held_back = vec![false; self.len()];
        for (rows, share) in classes.values_mut().zip(shares(held_back, &sizes)) {
            shuffle(rows, rng);
            rows[..share].iter().for_each(|&row| is_held_back[row] = true);
        }
        let (back, train): (Vec<_>, Vec<_>) = (0..self.len()).partition(|&row| is_held_back[row]);
        Ok((self.gathered(&train), self.gathered(&back)))
    }

    fn require_folds(&self, k: usize) -> Result<(), Error> {
        let expected = format!("2 to {} (the number of rows)", self.len());
        require(k >= 2 && k <= self.len(), "folds", &expected, k)
    }

    /// The rows of each class that there is, in order.
    fn rows_by_class(&self, what: &str) -> Result<BTreeMap<usize, Vec<usize>>, Error> {
        let Some(labels) = self.labels() else {
            return Err(Error::invalid(what, "class labels", self.targets.kind()));
        };
        let mut classes = BTreeMap::<_, Vec<_>>::new();
        for (row, &label) in labels.iter().enumerate() {
            classes.entry(label).or_default().push(row);
        }
        Ok(classes)
    }
}

/// `total` shared out in proportion to `sizes`: rounded down, the rest to the largest remainders.
fn shares(total: usize, sizes: &[usize]) -> Vec<usize> {
    let all: u128 = sizes.iter().map(|&size| size as u128).sum();
    let exact = |size: usize| total as u128 * size as u128;
    let mut shares: Vec<usize> = sizes.iter().map(|&size| (exact(size) / all) as usize).collect();

    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|&i| std::cmp::Reverse(exact(sizes[i]) % all));
    let rest = total - shares.iter().sum::<usize>();
    by_remainder[..rest].iter().for_each(|&i| shares[i] += 1);
    shares
}

impl<F: Scalar> Iterator for KFold<'_, F> {
    type Item = (Dataset<F>, Dataset<F>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.folds {
            return None;
        }
        let rows = 0..self.fold.len();
        let (validation, train): (Vec<_>, Vec<_>) = rows.partition(|&row| self.fold[row] == self.next);
        self.next += 1;
        Some((self.data.gathered(&train), self.data.gathered(&validation)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.folds - self.next;
        (left, Some(left))
    }
}

impl<F: Scalar> ExactSizeIterator for KFold<'_, F> {}
impl<F: Scalar> std::iter::FusedIterator for KFold<'_, F> {}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn shares_add_up_and_keep_the_proportions() {
        assert_eq!(shares(20, &[90, 10]), [18, 2]);
        // Exactly 1.5, 1.5 and 2: the first of equal remainders gets the rest.
        assert_eq!(shares(5, &[3, 3, 4]), [2, 1, 2]);
        assert_eq!(shares(1, &[1, 5, 2]), [0, 1, 0]);
        assert_eq!(shares(7, &[1, 5, 2]), [1, 4, 2]);
    }
}
