//! What is measured of a training: when the averaged membrane crosses the threshold.

use serde::Serialize;

use super::{Condition, Observation, SPIKE_STEP};

/// Iterations of the moving average, as in the reference.
///
/// The reference's filter runs over the time steps by mistake; this one runs over the iterations,
/// as the paper says.
pub const WINDOW: usize = 5;

/// The last iterations that are judged.
const JUDGED: usize = 100;

/// How far from [`SPIKE_STEP`] a spike may be.
pub const TOLERANCE: usize = 2;

/// Mean membrane of the iterations up to and with `index`, at most [`WINDOW`] of them.
pub fn averaged(observations: &[Observation], index: usize) -> Vec<f32> {
    let window = &observations[(index + 1).saturating_sub(WINDOW)..=index];
    let steps = observations[index].membrane.len();
    let mean = |step| {
        let sum: f32 = window.iter().map(|o| o.membrane[step]).sum();
        sum / window.len() as f32
    };
    (0..steps).map(mean).collect()
}

/// The steps at which a membrane is above the threshold.
pub fn spikes(membrane: &[f32], threshold: f32) -> Vec<usize> {
    let above = membrane.iter().enumerate().filter(|(_, u)| **u > threshold);
    above.map(|(step, _)| step).collect()
}

/// Whether the averaged membrane of an iteration crosses the threshold, and for the first time
/// within [`TOLERANCE`] steps of [`SPIKE_STEP`].
pub fn in_time(observations: &[Observation], index: usize) -> bool {
    let fired = spikes(
        &averaged(observations, index),
        observations[index].threshold,
    );
    fired
        .first()
        .is_some_and(|first| first.abs_diff(SPIKE_STEP) <= TOLERANCE)
}

/// What a network reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reached {
    /// Which network.
    pub condition: Condition,
    /// Iterations of its training.
    pub iterations: usize,
    /// Mean squared error of the last iteration.
    pub error: f32,
    /// Threshold in the last iteration.
    pub threshold: f32,
    /// Spikes a hidden neuron and step in the last iteration.
    pub hidden_rate: f32,
    /// Steps at which the output fired in the last iteration.
    pub spike_steps: Vec<usize>,
    /// Steps at which the membrane averaged over the last iterations is above the threshold.
    pub averaged_spike_steps: Vec<usize>,
    /// Whether the first of those is within two steps of 75.
    pub in_time: bool,
    /// In which part of the last 100 iterations that was so.
    pub in_time_share: f32,
}

impl Reached {
    /// Judges a training; `None` of an empty one.
    pub fn of(condition: Condition, observations: &[Observation]) -> Option<Self> {
        let index = observations.len().checked_sub(1)?;
        let last = &observations[index];
        let judged = observations.len().saturating_sub(JUDGED)..observations.len();
        let count = judged.len() as f32;
        let right = judged.filter(|&i| in_time(observations, i)).count();
        Some(Self {
            condition,
            iterations: observations.len(),
            error: last.error,
            threshold: last.threshold,
            hidden_rate: last.hidden_rate,
            spike_steps: spikes(&last.membrane, last.threshold),
            averaged_spike_steps: spikes(&averaged(observations, index), last.threshold),
            in_time: in_time(observations, index),
            in_time_share: right as f32 / count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temporal::STEPS;

    /// An output that is 0 but at one step.
    fn observation(step: usize, value: f32) -> Observation {
        let mut membrane = vec![0.0; STEPS];
        membrane[step] = value;
        Observation {
            error: 0.0,
            threshold: 1.0,
            hidden_rate: 0.0,
            membrane,
        }
    }

    #[test]
    fn the_average_is_over_the_last_iterations() {
        let observations: Vec<_> = (0..7).map(|i| observation(10, i as f32)).collect();
        assert_eq!(averaged(&observations, 0)[10], 0.0);
        assert_eq!(averaged(&observations, 1)[10], 0.5);
        assert_eq!(averaged(&observations, 6)[10], 4.0);
        assert_eq!(averaged(&observations, 6)[11], 0.0);
    }

    #[test]
    fn only_a_first_crossing_near_the_step_is_in_time() {
        let at = |step, value| in_time(&[observation(step, value)], 0);
        assert!(at(73, 1.1) && at(75, 1.1) && at(77, 1.1));
        assert!(!at(72, 1.1) && !at(78, 1.1) && !at(75, 1.0));
        let mut early = observation(75, 1.1);
        early.membrane[20] = 1.1;
        assert!(!in_time(&[early], 0));
    }

    #[test]
    fn the_judgement_counts_the_last_hundred() -> Result<(), &'static str> {
        let silent = (0..100).map(|_| observation(75, 0.0));
        let firing = (0..50).map(|_| observation(75, 2.0));
        let observations: Vec<_> = silent.chain(firing).collect();
        let reached = Reached::of(Condition::Float, &observations).ok_or("no judgement")?;
        // The average of one and of two firing iterations of five is not above the threshold yet.
        assert_eq!(reached.in_time_share, 0.48);
        assert_eq!(reached.averaged_spike_steps, [75]);
        assert!(Reached::of(Condition::Float, &[]).is_none());
        Ok(())
    }
}
