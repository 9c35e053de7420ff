//! One step of one layer: its spikes are listed, rows of weights added, and all neurons advance.

use super::list::{List, Window};
use super::neurons::update;
use super::plan::{Plan, Room};
use super::sums::{self, Lane};
use crate::bits;

/// The state of all layers, and what a step needs beside it.
#[derive(Debug)]
pub(super) struct Work<'a> {
    membranes: &'a mut [i16],
    /// 1 for neurons that fired in the last step.
    fired: &'a mut [u8],
    /// The same, packed.
    words: &'a mut [u32],
    /// Sums of a graded first layer.
    loaded: &'a mut [i32],
    /// Sums of a layer in this step.
    sums: &'a mut [i32],
    list: List<'a>,
}

/// Where a layer's spikes come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'i> {
    /// The network's input.
    Words(&'i [u32]),
    /// The layer before.
    Layer(&'i Plan),
    /// Sums are there already.
    Loaded,
}

impl<'a> Work<'a> {
    pub(super) fn new(memory: &'a mut [u32], room: &Room) -> Option<Self> {
        let mut rest = memory;
        let mut parts = [(); 7].map(|()| <&mut [u32]>::default());
        for (part, words) in parts.iter_mut().zip(room.parts()) {
            (*part, rest) = rest.split_at_mut_checked(words)?;
        }
        let [membranes, fired, words, loaded, sums, spikes, starts] = parts;
        Some(Self {
            membranes: bytemuck::cast_slice_mut(membranes),
            fired: bytemuck::cast_slice_mut(fired),
            words,
            loaded: bytemuck::cast_slice_mut(loaded),
            sums: bytemuck::cast_slice_mut(sums),
            list: List::new(
                bytemuck::cast_slice_mut(spikes),
                bytemuck::cast_slice_mut(starts),
            ),
        })
    }

    /// Membrane and spike of a neuron of a layer.
    #[inline(always)]
    pub(super) fn neuron(&self, plan: &Plan, neuron: usize) -> (i32, bool) {
        let at = plan.neurons_at + plan.padded(neuron);
        let membrane = self.membranes.get(at).copied().unwrap_or(0);
        let fired = self.fired.get(at).copied().unwrap_or(0);
        (membrane.into(), fired != 0)
    }

    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.membranes.fill(0);
        self.fired.fill(0);
        self.words.fill(0);
    }

    /// Advances a layer; gives its spikes, and the synaptic operations of those that it read.
    #[inline(always)]
    pub(super) fn step(&mut self, plan: &Plan, tables: &[u32], source: Source<'_>) -> (u64, u64) {
        let fans = tables.get(plan.fan_at..).unwrap_or(&[]);
        let operations = match source {
            Source::Words(words) => self.list.fill(plan, fans, |pixel| {
                (0..plan.channels).step_by(16).map(move |offset| {
                    let count = (plan.channels - offset).min(16);
                    bits::read(words, pixel * plan.channels + offset, count) as u16
                })
            }),
            Source::Layer(before) => {
                let halves = bytemuck::cast_slice::<u32, u16>(self.words);
                let halves = halves.get(before.neurons_at / 16..).unwrap_or(&[]);
                if plan.map == before.output {
                    let (row, count) = (before.row() / 16, plan.channels.div_ceil(16));
                    self.list.fill(plan, fans, |pixel| {
                        let halves = halves.get(pixel.wrapping_mul(row)..).unwrap_or(&[]);
                        halves.iter().take(count).copied()
                    })
                } else {
                    self.list.fill_flat(before, fans, halves)
                }
            }
            Source::Loaded => 0,
        };
        if !matches!(source, Source::Loaded) {
            match plan.lanes {
                16 => self.sum::<16>(plan, tables),
                32 => self.sum::<32>(plan, tables),
                _ => self.sum::<64>(plan, tables),
            }
        }
        let sums = match source {
            Source::Loaded => &*self.loaded,
            _ => &*self.sums,
        };
        let runs = plan.neurons_at..plan.neurons_at + plan.neurons;
        let spikes = update(
            &plan.lif,
            sums,
            self.membranes.get_mut(runs.clone()).unwrap_or(&mut []),
            self.fired.get_mut(runs).unwrap_or(&mut []),
            self.words
                .get_mut(plan.neurons_at / 32..)
                .unwrap_or(&mut []),
            bytemuck::cast_slice(tables.get(plan.thresholds_at..).unwrap_or(&[])),
            bytemuck::cast_slice(tables.get(plan.biases_at..).unwrap_or(&[])),
        );
        (spikes, operations)
    }

    /// Computes the sums of the spikes that are listed.
    #[inline(always)]
    fn sum<const L: usize>(&mut self, plan: &Plan, tables: &[u32]) {
        let weights = rows::<L>(tables.get(plan.weights_at..));
        let mut to = self.sums.as_chunks_mut::<L>().0.iter_mut();
        for row in 0..plan.output[0] {
            for column in 0..plan.output[1] {
                let window = Window::new(plan, row, column);
                for block in 0..plan.blocks {
                    let Some(to) = to.next() else { return };
                    let weights = weights.get(block * plan.taps()..).unwrap_or(&[]);
                    let weights = weights.get(..plan.taps()).unwrap_or(&[]);
                    *to = sums::of_spikes(plan, &window, &self.list, weights);
                }
            }
        }
    }

    /// Computes the sums of a graded input; gives its synaptic operations.
    #[inline(always)]
    pub(super) fn load(&mut self, plan: &Plan, tables: &[u32], bytes: &[u8], flip: i16) -> u64 {
        match (plan.lanes, plan.half) {
            (16, true) => self.load_of::<16, i16>(plan, tables, bytes, flip),
            (16, false) => self.load_of::<16, i32>(plan, tables, bytes, flip),
            (32, true) => self.load_of::<32, i16>(plan, tables, bytes, flip),
            (32, false) => self.load_of::<32, i32>(plan, tables, bytes, flip),
            (_, true) => self.load_of::<64, i16>(plan, tables, bytes, flip),
            (_, false) => self.load_of::<64, i32>(plan, tables, bytes, flip),
        }
        let fans = tables.get(plan.fan_at..).unwrap_or(&[]);
        let pixels = bytes.chunks(plan.channels.max(1)).zip(fans);
        let operations = pixels.map(|(bytes, &fan)| {
            let set = bytes.iter().map(|&byte| u64::from(byte != 0));
            set.sum::<u64>() * u64::from(fan)
        });
        operations.sum()
    }

    #[inline(always)]
    fn load_of<const L: usize, T: Lane>(
        &mut self,
        plan: &Plan,
        tables: &[u32],
        bytes: &[u8],
        flip: i16,
    ) {
        let weights = rows::<L>(tables.get(plan.weights_at..));
        let mut to = self.loaded.as_chunks_mut::<L>().0.iter_mut();
        for row in 0..plan.output[0] {
            for column in 0..plan.output[1] {
                let window = Window::new(plan, row, column);
                for block in 0..plan.blocks {
                    let Some(to) = to.next() else { return };
                    let weights = weights.get(block * plan.taps()..).unwrap_or(&[]);
                    *to = sums::of_values::<L, T>(plan, &window, bytes, flip, weights);
                }
            }
        }
    }
}

/// Words of a table as rows of `L` weights.
#[inline(always)]
fn rows<const L: usize>(words: Option<&[u32]>) -> &[[i8; L]] {
    bytemuck::cast_slice::<u32, i8>(words.unwrap_or(&[]))
        .as_chunks()
        .0
}
