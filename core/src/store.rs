//! Where the first layer's sums of a graded input are kept.

use crate::kernel::BLOCK;
use crate::lif::Lif;
use crate::model::{Parameters, parts};

/// Keeps the first layer's sums of a graded input.
pub(crate) struct Store<'a> {
    pub(crate) to: &'a mut [u32],
    pub(crate) half: bool,
    /// Whether drives are kept.
    pub(crate) driven: bool,
    pub(crate) channels: usize,
    pub(crate) lif: Lif,
    pub(crate) biases: Parameters<'a>,
    /// Not 0 where a drive does not fit 16 bits.
    pub(crate) lost: i32,
}

impl Store<'_> {
    // Apart, so that it stands once in a program.
    #[inline(never)]
    pub(crate) fn block<const PARTS: u32>(
        &mut self,
        position: usize,
        block: usize,
        sums: &[i32; BLOCK],
    ) {
        let first = block * BLOCK;
        let sums = sums.get(..self.channels - first).unwrap_or(sums);
        let neuron = position * self.channels + first;
        if PARTS & parts::WORDS != 0 && !self.half {
            let to = self.to.get_mut(neuron..).unwrap_or(&mut []);
            let pairs = to.iter_mut().zip(sums);
            return pairs.for_each(|(to, from)| *to = *from as u32);
        }
        let to = bytemuck::cast_slice_mut::<u32, i16>(self.to);
        let to = to.get_mut(neuron..).unwrap_or(&mut []);
        if !self.driven {
            let pairs = to.iter_mut().zip(sums);
            return pairs.for_each(|(to, from)| *to = *from as i16);
        }
        let common;
        let biases = match self.biases.halves(neuron, first) {
            Some(biases) => biases,
            None => {
                common = [self.biases.common() as i16; BLOCK];
                &common
            }
        };
        self.lost |= store_drives(&self.lif, to, sums, biases);
    }
}

/// Stores what sums add to their neurons' decayed membranes; 0 where all fit 16 bits.
// Not generic, which leaves it to this crate's level of optimisation.
#[inline(never)]
fn store_drives(lif: &Lif, to: &mut [i16], sums: &[i32], biases: &[i16]) -> i32 {
    let (shift, lif) = (lif.right_shift(), lif.narrow());
    let mut lost = 0;
    for (to, (&sum, &bias)) in to.iter_mut().zip(sums.iter().zip(biases)) {
        let drive = lif.drive(sum >> shift, bias);
        *to = drive as i16;
        lost |= i32::from(*to) ^ drive;
    }
    lost
}
