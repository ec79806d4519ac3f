//! Sparse mixture of experts on the CPU.

use super::block::PackedWeights;
use super::math::softmax;
use crate::lm::parts::Experts;
use crate::lm::routing::shares;
use crate::numeric::fused_multiply_add;

impl Experts<PackedWeights> {
    /// Returns Σ weight · expert(x) over the experts of each row, `[rows, width]` → `[rows,
    /// width]`; see [`shares`]. Each expert processes all its rows at once.
    pub(crate) fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        if rows == 0 {
            return out;
        }
        let (width, count) = (x.len() / rows, self.experts.len());
        let mut scores = self.router.apply(x, rows);
        scores.chunks_exact_mut(count).for_each(softmax);
        for (dense, share) in self.experts.iter().zip(shares(&scores, count, self.per_token)) {
            if share.rows.is_empty() {
                continue;
            }
            let gathered: Vec<f32> =
                share.rows.iter().flat_map(|row| &x[row * width..][..width]).copied().collect();
            let inside = dense.apply(&gathered, share.rows.len());
            let lines = share.rows.iter().zip(&share.weights).zip(inside.chunks_exact(width));
            for ((row, weight), inside) in lines {
                for (out, inside) in out[row * width..][..width].iter_mut().zip(inside) {
                    *out = fused_multiply_add(*weight, *inside, *out);
                }
            }
        }
        out
    }
}
