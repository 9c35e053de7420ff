//! Annealing of firing thresholds: from an initial to a final value over the updates.

use serde::{Deserialize, Serialize};

/// How a threshold moves from its initial to its final value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// `theta += (theta_final - theta) * rate` after every update, the paper's rule.
    Exponential,
    /// In equal steps, reaching the final value with the last update.
    Linear,
    /// Along half a cosine, reaching the final value with the last update.
    Cosine,
    /// At the final value from the start of the annealing.
    Step,
    /// At the initial value for good.
    None,
}

/// The annealing of one layer's threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Annealing {
    /// The rule.
    pub schedule: Schedule,
    /// Threshold before the annealing starts.
    pub initial: f32,
    /// Threshold that it moves to.
    pub last: f32,
    /// Part of the remaining way that an update covers (exponential only).
    pub rate: f32,
    /// Updates after which the threshold starts to move.
    pub start: u64,
    /// Updates of the whole training.
    pub total: u64,
}

impl Annealing {
    /// The threshold after update number `done` (1 for the first), from the one before it.
    pub fn next(&self, threshold: f32, done: u64) -> f32 {
        if done <= self.start {
            return threshold;
        }
        let way = self.last - self.initial;
        let part = (done - self.start) as f32 / (self.total - self.start).max(1) as f32;
        let part = part.min(1.0);
        match self.schedule {
            Schedule::Exponential => threshold + (self.last - threshold) * self.rate,
            Schedule::Linear => self.initial + way * part,
            Schedule::Cosine => {
                self.initial + way * 0.5 * (1.0 - (part * std::f32::consts::PI).cos())
            }
            Schedule::Step => self.last,
            Schedule::None => threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(schedule: Schedule) -> Vec<f32> {
        let (initial, last) = (1.0, 3.0);
        let annealing = Annealing {
            schedule,
            initial,
            last,
            rate: 0.5,
            start: 2,
            total: 6,
        };
        let next = |threshold: &mut f32, done| {
            *threshold = annealing.next(*threshold, done);
            Some(*threshold)
        };
        (1..=6).scan(initial, next).collect()
    }

    #[test]
    fn exponential_halves_what_remains() {
        assert_eq!(
            run(Schedule::Exponential),
            [1.0, 1.0, 2.0, 2.5, 2.75, 2.875]
        );
    }

    #[test]
    fn linear_arrives_with_the_last_update() {
        assert_eq!(run(Schedule::Linear), [1.0, 1.0, 1.5, 2.0, 2.5, 3.0]);
    }

    #[test]
    fn cosine_is_half_way_in_the_middle_and_arrives() {
        let thresholds = run(Schedule::Cosine);
        assert_eq!(thresholds[..2], [1.0, 1.0]);
        assert!((thresholds[3] - 2.0).abs() < 1e-6);
        assert!(thresholds[2] - thresholds[1] < thresholds[3] - thresholds[2]);
        assert_eq!(thresholds[5], 3.0);
    }

    #[test]
    fn step_jumps_at_the_start() {
        assert_eq!(run(Schedule::Step), [1.0, 1.0, 3.0, 3.0, 3.0, 3.0]);
    }

    #[test]
    fn none_stays() {
        assert_eq!(run(Schedule::None), [1.0; 6]);
    }
}
