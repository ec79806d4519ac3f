//! Linear layers with packed weights.

use std::sync::Arc;

use candle_core::Tensor;

use super::dense_f32::Floats;
use super::math::add;
use super::matmul::Packed;
use super::q8_0::Bytes;
use super::tensor::values;
use crate::lm::error::Result;
use crate::lm::weights::{Linear, LowRank, Matrix};

/// A packed weight matrix. Clones share it.
#[derive(Clone)]
pub(super) enum Weight {
    /// f32 weights.
    Floats(Arc<Packed<Floats>>),
    /// Q8_0 weights.
    Bytes(Arc<Packed<Bytes>>),
}

/// y = x Wᵀ + b, plus the updates of adapters.
#[derive(Clone)]
pub(super) struct Projection {
    weight: Weight,
    bias: Option<Arc<[f32]>>,
    updates: Vec<LowRankUpdate>,
}

/// Low-rank update of an adapter to some outputs of a linear layer.
#[derive(Clone)]
struct LowRankUpdate {
    /// First output that it updates.
    first: usize,
    down: Arc<Packed<Floats>>,
    up: Arc<Packed<Floats>>,
    outputs: usize,
}

impl Weight {
    /// Packs a matrix for products.
    pub(super) fn new(matrix: &Matrix) -> Result<Self> {
        Ok(match matrix {
            Matrix::Full(tensor) => Self::Floats(Arc::new(pack(tensor)?)),
            Matrix::Quantised(matrix) => {
                let blocks = matrix.tensor().data()?;
                Self::Bytes(Arc::new(Packed::<Bytes>::new(
                    &blocks,
                    matrix.outputs(),
                    matrix.inputs(),
                )))
            }
        })
    }

    /// Computes x Wᵀ: `[rows, inputs]` → `[rows, outputs]`.
    pub(super) fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
        match self {
            Self::Floats(packed) => packed.apply(x, rows),
            Self::Bytes(packed) => packed.apply(x, rows),
        }
    }

    /// Copies row `output` of the weights, `[inputs]`, to `row`.
    pub(super) fn read(&self, output: usize, row: &mut [f32]) {
        match self {
            Self::Floats(packed) => packed.read(output, row),
            Self::Bytes(packed) => packed.read(output, row),
        }
    }
}

impl Projection {
    /// Combines linear layers with the same inputs into one; their outputs are concatenated.
    pub(super) fn new(parts: &[&Linear]) -> Result<Self> {
        let matrices: Vec<&Matrix> = parts.iter().map(|part| &part.matrix).collect();
        let weight = match matrices.as_slice() {
            [one] => Weight::new(one)?,
            many => Weight::new(&Matrix::stacked(many)?)?,
        };
        let biases: Vec<&Tensor> = parts.iter().filter_map(|part| part.bias.as_ref()).collect();
        let bias = if biases.is_empty() {
            None
        } else {
            Some(Tensor::cat(&biases, 0)?.to_vec1::<f32>()?.into())
        };
        Ok(Self { weight, bias, updates: Vec::new() })
    }

    /// Adds an adapter's update to the outputs from `first` on. The weights stay shared.
    pub(crate) fn with_update(mut self, first: usize, update: &LowRank) -> Result<Self> {
        self.updates.push(LowRankUpdate {
            first,
            down: Arc::new(pack(&update.down)?),
            up: Arc::new(pack(&update.up)?),
            outputs: update.up.dim(0)?,
        });
        Ok(self)
    }

    /// `[rows, inputs]` → `[rows, outputs]`.
    pub(super) fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let mut y = self.weight.apply(x, rows);
        if rows == 0 {
            return y;
        }
        let outputs = y.len() / rows;
        if let Some(bias) = &self.bias {
            y.chunks_exact_mut(outputs).for_each(|row| add(row, bias));
        }
        for update in &self.updates {
            let deltas = update.up.apply(&update.down.apply(x, rows), rows);
            let deltas = deltas.chunks_exact(update.outputs);
            for (row, delta) in y.chunks_exact_mut(outputs).zip(deltas) {
                add(&mut row[update.first..][..update.outputs], delta);
            }
        }
        y
    }
}

fn pack(tensor: &Tensor) -> Result<Packed<Floats>> {
    let (outputs, inputs) = tensor.dims2()?;
    let tensor = tensor.contiguous()?;
    let tensor = values(&tensor)?;
    Ok(Packed::<Floats>::new(tensor.slice()?, outputs, inputs))
}
