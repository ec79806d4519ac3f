//! Products of a few rows with a weight matrix.
//!
//! candle's general product spends most of a decoding step packing the weights it is given.
//! Here they are packed once, when the model is loaded, into panels of [`LANES`] outputs, so
//! that a step streams them through the vector units in the order they lie in memory: at one
//! row bound by memory, at sixteen by arithmetic. A [`Form`] says how a panel holds its weights.

use rayon::prelude::*;

/// Repeats the body for every index below `$limit`. A loop of this size the compiler leaves a
/// loop, and then the sums live in memory: eight times slower.
macro_rules! unrolled {
    ($index:ident, $limit:ident, $body:block) => {
        unrolled!($index, $limit, [0, 1, 2, 3, 4, 5, 6, 7], $body)
    };
    ($index:ident, $limit:ident, [$($n:literal),*], $body:block) => {
        $(if $n < $limit { let $index: usize = $n; $body })*
    };
}
pub(super) use unrolled;

/// Outputs a panel: one AVX register, two of NEON.
pub(super) const LANES: usize = 8;

/// Whether there are 32 vector registers rather than 16, hence room for twice the sums.
const WIDE: bool = cfg!(any(target_feature = "avx512vl", target_arch = "aarch64"));

/// Below this many multiplications a product is not worth a second thread.
const PARALLEL_FROM: usize = 1 << 17;

/// PANELS · LANES outputs of ROWS rows.
pub(super) type Tile<const ROWS: usize, const PANELS: usize> = [[[f32; LANES]; ROWS]; PANELS];

/// How weights are held, and how they meet the rows.
pub(super) trait Form {
    /// LANES outputs' weights of [`Form::INPUTS`] inputs.
    type Unit: Send + Sync;
    /// [`Form::INPUTS`] inputs of ROWS rows.
    type Step<const ROWS: usize>: Send + Sync;
    /// Inputs a unit.
    const INPUTS: usize;

    /// `[rows, inputs]` as blocks of ROWS rows: `[⌈rows / ROWS⌉, ⌈inputs / INPUTS⌉]`, zeros past
    /// the last row and past the last input.
    fn interleave<const ROWS: usize>(x: &[f32], inputs: usize) -> Vec<Self::Step<ROWS>>;

    /// The products of ROWS rows with PANELS panels of as many units as there are steps.
    fn tile<const ROWS: usize, const PANELS: usize>(
        x: &[Self::Step<ROWS>],
        panels: [&[Self::Unit]; PANELS],
    ) -> Tile<ROWS, PANELS>;
}

/// A weight matrix `[outputs, inputs]`, packed.
pub(super) struct Packed<F: Form> {
    inputs: usize,
    outputs: usize,
    /// `[⌈outputs / LANES⌉, ⌈inputs / INPUTS⌉]`, zeros past the last output and the last input.
    units: Vec<F::Unit>,
}

impl<F: Form> Packed<F> {
    /// Of units as [`Form`] has them, panel after panel.
    pub fn of_units(units: Vec<F::Unit>, outputs: usize, inputs: usize) -> Self {
        Self { inputs, outputs, units }
    }

    /// The units of the panel that output `output` is in, and its lane there.
    pub fn panel(&self, output: usize) -> (&[F::Unit], usize) {
        let length = self.length();
        (&self.units[output / LANES * length..][..length], output % LANES)
    }

    /// x Wᵀ: `[rows, inputs]` → `[rows, outputs]`.
    pub fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let mut out = vec![0.0; rows * self.outputs];
        match rows {
            0 => {}
            1 => self.run::<1, 8>(x, &mut out),
            2 => self.run::<2, 4>(x, &mut out),
            3 | 4 => self.run::<4, 2>(x, &mut out),
            _ if WIDE => self.run::<8, 2>(x, &mut out),
            _ => self.run::<8, 1>(x, &mut out),
        }
        out
    }

    /// Units a panel.
    fn length(&self) -> usize {
        self.inputs.div_ceil(F::INPUTS)
    }

    fn run<const ROWS: usize, const PANELS: usize>(&self, x: &[f32], out: &mut [f32]) {
        let rows = x.len() / self.inputs;
        let interleaved = F::interleave::<ROWS>(x, self.inputs);
        let panel = self.length();
        let count = self.units.len() / panel;
        let threads = rayon::current_num_threads();
        let work = rows * self.inputs * self.outputs;
        let groups = if work < PARALLEL_FROM || threads < 2 { 1 } else { threads };
        let share = count.div_ceil(groups);

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
        let tasks: Vec<_> = self.units.chunks(share * panel).zip(columns).collect();
        if tasks.len() < 2 {
            for (units, mut out) in tasks {
                group::<F, ROWS, PANELS>(&interleaved, units, panel, &mut out);
            }
        } else {
            tasks.into_par_iter().for_each(|(units, mut out)| {
                group::<F, ROWS, PANELS>(&interleaved, units, panel, &mut out);
            });
        }
    }
}

/// The columns that `units` make, of all rows; a panel has `length` of them.
fn group<F: Form, const ROWS: usize, const PANELS: usize>(
    x: &[F::Step<ROWS>],
    units: &[F::Unit],
    length: usize,
    out: &mut [&mut [f32]],
) {
    for (index, some) in units.chunks(PANELS * length).enumerate() {
        let column = index * PANELS * LANES;
        // The panels stay in the nearest cache while all rows pass over them.
        for (block, rows) in x.chunks_exact(length).zip(out.chunks_mut(ROWS)) {
            if some.len() == PANELS * length {
                let panels = std::array::from_fn(|panel| &some[panel * length..][..length]);
                store(&F::tile::<ROWS, PANELS>(block, panels), rows, column);
            } else {
                for (extra, panel) in some.chunks_exact(length).enumerate() {
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
            if let Some(place) = row.get_mut(start..end) {
                place.copy_from_slice(&sums[..place.len()]);
            }
        }
    }
}
