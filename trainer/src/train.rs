//! The training loop: updates, epochs, and where it stands, so that it can stop and go on.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use candle_core::{D, Device, Tensor, Var};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::assess::{assess, count_correct, predictions};
use crate::batch::{Shift, batch};
use crate::config::Config;
use crate::data::{Samples, Splits};
use crate::net::{Mode, Network};
use crate::optim::learning_rate;
use crate::run::{RunDir, data_digest};
use crate::seed::{Purpose, stream};
use crate::{Error, Result};

/// About how many points the history of the thresholds has.
const HISTORY_POINTS: u64 = 200;

/// A process that is killed loses at most about so much work: checkpoints are written after each
/// epoch, and within one at this interval. They change nothing of what is computed.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);

/// The thresholds of the hidden layers after an update, `(update, thresholds)`, over the training.
pub type ThresholdHistory = Vec<(u64, Vec<f32>)>;

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// The epoch, 1 for the first.
    pub epoch: u64,
    /// Mean cross-entropy over the epoch's training samples.
    pub loss: f64,
    /// Part of the epoch's (augmented) training samples whose class was found.
    pub train_accuracy: f64,
    /// Part of the validation samples whose class was found, by the float network.
    pub validation_accuracy: f64,
    /// Firing thresholds by hidden layer.
    pub thresholds: Vec<f32>,
    /// Spikes a unit and step on the validation samples, by hidden layer.
    pub firing_rates: Vec<f64>,
    /// Units that never fired on the validation samples, by hidden layer.
    pub dead_neurons: Vec<usize>,
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
}

/// What is told about a training while it runs.
pub trait Observer {
    /// After each update; [`ControlFlow::Break`] stops the training with a checkpoint.
    fn updated(&mut self, progress: &Progress) -> ControlFlow<()>;

    /// After each epoch.
    fn epoch_done(&mut self, metrics: &EpochMetrics);
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
        let network = Network::new(config, splits.train.shape(), total)?;
        if network.classes() != splits.train.classes() {
            return Err(Error::usage(format!(
                "the last layer has {} outputs, but the data {} classes; set its `outputs` in \
                 network.layers",
                network.classes(),
                splits.train.classes()
            )));
        }
        let progress = Progress {
            history: vec![(0, network.thresholds())],
            ..Progress::default()
        };
        let data = data_digest(splits);
        Ok(Self {
            config,
            splits,
            network,
            progress,
            batch,
            per_epoch,
            data,
        })
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
    /// each minute.
    ///
    /// # Errors
    /// If the run directory cannot be written.
    pub fn run(&mut self, run: &RunDir, observer: &mut dyn Observer) -> Result<Outcome> {
        let mut order = None;
        let mut saved = Instant::now();
        while self.progress.update < self.total() {
            let start = Instant::now();
            let epoch = self.progress.update / self.per_epoch;
            let order = match &order {
                Some((of, order)) if *of == epoch => order,
                _ => &order.insert((epoch, self.order(epoch))).1,
            };
            let index = (self.progress.update % self.per_epoch) as usize;
            let rate = self.update(&order[index * self.batch..][..self.batch], epoch)?;
            self.progress.seconds += start.elapsed().as_secs_f64();
            let epoch_done = self.progress.update.is_multiple_of(self.per_epoch);
            if epoch_done {
                let metrics = self.finish_epoch(rate)?;
                run.append_metrics(&metrics)?;
                observer.epoch_done(&metrics);
            }
            let stopped = observer.updated(&self.progress).is_break();
            if epoch_done || stopped || saved.elapsed() > CHECKPOINT_INTERVAL {
                saved = Instant::now();
                run.save_checkpoint(&mut self.network, &self.progress, &self.data)?;
            }
            if stopped && self.progress.update < self.total() {
                return Ok(Outcome::Stopped);
            }
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
        let (settings, pixels) = (&self.config.train, self.config.data.shift);
        let shift = (pixels > 0).then_some(Shift {
            seed: settings.seed,
            epoch,
            pixels,
        });
        let inputs = batch(train, indices, shift)?;
        let labels: Vec<u8> = indices.iter().map(|&index| train.label(index)).collect();
        let forward = self.network.forward(&inputs, Mode::Train)?;
        let (value, of_scores) = cross_entropy(&forward.scores, &labels)?;
        if !value.is_finite() {
            return Err(Error::failed(format!(
                "the loss became {value} at update {}; try a lower train.learning_rate",
                self.progress.update + 1
            )));
        }
        let gradients = self.network.backward(&forward, &of_scores)?;

        let (done, total) = (self.progress.update, self.total());
        let rate = learning_rate(settings.learning_rate, settings.warmup, done, total);
        for (parameter, gradient) in self.network.parameters_mut().zip(&gradients) {
            parameter.update(gradient, rate, done + 1)?;
        }
        self.network
            .absorb(&forward.statistics, settings.norm_momentum);
        self.network.anneal(done + 1);

        let progress = &mut self.progress;
        progress.update += 1;
        progress.loss += f64::from(value);
        progress.correct +=
            count_correct(&predictions(&forward.scores.to_vec2()?), labels.into_iter());
        let stride = total.div_ceil(HISTORY_POINTS);
        if progress.update.is_multiple_of(stride) || progress.update == total {
            progress
                .history
                .push((progress.update, self.network.thresholds()));
        }
        Ok(rate)
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
            learning_rate: rate,
            seconds: progress.seconds + start.elapsed().as_secs_f64(),
        };
        (progress.loss, progress.correct, progress.seconds) = (0.0, 0, 0.0);
        Ok(metrics)
    }
}

/// Mean cross-entropy of scores `[batch, classes]`, and its gradient.
fn cross_entropy(scores: &Tensor, labels: &[u8]) -> Result<(f32, Tensor)> {
    // The graph behind the scores is left out: the network runs its layers back itself.
    let scores = Var::from_tensor(scores)?;
    let (samples, classes) = scores.dims2()?;
    let mut target = vec![0f32; samples * classes];
    for (row, label) in target.chunks_exact_mut(classes).zip(labels) {
        row[usize::from(*label)] = 1.0;
    }
    let target = Tensor::from_vec(target, (samples, classes), &Device::Cpu)?;
    let right = (scores.as_tensor() * target)?.sum(D::Minus1)?;
    let loss = (scores.log_sum_exp(D::Minus1)? - right)?.mean_all()?;
    let Some(gradient) = loss.backward()?.remove(&scores) else {
        return Err(Error::failed("the loss does not depend on the scores"));
    };
    Ok((loss.to_scalar()?, gradient))
}
