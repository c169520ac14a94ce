//! A sampler that learns: the tree-structured Parzen estimator (Bergstra et al. 2011).

use super::Study;
use super::space::{Dimension, Point, Space, stream, unit};
use super::study::rank;
use super::trial::{Failure, Trial};
use crate::error::Error;
use crate::rng::Generator;

/// So many points are drawn from the space before there is anything to learn from.
const STARTUP: usize = 10;

/// Points proposed at once. Each is drawn from what was known before the first of them, so a batch can run in
/// parallel; and it is always as large, so that the number of threads changes nothing.
const BATCH: usize = 4;

/// The share of trials that count as good, but at most [`GOOD_MOST`].
const GOOD_SHARE: f64 = 0.15;
const GOOD_MOST: usize = 25;

/// Candidates drawn for each value.
const CANDIDATES: usize = 24;

impl Study {
    /// Like [`random`](Self::random), but with points drawn where good trials are denser than bad ones: the
    /// tree-structured Parzen estimator, each dimension for itself. It pays from some thirty trials on.
    ///
    /// The trials so far are parted into good (the best 15 %, at most 25) and bad (the others, failed ones among
    /// them). With `l(u)` and `g(u)` their densities over a dimension (a mixture of one bump a trial, as wide as the
    /// gap to its neighbours, and the even distribution), each value is the one with the largest `l / g` among
    /// 24 draws from `l`. The bumps are logistic rather than normal, since these can be cut off at the ends of a range
    /// in closed form. The first ten trials are random; later ones are proposed in fours, each four from what was
    /// finished before it, so that threads and processes change nothing.
    ///
    /// # Errors
    /// As [`random`](Self::random).
    pub fn tpe<O>(&mut self, trials: usize, objective: O) -> Result<(), Error>
    where
        O: Fn(&mut Trial) -> Result<f64, Failure> + Sync,
    {
        let progress = self.bar(trials);
        let end = self.next + trials;
        while self.next < end {
            let missing = STARTUP.saturating_sub(self.trials().len());
            let batch = if missing > 0 { missing } else { BATCH }.min(end - self.next);
            let model = (missing == 0).then(|| self.model());
            let jobs = (self.next..self.next + batch).map(|number| {
                let point = match &model {
                    None => self.space.sample(self.seed, number),
                    Some(model) => model.propose(&self.space, self.seed, number),
                };
                self.job(number, point)
            });
            self.run(jobs.collect(), &progress, &objective)?;
            self.next += batch;
        }
        Ok(())
    }

    /// What the trials so far say.
    fn model(&self) -> Model {
        let ranked = rank(self.trials(), self.direction);
        let count = ((GOOD_SHARE * ranked.len() as f64).ceil() as usize).min(GOOD_MOST);
        let good: Vec<Point> = ranked[..count].iter().map(|trial| trial.point.clone()).collect();
        let is_good = |number: usize| ranked[..count].iter().any(|trial| trial.number == number);
        let bad = self.trials().into_iter().filter(|trial| !is_good(trial.number));
        Model { good, bad: bad.map(|trial| trial.point.clone()).collect() }
    }
}

struct Model {
    good: Vec<Point>,
    bad: Vec<Point>,
}

impl Model {
    fn propose(&self, space: &Space, seed: u64, number: usize) -> Point {
        space.point(|name, dimension| {
            let mut rng = stream(seed, number, name);
            let places = |points: &[Point]| {
                let values = points.iter().filter_map(|point| point.get(name));
                values.filter_map(|value| dimension.place(value)).collect::<Vec<f64>>()
            };
            let (good, bad) = (places(&self.good), places(&self.bad));
            dimension.value(match dimension {
                Dimension::Choice(options) => best_option(&good, &bad, options.len(), &mut rng),
                _ => best_place(&Parzen::new(good), &Parzen::new(bad), &mut rng),
            })
        })
    }
}

/// The best of the candidates; of equal ones the first.
fn best_place(good: &Parzen, bad: &Parzen, rng: &mut Generator) -> f64 {
    let candidates = (0..CANDIDATES).map(|_| good.sample(rng));
    let rated = candidates.map(|u| (u, good.density(u) / bad.density(u)));
    rated.reduce(|best, next| if next.1 > best.1 { next } else { best }).map_or(0.5, |best| best.0)
}

/// Options by their counts, each counted once more than it came.
fn best_option(good: &[f64], bad: &[f64], options: usize, rng: &mut Generator) -> f64 {
    let counts = |places: &[f64]| {
        let mut counts = vec![1.0; options];
        places.iter().for_each(|&u| counts[((u * options as f64) as usize).min(options - 1)] += 1.0);
        counts
    };
    let (good, bad) = (counts(good), counts(bad));
    let total: f64 = good.iter().sum();
    let draw = |rng: &mut Generator| {
        let at = unit(rng) * total;
        let mut sum = 0.0;
        let passes = |count: &f64| {
            sum += count;
            at < sum
        };
        good.iter().position(passes).unwrap_or(options - 1)
    };
    let rated = (0..CANDIDATES).map(|_| draw(rng)).map(|option| (option, good[option] / bad[option]));
    let best = rated.reduce(|best, next| if next.1 > best.1 { next } else { best }).map_or(0, |best| best.0);
    (best as f64 + 0.5) / options as f64
}

/// A density over `[0, 1]`: the even one, and a logistic bump at each place, cut off at both ends.
struct Parzen {
    /// Centre and scale.
    bumps: Vec<(f64, f64)>,
}

impl Parzen {
    fn new(mut places: Vec<f64>) -> Self {
        places.sort_unstable_by(f64::total_cmp);
        let narrowest = 1.0 / (1.0 + places.len() as f64).min(100.0);
        let bump = |i: usize| {
            let below = if i == 0 { 0.0 } else { places[i - 1] };
            let above = places.get(i + 1).copied().unwrap_or(1.0);
            let width = (places[i] - below).max(above - places[i]).clamp(narrowest, 1.0);
            // A logistic distribution of this scale has the standard deviation `width`.
            (places[i], width * 3.0f64.sqrt() / std::f64::consts::PI)
        };
        Self { bumps: (0..places.len()).map(bump).collect() }
    }

    /// `1/(n+1) (1 + Σ f((u - c) / s) / s / (F(1) - F(0)))`, `F` the logistic function, `f = F (1 - F)` its slope.
    fn density(&self, u: f64) -> f64 {
        let bump = |&(centre, scale): &(f64, f64)| {
            let (from, to) = ends(centre, scale);
            let at = logistic((u - centre) / scale);
            at * (1.0 - at) / scale / (to - from)
        };
        (1.0 + self.bumps.iter().map(bump).sum::<f64>()) / (1.0 + self.bumps.len() as f64)
    }

    fn sample(&self, rng: &mut Generator) -> f64 {
        let which = (unit(rng) * (1.0 + self.bumps.len() as f64)) as usize;
        let u = unit(rng);
        let Some(&(centre, scale)) = self.bumps.get(which) else { return u };
        let (from, to) = ends(centre, scale);
        let at = from * (1.0 - u) + to * u;
        (centre + scale * (at / (1.0 - at)).ln()).clamp(0.0, 1.0)
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// A bump's distribution function at 0 and at 1.
fn ends(centre: f64, scale: f64) -> (f64, f64) {
    (logistic(-centre / scale), logistic((1.0 - centre) / scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_density_integrates_to_one_and_its_draws_follow_it() {
        let parzen = Parzen::new(vec![0.05, 0.2, 0.25, 0.9]);
        let steps = 10_000;
        let half: f64 = (0..steps / 2).map(|i| parzen.density((i as f64 + 0.5) / steps as f64)).sum();
        let all: f64 = (0..steps).map(|i| parzen.density((i as f64 + 0.5) / steps as f64)).sum();
        assert!((all / steps as f64 - 1.0).abs() < 1e-6, "{all}");
        let mut rng = crate::rng(1);
        let draws = 20_000;
        let below = (0..draws).filter(|_| parzen.sample(&mut rng) < 0.5).count() as f64 / draws as f64;
        let expected = half / all;
        let deviation = (expected * (1.0 - expected) / draws as f64).sqrt();
        assert!((below - expected).abs() < 4.0 * deviation, "{below} of {expected}");
    }
}
