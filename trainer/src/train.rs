//! The training loop: updates, epochs, and where it stands, so that it can stop and go on.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use candle_core::Device;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::assess::{assess, count_correct, predictions};
use crate::batch::{Augmentation, batch};
use crate::config::{Config, Decay, Every};
use crate::data::{Samples, Splits};
use crate::loss::Criterion;
use crate::net::{Mode, Network};
use crate::optim::{LearningRate, Move, clip};
use crate::run::{RunDir, data_digest};
use crate::seed::{Purpose, stream};
use crate::{Error, Result};

/// About how many points the history of the thresholds has.
const HISTORY_POINTS: u64 = 200;

/// A process that is killed loses at most about so much work: checkpoints are written after each
/// epoch, and within one at this interval. They change nothing of what is computed.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// The thresholds of the layers that fire, after an update, `(update, thresholds)`, over the training.
pub type ThresholdHistory = Vec<(u64, Vec<f32>)>;

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// The epoch, 1 for the first.
    pub epoch: u64,
    /// Mean loss over the epoch's training samples.
    pub loss: f64,
    /// Part of the epoch's (augmented) training samples whose class was found.
    pub train_accuracy: f64,
    /// Part of the validation samples whose class was found, by the float network.
    pub validation_accuracy: f64,
    /// Firing thresholds, by layer that fires.
    pub thresholds: Vec<f32>,
    /// Spikes a unit and step on the validation samples, by layer that fires.
    pub firing_rates: Vec<f64>,
    /// Units that never fired on the validation samples, by layer that fires.
    pub dead_neurons: Vec<usize>,
    /// Since which update a layer has not fired once in a batch, by layer that fires.
    #[serde(default)]
    pub silent_since: Vec<Option<u64>>,
    /// Learning rate of the epoch's last update.
    pub learning_rate: f32,
    /// Seconds that the epoch took, validation included.
    pub seconds: f64,
}

/// Where a training stands; with the network's tensors, all that a checkpoint holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Updates done.
    pub update: u64,
    /// Sum of the losses of the epoch's batches so far.
    pub loss: f64,
    /// Samples of the epoch so far whose class was found.
    pub correct: usize,
    /// Seconds spent on the epoch so far.
    pub seconds: f64,
    /// Thresholds so far.
    pub history: ThresholdHistory,
    /// Since which update a layer has not fired once in a batch, by layer that fires.
    #[serde(default)]
    pub silent_since: Vec<Option<u64>>,
    /// The best epoch so far, where patience is set.
    #[serde(default)]
    pub best: Option<Best>,
}

/// The epoch with the best validation accuracy, the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The epoch, 1 for the first.
    pub epoch: u64,
    /// Its validation accuracy, 0 to 1.
    pub accuracy: f64,
}

/// What is told about a training while it runs.
pub trait Observer {
    /// After each update; [`ControlFlow::Break`] stops the training with a checkpoint.
    fn updated(&mut self, progress: &Progress) -> ControlFlow<()>;

    /// After each epoch.
    fn epoch_done(&mut self, metrics: &EpochMetrics);

    /// When a layer did not fire once in the batch of an update, for the first time since it did;
    /// the layer is named as in the configuration.
    fn fell_silent(&mut self, layer: &str, update: u64) {
        let _ = (layer, update);
    }
}

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All updates are done.
    Finished,
    /// The observer stopped it; a checkpoint was written.
    Stopped,
}

/// A network in training on a data set.
#[derive(Debug)]
pub struct Trainer<'a> {
    config: &'a Config,
    splits: &'a Splits,
    network: Network,
    progress: Progress,
    batch: usize,
    per_epoch: u64,
    data: String,
    criterion: Criterion,
    learning_rate: LearningRate,
}

impl<'a> Trainer<'a> {
    /// A training that was not started yet.
    ///
    /// # Errors
    /// If the configuration's network does not fit the data.
    pub fn new(config: &'a Config, splits: &'a Splits) -> Result<Self> {
        let samples = splits.train.len();
        // The last, smaller batch of an epoch is left out: the order differs in each epoch.
        let batch = config.train.batch.min(samples);
        let per_epoch = (samples / batch) as u64;
        let total = per_epoch * u64::from(config.train.epochs);
        let moves = match config.threshold.every {
            Every::Update => total,
            Every::Epoch => u64::from(config.train.epochs),
        };
        let network = Network::new(config, splits.train.input(), moves)?;
        if network.classes() != splits.train.classes() {
            return Err(Error::usage(format!(
                "the last layer has {} outputs, but the data {} classes; set its `outputs` in \
                 network.layers",
                network.classes(),
                splits.train.classes()
            )));
        }
        let thresholds = network.thresholds();
        let progress = Progress {
            silent_since: vec![None; thresholds.len()],
            history: vec![(0, thresholds)],
            ..Progress::default()
        };
        let settings = &config.train;
        let data = data_digest(splits);
        Ok(Self {
            config,
            splits,
            network,
            progress,
            batch,
            per_epoch,
            data,
            criterion: Criterion {
                loss: settings.loss,
                right: settings.target_right,
                wrong: settings.target_wrong,
                steps: config.network.steps as usize,
            },
            learning_rate: LearningRate {
                peak: settings.learning_rate,
                warmup: settings.warmup,
                half_cosine: match settings.decay {
                    Decay::Cosine => Some(settings.half_cosine.unwrap_or(total)),
                    Decay::None => None,
                },
            },
        })
    }

    /// Takes the training to a device.
    ///
    /// # Errors
    /// If the device has no room for it.
    pub fn move_to(&mut self, device: &Device) -> Result<()> {
        self.network.move_to(device)
    }

    /// The network as it is now.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where the training stands.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Updates of the whole training.
    pub fn total(&self) -> u64 {
        self.per_epoch * u64::from(self.config.train.epochs)
    }

    /// Updates of an epoch.
    pub fn per_epoch(&self) -> u64 {
        self.per_epoch
    }

    /// Whether all updates are done, or patience is at its end.
    pub fn done(&self) -> bool {
        let epoch = self.progress.update / self.per_epoch;
        let patience = self.config.train.patience.zip(self.progress.best);
        let at_its_end = |(patience, best): (u32, Best)| epoch >= best.epoch + u64::from(patience);
        self.progress.update >= self.total() || patience.is_some_and(at_its_end)
    }

    /// Goes on from the run's last checkpoint, if it has one.
    ///
    /// # Errors
    /// If the checkpoint cannot be read or belongs to other data.
    pub fn restore(&mut self, run: &RunDir) -> Result<()> {
        if let Some(progress) = run.load_checkpoint(&mut self.network, &self.data)? {
            self.progress = progress;
        }
        run.keep_epochs(self.progress.update / self.per_epoch)
    }

    /// Trains to the end, or until the observer stops it, with a checkpoint after each epoch and
    /// each minute. Where patience is set, the network is then that of the best epoch.
    ///
    /// # Errors
    /// If the run directory cannot be written.
    pub fn run(&mut self, run: &RunDir, observer: &mut dyn Observer) -> Result<Outcome> {
        let mut order = None;
        let mut saved = Instant::now();
        while !self.done() {
            let start = Instant::now();
            let epoch = self.progress.update / self.per_epoch;
            let order = match &order {
                Some((of, order)) if *of == epoch => order,
                _ => &order.insert((epoch, self.order(epoch))).1,
            };
            let index = (self.progress.update % self.per_epoch) as usize;
            let silent = self.progress.silent_since.clone();
            let rate = self.update(&order[index * self.batch..][..self.batch], epoch)?;
            let names = self.network.layer_names();
            for ((before, now), name) in silent.iter().zip(&self.progress.silent_since).zip(names) {
                if let (None, Some(update)) = (before, now) {
                    observer.fell_silent(&name, *update);
                }
            }
            self.progress.seconds += start.elapsed().as_secs_f64();
            let epoch_done = self.progress.update.is_multiple_of(self.per_epoch);
            if epoch_done {
                let metrics = self.finish_epoch(rate)?;
                run.append_metrics(&metrics)?;
                let accuracy = metrics.validation_accuracy;
                let better = self
                    .progress
                    .best
                    .is_none_or(|best| accuracy > best.accuracy);
                if self.config.train.patience.is_some() && better {
                    // Before the checkpoint that knows of it: a process killed in between computes
                    // the same epoch again.
                    run.save_best(&mut self.network)?;
                    let epoch = metrics.epoch;
                    self.progress.best = Some(Best { epoch, accuracy });
                }
                observer.epoch_done(&metrics);
            }
            let stopped = observer.updated(&self.progress).is_break();
            if epoch_done || stopped || saved.elapsed() > CHECKPOINT_INTERVAL {
                saved = Instant::now();
                run.save_checkpoint(&mut self.network, &self.progress, &self.data)?;
            }
            if stopped && !self.done() {
                return Ok(Outcome::Stopped);
            }
        }
        if self.progress.best.is_some() {
            run.load_best(&mut self.network)?;
        }
        Ok(Outcome::Finished)
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.splits.train.len()).collect();
        order.shuffle(&mut stream(
            self.config.train.seed,
            Purpose::Order,
            [epoch, 0],
        ));
        order
    }

    /// One update on the samples of `indices`; returns the learning rate.
    fn update(&mut self, indices: &[usize], epoch: u64) -> Result<f32> {
        let train: &Samples = &self.splits.train;
        let (settings, data) = (&self.config.train, &self.config.data);
        let augmentation = Augmentation {
            seed: settings.seed,
            epoch,
            shift: data.shift,
            shift_steps: data.shift_steps,
            stretch: data.stretch,
            rotation: data.rotation,
            scale: data.scale,
        };
        let inputs = batch(train, indices, Some(augmentation))?;
        let labels: Vec<u8> = indices.iter().map(|&index| train.label(index)).collect();
        let done = self.progress.update;
        let update = done + 1;
        let forward = self.network.forward(&inputs, Mode::Train { update })?;
        let (value, of_output) = self.criterion.evaluate(&forward.output, &labels)?;
        if !value.is_finite() {
            return Err(Error::failed(format!(
                "the loss became {value} at update {update}; try a lower train.learning_rate"
            )));
        }
        let gradients = self.network.backward(&forward, &of_output)?;

        let step = Move {
            optimiser: settings.optimiser,
            momentum: settings.momentum,
            rate: self.learning_rate.after(done),
            scale: match settings.clip_gradient {
                Some(largest) => clip(&gradients, largest)?,
                None => 1.0,
            },
            update,
        };
        for (parameter, gradient) in self.network.parameters_mut().zip(&gradients) {
            parameter.update(gradient, &step)?;
        }
        self.network
            .absorb(&forward.statistics, settings.norm_momentum);
        match self.config.threshold.every {
            Every::Update => self.network.anneal(update),
            Every::Epoch if update.is_multiple_of(self.per_epoch) => {
                self.network.anneal(update / self.per_epoch);
            }
            Every::Epoch => {}
        }
        let (fired, total) = (self.network.fired(&forward)?, self.total());

        let progress = &mut self.progress;
        progress.update = update;
        for (silent, fired) in progress.silent_since.iter_mut().zip(fired) {
            *silent = if fired { None } else { silent.or(Some(update)) };
        }
        progress.loss += f64::from(value);
        progress.correct +=
            count_correct(&predictions(&forward.scores.to_vec2()?), labels.into_iter());
        let stride = total.div_ceil(HISTORY_POINTS);
        if progress.update.is_multiple_of(stride) || progress.update == total {
            progress
                .history
                .push((progress.update, self.network.thresholds()));
        }
        Ok(step.rate)
    }

    fn finish_epoch(&mut self, rate: f32) -> Result<EpochMetrics> {
        let start = Instant::now();
        let assessment = assess(&self.network, &self.splits.validation)?;
        let progress = &mut self.progress;
        let metrics = EpochMetrics {
            epoch: progress.update / self.per_epoch,
            loss: progress.loss / self.per_epoch as f64,
            train_accuracy: progress.correct as f64 / (self.per_epoch as usize * self.batch) as f64,
            validation_accuracy: assessment.accuracy(),
            thresholds: self.network.thresholds(),
            firing_rates: assessment.firing_rates,
            dead_neurons: assessment.dead_neurons,
            silent_since: progress.silent_since.clone(),
            learning_rate: rate,
            seconds: progress.seconds + start.elapsed().as_secs_f64(),
        };
        (progress.loss, progress.correct, progress.seconds) = (0.0, 0, 0.0);
        Ok(metrics)
    }
}
