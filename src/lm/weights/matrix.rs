//! Weight matrices, in f32 or in 8 bits.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{D, Device, Tensor};

use crate::lm::error::{LmError, Result};
use crate::lm::precision::{BLOCK, BLOCK_BYTES};

/// A weight matrix `[outputs, inputs]`.
#[derive(Clone)]
pub(in crate::lm) enum Matrix {
    /// In f32.
    Full(Tensor),
    /// In Q8_0.
    Quantised(Quantised),
}

/// A matrix in Q8_0: blocks of 32 weights with one scale each. Rows are padded with zeros to whole
/// blocks.
#[derive(Clone)]
pub(in crate::lm) struct Quantised {
    tensor: Arc<QTensor>,
    inputs: usize,
}

impl Matrix {
    /// Returns the number of rows.
    ///
    /// # Errors
    /// Fails if the tensor is not a matrix.
    pub(crate) fn outputs(&self) -> Result<usize> {
        Ok(match self {
            Self::Full(tensor) => tensor.dims2()?.0,
            Self::Quantised(matrix) => matrix.outputs(),
        })
    }

    /// Stacks matrices with the same number of inputs along their outputs.
    ///
    /// # Errors
    /// Returns an error if they are not all in the same precision.
    pub(crate) fn stacked(parts: &[&Matrix]) -> Result<Matrix> {
        let full: Option<Vec<&Tensor>> = parts
            .iter()
            .map(|part| match part {
                Matrix::Full(tensor) => Some(tensor),
                Matrix::Quantised(_) => None,
            })
            .collect();
        if let Some(full) = full {
            return Ok(Matrix::Full(Tensor::cat(&full, 0)?));
        }
        let quantised: Option<Vec<&Quantised>> = parts
            .iter()
            .map(|part| match part {
                Matrix::Full(_) => None,
                Matrix::Quantised(quantised) => Some(quantised),
            })
            .collect();
        let quantised = quantised.ok_or_else(|| {
            LmError::Call("matrices in different precisions cannot be stacked".into())
        })?;
        Ok(Matrix::Quantised(Quantised::stacked(&quantised)?))
    }
}

impl Quantised {
    /// Quantises a matrix `[outputs, inputs]` on the host and moves it to `device`.
    ///
    /// # Errors
    /// Returns an error if candle fails or a weight needs a scale beyond the range of f16.
    pub(crate) fn new(full: &Tensor, device: &Device) -> Result<Self> {
        let (outputs, inputs) = full.dims2()?;
        let padding = inputs.next_multiple_of(BLOCK) - inputs;
        let padded = full.pad_with_zeros(D::Minus1, 0, padding)?;
        // On the host for every device: candle's upload zeroes the padding behind the blocks, its
        // quantisation on a CUDA device does not.
        let blocks = QTensor::quantize(&padded, GgmlDType::Q8_0)?.data()?.into_owned();
        let scale = |block: &[u8]| half::f16::from_le_bytes([block[0], block[1]]);
        if !blocks.chunks_exact(BLOCK_BYTES).all(|block| scale(block).is_finite()) {
            let problem = "a weight is too large for 8 bits; set precision = \"f32\"";
            return Err(LmError::Call(problem.to_owned()));
        }
        Self::from_data(blocks, outputs, inputs + padding, inputs, device)
    }

    /// Creates a matrix from rows of Q8_0 blocks as a GGUF file stores them, `inputs / 32` per row.
    ///
    /// # Errors
    /// Returns an error if candle fails.
    pub(crate) fn from_blocks(
        blocks: Vec<u8>,
        outputs: usize,
        inputs: usize,
        device: &Device,
    ) -> Result<Self> {
        Self::from_data(blocks, outputs, inputs, inputs, device)
    }

    fn from_data(
        data: Vec<u8>,
        outputs: usize,
        aligned: usize,
        inputs: usize,
        device: &Device,
    ) -> Result<Self> {
        let storage = QStorage::from_data(data.into(), device, GgmlDType::Q8_0)?;
        let tensor = QTensor::new(storage, (outputs, aligned))?;
        Ok(Self { tensor: Arc::new(tensor), inputs })
    }

    fn stacked(parts: &[&Self]) -> Result<Self> {
        let Some(first) = parts.first() else {
            return Err(LmError::Call("no matrices to stack".into()));
        };
        let mut data = Vec::new();
        for part in parts {
            data.extend_from_slice(&part.tensor.data()?);
        }
        let outputs = parts.iter().map(|part| part.outputs()).sum();
        Self::from_data(data, outputs, first.aligned(), first.inputs, &first.tensor.device())
    }

    /// Returns the blocks, ⌈inputs / 32⌉ per row.
    pub(crate) fn tensor(&self) -> &Arc<QTensor> {
        &self.tensor
    }

    pub(crate) fn outputs(&self) -> usize {
        self.tensor.shape().dims().first().copied().unwrap_or(0)
    }

    /// Returns the number of inputs without padding.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Returns the number of inputs with padding.
    pub(crate) fn aligned(&self) -> usize {
        self.tensor.shape().dims().last().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_a_weight_beyond_the_range_of_a_scale() {
        let device = Device::Cpu;
        let matrix = |weight: f32| Tensor::from_vec(vec![weight; 32], (1, 32), &device);
        let quantised = |weight: f32| Quantised::new(&matrix(weight)?, &device);
        assert!(quantised(1e6).is_ok());
        assert!(quantised(1e7).is_err_and(|e| e.to_string().contains("too large")));
    }
}
