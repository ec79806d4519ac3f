//! Weights in Q8_0: blocks of 32 inputs, with one signed byte per weight and one scale per block.
//!
//! For the product, each row is rounded to 16 bits, with one scale per 32 inputs. The sums of a
//! block are then exact in 32 bits. Other implementations round rows to 8 bits; with 16 bits, the
//! added error is negligible compared to that of the weights, at the cost of half as many
//! multiplications per instruction.

use rayon::prelude::*;
use wide::{f32x8, i8x16, i16x16, i32x8};

use super::math::max_abs;
use super::matmul::{Format, LANES, Packed, Tile, unrolled};
use crate::lm::precision::{BLOCK, BLOCK_BYTES};
use crate::numeric::ROUND;

/// Format with one signed byte per weight. A unit holds the weights from one block of inputs to the
/// outputs of a panel.
pub(super) struct Bytes;

/// Input pairs per block. One instruction multiplies and adds the two inputs of a pair.
const PAIRS: usize = BLOCK / 2;

/// One block of inputs for LANES outputs, 34 bytes per output, as in a GGUF file.
#[derive(Clone)]
pub(super) struct Unit {
    /// f16 bits.
    scales: [u16; LANES],
    /// For each pair and each output, its two weights.
    weights: [[i8; 2 * LANES]; PAIRS],
}

/// One block of inputs of ROWS rows.
#[derive(Clone)]
pub(super) struct Step<const ROWS: usize> {
    scales: [f32; ROWS],
    /// Two 16-bit values packed into one i32, so that one instruction can broadcast them.
    pairs: [[i32; ROWS]; PAIRS],
}

/// Rounded magnitude of the largest value in a block.
const MAX_ROUNDED: f32 = i16::MAX as f32;

impl Packed<Bytes> {
    /// Packs the blocks of a row-major matrix, ⌈inputs / 32⌉ blocks per row.
    pub(super) fn new(blocks: &[u8], outputs: usize, inputs: usize) -> Self {
        let length = inputs.div_ceil(BLOCK);
        let empty = Unit { scales: [0; LANES], weights: [[0; 2 * LANES]; PAIRS] };
        let mut units = vec![empty; outputs.div_ceil(LANES) * length];
        for (output, row) in blocks.chunks_exact(length * BLOCK_BYTES).enumerate() {
            let lane = output % LANES;
            let panel = &mut units[output / LANES * length..][..length];
            for (block, unit) in row.chunks_exact(BLOCK_BYTES).zip(panel) {
                unit.scales[lane] = u16::from_le_bytes([block[0], block[1]]);
                for (pair, line) in block[2..].as_chunks::<2>().0.iter().zip(&mut unit.weights) {
                    line[2 * lane] = pair[0].cast_signed();
                    line[2 * lane + 1] = pair[1].cast_signed();
                }
            }
        }
        Self::from_units(units, outputs, inputs)
    }

    /// Dequantises row `output` of the weights, `[inputs]`, to `row`.
    pub(super) fn read(&self, output: usize, row: &mut [f32]) {
        let (panel, lane) = self.panel(output);
        for (unit, values) in panel.iter().zip(row.chunks_mut(BLOCK)) {
            let scale = f16_to_f32(unit.scales[lane]);
            let weights = unit.weights.iter().flat_map(|line| &line[2 * lane..][..2]);
            for (weight, value) in weights.zip(values) {
                *value = f32::from(*weight) * scale;
            }
        }
    }
}

impl Format for Bytes {
    type Unit = Unit;
    type Step<const ROWS: usize> = Step<ROWS>;
    const INPUTS: usize = BLOCK;

    fn interleave<const ROWS: usize>(x: &[f32], inputs: usize) -> Vec<Step<ROWS>> {
        let length = inputs.div_ceil(BLOCK);
        let rows = x.len() / inputs;
        let empty = Step { scales: [0.0; ROWS], pairs: [[0; ROWS]; PAIRS] };
        let mut steps = vec![empty; rows.div_ceil(ROWS) * length];
        let blocks = steps.par_chunks_exact_mut(length).with_min_len(8);
        blocks.zip(x.par_chunks(ROWS * inputs)).for_each(|(steps, rows)| {
            for (row, values) in rows.chunks_exact(inputs).enumerate() {
                for (step, values) in steps.iter_mut().zip(values.chunks(BLOCK)) {
                    step.quantise(row, values);
                }
            }
        });
        steps
    }

    /// All sums of a block stay in registers.
    #[inline(always)]
    fn tile<const ROWS: usize, const PANELS: usize>(
        x: &[Step<ROWS>],
        panels: [&[Unit]; PANELS],
    ) -> Tile<ROWS, PANELS> {
        let mut outs = [[f32x8::ZERO; ROWS]; PANELS];
        // Equal lengths let the compiler drop the bounds checks.
        let panels = panels.map(|panel| &panel[..x.len()]);
        for (index, step) in x.iter().enumerate() {
            let mut sums = [[i32x8::ZERO; ROWS]; PANELS];
            for pair in 0..PAIRS {
                for panel in 0..PANELS {
                    let weights = i8x16::new(panels[panel][index].weights[pair]);
                    let weights = i16x16::from_i8x16(weights);
                    let sums = &mut sums[panel];
                    unrolled!(row, ROWS, {
                        let inputs: i16x16 = bytemuck::cast(i32x8::splat(step.pairs[pair][row]));
                        sums[row] += weights.dot(inputs);
                    });
                }
            }
            for panel in 0..PANELS {
                let scales = f32x8::new(panels[panel][index].scales.map(f16_to_f32));
                unrolled!(row, ROWS, {
                    let scales = scales * f32x8::splat(step.scales[row]);
                    let sums = sums[panel][row].round_float();
                    outs[panel][row] = sums.mul_add(scales, outs[panel][row]);
                });
            }
        }
        outs.map(|rows| rows.map(f32x8::to_array))
    }
}

impl<const ROWS: usize> Step<ROWS> {
    /// Quantises at most [`BLOCK`] values into row `row`. Missing values are zero.
    fn quantise(&mut self, row: usize, values: &[f32]) {
        let mut padded = [0.0; BLOCK];
        padded[..values.len()].copy_from_slice(values);
        let max = max_abs(&padded);
        self.scales[row] = max / MAX_ROUNDED;
        let factor = if max > 0.0 { MAX_ROUNDED / max } else { 0.0 };
        let rounded = padded.map(|x| (x * factor + ROUND).to_bits() as i16);
        for (values, pair) in rounded.as_chunks::<2>().0.iter().zip(&mut self.pairs) {
            pair[row] = bytemuck::cast(*values);
        }
    }
}

/// Converts an f16 to f32. Exact for all finite values.
#[inline(always)]
fn f16_to_f32(bits: u16) -> f32 {
    // The exponent bias of f16 is 15, that of f32 is 127; the factor is 2¹¹².
    const SHIFT: f32 = f32::from_bits((127 + 112) << 23);
    let bits = u32::from(bits);
    f32::from_bits((bits & 0x8000) << 16 | (bits & 0x7fff) << 13) * SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns pseudo-random values in [−1, 1).
    fn noise(count: usize) -> Vec<f32> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Returns random Q8_0 blocks of `outputs` rows.
    fn blocks(outputs: usize, inputs: usize) -> Vec<u8> {
        let count = outputs * inputs.div_ceil(BLOCK);
        let weights = noise(count * BLOCK);
        let blocks = weights.chunks_exact(BLOCK).enumerate().flat_map(|(index, weights)| {
            let scale = half::f16::from_f32(0.01 + index as f32 * 1e-4).to_le_bytes();
            scale.into_iter().chain(weights.iter().map(|w| (w * 127.9) as i8 as u8))
        });
        blocks.collect()
    }

    /// Covers shapes that do not fill a panel or a block, and row counts for every tile size.
    #[test]
    fn products_match_the_weights_for_all_shapes_and_row_counts() {
        for (outputs, inputs) in [(1, 32), (13, 40), (64, 96), (531, 320)] {
            let mut blocks = blocks(outputs, inputs);
            // Rows are padded with zeros.
            let unused = inputs.next_multiple_of(BLOCK) - inputs;
            for row in blocks.chunks_exact_mut(inputs.div_ceil(BLOCK) * BLOCK_BYTES) {
                let end = row.len();
                row[end - unused..].fill(0);
            }
            let packed = Packed::<Bytes>::new(&blocks, outputs, inputs);
            let mut weights = vec![0.0; outputs * inputs];
            for (output, row) in weights.chunks_exact_mut(inputs).enumerate() {
                packed.read(output, row);
            }
            for rows in [1, 2, 3, 4, 5, 8, 19] {
                let x = noise(rows * inputs);
                let y = packed.apply(&x, rows);
                for (x, y) in x.chunks_exact(inputs).zip(y.chunks_exact(outputs)) {
                    assert_eq!(packed.apply(x, 1), y);
                    for (weights, y) in weights.chunks_exact(inputs).zip(y) {
                        let products = x.iter().zip(weights).map(|(x, w)| f64::from(x * w));
                        let (sum, size) =
                            products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()));
                        assert!((sum - f64::from(*y)).abs() < 1e-4 * size, "{sum} {y}");
                    }
                }
            }
        }
    }

    #[test]
    fn nan_and_infinity_in_the_input_reach_the_output() {
        let packed = Packed::<Bytes>::new(&blocks(9, 64), 9, 64);
        for wrong in [f32::NAN, f32::INFINITY] {
            let mut x = noise(64);
            x[40] = wrong;
            assert!(packed.apply(&x, 1).iter().all(|y| !y.is_finite()));
        }
        assert_eq!(packed.apply(&[0.0; 64], 1), [0.0; 9]);
    }

    #[test]
    fn f16_conversion_matches_the_half_crate() {
        for bits in 0..=u16::MAX {
            let half = half::f16::from_bits(bits);
            if half.is_finite() {
                assert_eq!(f16_to_f32(bits).to_bits(), half.to_f32().to_bits(), "{bits:#x}");
            }
        }
    }
}
