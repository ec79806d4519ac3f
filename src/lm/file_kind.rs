//! Detects the kind of a file from its first bytes, so that an error names the actual kind before a
//! format's parser misreads the file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::error::{LmError, Result};
use crate::bounded_read::{open_file, read_all};

/// Number of leading bytes that identify every kind.
const PREFIX: usize = 512;
/// Maximum length of a safetensors header in bytes; the limit of the safetensors library.
pub(super) const MAX_SAFETENSORS_HEADER: u64 = 100_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Gguf,
    GgufBigEndian,
    /// llama.cpp's formats before GGUF (August 2023).
    Ggml,
    Safetensors,
    /// A zip archive; the format of `torch.save` since PyTorch 1.6.
    Zip,
    /// A bare pickle; the format of `torch.save` before PyTorch 1.6.
    Pickle,
    /// The format of TensorFlow and Keras.
    Hdf5,
    SentencePiece,
    /// A small text file that Git LFS stores in place of a large file.
    LfsPointer,
    Html,
    Xml,
    Gzip,
    Tar,
    Empty,
    /// Only zero bytes: a download reserved the space and did not fill it.
    Zeros,
    /// Any other file, including JSON.
    Other,
}

use FileKind as K;

/// Opens the regular file `path` and checks that it has the kind `expected` or an unknown kind.
///
/// # Errors
/// [`LmError::Read`] if the file cannot be read; [`LmError::OtherKind`] if it has another known
/// kind; [`LmError::Damaged`] if it is empty or contains only zeros.
pub(super) fn open(path: &Path, expected: FileKind) -> Result<File> {
    let failed = |source| LmError::Read { file: path.to_path_buf(), source };
    let mut file = open_file(path).map_err(failed)?;
    let kind = read_kind(&mut file).map_err(failed)?;
    check(path, kind, expected)?;
    Ok(file)
}

/// Returns the kind of the regular file `path`, or [`FileKind::Other`] if it cannot be read.
pub(super) fn of(path: &Path) -> FileKind {
    open_file(path).and_then(|mut file| read_kind(&mut file)).unwrap_or(K::Other)
}

/// Returns why the file `path` is not a model and what to do. Returns `None` if its kind is unknown
/// or if model folders contain files of its kind.
pub(crate) fn not_a_model_reason(path: &Path) -> Option<String> {
    let kind = of(path);
    let (found, advice) = kind.other_kind()?;
    let belongs_in_model_folder =
        matches!(kind, K::Safetensors | K::Zip | K::Pickle | K::SentencePiece);
    (!belongs_in_model_folder).then(|| format!("is {found}; {advice}"))
}

/// Reads the text file `path` of at most `max_bytes` bytes.
///
/// # Errors
/// Same as [`open`]; also [`LmError::Read`] if the file is longer or is not UTF-8.
pub(crate) fn read_text(path: &Path, max_bytes: u64) -> Result<String> {
    let file = open(path, K::Other)?;
    read_all(file, max_bytes).map_err(|source| LmError::Read { file: path.to_path_buf(), source })
}

fn check(path: &Path, kind: FileKind, expected: FileKind) -> Result<()> {
    let file = || path.to_path_buf();
    match kind.other_kind() {
        _ if kind == expected || kind == K::Other => Ok(()),
        Some((found, advice)) => Err(LmError::OtherKind { file: file(), found, advice }),
        None if kind == K::Zeros => {
            Err(LmError::Damaged { file: file(), problem: "it contains only zeros".into() })
        }
        None => Err(LmError::Damaged { file: file(), problem: "it is empty".into() }),
    }
}

fn read_kind(file: &mut File) -> std::io::Result<FileKind> {
    let mut prefix = Vec::with_capacity(PREFIX);
    file.by_ref().take(PREFIX as u64).read_to_end(&mut prefix)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(kind_of_prefix(&prefix))
}

/// Returns the kind of a file that starts with `bytes`.
fn kind_of_prefix(bytes: &[u8]) -> FileKind {
    // Some editors write a byte order mark at the start of a text file.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let starts_with = |with: &[u8]| bytes.starts_with(with);
    if bytes.is_empty() {
        return K::Empty;
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return K::Zeros;
    }
    // Checked first: a safetensors file starts with its header length, which may look like the
    // magic bytes of another kind.
    let length = bytes.get(..8).and_then(|b| <[u8; 8]>::try_from(b).ok()).map(u64::from_le_bytes);
    let is_plausible = length.is_some_and(|length| length <= MAX_SAFETENSORS_HEADER);
    if is_plausible && bytes.get(8) == Some(&b'{') {
        return K::Safetensors;
    }
    if starts_with(b"GGUF") {
        // Versions are small numbers. If only the high bytes are set, the byte order is swapped.
        let version = bytes.get(4..8).map(|v| u32::from_le_bytes([v[0], v[1], v[2], v[3]]));
        let is_swapped = version.is_some_and(|v| v != 0 && v.trailing_zeros() >= 16);
        return if is_swapped { K::GgufBigEndian } else { K::Gguf };
    }
    // A SentencePiece model starts with its first piece, such as <unk> or <pad>: two nested
    // protobuf messages, each preceded by its length.
    if let [0x0A, outer, 0x0A, inner, piece @ ..] = bytes
        && outer.checked_sub(*inner).is_some_and(|rest| rest >= 2)
        && piece.first() == Some(&b'<')
        && piece.get(usize::from(*inner).wrapping_sub(1)) == Some(&b'>')
    {
        return K::SentencePiece;
    }
    let magics: [(&[u8], FileKind); 14] = [
        // "ggml", "ggmf", "ggjt" and "ggla" as little-endian integers.
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
    if let Some((_, kind)) = magics.into_iter().find(|(magic, _)| starts_with(magic)) {
        return kind;
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return K::Tar;
    }
    let text = String::from_utf8_lossy(bytes).trim_start().to_ascii_lowercase();
    let is_html = text.starts_with("<!doctype html") || text.starts_with("<html");
    if is_html { K::Html } else { K::Other }
}

impl FileKind {
    /// Returns the name of this kind and what to do if another kind is expected. Returns `None` for
    /// empty files, files of zeros and unknown kinds.
    fn other_kind(self) -> Option<(&'static str, &'static str)> {
        const SAFETENSORS: &str = "use the model's safetensors or a GGUF file";
        Some(match self {
            K::Gguf => ("a GGUF file", "name it in pack.toml as the model's path, file or folder"),
            K::GgufBigEndian => (
                "a GGUF file for big-endian machines",
                "use the little-endian file, or convert it with llama.cpp's \
                 gguf_convert_endian.py",
            ),
            K::Ggml => (
                "a GGML file, the older format of llama.cpp before GGUF",
                "use a GGUF file of the same model",
            ),
            K::Safetensors => ("a safetensors file", "rename it to model.safetensors"),
            K::Zip => (
                "a zip archive, the format of PyTorch files",
                "rename PyTorch weights to pytorch_model.bin; unpack any other archive",
            ),
            K::Pickle => {
                ("a Python pickle, PyTorch's format before 1.6", "rename it to pytorch_model.bin")
            }
            K::Hdf5 => ("an HDF5 file, a format of TensorFlow", SAFETENSORS),
            K::SentencePiece => (
                "a SentencePiece model",
                "convert it to tokenizer.json with \
                 AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) in transformers",
            ),
            K::LfsPointer => (
                "a Git LFS pointer, a text file in place of the real file",
                "run `git lfs pull` in its folder, or download the model with `hf download`",
            ),
            K::Html => (
                "an HTML page, not a model file",
                "open its URL in a browser to read the page, then download the model file",
            ),
            K::Xml => (
                "an XML message from a server, not a model file",
                "read the message in it, then download the model file",
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
    fn detects_the_kind_of_a_file_by_its_first_bytes() {
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
            assert_eq!(kind_of_prefix(&bytes[..bytes.len().min(PREFIX)]), kind, "{bytes:?}");
        }
    }
}
