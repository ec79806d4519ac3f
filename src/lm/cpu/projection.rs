//! Maps as the processor applies them.

use std::sync::Arc;

use candle_core::quantized::QMatMul;
use candle_core::{Device, Module, Tensor};

use super::math::add;
use super::matmul::Packed;
use super::model::values;
use crate::lm::error::Result;
use crate::lm::weights::{BLOCK, BLOCK_BYTES, Linear, LowRank, Matrix, Quantised};

/// A weight matrix, shared by all models that use it.
#[derive(Clone)]
pub(super) enum Weight {
    /// f32, for this program's own kernels.
    Packed(Arc<Packed>),
    /// Q8_0, for candle's.
    Blocks(Arc<Blocks>),
}

/// A quantised matrix.
pub(super) struct Blocks {
    matrix: Quantised,
    product: QMatMul,
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
    down: Arc<Packed>,
    up: Arc<Packed>,
    outputs: usize,
}

impl Weight {
    /// Brings a matrix into the form its products want.
    pub fn new(matrix: &Matrix) -> Result<Self> {
        Ok(match matrix {
            Matrix::Full(tensor) => Self::Packed(Arc::new(pack(tensor)?)),
            Matrix::Quantised(matrix) => {
                let product = QMatMul::from_arc(Arc::clone(matrix.tensor()))?;
                Self::Blocks(Arc::new(Blocks { matrix: matrix.clone(), product }))
            }
        })
    }

    /// x Wᵀ: `[rows, inputs]` → `[rows, outputs]`.
    pub fn apply(&self, x: &[f32], rows: usize) -> Result<Vec<f32>> {
        match self {
            Self::Packed(packed) => Ok(packed.apply(x, rows)),
            Self::Blocks(blocks) => blocks.apply(x, rows),
        }
    }

    /// Row `output` of the weights, `[inputs]`.
    pub fn read(&self, output: usize, into: &mut [f32]) -> Result<()> {
        match self {
            Self::Packed(packed) => packed.read(output, into),
            Self::Blocks(blocks) => blocks.read(output, into)?,
        }
        Ok(())
    }
}

impl Blocks {
    fn apply(&self, x: &[f32], rows: usize) -> Result<Vec<f32>> {
        if rows == 0 {
            return Ok(Vec::new());
        }
        let (inputs, aligned) = (self.matrix.inputs(), self.matrix.aligned());
        let padded = if inputs == aligned {
            x.to_vec()
        } else {
            let mut padded = vec![0.0; rows * aligned];
            for (row, place) in x.chunks_exact(inputs).zip(padded.chunks_exact_mut(aligned)) {
                place[..inputs].copy_from_slice(row);
            }
            padded
        };
        let x = Tensor::from_vec(padded, (rows, aligned), &Device::Cpu)?;
        let y = self.product.forward(&x)?;
        let y = values(&y)?;
        Ok(y.slice()?.to_vec())
    }

    fn read(&self, output: usize, into: &mut [f32]) -> Result<()> {
        let data = self.matrix.tensor().data()?;
        let row_bytes = self.matrix.aligned() / BLOCK * BLOCK_BYTES;
        let row = &data[output * row_bytes..][..row_bytes];
        for (block, place) in row.chunks_exact(BLOCK_BYTES).zip(into.chunks_mut(BLOCK)) {
            let scale = half::f16::from_le_bytes([block[0], block[1]]).to_f32();
            for (weight, place) in block[2..].iter().zip(place) {
                *place = f32::from(weight.cast_signed()) * scale;
            }
        }
        Ok(())
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
    pub fn apply(&self, x: &[f32], rows: usize) -> Result<Vec<f32>> {
        let mut y = self.weight.apply(x, rows)?;
        if rows == 0 {
            return Ok(y);
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
        Ok(y)
    }
}

fn pack(tensor: &Tensor) -> Result<Packed> {
    let (outputs, inputs) = tensor.dims2()?;
    let tensor = tensor.contiguous()?;
    let tensor = values(&tensor)?;
    Ok(Packed::new(tensor.slice()?, outputs, inputs))
}
