//! Matrices as a model holds them.

use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{D, Device, Tensor};

use super::Precision;
use crate::lm::error::{LmError, Result};

/// A matrix `[outputs, inputs]`.
#[derive(Clone)]
pub(in crate::lm) enum Matrix {
    /// f32.
    Full(Tensor),
    /// Q8_0.
    Quantised(Quantised),
}

/// A matrix in blocks of 32 weights with one scale each, rows padded with zeros to whole blocks.
#[derive(Clone)]
pub(in crate::lm) struct Quantised {
    tensor: Arc<QTensor>,
    inputs: usize,
}

/// Weights a block, and its bytes: an f16 scale, then one signed byte a weight.
pub(in crate::lm) const BLOCK: usize = 32;
/// Bytes a block.
pub(in crate::lm) const BLOCK_BYTES: usize = 34;

/// Bytes that a tensor of this shape takes once it is held as `precision` says; rows are padded,
/// and what is no matrix stays f32. A product too large to be counted is the largest there is.
pub(in crate::lm) fn held_bytes(shape: &[usize], precision: Precision) -> u64 {
    let product = |sides: &[usize]| {
        sides.iter().fold(1_u64, |product, &side| product.saturating_mul(side as u64))
    };
    match (precision, shape) {
        (Precision::Q8_0, [outputs, inputs]) => {
            let blocks = inputs.div_ceil(BLOCK);
            product(&[*outputs, blocks, BLOCK_BYTES])
        }
        // Experts of a GGUF file, one matrix each.
        (Precision::Q8_0, [experts, outputs, inputs]) => {
            product(&[*experts, *outputs, inputs.div_ceil(BLOCK), BLOCK_BYTES])
        }
        _ => product(shape).saturating_mul(4),
    }
}

impl Matrix {
    /// Matrices of the same inputs, one below the other.
    ///
    /// # Errors
    /// When they are not held alike.
    pub fn stacked(parts: &[&Matrix]) -> Result<Matrix> {
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
            LmError::Call("matrices that are held differently cannot be joined".into())
        })?;
        Ok(Matrix::Quantised(Quantised::stacked(&quantised)?))
    }
}

impl Quantised {
    /// Quantises a matrix `[outputs, inputs]` on the host.
    ///
    /// # Errors
    /// When candle refuses; a weight beyond what a scale of 16 bits reaches.
    pub fn new(full: &Tensor, device: &Device) -> Result<Self> {
        let (outputs, inputs) = full.dims2()?;
        let missing = inputs.next_multiple_of(BLOCK) - inputs;
        let padded = full.pad_with_zeros(D::Minus1, 0, missing)?;
        // On the host, whatever the device: what is carried there as blocks has zeros behind it.
        let blocks = QTensor::quantize(&padded, GgmlDType::Q8_0)?.data()?.into_owned();
        let scale = |block: &[u8]| half::f16::from_le_bytes([block[0], block[1]]);
        if !blocks.chunks_exact(BLOCK_BYTES).all(|block| scale(block).is_finite()) {
            let problem = "a weight is too large to be held in 8 bits; write precision = \"f32\"";
            return Err(LmError::Call(problem.to_owned()));
        }
        Self::from_data(blocks, outputs, inputs + missing, inputs, device)
    }

    /// From rows of blocks as a GGUF file has them, `inputs / 32` a row.
    ///
    /// # Errors
    /// When candle refuses.
    pub fn from_blocks(
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
            return Err(LmError::Call("no matrices to join".into()));
        };
        let mut data = Vec::new();
        for part in parts {
            data.extend_from_slice(&part.tensor.data()?);
        }
        let outputs = parts.iter().map(|part| part.outputs()).sum();
        Self::from_data(data, outputs, first.aligned(), first.inputs, &first.tensor.device())
    }

    /// The blocks, ⌈inputs / 32⌉ a row.
    pub fn tensor(&self) -> &Arc<QTensor> {
        &self.tensor
    }

    /// Outputs.
    pub fn outputs(&self) -> usize {
        self.tensor.shape().dims().first().copied().unwrap_or(0)
    }

    /// Inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Inputs with padding.
    pub fn aligned(&self) -> usize {
        self.tensor.shape().dims().last().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_are_held_in_blocks_and_the_rest_is_not() {
        let held = |shape: &[usize]| held_bytes(shape, Precision::Q8_0);
        assert_eq!((held(&[3, 64]), held(&[3, 33]), held(&[2, 3, 64])), (204, 204, 408));
        assert_eq!((held(&[64]), held_bytes(&[3, 64], Precision::F32)), (256, 768));
    }

    #[test]
    fn a_weight_that_no_block_holds_is_refused() {
        let device = Device::Cpu;
        let matrix = |most: f32| Tensor::from_vec(vec![most; 32], (1, 32), &device);
        let quantised = |most: f32| Quantised::new(&matrix(most)?, &device);
        assert!(quantised(1e6).is_ok());
        assert!(quantised(1e7).is_err_and(|e| e.to_string().contains("too large")));
    }
}
