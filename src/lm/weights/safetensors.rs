//! Safetensors files: the header is read and checked at once, a tensor when it is asked for.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use super::{damaged, invalid, no_float, not_finite};
use crate::lm::error::{LmError, Result};
use crate::lm::file_kind::{self, FileKind, MAX_SAFETENSORS_HEADER};

/// Bytes that are compared at a time.
const PIECE: usize = 1 << 20;

/// Bytes before the header, which hold its length.
const PREFIX: u64 = 8;

/// The tensors of one file or of many shards.
pub(super) struct Files {
    shards: Vec<PathBuf>,
    entries: HashMap<String, Entry>,
}

struct Entry {
    shard: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Bytes from the file's start.
    start: u64,
    bytes: usize,
}

impl Files {
    /// Opens the files of one model.
    ///
    /// # Errors
    /// A sentence naming the file that is missing, cut short or not safetensors.
    pub fn open(paths: Vec<PathBuf>) -> Result<Self> {
        let mut files = Self { shards: Vec::new(), entries: HashMap::new() };
        for path in paths {
            files.add(path)?;
        }
        Ok(files)
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The names of all tensors.
    pub fn names(&self) -> Vec<&str> {
        self.entries.keys().map(String::as_str).collect()
    }

    /// Reads a tensor as f32.
    ///
    /// # Errors
    /// A type that is no float, a value that is no number, a file that can no longer be read.
    pub fn read(&self, name: &str) -> Result<Option<Tensor>> {
        let Some(entry) = self.entries.get(name) else { return Ok(None) };
        let file = &self.shards[entry.shard];
        let mut data = vec![0; entry.bytes];
        let read = |data: &mut [u8]| {
            let mut handle = File::open(file)?;
            handle.seek(SeekFrom::Start(entry.start))?;
            handle.read_exact(data)
        };
        read(&mut data).map_err(|source| LmError::Read { file: file.clone(), source })?;
        let values =
            to_f32(&data, entry.dtype).ok_or_else(|| no_float(file, name, &entry.dtype))?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(not_finite(file, name));
        }
        Ok(Some(Tensor::from_vec(values, entry.shape.as_slice(), &Device::Cpu)?))
    }

    /// Whether two tensors are stored as the same bytes, compared piece by piece; none where they are
    /// of two types.
    ///
    /// # Errors
    /// A file that can no longer be read.
    pub fn have_same_bytes(&self, one: &str, other: &str) -> Result<Option<bool>> {
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
        let mut pieces = [vec![0; PIECE], vec![0; PIECE]];
        let mut left = one.bytes;
        while left > 0 {
            let length = left.min(PIECE);
            let [a, b] = &mut pieces;
            first.read_exact(&mut a[..length]).map_err(failed)?;
            second.read_exact(&mut b[..length]).map_err(failed)?;
            if a[..length] != b[..length] {
                return Ok(Some(false));
            }
            left -= length;
        }
        Ok(Some(true))
    }

    /// Refuses a tensor that [`Files::read`] would refuse for how it is stored.
    pub fn check(&self, name: &str) -> Result<()> {
        match self.entries.get(name) {
            Some(entry) if to_f32(&[], entry.dtype).is_none() => {
                Err(no_float(&self.shards[entry.shard], name, &entry.dtype))
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, file: PathBuf) -> Result<()> {
        let failed = |source| LmError::Read { file: file.clone(), source };
        let mut handle = file_kind::open(&file, FileKind::Safetensors)?;
        if length_is_text(&mut handle).map_err(failed)? {
            let problem = "is a text and no safetensors file; read what it says";
            return Err(invalid(&file, problem.to_owned()));
        }
        let length = handle.metadata().map_err(failed)?.len();
        let (metadata, data_start) =
            header(&mut handle, length).map_err(|problem| match problem {
                Problem::Damaged(problem) => {
                    damaged(&file, format!("not a complete safetensors file ({problem})"))
                }
                Problem::Unread(problem) => {
                    let problem =
                        format!("its header is not one that this program reads ({problem})");
                    invalid(&file, problem)
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
            self.entries.insert(name, entry);
        }
        self.shards.push(file);
        Ok(())
    }
}

/// Whether the first bytes, which should be a length, are letters: a message that a server sent in
/// place of the file.
fn length_is_text(file: &mut File) -> std::io::Result<bool> {
    let mut prefix = Vec::new();
    file.by_ref().take(PREFIX).read_to_end(&mut prefix)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(prefix.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()))
}

/// Why a header is not read.
enum Problem {
    Damaged(String),
    /// It is whole, but says something else than this program knows, such as a new type.
    Unread(String),
}

/// The header, and where the data begins. Nothing is allocated that the file cannot hold.
fn header(file: &mut File, length: u64) -> std::result::Result<(Metadata, u64), Problem> {
    let mut prefix = [0; PREFIX as usize];
    file.read_exact(&mut prefix).map_err(|_| Problem::Damaged("it has no header".to_owned()))?;
    let claimed = u64::from_le_bytes(prefix);
    if claimed > MAX_SAFETENSORS_HEADER.min(length.saturating_sub(PREFIX)) {
        return Err(Problem::Damaged(format!("its header claims {claimed} bytes of {length}")));
    }
    let mut header = vec![0; claimed as usize];
    file.read_exact(&mut header).map_err(|error| Problem::Damaged(error.to_string()))?;
    let metadata = serde_json::from_slice(&header).map_err(|error| {
        let is_other = error.is_data();
        let problem = error.to_string();
        if is_other { Problem::Unread(problem) } else { Problem::Damaged(problem) }
    })?;
    Ok((metadata, PREFIX + claimed))
}

/// Whether the tensors are as long as their shapes say and cover the data exactly, in order and
/// without overlap.
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
            return Err(format!("tensor '{name}' is not as long as its shape says"));
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
        Err(format!("its tensors need {covered} bytes, it holds {data_bytes}"))
    }
}

/// The values of float tensors as f32; none for other types.
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
