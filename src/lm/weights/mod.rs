//! Weights by their Hugging Face names, from safetensors, GGUF or memory, read one tensor at a
//! time: what is held is the model, not the file beside it.

mod gguf;
mod matrix;
mod parts;
mod picker;
mod pickle;
mod safetensors;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use self::gguf::Tensors;
pub(super) use self::matrix::{BLOCK, BLOCK_BYTES, Matrix, Quantised, held_bytes};
pub(super) use self::parts::{
    AttentionWeights, BlockWeights, Gated, Linear, LowRank, Mlp, Norm, Outer,
};
pub(super) use self::picker::Picker;
use self::pickle::{BIN, Pickled};
use self::safetensors::Files;
use super::error::{LmError, Result};
use super::gguf::GgufFile;
use crate::text::read_text;

/// Longest JSON file that is read: the tokenizer of a large vocabulary has some thirty million bytes.
pub(crate) const MAX_JSON_BYTES: u64 = 64 << 20;

/// How the big matrices of a model are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Four bytes a weight: exact, for small models and for goldens.
    #[default]
    F32,
    /// Blocks of 32 weights with one scale (GGUF's Q8_0): about a quarter of the memory, and faster
    /// where memory is what a step waits for.
    Q8_0,
}

/// Named tensors of one model and where they come from.
pub struct Weights {
    file: PathBuf,
    source: Source,
    precision: Precision,
    device: Device,
    /// Whether names and shapes alone are looked at.
    is_hollow: bool,
}

enum Source {
    Memory(HashMap<String, Tensor>),
    Safetensors(Files),
    Gguf(Tensors),
    Pickled(Pickled),
}

impl Weights {
    /// Opens `model.safetensors` of `dir`, or the shards of `model.safetensors.index.json`, or
    /// else `pytorch_model.bin` or `adapter_model.safetensors`, to be held as f32.
    ///
    /// # Errors
    /// A sentence naming the file when it is missing, cut short or not safetensors.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        let bin = dir.join(BIN);
        let has_safetensors = ["model.safetensors", "model.safetensors.index.json"]
            .iter()
            .any(|f| dir.join(f).exists());
        if !has_safetensors && bin.is_file() {
            let pickled = Pickled::open(&bin)?;
            return Ok(Self::new(bin, Source::Pickled(pickled), device));
        }
        let has_adapter = dir.join("adapter_model.safetensors").exists();
        if !has_safetensors && has_adapter {
            return Self::adapter(dir);
        }
        let (file, files) = Files::open(dir, "model")?;
        Ok(Self::new(file, Source::Safetensors(files), device))
    }

    /// Opens `adapter_model.safetensors` of `dir`.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub(super) fn adapter(dir: &Path) -> Result<Self> {
        let (file, files) = Files::open(dir, "adapter_model")?;
        Ok(Self::new(file, Source::Safetensors(files), &Device::Cpu))
    }

    /// The tensors of a GGUF file, under the names that the model's Hugging Face files would
    /// give them.
    pub(super) fn gguf(gguf: &GgufFile, device: &Device) -> Self {
        let source = Source::Gguf(Tensors::new(gguf));
        Self::new(gguf.file().to_owned(), source, device)
    }

    /// Tensors already in memory; they are converted to f32.
    ///
    /// # Errors
    /// When a conversion fails.
    pub fn from_tensors(tensors: HashMap<String, Tensor>, device: &Device) -> Result<Self> {
        let mut converted = HashMap::with_capacity(tensors.len());
        for (name, tensor) in tensors {
            let tensor = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
            converted.insert(name, tensor.contiguous()?);
        }
        Ok(Self::new(PathBuf::from("memory"), Source::Memory(converted), device))
    }

    fn new(file: PathBuf, source: Source, device: &Device) -> Self {
        let (precision, device) = (Precision::F32, device.clone());
        Self { file, source, precision, device, is_hollow: false }
    }

    /// The same names and shapes, and zeros that take no memory: what is asked for is looked at
    /// and not read.
    pub(super) fn hollow(self) -> Self {
        Self { is_hollow: true, ..self.held_as(Precision::F32) }
    }

    /// The same weights, to be held otherwise.
    #[must_use]
    pub fn held_as(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The file the tensors come from, for messages.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether norms are kept as they act, even where the model's own files keep them less one.
    pub(super) fn norms_are_whole(&self) -> bool {
        matches!(self.source, Source::Gguf(_))
    }

    /// Whether a tensor of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        match &self.source {
            Source::Memory(tensors) => tensors.contains_key(name),
            Source::Safetensors(files) => files.shape(name).is_some(),
            Source::Gguf(tensors) => tensors.shape(name).is_some(),
            Source::Pickled(tensors) => tensors.shape(name).is_some(),
        }
    }

    /// Number of weights in all tensors.
    pub fn parameters(&self) -> u64 {
        let of = |name: &str| self.shape(name).unwrap_or_default().into_iter().product::<usize>();
        self.names().into_iter().map(|name| of(name) as u64).sum()
    }

    /// Bytes that all tensors take once they are held as `precision` says.
    pub fn held_bytes(&self, precision: Precision) -> u64 {
        let of = |name: &str| held_bytes(&self.shape(name).unwrap_or_default(), precision);
        self.names().into_iter().map(of).fold(0, u64::saturating_add)
    }

    /// Every tensor whose name begins with `prefix`, in f32, for a model of the tensor library's.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub fn under(&self, prefix: &str) -> Result<HashMap<String, Tensor>> {
        let read = |name: &str| {
            let shape = self.shape(name).unwrap_or_default();
            Ok((name.to_owned(), self.get(name, &shape)?))
        };
        // Stored tables of positions, such as `position_ids`, are whole numbers and no weights.
        let is_weight = |name: &&str| name.starts_with(prefix) && !name.ends_with("position_ids");
        self.names().into_iter().filter(is_weight).map(read).collect()
    }

    /// The names there are; those of a GGUF file are its own.
    pub(super) fn names(&self) -> Vec<&str> {
        match &self.source {
            Source::Memory(tensors) => tensors.keys().map(String::as_str).collect(),
            Source::Safetensors(files) => files.names(),
            Source::Gguf(tensors) => tensors.names(),
            Source::Pickled(tensors) => tensors.names(),
        }
    }

    /// The shape of a tensor, none if there is no such tensor.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        match &self.source {
            Source::Memory(tensors) => tensors.get(name).map(|tensor| tensor.dims().to_vec()),
            Source::Safetensors(files) => files.shape(name).map(<[usize]>::to_vec),
            Source::Gguf(tensors) => tensors.shape(name),
            Source::Pickled(tensors) => tensors.shape(name),
        }
    }

    /// The tensor `name` as f32, which must have `shape`.
    ///
    /// # Errors
    /// [`LmError::MissingTensor`], [`LmError::Shape`], [`LmError::Unsupported`] for a tensor of
    /// a type that is no float, [`LmError::Damaged`] for one that holds a value that is no
    /// number.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.on_host(name, shape)?.to_device(&self.device)?)
    }

    /// The matrix `name`, `[outputs, inputs]`, held as this model's matrices are.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub(super) fn matrix(&self, name: &str, outputs: usize, inputs: usize) -> Result<Matrix> {
        if self.precision == Precision::Q8_0
            && let Source::Gguf(tensors) = &self.source
        {
            self.check_shape(name, &[outputs, inputs])?;
            let held = tensors.quantised(name, outputs, inputs, &self.device)?;
            if let Some(quantised) = held {
                return Ok(Matrix::Quantised(quantised));
            }
        }
        let full = self.on_host(name, &[outputs, inputs])?;
        self.hold(full)
    }

    /// A matrix `[outputs, inputs]` on the host, held as this model's matrices are.
    ///
    /// # Errors
    /// When the conversion fails.
    pub(super) fn hold(&self, full: Tensor) -> Result<Matrix> {
        match self.precision {
            Precision::F32 => Ok(Matrix::Full(full.to_device(&self.device)?)),
            Precision::Q8_0 => Ok(Matrix::Quantised(Quantised::new(&full, &self.device)?)),
        }
    }

    /// The tensor `name` as f32 on the host.
    fn on_host(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.check_shape(name, shape)?;
        let missing = || self.missing(name);
        if self.is_hollow {
            match &self.source {
                Source::Safetensors(files) => files.check(name)?,
                Source::Pickled(tensors) => tensors.check(name)?,
                Source::Memory(_) | Source::Gguf(_) => {}
            }
            return Ok(Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)?);
        }
        match &self.source {
            Source::Memory(tensors) => tensors.get(name).cloned().ok_or_else(missing),
            Source::Safetensors(files) => files.read(name)?.ok_or_else(missing),
            Source::Gguf(tensors) => tensors.read(name)?.ok_or_else(missing),
            Source::Pickled(tensors) => tensors.read(name)?.ok_or_else(missing),
        }
    }

    fn check_shape(&self, name: &str, expected: &[usize]) -> Result<()> {
        let found = self.shape(name).ok_or_else(|| self.missing(name))?;
        if found == expected {
            return Ok(());
        }
        Err(LmError::Shape {
            file: self.file.clone(),
            tensor: name.into(),
            found,
            expected: expected.to_vec(),
        })
    }

    fn missing(&self, name: &str) -> LmError {
        LmError::MissingTensor { file: self.file.clone(), tensor: name.into() }
    }
}

/// The error of a tensor that is no float.
fn no_float(file: &Path, name: &str, dtype: &dyn std::fmt::Debug) -> LmError {
    LmError::Unsupported {
        file: file.to_path_buf(),
        what: format!("tensor '{name}' of type {dtype:?}"),
        instead: "whose weights are f32, f16 or bf16".into(),
    }
}

/// The error of a file that is not what its name says.
pub(super) fn damaged(file: &Path, problem: String) -> LmError {
    LmError::Damaged { file: file.to_path_buf(), problem }
}

/// Reads a JSON file.
///
/// # Errors
/// [`LmError::Read`] or [`LmError::Damaged`].
pub(super) fn read_json(file: &Path) -> Result<serde_json::Value> {
    let text = read_text(file, MAX_JSON_BYTES)
        .map_err(|source| LmError::Read { file: file.to_path_buf(), source })?;
    serde_json::from_str(&text).map_err(|error| damaged(file, format!("not valid JSON ({error})")))
}
