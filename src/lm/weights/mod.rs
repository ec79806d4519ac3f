//! Weights by their Hugging Face names, from safetensors, GGUF, PyTorch files or memory. Tensors are
//! read one at a time, so a model and its file are never held together.

mod folder;
mod gguf;
mod matrix;
mod parts;
mod picker;
mod pickle;
mod safetensors;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};

use self::gguf::Tensors;
pub(super) use self::matrix::{BLOCK, BLOCK_BYTES, Matrix, Quantised, held_bytes};
pub(super) use self::parts::{
    AttentionWeights, BlockWeights, Gated, Linear, LowRank, Mlp, Norm, Outer,
};
pub(super) use self::picker::Picker;
use self::pickle::Pickled;
use self::safetensors::Files;
use super::error::{LmError, Result};
use super::file_kind::read_text;
use super::gguf::GgufFile;

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
    /// Whether only names and shapes are checked.
    is_hollow: bool,
    /// The tensors that were asked for.
    used: Mutex<HashSet<String>>,
}

enum Source {
    Memory(HashMap<String, Tensor>),
    Safetensors(Files),
    Gguf(Tensors),
    Pickled(Pickled),
}

impl Weights {
    /// Opens the weights in the folder `dir`: `model.safetensors`, `pytorch_model.bin`,
    /// `adapter_model.safetensors` or `adapter_model.bin`, the first that is there, each as one file
    /// or as the shards that its `.index.json` lists. To be held as f32.
    ///
    /// # Errors
    /// A sentence naming the file when it is missing, cut short or of another kind.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        Self::open(dir, &["model", "adapter_model"], device)
    }

    /// Opens the adapter in the folder `dir`.
    ///
    /// # Errors
    /// As [`Weights::load`].
    pub(super) fn adapter(dir: &Path) -> Result<Self> {
        Self::open(dir, &["adapter_model"], &Device::Cpu)
    }

    fn open(dir: &Path, stems: &[&str], device: &Device) -> Result<Self> {
        let folder::Found { named, files, is_pickled } = folder::find(dir, stems)?;
        let source = if is_pickled {
            Source::Pickled(Pickled::open(files)?)
        } else {
            Source::Safetensors(Files::open(files)?)
        };
        Ok(Self::new(named, source, device))
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
        Self { file, source, precision, device, is_hollow: false, used: Mutex::default() }
    }

    /// The same names and shapes, and zeros that take no memory: what is asked for is looked at
    /// and not read.
    pub(super) fn hollow(self) -> Self {
        Self { is_hollow: true, ..self.held_as(Precision::F32) }
    }

    /// Whether two tensors of the same shape hold the same values, read here even where
    /// [`Weights::hollow`] reads nothing else.
    ///
    /// # Errors
    /// As [`Weights::get`].
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

    /// Sets the precision in which matrices are held.
    #[must_use]
    pub fn held_as(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The file the tensors come from, for messages.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether a GGUF file holds them. Such a file describes its model entirely, so a tensor that
    /// nothing uses is a part of the model that would be left out. It keeps norms as they act, even
    /// where the model's own files keep them less one.
    pub(super) fn is_gguf(&self) -> bool {
        matches!(self.source, Source::Gguf(_))
    }

    /// The tensors that nothing has asked for, sorted; those of a GGUF file by its own names.
    pub(super) fn unused(&self) -> Vec<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used: HashSet<String> = match &self.source {
            Source::Gguf(tensors) => {
                used.iter().filter_map(|name| tensors.own_name(name)).collect()
            }
            _ => used.clone(),
        };
        let is_unused = |name: &&str| !used.contains(*name);
        let mut names: Vec<String> =
            self.names().into_iter().filter(is_unused).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Whether a tensor holds floats, as weights do.
    pub(super) fn is_float(&self, name: &str) -> bool {
        match &self.source {
            Source::Memory(_) => true,
            Source::Safetensors(files) => files.check(name).is_ok(),
            Source::Gguf(tensors) => tensors.check(name).is_ok(),
            Source::Pickled(tensors) => tensors.check(name).is_ok(),
        }
    }

    fn note_use(&self, name: &str) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
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
            self.note_use(name);
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
        self.note_use(name);
        if self.is_hollow {
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

    /// Reads the tensor `name` as f32.
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

/// The error of a tensor that is no float.
fn no_float(file: &Path, name: &str, dtype: &dyn std::fmt::Debug) -> LmError {
    LmError::Unsupported {
        file: file.to_path_buf(),
        what: format!("tensor '{name}' of type {dtype:?}"),
        instead: "whose weights are f32, f16 or bf16".into(),
    }
}

/// The error of a tensor with a value that is no number.
fn not_finite(file: &Path, name: &str) -> LmError {
    let problem = format!(
        "tensor '{name}' holds a value that is no number; if the file's checksum matches its \
         repository's, the model was saved with it"
    );
    invalid(file, problem)
}

/// The error of a file that is cut short or altered.
pub(super) fn damaged(file: &Path, problem: String) -> LmError {
    LmError::Damaged { file: file.to_path_buf(), problem }
}

/// The error of a whole file whose content cannot be used.
pub(super) fn invalid(file: &Path, problem: String) -> LmError {
    LmError::Invalid { file: file.to_path_buf(), problem }
}

/// Reads a JSON file.
///
/// # Errors
/// [`LmError::Read`], [`LmError::OtherKind`], and as [`parse_json`].
pub(super) fn read_json(file: &Path) -> Result<serde_json::Value> {
    parse_json(file, &read_text(file, MAX_JSON_BYTES)?)
}

/// Parses the JSON that `file` holds.
///
/// # Errors
/// [`LmError::Damaged`] for one that ends too early, [`LmError::Invalid`] for one that is not JSON.
pub(super) fn parse_json(file: &Path, text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| {
        if error.is_eof() {
            return damaged(file, format!("its JSON is cut short ({error})"));
        }
        invalid(file, format!("is not valid JSON ({error}); correct it there"))
    })
}
