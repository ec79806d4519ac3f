//! Reads `pytorch_model.bin`, the format of older models: a pickle that lists tensors. No code in
//! the pickle runs.
//!
//! candle's reader clones an object at every reference, so a small file can use unbounded memory.
//! It does not read strided views or the format before PyTorch 1.6, and prints the objects it
//! skips.

mod machine;
mod storage;
mod zip_archive;

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use self::machine::{Id, Node, Pickle, Problem};
use self::storage::{Dtype, Storage};
use self::zip_archive::Archive;
use crate::lm::error::{
    LmError, Result, damaged, invalid, not_finite, occurs_twice, unsupported_dtype,
};
use crate::lm::file_kind::{self, FileKind};

/// The tensors of one file or of several shards.
pub(super) struct Pickled {
    files: Vec<PathBuf>,
    tensors: HashMap<String, Entry>,
}

/// A tensor, which is a view of a storage.
struct Entry {
    /// Index of the file that holds it.
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Elements between neighbouring indices, one number per dimension.
    strides: Vec<usize>,
    /// Offset in bytes of the view's first element in the file.
    start: u64,
    /// Number of elements from the first to the last of the view, both included.
    span: usize,
}

impl Pickled {
    /// Opens the files of one model.
    ///
    /// # Errors
    /// Returns an error that names the file if it is missing, cut short or of another kind.
    pub(super) fn open(files: Vec<PathBuf>) -> Result<Self> {
        let mut tensors = HashMap::new();
        for (index, file) in files.iter().enumerate() {
            let archive = read_archive(file)?;
            let length = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
            let Node::Dict(entries) = archive.pickle.root() else {
                let problem = "holds a Python object that is not a state dict; save the model's \
                               weights with model.save_pretrained(FOLDER)";
                return Err(invalid(file, problem.to_owned()));
            };
            for (name, value) in entries {
                let Some(name) = archive.pickle.text(*name) else { continue };
                let entry =
                    entry(&archive, *value, index, length).map_err(|problem| match problem {
                        Problem::Damaged(problem) => {
                            damaged(file, format!("tensor '{name}' {problem}"))
                        }
                        Problem::Unsupported(what, instead) => LmError::Unsupported {
                            file: file.to_path_buf(),
                            feature: format!("{what} (of tensor '{name}')"),
                            instead: instead.into(),
                        },
                    })?;
                if let (None, Some(class)) = (&entry, foreign_call(&archive.pickle, *value)) {
                    let problem = format!(
                        "'{name}' calls '{class}', which is not allowed; take the model's \
                         safetensors"
                    );
                    return Err(invalid(file, problem));
                }
                let Some(entry) = entry else { continue };
                let earlier = tensors.insert(name.to_owned(), entry);
                if earlier.is_some_and(|earlier| earlier.file != index) {
                    return Err(occurs_twice(file, name));
                }
            }
        }
        if let (true, [file, ..]) = (tensors.is_empty(), files.as_slice()) {
            let problem = "holds no named tensors; save the model's weights with \
                           model.save_pretrained(FOLDER)";
            return Err(invalid(file, problem.to_owned()));
        }
        Ok(Self { files, tensors })
    }

    /// Returns the names of all tensors.
    pub(super) fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    /// Returns the shape of a tensor, or `None` if it does not exist.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|entry| entry.shape.clone())
    }

    /// Checks that a tensor is stored in a type that [`Pickled::read`] supports.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        match self.tensors.get(name) {
            Some(entry) if !entry.dtype.is_weight() => {
                Err(unsupported_dtype(&self.files[entry.file], name, &format!("{:?}", entry.dtype)))
            }
            _ => Ok(()),
        }
    }

    /// Reads a tensor as f32. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the tensor is not f32, f16 or bf16, a value is NaN or infinite, or the
    /// file cannot be read.
    pub(super) fn read(&self, name: &str) -> Result<Option<Tensor>> {
        self.check(name)?;
        let Some(entry) = self.tensors.get(name) else { return Ok(None) };
        let file = &self.files[entry.file];
        let mut data = vec![0; entry.span * entry.dtype.bytes()];
        let read = |data: &mut [u8]| {
            let mut handle = File::open(file)?;
            handle.seek(SeekFrom::Start(entry.start))?;
            handle.read_exact(data)
        };
        read(&mut data).map_err(|source| LmError::Read { file: file.clone(), source })?;
        let values = entry.in_order(to_f32(&data, entry.dtype));
        if values.iter().any(|value| !value.is_finite()) {
            return Err(not_finite(file, name));
        }
        Ok(Some(Tensor::from_vec(values, entry.shape.as_slice(), &Device::Cpu)?))
    }
}

impl Entry {
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let is_next = size == 1 || stride == expected;
            expected *= size;
            is_next
        })
    }

    /// Returns the values of the view in row-major order.
    fn in_order(&self, span: Vec<f32>) -> Vec<f32> {
        if span.is_empty() || self.is_contiguous() {
            return span;
        }
        let count = self.shape.iter().product();
        let mut values = Vec::with_capacity(count);
        let mut index = vec![0; self.shape.len()];
        let mut offset = 0;
        while values.len() < count {
            values.push(span[offset]);
            // Increment the index like a counter, last dimension first.
            for (dim, (at, size)) in index.iter_mut().zip(&self.shape).enumerate().rev() {
                *at += 1;
                offset += self.strides[dim];
                if *at < *size {
                    break;
                }
                offset -= self.strides[dim] * *size;
                *at = 0;
            }
        }
        values
    }
}

fn read_archive(file: &Path) -> Result<Archive> {
    let archive = match file_kind::of(file) {
        FileKind::Pickle => zip_archive::read_bare(file_kind::open(file, FileKind::Pickle)?),
        FileKind::Other => {
            // `open` returns the reason if the file cannot be read.
            file_kind::open(file, FileKind::Zip)?;
            let problem = "was not written by torch.save; take the model's safetensors";
            return Err(invalid(file, problem.to_owned()));
        }
        _ => zip_archive::read_zip(file_kind::open(file, FileKind::Zip)?),
    };
    archive.map_err(|problem| match problem {
        Problem::Damaged(problem) => {
            damaged(file, format!("not a complete PyTorch file ({problem})"))
        }
        Problem::Unsupported(what, instead) => LmError::Unsupported {
            file: file.to_path_buf(),
            feature: what,
            instead: instead.into(),
        },
    })
}

/// Returns the tensor that a node describes, or `None` for other objects. `file` is the index of
/// the file, `length` its bytes.
///
/// # Errors
/// Returns the reason if the tensor is invalid or does not lie inside its storage.
fn entry(
    archive: &Archive,
    node: Id,
    file: usize,
    length: u64,
) -> std::result::Result<Option<Entry>, Problem> {
    let pickle = &archive.pickle;
    let Some(args) = tensor_args(pickle, node) else { return Ok(None) };
    let [storage, offset, shape, strides, ..] = args else { return Ok(None) };
    let Node::Persistent(id) = pickle.node(*storage) else { return Ok(None) };
    let Some(storage) = Storage::parse(pickle, *id) else { return Ok(None) };
    let Storage { dtype, key, is_view } = storage;
    if is_view {
        return Err(Problem::Unsupported(
            "a storage that is a part of another".to_owned(),
            "saved with torch 1.6 or later",
        ));
    }
    let (shape, strides) = (pickle.sizes(*shape), pickle.sizes(*strides));
    let offset = pickle.int(*offset).and_then(|offset| u64::try_from(offset).ok());
    let (Some(shape), Some(strides), Some(offset)) = (shape, strides, offset) else {
        return Err("has no shape".to_owned().into());
    };
    let outside = || Problem::from("does not lie inside the file".to_owned());
    let (start, bytes) = *archive.storages.get(key).ok_or_else(outside)?;
    let values = shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(size));
    // A view may repeat values; limit its size to that of the file.
    let all = values.and_then(|n| n.checked_mul(dtype.bytes())).ok_or_else(outside)? as u64;
    if shape.len() != strides.len() || all > length {
        return Err(outside());
    }
    let last = shape.iter().zip(&strides).try_fold(0_usize, |last, (&size, &stride)| {
        last.checked_add(size.saturating_sub(1).checked_mul(stride)?)
    });
    let span = if all == 0 { Some(0) } else { last.and_then(|last| last.checked_add(1)) };
    let width = dtype.bytes() as u64;
    let end = span.and_then(|span| offset.checked_add(span as u64)?.checked_mul(width));
    let begins = offset.checked_mul(width).and_then(|skipped| start.checked_add(skipped));
    match (span, begins, end) {
        (Some(span), Some(start), Some(end))
            if end <= bytes && start.saturating_add(span as u64 * width) <= length =>
        {
            Ok(Some(Entry { file, dtype, shape, strides, start, span }))
        }
        _ => Err(outside()),
    }
}

/// Returns the function that a node calls, if it is outside the modules that state dicts use.
fn foreign_call(pickle: &Pickle, node: Id) -> Option<&str> {
    let Node::Call { callable, .. } = pickle.node(node) else { return None };
    let Node::Class(class) = pickle.node(*callable) else { return None };
    let is_usual = ["torch", "collections", "numpy"]
        .iter()
        .any(|module| class.strip_prefix(module).is_some_and(|rest| rest.starts_with(['.', ' '])));
    (!is_usual).then_some(class.as_str())
}

/// Returns the arguments of the call that rebuilds a tensor: storage, offset, shape, strides.
/// Parameters and tensor subclasses wrap such a call.
fn tensor_args(pickle: &Pickle, node: Id) -> Option<&[Id]> {
    let Node::Call { callable, args } = pickle.node(node) else { return None };
    let (Node::Class(class), args) = (pickle.node(*callable), pickle.items(*args)?) else {
        return None;
    };
    match (class.as_str(), args) {
        ("torch._utils _rebuild_tensor_v2" | "torch._utils _rebuild_tensor", args) => Some(args),
        ("torch._utils _rebuild_parameter", [data, ..]) => {
            let Node::Call { args, .. } = pickle.node(*data) else { return None };
            pickle.items(*args)
        }
        ("torch._tensor _rebuild_from_type_v2", [_, _, args, ..]) => pickle.items(*args),
        _ => None,
    }
}

/// Converts the bytes of a float storage to f32.
fn to_f32(data: &[u8], dtype: Dtype) -> Vec<f32> {
    let halves = |convert: fn(u16) -> f32| {
        let (words, _) = data.as_chunks::<2>();
        words.iter().map(|word| convert(u16::from_le_bytes(*word))).collect()
    };
    match dtype {
        Dtype::F16 => halves(|bits| half::f16::from_bits(bits).to_f32()),
        Dtype::Bf16 => halves(|bits| half::bf16::from_bits(bits).to_f32()),
        _ => data.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_strided_views_in_row_major_order() {
        let view = |shape: &[usize], strides: &[usize], span: usize| {
            let (shape, strides) = (shape.to_vec(), strides.to_vec());
            let entry = Entry { file: 0, dtype: Dtype::F32, shape, strides, start: 0, span };
            entry.in_order((0..span).map(|value| value as f32).collect())
        };
        assert_eq!(view(&[2, 3], &[3, 1], 6), [0., 1., 2., 3., 4., 5.]);
        assert_eq!(view(&[3, 2], &[1, 3], 6), [0., 3., 1., 4., 2., 5.]);
        assert_eq!(view(&[2, 2], &[0, 1], 2), [0., 1., 0., 1.]);
        assert_eq!(view(&[2, 1, 2], &[4, 9, 2], 7), [0., 2., 4., 6.]);
        assert_eq!(view(&[], &[], 1), [0.]);
        assert!(view(&[1 << 40, 0], &[5, 1], 0).is_empty());
    }

    /// Opens a file in the format before PyTorch 1.6: `tensor` and a storage of four floats.
    fn open_old_format(tensor: &str) -> Result<Pickled> {
        let number = "\u{80}\u{2}K\0.";
        let keys = "\u{80}\u{2}](X\u{1}\0\0\0\u{30}e.";
        open_pickles(&[number, number, number, tensor, keys])
    }

    /// Opens a file of these pickles (one byte per character) and a storage of four floats.
    fn open_pickles(parts: &[&str]) -> Result<Pickled> {
        let dir = tempfile::tempdir().map_err(candle_core::Error::wrap)?;
        let file = dir.path().join("pytorch_model.bin");
        let mut bytes: Vec<u8> =
            parts.concat().chars().map(|character| character as u32 as u8).collect();
        bytes.extend(4_u64.to_le_bytes());
        (0..4).for_each(|value| bytes.extend((value as f32).to_le_bytes()));
        std::fs::write(&file, bytes).map_err(candle_core::Error::wrap)?;
        let pickled = Pickled::open(vec![file])?;
        // The folder is deleted when this function returns, so the tensor is read here.
        let read = pickled.read("a")?;
        assert_eq!(read.map(|tensor| tensor.dims().to_vec()), pickled.shape("a"));
        Ok(pickled)
    }

    #[test]
    fn rejects_tensors_outside_the_file_and_foreign_calls() {
        let storage =
            "((X\u{7}\0\0\0storagectorch\nFloatStorage\nX\u{1}\0\0\0\u{30}X\u{3}\0\0\0cpuK\u{4}NtQ";
        let tensor = |view: &str| {
            format!(
                "\u{80}\u{2}}}X\u{1}\0\0\0actorch._utils\n_rebuild_tensor_v2\n{storage}{view}tRs."
            )
        };
        // Offset, shape, strides.
        assert!(open_old_format(&tensor("K\0K\u{2}K\u{2}\u{86}K\u{1}K\u{2}\u{86}")).is_ok());
        assert!(open_old_format(&tensor("K\u{1}K\u{3}\u{85}K\u{1}\u{85}")).is_ok());
        for outside in [
            "K\u{2}K\u{3}\u{85}K\u{1}\u{85}",
            "K\0K\u{2}K\u{2}\u{86}K\u{ff}K\u{1}\u{86}",
            "K\0J\u{ff}\u{ff}\u{ff}\u{7f}\u{85}K\0\u{85}",
        ] {
            let message = open_old_format(&tensor(outside)).err().map(|error| error.to_string());
            assert!(message.as_ref().is_some_and(|m| m.contains("inside the file")), "{message:?}");
        }
        let bare = "\u{80}\u{2}}.";
        let message = open_pickles(&[bare]).err().map(|error| error.to_string());
        assert!(message.as_ref().is_some_and(|m| m.contains("did not write")), "{message:?}");
        let call = "\u{80}\u{2}}X\u{1}\0\0\0acposix\nsystem\nX\u{2}\0\0\0ls\u{85}Rs.";
        let message = open_old_format(call).err().map(|error| error.to_string());
        assert!(message.as_ref().is_some_and(|m| m.contains("'posix system'")), "{message:?}");
    }
}
