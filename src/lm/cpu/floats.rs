//! Weights held as f32.

use super::math::add_multiple;
use super::matmul::{Form, LANES, Packed, Tile, unrolled};

/// One f32 a weight; a unit is one input's weights to a panel's outputs.
pub(super) struct Floats;

impl Packed<Floats> {
    /// Packs `weight`, row-major `[outputs, inputs]`.
    pub fn new(weight: &[f32], outputs: usize, inputs: usize) -> Self {
        let mut units = vec![[0.0; LANES]; outputs.div_ceil(LANES) * inputs];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let panel = &mut units[output / LANES * inputs..][..inputs];
            for (value, unit) in row.iter().zip(panel) {
                unit[output % LANES] = *value;
            }
        }
        Self::of_units(units, outputs, inputs)
    }

    /// Row `output` of the weights, `[inputs]`.
    pub fn read(&self, output: usize, into: &mut [f32]) {
        let (panel, lane) = self.panel(output);
        for (place, unit) in into.iter_mut().zip(panel) {
            *place = unit[lane];
        }
    }
}

impl Form for Floats {
    type Unit = [f32; LANES];
    type Step<const ROWS: usize> = [f32; ROWS];
    const INPUTS: usize = 1;

    fn interleave<const ROWS: usize>(x: &[f32], inputs: usize) -> Vec<[f32; ROWS]> {
        let rows = x.len() / inputs;
        let mut blocks = vec![[0.0; ROWS]; rows.div_ceil(ROWS) * inputs];
        for (index, row) in x.chunks_exact(inputs).enumerate() {
            let block = &mut blocks[index / ROWS * inputs..][..inputs];
            for (value, place) in row.iter().zip(block) {
                place[index % ROWS] = *value;
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
        // Of one length, which the compiler then knows.
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
