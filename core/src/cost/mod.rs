//! What a layer costs before it runs: instructions of its kernels on classes of machines, estimated
//! from a table that was measured on emulated ones.
//!
//! A kernel's instructions are a sum over what its loops do ([`terms`]): positions, spikes met,
//! words of outputs and so on, each times a constant of the machine. The constants stand in one
//! place, `core/src/cost/table.rs`, which `cargo xtask bench fit` measures anew and writes;
//! `cargo xtask bench sweep` says how often the choice by them is the faster one.
//!
//! Estimates are instructions, not clock cycles. Arithmetic in `f64`, of no use on a device.
//!
//! ```
//! use bitspike_core::cost::{Class, Part, instructions};
//! use bitspike_core::model::{Model, pack_words};
//! static FILE: [u32; 92] = pack_words(include_bytes!("../../tests/models/v1-mixed.bsnn"));
//! let model = Model::new(&FILE)?;
//! let second = &model.layers()[1];
//! // More spikes, more work for the event-driven kernel; the dense one does not care.
//! let at = |part, spikes| instructions(Class::ArmV7M, part, second, spikes);
//! assert!(at(Part::Event, 20.0) > at(Part::Event, 2.0));
//! assert_eq!(at(Part::Dense, 20.0), at(Part::Dense, 2.0));
//! # Ok::<(), bitspike_core::model::ModelError>(())
//! ```

mod table;

use crate::kernel::dense::tables;
use crate::kernel::{Kernel, WIDE, event};
use crate::model::{InputKind, Layer, Model, WeightOrder};

/// Machines that run the same instructions, near enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Armv6-M: Cortex-M0 and M0+.
    ArmV6M,
    /// Armv7-M and Armv8-M with the main extension: Cortex-M3, M4, M7, M33.
    ArmV7M,
    /// 32-bit RISC-V.
    Rv32,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::ArmV6M, Self::ArmV7M, Self::Rv32];

    /// The class of a compiler's target; `None` for one that is no microcontroller.
    ///
    /// ```
    /// use bitspike_core::cost::Class;
    /// assert_eq!(Class::of_target("thumbv7em-none-eabihf"), Some(Class::ArmV7M));
    /// assert_eq!(Class::of_target("riscv32imac-unknown-none-elf"), Some(Class::Rv32));
    /// ```
    pub fn of_target(target: &str) -> Option<Self> {
        match target.split('-').next()? {
            "thumbv6m" => Some(Self::ArmV6M),
            arm if arm.starts_with("thumbv") => Some(Self::ArmV7M),
            riscv if riscv.starts_with("riscv32") => Some(Self::Rv32),
            _ => None,
        }
    }

    /// The emulated machine that it is measured on.
    pub fn machine(self) -> &'static str {
        match self {
            Self::ArmV6M => "m0",
            Self::ArmV7M => "m3",
            Self::Rv32 => "rv32",
        }
    }
}

/// What is measured apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A step of a layer with the dense kernel, its neurons included.
    Dense,
    /// The same where positions share tables of the sums of taps.
    Shared,
    /// A step of a layer with the event-driven kernel, its neurons included.
    Event,
    /// The same where the spikes under a position are more than the kernel notes, and each position
    /// scans the map.
    Scan,
    /// The sums of a graded input, once for a static one.
    Load,
    /// A step of a layer whose sums are there.
    Driven,
    /// The read-out of the last layer, and what else a step does.
    Readout,
}

impl Part {
    /// Every part, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::Dense,
        Self::Shared,
        Self::Event,
        Self::Scan,
        Self::Load,
        Self::Driven,
        Self::Readout,
    ];
}

/// Terms of a part at most.
pub const TERMS: usize = 9;

/// What the loops of a part do for a layer that reads `spikes` spikes in a step; 0 behind the last.
pub fn terms(part: Part, layer: &Layer, spikes: f64) -> [f64; TERMS] {
    let shape = Shape::of(layer);
    let neurons = shape.positions * shape.outputs;
    let words = div_ceil(shape.outputs, 32);
    let mut terms = [0.0; TERMS];
    let list: &[f64] = match part {
        Part::Dense => &[
            1.0,
            shape.positions,
            shape.positions * shape.places,
            shape.positions * shape.places * shape.rows_words,
            shape.positions * shape.places * shape.outputs,
            shape.positions * shape.places * shape.outputs * div_ceil(shape.taps, 256),
            neurons,
        ],
        Part::Shared => {
            let passes = div_ceil(shape.positions, 16) * shape.places * div_ceil(shape.taps, 32);
            &[
                1.0,
                shape.positions,
                passes,
                passes * shape.outputs,
                shape.positions * shape.places * div_ceil(shape.taps, 32),
                spikes * shape.reach,
                neurons,
            ]
        }
        Part::Event => {
            let met = spikes * shape.reach;
            &[
                1.0,
                shape.positions * shape.across,
                shape.positions * words,
                shape.band_words,
                shape.band_columns,
                spikes * shape.noted,
                met,
                met * words,
                neurons,
            ]
        }
        Part::Scan => &[
            1.0,
            shape.positions,
            shape.positions * shape.places * shape.rows_words,
            spikes * shape.reach * words,
            neurons,
        ],
        Part::Load => {
            // Two positions share a word where the sums fit 16 bits.
            let largest = shape.taps * shape.places * 255.0;
            let paired = if largest <= f64::from(i16::MAX) {
                0.5
            } else {
                1.0
            };
            let words = paired * shape.positions;
            &[
                1.0,
                shape.map * shape.places,
                words * shape.taps,
                words * shape.outputs * div_ceil(shape.taps, 16),
                neurons,
            ]
        }
        Part::Driven => &[1.0, neurons],
        Part::Readout => &[1.0, neurons],
    };
    terms
        .iter_mut()
        .zip(list)
        .for_each(|(to, from)| *to = *from);
    terms
}

/// The part that the dense kernel runs for a layer: where there are several positions they share
/// tables, on all but the smallest cores.
pub fn dense_part(class: Class, layer: &Layer) -> Part {
    let ([height, width], _) = layer.pool();
    let output = layer.output();
    let positions = usize::from(output.height) * usize::from(output.width);
    let taps = layer.taps() * height * width;
    if tables::pay(
        class == Class::ArmV6M,
        positions,
        output.channels.into(),
        taps,
    ) {
        Part::Shared
    } else {
        Part::Dense
    }
}

/// The part that the event-driven kernel runs for a layer that reads `spikes` spikes, spread evenly:
/// it notes as many under one position as [`kernel::event`](crate::kernel::event) has room for,
/// fewer on the smallest cores.
pub fn event_part(class: Class, layer: &Layer, spikes: f64) -> Part {
    let capacity = event::capacity(class == Class::ArmV6M) as f64;
    if spikes * Shape::of(layer).under > capacity {
        Part::Scan
    } else {
        Part::Event
    }
}

/// Instructions of a part for a layer that reads `spikes` spikes in a step.
pub fn instructions(class: Class, part: Part, layer: &Layer, spikes: f64) -> f64 {
    let part = match part {
        Part::Dense => dense_part(class, layer),
        Part::Event => event_part(class, layer, spikes),
        other => other,
    };
    let constants = table::constants(class, part);
    let terms = terms(part, layer, spikes);
    constants
        .iter()
        .zip(terms)
        .map(|(each, term)| each * term)
        .sum()
}

/// Synaptic operations of a layer that reads `spikes` nonzero inputs, spread evenly: those times the
/// weights that each meets in the mean, padding excluded.
pub fn synaptic_operations(layer: &Layer, spikes: f64) -> f64 {
    let shape = Shape::of(layer);
    spikes * shape.reach * shape.outputs
}

/// Most stack that a step of a network was measured to take on a class, in bytes: that of the part
/// with the most.
pub fn stack_bytes<const LAYERS: usize>(class: Class, model: &Model<'_, LAYERS>) -> u32 {
    let mut kind = model.input_kind();
    let mut most = 0;
    for layer in model.layers() {
        let parts: &[Part] = if kind.is_graded() {
            &[Part::Load, Part::Driven]
        } else {
            match step_part(layer, kind) {
                Part::Dense => &[dense_part(class, layer)],
                _ => &[Part::Event],
            }
        };
        let of = parts.iter().map(|part| table::stack_bytes(class, *part));
        // The layers of the table are not as wide, and the smallest cores have no room for it.
        let wide = parts.contains(&Part::Event) && layer.row_words() >= WIDE;
        let wide = if wide && class != Class::ArmV6M {
            event::blocks::STACK
        } else {
            0
        };
        most = most.max(of.max().unwrap_or(0) + wide);
        kind = InputKind::Spikes;
    }
    most
}

/// The part that runs a step of a layer that reads single bits.
fn step_part(layer: &Layer, kind: InputKind) -> Part {
    if Kernel::choose(layer, kind) == Kernel::Event {
        Part::Event
    } else {
        Part::Dense
    }
}

/// Flash in bytes that rows filled up to words may take in any case.
const MOST_FILLING: usize = 4096;

/// The order of the weights whose kernel takes fewer instructions on a class, for a layer that reads
/// `rate` spikes an input and step.
///
/// By input, rows of outputs are filled up to words: that order is not taken where the filling more than
/// doubles the weights' flash, and takes more than 4 KiB of it.
///
/// The class matters little: the exporter takes [`Class::ArmV7M`] for all.
pub fn choose(class: Class, layer: &Layer, kind: InputKind, rate: f64) -> WeightOrder {
    let channels = usize::from(layer.output().channels);
    let filling = layer.taps() * (channels.next_multiple_of(32) - channels) / 8;
    // Only spikes are counted by columns, and a tap is noted in 16 bits.
    let event = kind == InputKind::Spikes
        && layer.spec().input_pool.is_none()
        && layer.taps() < usize::from(u16::MAX)
        && filling <= MOST_FILLING.max(layer.taps() * channels / 8);
    let spikes = rate * layer.input().units() as f64;
    let of = |part| instructions(class, part, layer, spikes);
    if event && of(Part::Event) < of(Part::Dense) {
        WeightOrder::InputMajor
    } else {
        WeightOrder::OutputMajor
    }
}

/// Estimated instructions of a network.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Estimate {
    /// Once a decision: sums of a static input.
    pub load: f64,
    /// Each step.
    pub step: f64,
}

/// Instructions of a network whose input and layers fire at these rates (spikes a unit and step):
/// the input's first, the last layer's is not needed. Missing rates are 0.
///
/// A layer that no fast kernel supports counts as dense.
pub fn network<const LAYERS: usize>(
    class: Class,
    model: &Model<'_, LAYERS>,
    rates: &[f64],
) -> Estimate {
    let mut estimate = Estimate::default();
    let mut kind = model.input_kind();
    for (index, layer) in model.layers().iter().enumerate() {
        let rate = rates.get(index).copied().unwrap_or(0.0);
        let spikes = rate * layer.input().units() as f64;
        let of = |part| instructions(class, part, layer, spikes);
        if kind.is_graded() {
            estimate.load += of(Part::Load);
            estimate.step += of(Part::Driven);
        } else {
            estimate.step += of(step_part(layer, kind));
        }
        kind = InputKind::Spikes;
    }
    if let Some(last) = model.last() {
        estimate.step += instructions(class, Part::Readout, last, 0.0);
    }
    estimate
}

/// A layer in numbers of what loops visit.
struct Shape {
    positions: f64,
    outputs: f64,
    /// Places of the pooling's window.
    places: f64,
    taps: f64,
    /// Words under the rows of a kernel.
    rows_words: f64,
    /// Columns of the pooling's window.
    across: f64,
    /// Values of the map.
    map: f64,
    /// Words, and columns, of the rows under the rows of output positions.
    band_words: f64,
    band_columns: f64,
    /// Rows of output positions, and rows of the pooling's window, that note a spike, in the mean.
    noted: f64,
    /// Part of the spikes that one position notes.
    under: f64,
    /// Positions and places that meet a value of the input, in the mean.
    reach: f64,
}

impl Shape {
    fn of(layer: &Layer) -> Self {
        let (map, output) = (layer.map(), layer.output());
        let ([height, width], (window, pool)) = (layer.kernel(), layer.pool());
        let (stride, padding) = (layer.stride(), layer.padding());
        let channels = usize::from(map.channels);
        // Taps inside of the map, along a side, over all positions and places.
        let inside = |side: usize, kernel: usize, positions: u16, i: usize| -> usize {
            (0..usize::from(positions))
                .flat_map(|at| (0..window[i]).map(move |place| (at * pool[i] + place) * stride[i]))
                .map(|first| {
                    let end = (first + kernel).min(side + padding[i]);
                    end.saturating_sub(first.max(padding[i]))
                })
                .sum()
        };
        let rows = inside(map.height.into(), height, output.height, 0) as f64;
        let noted = rows / f64::from(map.height).max(1.0);
        let columns = (window[1] - 1) * stride[1] + width;
        let columns = columns.min(map.width.into()) as f64;
        let met = rows * inside(map.width.into(), width, output.width, 1) as f64 * channels as f64;
        let units = layer.input().units() as f64;
        Self {
            positions: f64::from(output.height) * f64::from(output.width),
            outputs: output.channels.into(),
            places: (window[0] * window[1]) as f64,
            taps: layer.taps() as f64,
            rows_words: (height * (width * channels).div_ceil(32)) as f64,
            across: window[1] as f64,
            map: map.units() as f64,
            band_words: rows * (usize::from(map.width) * channels).div_ceil(32) as f64,
            band_columns: f64::from(output.height) * f64::from(map.width),
            noted,
            under: noted / f64::from(output.height).max(1.0) * columns
                / f64::from(map.width).max(1.0),
            reach: met / units.max(1.0),
        }
    }
}

/// Whole numbers divided, rounded up.
fn div_ceil(value: f64, by: u32) -> f64 {
    f64::from((value as u32).div_ceil(by))
}
