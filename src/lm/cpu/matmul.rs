//! Products of a few rows with a weight matrix.
//!
//! candle's general product spends most of a decoding step packing the weights it is given.
//! Here they are packed once, when the model is loaded, into panels of [`LANES`] outputs, so
//! that a step streams them through the vector units in the order they lie in memory: at one
//! row bound by memory, at sixteen by arithmetic.

use rayon::prelude::*;

use super::math::add_multiple;

/// Repeats the body for every index below `$limit`. A loop of this size the compiler leaves a
/// loop, and then the sums live in memory: eight times slower.
macro_rules! unrolled {
    ($index:ident, $limit:ident, [$($n:literal),*], $body:block) => {
        $(if $n < $limit { let $index: usize = $n; $body })*
    };
}

/// Outputs a panel: one AVX register, two of NEON.
const LANES: usize = 8;

/// Whether there are 32 vector registers rather than 16, hence room for twice the sums.
const WIDE: bool = cfg!(any(target_feature = "avx512vl", target_arch = "aarch64"));

/// Below this many multiplications a product is not worth a second thread.
const PARALLEL_FROM: usize = 1 << 17;

/// A weight matrix `[outputs, inputs]`, packed.
pub struct Packed {
    inputs: usize,
    outputs: usize,
    /// `[⌈outputs / LANES⌉, inputs, LANES]`, zeros past the last output.
    panels: Vec<f32>,
}

impl Packed {
    /// Packs `weight`, row-major `[outputs, inputs]`.
    pub fn new(weight: &[f32], outputs: usize, inputs: usize) -> Self {
        let mut panels = vec![0.0; outputs.div_ceil(LANES) * inputs * LANES];
        for (output, row) in weight.chunks_exact(inputs).enumerate() {
            let panel = &mut panels[output / LANES * inputs * LANES..][..inputs * LANES];
            for (value, place) in row.iter().zip(panel[output % LANES..].iter_mut().step_by(LANES))
            {
                *place = *value;
            }
        }
        Self { inputs, outputs, panels }
    }

    /// x Wᵀ: `[rows, inputs]` → `[rows, outputs]`.
    pub fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let mut out = vec![0.0; rows * self.outputs];
        match rows {
            0 => {}
            1 => self.run::<1, 8>(x, &mut out),
            2 => self.run::<2, 4>(x, &mut out),
            _ if !WIDE || rows <= 4 => self.run::<4, 2>(x, &mut out),
            _ => self.run::<8, 2>(x, &mut out),
        }
        out
    }

    /// Row `output` of the weights, `[inputs]`.
    pub fn read(&self, output: usize, into: &mut [f32]) {
        let panel = &self.panels[output / LANES * self.inputs * LANES..];
        for (place, value) in into.iter_mut().zip(panel[output % LANES..].iter().step_by(LANES)) {
            *place = *value;
        }
    }

    fn run<const ROWS: usize, const PANELS: usize>(&self, x: &[f32], out: &mut [f32]) {
        let rows = x.len() / self.inputs;
        let interleaved = interleave::<ROWS>(x, self.inputs);
        let panel = self.inputs * LANES;
        let count = self.panels.len() / panel;
        let threads = rayon::current_num_threads();
        let work = rows * self.inputs * self.outputs;
        let groups = if work < PARALLEL_FROM || threads < 2 { 1 } else { threads };
        let share = count.div_ceil(groups).next_multiple_of(PANELS);

        // Each group writes its own columns of every row.
        let mut columns: Vec<Vec<&mut [f32]>> = Vec::new();
        for row in out.chunks_exact_mut(self.outputs) {
            for (group, part) in row.chunks_mut(share * LANES).enumerate() {
                if group == columns.len() {
                    columns.push(Vec::with_capacity(rows));
                }
                columns[group].push(part);
            }
        }
        let tasks: Vec<_> = self.panels.chunks(share * panel).zip(columns).collect();
        if tasks.len() < 2 {
            for (panels, mut out) in tasks {
                group::<ROWS, PANELS>(&interleaved, panels, self.inputs, &mut out);
            }
        } else {
            tasks.into_par_iter().for_each(|(panels, mut out)| {
                group::<ROWS, PANELS>(&interleaved, panels, self.inputs, &mut out);
            });
        }
    }
}

/// `[rows, inputs]` as blocks of ROWS rows, `[⌈rows / ROWS⌉, inputs, ROWS]`, zeros past the last.
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

/// The columns that `panels` make, of all rows.
fn group<const ROWS: usize, const PANELS: usize>(
    x: &[[f32; ROWS]],
    panels: &[f32],
    inputs: usize,
    out: &mut [&mut [f32]],
) {
    for (index, some) in panels.chunks(PANELS * inputs * LANES).enumerate() {
        let column = index * PANELS * LANES;
        // The panel stays in the nearest cache while all rows pass over it.
        for (block, rows) in x.chunks_exact(inputs).zip(out.chunks_mut(ROWS)) {
            if some.len() == PANELS * inputs * LANES {
                let tile = tile::<ROWS, PANELS>(block, some, inputs);
                store(&tile, rows, column);
            } else {
                for (extra, panel) in some.chunks_exact(inputs * LANES).enumerate() {
                    let tile = tile::<ROWS, 1>(block, panel, inputs);
                    store(&tile, rows, column + extra * LANES);
                }
            }
        }
    }
}

fn store<const ROWS: usize, const PANELS: usize>(
    tile: &[[[f32; LANES]; ROWS]; PANELS],
    rows: &mut [&mut [f32]],
    column: usize,
) {
    for (panel, sums) in tile.iter().enumerate() {
        let start = column + panel * LANES;
        for (sums, row) in sums.iter().zip(rows.iter_mut()) {
            let end = row.len().min(start + LANES);
            if let Some(place) = row.get_mut(start..end) {
                place.copy_from_slice(&sums[..place.len()]);
            }
        }
    }
}

/// PANELS · LANES outputs of ROWS rows; all sums stay in registers.
#[inline(always)]
fn tile<const ROWS: usize, const PANELS: usize>(
    x: &[[f32; ROWS]],
    panels: &[f32],
    inputs: usize,
) -> [[[f32; LANES]; ROWS]; PANELS] {
    let mut sums = [[[0.0; LANES]; ROWS]; PANELS];
    let panels: [&[[f32; LANES]]; PANELS] = std::array::from_fn(|panel| {
        let panel = &panels[panel * inputs * LANES..][..inputs * LANES];
        panel.as_chunks::<LANES>().0
    });
    for (input, values) in x.iter().enumerate().take(inputs) {
        for panel in 0..PANELS {
            let weights = &panels[panel][input];
            let sums = &mut sums[panel];
            unrolled!(row, ROWS, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], {
                sums[row] = add_multiple(values[row], weights, sums[row]);
            });
        }
    }
    sums
}
