//! A bias-free linear map of tensors.

use candle_core::Tensor;

use crate::lm::error::Result;

/// y = x Wᵀ.
pub(super) struct Linear {
    /// `[out, in]`
    weight: Tensor,
}

impl Linear {
    /// From a weight `[out, in]`.
    pub fn new(weight: Tensor) -> Self {
        Self { weight }
    }

    /// Several maps of the same input as one: their outputs stand side by side.
    pub fn fused(weights: &[&Tensor]) -> Result<Self> {
        Ok(Self::new(Tensor::cat(weights, 0)?))
    }

    /// `[N, in]` → `[N, out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.matmul(&self.weight.t()?)?)
    }
}
