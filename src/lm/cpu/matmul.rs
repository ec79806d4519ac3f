//! Products of a few rows with a weight matrix.
//!
//! candle's general matrix product spends most of a decoding step on packing the weights. Here they
//! are packed once, when the model is loaded, into panels of [`LANES`] outputs. A decoding step
//! then reads them in memory order. With one row it is limited by memory bandwidth, with sixteen
//! rows by arithmetic. A [`Format`] defines how a panel stores its weights.

use rayon::prelude::*;

/// Repeats the body for each index below `$limit`. The compiler does not unroll an ordinary loop of
/// this size and keeps the sums in memory, which is eight times slower.
macro_rules! unrolled {
    ($index:ident, $limit:ident, $body:block) => {
        unrolled!($index, $limit, [0, 1, 2, 3, 4, 5, 6, 7], $body)
    };
    ($index:ident, $limit:ident, [$($n:literal),*], $body:block) => {
        $(if $n < $limit { let $index: usize = $n; $body })*
    };
}
pub(super) use unrolled;

/// Outputs per panel: one AVX register or two NEON registers.
pub(super) const LANES: usize = 8;

/// Whether the target has 32 vector registers instead of 16, so that twice as many sums fit.
const HAS_32_REGISTERS: bool = cfg!(any(target_feature = "avx512vl", target_arch = "aarch64"));

/// Minimum multiplications for which a product uses more than one thread.
const PARALLEL_FROM: usize = 1 << 17;

/// Sums of PANELS · LANES outputs for ROWS rows.
pub(super) type Tile<const ROWS: usize, const PANELS: usize> = [[[f32; LANES]; ROWS]; PANELS];

/// Storage format of packed weights, with the matching product.
pub(super) trait Format {
    /// Weights from [`Format::INPUTS`] inputs to LANES outputs.
    type Unit: Send + Sync;
    /// [`Format::INPUTS`] inputs of ROWS rows.
    type Step<const ROWS: usize>: Send + Sync;
    /// Inputs per unit.
    const INPUTS: usize;

    /// Rearranges `[rows, inputs]` into blocks of ROWS rows: `[⌈rows / ROWS⌉, ⌈inputs / INPUTS⌉]`.
    /// Missing rows and inputs are zero.
    fn interleave<const ROWS: usize>(x: &[f32], inputs: usize) -> Vec<Self::Step<ROWS>>;

    /// Returns the products of ROWS rows with PANELS panels. Each panel has as many units as `x`
    /// has steps.
    fn tile<const ROWS: usize, const PANELS: usize>(
        x: &[Self::Step<ROWS>],
        panels: [&[Self::Unit]; PANELS],
    ) -> Tile<ROWS, PANELS>;
}

/// A packed weight matrix `[outputs, inputs]`.
pub(super) struct Packed<F: Format> {
    inputs: usize,
    outputs: usize,
    /// `[⌈outputs / LANES⌉, ⌈inputs / INPUTS⌉]`; missing outputs and inputs are zero.
    units: Vec<F::Unit>,
}

impl<F: Format> Packed<F> {
    /// Creates a matrix from its units, panel by panel.
    pub(crate) fn from_units(units: Vec<F::Unit>, outputs: usize, inputs: usize) -> Self {
        Self { inputs, outputs, units }
    }

    /// Returns the panel that contains `output`, and its lane in that panel.
    pub(super) fn panel(&self, output: usize) -> (&[F::Unit], usize) {
        let length = self.units_per_panel();
        (&self.units[output / LANES * length..][..length], output % LANES)
    }

    /// Computes x Wᵀ: `[rows, inputs]` → `[rows, outputs]`.
    pub(super) fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let mut out = vec![0.0; rows * self.outputs];
        match rows {
            0 => {}
            1 => self.run::<1, 8>(x, &mut out),
            2 => self.run::<2, 4>(x, &mut out),
            3 | 4 => self.run::<4, 2>(x, &mut out),
            _ if HAS_32_REGISTERS => self.run::<8, 2>(x, &mut out),
            _ => self.run::<8, 1>(x, &mut out),
        }
        out
    }

    fn units_per_panel(&self) -> usize {
        self.inputs.div_ceil(F::INPUTS)
    }

    fn run<const ROWS: usize, const PANELS: usize>(&self, x: &[f32], out: &mut [f32]) {
        let rows = x.len() / self.inputs;
        let interleaved = F::interleave::<ROWS>(x, self.inputs);
        let length = self.units_per_panel();
        let panels = self.units.len() / length;
        let threads = rayon::current_num_threads();
        let work = rows * self.inputs * self.outputs;
        let groups = if work < PARALLEL_FROM || threads < 2 { 1 } else { threads };
        let share = panels.div_ceil(groups);

        // Each group writes separate columns of all rows.
        let mut columns: Vec<Vec<&mut [f32]>> = Vec::new();
        for row in out.chunks_exact_mut(self.outputs) {
            for (group, part) in row.chunks_mut(share * LANES).enumerate() {
                if group == columns.len() {
                    columns.push(Vec::with_capacity(rows));
                }
                columns[group].push(part);
            }
        }
        let tasks: Vec<_> = self.units.chunks(share * length).zip(columns).collect();
        if tasks.len() < 2 {
            for (units, mut out) in tasks {
                multiply::<F, ROWS, PANELS>(&interleaved, units, length, &mut out);
            }
        } else {
            tasks.into_par_iter().for_each(|(units, mut out)| {
                multiply::<F, ROWS, PANELS>(&interleaved, units, length, &mut out);
            });
        }
    }
}

/// Computes the outputs of `units` for all rows. A panel has `length` units.
fn multiply<F: Format, const ROWS: usize, const PANELS: usize>(
    x: &[F::Step<ROWS>],
    units: &[F::Unit],
    length: usize,
    out: &mut [&mut [f32]],
) {
    for (index, chunk) in units.chunks(PANELS * length).enumerate() {
        let column = index * PANELS * LANES;
        // The panels stay in the L1 cache for all rows.
        for (block, rows) in x.chunks_exact(length).zip(out.chunks_mut(ROWS)) {
            if chunk.len() == PANELS * length {
                let panels = std::array::from_fn(|panel| &chunk[panel * length..][..length]);
                store(&F::tile::<ROWS, PANELS>(block, panels), rows, column);
            } else {
                for (extra, panel) in chunk.chunks_exact(length).enumerate() {
                    let column = column + extra * LANES;
                    store(&F::tile::<ROWS, 1>(block, [panel]), rows, column);
                }
            }
        }
    }
}

fn store<const ROWS: usize, const PANELS: usize>(
    tile: &Tile<ROWS, PANELS>,
    rows: &mut [&mut [f32]],
    column: usize,
) {
    for (panel, sums) in tile.iter().enumerate() {
        let start = column + panel * LANES;
        for (sums, row) in sums.iter().zip(rows.iter_mut()) {
            let end = row.len().min(start + LANES);
            if let Some(outputs) = row.get_mut(start..end) {
                outputs.copy_from_slice(&sums[..outputs.len()]);
            }
        }
    }
}
