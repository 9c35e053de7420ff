//! Reading a decision out of the last layer, and when it is final.

use micromath::F32Ext;

use crate::model::{Model, Readout};

/// A decision, by the rule of the model's read-out (docs/numerics.md, "Reading out").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Index of the decided class, under [`Model::classes`].
    pub class: usize,
    /// Step of the first output spike, from 0, where the read-out decides by it.
    pub first_spike: Option<u32>,
}

/// What the read-out gathers: an `i64` a neuron of the last layer in two words each, then class,
/// step (from 1; 0: none yet) and strength (an `i64`) of the first spike.
#[derive(Debug)]
pub(crate) struct Scores<'a> {
    sums: &'a mut [u32],
    first: &'a mut [u32],
}

impl<'a> Scores<'a> {
    pub(crate) fn new(words: &'a mut [u32]) -> Self {
        let (sums, first) = words.split_at_mut(words.len().saturating_sub(4));
        Self { sums, first }
    }

    pub(crate) fn clear(&mut self) {
        self.sums.fill(0);
        self.first.fill(0);
    }

    /// The words, in the order in which a saved state has them.
    pub(crate) fn words(&self) -> impl Iterator<Item = u32> {
        self.sums.iter().chain(self.first.iter()).copied()
    }

    /// Takes over saved words that [`check_saved`] has passed.
    pub(crate) fn restore(&mut self, words: &[u32]) {
        let own = self.sums.iter_mut().chain(self.first.iter_mut());
        own.zip(words).for_each(|(own, word)| *own = *word);
    }

    /// Adds a step, `step` counting from 1: the membrane and the spike of each neuron.
    #[inline(always)]
    pub(crate) fn add<const N: usize, const P: u32>(
        &mut self,
        model: &Model<'_, N, P>,
        neurons: impl Iterator<Item = (i32, bool)>,
        step: u32,
    ) {
        let readout = model.readout();
        let counts = matches!(readout, Readout::Count | Readout::Population { .. });
        let sums = self.sums.as_chunks_mut::<2>().0.iter_mut();
        for (neuron, ([low, high], (membrane, spike))) in sums.zip(neurons).enumerate() {
            let value = if counts { spike.into() } else { membrane };
            let sum = join(*low, *high).wrapping_add(value.into());
            (*low, *high) = (sum as u32, (sum >> 32) as u32);
            if spike
                && readout == Readout::FirstSpike
                && let [class, first, best_low, best_high] = self.first
            {
                let strength = i64::from(model.gain(neuron)) * i64::from(membrane);
                let better = *first == step && strength > join(*best_low, *best_high);
                if *first == 0 || better {
                    (*class, *first) = (neuron as u32, step);
                    (*best_low, *best_high) = (strength as u32, (strength >> 32) as u32);
                }
            }
        }
    }

    fn sum(&self, neuron: usize) -> i64 {
        match self.sums.get(2 * neuron..2 * neuron + 2) {
            Some([low, high]) => join(*low, *high),
            _ => 0,
        }
    }
}

/// Whether saved words of a read-out are ones that `steps` steps can have left.
///
/// A network counts no further than to `u32::MAX` steps; behind that nothing bounds the sums, and
/// the read-out wraps.
pub(crate) fn check_saved<const N: usize, const P: u32>(
    model: &Model<'_, N, P>,
    words: &[u32],
    steps: u32,
) -> Result<(), &'static str> {
    let (sums, first) = words.split_at(words.len().saturating_sub(4));
    let membrane = model.last().map(|last| last.spec().membrane.range());
    let (min, max) = membrane.unwrap_or((0, 0));
    let (low, high) = match model.readout() {
        Readout::Count | Readout::Population { .. } => (0, 1),
        Readout::Membrane | Readout::FirstSpike => (min.into(), max.into()),
    };
    let range = i64::from(steps) * low..=i64::from(steps) * high;
    let (pairs, _) = sums.as_chunks::<2>();
    let inside = |[low, high]: &[u32; 2]| range.contains(&join(*low, *high));
    if steps < u32::MAX && !pairs.iter().all(inside) {
        return Err("a sum that so many steps cannot give");
    }
    let possible = match *first {
        [0, 0, 0, 0] => true,
        [class, step, low, high] => {
            let most = i64::from(model.gain(class as usize)) * i64::from(max);
            model.readout() == Readout::FirstSpike
                && (class as usize) < model.classes()
                && (1..=steps).contains(&step)
                && (1..=most).contains(&join(low, high))
        }
        _ => false,
    };
    possible
        .then_some(())
        .ok_or("a first spike that cannot have been")
}

fn join(low: u32, high: u32) -> i64 {
    (u64::from(high) << 32 | u64::from(low)) as i64
}

/// Score of a class: spikes, or the summed membrane times the class's gain.
pub(crate) fn score<const N: usize, const P: u32>(
    model: &Model<'_, N, P>,
    scores: &Scores<'_>,
    class: usize,
) -> i64 {
    match model.readout() {
        Readout::Count => scores.sum(class),
        Readout::Membrane | Readout::FirstSpike => {
            i64::from(model.gain(class)).wrapping_mul(scores.sum(class))
        }
        Readout::Population { .. } => {
            let units = model.last().map_or(0, crate::model::Layer::units);
            let size = units / model.classes().max(1);
            (class * size..(class + 1) * size)
                .fold(0, |sum: i64, neuron| sum.wrapping_add(scores.sum(neuron)))
        }
    }
}

/// The decision: the largest score, ties to the lowest index; by the first spike where there is
/// one and the read-out asks for it.
pub(crate) fn decide<const N: usize, const P: u32>(
    model: &Model<'_, N, P>,
    scores: &Scores<'_>,
) -> Decision {
    if model.readout() == Readout::FirstSpike
        && let [class, step, ..] = *scores.first
        && step > 0
    {
        return Decision {
            class: class as usize,
            first_spike: Some(step - 1),
        };
    }
    Decision {
        class: leader(model.classes(), |class| score(model, scores, class)),
        first_spike: None,
    }
}

/// The class with the largest score, ties to the lowest index; 0 where there are no classes.
///
/// ```
/// use bitspike_core::decode::leader;
/// let spikes = [3, 5, 5];
/// assert_eq!(leader(3, |class| spikes[class]), 1);
/// ```
pub fn leader(classes: usize, score: impl Fn(usize) -> i64) -> usize {
    let (mut class, mut best) = (0, i64::MIN);
    for other in 0..classes {
        let score = score(other);
        if score > best {
            (class, best) = (other, score);
        }
    }
    class
}

/// Whether the [`leader`] stays the leader whatever comes, where each score can still grow by 0 to
/// `most` and none can fall.
///
/// So it is where the leader is ahead of every class with a lower index by more than `most`, and of
/// every other class by at least `most`: an equal score goes to the lower index. With `R` steps
/// left, `most` is `R` for the read-out `count` and `R` times the group's size for `population`.
/// One comparison a class.
///
/// ```
/// use bitspike_core::decode::leads_for_good;
/// let spikes = [3, 7, 4];
/// assert!(leads_for_good(3, |class| spikes[class], 3));
/// // In four steps class 0 can draw level, and has the lower index.
/// assert!(!leads_for_good(3, |class| spikes[class], 4));
/// ```
pub fn leads_for_good(classes: usize, score: impl Fn(usize) -> i64, most: i64) -> bool {
    let leader = leader(classes, &score);
    let best = score(leader);
    (0..classes).all(|class| {
        let ahead = best.saturating_sub(score(class));
        class == leader || ahead > most || (class > leader && ahead == most)
    })
}

/// Whether the decision after `steps` steps is the one after all steps of the model.
pub(crate) fn is_final<const N: usize, const P: u32>(
    model: &Model<'_, N, P>,
    scores: &Scores<'_>,
    steps: u32,
) -> bool {
    let left = model.steps().saturating_sub(steps);
    let units = model.last().map_or(0, crate::model::Layer::units);
    let group = match model.readout() {
        _ if left == 0 => return true,
        Readout::Membrane => return false,
        Readout::FirstSpike => return matches!(*scores.first, [_, step, ..] if step > 0),
        Readout::Count => 1,
        Readout::Population { .. } => units / model.classes().max(1),
    };
    let most = i64::from(left).saturating_mul(group as i64);
    leads_for_good(model.classes(), |class| score(model, scores, class), most)
}

/// Softmax at the decided class.
pub(crate) fn confidence<const N: usize, const P: u32>(
    model: &Model<'_, N, P>,
    scores: &Scores<'_>,
) -> f32 {
    // The scale is finite; a product beyond `f32` must not become infinity minus infinity.
    let logit = |class| finite(score(model, scores, class) as f32 * model.logit_scale());
    let largest = (0..model.classes())
        .map(logit)
        .fold(f32::MIN, |a, b| if b.total_cmp(&a).is_gt() { b } else { a });
    let sum: f32 = (0..model.classes())
        .map(|class| exp(logit(class) - largest))
        .sum();
    exp(logit(decide(model, scores).class) - largest) / sum
}

/// `e^x` for `x` at most 0; micromath's approximation leaves the range of `f32` below -87.
fn exp(x: f32) -> f32 {
    // Of two numbers at most 0 the smaller one has the larger bits.
    if x.to_bits() > (-80f32).to_bits() {
        0.0
    } else {
        F32Ext::exp(x)
    }
}

/// The largest finite number of its sign in place of infinity.
fn finite(x: f32) -> f32 {
    let infinite = x.to_bits() << 1 == f32::INFINITY.to_bits() << 1;
    f32::from_bits(x.to_bits() - u32::from(infinite))
}
