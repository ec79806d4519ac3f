//! Weights held as Q8_0: blocks of 32 inputs, a signed byte each, with one scale.
//!
//! A row is rounded to 16 bits for the product, 32 inputs to a scale; the products of a block are
//! then exact in 32 bits. Unlike the 8 bits that others round to, this adds no error that shows
//! beside that of the weights, at the cost of half the multiplications an instruction.

use rayon::prelude::*;
use wide::{f32x8, i8x16, i16x16, i32x8};

use super::math::{ROUND, largest};
use super::matmul::{Form, LANES, Packed, Tile, unrolled};
use crate::lm::weights::{BLOCK, BLOCK_BYTES};

/// A signed byte a weight; a unit is a block of inputs' weights to a panel's outputs.
pub(super) struct Bytes;

/// Two inputs, which one instruction multiplies and adds.
const PAIRS: usize = BLOCK / 2;

/// A block of LANES outputs, 34 bytes each as in a GGUF file.
#[derive(Clone)]
pub(super) struct Unit {
    /// f16.
    scales: [u16; LANES],
    /// Pair by pair, output by output, the two weights.
    weights: [[i8; 2 * LANES]; PAIRS],
}

/// A block of ROWS rows.
#[derive(Clone)]
pub(super) struct Step<const ROWS: usize> {
    scales: [f32; ROWS],
    /// Two values of 16 bits as one, so that a register is filled with them at once.
    pairs: [[i32; ROWS]; PAIRS],
}

/// What the largest value of a block becomes.
const TOP: f32 = i16::MAX as f32;

impl Packed<Bytes> {
    /// Packs the blocks of a row-major matrix, ⌈inputs / 32⌉ a row.
    pub fn new(blocks: &[u8], outputs: usize, inputs: usize) -> Self {
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
        Self::of_units(units, outputs, inputs)
    }

    /// Row `output` of the weights, `[inputs]`.
    pub fn read(&self, output: usize, into: &mut [f32]) {
        let (panel, lane) = self.panel(output);
        for (unit, places) in panel.iter().zip(into.chunks_mut(BLOCK)) {
            let scale = from_half(unit.scales[lane]);
            let weights = unit.weights.iter().flat_map(|line| &line[2 * lane..][..2]);
            for (weight, place) in weights.zip(places) {
                *place = f32::from(*weight) * scale;
            }
        }
    }
}

impl Form for Bytes {
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
                    step.round(row, values);
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
        // Of one length, which the compiler then knows.
        let panels = panels.map(|panel| &panel[..x.len()]);
        for (index, step) in x.iter().enumerate() {
            let mut sums = [[i32x8::ZERO; ROWS]; PANELS];
            for pair in 0..PAIRS {
                for panel in 0..PANELS {
                    let weights = i8x16::new(panels[panel][index].weights[pair]);
                    let weights = i16x16::from_i8x16(weights);
                    let sums = &mut sums[panel];
                    unrolled!(row, ROWS, {
                        let both: i16x16 = bytemuck::cast(i32x8::splat(step.pairs[pair][row]));
                        sums[row] += weights.dot(both);
                    });
                }
            }
            for panel in 0..PANELS {
                let scales = f32x8::new(panels[panel][index].scales.map(from_half));
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
    /// Sets row `row` to at most [`BLOCK`] values, zeros past the last.
    fn round(&mut self, row: usize, values: &[f32]) {
        let mut whole = [0.0; BLOCK];
        whole[..values.len()].copy_from_slice(values);
        let most = largest(&whole);
        self.scales[row] = most / TOP;
        let factor = if most > 0.0 { TOP / most } else { 0.0 };
        let rounded = whole.map(|x| (x * factor + ROUND).to_bits() as i16);
        for (pair, places) in rounded.as_chunks::<2>().0.iter().zip(&mut self.pairs) {
            places[row] = bytemuck::cast(*pair);
        }
    }
}

/// An f16 as f32, exact for every one that is a number.
#[inline(always)]
fn from_half(bits: u16) -> f32 {
    // The exponent of f16 is counted from 15, that of f32 from 127: 2¹¹² is between them.
    const SHIFT: f32 = f32::from_bits((127 + 112) << 23);
    let bits = u32::from(bits);
    f32::from_bits((bits & 0x8000) << 16 | (bits & 0x7fff) << 13) * SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that look drawn by chance, in [−1, 1).
    fn noise(count: usize) -> Vec<f32> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Blocks of `outputs` rows, whole bytes from the first to the last.
    fn blocks(outputs: usize, inputs: usize) -> Vec<u8> {
        let count = outputs * inputs.div_ceil(BLOCK);
        let weights = noise(count * BLOCK);
        let blocks = weights.chunks_exact(BLOCK).enumerate().flat_map(|(index, weights)| {
            let scale = half::f16::from_f32(0.01 + index as f32 * 1e-4).to_le_bytes();
            scale.into_iter().chain(weights.iter().map(|w| (w * 127.9) as i8 as u8))
        });
        blocks.collect()
    }

    /// Shapes that fill no panel and no block; as many rows as there are ways to take them.
    #[test]
    fn products_are_those_of_the_weights_whatever_comes_along() {
        for (outputs, inputs) in [(1, 32), (13, 40), (64, 96), (531, 320)] {
            let mut blocks = blocks(outputs, inputs);
            // What fills a row up counts nothing.
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
    fn what_is_no_number_is_not_hidden() {
        let packed = Packed::<Bytes>::new(&blocks(9, 64), 9, 64);
        for wrong in [f32::NAN, f32::INFINITY] {
            let mut x = noise(64);
            x[40] = wrong;
            assert!(packed.apply(&x, 1).iter().all(|y| !y.is_finite()));
        }
        assert_eq!(packed.apply(&[0.0; 64], 1), [0.0; 9]);
    }

    #[test]
    fn halves_are_read_as_the_library_reads_them() {
        for bits in 0..=u16::MAX {
            let half = half::f16::from_bits(bits);
            if half.is_finite() {
                assert_eq!(from_half(bits).to_bits(), half.to_f32().to_bits(), "{bits:#x}");
            }
        }
    }
}
