//! Runs that outlive their process.

use std::path::{Path, PathBuf};
use std::slice;

use super::Trainer;
use crate::error::{Error, require};
use crate::history::{EpochRecord, History};
use crate::loss::Loss;
use crate::optim::{Optimizer, UpdaterState};
use crate::save::{Checkpoint, Loaded, Reader, other_setting};
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// The figure on the validation data by which the best epoch is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Monitor {
    /// The smallest loss.
    Loss,
    /// The highest accuracy.
    Accuracy,
}

impl Monitor {
    /// The larger the better.
    fn figure(self, record: &EpochRecord) -> Option<f64> {
        match self {
            Self::Loss => record.validation_loss.map(|loss| -loss),
            Self::Accuracy => record.validation_accuracy,
        }
    }

    /// The index of the best of these epochs, the first of equals; `None` where no figure is a number.
    pub(super) fn best_epoch(self, epochs: &[EpochRecord]) -> Option<usize> {
        let figures = epochs.iter().map(|record| self.figure(record).unwrap_or(f64::NAN)).enumerate();
        let better = |best: Option<(usize, f64)>, (i, figure): (usize, f64)| match best {
            _ if figure.is_nan() => best,
            Some((_, best_figure)) if figure <= best_figure => best,
            _ => Some((i, figure)),
        };
        figures.fold(None, better).map(|(i, _)| i)
    }

    /// Whether the last epoch has a figure.
    pub(super) fn require(self, history: &History) -> Result<(), Error> {
        if history.epochs.last().is_some_and(|record| self.figure(record).is_none()) {
            let what = "accuracy, to find the best epoch by";
            return Err(Error::invalid(what, "class labels or one-hot rows", "dense targets"));
        }
        Ok(())
    }

    /// The best of these epochs' figures; NaN where there is none.
    fn best(self, epochs: &[EpochRecord]) -> f64 {
        epochs.iter().filter_map(|record| self.figure(record)).fold(f64::NAN, f64::max)
    }
}

/// The file of the best network.
#[derive(Debug, Clone)]
struct Best {
    path: PathBuf,
    by: Monitor,
    /// The figure of what is in the file; NaN while nothing is.
    figure: f64,
}

impl Best {
    /// Whether the last epoch is better than all before it and what is in the file; of equals the first is the best,
    /// NaN never is.
    fn is_last_of(&self, history: &History) -> bool {
        let Some((last, before)) = history.epochs.split_last() else { return false };
        let (last, before) = (self.by.best(slice::from_ref(last)), self.by.best(before).max(self.figure));
        last > before || before.is_nan() && !last.is_nan()
    }
}

/// The files of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    checkpoint: Option<(usize, PathBuf)>,
    resume: Option<PathBuf>,
    best: Option<Best>,
}

impl Files {
    pub(super) fn check(&self, has_validation: bool) -> Result<(), Error> {
        if let Some((epochs, _)) = &self.checkpoint {
            require(*epochs > 0, "checkpoint_every", "at least 1 epoch", epochs)?;
        }
        if self.best.is_some() && !has_validation {
            return Err(Error::empty("rows of validation data, to find the best epoch by"));
        }
        Ok(())
    }
}

impl<F: Scalar, L: Loss<F>, O: Optimizer<F>> Trainer<F, L, O> {
    /// Writes a checkpoint after every `epochs` epochs and after the last one: everything of the run in one file, to
    /// [`resume`](Self::resume) it. Whenever the process dies, also while it writes, the file is a whole one.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// # let path = std::env::temp_dir().join(format!("gradus-doc-checkpoint-{}.safetensors", std::process::id()));
    /// let data = Digits::load::<f32>()?.take(300)?;
    /// let trainer = || Trainer::new(SoftmaxCrossEntropy, Adam::default());
    /// let build = || Sequential::mlp(data.width(), &[20], data.classes()).dropout(0.1).build(&mut rng(1));
    ///
    /// let mut net = build()?;
    /// let all = trainer().epochs(4).fit(&mut net, &data)?;
    ///
    /// trainer().epochs(2).checkpoint_every(1, &path).fit(&mut build()?, &data)?;
    /// let mut resumed = build()?; // in another process, another day
    /// let history = trainer().epochs(4).checkpoint_every(1, &path).resume(&path).fit(&mut resumed, &data)?;
    /// assert_eq!(history, all);
    /// assert_eq!(resumed.to_bytes()?, net.to_bytes()?); // bit for bit
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// A checkpoint holds the parameters and running statistics, the optimizer's state, the seed, and the history. The
    /// loss, the hyper-parameters and the data are code. [`Sequential::load`] takes the network alone out of it, and
    /// [`Sequential::open`] makes it anew.
    pub fn checkpoint_every(mut self, epochs: usize, path: impl Into<PathBuf>) -> Self {
        self.files.checkpoint = Some((epochs, path.into()));
        self
    }

    /// The next `fit` goes on from a checkpoint, up to [`epochs`](Self::epochs) in all, and ends with the same bits as
    /// a run that was never stopped. Its history is that of the whole run. A closure of `fit_with` has to decide by
    /// what it sees, not by what it remembers.
    ///
    /// A file that is not there is an error; to start where there is none, ask `path.exists()`.
    ///
    /// `fit` then also fails, with nothing changed, where the file is no checkpoint (the byte is named), does not fit
    /// the network (the tensor is named), or is of another run: another optimizer, hyper-parameter, decay, clipping,
    /// schedule, loss, batch size, sampling or number of rows. The rule's own learning rate may be another one: the run
    /// goes on with it. The seed is taken from the file.
    pub fn resume(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.resume = Some(path.into());
        self
    }

    /// Saves the network's weights after every epoch that is better on the validation data than all before it, those
    /// of a `fit` before this one among them.
    /// `fit` fails where there are no such data ([`validate`](Self::validate)).
    pub fn keep_best(mut self, by: Monitor, path: impl Into<PathBuf>) -> Self {
        self.files.best = Some(Best { path: path.into(), by, figure: f64::NAN });
        self
    }

    /// Writes a checkpoint now: for a loop of your own around [`step`](Self::step).
    ///
    /// # Errors
    /// The file cannot be written; a parameter is not finite.
    pub fn save_checkpoint(&self, net: &Sequential<F>, history: &History, path: impl AsRef<Path>) -> Result<(), Error> {
        self.write_checkpoint(net, history, path.as_ref(), None)
    }

    /// Puts network and trainer in the state of a checkpoint and gives its history: for a loop of your own.
    ///
    /// # Errors
    /// As [`resume`](Self::resume) says; nothing is changed then.
    pub fn load_checkpoint(&mut self, net: &mut Sequential<F>, path: impl AsRef<Path>) -> Result<History, Error> {
        self.read_checkpoint(net, Reader::open(path.as_ref())?, None)
    }

    /// The same from the bytes of a checkpoint.
    ///
    /// # Errors
    /// As [`resume`](Self::resume) says; nothing is changed then.
    pub fn load_checkpoint_bytes(&mut self, net: &mut Sequential<F>, bytes: &[u8]) -> Result<History, Error> {
        self.read_checkpoint(net, Reader::parse(bytes, "the bytes")?, None)
    }

    /// What `fit` begins with: the history until now. All ranks begin with the network, the state and the seed of rank 0.
    pub(super) fn begin(&mut self, net: &mut Sequential<F>, rows: usize) -> Result<History, Error> {
        let Some(world) = self.world.clone() else { return self.begin_alone(net, rows) };
        let own = if world.is_first() {
            let begin = self.begin_alone(net, rows);
            begin.and_then(|history| Ok((self.checkpoint(&history, Some(rows)).to_bytes(net)?, history)))
        } else {
            Ok(Default::default())
        };
        let (mut bytes, history) = world.agree(own)?;
        world.ranks.broadcast(0, &mut bytes);
        self.files.resume = None;
        world.agree(if world.is_first() {
            Ok(history)
        } else {
            self.read_checkpoint(net, Reader::parse(&bytes, "the run of rank 0")?, Some(rows))
        })
    }

    fn begin_alone(&mut self, net: &mut Sequential<F>, rows: usize) -> Result<History, Error> {
        let Some(path) = self.files.resume.clone() else { return Ok(History::default()) };
        let history = self.read_checkpoint(net, Reader::open(&path)?, Some(rows))?;
        self.files.resume = None;
        Ok(history)
    }

    /// Saves the network where the last epoch was the best. To be done before the checkpoint that says so.
    pub(super) fn save_best(&mut self, net: &Sequential<F>, history: &History) -> Result<(), Error> {
        let Some(best) = &mut self.files.best else { return Ok(()) };
        best.by.require(history)?;
        if best.is_last_of(history) {
            net.save(&best.path)?;
            best.figure = best.by.best(&history.epochs);
        }
        Ok(())
    }

    /// Writes the checkpoint that is due after an epoch.
    pub(super) fn save_due(
        &self,
        net: &Sequential<F>,
        history: &History,
        rows: usize,
        is_last: bool,
    ) -> Result<(), Error> {
        match &self.files.checkpoint {
            Some((every, path)) if is_last || history.epochs.len().is_multiple_of(*every) => {
                self.write_checkpoint(net, history, path, Some(rows))
            }
            _ => Ok(()),
        }
    }

    fn write_checkpoint(
        &self,
        net: &Sequential<F>,
        history: &History,
        path: &Path,
        rows: Option<usize>,
    ) -> Result<(), Error> {
        self.checkpoint(history, rows).save(net, path)
    }

    fn checkpoint(&self, history: &History, rows: Option<usize>) -> Checkpoint<F> {
        Checkpoint {
            settings: self.settings(self.updater.steps(), &self.updater.state().losses, rows).into_iter().collect(),
            seed: self.seed,
            drawn: self.drawn,
            state: self.updater.state().clone(),
            history: history.clone(),
            best: self.files.best.iter().map(|best| (format!("{:?}", best.by), best.figure)).collect(),
            best_net: self.best_before(history).cloned(),
        }
    }

    fn read_checkpoint(
        &mut self,
        net: &mut Sequential<F>,
        file: Reader<'_>,
        rows: Option<usize>,
    ) -> Result<History, Error> {
        let source = file.source().to_string();
        let optimizer = &self.updater.optimizer;
        let mut loaded = Loaded::read(file, net, &optimizer.name(), optimizer.slots())?;
        self.compare(&loaded.checkpoint, &source, rows)?;
        self.updater.restore(std::mem::take(&mut loaded.checkpoint.state))?;
        let checkpoint = loaded.fill(net);
        (self.seed, self.drawn) = (checkpoint.seed, checkpoint.drawn);
        if let Some(best) = &mut self.files.best
            && let Some(&figure) = checkpoint.best.get(&format!("{:?}", best.by))
        {
            best.figure = figure;
        }
        self.restore_best(checkpoint.best_net, net, &checkpoint.history);
        Ok(checkpoint.history)
    }

    /// Whether the file is of this run: every setting that both know has the same value.
    fn compare(&self, checkpoint: &Checkpoint<F>, source: &str, rows: Option<usize>) -> Result<(), Error> {
        let UpdaterState { steps, losses, .. } = &checkpoint.state;
        for (name, expected) in self.settings(*steps, losses, rows) {
            match checkpoint.settings.get(&name) {
                Some(found) if *found != expected => {
                    return Err(other_setting(source, &name, &expected, found));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_the_first_of_equals_and_never_nan() {
        let better_than = |figure: f64, by: Monitor, losses: &[f64]| {
            let record = |&loss: &f64| EpochRecord {
                epoch: 1,
                steps: 1,
                learning_rate: 0.1,
                loss,
                accuracy: None,
                validation_loss: Some(loss),
                validation_accuracy: Some(loss),
            };
            let history = History { losses: vec![], epochs: losses.iter().map(record).collect() };
            Best { path: PathBuf::new(), by, figure }.is_last_of(&history)
        };
        let best = |by, losses: &[f64]| better_than(f64::NAN, by, losses);
        assert!(
            best(Monitor::Loss, &[1.0]) && best(Monitor::Loss, &[1.0, 0.5]) && best(Monitor::Loss, &[f64::NAN, 2.0])
        );
        assert!(best(Monitor::Loss, &[f64::INFINITY]) && best(Monitor::Accuracy, &[0.5, 0.6]));
        assert!(
            !best(Monitor::Loss, &[1.0, 1.0]) && !best(Monitor::Loss, &[1.0, 2.0]) && !best(Monitor::Loss, &[f64::NAN])
        );
        assert!(!best(Monitor::Loss, &[1.0, f64::NAN]) && !best(Monitor::Accuracy, &[0.6, 0.5]));
        assert!(!better_than(0.6, Monitor::Accuracy, &[0.6]) && better_than(0.6, Monitor::Accuracy, &[0.5, 0.7]));
    }
}
