use super::clip::{self, Action, Clip};
use super::rule::{self, clamp};
use super::{Optimizer, ParamState, Step, UpdaterState, WeightDecay};
use crate::array::{values, values_mut};
use crate::error::Error;
use crate::history::History;
use crate::kernel;
use crate::layer::{Layer, Param, Role};
use crate::scalar::Scalar;
use crate::schedule::Schedule;

/// Drives an [`Optimizer`]: owns the step count and the state, and does once for all rules what each would
/// otherwise do for itself: schedules, the check that gradients are finite, clipping, weight decay, blocks, threads, and
/// every sixteenth step the flushing of its state: what is nearly subnormal becomes zero, what is infinite the largest
/// number.
///
/// One updater belongs to one network (or one slice): it remembers the shapes of the first step and refuses others.
///
/// # A training loop of your own
///
/// ```
/// use gradus::prelude::*;
/// let mut rng = gradus::rng(1);
/// let data = Digits::load::<f32>()?;
/// let mut net = Sequential::mlp(64, &[30], 10).dropout(0.1).build(&mut rng)?;
/// let mut updater = Updater::new(Adam::default());
/// let mut losses = Vec::new();
/// let batches = data.shuffled_batches(100, &mut rng)?; // an epoch
/// for batch in batches {
///     let output = net.forward(batch.rows, &mut Pass::new(&mut rng));
///     let (loss, grad) = SoftmaxCrossEntropy.value_and_grad(output, &batch.targets);
///     net.backward_params(grad);
///     updater.step(&mut net)?; // an error, and the network as before, where a gradient is not finite
///     losses.push(loss);
/// }
/// assert!(losses[17] < losses[0]);
/// # Ok::<(), Error>(())
/// ```
///
/// # Gradient accumulation
///
/// There is no option that sums the gradients of several small batches into one step. It saves memory where
/// activations are large; here a batch keeps its rows times the widths of the layers, and one batch of `k n` rows
/// is the same step as `k` batches of `n`, and faster. A network with BatchNorm would make them differ, as its
/// statistics are a batch's. Where the parts cannot be one batch, average their gradients in a loop of your own:
///
/// ```
/// use gradus::{ndarray::Array2, prelude::*};
/// # let mut net = Sequential::<f64>::mlp(64, &[10], 10).build(&mut gradus::rng(1))?;
/// # let mut whole = Sequential::<f64>::mlp(64, &[10], 10).build(&mut gradus::rng(1))?;
/// # let data = Digits::load()?;
/// # let data = data.take(80)?;
/// let mut updater = Updater::new(SGD::default());
/// let mut sums: Vec<Array2<f64>> = Vec::new();
/// let parts = 4; // of equal size
/// for batch in data.batches(data.len() / parts)? {
///     let output = net.forward(batch.rows, &mut Pass::new(&mut gradus::rng(1)));
///     let (_, grad) = SoftmaxCrossEntropy.value_and_grad(output, &batch.targets);
///     net.backward_params(grad);
///     let mut n = 0;
///     net.params(&mut |param| {
///         if n == sums.len() {
///             sums.push(Array2::zeros(param.grad.dim()));
///         }
///         sums[n].scaled_add(1.0 / parts as f64, &param.grad);
///         n += 1;
///     });
/// }
/// let mut sums = sums.into_iter();
/// net.params_mut(&mut |param| param.grad = sums.next().expect("one a parameter"));
/// updater.step(&mut net)?;
/// # let mut trainer = Trainer::new(SoftmaxCrossEntropy, SGD::default());
/// # for mut batch in data.batches(data.len())? {
/// #     trainer.step(&mut whole, &mut batch)?;
/// # }
/// # let (a, b) = (net.predict(data.rows())?, whole.predict(data.rows())?);
/// # assert!((a - b).iter().all(|difference| difference.abs() < 1e-12));
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Updater<F, O> {
    /// The rule, with its hyper-parameters; they may change between steps.
    pub optimizer: O,
    weight_decay: Option<WeightDecay>,
    decayed: Vec<Role>,
    clip: Clip,
    schedule: Option<Box<dyn Schedule>>,
    state: UpdaterState<F>,
    /// Whether several threads have read the parameters and computed the gradients, each some of them.
    is_shared: bool,
}

impl<F: Scalar, O: Optimizer<F>> Updater<F, O> {
    /// A driver at step 0: the rule's own learning rate and weight decay, no clipping.
    pub fn new(optimizer: O) -> Self {
        let state = UpdaterState::default();
        let (decayed, is_shared) = (vec![Role::Weight], false);
        Self { optimizer, weight_decay: None, decayed, clip: Clip::None, schedule: None, state, is_shared }
    }

    /// For gradients that several threads compute, each some of them.
    pub(crate) fn shared(mut self, is_shared: bool) -> Self {
        self.is_shared = is_shared;
        self
    }

    /// Decays weights with every step. Replaces the decay that is part of the rule (AdamW's).
    pub fn weight_decay(mut self, decay: WeightDecay) -> Self {
        self.weight_decay = Some(decay);
        self
    }

    /// Decays the parameters of these roles: `[Role::Weight]` by default.
    pub fn decay_roles(mut self, roles: &[Role]) -> Self {
        self.decayed = roles.to_vec();
        self
    }

    /// Clips the gradients of every step.
    pub fn clip(mut self, clip: Clip) -> Self {
        self.clip = clip;
        self
    }

    /// Takes the learning rate of every step from a schedule, in place of the rule's own.
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Records an epoch's loss, which schedules may go by. [`Trainer::fit`](crate::Trainer::fit) does it by itself.
    pub fn observe(&mut self, loss: f64) {
        self.state.losses.push(loss);
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.state.steps
    }

    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f64 {
        self.rate(self.state.steps)
    }

    /// The learning rate of the last step.
    pub(crate) fn last_rate(&self) -> f64 {
        self.rate(self.state.steps.saturating_sub(1))
    }

    /// A driver of the same rule and settings at step 0.
    pub(crate) fn fresh(&self) -> Updater<F, &O> {
        Updater {
            optimizer: &self.optimizer,
            weight_decay: self.weight_decay,
            decayed: self.decayed.clone(),
            clip: self.clip,
            schedule: self.schedule.clone(),
            state: UpdaterState::default(),
            is_shared: false,
        }
    }

    /// All the state: what the steps so far have left.
    pub fn state(&self) -> &UpdaterState<F> {
        &self.state
    }

    /// Continues from a state that was kept.
    ///
    /// ```
    /// use gradus::optim::{Adam, Updater};
    /// let (mut p, gradient) = ([1.0], [0.3]);
    /// let mut updater = Updater::new(Adam::default());
    /// updater.step_slice(&mut p, &gradient)?;
    /// let (mut q, mut other) = (p, Updater::new(Adam::default()));
    /// other.restore(updater.state().clone())?;
    /// updater.step_slice(&mut p, &gradient)?;
    /// other.step_slice(&mut q, &gradient)?;
    /// assert_eq!(p, q);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] where the state is of another rule, or a parameter has not as many numbers as the rule keeps.
    pub fn restore(&mut self, state: UpdaterState<F>) -> Result<(), Error> {
        state.check(&self.optimizer.name(), self.optimizer.slots())?;
        self.state = state;
        Ok(())
    }

    /// One step on every trained parameter of a network, by the gradients of its last `backward`; buffers take the
    /// values of the last `forward`.
    ///
    /// # Errors
    /// [`Error::Diverged`] where a gradient or the next value of a buffer is not finite; [`Error::Invalid`] where a
    /// hyper-parameter or the rate is out of its range or the network is not the one of the steps before;
    /// [`Error::Layer`] where a gradient is not of the shape of its parameter. No parameter, buffer or state is changed
    /// then.
    ///
    /// # Panics
    /// The rule asks for more than 8 slots.
    pub fn step<N: Layer<F> + ?Sized>(&mut self, net: &mut N) -> Result<(), Error> {
        let rate = self.begin()?;
        let norm = self.inspect(net)?;
        let (decay, clip) = (self.decay(), self.clip.action(norm));
        let (decayed, optimizer, is_shared) = (&self.decayed, &self.optimizer, self.is_shared);
        let mut states = self.state.parameters.iter_mut();
        net.params_mut(&mut |param| {
            if !param.role.is_trained() {
                return param.commit();
            }
            let state = states.next().expect("one state for each parameter, just admitted");
            if param.frozen {
                return state.forget();
            }
            let decay = if decayed.contains(&param.role) { decay } else { WeightDecay::None };
            let Param { value, grad, .. } = param;
            state.step(optimizer, rate, Preprocess { clip, decay, is_shared }, values_mut(value), values(grad));
        });
        self.finish();
        Ok(())
    }

    /// One step on bare numbers; weight decay takes them for weights. Unlike [`step`](Self::step) it does not look whether
    /// gradients are finite, which would take another pass over memory.
    ///
    /// # Errors
    /// A hyper-parameter or the rate out of its range; another number of parameters than before, or of gradients than of
    /// parameters.
    ///
    /// # Panics
    /// The rule asks for more than 8 slots.
    pub fn step_slice(&mut self, param: &mut [F], grad: &[F]) -> Result<(), Error> {
        if param.len() != grad.len() {
            return Err(Error::invalid("gradients (one for each parameter)", param.len(), grad.len()));
        }
        let rate = self.begin()?;
        self.state.admit(0, Some(("the slice", (1, param.len()))))?;
        self.state.admit(1, None)?;
        let norm = if matches!(self.clip, Clip::Norm(_)) { clip::norm(grad) } else { 0.0 };
        let preprocess = Preprocess { clip: self.clip.action(norm), decay: self.decay(), is_shared: self.is_shared };
        self.state.parameters[0].step(&self.optimizer, rate, preprocess, param, grad);
        self.finish();
        Ok(())
    }

    /// `½ λ Σ W²`, what [`WeightDecay::L2`] adds to the loss.
    pub fn penalty<N: Layer<F> + ?Sized>(&self, net: &N) -> f64 {
        let WeightDecay::L2(lambda) = self.decay() else { return 0.0 };
        let mut sum = 0.0;
        net.params(&mut |param| {
            if param.is_trained() && self.decayed.contains(&param.role) {
                sum += kernel::sum_of_squares(values(&param.value));
            }
        });
        0.5 * lambda * sum
    }

    /// Whether all settings are in their ranges.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let owner = |error: Error| error.of(self.optimizer.name());
        rule::check::<F>("learning_rate", self.optimizer.learning_rate(), rule::RATE).map_err(owner)?;
        self.optimizer.check().map_err(owner)?;
        self.clip.check()?;
        if let Some(schedule) = &self.schedule {
            schedule.check().map_err(|error| error.of(schedule.name()))?;
        }
        rule::check::<F>("weight decay", self.decay().lambda(), rule::RATE)
    }

    /// What makes the steps what they are, by name: a resumed run has to have the same. The learning rate is not among
    /// them; a schedule is told from another by its rates at some of the steps that were taken.
    pub(crate) fn settings(&self, steps: u64, losses: &[f64]) -> Vec<(String, String)> {
        let owned = |(name, value): (&str, String)| (format!("optimizer.{name}"), value);
        let mut settings = vec![("optimizer".to_string(), self.optimizer.name())];
        settings.extend(self.optimizer.settings().into_iter().map(owned));
        let (decay, lambda) = match self.decay() {
            WeightDecay::None => ("none", 0.0),
            WeightDecay::L2(lambda) => ("L2", lambda),
            WeightDecay::Decoupled(lambda) => ("decoupled", lambda),
        };
        let (clip, limit) = match self.clip {
            Clip::None => ("none", 0.0),
            Clip::Norm(limit) => ("norm", limit),
            Clip::Value(limit) => ("value", limit),
        };
        let roles: Vec<_> = self.decayed.iter().map(|role| format!("{role:?}")).collect();
        let last = steps.saturating_sub(1);
        let (schedule, rates) = self.schedule.as_ref().map_or(("none".into(), String::new()), |schedule| {
            let rates = [0, last / 2, last].map(|step| format!("{:.6e}", schedule.rate(step, losses)));
            (schedule.name(), rates.join(", "))
        });
        let entries = [
            ("weight_decay", decay.into()),
            ("weight_decay.lambda", lambda.to_string()),
            ("weight_decay.roles", roles.join(", ")),
            ("clip", clip.into()),
            ("clip.limit", limit.to_string()),
            ("schedule", schedule),
            ("schedule.rates", rates),
        ];
        settings.extend(entries.map(|(name, value)| (name.to_string(), value)));
        settings
    }

    fn rate(&self, step: u64) -> f64 {
        let schedule = self.schedule.as_ref().map(|schedule| schedule.rate(step, &self.state.losses));
        schedule.unwrap_or_else(|| self.optimizer.learning_rate())
    }

    fn decay(&self) -> WeightDecay {
        self.weight_decay.unwrap_or_else(|| self.optimizer.weight_decay())
    }

    /// What comes before a step: the checks of all settings, and its learning rate.
    fn begin(&self) -> Result<F, Error> {
        self.check()?;
        let rate = self.learning_rate();
        if self.schedule.is_some() {
            let what = |error: Error| error.of(format!("step {},", self.state.steps + 1));
            rule::check::<F>("learning rate of the schedule", rate, rule::RATE).map_err(what)?;
        }
        let (slots, most) = (self.optimizer.slots(), kernel::MAX_SLOTS);
        assert!(slots <= most, "{} asks for {slots} slots, at most {most} are kept", self.optimizer.name());
        Ok(F::of(rate))
    }

    fn finish(&mut self) {
        if self.state.steps == 0 {
            self.state.rule = self.optimizer.name();
        }
        self.state.steps += 1;
    }

    /// One look at everything a step reads: that the parameters are those of the steps before, that gradients have their
    /// shapes and are finite, and the norm of all gradients where it is needed.
    fn inspect<N: Layer<F> + ?Sized>(&mut self, net: &N) -> Result<f64, Error> {
        let (mut norm, mut count, mut result) = (0.0, 0, Ok(()));
        net.params(&mut |param| {
            if result.is_ok() {
                result = self.inspect_param(param, &mut count, &mut norm);
            }
        });
        result?;
        self.state.admit(count, None)?;
        Ok(norm)
    }

    fn inspect_param(&mut self, param: &Param<F>, count: &mut usize, norm: &mut f64) -> Result<(), Error> {
        let Param { name, role, value, grad, frozen } = param;
        if role.is_trained() {
            self.state.admit(*count, Some((name, value.dim())))?;
            *count += 1;
        }
        if *frozen {
            return Ok(());
        }
        if !role.is_trained() {
            let finite = kernel::all_finite(values(grad));
            return if finite { Ok(()) } else { Err(self.diverged(format!("the next value of {name}"))) };
        }
        if grad.dim() != value.dim() {
            let problem = format!("expected a gradient of shape {:?}, found {:?}", value.dim(), grad.dim());
            return Err(Error::layer(format!("the layer of {name}"), problem));
        }
        self.survey(name, values(grad), norm)
    }

    /// Adds a gradient to the global norm if clipping needs it; finite it has to be in any case.
    fn survey(&self, name: &str, grad: &[F], norm: &mut f64) -> Result<(), Error> {
        let finite = match self.clip {
            Clip::Norm(_) => {
                let part = clip::norm(grad);
                *norm = clip::joined(*norm, part);
                part.is_finite() || kernel::all_finite(grad)
            }
            _ => kernel::all_finite_by(grain(self.is_shared), grad),
        };
        if finite { Ok(()) } else { Err(self.diverged(format!("the gradient of {name}"))) }
    }

    /// The error of the step that is being taken; who has a history adds it.
    pub(crate) fn diverged(&self, what: String) -> Error {
        Error::Diverged { step: self.state.steps + 1, what, history: Box::<History>::default() }
    }
}

/// What is done to a gradient, or a parameter, before the rule sees it.
#[derive(Debug, Clone, Copy)]
struct Preprocess {
    clip: Action,
    decay: WeightDecay,
    is_shared: bool,
}

impl Preprocess {
    /// `scratch ← clipped g + λ p`.
    fn gradient<F: Scalar>(self, param: &[F], grad: &[F], scratch: &mut [F]) {
        self.clip.apply(grad, scratch);
        if let WeightDecay::L2(lambda) = self.decay {
            let lambda = F::of(lambda);
            kernel::vectorize(move || scratch.iter_mut().zip(param).for_each(|(s, &p)| *s += lambda * p));
        }
    }

    /// Whether the rule sees g itself.
    fn keeps_gradient(self) -> bool {
        self.clip == Action::Keep && !matches!(self.decay, WeightDecay::L2(_))
    }

    /// Whether the rule's pass over the parameter is the only one.
    fn is_nothing(self) -> bool {
        self.keeps_gradient() && self.decay == WeightDecay::None
    }
}

impl<F: Scalar> ParamState<F> {
    /// One step, in cache blocks where there are several passes, so that all but the first find a block in the cache.
    fn step<O: Optimizer<F>>(&mut self, rule: &O, rate: F, before: Preprocess, param: &mut [F], grad: &[F]) {
        let count = rule.slots();
        self.slots.resize(count * param.len(), F::zero());
        self.steps += 1;
        let step = Step { number: self.steps, rate };
        let grain = grain(before.is_shared);
        // Where another core has read a parameter, writing it waits for that core, and what is written behind it waits too:
        // it is done for a block together, from a copy, and not between the writes to the slots.
        let copies = before.is_shared && count > 0;
        let size = if before.is_nothing() && !copies { grain } else { kernel::CACHE_BLOCK };
        kernel::for_each_block((size, grain), param, grad, &mut self.slots, count, |param, grad, slots| {
            let mut scratch;
            let grad = if before.keeps_gradient() {
                grad
            } else {
                scratch = [F::zero(); kernel::CACHE_BLOCK];
                before.gradient(param, grad, &mut scratch[..grad.len()]);
                &scratch[..grad.len()]
            };
            if let WeightDecay::Decoupled(lambda) = before.decay {
                let (param, keep) = (&mut *param, F::one() - rate * F::of(lambda));
                kernel::vectorize(move || param.iter_mut().for_each(|p| *p *= keep));
            }
            if copies {
                let copy = &mut [F::zero(); kernel::CACHE_BLOCK][..param.len()];
                copy.copy_from_slice(param);
                rule.update(step, copy, grad, slots);
                param.copy_from_slice(copy);
            } else {
                rule.update(step, param, grad, slots);
            }
            if step.number.is_multiple_of(FLUSH_INTERVAL) {
                slots.iter_mut().for_each(|slot| flush(slot));
            }
        });
    }
}

/// Elements that a thread takes at a time.
fn grain(is_shared: bool) -> usize {
    if is_shared { kernel::SHARED_GRAIN } else { kernel::GRAIN }
}

/// Steps from one flush to the next: so rare that it costs nothing, and few steps of a velocity that dies are slow.
const FLUSH_INTERVAL: u64 = 16;

/// Flushes what is nearly subnormal to zero (below 1e-31 in `f32`): subnormal numbers are slow on many processors, a
/// velocity whose gradient has died would stay among them for ever, and its product with a learning rate gets there
/// first. What is infinite becomes the largest finite number: it would never come back.
fn flush<F: Scalar>(slot: &mut [F]) {
    let (smallest, largest) = (F::min_positive_value() / F::epsilon(), F::max_value());
    kernel::vectorize(move || {
        for s in slot.iter_mut() {
            let value = if s.abs() < smallest { F::zero() } else { *s };
            *s = clamp(value, largest);
        }
    });
}
