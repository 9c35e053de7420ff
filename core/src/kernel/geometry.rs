//! Where the windows of a layer lie, computed once a layer instead of once a position.

use crate::model::Layer;

/// Sizes of a layer as loops need them; pairs are rows, then columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    /// Rows and columns of the map that the weights see.
    pub(super) map: [usize; 2],
    /// Channels of that map.
    pub(super) channels: usize,
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
    /// Window of the pooling between the sums and the neurons.
    pub(super) window: [usize; 2],
    /// Rows and columns of the padded map between neighbouring output positions.
    pub(super) pitch: [usize; 2],
    /// Rows and columns of the output.
    pub(super) output: [usize; 2],
    /// Channels of the output.
    pub(super) outputs: usize,
}

impl Geometry {
    #[inline(never)]
    pub(super) fn new(layer: &Layer) -> Self {
        let (map, output) = (layer.map(), layer.output());
        let (window, [down, right]) = layer.pool();
        let stride = layer.stride();
        Self {
            map: [map.height.into(), map.width.into()],
            channels: map.channels.into(),
            kernel: layer.kernel(),
            stride,
            padding: layer.padding(),
            window,
            pitch: [down * stride[0], right * stride[1]],
            output: [output.height.into(), output.width.into()],
            outputs: output.channels.into(),
        }
    }

    /// Values under a window, padding included.
    #[inline(always)]
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.channels
    }

    /// Blocks of outputs at a position.
    #[inline(always)]
    pub(super) fn blocks(&self) -> usize {
        self.outputs.div_ceil(super::BLOCK)
    }

    /// Calls `visit(input, tap, count)` for every run of consecutive values of the map that the
    /// output position with this corner (row and column of the padded map) reads: `count` values
    /// from flat index `input` on meet the taps from `tap` on. Padding is left out. Rows of the
    /// kernel are visited for each place of the pooling window in turn.
    #[inline(always)]
    pub(super) fn visit_runs(
        &self,
        corner: [usize; 2],
        mut visit: impl FnMut(usize, usize, usize),
    ) {
        let [height, width] = self.map;
        for dy in 0..self.window[0] {
            let top = corner[0] + dy * self.stride[0];
            for dx in 0..self.window[1] {
                let left = corner[1] + dx * self.stride[1];
                // Columns of the kernel that lie inside the map.
                let first = self.padding[1].saturating_sub(left);
                let end = self.kernel[1].min((width + self.padding[1]).saturating_sub(left));
                if first >= end {
                    continue;
                }
                for ky in 0..self.kernel[0] {
                    let Some(y) = (top + ky).checked_sub(self.padding[0]) else {
                        continue;
                    };
                    if y >= height {
                        break;
                    }
                    let x = left + first - self.padding[1];
                    visit(
                        (y * width + x) * self.channels,
                        (ky * self.kernel[1] + first) * self.channels,
                        (end - first) * self.channels,
                    );
                }
            }
        }
    }

    /// Calls `visit(position, corner)` for every output position.
    #[inline(always)]
    pub(super) fn visit_positions(&self, mut visit: impl FnMut(usize, [usize; 2])) {
        let mut position = 0;
        for row in 0..self.output[0] {
            for column in 0..self.output[1] {
                visit(position, [row * self.pitch[0], column * self.pitch[1]]);
                position += 1;
            }
        }
    }
}
