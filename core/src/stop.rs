//! The exact early stop: a decision ends at the step after which nothing can change it.

use crate::decode::{self, Decision};
use crate::model::Input;
use crate::network::Network;

impl<const LAYERS: usize, const PARTS: u32> Network<'_, LAYERS, PARTS> {
    /// Whether the [`decision`](Self::decision) is already the one after all of the model's steps,
    /// whatever the inputs to come.
    ///
    /// By count and population: where the leader's lead passes what the steps left can give another
    /// class ([`decode::leads_for_good`]). By first spike: from the first output spike on. By
    /// membrane: after the last step only. A comparison a class.
    ///
    /// Of use where every step has an input of its own; for one static input see
    /// [`run_until_final`](Self::run_until_final).
    pub fn is_final(&self) -> bool {
        decode::is_final(self.model(), &self.scores, self.step)
    }

    /// As [`run`](Self::run), but ends at the first step after which the decision is final: the same
    /// decision always, and the number of steps that it took, 1 to the model's.
    ///
    /// Scores and confidence are then those of the steps run, and may differ from those after all
    /// steps; so do spikes and membranes.
    ///
    /// ```
    /// # use bitspike_core::model::{Model, pack_words};
    /// # use bitspike_core::network::Network;
    /// # static FILE: [u32; 92] = pack_words(include_bytes!("../tests/models/v1-mixed.bsnn"));
    /// # let model = Model::new(&FILE)?;
    /// # let mut memory = vec![0; model.sizes().memory_words()];
    /// let mut network = Network::new(&model, &mut memory)?;
    /// let input = model.input(&[200; 36])?;
    /// let (decision, steps) = network.run_until_final(input);
    /// assert!(steps <= model.steps());
    /// assert_eq!(decision, network.run(input));
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    pub fn run_until_final(&mut self, input: Input<'_>) -> (Decision, u32) {
        self.reset();
        self.load(input);
        while self.step < self.model().steps() {
            self.advance(input, &mut |_| {});
            if self.is_final() {
                break;
            }
        }
        (self.decision(), self.step)
    }
}
