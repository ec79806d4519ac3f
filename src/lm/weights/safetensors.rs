//! Reads safetensors files: the header when a file is opened, each tensor when it is requested.
//!
//! Parses headers with the `safetensors` crate. Reads tensors itself, because the crate needs the
//! whole file in memory or mapped, and mapping is unsafe code, which this crate forbids.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::lm::error::{
    LmError, Result, damaged, invalid, not_finite, occurs_twice, unsupported_dtype,
};
use crate::lm::file_kind::{self, FileKind, MAX_SAFETENSORS_HEADER};

/// Bytes compared at a time.
const CHUNK: usize = 1 << 20;

/// Bytes before the header; they hold its length.
const PREFIX: u64 = 8;

/// The tensors of one file or of several shards.
pub(super) struct Files {
    shards: Vec<PathBuf>,
    entries: HashMap<String, Entry>,
}

struct Entry {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Offset in bytes from the start of the file.
    start: u64,
    bytes: usize,
}

impl Files {
    /// Opens the files of one model.
    ///
    /// # Errors
    /// Returns an error that names the file that is missing, cut short or not safetensors.
    pub(super) fn open(paths: Vec<PathBuf>) -> Result<Self> {
        let mut files = Self { shards: Vec::new(), entries: HashMap::new() };
        for path in paths {
            files.add(path)?;
        }
        Ok(files)
    }

    /// Returns the shape of a tensor, or `None` if it does not exist.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// Returns the names of all tensors.
    pub(super) fn names(&self) -> Vec<&str> {
        self.entries.keys().map(String::as_str).collect()
    }

    /// Reads a tensor as f32. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the tensor is not f32, f16 or bf16, a value is NaN or infinite, or the
    /// file cannot be read.
    pub(super) fn read(&self, name: &str) -> Result<Option<Tensor>> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        let file = &self.shards[entry.shard];
        let mut data = vec![0; entry.bytes];
        let read = |data: &mut [u8]| {
            let mut handle = File::open(file)?;
            handle.seek(SeekFrom::Start(entry.start))?;
            handle.read_exact(data)
        };
        read(&mut data).map_err(|source| LmError::Read { file: file.clone(), source })?;
        let values = to_f32(&data, entry.dtype)
            .ok_or_else(|| unsupported_dtype(file, name, &entry.dtype))?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(not_finite(file, name));
        }
        Ok(Some(Tensor::from_vec(values, entry.shape.as_slice(), &Device::Cpu)?))
    }

    /// Returns whether two tensors are stored as the same bytes. Compares them in chunks. Returns
    /// `None` if a tensor does not exist, or if the types or lengths differ.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub(crate) fn have_same_bytes(&self, one: &str, other: &str) -> Result<Option<bool>> {
        let (Some(one), Some(other)) = (self.entries.get(one), self.entries.get(other)) else {
            return Ok(None);
        };
        if one.dtype != other.dtype || one.bytes != other.bytes {
            return Ok(None);
        }
        let open = |entry: &Entry| {
            let file = &self.shards[entry.shard];
            let seek = || {
                let mut handle = File::open(file)?;
                handle.seek(SeekFrom::Start(entry.start))?;
                Ok(handle)
            };
            seek().map_err(|source| LmError::Read { file: file.clone(), source })
        };
        let (mut first, mut second) = (open(one)?, open(other)?);
        let failed = |source| LmError::Read { file: self.shards[one.shard].clone(), source };
        let mut chunks = [vec![0; CHUNK], vec![0; CHUNK]];
        let mut left = one.bytes;
        while left > 0 {
            let length = left.min(CHUNK);
            let [a, b] = &mut chunks;
            first.read_exact(&mut a[..length]).map_err(failed)?;
            second.read_exact(&mut b[..length]).map_err(failed)?;
            if a[..length] != b[..length] {
                return Ok(Some(false));
            }
            left -= length;
        }
        Ok(Some(true))
    }

    /// Checks that a tensor is stored in a type that [`Files::read`] supports.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        match self.entries.get(name) {
            Some(entry) if to_f32(&[], entry.dtype).is_none() => {
                Err(unsupported_dtype(&self.shards[entry.shard], name, &entry.dtype))
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, file: PathBuf) -> Result<()> {
        let failed = |source| LmError::Read { file: file.clone(), source };
        let mut handle = file_kind::open(&file, FileKind::Safetensors)?;
        if length_is_text(&mut handle).map_err(failed)? {
            let problem = "is a text file, not a safetensors file; open it to see the reason";
            return Err(invalid(&file, problem.to_owned()));
        }
        let length = handle.metadata().map_err(failed)?.len();
        let (metadata, data_start) =
            header(&mut handle, length).map_err(|problem| match problem {
                Problem::Damaged(problem) => {
                    damaged(&file, format!("not a complete safetensors file ({problem})"))
                }
                Problem::Unsupported(problem) => {
                    invalid(&file, format!("its header is not supported ({problem})"))
                }
            })?;
        let tensors = metadata.tensors();
        check_layout(&tensors, length - data_start).map_err(|problem| {
            damaged(&file, format!("not a complete safetensors file ({problem})"))
        })?;
        for (name, info) in tensors {
            let (start, end) = info.data_offsets;
            let entry = Entry {
                shard: self.shards.len(),
                dtype: info.dtype,
                shape: info.shape.clone(),
                start: data_start + start as u64,
                bytes: end - start,
            };
            if self.entries.insert(name.clone(), entry).is_some() {
                return Err(occurs_twice(&file, &name));
            }
        }
        self.shards.push(file);
        Ok(())
    }
}

/// Returns whether the first bytes are text instead of a length, as in an error message that a
/// server sent in place of the file.
fn length_is_text(file: &mut File) -> std::io::Result<bool> {
    let mut prefix = Vec::new();
    file.by_ref().take(PREFIX).read_to_end(&mut prefix)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(prefix.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()))
}

/// Why a header cannot be read.
enum Problem {
    Damaged(String),
    /// The header is valid JSON with unknown content, such as a new type.
    Unsupported(String),
}

/// Reads the header and returns it with the offset of the data. Never allocates more than the
/// length of the file.
fn header(file: &mut File, length: u64) -> std::result::Result<(Metadata, u64), Problem> {
    let mut prefix = [0; PREFIX as usize];
    file.read_exact(&mut prefix).map_err(|_| Problem::Damaged("it has no header".to_owned()))?;
    let claimed = u64::from_le_bytes(prefix);
    if claimed > MAX_SAFETENSORS_HEADER.min(length.saturating_sub(PREFIX)) {
        let problem = format!("its header claims {claimed} bytes, but the file has {length}");
        return Err(Problem::Damaged(problem));
    }
    let mut header = vec![0; claimed as usize];
    file.read_exact(&mut header).map_err(|error| Problem::Damaged(error.to_string()))?;
    let metadata = serde_json::from_slice(&header).map_err(|error| {
        let is_valid_json = error.is_data();
        let problem = error.to_string();
        if is_valid_json { Problem::Unsupported(problem) } else { Problem::Damaged(problem) }
    })?;
    Ok((metadata, PREFIX + claimed))
}

/// Checks that the length of every tensor matches its shape and that the tensors cover the data
/// exactly, without gaps or overlap.
fn check_layout(
    tensors: &HashMap<String, &TensorInfo>,
    data_bytes: u64,
) -> std::result::Result<(), String> {
    let mut ranges = Vec::with_capacity(tensors.len());
    for (name, info) in tensors {
        let (start, end) = info.data_offsets;
        let values = info.shape.iter().try_fold(1_usize, |size, &n| size.checked_mul(n));
        let bits = values.and_then(|values| values.checked_mul(info.dtype.bitsize()));
        let bytes = end.checked_sub(start);
        if bits.is_none() || bytes.and_then(|bytes| bytes.checked_mul(8)) != bits {
            return Err(format!("the length of tensor '{name}' does not match its shape"));
        }
        ranges.push((start, end));
    }
    ranges.sort_unstable();
    let mut covered = 0;
    for (start, end) in ranges {
        if start != covered {
            return Err("its tensors overlap or leave gaps".to_owned());
        }
        covered = end;
    }
    if covered as u64 == data_bytes {
        Ok(())
    } else {
        Err(format!("its tensors need {covered} bytes, but it holds {data_bytes}"))
    }
}

/// Converts values to f32. Returns `None` for types other than f32, f16 and bf16.
fn to_f32(data: &[u8], dtype: Dtype) -> Option<Vec<f32>> {
    let half_words = |convert: fn(u16) -> f32| {
        data.chunks_exact(2).map(|b| convert(u16::from_le_bytes([b[0], b[1]]))).collect()
    };
    match dtype {
        Dtype::F32 => {
            let words = data.chunks_exact(4);
            Some(words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        }
        Dtype::F16 => Some(half_words(|bits| half::f16::from_bits(bits).to_f32())),
        Dtype::BF16 => Some(half_words(|bits| half::bf16::from_bits(bits).to_f32())),
        _ => None,
    }
}
