//! Maps of tensors.

use std::sync::Arc;

use candle_core::quantized::QMatMul;
use candle_core::{D, Module, Tensor};

use crate::lm::error::Result;
use crate::lm::weights::{self, LowRank, Matrix};

/// A weight matrix.
#[derive(Clone)]
pub(super) enum Weight {
    /// `[out, in]`
    Full(Tensor),
    /// Rows padded with this many zeros.
    Blocks { product: Arc<QMatMul>, padding: usize, width: usize },
}

/// y = x Wᵀ + b, and what adapters add.
#[derive(Clone)]
pub(super) struct Linear {
    weight: Weight,
    /// `[out]`
    bias: Option<Tensor>,
    changes: Vec<Change>,
}

/// What an adapter adds to some outputs of a map.
#[derive(Clone)]
struct Change {
    /// `[rank, in]`
    down: Tensor,
    /// `[out, rank]`, zeros where it changes nothing.
    up: Tensor,
}

impl Weight {
    /// Prepares a matrix for products.
    pub fn new(matrix: &Matrix) -> Result<Self> {
        Ok(match matrix {
            Matrix::Full(tensor) => Self::Full(tensor.clone()),
            Matrix::Quantised(quantised) => Self::Blocks {
                product: Arc::new(QMatMul::from_arc(Arc::clone(quantised.tensor()))?),
                padding: quantised.aligned() - quantised.inputs(),
                width: quantised.inputs(),
            },
        })
    }

    /// `[N, in]` → `[N, out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Full(weight) => x.matmul(&weight.t()?)?,
            Self::Blocks { product, padding, .. } => {
                product.forward(&x.pad_with_zeros(D::Minus1, 0, *padding)?.contiguous()?)?
            }
        })
    }

    /// The rows `ids` `[N]` of the weights, `[N, in]`.
    pub fn rows(&self, ids: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Full(weight) => weight.index_select(ids, 0)?,
            Self::Blocks { product, width, .. } => {
                product.embedding(ids)?.narrow(D::Minus1, 0, *width)?.contiguous()?
            }
        })
    }
}

impl Linear {
    /// Maps of the same inputs as one: their outputs stand side by side.
    pub fn new(parts: &[&weights::Linear]) -> Result<Self> {
        let matrices: Vec<&Matrix> = parts.iter().map(|part| &part.matrix).collect();
        let biases: Vec<&Tensor> = parts.iter().filter_map(|part| part.bias.as_ref()).collect();
        let bias = (!biases.is_empty()).then(|| Tensor::cat(&biases, 0)).transpose()?;
        let weight = Weight::new(&Matrix::stacked(&matrices)?)?;
        Ok(Self { weight, bias, changes: Vec::new() })
    }

    /// The same map with an adapter's change to the outputs from `first` on of `outputs`.
    pub fn changed(
        mut self,
        (first, outputs): (usize, usize),
        part: Option<&LowRank>,
    ) -> Result<Self> {
        if let Some(part) = part {
            let device = match (&self.bias, &self.weight) {
                (_, Weight::Full(weight)) => weight.device().clone(),
                (Some(bias), _) => bias.device().clone(),
                (None, Weight::Blocks { product, .. }) => match product.as_ref() {
                    QMatMul::QTensor(tensor) => tensor.device(),
                    QMatMul::Tensor(tensor) | QMatMul::TensorF16(tensor) => tensor.device().clone(),
                },
            };
            let after = outputs - first - part.up.dim(0)?;
            let up = part.up.pad_with_zeros(0, first, after)?.to_device(&device)?;
            self.changes.push(Change { down: part.down.to_device(&device)?, up });
        }
        Ok(self)
    }

    /// `[N, in]` → `[N, out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut y = self.weight.forward(x)?;
        if let Some(bias) = &self.bias {
            y = y.broadcast_add(bias)?;
        }
        for change in &self.changes {
            y = (y + x.matmul(&change.down.t()?)?.matmul(&change.up.t()?)?)?;
        }
        Ok(y)
    }
}
