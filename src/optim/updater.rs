use std::collections::BTreeMap;

use super::clip::{self, Action, Clip};
use super::{Optimizer, Schedule, WeightDecay};
use crate::error::{Error, require};
use crate::kernel;
use crate::layer::{Layer, Param, Role, values, values_mut};
use crate::scalar::Scalar;

/// Drives an [`Optimizer`]: owns the step count and the state, and does once for all rules what each would
/// otherwise do for itself: schedules, clipping, weight decay, blocks, threads, and every sixteenth step bringing the
/// state back to where numbers are fast: what is all but subnormal becomes zero, what is infinite the largest number.
///
/// One updater belongs to one network (or one slice): it remembers the shapes of the first step and refuses others.
///
/// ```
/// use gradus::{Momentum, Updater};
///
/// // f(x, y) = x²/20 + y², from (-7, 2)
/// let mut updater = Updater::new(Momentum { learning_rate: 0.1, ..Momentum::default() });
/// let mut p = [-7.0_f64, 2.0];
/// for _ in 0..100 {
///     let gradient = [p[0] / 10.0, 2.0 * p[1]];
///     updater.step_slice(&mut p, &gradient)?;
/// }
/// assert!(p[0].abs() < 0.1 && p[1].abs() < 0.1);
/// # Ok::<(), gradus::Error>(())
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
/// use gradus::{Layer, Loss, ndarray::Array2, prelude::*};
/// # let mut net = Sequential::<f64>::mlp(64, &[10], 10).build(&mut gradus::rng(1))?;
/// # let mut whole = Sequential::<f64>::mlp(64, &[10], 10).build(&mut gradus::rng(1))?;
/// # let data = Digits::load()?;
/// # let data = data.take(80)?;
/// let mut updater = Updater::new(SGD::default());
/// let mut sums: Vec<Array2<f64>> = Vec::new();
/// let parts = 4; // of equal size
/// for batch in data.batches(data.len() / parts)? {
///     let output = net.forward(batch.rows);
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
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Updater<F, O> {
    /// The rule, with its hyper-parameters; they may change between steps. A schedule sets the learning rate anew
    /// before each.
    pub optimizer: O,
    weight_decay: Option<WeightDecay>,
    decayed: Vec<Role>,
    clip: Clip,
    schedule: Option<Box<dyn Schedule>>,
    state: UpdaterState<F>,
}

/// All that an [`Updater`] has gathered, to be kept and given back: the next step has the same bits.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdaterState<F> {
    /// How many steps were taken.
    pub steps: u64,
    /// One for each parameter, in the network's order; those that are frozen too.
    pub parameters: Vec<ParamState<F>>,
}

/// What an updater was before a learning-rate range test.
#[derive(Debug)]
pub(crate) struct Paused<F> {
    state: UpdaterState<F>,
    schedule: Option<Box<dyn Schedule>>,
    learning_rate: F,
}

/// What one parameter has gathered.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamState<F> {
    /// Its name at the first step.
    pub name: String,
    /// Its shape.
    pub shape: (usize, usize),
    /// How many steps it was part of since its state was made: what the rule counts by.
    pub steps: u64,
    /// The rule's slots one after another, each as long as the parameter; empty while it is frozen.
    pub slots: Vec<F>,
}

impl<F: Scalar, O: Optimizer<F>> Updater<F, O> {
    /// A driver at step 0: the rule's own learning rate and weight decay, no clipping.
    pub fn new(optimizer: O) -> Self {
        Self {
            optimizer,
            weight_decay: None,
            decayed: vec![Role::Weight],
            clip: Clip::None,
            schedule: None,
            state: UpdaterState { steps: 0, parameters: Vec::new() },
        }
    }

    /// Decays weights with every step. Takes the place of what the rule brings along (AdamW does).
    pub fn weight_decay(mut self, decay: WeightDecay) -> Self {
        self.weight_decay = Some(decay);
        self
    }

    /// Decays the parameters of these roles: `[Role::Weight]` where nothing is said.
    pub fn decay_roles(mut self, roles: &[Role]) -> Self {
        self.decayed = roles.to_vec();
        self
    }

    /// Clips the gradients of every step.
    pub fn clip(mut self, clip: Clip) -> Self {
        self.clip = clip;
        self
    }

    /// Sets the learning rate before every step.
    pub fn schedule(mut self, schedule: impl Schedule + 'static) -> Self {
        self.schedule = Some(Box::new(schedule));
        self
    }

    /// Tells the schedule an epoch's loss; only [`ReduceOnPlateau`](crate::ReduceOnPlateau) listens.
    /// [`Trainer::fit`](crate::Trainer::fit) does it by itself.
    pub fn observe(&mut self, loss: f64) {
        if let Some(schedule) = &mut self.schedule {
            schedule.observe(loss);
        }
    }

    /// How many steps were taken.
    pub fn steps(&self) -> u64 {
        self.state.steps
    }

    /// All that was gathered by the steps until now.
    pub fn state(&self) -> &UpdaterState<F> {
        &self.state
    }

    /// Goes on from a state kept before.
    ///
    /// ```
    /// use gradus::{Adam, Updater};
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
    /// [`Error::State`] where a parameter has not as many numbers as the rule keeps.
    pub fn restore(&mut self, state: UpdaterState<F>) -> Result<(), Error> {
        for ParamState { name, shape, slots, .. } in &state.parameters {
            let expected = self.optimizer.slots().saturating_mul(shape.0).saturating_mul(shape.1);
            if slots.len() != expected && !slots.is_empty() {
                return Err(Error::State {
                    parameter: name.clone(),
                    expected: format!("{} numbers", slots.len()),
                    found: format!("{expected} of {}", self.optimizer.name()),
                });
            }
        }
        self.state = state;
        Ok(())
    }

    /// Back to step 0, without a schedule, until [`resume`](Self::resume).
    pub(crate) fn pause(&mut self) -> Paused<F> {
        let empty = UpdaterState { steps: 0, parameters: Vec::new() };
        Paused {
            state: std::mem::replace(&mut self.state, empty),
            schedule: self.schedule.take(),
            learning_rate: self.optimizer.learning_rate(),
        }
    }

    /// As it was before.
    pub(crate) fn resume(&mut self, paused: Paused<F>) {
        (self.state, self.schedule) = (paused.state, paused.schedule);
        self.optimizer.set_learning_rate(paused.learning_rate);
    }

    /// What the schedule has gathered.
    pub(crate) fn schedule_state(&self) -> Vec<f64> {
        self.schedule.as_ref().map_or(Vec::new(), |schedule| schedule.state())
    }

    /// What makes the steps what they are, in words: a resumed run has to have the same.
    /// A schedule is told from another by its rates at some of the `steps` that were taken.
    pub(crate) fn settings(&self, steps: u64) -> BTreeMap<String, String> {
        let last = steps.saturating_sub(1);
        let schedule = self.schedule.as_ref().map_or("none".into(), |schedule| {
            let rates = [0, last / 2, last].map(|step| format!("{:.6e}", schedule.rate(step)));
            format!("{} with rates {}", schedule.name(), rates.join(", "))
        });
        let settings = [
            ("optimizer", format!("{:?}", self.optimizer)),
            ("weight decay", format!("{:?} of {:?}", self.decay(), self.decayed)),
            ("clipping", format!("{:?}", self.clip)),
            ("schedule", schedule),
        ];
        settings.map(|(what, value)| (what.to_string(), value)).into()
    }

    /// Gives the schedule back what it had gathered.
    pub(crate) fn restore_schedule(&mut self, state: &[f64]) -> Result<(), Error> {
        self.schedule.as_mut().map_or(Ok(()), |schedule| schedule.restore(state))
    }

    /// One step on every trained parameter of a network, by the gradients of its last `backward`.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] where the rule, decay, clipping or schedule is out of its range, [`Error::State`]
    /// where the network is not of the shape of the steps before, [`Error::Contract`] where a gradient is not of the
    /// shape of its parameter. No parameter and no state is changed then.
    ///
    /// # Panics
    /// The rule asks for more than 8 slots.
    pub fn step<N: Layer<F> + ?Sized>(&mut self, net: &mut N) -> Result<(), Error> {
        check_gradients(net)?;
        self.begin(|show| {
            net.params(&mut |param| {
                if param.role.is_trained() {
                    show(&param.name, param.value.dim());
                }
            });
        })?;
        let (decay, decayed, rule) = (self.decay(), &self.decayed, &self.optimizer);
        let clip = self.clip.action(|| global_norm(net));
        let mut states = self.state.parameters.iter_mut();
        net.params_mut(&mut |param| {
            if !param.role.is_trained() {
                return;
            }
            let state = states.next().expect("one state a parameter, just prepared");
            if param.frozen {
                state.forget();
                return;
            }
            let decay = if decayed.contains(&param.role) { decay } else { WeightDecay::None };
            let Param { value, grad, .. } = param;
            state.step(rule, Before { clip, decay }, values_mut(value), values(grad));
        });
        self.state.steps += 1;
        Ok(())
    }

    /// One step on bare numbers; weight decay takes them for weights.
    ///
    /// # Errors
    /// As [`step`](Self::step), and where there are not as many gradients as parameters.
    ///
    /// # Panics
    /// The rule asks for more than 8 slots.
    pub fn step_slice(&mut self, param: &mut [F], grad: &[F]) -> Result<(), Error> {
        if param.len() != grad.len() {
            let what = "gradients (one a parameter)".to_string();
            return Err(Error::Mismatch { what, expected: param.len(), found: grad.len() });
        }
        self.begin(|show| show("the slice", (1, param.len())))?;
        let before = Before { clip: self.clip.action(|| clip::norm(grad)), decay: self.decay() };
        self.state.parameters[0].step(&self.optimizer, before, param, grad);
        self.state.steps += 1;
        Ok(())
    }

    /// `½ λ Σ W²`, what [`WeightDecay::L2`] adds to the loss.
    pub fn penalty<N: Layer<F> + ?Sized>(&self, net: &N) -> f64 {
        let WeightDecay::L2(lambda) = self.decay() else { return 0.0 };
        let mut sum = 0.0;
        net.params(&mut |param| {
            if param.role.is_trained() && self.decayed.contains(&param.role) {
                sum += kernel::sum_of_squares(values(&param.value));
            }
        });
        0.5 * lambda * sum
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        self.optimizer.check().map_err(|error| error.of(&self.optimizer.name()))?;
        self.clip.check()?;
        self.check_schedule()?;
        let lambda = self.decay().lambda();
        require(lambda >= 0.0 && lambda.is_finite(), "weight decay", "a finite value of at least 0", lambda)
    }

    fn check_schedule(&self) -> Result<(), Error> {
        let Some(schedule) = &self.schedule else { return Ok(()) };
        schedule.check().map_err(|error| error.of(&schedule.name()))
    }

    fn decay(&self) -> WeightDecay {
        self.weight_decay.unwrap_or_else(|| self.optimizer.weight_decay())
    }

    /// What comes before a step on the parameters that `each` shows (name and shape).
    fn begin(&mut self, each: impl FnOnce(&mut dyn FnMut(&str, (usize, usize)))) -> Result<(), Error> {
        self.check_schedule()?;
        if let Some(schedule) = &self.schedule {
            self.optimizer.set_learning_rate(F::of(schedule.rate(self.state.steps)));
        }
        self.check()?;
        let slots = self.optimizer.slots();
        let most = kernel::MAX_SLOTS;
        assert!(slots <= most, "{} asks for {slots} slots, at most {most} are kept", self.optimizer.name());
        self.prepare(each)
    }

    /// The first step makes the state, later ones hold the shapes against it.
    fn prepare(&mut self, each: impl FnOnce(&mut dyn FnMut(&str, (usize, usize)))) -> Result<(), Error> {
        let states = &mut self.state.parameters;
        if self.state.steps == 0 {
            states.clear();
            each(&mut |name, shape| states.push(ParamState::new(name, shape)));
            return Ok(());
        }
        let (mut left, mut result) = (states.iter(), Ok(()));
        let mut compare = |found: Option<(&str, (usize, usize))>| {
            let expected = left.next();
            if result.is_ok() && expected.map(|state| state.shape) != found.map(|(_, shape)| shape) {
                result = Err(mismatch(expected, found));
            }
        };
        each(&mut |name, shape| compare(Some((name, shape))));
        compare(None);
        result
    }
}

/// The 2-norm of all gradients of trained parameters, one parameter after another.
fn global_norm<F: Scalar, N: Layer<F> + ?Sized>(net: &N) -> f64 {
    let mut norm = 0.0_f64;
    net.params(&mut |param| {
        if param.is_trained() {
            norm = norm.hypot(clip::norm(values(&param.grad)));
        }
    });
    norm
}

/// Whether gradients are of the shape of their parameters.
fn check_gradients<F: Scalar, N: Layer<F> + ?Sized>(net: &N) -> Result<(), Error> {
    let mut result = Ok(());
    net.params(&mut |param| {
        let (expected, found) = (param.value.dim(), param.grad.dim());
        if result.is_ok() && param.is_trained() && found != expected {
            let problem = format!("expected a gradient of shape {expected:?}, found {found:?}");
            result = Err(Error::Contract { layer: format!("the layer of {}", param.name), problem });
        }
    });
    result
}

fn mismatch<F>(expected: Option<&ParamState<F>>, found: Option<(&str, (usize, usize))>) -> Error {
    let said =
        |it: Option<(&str, (usize, usize))>| it.map_or("none".into(), |(name, shape)| format!("{name} {shape:?}"));
    let expected = expected.map(|state| (&*state.name, state.shape));
    let parameter = found.or(expected).map_or(String::new(), |(name, _)| name.to_string());
    Error::State { parameter, expected: said(expected), found: said(found) }
}

/// What is done to a gradient, or a parameter, before the rule sees it.
#[derive(Debug, Clone, Copy)]
struct Before {
    clip: Action,
    decay: WeightDecay,
}

impl Before {
    /// `scratch ← clipped g + λ p`.
    fn gradient<F: Scalar>(self, param: &[F], grad: &[F], scratch: &mut [F]) {
        self.clip.apply(grad, scratch);
        if let WeightDecay::L2(lambda) = self.decay {
            let lambda = F::of(lambda);
            kernel::vectorize(move || scratch.iter_mut().zip(param).for_each(|(s, &p)| *s += lambda * p));
        }
    }

    /// Whether that is g itself.
    fn keeps_gradient(self) -> bool {
        self.clip == Action::Keep && !matches!(self.decay, WeightDecay::L2(_))
    }

    /// Whether the rule's pass over the parameter is the only one.
    fn is_nothing(self) -> bool {
        self.keeps_gradient() && self.decay == WeightDecay::None
    }
}

impl<F: Scalar> ParamState<F> {
    fn new(name: &str, shape: (usize, usize)) -> Self {
        Self { name: name.to_string(), shape, steps: 0, slots: Vec::new() }
    }

    /// A frozen parameter has no state; should it thaw, it begins anew.
    fn forget(&mut self) {
        (self.steps, self.slots) = (0, Vec::new());
    }

    /// One step, block by block where there are several passes, so that all but the first find a block in the cache.
    fn step<O: Optimizer<F>>(&mut self, rule: &O, before: Before, param: &mut [F], grad: &[F]) {
        let count = rule.slots();
        self.slots.resize(count * param.len(), F::zero());
        self.steps += 1;
        let number = self.steps;
        let size = if before.is_nothing() { kernel::GRAIN } else { kernel::CACHE_BLOCK };
        kernel::for_each_block(size, param, grad, &mut self.slots, count, |param, grad, slots| {
            let mut scratch;
            let grad = if before.keeps_gradient() {
                grad
            } else {
                scratch = [F::zero(); kernel::CACHE_BLOCK];
                before.gradient(param, grad, &mut scratch[..grad.len()]);
                &scratch[..grad.len()]
            };
            if let WeightDecay::Decoupled(lambda) = before.decay {
                let (param, keep) = (&mut *param, F::one() - rule.learning_rate() * F::of(lambda));
                kernel::vectorize(move || param.iter_mut().for_each(|p| *p *= keep));
            }
            rule.update(number, param, grad, slots);
            if number.is_multiple_of(TAMED_EVERY) {
                slots.iter_mut().for_each(|slot| tame(slot));
            }
        });
    }
}

/// Steps from one taming to the next: so rare that it costs nothing, and few steps of a velocity that dies are slow.
const TAMED_EVERY: u64 = 16;

/// What is all but subnormal becomes zero (1e-31 in `f32`): subnormal numbers are slow on many processors, a velocity
/// whose gradient has died would stay among them for ever, and its product with a learning rate gets there before it.
/// Infinite ones become the largest finite number: they would never come back.
fn tame<F: Scalar>(slot: &mut [F]) {
    let (smallest, largest) = (F::min_positive_value() / F::epsilon(), F::max_value());
    kernel::vectorize(move || {
        for s in slot.iter_mut() {
            let value = if s.abs() < smallest { F::zero() } else { *s };
            *s = super::bounded(value, largest);
        }
    });
}
