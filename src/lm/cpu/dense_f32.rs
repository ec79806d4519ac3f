//! Weights in f32.

use super::math::add_multiple;
use super::matmul::{Format, LANES, Packed, Tile, unrolled};

/// Format with one f32 per weight. A unit holds the weights from one input to the outputs of a
/// panel.
pub(super) struct Floats;

impl Packed<Floats> {
    /// Packs `weight`, row-major `[outputs, inputs]`.
    pub(super) fn new(weight: &[f32], outputs: usize, inputs: usize) -> Self {
        let mut units = vec![[0.0; LANES]; outputs.div_ceil(LANES) * inputs];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let panel = &mut units[output / LANES * inputs..][..inputs];
            for (value, unit) in row.iter().zip(panel) {
                unit[output % LANES] = *value;
            }
        }
        Self::from_units(units, outputs, inputs)
    }

    /// Copies row `output` of the weights, `[inputs]`, to `row`.
    pub(super) fn read(&self, output: usize, row: &mut [f32]) {
        let (panel, lane) = self.panel(output);
        for (weight, unit) in row.iter_mut().zip(panel) {
            *weight = unit[lane];
        }
    }
}

impl Format for Floats {
    type Unit = [f32; LANES];
    type Step<const ROWS: usize> = [f32; ROWS];
    const INPUTS: usize = 1;

    fn interleave<const ROWS: usize>(x: &[f32], inputs: usize) -> Vec<[f32; ROWS]> {
        let rows = x.len() / inputs;
        let mut blocks = vec![[0.0; ROWS]; rows.div_ceil(ROWS) * inputs];
        for (index, row) in x.chunks_exact(inputs).enumerate() {
            let block = &mut blocks[index / ROWS * inputs..][..inputs];
            for (value, step) in row.iter().zip(block) {
                step[index % ROWS] = *value;
            }
        }
        blocks
    }

    /// All sums stay in registers.
    #[inline(always)]
    fn tile<const ROWS: usize, const PANELS: usize>(
        x: &[[f32; ROWS]],
        panels: [&[[f32; LANES]]; PANELS],
    ) -> Tile<ROWS, PANELS> {
        let mut sums = [[[0.0; LANES]; ROWS]; PANELS];
        // Equal lengths let the compiler drop the bounds checks.
        let panels = panels.map(|panel| &panel[..x.len()]);
        for (input, values) in x.iter().enumerate() {
            for panel in 0..PANELS {
                let weights = &panels[panel][input];
                let sums = &mut sums[panel];
                unrolled!(row, ROWS, {
                    sums[row] = add_multiple(values[row], weights, sums[row]);
                });
            }
        }
        sums
    }
}
