//! `pytorch_model.bin`, the form of older models: tensors that a pickle lists. No code in it runs.

mod archive;
mod machine;

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use self::archive::Archive;
use self::machine::{Id, Node, Pickle, Problem};
use super::{damaged, invalid, no_float, not_finite};
use crate::lm::error::{LmError, Result};
use crate::lm::file_kind::{self, FileKind};

/// The tensors of one file or of many shards.
pub(super) struct Pickled {
    files: Vec<PathBuf>,
    tensors: HashMap<String, Entry>,
}

/// A tensor: a view of a storage.
struct Entry {
    /// Which of the files holds it.
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Elements from one index to the next, a dimension each.
    strides: Vec<usize>,
    /// The view's first byte in the file.
    start: u64,
    /// Elements from its first to its last, both included.
    span: usize,
}

/// Types of elements, by the names of PyTorch's storages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dtype {
    F32,
    F16,
    Bf16,
    F64,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// A storage as a pickle refers to it.
struct Storage<'a> {
    dtype: Dtype,
    key: &'a str,
    /// Whether it is a part of another storage, as very old files have it.
    is_view: bool,
}

impl Dtype {
    fn of_storage(class: &str) -> Option<Self> {
        Some(match class.rsplit(['.', ' ']).next()? {
            "FloatStorage" => Self::F32,
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "DoubleStorage" => Self::F64,
            "LongStorage" => Self::I64,
            "IntStorage" => Self::I32,
            "ShortStorage" => Self::I16,
            "CharStorage" => Self::I8,
            "ByteStorage" => Self::U8,
            "BoolStorage" => Self::Bool,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    fn is_weight(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::Bf16)
    }
}

impl<'a> Storage<'a> {
    /// The storage of a persistent id: `("storage", class, key, device, elements, …)`.
    fn of(pickle: &'a Pickle, id: Id) -> Option<Self> {
        let [kind, class, key, rest @ ..] = pickle.items(id)? else { return None };
        let Node::Class(class) = pickle.node(*class) else { return None };
        let is_storage = pickle.text(*kind) == Some("storage");
        let dtype = Dtype::of_storage(class).filter(|_| is_storage)?;
        let is_view = rest.get(2).is_some_and(|view| *pickle.node(*view) != Node::None);
        Some(Self { dtype, key: pickle.text(*key)?, is_view })
    }
}

impl Pickled {
    /// Opens the files of one model.
    ///
    /// # Errors
    /// A sentence naming the file when it is missing, cut short, or of another kind.
    pub fn open(files: Vec<PathBuf>) -> Result<Self> {
        let mut tensors = HashMap::new();
        for (index, file) in files.iter().enumerate() {
            let archive = read_archive(file)?;
            let length = std::fs::metadata(file).map_or(0, |there| there.len());
            let Node::Dict(entries) = archive.pickle.root() else {
                let problem = "holds a Python object and no state dict; save the model's weights \
                               with model.save_pretrained(FOLDER)";
                return Err(invalid(file, problem.to_owned()));
            };
            for (name, value) in entries {
                let Some(name) = archive.pickle.text(*name) else { continue };
                let entry = entry(&archive, *value, index, length)
                    .map_err(|problem| damaged(file, format!("tensor '{name}' {problem}")))?;
                if let (None, Some(class)) = (&entry, foreign_call(&archive.pickle, *value)) {
                    let problem = format!(
                        "'{name}' is a call of '{class}', which is not made; take the model's \
                         safetensors"
                    );
                    return Err(invalid(file, problem));
                }
                tensors.extend(entry.map(|entry| (name.to_owned(), entry)));
            }
        }
        if let (true, [file, ..]) = (tensors.is_empty(), files.as_slice()) {
            let problem = "holds no tensors by their names; save the model's weights with \
                           model.save_pretrained(FOLDER)";
            return Err(invalid(file, problem.to_owned()));
        }
        Ok(Self { files, tensors })
    }

    /// The names of all tensors.
    pub fn names(&self) -> Vec<&str> {
        self.tensors.keys().map(String::as_str).collect()
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|entry| entry.shape.clone())
    }

    /// Refuses a tensor that [`Pickled::read`] would refuse for how it is stored.
    pub fn check(&self, name: &str) -> Result<()> {
        match self.tensors.get(name) {
            Some(entry) if !entry.dtype.is_weight() => {
                Err(no_float(&self.files[entry.file], name, &format!("{:?}", entry.dtype)))
            }
            _ => Ok(()),
        }
    }

    /// Reads a tensor as f32.
    ///
    /// # Errors
    /// A type that is no float, a value that is no number, a file that can no longer be read.
    pub fn read(&self, name: &str) -> Result<Option<Tensor>> {
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

    /// The values of the view, its last index fastest.
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
            // The next index, as a counter goes on.
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
        FileKind::Pickle => archive::read_bare(file_kind::open(file, FileKind::Pickle)?),
        FileKind::Other => {
            // Opening it says why it cannot be read, where it cannot.
            file_kind::open(file, FileKind::Zip)?;
            let problem = "is not a file that torch.save writes; take the model's safetensors";
            return Err(invalid(file, problem.to_owned()));
        }
        _ => archive::read_zip(file_kind::open(file, FileKind::Zip)?),
    };
    archive.map_err(|problem| match problem {
        Problem::Damaged(problem) => {
            damaged(file, format!("not a complete PyTorch file ({problem})"))
        }
        Problem::Unsupported(what, instead) => {
            LmError::Unsupported { file: file.to_path_buf(), what, instead: instead.into() }
        }
    })
}

/// The tensor that a node stands for; none for another object.
///
/// # Errors
/// A tensor that does not lie inside its storage.
fn entry(
    archive: &Archive,
    node: Id,
    file: usize,
    length: u64,
) -> std::result::Result<Option<Entry>, String> {
    let pickle = &archive.pickle;
    let Some(args) = tensor_args(pickle, node) else { return Ok(None) };
    let [storage, offset, shape, strides, ..] = args else { return Ok(None) };
    let Node::Persistent(id) = pickle.node(*storage) else { return Ok(None) };
    let Some(Storage { dtype, key, is_view }) = Storage::of(pickle, *id) else { return Ok(None) };
    if is_view {
        return Err("is a view in a form that is not read".to_owned());
    }
    let (shape, strides) = (pickle.sizes(*shape), pickle.sizes(*strides));
    let offset = pickle.int(*offset).and_then(|offset| u64::try_from(offset).ok());
    let (Some(shape), Some(strides), Some(offset)) = (shape, strides, offset) else {
        return Err("has no shape".to_owned());
    };
    let outside = || "does not lie inside the file".to_owned();
    let (start, bytes) = *archive.storages.get(key).ok_or_else(outside)?;
    let values = shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(size));
    // A view that repeats its values may not stand for more than there is.
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

/// The function that a node calls, if it is none of PyTorch's or of what a state dict may hold.
fn foreign_call(pickle: &Pickle, node: Id) -> Option<&str> {
    let Node::Call { callable, .. } = pickle.node(node) else { return None };
    let Node::Class(class) = pickle.node(*callable) else { return None };
    let is_usual = ["torch", "collections", "numpy"]
        .iter()
        .any(|module| class.strip_prefix(module).is_some_and(|rest| rest.starts_with(['.', ' '])));
    (!is_usual).then_some(class.as_str())
}

/// The arguments of the call that rebuilds a tensor: storage, offset, shape, strides. A parameter
/// and a subclass of tensors wrap such a call.
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

/// The values of a storage of floats.
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
    fn views_are_read_in_the_order_of_their_indices() {
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

    /// A file of the old form whose object is `tensor`, with a storage of four floats.
    fn old_form(tensor: &str) -> Result<Pickled> {
        let number = "\u{80}\u{2}K\0.";
        let keys = "\u{80}\u{2}](X\u{1}\0\0\0\u{30}e.";
        old_form_of(&[number, number, number, tensor, keys])
    }

    /// A file of these pickles, a byte a character, and that storage.
    fn old_form_of(parts: &[&str]) -> Result<Pickled> {
        let dir = tempfile::tempdir().map_err(candle_core::Error::wrap)?;
        let file = dir.path().join("pytorch_model.bin");
        let mut bytes: Vec<u8> =
            parts.concat().chars().map(|character| character as u32 as u8).collect();
        bytes.extend(4_u64.to_le_bytes());
        (0..4).for_each(|value| bytes.extend((value as f32).to_le_bytes()));
        std::fs::write(&file, bytes).map_err(candle_core::Error::wrap)?;
        let pickled = Pickled::open(vec![file])?;
        // Read while the folder is there.
        let read = pickled.read("a")?;
        assert_eq!(read.map(|tensor| tensor.dims().to_vec()), pickled.shape("a"));
        Ok(pickled)
    }

    #[test]
    fn tensors_outside_their_file_and_other_calls_are_refused() {
        let storage =
            "((X\u{7}\0\0\0storagectorch\nFloatStorage\nX\u{1}\0\0\0\u{30}X\u{3}\0\0\0cpuK\u{4}NtQ";
        let tensor = |view: &str| {
            format!(
                "\u{80}\u{2}}}X\u{1}\0\0\0actorch._utils\n_rebuild_tensor_v2\n{storage}{view}tRs."
            )
        };
        // Offset, shape, strides.
        assert!(old_form(&tensor("K\0K\u{2}K\u{2}\u{86}K\u{1}K\u{2}\u{86}")).is_ok());
        assert!(old_form(&tensor("K\u{1}K\u{3}\u{85}K\u{1}\u{85}")).is_ok());
        for outside in [
            "K\u{2}K\u{3}\u{85}K\u{1}\u{85}",
            "K\0K\u{2}K\u{2}\u{86}K\u{ff}K\u{1}\u{86}",
            "K\0J\u{ff}\u{ff}\u{ff}\u{7f}\u{85}K\0\u{85}",
        ] {
            let message = old_form(&tensor(outside)).err().map(|error| error.to_string());
            assert!(message.as_ref().is_some_and(|m| m.contains("inside the file")), "{message:?}");
        }
        let bare = "\u{80}\u{2}}.";
        let message = old_form_of(&[bare]).err().map(|error| error.to_string());
        assert!(message.as_ref().is_some_and(|m| m.contains("did not write")), "{message:?}");
        let call = "\u{80}\u{2}}X\u{1}\0\0\0acposix\nsystem\nX\u{2}\0\0\0ls\u{85}Rs.";
        let message = old_form(call).err().map(|error| error.to_string());
        assert!(message.as_ref().is_some_and(|m| m.contains("'posix system'")), "{message:?}");
    }
}
