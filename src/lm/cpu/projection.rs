//! Maps as the processor applies them.

use std::sync::Arc;

use candle_core::Tensor;

use super::bytes::Bytes;
use super::floats::Floats;
use super::math::add;
use super::matmul::Packed;
use super::model::values;
use crate::lm::error::Result;
use crate::lm::weights::{Linear, LowRank, Matrix};

/// A weight matrix, shared by all models that use it.
#[derive(Clone)]
pub(super) enum Weight {
    /// f32.
    Floats(Arc<Packed<Floats>>),
    /// Q8_0.
    Bytes(Arc<Packed<Bytes>>),
}

/// y = x Wᵀ + b, and what adapters add.
#[derive(Clone)]
pub(super) struct Projection {
    weight: Weight,
    bias: Option<Arc<[f32]>>,
    low_rank: Vec<Change>,
}

/// What an adapter adds to some outputs of a map.
#[derive(Clone)]
struct Change {
    /// The first output that it changes.
    first: usize,
    down: Arc<Packed<Floats>>,
    up: Arc<Packed<Floats>>,
    outputs: usize,
}

impl Weight {
    /// Brings a matrix into the form its products want.
    pub fn new(matrix: &Matrix) -> Result<Self> {
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

    /// x Wᵀ: `[rows, inputs]` → `[rows, outputs]`.
    pub fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
        match self {
            Self::Floats(packed) => packed.apply(x, rows),
            Self::Bytes(packed) => packed.apply(x, rows),
        }
    }

    /// Row `output` of the weights, `[inputs]`.
    pub fn read(&self, output: usize, into: &mut [f32]) {
        match self {
            Self::Floats(packed) => packed.read(output, into),
            Self::Bytes(packed) => packed.read(output, into),
        }
    }
}

impl Projection {
    /// Maps of the same inputs, their outputs side by side.
    pub fn new(parts: &[&Linear]) -> Result<Self> {
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
        Ok(Self { weight, bias, low_rank: Vec::new() })
    }

    /// The same map with an adapter's change to the outputs from `first` on. The weights are
    /// shared.
    pub fn changed(mut self, first: usize, part: Option<&LowRank>) -> Result<Self> {
        if let Some(part) = part {
            self.low_rank.push(Change {
                first,
                down: Arc::new(pack(&part.down)?),
                up: Arc::new(pack(&part.up)?),
                outputs: part.up.dim(0)?,
            });
        }
        Ok(self)
    }

    /// `[rows, inputs]` → `[rows, outputs]`.
    pub fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let mut y = self.weight.apply(x, rows);
        if rows == 0 {
            return y;
        }
        let outputs = y.len() / rows;
        if let Some(bias) = &self.bias {
            y.chunks_exact_mut(outputs).for_each(|row| add(row, bias));
        }
        for change in &self.low_rank {
            let more = change.up.apply(&change.down.apply(x, rows), rows);
            for (row, more) in y.chunks_exact_mut(outputs).zip(more.chunks_exact(change.outputs)) {
                add(&mut row[change.first..][..change.outputs], more);
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
