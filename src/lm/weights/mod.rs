//! Weights by their Hugging Face names, from safetensors, GGUF, PyTorch files or memory. Reads one
//! tensor at a time, so memory never holds a model and its whole file together.

mod folder;
mod gguf;
mod matrix;
mod parts;
mod pickle;
mod safetensors;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};

use self::gguf::Tensors;
pub(super) use self::matrix::{Matrix, Quantised};
pub(super) use self::parts::{
    AttentionWeights, BlockWeights, Gated, Linear, LowRank, Mlp, Norm, OuterWeights,
};
use self::pickle::Pickled;
use self::safetensors::Files;
use super::error::{LmError, Result};
use super::gguf::GgufFile;
use super::precision::{Precision, held_bytes};

/// The named tensors of one model.
pub struct Weights {
    file: PathBuf,
    source: Source,
    precision: Precision,
    device: Device,
    /// Whether tensors are checked but not read; see [`Weights::check_only`].
    is_check_only: bool,
    /// Names of the tensors that were requested.
    used: Mutex<HashSet<String>>,
}

enum Source {
    Memory(HashMap<String, Tensor>),
    Safetensors(Files),
    Gguf(Tensors),
    Pickled(Pickled),
}

impl Weights {
    /// Opens the weights in the folder `dir`: the first of `model.safetensors`,
    /// `pytorch_model.bin`, `adapter_model.safetensors` and `adapter_model.bin` that exists, as one
    /// file or as the shards that its `.index.json` lists. Holds them in f32.
    ///
    /// # Errors
    /// Returns an error that names the file if it is missing, cut short or of another kind.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        Self::open(dir, &["model", "adapter_model"], device)
    }

    /// Opens the adapter in the folder `dir`.
    ///
    /// # Errors
    /// See [`Weights::load`].
    pub(super) fn adapter(dir: &Path) -> Result<Self> {
        Self::open(dir, &["adapter_model"], &Device::Cpu)
    }

    fn open(dir: &Path, stems: &[&str], device: &Device) -> Result<Self> {
        let folder::WeightFiles { reported, files, is_pickled } = folder::find(dir, stems)?;
        let source = if is_pickled {
            Source::Pickled(Pickled::open(files)?)
        } else {
            Source::Safetensors(Files::open(files)?)
        };
        Ok(Self::new(reported, source, device))
    }

    /// Returns the tensors of a GGUF file, under the names of the model's Hugging Face files.
    pub(super) fn gguf(gguf: &GgufFile, device: &Device) -> Self {
        let source = Source::Gguf(Tensors::new(gguf));
        Self::new(gguf.file().to_owned(), source, device)
    }

    /// Creates weights from tensors in memory. Converts them to f32.
    ///
    /// # Errors
    /// Returns an error if a conversion fails.
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
        Self { file, source, precision, device, is_check_only: false, used: Mutex::default() }
    }

    /// Returns the same weights for a check: requested tensors are checked but not read, and their
    /// values are zeros that take no memory.
    pub(super) fn check_only(self) -> Self {
        Self { is_check_only: true, ..self.with_precision(Precision::F32) }
    }

    /// Returns whether two tensors of the same shape hold the same values. Reads them even from
    /// [`Weights::check_only`] weights.
    ///
    /// # Errors
    /// See [`Weights::get`].
    pub(super) fn are_equal(&self, one: &str, other: &str, shape: &[usize]) -> Result<bool> {
        self.check_shape(one, shape)?;
        self.check_shape(other, shape)?;
        if let Source::Safetensors(files) = &self.source
            && let Some(is_equal) = files.have_same_bytes(one, other)?
        {
            return Ok(is_equal);
        }
        let read = |name: &str| Ok::<Vec<f32>, LmError>(self.read(name)?.flatten_all()?.to_vec1()?);
        Ok(read(one)? == read(other)?)
    }

    /// Sets the precision that matrices are held in.
    #[must_use]
    pub(crate) fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Returns the file that holds the tensors, for messages.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Returns whether the tensors come from a GGUF file. A GGUF file holds only tensors of its
    /// model, so an unused one means that a part of the model was left out. It stores norm weights
    /// as they are applied, even if the model's Hugging Face files store them minus one.
    pub(super) fn is_gguf(&self) -> bool {
        matches!(self.source, Source::Gguf(_))
    }

    /// Returns the sorted names of the tensors that were never requested, as the file names them.
    pub(super) fn unused(&self) -> Vec<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used: HashSet<String> = match &self.source {
            Source::Gguf(tensors) => {
                used.iter().filter_map(|name| tensors.gguf_name(name)).collect()
            }
            _ => used.clone(),
        };
        let is_unused = |name: &&str| !used.contains(*name);
        let mut names: Vec<String> =
            self.names().into_iter().filter(is_unused).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Returns whether a tensor is stored in a supported floating-point type.
    pub(super) fn is_float(&self, name: &str) -> bool {
        match &self.source {
            Source::Memory(_) => true,
            Source::Safetensors(files) => files.check(name).is_ok(),
            Source::Gguf(tensors) => tensors.check(name).is_ok(),
            Source::Pickled(tensors) => tensors.check(name).is_ok(),
        }
    }

    fn mark_used(&self, name: &str) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    /// Returns whether a tensor with this name exists.
    pub fn contains(&self, name: &str) -> bool {
        match &self.source {
            Source::Memory(tensors) => tensors.contains_key(name),
            Source::Safetensors(files) => files.shape(name).is_some(),
            Source::Gguf(tensors) => tensors.shape(name).is_some(),
            Source::Pickled(tensors) => tensors.shape(name).is_some(),
        }
    }

    /// Returns the number of weights in all tensors.
    pub fn parameters(&self) -> u64 {
        let of = |name: &str| self.shape(name).unwrap_or_default().into_iter().product::<usize>();
        self.names().into_iter().map(|name| of(name) as u64).sum()
    }

    /// Returns the bytes that all tensors take when held in `precision`.
    pub fn held_bytes(&self, precision: Precision) -> u64 {
        let of = |name: &str| held_bytes(&self.shape(name).unwrap_or_default(), precision);
        self.names().into_iter().map(of).fold(0, u64::saturating_add)
    }

    /// Returns all tensors whose names begin with `prefix`, in f32. Used for models that candle
    /// implements.
    ///
    /// # Errors
    /// See [`Weights::get`].
    pub(crate) fn with_prefix(&self, prefix: &str) -> Result<HashMap<String, Tensor>> {
        let read = |name: &str| {
            let shape = self.shape(name).unwrap_or_default();
            Ok((name.to_owned(), self.get(name, &shape)?))
        };
        // `position_ids` are integer tables, not weights.
        let is_weight = |name: &&str| name.starts_with(prefix) && !name.ends_with("position_ids");
        self.names().into_iter().filter(is_weight).map(read).collect()
    }

    /// Returns the names of all tensors, as the file names them.
    pub(super) fn names(&self) -> Vec<&str> {
        match &self.source {
            Source::Memory(tensors) => tensors.keys().map(String::as_str).collect(),
            Source::Safetensors(files) => files.names(),
            Source::Gguf(tensors) => tensors.names(),
            Source::Pickled(tensors) => tensors.names(),
        }
    }

    /// Returns the shape of a tensor, or `None` if it does not exist.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        match &self.source {
            Source::Memory(tensors) => tensors.get(name).map(|tensor| tensor.dims().to_vec()),
            Source::Safetensors(files) => files.shape(name).map(<[usize]>::to_vec),
            Source::Gguf(tensors) => tensors.shape(name),
            Source::Pickled(tensors) => tensors.shape(name),
        }
    }

    /// Returns the tensor `name` as f32. Checks that it has `shape`.
    ///
    /// # Errors
    /// * [`LmError::MissingTensor`] if it does not exist.
    /// * [`LmError::Shape`] if it has another shape.
    /// * [`LmError::Unsupported`] if its type is not a supported float.
    /// * [`LmError::Invalid`] if it holds a NaN or an infinity.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.on_host(name, shape)?.to_device(&self.device)?)
    }

    /// Returns the matrix `name`, `[outputs, inputs]`, held in the precision of these weights.
    ///
    /// # Errors
    /// See [`Weights::get`].
    pub(super) fn matrix(&self, name: &str, outputs: usize, inputs: usize) -> Result<Matrix> {
        if self.precision == Precision::Q8_0
            && let Source::Gguf(tensors) = &self.source
        {
            self.check_shape(name, &[outputs, inputs])?;
            self.mark_used(name);
            let held = tensors.quantised(name, outputs, inputs, &self.device)?;
            if let Some(quantised) = held {
                return Ok(Matrix::Quantised(quantised));
            }
        }
        let full = self.on_host(name, &[outputs, inputs])?;
        self.hold(full)
    }

    /// Converts a matrix `[outputs, inputs]` on the host to the precision of these weights.
    ///
    /// # Errors
    /// Returns an error if the conversion fails.
    pub(super) fn hold(&self, full: Tensor) -> Result<Matrix> {
        match self.precision {
            Precision::F32 => Ok(Matrix::Full(full.to_device(&self.device)?)),
            Precision::Q8_0 => Ok(Matrix::Quantised(Quantised::new(&full, &self.device)?)),
        }
    }

    /// Returns the tensor `name` as f32 on the host. Checks that it has `shape`.
    pub(super) fn on_host(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.check_shape(name, shape)?;
        self.mark_used(name);
        if self.is_check_only {
            match &self.source {
                Source::Safetensors(files) => files.check(name)?,
                Source::Pickled(tensors) => tensors.check(name)?,
                Source::Gguf(tensors) => tensors.check(name)?,
                Source::Memory(_) => {}
            }
            return Ok(Tensor::zeros((), DType::F32, &Device::Cpu)?.broadcast_as(shape)?);
        }
        self.read(name)
    }

    fn read(&self, name: &str) -> Result<Tensor> {
        let tensor = match &self.source {
            Source::Memory(tensors) => tensors.get(name).cloned(),
            Source::Safetensors(files) => files.read(name)?,
            Source::Gguf(tensors) => tensors.read(name)?,
            Source::Pickled(tensors) => tensors.read(name)?,
        };
        tensor.ok_or_else(|| self.missing(name))
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
