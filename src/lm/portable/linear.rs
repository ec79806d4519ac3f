//! Linear layers on tensors.

use std::sync::Arc;

use candle_core::quantized::QMatMul;
use candle_core::{D, Module, Tensor};

use crate::lm::error::Result;
use crate::lm::weights::{self, LowRank, Matrix};

#[derive(Clone)]
pub(super) enum Weight {
    /// `[out, in]`
    Full(Tensor),
    /// Q8_0; each row has `width` weights and `padding` zeros.
    Blocks { product: Arc<QMatMul>, padding: usize, width: usize },
}

/// y = x Wᵀ + b, plus the updates of adapters.
#[derive(Clone)]
pub(super) struct Linear {
    weight: Weight,
    /// `[out]`
    bias: Option<Tensor>,
    outputs: usize,
    updates: Vec<LowRankUpdate>,
}

/// Low-rank update of an adapter to some outputs of a linear layer.
#[derive(Clone)]
struct LowRankUpdate {
    /// `[rank, in]`
    down: Tensor,
    /// `[out, rank]`; zeros for outputs that are not updated.
    up: Tensor,
}

impl Weight {
    /// Converts a matrix to the form used in products.
    pub(super) fn new(matrix: &Matrix) -> Result<Self> {
        Ok(match matrix {
            Matrix::Full(tensor) => Self::Full(tensor.clone()),
            Matrix::Quantised(quantised) => Self::Blocks {
                product: Arc::new(QMatMul::from_arc(Arc::clone(quantised.tensor()))?),
                padding: quantised.aligned() - quantised.inputs(),
                width: quantised.inputs(),
            },
        })
    }

    /// Computes `[N, in]` → `[N, out]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Full(weight) => x.matmul(&weight.t()?)?,
            Self::Blocks { product, padding, .. } => {
                product.forward(&x.pad_with_zeros(D::Minus1, 0, *padding)?.contiguous()?)?
            }
        })
    }

    /// Returns the rows `ids` `[N]` of the weights, `[N, in]`.
    pub(super) fn rows(&self, ids: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Full(weight) => weight.index_select(ids, 0)?,
            Self::Blocks { product, width, .. } => {
                product.embedding(ids)?.narrow(D::Minus1, 0, *width)?.contiguous()?
            }
        })
    }
}

impl Linear {
    /// Combines linear layers with the same inputs into one; their outputs are concatenated.
    pub(super) fn new(parts: &[&weights::Linear]) -> Result<Self> {
        let matrices: Vec<&Matrix> = parts.iter().map(|part| &part.matrix).collect();
        let biases: Vec<&Tensor> = parts.iter().filter_map(|part| part.bias.as_ref()).collect();
        let bias = (!biases.is_empty()).then(|| Tensor::cat(&biases, 0)).transpose()?;
        let outputs = matrices.iter().map(|matrix| matrix.outputs()).sum::<Result<usize>>()?;
        let weight = Weight::new(&Matrix::stacked(&matrices)?)?;
        Ok(Self { weight, bias, outputs, updates: Vec::new() })
    }

    /// Adds an adapter's update to the outputs from `first` on.
    pub(crate) fn with_update(mut self, first: usize, update: &LowRank) -> Result<Self> {
        let device = match (&self.bias, &self.weight) {
            (_, Weight::Full(weight)) => weight.device().clone(),
            (Some(bias), _) => bias.device().clone(),
            (None, Weight::Blocks { product, .. }) => match product.as_ref() {
                QMatMul::QTensor(tensor) => tensor.device(),
                QMatMul::Tensor(tensor) | QMatMul::TensorF16(tensor) => tensor.device().clone(),
            },
        };
        let after = self.outputs - first - update.up.dim(0)?;
        let up = update.up.pad_with_zeros(0, first, after)?.to_device(&device)?;
        self.updates.push(LowRankUpdate { down: update.down.to_device(&device)?, up });
        Ok(self)
    }

    /// Computes `[N, in]` → `[N, out]`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut y = self.weight.forward(x)?;
        if let Some(bias) = &self.bias {
            y = y.broadcast_add(bias)?;
        }
        for update in &self.updates {
            y = (y + x.matmul(&update.down.t()?)?.matmul(&update.up.t()?)?)?;
        }
        Ok(y)
    }
}
