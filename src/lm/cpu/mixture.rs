//! A sparse mixture of experts on the processor.

use super::block::Dense;
use super::math::{fused_multiply_add, softmax};
use super::projection::Projection;
use crate::lm::config::LmConfig;
use crate::lm::error::Result;
use crate::lm::routing::shares;
use crate::lm::weights::{Gated, Linear};

/// Feed-forward blocks of which every token passes a few.
#[derive(Clone)]
pub(super) struct Mixture {
    router: Projection,
    experts: Vec<Dense>,
    per_token: usize,
}

impl Mixture {
    pub fn new(router: &Linear, experts: &[Gated], config: &LmConfig) -> Result<Self> {
        Ok(Self {
            router: Projection::new(&[router])?,
            experts: experts.iter().map(|e| Dense::gated(e, config)).collect::<Result<_>>()?,
            per_token: config.experts.map_or(1, |experts| experts.per_token),
        })
    }

    /// `[rows, width]` → `[rows, width]`: Σ weight · expert(x) over the experts of each row, see
    /// [`shares`]. An expert reads all rows that chose it at once.
    pub fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
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
