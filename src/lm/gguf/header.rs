//! Reads the header of a GGUF file, versions 2 and 3. Compares every length with the rest of the
//! file before it allocates memory.
//!
//! candle 0.11's reader rejects integer, IQ4_NL and IQ4_XS tensors, and panics if the alignment is
//! 0. On opening, it does not check that tensors have unique names and lie in the file without
//! overlap.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::types::TensorType;
use crate::lm::error::{LmError, Result, damaged, invalid};
use crate::lm::file_kind::{self, FileKind};

/// Default alignment of tensor data, in bytes.
const ALIGNMENT: u64 = 32;
/// Maximum number of dimensions of a tensor.
const MAX_DIMS: u32 = 4;

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lm) enum Meta {
    Whole(u64),
    Number(f64),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    Numbers(Vec<f64>),
}

/// Type, shape and location of a tensor.
#[derive(Debug, Clone)]
pub(in crate::lm) struct Entry {
    pub(crate) kind: TensorType,
    /// Rows first; the file stores the dimensions in reverse order.
    pub(crate) shape: Vec<usize>,
    /// Index of the part that holds it, 0 for a file that is not split.
    pub(crate) part: usize,
    /// Offset in bytes from the start of the part.
    pub(crate) start: u64,
    pub(crate) bytes: usize,
}

pub(super) struct Header {
    pub(crate) meta: HashMap<String, Meta>,
    pub(crate) tensors: HashMap<String, Entry>,
}

impl Meta {
    /// Returns the value if it is a non-negative integer.
    pub(crate) fn integer(&self) -> Option<u64> {
        match self {
            Meta::Whole(n) => Some(*n),
            Meta::Number(n) if *n >= 0.0 && n.fract() == 0.0 => Some(*n as u64),
            _ => None,
        }
    }

    /// Returns a number, or the common value of a list (one entry per layer) whose entries are
    /// equal.
    pub(crate) fn same_for_all(&self) -> Option<f64> {
        match self {
            Meta::Numbers(numbers) => {
                let first = numbers.first().copied()?;
                numbers.iter().all(|number| *number == first).then_some(first)
            }
            other => other.number(),
        }
    }

    /// Returns the value if it is a number.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Meta::Whole(n) => Some(*n as f64),
            Meta::Number(n) => Some(*n),
            _ => None,
        }
    }
}

/// Reads the metadata and the tensor entries of `file`, the part with index `part` of its model.
///
/// # Errors
/// Returns an error that names the file if it is missing, cut short, not GGUF, or of an unsupported
/// version or quantisation.
pub(super) fn read(file: &Path, part: usize) -> Result<Header> {
    let handle = file_kind::open(file, FileKind::Gguf)?;
    let failed = |source| LmError::Read { file: file.to_path_buf(), source };
    let length = handle.metadata().map_err(failed)?.len();
    let mut cursor = Cursor { reader: BufReader::new(handle), position: 0, length };
    parse(&mut cursor, part).map_err(|problem| match problem {
        Problem::Damaged(problem) => damaged(file, format!("not a complete GGUF file ({problem})")),
        Problem::NotGguf => invalid(
            file,
            "is not a GGUF file: it does not begin with GGUF; choose a GGUF file".into(),
        ),
        Problem::Unsupported { feature, instead } => {
            LmError::Unsupported { file: file.to_path_buf(), feature, instead: instead.into() }
        }
    })
}

/// Why a header cannot be read.
enum Problem {
    Damaged(String),
    NotGguf,
    /// `instead` completes the advice "choose a model …".
    Unsupported {
        feature: String,
        instead: &'static str,
    },
}

impl From<String> for Problem {
    fn from(problem: String) -> Self {
        Self::Damaged(problem)
    }
}

type Parsed<T> = std::result::Result<T, Problem>;

fn parse(cursor: &mut Cursor, part: usize) -> Parsed<Header> {
    if cursor.bytes(4)? != b"GGUF" {
        return Err(Problem::NotGguf);
    }
    let version = cursor.u32()?;
    if !(2..=3).contains(&version) {
        let age = if version < 2 { ", an older format," } else { "" };
        let feature = format!("GGUF version {version}{age}");
        return Err(Problem::Unsupported { feature, instead: "in GGUF version 2 or 3" });
    }
    let (tensor_count, meta_count) = (cursor.u64()?, cursor.u64()?);
    // An entry takes at least 13 bytes (name, type, value), a tensor 24 (name, rank, type, offset).
    cursor.check_remaining(meta_count.saturating_mul(13))?;
    cursor.check_remaining(tensor_count.saturating_mul(24))?;
    let mut meta = HashMap::new();
    for _ in 0..meta_count {
        let key = cursor.text()?;
        let kind = cursor.u32()?;
        let value = value(cursor, kind).map_err(|problem| match problem {
            Problem::Damaged(problem) => format!("entry '{key}': {problem}").into(),
            Problem::Unsupported { feature, instead } => {
                Problem::Unsupported { feature: format!("{feature} (of entry '{key}')"), instead }
            }
            Problem::NotGguf => Problem::NotGguf,
        });
        meta.insert(key, value?);
    }
    let mut entries = Vec::new();
    for _ in 0..tensor_count {
        entries.push(tensor(cursor, part)?);
    }
    let alignment = meta.get("general.alignment").map_or(Some(ALIGNMENT), Meta::integer);
    let alignment = alignment.filter(|alignment| (1..=1 << 20).contains(alignment));
    let alignment =
        alignment.ok_or_else(|| "entry 'general.alignment' is not a valid alignment".to_owned())?;
    let data_start = cursor.position.next_multiple_of(alignment);
    let mut tensors = HashMap::new();
    for (name, mut entry) in entries {
        let start = data_start.checked_add(entry.start);
        let end = start.and_then(|start| start.checked_add(entry.bytes as u64));
        match (start, end) {
            (Some(start), Some(end)) if end <= cursor.length => entry.start = start,
            _ => return Err(format!("tensor '{name}' extends past the end of the file").into()),
        }
        if tensors.insert(name.clone(), entry).is_some() {
            return Err(format!("tensor '{name}' occurs twice").into());
        }
    }
    check_overlap(&tensors)?;
    Ok(Header { meta, tensors })
}

/// Reads the name and entry of a tensor. Its `start` is relative to the start of the data section.
fn tensor(cursor: &mut Cursor, part: usize) -> Parsed<(String, Entry)> {
    let name = cursor.text()?;
    let count = cursor.u32()?;
    if count > MAX_DIMS {
        let feature = format!("a tensor of {count} dimensions ('{name}')");
        return Err(Problem::Unsupported { feature, instead: "with at most four" });
    }
    let dims: Parsed<Vec<u64>> = (0..count).map(|_| cursor.u64()).collect();
    let mut shape = Vec::new();
    for dim in dims?.into_iter().rev() {
        shape.push(usize::try_from(dim).map_err(|_| format!("tensor '{name}' is too large"))?);
    }
    let kind = TensorType::from_number(cursor.u32()?).map_err(|kind| Problem::Unsupported {
        feature: format!("quantisation {kind} (of tensor '{name}')"),
        instead: "file in another quantisation, such as Q4_K_M, Q6_K or Q8_0",
    })?;
    let values = shape.iter().try_fold(1_usize, |size, &n| size.checked_mul(n));
    let block = kind.block_size();
    let has_whole_blocks = shape.last().is_some_and(|last| last.is_multiple_of(block));
    let bytes = values
        .filter(|values| *values > 0 && has_whole_blocks)
        .and_then(|values| (values / block).checked_mul(kind.block_bytes()))
        .ok_or_else(|| format!("tensor '{name}' has the impossible shape {shape:?}"))?;
    Ok((name, Entry { kind, shape, part, start: cursor.u64()?, bytes }))
}

fn check_overlap(tensors: &HashMap<String, Entry>) -> Parsed<()> {
    let mut ranges: Vec<(u64, u64, &str)> = tensors
        .iter()
        .map(|(name, entry)| (entry.start, entry.start + entry.bytes as u64, name.as_str()))
        .collect();
    ranges.sort_unstable();
    match ranges.windows(2).find(|pair| pair[1].0 < pair[0].1) {
        Some(pair) => Err(format!("tensors '{}' and '{}' overlap", pair[0].2, pair[1].2).into()),
        None => Ok(()),
    }
}

/// GGUF's value type of an array.
const ARRAY: u32 = 9;
/// GGUF's value type of a string.
const TEXT: u32 = 8;

fn value(cursor: &mut Cursor, kind: u32) -> Parsed<Meta> {
    if kind == TEXT {
        return Ok(Meta::Text(cursor.text()?));
    }
    if kind != ARRAY {
        return scalar(cursor, kind);
    }
    let (kind, count) = (cursor.u32()?, cursor.u64()?);
    // A string takes at least its 8-byte length, a number at least one byte.
    cursor.check_remaining(count.saturating_mul(if kind == TEXT { 8 } else { 1 }))?;
    if kind == TEXT {
        let texts: Parsed<Vec<String>> = (0..count).map(|_| cursor.text()).collect();
        return Ok(Meta::Texts(texts?));
    }
    if kind == ARRAY {
        let feature = "a nested array in the metadata".to_owned();
        return Err(Problem::Unsupported { feature, instead: "without one" });
    }
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.push(match scalar(cursor, kind)? {
            Meta::Flag(flag) => f64::from(u8::from(flag)),
            other => other.number().unwrap_or(0.0),
        });
    }
    Ok(Meta::Numbers(numbers))
}

fn scalar(cursor: &mut Cursor, kind: u32) -> Parsed<Meta> {
    let signed = |n: i64| u64::try_from(n).map_or(Meta::Number(n as f64), Meta::Whole);
    Ok(match kind {
        0 => Meta::Whole(u64::from(u8::from_le_bytes(cursor.array()?))),
        1 => signed(i64::from(i8::from_le_bytes(cursor.array()?))),
        2 => Meta::Whole(u64::from(u16::from_le_bytes(cursor.array()?))),
        3 => signed(i64::from(i16::from_le_bytes(cursor.array()?))),
        4 => Meta::Whole(u64::from(cursor.u32()?)),
        5 => signed(i64::from(i32::from_le_bytes(cursor.array()?))),
        6 => Meta::Number(f64::from(f32::from_le_bytes(cursor.array()?))),
        7 => Meta::Flag(cursor.array::<1>()? != [0]),
        10 => Meta::Whole(cursor.u64()?),
        11 => signed(i64::from_le_bytes(cursor.array()?)),
        12 => Meta::Number(f64::from_le_bytes(cursor.array()?)),
        other => {
            let feature = format!("metadata type {other}");
            return Err(Problem::Unsupported { feature, instead: "in GGUF version 2 or 3" });
        }
    })
}

/// A reader that knows its position and the length of the file.
struct Cursor {
    reader: BufReader<File>,
    position: u64,
    length: u64,
}

impl Cursor {
    fn check_remaining(&self, bytes: u64) -> Parsed<()> {
        let left = self.length.saturating_sub(self.position);
        if bytes <= left {
            return Ok(());
        }
        Err(format!("{bytes} bytes claimed, but only {left} left").into())
    }

    fn bytes(&mut self, count: u64) -> Parsed<Vec<u8>> {
        self.check_remaining(count)?;
        let mut bytes = vec![0; count as usize];
        self.reader.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        self.position += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        self.check_remaining(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        self.position += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Parsed<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Parsed<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn text(&mut self) -> Parsed<String> {
        let length = self.u64()?;
        // llama.cpp accepts any bytes, and authors' names are not always UTF-8.
        Ok(String::from_utf8_lossy(&self.bytes(length)?).into_owned())
    }
}
