//! Labelled samples, and their split into types that cannot be taken for each other.

use std::ops::Deref;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::frames::{Frames, Value};
use crate::sample::{Frame, Sample};
use crate::{Error, Result};

/// What a network reads of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A picture of `u8` pixels, the same in every step.
    Still,
    /// Spikes, other ones in every step.
    Spikes,
    /// Numbers of events, `u8`, other ones in every step.
    Counts,
}

impl Form {
    /// What divides a value before the first layer.
    pub fn scale(self) -> f32 {
        match self {
            Self::Still => 255.0,
            Self::Spikes | Self::Counts => 1.0,
        }
    }

    /// Whether every step reads the same.
    pub fn is_still(self) -> bool {
        self == Self::Still
    }
}

/// Shape and form of a network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputSpec {
    /// Height, width and channels.
    pub shape: [usize; 3],
    /// What it is.
    pub form: Form,
}

impl From<[usize; 3]> for InputSpec {
    /// Pictures of that height, width and number of channels.
    fn from(shape: [usize; 3]) -> Self {
        Self {
            shape,
            form: Form::Still,
        }
    }
}

/// Labelled samples of one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    shape: [usize; 3],
    classes: usize,
    content: Content,
    labels: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    /// Pixels of all samples.
    Stills(Vec<u8>),
    Frames(Frames),
}

impl Samples {
    /// Pictures of `shape` (height, width, channels), one label below `classes` for each; the pixels
    /// of a sample lie in the order row, column, channel.
    ///
    /// # Errors
    /// [`Error::Usage`] where there is no sample, a side of the shape is 0, a label is out of
    /// range, or the number of pixels is not that of the shape times the number of labels.
    pub fn new(
        shape: [usize; 3],
        classes: usize,
        pixels: Vec<u8>,
        labels: Vec<u8>,
    ) -> Result<Self> {
        let wanted = shape
            .iter()
            .try_fold(labels.len(), |product, &side| product.checked_mul(side));
        let found = pixels.len();
        let samples = Self {
            shape,
            classes,
            content: Content::Stills(pixels),
            labels,
        };
        samples.checked(wanted == Some(found), &format!("{found} pixels"))
    }

    /// Recordings of `shape` (height, width, channels) a frame, one label below `classes` for each.
    ///
    /// # Errors
    /// As [`Samples::new`].
    pub fn from_frames(
        shape: [usize; 3],
        classes: usize,
        frames: Frames,
        labels: Vec<u8>,
    ) -> Result<Self> {
        let fits = frames.len() == labels.len()
            && Some(frames.units()) == shape.iter().try_fold(1, |n: usize, &s| n.checked_mul(s));
        let found = format!(
            "{} recordings of {} values a frame",
            frames.len(),
            frames.units()
        );
        let samples = Self {
            shape,
            classes,
            content: Content::Frames(frames),
            labels,
        };
        samples.checked(fits, &found)
    }

    fn checked(self, fits: bool, found: &str) -> Result<Self> {
        let (shape, classes) = (self.shape, self.classes);
        if self.labels.is_empty() || shape.contains(&0) {
            return Err(Error::usage(format!(
                "nothing in it: {} samples of shape {shape:?}",
                self.labels.len()
            )));
        }
        let outside = self
            .labels
            .iter()
            .find(|&&label| usize::from(label) >= classes);
        if let Some(label) = outside {
            return Err(Error::usage(format!(
                "label {label} is out of range: {classes} classes"
            )));
        }
        if !fits {
            return Err(Error::usage(format!(
                "{found} do not make {} samples of shape {shape:?}",
                self.labels.len()
            )));
        }
        Ok(self)
    }

    /// Number of samples, at least 1.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample; never so for samples made by [`Samples::new`].
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Height, width and channels of a sample.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Shape and form of what a network reads.
    pub fn input(&self) -> InputSpec {
        let form = match &self.content {
            Content::Stills(_) => Form::Still,
            Content::Frames(frames) => match frames.value() {
                Value::Binary => Form::Spikes,
                Value::Counts => Form::Counts,
            },
        };
        InputSpec {
            shape: self.shape,
            form,
        }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The pixels of a picture in the order row, column, channel; empty for recordings, which have
    /// [`Samples::frames`].
    ///
    /// # Panics
    /// Where `index` is not below [`Samples::len`].
    pub fn pixels(&self, index: usize) -> &[u8] {
        let size = self.shape.iter().product::<usize>();
        match &self.content {
            Content::Stills(pixels) => &pixels[index * size..][..size],
            Content::Frames(_) => &[],
        }
    }

    /// The recordings; `None` for pictures.
    pub fn frames(&self) -> Option<&Frames> {
        match &self.content {
            Content::Stills(_) => None,
            Content::Frames(frames) => Some(frames),
        }
    }

    /// A sample as the integer network reads it.
    ///
    /// # Panics
    /// Where `index` is not below [`Samples::len`].
    pub fn sample(&self, index: usize) -> Sample {
        let Content::Frames(frames) = &self.content else {
            return Sample::Still(Frame::Bytes(self.pixels(index).to_vec()));
        };
        let blank = match frames.value() {
            Value::Binary => Frame::Words(vec![0; frames.units().div_ceil(32)]),
            Value::Counts => Frame::Bytes(vec![0; frames.units()]),
        };
        let mut sequence = vec![blank; frames.steps()];
        for (step, unit, count) in frames.entries(index) {
            match &mut sequence[step] {
                Frame::Words(words) => words[unit / 32] |= 1 << (unit % 32),
                Frame::Bytes(bytes) => bytes[unit] = count,
            }
        }
        Sample::Sequence(sequence)
    }

    /// A picture of a sample to look at, with its height, width and channels: the pixels; the
    /// events of all steps together; or, for a cochlea, its channels (rows) over time (columns), of
    /// each step its own frame.
    ///
    /// # Panics
    /// Where `index` is not below [`Samples::len`].
    pub fn picture(&self, index: usize) -> ([usize; 3], Vec<u8>) {
        let Content::Frames(frames) = &self.content else {
            return (self.shape, self.pixels(index).to_vec());
        };
        let [height, width, channels] = self.shape;
        let over_time = height == 1;
        let shape = if over_time {
            [width, frames.steps(), 1]
        } else {
            [height, width, 1]
        };
        let mut sums = vec![0u64; shape.iter().product()];
        for (step, unit, count) in frames.entries(index) {
            let point = unit / channels;
            let place = if over_time {
                point * frames.steps() + step
            } else {
                point
            };
            // The first channel of a cochlea is the step's own frame.
            if !over_time || unit % channels == 0 {
                sums[place] += u64::from(count);
            }
        }
        let most = sums.iter().copied().max().unwrap_or(0).max(1);
        (
            shape,
            sums.iter().map(|sum| (sum * 255 / most) as u8).collect(),
        )
    }

    /// Gives all bytes of a sample and its label to `update`, to tell data sets apart.
    pub(crate) fn digest(&self, index: usize, mut update: impl FnMut(&[u8])) {
        match &self.content {
            Content::Stills(_) => update(self.pixels(index)),
            Content::Frames(frames) => {
                for (step, unit, count) in frames.entries(index) {
                    update(&(step as u32).to_le_bytes());
                    update(&(unit as u32).to_le_bytes());
                    update(&[count]);
                }
            }
        }
        update(&[self.labels[index]]);
    }

    /// The label of a sample.
    ///
    /// # Panics
    /// Where `index` is not below [`Samples::len`].
    pub fn label(&self, index: usize) -> u8 {
        self.labels[index]
    }

    /// Keeps the first `count` samples, all where there are fewer, and at least one.
    pub fn truncate(&mut self, count: usize) {
        let count = count.clamp(1, self.len());
        self.labels.truncate(count);
        match &mut self.content {
            Content::Stills(pixels) => {
                pixels.truncate(count * self.shape.iter().product::<usize>());
            }
            Content::Frames(frames) => frames.truncate(count),
        }
    }

    /// How many samples each class has.
    pub fn histogram(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        self.labels
            .iter()
            .for_each(|&label| counts[usize::from(label)] += 1);
        counts
    }

    fn select(&self, indices: &[usize]) -> Self {
        let content = match &self.content {
            Content::Stills(_) => {
                let chosen = indices.iter().flat_map(|&index| self.pixels(index));
                Content::Stills(chosen.copied().collect())
            }
            Content::Frames(frames) => Content::Frames(frames.select(indices)),
        };
        Self {
            shape: self.shape,
            classes: self.classes,
            content,
            labels: indices.iter().map(|&index| self.label(index)).collect(),
        }
    }
}

macro_rules! sample_set {
    ($(#[doc = $doc:literal] $name:ident;)*) => {$(
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(Samples);

        impl Deref for $name {
            type Target = Samples;

            fn deref(&self) -> &Samples {
                &self.0
            }
        }
    )*};
}

sample_set! {
    /// The samples that weights, norms and thresholds are trained on.
    TrainSet;
    /// The samples, cut from the training data, that choices are made by (early stopping, settings).
    ValidationSet;
    /// The samples that only the final accuracy is measured on.
    TestSet;
}

impl TrainSet {
    /// The samples themselves, for a caller that has asked for this part by name.
    pub(super) fn into_inner(self) -> Samples {
        self.0
    }
}

impl ValidationSet {
    /// As [`TrainSet::into_inner`].
    pub(super) fn into_inner(self) -> Samples {
        self.0
    }
}

/// The three parts of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splits {
    /// What the network is trained on.
    pub train: TrainSet,
    /// What choices are made by.
    pub validation: ValidationSet,
    /// What the final accuracy is measured on; `None` where the data set's test files are not there.
    pub test: Option<TestSet>,
}

impl Splits {
    /// Cuts the validation set, a share `validation` of it (at least one sample, and at most all but
    /// one), from the training samples, drawn by `seed`.
    ///
    /// # Errors
    /// [`Error::Usage`] where the share is not between 0 and 1, or there are fewer than two samples.
    pub fn cut(
        training: &Samples,
        test: Option<Samples>,
        validation: f64,
        seed: u64,
    ) -> Result<Self> {
        let (train, validation) = cut_validation(training, validation, seed)?;
        Ok(Self {
            train,
            validation,
            test: test.map(TestSet),
        })
    }
}

pub(super) fn cut_validation(
    samples: &Samples,
    share: f64,
    seed: u64,
) -> Result<(TrainSet, ValidationSet)> {
    if !(share > 0.0 && share < 1.0) {
        return Err(Error::usage(format!(
            "a validation share of {share}: it must lie between 0 and 1, 0.1 for instance"
        )));
    }
    let count = samples.len();
    if count < 2 {
        return Err(Error::usage(
            "only 1 training sample: at least 2 are needed, one to train on and one for validation",
        ));
    }
    let held_back = ((count as f64 * share).round() as usize).clamp(1, count - 1);
    let order = shuffled(count, seed);
    let (validation, train) = order.split_at(held_back);
    Ok((
        TrainSet(samples.select(train)),
        ValidationSet(samples.select(validation)),
    ))
}

/// Fisher-Yates, written out down to the key of the generator so that a later release of a library
/// cannot change which samples a seed selects.
pub(super) fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        let draw = u128::from(rng.next_u64()) * (last as u128 + 1);
        order.swap(last, (draw >> 64) as usize);
    }
    order
}
