//! `pytorch_model.bin`, the form of older models: a zip archive of tensors that a pickle lists.
//! candle's reader knows the few instructions that tensors need and runs no code.

use std::path::{Path, PathBuf};

use candle_core::pickle::PthTensors;
use candle_core::{DType, Tensor};

use super::{damaged, no_float};
use crate::lm::error::{LmError, Result};

/// The file's name.
pub(super) const BIN: &str = "pytorch_model.bin";

/// The tensors of one file.
pub(super) struct Pickled {
    file: PathBuf,
    tensors: PthTensors,
}

impl Pickled {
    /// Opens a file.
    ///
    /// # Errors
    /// A sentence naming the file when it is missing, cut short, or of another kind.
    pub fn open(file: &Path) -> Result<Self> {
        let failed = |source| LmError::Read { file: file.to_path_buf(), source };
        let length = std::fs::metadata(file).map_err(failed)?.len();
        let unreadable = |error: candle_core::Error| {
            damaged(file, format!("not a complete PyTorch file ({})", first_line(&error)))
        };
        let tensors = PthTensors::new(file, None).map_err(unreadable)?;
        for (name, info) in tensors.tensor_infos() {
            let values = info.layout.dims().iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
            let bytes = values.and_then(|n| n.checked_mul(info.dtype.size_in_bytes()));
            // Tensors are stored as they are: none is larger than the file.
            if bytes.is_none_or(|bytes| bytes as u64 > length) || info.layout.start_offset() > 0 {
                return Err(damaged(file, format!("tensor '{name}' does not lie inside it")));
            }
        }
        Ok(Self { file: file.to_path_buf(), tensors })
    }

    /// The names of all tensors.
    pub fn names(&self) -> Vec<&str> {
        self.tensors.tensor_infos().keys().map(String::as_str).collect()
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.tensor_infos().get(name).map(|info| info.layout.dims().to_vec())
    }

    /// Refuses a tensor that [`Pickled::read`] would refuse for how it is stored.
    pub fn check(&self, name: &str) -> Result<()> {
        let is_float = |dtype| matches!(dtype, DType::F32 | DType::F16 | DType::BF16);
        match self.tensors.tensor_infos().get(name) {
            Some(info) if !is_float(info.dtype) => Err(no_float(&self.file, name, &info.dtype)),
            Some(info) if !info.layout.is_contiguous() => Err(LmError::Unsupported {
                file: self.file.clone(),
                what: format!("tensor '{name}', whose values do not lie in order,"),
                instead: "saved as safetensors".into(),
            }),
            _ => Ok(()),
        }
    }

    /// Reads a tensor as f32.
    ///
    /// # Errors
    /// A type that is no float, a value that is no number, a file that can no longer be read.
    pub fn read(&self, name: &str) -> Result<Option<Tensor>> {
        self.check(name)?;
        let unreadable = |error: candle_core::Error| {
            damaged(&self.file, format!("tensor '{name}' cannot be read ({})", first_line(&error)))
        };
        let Some(tensor) = self.tensors.get(name).map_err(unreadable)? else { return Ok(None) };
        let full = tensor.to_dtype(DType::F32)?.contiguous()?;
        if full.flatten_all()?.to_vec1::<f32>()?.iter().any(|value| !value.is_finite()) {
            let problem = format!("tensor '{name}' holds a value that is no number");
            return Err(damaged(&self.file, problem));
        }
        Ok(Some(full))
    }
}

/// What is wrong, without the backtrace that may follow.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
