//! Dense feed-forward network on the CPU.

use super::block::PackedWeights;
use super::math::{gated, gelu_tanh, silu};
use crate::lm::config::Activation;
use crate::lm::parts::Dense;

impl Dense<PackedWeights> {
    /// Applies the network: `[rows, width]` → `[rows, width]`.
    pub(crate) fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let up = self.up.apply(x, rows);
        let inside = match (self.is_gated, self.activation) {
            (true, Activation::Silu) => gated(&up, self.inside, silu),
            (true, Activation::GeluTanh) => gated(&up, self.inside, gelu_tanh),
            (false, Activation::Silu) => up.into_iter().map(silu).collect(),
            (false, Activation::GeluTanh) => up.into_iter().map(gelu_tanh).collect(),
        };
        self.down.apply(&inside, rows)
    }
}
