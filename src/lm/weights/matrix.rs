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
    /// When candle refuses.
    pub fn new(full: &Tensor, device: &Device) -> Result<Self> {
        let (_, inputs) = full.dims2()?;
        let missing = inputs.next_multiple_of(BLOCK) - inputs;
        let padded = full.pad_with_zeros(D::Minus1, 0, missing)?;
        let tensor = QTensor::quantize_onto(&padded, GgmlDType::Q8_0, device)?;
        Ok(Self { tensor: Arc::new(tensor), inputs })
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
