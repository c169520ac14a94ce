//! Many answers averaged: an ensemble of networks, and the ensemble inside one network with Dropout.

use ndarray::{Array2, ArrayRef2};
use rand::Rng;

use super::Sequential;
use super::predict::probabilities;
use crate::data::{Dataset, check_finite};
use crate::error::{Error, require};
use crate::layer::{Layer, Pass};
use crate::loss::check_targets;
use crate::metric;
use crate::rng::fork;
use crate::scalar::Scalar;

/// Networks that were trained apart and answer together, by the mean of their probabilities.
///
/// Members that err differently correct each other: an ensemble is nearly always better than its mean member, by more
/// the less they were trained on. The members' inputs and outputs have to agree, their insides need not.
///
/// ```
/// use gradus::prelude::*;
/// let (train, test) = Digits::load()?.shuffle(&mut gradus::rng(1)).split(0.5)?;
/// let mut members = Vec::new();
/// for seed in 0..3 {
///     let mut net = Sequential::<f32>::mlp(64, &[30], 10).build(&mut gradus::rng(seed))?;
///     Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(5).seed(seed).fit(&mut net, &train)?;
///     members.push(net);
/// }
/// let worst = members.iter().map(|net| net.accuracy(&test).unwrap()).fold(1.0, f64::min);
/// let ensemble = Ensemble::new(members)?;
/// assert!(ensemble.accuracy(&test)? > worst);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Ensemble<F: Scalar = f32> {
    members: Vec<Sequential<F>>,
}

impl<F: Scalar> Ensemble<F> {
    /// An ensemble of these networks.
    ///
    /// # Errors
    /// No members; members whose inputs or outputs are not as wide as those of the first.
    pub fn new(members: Vec<Sequential<F>>) -> Result<Self, Error> {
        let mut members = members.into_iter();
        let first = members.next().ok_or_else(|| Error::empty("members of an ensemble"))?;
        let mut ensemble = Self { members: vec![first] };
        members.try_for_each(|member| ensemble.push(member))?;
        Ok(ensemble)
    }

    /// Adds a member.
    ///
    /// # Errors
    /// Its inputs or outputs are not as wide as those of the others.
    pub fn push(&mut self, member: Sequential<F>) -> Result<(), Error> {
        let first = &self.members[0];
        let widths = [("inputs", first.inputs(), member.inputs()), ("outputs", first.outputs(), member.outputs())];
        for (which, expected, found) in widths {
            if expected != found {
                let what = format!("{which} of member {} of an ensemble", self.members.len());
                return Err(Error::invalid(what, expected, found));
            }
        }
        self.members.push(member);
        Ok(())
    }

    /// The networks.
    pub fn members(&self) -> &[Sequential<F>] {
        &self.members
    }

    /// Mean outputs of the members, `(N, in) -> (N, out)`: for regression. For classes there is
    /// [`predict_probabilities`](Self::predict_probabilities).
    ///
    /// # Errors
    /// Rows of another width than the members', or with a value that is NaN or infinite.
    pub fn predict(&self, rows: &ArrayRef2<F>) -> Result<Array2<F>, Error> {
        self.mean(|member| member.predict(rows))
    }

    /// Mean probabilities of the members, `(N, in) -> (N, out)`; of a single output column that of class 1.
    ///
    /// # Errors
    /// Rows of another width than the members', or with a value that is NaN or infinite.
    pub fn predict_probabilities(&self, rows: &ArrayRef2<F>) -> Result<Array2<F>, Error> {
        self.mean(|member| member.predict_probabilities(rows))
    }

    fn mean(&self, of: impl Fn(&Sequential<F>) -> Result<Array2<F>, Error>) -> Result<Array2<F>, Error> {
        let mut sum = of(&self.members[0])?;
        for member in &self.members[1..] {
            sum += &of(member)?;
        }
        Ok(sum / F::of(self.members.len() as f64))
    }

    /// The most likely class of every row, by the mean probabilities.
    ///
    /// # Errors
    /// Rows of another width than the members', or with a value that is NaN or infinite.
    pub fn classify(&self, rows: &ArrayRef2<F>) -> Result<Vec<usize>, Error> {
        metric::certain_classes(&self.scores(rows)?)
    }

    /// Mean probabilities, with a single column below zero where class 0 is the likelier, as logits are.
    fn scores(&self, rows: &ArrayRef2<F>) -> Result<Array2<F>, Error> {
        let mut scores = self.predict_probabilities(rows)?;
        if scores.ncols() == 1 {
            scores -= F::of(0.5);
        }
        Ok(scores)
    }

    /// The share of rows whose most likely class is the right one.
    ///
    /// # Errors
    /// Rows or targets of another width than the members', targets that are neither labels nor one-hot rows.
    pub fn accuracy(&self, data: &Dataset<F>) -> Result<f64, Error> {
        check_targets(self.members[0].outputs(), data.targets())?;
        metric::accuracy(&self.scores(data.rows())?, data.targets())
    }
}

impl<F: Scalar> Sequential<F> {
    /// Monte Carlo dropout: mean probabilities over random passes, each with masks of its own drawn from `rng`,
    /// `(N, in) -> (N, out)`; of a single output column that of class 1. (For values rather than classes, average
    /// [`infer_random`](Layer::infer_random).)
    ///
    /// Every mask is a network of its own that shares its weights with the others; plain inference,
    /// [`predict_probabilities`](Self::predict_probabilities), approximates the mean over all of them in one pass.
    /// Gal & Ghahramani, *Dropout as a Bayesian Approximation*, 2016.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// let mut rng = gradus::rng(1);
    /// let digits = Digits::load::<f32>()?.take(50)?;
    /// let net = Sequential::input(64).affine(100, Init::He).relu().dropout(0.5).affine(10, Init::He).build(&mut rng)?;
    /// let one = net.predict_monte_carlo(digits.rows(), 1, &mut rng)?;
    /// let many = net.predict_monte_carlo(digits.rows(), 200, &mut rng)?;
    /// let plain = net.predict_probabilities(digits.rows())?;
    /// let distance = |a: &gradus::ndarray::Array2<f32>| (a - &plain).mapv(f32::abs).mean().unwrap();
    /// assert!(distance(&many) < 0.3 * distance(&one));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// No passes; those of [`predict`](Self::predict).
    pub fn predict_monte_carlo(
        &self,
        rows: &ArrayRef2<F>,
        passes: usize,
        rng: &mut impl Rng,
    ) -> Result<Array2<F>, Error> {
        require(passes > 0, "passes", "at least 1", passes)?;
        self.expect_width(rows.ncols())?;
        check_finite("rows", rows)?;
        let mut rng = fork(rng);
        let mut sum = Array2::zeros((rows.nrows(), self.outputs()));
        for _ in 0..passes {
            sum += &probabilities(self.infer_random(rows.as_standard_layout().into_owned(), &mut Pass::new(&mut rng)));
        }
        Ok(sum / F::of(passes as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::{Affine, Dropout, DropoutForm};
    use crate::rng::rng;
    use ndarray::{Array1, array};

    /// Gives these logits for every row.
    fn says(logits: [f64; 2]) -> Sequential<f64> {
        let affine = Affine::from_parts(Array2::zeros((3, 2)), Array1::from(logits.to_vec())).unwrap();
        Sequential::from_layers(3, vec![Box::new(affine)]).unwrap()
    }

    #[test]
    fn probabilities_are_averaged_not_logits() {
        // By logits class 1 would win, 12 to 5.
        let ensemble = Ensemble::new(vec![says([3.0, 0.0]), says([2.0, 0.0]), says([0.0, 12.0])]).unwrap();
        let p = |logit: f64| 1.0 / (1.0 + (-logit).exp());
        let expected = (p(3.0) + p(2.0) + p(-12.0)) / 3.0;
        let found = ensemble.predict_probabilities(&Array2::zeros((4, 3))).unwrap();
        assert!((&found - &array![[expected, 1.0 - expected]]).iter().all(|d| d.abs() < 1e-14), "{found}");
        assert_eq!(ensemble.classify(&Array2::zeros((4, 3))).unwrap(), [0; 4]);
        let data = Dataset::classification(Array2::zeros((4, 3)), vec![0, 0, 1, 0], 2).unwrap();
        assert_eq!(ensemble.accuracy(&data).unwrap(), 0.75);
    }

    /// Gives this one logit for every row.
    fn says_one(logit: f64) -> Sequential<f64> {
        let affine = Affine::from_parts(Array2::zeros((3, 1)), array![logit]).unwrap();
        Sequential::from_layers(3, vec![Box::new(affine)]).unwrap()
    }

    #[test]
    fn a_single_column_speaks_for_class_1() {
        let (rows, p) = (Array2::zeros((2, 3)), |logit: f64| 1.0 / (1.0 + (-logit).exp()));
        // By logits class 1 would win, 6 to -4.
        let ensemble = Ensemble::new([-2.0, -2.0, 6.0].map(says_one).into()).unwrap();
        let expected = (2.0 * p(-2.0) + p(6.0)) / 3.0;
        assert!(expected < 0.5);
        let near = |found: Array2<f64>, expected: f64| assert!((found - expected).iter().all(|d| d.abs() < 1e-15));
        near(ensemble.predict(&rows).unwrap(), 2.0 / 3.0);
        near(ensemble.predict_probabilities(&rows).unwrap(), expected);
        near(ensemble.members()[2].predict_probabilities(&rows).unwrap(), p(6.0));
        near(ensemble.members()[2].predict_monte_carlo(&rows, 3, &mut rng(1)).unwrap(), p(6.0));
        assert_eq!(ensemble.classify(&rows).unwrap(), [0, 0]);
        let data = Dataset::classification(rows, vec![0, 1], 2).unwrap();
        assert_eq!(ensemble.accuracy(&data).unwrap(), 0.5);
    }

    #[test]
    fn targets_have_to_fit() {
        let data = Dataset::classification(Array2::zeros((2, 3)), vec![0, 4], 5).unwrap();
        let error = Ensemble::new(vec![says([1.0, 0.0])]).unwrap().accuracy(&data).unwrap_err().to_string();
        assert!(error.contains("expected 5, found 2"), "{error}");
    }

    #[test]
    fn members_have_to_agree() {
        assert!(Ensemble::<f32>::new(Vec::new()).unwrap_err().to_string().contains("members of an ensemble"));
        let net = |inputs, outputs| Sequential::<f32>::mlp(inputs, &[2], outputs).build(&mut rng(1)).unwrap();
        let error = Ensemble::new(vec![net(4, 3), net(4, 3), net(4, 2)]).unwrap_err().to_string();
        assert_eq!(error, "outputs of member 2 of an ensemble: expected 3, found 2");
        let error = Ensemble::new(vec![net(4, 3), net(5, 3)]).unwrap_err().to_string();
        assert_eq!(error, "inputs of member 1 of an ensemble: expected 4, found 5");
    }

    #[test]
    fn random_passes_average_the_masks() {
        // One input, kept or dropped: the mean probability is the mean over two masks.
        for (form, kept) in [(DropoutForm::Inverted, 2.0), (DropoutForm::Book, 1.0)] {
            let dropout = Dropout::with_form(0.5, form).unwrap();
            let affine = Affine::from_parts(array![[4.0, 0.0]], array![-1.0, 0.0]).unwrap();
            let net = Sequential::from_layers(1, vec![Box::new(dropout), Box::new(affine)]).unwrap();
            let p = |logit: f64| 1.0 / (1.0 + (-logit).exp());
            let expected = 0.5 * (p(4.0 * kept - 1.0) + p(-1.0));
            let found = net.predict_monte_carlo(&array![[1.0]], 4000, &mut rng(5)).unwrap()[[0, 0]];
            let deviation = 0.5 * (p(4.0 * kept - 1.0) - p(-1.0)) / 4000_f64.sqrt();
            assert!((found - expected).abs() < 4.0 * deviation, "{form:?}: {found} for {expected}");
        }
        let net = says([0.0, 1.0]);
        assert!(net.predict_monte_carlo(&Array2::zeros((1, 3)), 0, &mut rng(1)).is_err());
        assert!(net.predict_monte_carlo(&Array2::zeros((1, 4)), 1, &mut rng(1)).is_err());
    }
}
