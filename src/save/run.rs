//! A training run as a file: the network's tensors, the optimizer's, the history, and what JSON can say of the rest.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::Array2;
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::container::{self, Kind, Reader, Tensor, Tensors};
use super::weights::{self, OPTIMIZER};
use crate::error::Error;
use crate::history::{EpochRecord, History};
use crate::layer::Layer;
use crate::optim::{ParamState, UpdaterState};
use crate::scalar::Scalar;
use crate::sequential::Sequential;

/// The metadata that make a file a checkpoint.
pub(super) const RUN: &str = "gradus.checkpoint";

/// The version of what stands there.
const VERSION: u64 = 2;

/// More steps than any run takes; counters beyond it are damage.
const MOST_STEPS: u64 = 1 << 53;

/// Everything of a run that is not in the network.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint<F: Scalar> {
    /// What makes the run what it is, by name: a resumed run has to have the same.
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) seed: u64,
    /// How many epochs' orders were drawn.
    pub(crate) drawn: u64,
    pub(crate) state: UpdaterState<F>,
    pub(crate) history: History,
    /// The figure of the best network so far by the name of what it is judged by, where one is kept.
    pub(crate) best: BTreeMap<String, f64>,
    /// The best network so far, where one is kept for the end of the run and is not the last.
    pub(crate) best_net: Option<Sequential<F>>,
}

/// What of a checkpoint is JSON; the rest is tensors.
#[derive(Serialize, Deserialize)]
struct Run {
    #[serde(deserialize_with = "container::few")]
    settings: BTreeMap<String, String>,
    seed: u64,
    drawn: u64,
    rule: String,
    steps: u64,
    /// How many steps each parameter was part of, by its name.
    #[serde(deserialize_with = "container::few")]
    parameters: BTreeMap<String, u64>,
    epochs: Vec<EpochRecord>,
    #[serde(default, with = "crate::json::exact")]
    best: BTreeMap<String, f64>,
}

/// Of a [`Run`] of any version what says which it is.
#[derive(Deserialize)]
struct Versioned {
    version: Option<u64>,
}

impl<F: Scalar> Checkpoint<F> {
    /// Writes the network and the run as one file, whole or not at all.
    pub(crate) fn save(&self, net: &Sequential<F>, path: &Path) -> Result<(), Error> {
        let (tensors, metadata) = self.tensors(net)?;
        tensors.save(&metadata, path)
    }

    /// The bytes of that file.
    pub(crate) fn to_bytes(&self, net: &Sequential<F>) -> Result<Vec<u8>, Error> {
        let (tensors, metadata) = self.tensors(net)?;
        tensors.to_bytes(&metadata)
    }

    fn tensors(&self, net: &Sequential<F>) -> Result<(Tensors, BTreeMap<String, String>), Error> {
        let mut tensors = weights::tensors(net)?;
        if let Some(best) = &self.best_net {
            tensors.extend(BEST, weights::tensors(best)?)?;
        }
        for state in self.state.parameters.iter().filter(|state| !state.slots.is_empty()) {
            let slots = state.slots.len() / (state.shape.0 * state.shape.1);
            let bytes = weights::to_le_bytes(state.slots.iter());
            tensors.insert(slots_name(&state.name), Tensor { kind: slots_kind(state, slots), bytes })?;
        }
        for (name, losses) in [(STEP_LOSSES, &self.history.losses), (EPOCH_LOSSES, &self.state.losses)] {
            let bytes = weights::to_le_bytes(losses.iter());
            tensors.insert(name.into(), Tensor { kind: losses_kind(losses.len()), bytes })?;
        }
        let mut metadata = weights::metadata(net);
        let mut run = serde_json::to_value(self.run()).expect("a run is JSON");
        run["version"] = VERSION.into();
        metadata.insert(RUN.into(), run.to_string());
        Ok((tensors, metadata))
    }

    fn run(&self) -> Run {
        Run {
            settings: self.settings.clone(),
            seed: self.seed,
            drawn: self.drawn,
            rule: self.state.rule.clone(),
            steps: self.state.steps,
            parameters: self.state.parameters.iter().map(|state| (state.name.clone(), state.steps)).collect(),
            epochs: self.history.epochs.clone(),
            best: self.best.clone(),
        }
    }
}

/// A checkpoint that was read and found to fit a network; nothing has been changed yet.
#[derive(Debug)]
pub(crate) struct Loaded<F: Scalar> {
    pub(crate) checkpoint: Checkpoint<F>,
    values: BTreeMap<String, Array2<F>>,
}

impl<F: Scalar> Loaded<F> {
    /// Reads a file for a network and the rule of this name and number of slots.
    pub(crate) fn read(reader: Reader<'_>, net: &Sequential<F>, rule: &str, slots: usize) -> Result<Self, Error> {
        let source = reader.source().to_string();
        let run = run_of(&reader)?;
        if run.steps > 0 && run.rule != rule {
            return Err(other_setting(&source, "optimizer", rule, &run.rule));
        }
        weights::check_metadata(net, &reader)?;
        let mut state = UpdaterState { rule: run.rule, steps: run.steps, ..UpdaterState::default() };
        let mut kinds = weights::kinds(net)?;
        let best_kinds = kinds.iter().map(|(name, kind)| (format!("{BEST}{name}"), kind.clone()));
        let best_kinds: BTreeMap<String, Kind> = best_kinds.collect();
        let has_best = best_kinds.keys().any(|name| reader.kind(name).is_some());
        if has_best {
            kinds.extend(best_kinds);
        }
        if run.steps > 0 {
            state.parameters =
                states(&run.parameters, net).map_err(|problem| reader.error("the optimizer's state", problem))?;
        }
        for state in &state.parameters {
            let name = slots_name(&state.name);
            let has_state = state.steps > 0 && slots > 0;
            if has_state || reader.kind(&name).is_some() {
                kinds.insert(name, slots_kind(state, slots));
            }
        }
        for name in [STEP_LOSSES, EPOCH_LOSSES] {
            let count = reader.kind(name).map_or(0, |kind| kind.shape.iter().product());
            kinds.insert(name.into(), losses_kind(count));
        }
        let mut tensors = reader.read(&kinds, |_| false)?;
        let values = weights::decode(net, "", &mut tensors, &source)?;
        let best_net = if has_best {
            let mut best = net.clone();
            weights::assign(&mut best, weights::decode(net, BEST, &mut tensors, &source)?);
            Some(best)
        } else {
            None
        };
        for state in &mut state.parameters {
            let name = slots_name(&state.name);
            if kinds.contains_key(&name) {
                state.slots = weights::from_le_bytes(&tensors.take(&name));
            }
        }
        state.losses = weights::from_le_bytes(&tensors.take(EPOCH_LOSSES));
        let history = History { losses: weights::from_le_bytes(&tensors.take(STEP_LOSSES)), epochs: run.epochs };
        let (settings, seed, drawn, best) = (run.settings, run.seed, run.drawn, run.best);
        Ok(Self { checkpoint: Checkpoint { settings, seed, drawn, state, history, best, best_net }, values })
    }

    /// Puts everything of the network's in its place.
    pub(crate) fn fill(self, net: &mut Sequential<F>) -> Checkpoint<F> {
        weights::assign(net, self.values);
        self.checkpoint
    }
}

/// The file is of a run that differs in a setting.
pub(crate) fn other_setting(source: &str, name: &str, expected: &str, found: &str) -> Error {
    Error::format(source, name, format!("saved with another setting: expected {expected}, found {found}"))
}

fn run_of(reader: &Reader<'_>) -> Result<Run, Error> {
    let Some(text) = reader.metadata(RUN) else {
        return Err(reader.error("the header", "expected a checkpoint, found weights alone"));
    };
    let damage = |error: serde_json::Error| reader.error(RUN, error.to_string());
    let Versioned { version } = serde_json::from_str(text).map_err(damage)?;
    // The first version did not say which it is.
    let version = version.unwrap_or(1);
    if version != VERSION {
        return Err(reader.error(RUN, format!("expected a checkpoint of version {VERSION}, found version {version}")));
    }
    let run: Run = serde_json::from_str(text).map_err(damage)?;
    let counters = run.parameters.values().chain([&run.steps, &run.drawn]);
    match counters.max() {
        Some(&most) if most > MOST_STEPS => {
            Err(reader.error(RUN, format!("expected counters of at most {MOST_STEPS}, found {most}")))
        }
        _ => Ok(run),
    }
}

/// The states of a network's trained parameters, still without their slots; or what does not fit.
fn states<F: Scalar>(saved: &BTreeMap<String, u64>, net: &Sequential<F>) -> Result<Vec<ParamState<F>>, String> {
    let (mut states, mut missing) = (Vec::new(), None);
    net.params(&mut |param| {
        if param.role.is_trained() {
            match saved.get(&param.name) {
                Some(&steps) => {
                    states.push(ParamState { steps, ..ParamState::new(&param.name, param.value.dim()) });
                }
                None => drop(missing.get_or_insert_with(|| param.name.clone())),
            }
        }
    });
    let extra = || saved.keys().find(|name| states.iter().all(|state| state.name != **name));
    match (missing, extra()) {
        (Some(name), _) => Err(format!("expected one of {name}, found none")),
        (None, Some(name)) => Err(format!("expected none of {name}, found one")),
        (None, None) => Ok(states),
    }
}

/// What the names of the best network's tensors begin with.
const BEST: &str = "history.best.";

const STEP_LOSSES: &str = "history.losses";
const EPOCH_LOSSES: &str = "optimizer.losses";

fn losses_kind(count: usize) -> Kind {
    Kind { dtype: Dtype::F64, shape: vec![count] }
}

fn slots_name(parameter: &str) -> String {
    format!("{OPTIMIZER}slots.{parameter}")
}

fn slots_kind<F: Scalar>(state: &ParamState<F>, slots: usize) -> Kind {
    Kind { dtype: weights::dtype::<F>(), shape: vec![slots, state.shape.0, state.shape.1] }
}
