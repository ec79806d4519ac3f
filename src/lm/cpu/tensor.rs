//! Borrows the values of a tensor on the CPU.

use std::ops::{Deref, Range};

use candle_core::{CpuStorage, Storage, Tensor};

use crate::lm::error::{LmError, Result};

/// Borrowed values of a contiguous f32 tensor on the CPU.
pub(super) struct Values<G> {
    storage: G,
    range: Range<usize>,
}

/// Borrows the values of `tensor`.
///
/// # Errors
/// Fails if the tensor is not contiguous.
pub(super) fn values(tensor: &Tensor) -> Result<Values<impl Deref<Target = Storage> + '_>> {
    let (storage, layout) = tensor.storage_and_layout();
    let (start, end) = layout.contiguous_offsets().ok_or_else(unexpected)?;
    Ok(Values { storage, range: start..end })
}

impl<G: Deref<Target = Storage>> Values<G> {
    pub(super) fn slice(&self) -> Result<&[f32]> {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => Ok(&values[self.range.clone()]),
            _ => Err(unexpected()),
        }
    }
}

fn unexpected() -> LmError {
    LmError::Call("expected a contiguous f32 tensor on the CPU".into())
}
