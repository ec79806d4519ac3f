//! Names a file by its first bytes, so that a file of another kind is reported as what it is before
//! a format's own parser misreads it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::error::{LmError, Result};
use crate::text::{open_file, read_all};

/// Bytes that tell all kinds apart.
const PREFIX: usize = 512;
/// Longest safetensors header, in bytes: the library's own limit.
pub(super) const MAX_SAFETENSORS_HEADER: u64 = 100_000_000;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Gguf,
    /// GGUF for big-endian machines.
    GgufBigEndian,
    /// The formats of llama.cpp before GGUF (August 2023).
    Ggml,
    Safetensors,
    /// A zip archive, such as `torch.save` writes since PyTorch 1.6.
    Zip,
    /// A bare pickle, such as `torch.save` wrote before PyTorch 1.6.
    Pickle,
    /// TensorFlow's and Keras's format.
    Hdf5,
    SentencePiece,
    /// The text that git keeps in place of a large file.
    LfsPointer,
    Html,
    Xml,
    Gzip,
    Tar,
    Empty,
    /// Only zeros: space that a download reserved and did not fill.
    Zeros,
    /// Anything else, JSON among it.
    Other,
}

use FileKind as K;

/// Opens the regular file `path`, which must be of kind `expected`, or of none of the known kinds.
///
/// # Errors
/// [`LmError::Read`]; [`LmError::OtherKind`] for a file of another known kind;
/// [`LmError::Damaged`] for an empty one.
pub(super) fn open(path: &Path, expected: FileKind) -> Result<File> {
    let failed = |source| LmError::Read { file: path.to_path_buf(), source };
    let mut file = open_file(path).map_err(failed)?;
    let kind = read_kind(&mut file).map_err(failed)?;
    check(path, kind, expected)?;
    Ok(file)
}

/// The kind of the regular file `path`; [`FileKind::Other`] for one that cannot be read.
pub(super) fn of(path: &Path) -> FileKind {
    open_file(path).and_then(|mut file| read_kind(&mut file)).unwrap_or(K::Other)
}

/// What the file `path` is and what to do about it, where it is named as a model but is of a kind
/// that no model's folder holds either.
pub(crate) fn why_no_model(path: &Path) -> Option<String> {
    let kind = of(path);
    let (found, advice) = kind.other_kind()?;
    let is_part = matches!(kind, K::Safetensors | K::Zip | K::Pickle | K::SentencePiece);
    (!is_part).then(|| format!("is {found}; {advice}"))
}

/// Reads the text file `path` of at most `most` bytes.
///
/// # Errors
/// As [`open`], and [`LmError::Read`] for a file that is longer or no UTF-8.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<String> {
    let file = open(path, K::Other)?;
    read_all(file, most).map_err(|source| LmError::Read { file: path.to_path_buf(), source })
}

fn check(path: &Path, kind: FileKind, expected: FileKind) -> Result<()> {
    let file = || path.to_path_buf();
    match kind.other_kind() {
        _ if kind == expected || kind == K::Other => Ok(()),
        Some((found, advice)) => Err(LmError::OtherKind { file: file(), found, advice }),
        None if kind == K::Zeros => {
            Err(LmError::Damaged { file: file(), problem: "it holds nothing but zeros".into() })
        }
        None => Err(LmError::Damaged { file: file(), problem: "it is empty".into() }),
    }
}

fn read_kind(file: &mut File) -> std::io::Result<FileKind> {
    let mut prefix = Vec::with_capacity(PREFIX);
    file.by_ref().take(PREFIX as u64).read_to_end(&mut prefix)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(of_prefix(&prefix))
}

/// The kind of a file that begins with these bytes.
fn of_prefix(bytes: &[u8]) -> FileKind {
    // Editors may put a mark before a text.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let begins = |with: &[u8]| bytes.starts_with(with);
    if bytes.is_empty() {
        return K::Empty;
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return K::Zeros;
    }
    // Before all others: the length of a header may look like any of their beginnings.
    let length = bytes.get(..8).and_then(|b| <[u8; 8]>::try_from(b).ok()).map(u64::from_le_bytes);
    let is_plausible = length.is_some_and(|length| length <= MAX_SAFETENSORS_HEADER);
    if is_plausible && bytes.get(8) == Some(&b'{') {
        return K::Safetensors;
    }
    if begins(b"GGUF") {
        // A version is a small number: one with a high byte alone was written the other way round.
        let version = bytes.get(4..8).map(|v| u32::from_le_bytes([v[0], v[1], v[2], v[3]]));
        let is_swapped = version.is_some_and(|v| v != 0 && v.trailing_zeros() >= 16);
        return if is_swapped { K::GgufBigEndian } else { K::Gguf };
    }
    // A model of SentencePiece begins with its first piece, such as <unk> or <pad>: a message in a
    // message, each with its length.
    if let [0x0A, outer, 0x0A, inner, piece @ ..] = bytes
        && outer.checked_sub(*inner).is_some_and(|rest| rest >= 2)
        && piece.first() == Some(&b'<')
        && piece.get(usize::from(*inner).wrapping_sub(1)) == Some(&b'>')
    {
        return K::SentencePiece;
    }
    let magics: [(&[u8], FileKind); 14] = [
        // "ggml", "ggmf", "ggjt" and "ggla" as little-endian numbers.
        (b"lmgg", K::Ggml),
        (b"fmgg", K::Ggml),
        (b"tjgg", K::Ggml),
        (b"algg", K::Ggml),
        (b"PK\x03\x04", K::Zip),
        (b"\x80\x02", K::Pickle),
        (b"\x80\x03", K::Pickle),
        (b"\x80\x04", K::Pickle),
        (b"\x80\x05", K::Pickle),
        (b"\x89HDF\r\n", K::Hdf5),
        (b"version https://git-lfs.github.com/spec/", K::LfsPointer),
        (b"\x1f\x8b", K::Gzip),
        (b"<?xml", K::Xml),
        (b"<Error>", K::Xml),
    ];
    if let Some((_, kind)) = magics.into_iter().find(|(magic, _)| begins(magic)) {
        return kind;
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return K::Tar;
    }
    let text = String::from_utf8_lossy(bytes).trim_start().to_ascii_lowercase();
    let is_page = text.starts_with("<!doctype html") || text.starts_with("<html");
    if is_page { K::Html } else { K::Other }
}

impl FileKind {
    /// What a file of this kind is called, and what to do about it where another kind is expected;
    /// none for a file without content.
    fn other_kind(self) -> Option<(&'static str, &'static str)> {
        const SAFETENSORS: &str = "take the model's safetensors or a GGUF file";
        Some(match self {
            K::Gguf => ("a GGUF file", "name it in pack.toml as the model's path, file or folder"),
            K::GgufBigEndian => (
                "a GGUF file for big-endian machines",
                "take the usual little-endian file, or convert it with llama.cpp's \
                 gguf_convert_endian.py",
            ),
            K::Ggml => (
                "a GGML file, the older format of llama.cpp before GGUF",
                "take a GGUF file of the same model",
            ),
            K::Safetensors => ("a safetensors file", "give it the name model.safetensors"),
            K::Zip => (
                "a zip archive, as PyTorch writes its files",
                "PyTorch weights are expected under pytorch_model.bin; unpack any other archive",
            ),
            K::Pickle => (
                "a Python pickle, PyTorch's format before 1.6",
                "PyTorch weights are expected under pytorch_model.bin",
            ),
            K::Hdf5 => ("an HDF5 file, as TensorFlow writes it", SAFETENSORS),
            K::SentencePiece => (
                "a SentencePiece model",
                "make a tokenizer.json of it with \
                 AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) in transformers",
            ),
            K::LfsPointer => (
                "a Git LFS pointer, a text that stands for the real file",
                "run `git lfs pull` in its folder, or download the model with `hf download`",
            ),
            K::Html => (
                "an HTML page, not a model file",
                "open its address in a browser to see what it says, then download the file itself",
            ),
            K::Xml => (
                "an XML message of a server, not a model file",
                "read the message in it, then download the file itself",
            ),
            K::Gzip => ("a gzip archive", "unpack it"),
            K::Tar => ("a tar archive", "unpack it"),
            K::Empty | K::Zeros | K::Other => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_their_first_bytes() {
        let header =
            |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
        let tar = [vec![b'a'; 257], b"ustar\0".to_vec()].concat();
        let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n".to_vec();
        let cases: [(Vec<u8>, FileKind); 23] = [
            (b"GGUF\x03\0\0\0".to_vec(), K::Gguf),
            (b"GGUF\x02\0\0\0".to_vec(), K::Gguf),
            (b"GGUF\0\0\0\x03".to_vec(), K::GgufBigEndian),
            (b"GGUF".to_vec(), K::Gguf),
            (b"tjgg\x03\0\0\0".to_vec(), K::Ggml),
            (header("{\"a\":{}}"), K::Safetensors),
            (header(&format!("{{{}}}", " ".repeat(0x380 - 2))), K::Safetensors),
            (b"PK\x03\x04rest".to_vec(), K::Zip),
            (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), K::Pickle),
            (b"\x89HDF\r\n\x1a\n".to_vec(), K::Hdf5),
            (b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0".to_vec(), K::SentencePiece),
            (b"\x0a\x0e\x0a\x05<pad>\x15\0\0\0\0".to_vec(), K::SentencePiece),
            (b"\n\n\n\n<|system|>".to_vec(), K::Other),
            (lfs, K::LfsPointer),
            (b"\n <!DOCTYPE html>".to_vec(), K::Html),
            (b"<html lang='en'>".to_vec(), K::Html),
            (b"<?xml version='1.0'?><Error>".to_vec(), K::Xml),
            (b"\x1f\x8b\x08".to_vec(), K::Gzip),
            (Vec::new(), K::Empty),
            (vec![0; 600], K::Zeros),
            (tar, K::Tar),
            (b"\xEF\xBB\xBF<html>".to_vec(), K::Html),
            (b"{\"model_type\": \"llama\"}".to_vec(), K::Other),
        ];
        for (bytes, kind) in cases {
            assert_eq!(of_prefix(&bytes[..bytes.len().min(PREFIX)]), kind, "{bytes:?}");
        }
    }
}
