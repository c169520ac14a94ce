use crate::error::Error;

/// All the state of an [`Updater`](super::Updater), to be kept and restored: the next step then has the same bits.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdaterState<F> {
    /// The name of the rule; empty before the first step.
    pub rule: String,
    /// How many steps were taken.
    pub steps: u64,
    /// The loss of every epoch, which schedules go by.
    pub losses: Vec<f64>,
    /// One entry for each parameter, in the network's order; frozen ones too.
    pub parameters: Vec<ParamState<F>>,
}

impl<F> Default for UpdaterState<F> {
    fn default() -> Self {
        Self { rule: String::new(), steps: 0, losses: Vec::new(), parameters: Vec::new() }
    }
}

/// What the optimizer keeps for one parameter.
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

impl<F> ParamState<F> {
    pub(crate) fn new(name: &str, shape: (usize, usize)) -> Self {
        Self { name: name.to_string(), shape, steps: 0, slots: Vec::new() }
    }

    /// A frozen parameter has no state; when it is unfrozen, it begins again.
    pub(super) fn forget(&mut self) {
        (self.steps, self.slots) = (0, Vec::new());
    }
}

impl<F> UpdaterState<F> {
    /// Whether a rule of this name and number of slots can go on from here.
    pub(super) fn check(&self, rule: &str, slots: usize) -> Result<(), Error> {
        if self.steps > 0 && self.rule != rule {
            return Err(Error::invalid("the optimizer's state, rule", rule, &self.rule));
        }
        for ParamState { name, shape, steps, slots: found } in &self.parameters {
            let expected = slots.saturating_mul(shape.0).saturating_mul(shape.1);
            if found.len() != expected && (*steps > 0 || !found.is_empty()) {
                return Err(Error::invalid(
                    format!("the optimizer's state, numbers for {name}"),
                    expected,
                    found.len(),
                ));
            }
        }
        Ok(())
    }

    /// Whether `found` is the parameter at place `i`, by its shape; before the first step it is added.
    #[inline]
    pub(super) fn admit(&mut self, i: usize, found: Option<(&str, (usize, usize))>) -> Result<(), Error> {
        if self.steps == 0 {
            self.parameters.truncate(i);
            self.parameters.extend(found.map(|(name, shape)| ParamState::new(name, shape)));
            return Ok(());
        }
        let expected = self.parameters.get(i);
        if expected.map(|state| state.shape) == found.map(|(_, shape)| shape) {
            Ok(())
        } else {
            Err(mismatch(i, expected, found))
        }
    }
}

#[cold]
fn mismatch<F>(i: usize, expected: Option<&ParamState<F>>, found: Option<(&str, (usize, usize))>) -> Error {
    let show = |it: Option<(&str, (usize, usize))>| {
        it.map_or("no parameter".to_string(), |(name, shape)| format!("{name} {shape:?}"))
    };
    let what = format!("parameter {i} (the optimizer has state for another one)");
    Error::invalid(what, show(expected.map(|state| (&*state.name, state.shape))), show(found))
}
