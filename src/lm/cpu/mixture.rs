//! A sparse mixture of experts (Shazeer et al. 2017, arXiv 1701.06538; as in Mixtral).

use super::block::Dense;
use super::math::{fused_multiply_add, softmax};
use super::projection::Projection;
use crate::lm::config::LmConfig;
use crate::lm::error::Result;
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

    /// `[rows, width]` → `[rows, width]`: Σ weight · expert(x) over the experts that the router
    /// likes best, their weights a softmax over all experts, brought to a sum of 1. An expert
    /// reads all rows that chose it at once.
    pub fn apply(&self, x: &[f32], rows: usize) -> Result<Vec<f32>> {
        let mut out = vec![0.0; x.len()];
        if rows == 0 {
            return Ok(out);
        }
        let width = x.len() / rows;
        let chosen = choose(self.router.apply(x, rows)?, self.experts.len(), self.per_token);
        for (expert, dense) in self.experts.iter().enumerate() {
            let mine: Vec<(usize, f32)> =
                chosen.iter().filter(|c| c.1 == expert).map(|c| (c.0, c.2)).collect();
            if mine.is_empty() {
                continue;
            }
            let gathered: Vec<f32> =
                mine.iter().flat_map(|(row, _)| &x[row * width..][..width]).copied().collect();
            let inside = dense.apply(&gathered, mine.len())?;
            for ((row, weight), inside) in mine.iter().zip(inside.chunks_exact(width)) {
                for (out, inside) in out[row * width..][..width].iter_mut().zip(inside) {
                    *out = fused_multiply_add(*weight, *inside, *out);
                }
            }
        }
        Ok(out)
    }
}

/// (row, expert, weight) of every choice.
fn choose(mut scores: Vec<f32>, experts: usize, per_token: usize) -> Vec<(usize, usize, f32)> {
    let mut chosen = Vec::new();
    for (row, scores) in scores.chunks_exact_mut(experts).enumerate() {
        softmax(scores);
        let mut order: Vec<usize> = (0..experts).collect();
        // Equal scores: the lower number first, as PyTorch's topk has it on the CPU.
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        order.truncate(per_token);
        let sum: f32 = order.iter().map(|&expert| scores[expert]).sum();
        chosen.extend(order.into_iter().map(|expert| (row, expert, scores[expert] / sum)));
    }
    chosen
}
