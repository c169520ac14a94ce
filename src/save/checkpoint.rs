//! A run as a file.

use std::path::Path;

use ndarray::Array2;
use safetensors::Dtype;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

use super::container::{self, Reader, Tensor, Want};
use super::weights::{self, HISTORY, OPTIMIZER};
use crate::error::Error;
use crate::layer::Layer;
use crate::optim::{ParamState, UpdaterState};
use crate::rng::Generator;
use crate::scalar::Scalar;
use crate::sequential::Sequential;
use crate::train::{EpochRecord, History};

/// The metadata that make a file a checkpoint.
pub(super) const RUN: &str = "gradus.checkpoint";

/// Everything of a run that is not in the network.
pub(crate) struct Checkpoint<F> {
    /// What makes the run what it is, in words: a resumed run has to have the same.
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) learning_rate: F,
    pub(crate) schedule: Vec<f64>,
    /// What draws the order of the rows, as it is before the next epoch.
    pub(crate) order: Generator,
    pub(crate) state: UpdaterState<F>,
    pub(crate) history: History,
}

/// What of a checkpoint is JSON; the rest is tensors.
#[derive(Serialize, Deserialize)]
struct Run {
    settings: BTreeMap<String, String>,
    steps: u64,
    learning_rate: Exact,
    schedule: Vec<Exact>,
    order: Generator,
    /// The network's own, in its order.
    generators: Vec<Generator>,
    parameters: Vec<Parameter>,
    epochs: Vec<Record>,
}

/// What an optimizer's state is made of; its numbers are the tensor `optimizer.NAME`, `(slots, rows, columns)`.
#[derive(Serialize, Deserialize)]
struct Parameter {
    name: String,
    steps: u64,
    slots: usize,
}

#[derive(Serialize, Deserialize)]
struct Record {
    epoch: usize,
    steps: u64,
    learning_rate: Exact,
    loss: Exact,
    accuracy: Option<Exact>,
    validation_loss: Option<Exact>,
    validation_accuracy: Option<Exact>,
}

/// A number as text that reads back to the same bits; JSON's own numbers know no infinity.
#[derive(Clone, Copy)]
struct Exact(f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl<F: Scalar> Checkpoint<F> {
    /// Writes the network and the run as one file, whole or not at all.
    pub(crate) fn save(&self, net: &Sequential<F>, path: &Path) -> Result<(), Error> {
        let mut metadata = weights::metadata(net);
        let run = serde_json::to_string(&self.run(net)).expect("a run is JSON");
        metadata.insert(RUN.into(), run);
        let mut tensors = weights::tensors(net)?;
        for state in self.state.parameters.iter().filter(|state| !state.slots.is_empty()) {
            let slots = state.slots.len() / (state.shape.0 * state.shape.1);
            tensors.push(Tensor { want: slots_of(state, slots), bytes: weights::to_le_bytes(state.slots.iter()) });
        }
        let losses = &self.history.losses;
        tensors.push(Tensor { want: losses_of(losses.len()), bytes: weights::to_le_bytes(losses.iter()) });
        container::save(path, metadata, tensors)
    }

    fn run(&self, net: &Sequential<F>) -> Run {
        let mut generators = Vec::new();
        net.generators(&mut |generator| generators.push(generator.clone()));
        let parameter = |state: &ParamState<F>| Parameter {
            name: state.name.clone(),
            steps: state.steps,
            slots: state.slots.len() / (state.shape.0 * state.shape.1).max(1),
        };
        Run {
            settings: self.settings.clone(),
            steps: self.state.steps,
            learning_rate: Exact(self.learning_rate.as_f64()),
            schedule: self.schedule.iter().copied().map(Exact).collect(),
            order: self.order.clone(),
            generators,
            parameters: self.state.parameters.iter().map(parameter).collect(),
            epochs: self.history.epochs.iter().map(Record::from).collect(),
        }
    }
}

/// A checkpoint that was read and found to fit a network; nothing has been changed yet.
pub(crate) struct Loaded<F> {
    pub(crate) checkpoint: Checkpoint<F>,
    values: Vec<Array2<F>>,
    generators: Vec<Generator>,
}

impl<F: Scalar> Loaded<F> {
    /// Reads a file for a network and an optimizer with this many slots.
    pub(crate) fn read(reader: Reader<'_>, net: &Sequential<F>, slots: usize) -> Result<Self, Error> {
        let source = reader.source().to_string();
        let run = run_of(&reader)?;
        weights::check_metadata(net, &reader)?;
        let saved = |what: &str, expected: String, found: String| {
            Err(Error::Saved { source: source.clone(), what: what.into(), expected, found })
        };
        let mut count = 0;
        net.generators(&mut |_| count += 1);
        if run.generators.len() != count {
            return saved("number of random generators", count.to_string(), run.generators.len().to_string());
        }
        let mut state = UpdaterState { steps: run.steps, parameters: empty_states(net) };
        if run.steps == 0 {
            state.parameters.clear();
        }
        let named = |name: Option<&str>| name.map_or("none".to_string(), |name| format!("one of {name}"));
        for i in 0..state.parameters.len().max(run.parameters.len()) {
            let (expected, found) = (state.parameters.get(i), run.parameters.get(i));
            let (expected, found) = (expected.map(|state| &*state.name), found.map(|saved| &*saved.name));
            if expected != found {
                return saved("optimizer state", named(expected), named(found));
            }
        }
        let mut wants = weights::wants(net);
        let weights_count = wants.len();
        for (state, saved_state) in state.parameters.iter_mut().zip(&run.parameters) {
            state.steps = saved_state.steps;
            if saved_state.slots != 0 && saved_state.slots != slots {
                let what = format!("optimizer state of {} (numbers a value)", state.name);
                return saved(&what, slots.to_string(), saved_state.slots.to_string());
            }
            if saved_state.slots > 0 {
                wants.push(slots_of(state, slots));
            }
        }
        let losses = losses_of(0);
        let losses = losses_of(reader.shape(&losses.name).map_or(0, |shape| shape.iter().product()));
        wants.push(losses);
        let bytes = reader.read(&wants, |_| false)?;
        let values = weights::decode(net, &bytes[..weights_count], &source)?;
        let (losses, slots) = bytes[weights_count..].split_last().expect("the losses are the last");
        let mut slots = slots.iter();
        for (state, saved) in state.parameters.iter_mut().zip(&run.parameters) {
            if saved.slots > 0 {
                state.slots = weights::from_le_bytes(slots.next().expect("one tensor each"));
            }
        }
        let history = History {
            losses: weights::from_le_bytes(losses),
            epochs: run.epochs.into_iter().map(EpochRecord::from).collect(),
        };
        let checkpoint = Checkpoint {
            settings: run.settings,
            learning_rate: F::of(run.learning_rate.0),
            schedule: run.schedule.into_iter().map(|Exact(x)| x).collect(),
            order: run.order,
            state,
            history,
        };
        Ok(Self { checkpoint, values, generators: run.generators })
    }

    /// Puts everything of the network's in its place.
    pub(crate) fn fill(self, net: &mut Sequential<F>) -> Checkpoint<F> {
        weights::assign(net, self.values);
        let mut generators = self.generators.into_iter();
        net.generators_mut(&mut |generator| *generator = generators.next().expect("they were counted"));
        self.checkpoint
    }
}

fn run_of(reader: &Reader<'_>) -> Result<Run, Error> {
    let format = |problem| Error::Format { source: reader.source().into(), offset: 8, problem };
    let Some(run) = reader.metadata(RUN) else {
        return Err(format("expected a checkpoint, found weights alone".into()));
    };
    let run: Run = serde_json::from_str(run).map_err(|error| format(format!("in {RUN}: {error}")))?;
    // A generator of zeros gives nothing but zeros; none of ours ever gets there.
    let zeros = serde_json::json!({"s": [0, 0, 0, 0]});
    let is_dead = |generator: &Generator| serde_json::to_value(generator).is_ok_and(|state| state == zeros);
    if run.generators.iter().chain([&run.order]).any(is_dead) {
        return Err(format(format!("in {RUN}: a random generator of zeros")));
    }
    Ok(run)
}

/// The state of an optimizer that has not seen any gradient.
fn empty_states<F: Scalar>(net: &Sequential<F>) -> Vec<ParamState<F>> {
    let mut states = Vec::new();
    net.params(&mut |param| {
        if param.role.is_trained() {
            let (name, shape) = (param.name.clone(), param.value.dim());
            states.push(ParamState { name, shape, steps: 0, slots: Vec::new() });
        }
    });
    states
}

fn slots_of<F: Scalar>(state: &ParamState<F>, slots: usize) -> Want {
    let shape = vec![slots, state.shape.0, state.shape.1];
    Want { name: format!("{OPTIMIZER}{}", state.name), dtype: weights::dtype::<F>(), shape }
}

fn losses_of(count: usize) -> Want {
    Want { name: format!("{HISTORY}losses"), dtype: Dtype::F64, shape: vec![count] }
}

impl From<&EpochRecord> for Record {
    fn from(record: &EpochRecord) -> Self {
        let EpochRecord { epoch, steps, learning_rate, loss, accuracy, validation_loss, validation_accuracy } = *record;
        Self {
            epoch,
            steps,
            learning_rate: Exact(learning_rate),
            loss: Exact(loss),
            accuracy: accuracy.map(Exact),
            validation_loss: validation_loss.map(Exact),
            validation_accuracy: validation_accuracy.map(Exact),
        }
    }
}

impl From<Record> for EpochRecord {
    fn from(record: Record) -> Self {
        let plain = |number: Option<Exact>| number.map(|Exact(x)| x);
        Self {
            epoch: record.epoch,
            steps: record.steps,
            learning_rate: record.learning_rate.0,
            loss: record.loss.0,
            accuracy: plain(record.accuracy),
            validation_loss: plain(record.validation_loss),
            validation_accuracy: plain(record.validation_accuracy),
        }
    }
}
