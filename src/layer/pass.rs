use crate::rng::Generator;

/// What a training pass knows besides its rows: the generator of everything random.
///
/// Randomness is an argument: layers own no generator, so a pass can be repeated with the same draws, and a run is
/// resumed from a seed and a number of steps.
///
/// ```
/// use gradus::{layer::{Dropout, Layer, Pass}, ndarray::Array2};
/// let mut dropout = Dropout::new(0.5)?;
/// let mut forward = |seed| dropout.forward(Array2::<f32>::ones((4, 8)), &mut Pass::new(&mut gradus::rng(seed)));
/// assert_eq!(forward(1), forward(1));
/// assert_ne!(forward(1), forward(2));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug)]
pub struct Pass<'a> {
    rng: &'a mut Generator,
}

impl<'a> Pass<'a> {
    /// A pass over a whole batch that draws from `rng`.
    pub fn new(rng: &'a mut Generator) -> Self {
        Self { rng }
    }

    /// The generator that layers draw from, one after another.
    pub fn rng(&mut self) -> &mut Generator {
        self.rng
    }
}
