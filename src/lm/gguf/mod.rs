//! GGUF files: weights, configuration, tokenizer and chat template in one file or in several parts.
//!
//! candle 0.11 does not read split files; [`header`] lists the other reasons for a separate reader.

mod header;
mod pre_tokenizer;
mod tokenizer;
mod types;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub(super) use self::header::{Entry, Meta};
pub(super) use self::tokenizer::end_tokens;
pub(super) use self::types::{TensorType, dequantise_iq4_nl, dequantise_iq4_xs};
use super::error::{LmError, Result, invalid};
use super::file_kind::{self, FileKind};
use super::precision::{Precision, held_bytes};

/// Maximum number of parts of a split file.
const MAX_PARTS: u64 = 1 << 10;

/// A GGUF file whose header has been read and checked.
pub struct GgufFile {
    /// One file, or all parts of a split file in order.
    parts: Vec<PathBuf>,
    meta: HashMap<String, header::Meta>,
    tensors: HashMap<String, Entry>,
}

impl GgufFile {
    /// Returns whether `path` is a GGUF file, by its extension or its first bytes: some programs
    /// name such files by their checksum. Includes files in llama.cpp's older formats, so that
    /// opening one reports its format.
    pub fn is_gguf(path: &Path) -> bool {
        let is_named =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if is_named {
            return !path.is_dir();
        }
        let kinds = [FileKind::Gguf, FileKind::GgufBigEndian, FileKind::Ggml];
        path.is_file() && kinds.contains(&file_kind::of(path))
    }

    /// Opens a file. Given one part of a split file, named `…-00001-of-00003.gguf`, opens all
    /// parts.
    ///
    /// # Errors
    /// Returns an error that names the file if it or another part is missing, cut short, not GGUF,
    /// or in an unsupported quantisation.
    pub fn open(file: &Path) -> Result<Self> {
        let header::Header { meta, tensors } = header::read(file, 0)?;
        let mut gguf = Self { parts: vec![file.to_owned()], meta, tensors };
        let count = gguf.integer("split.count").unwrap_or(1);
        if count <= 1 {
            return Ok(gguf);
        }
        // `file` may be a symbolic link to a part that lies beside the other parts.
        let target = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let existing_parts = |file: &Path| {
            let parts = part_names(file, count)?;
            parts.iter().all(|part| part.exists()).then_some(parts)
        };
        let parts = existing_parts(file)
            .or_else(|| existing_parts(&target))
            .or_else(|| part_names(file, count));
        let parts = parts.ok_or_else(|| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let problem = format!(
                "is one of {count} parts of a split GGUF file, but the name '{name}' does not have \
                 the form that locates the other parts; rename the parts to \
                 NAME-00001-of-{count:05}.gguf and so on"
            );
            invalid(file, problem)
        })?;
        let missing = parts.iter().enumerate().find(|(_, part)| !part.exists());
        if let Some((index, part)) = missing {
            let problem = format!(
                "is part {} of {count} of a split GGUF file and is missing; all parts are needed",
                index + 1
            );
            return Err(invalid(part, problem));
        }
        // Only the first part holds the configuration.
        if parts.first().is_some_and(|first| first != file) {
            let header = header::read(&parts[0], 0)?;
            gguf = Self { parts: Vec::new(), meta: header.meta, tensors: header.tensors };
        }
        gguf.parts = parts;
        gguf.add_parts()?;
        Ok(gguf)
    }

    /// Adds the tensors of all parts except the first.
    fn add_parts(&mut self) -> Result<()> {
        for (index, part) in self.parts.iter().enumerate().skip(1) {
            for (name, entry) in header::read(part, index)?.tensors {
                if self.tensors.insert(name.clone(), entry).is_some() {
                    let problem = format!(
                        "tensor '{name}' is also in another part; take all parts from the same \
                         model"
                    );
                    return Err(invalid(part, problem));
                }
            }
        }
        let expected = self.integer("split.tensors.count");
        let found = self.tensors.len() as u64;
        match expected.filter(|expected| *expected != found) {
            None => Ok(()),
            Some(expected) => {
                let problem = format!(
                    "its parts hold {found} tensors, but {expected} are expected; take all parts \
                     from the same model"
                );
                Err(invalid(self.file(), problem))
            }
        }
    }

    /// Returns the path of the file, or of the first part of a split file.
    pub fn file(&self) -> &Path {
        self.parts.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Returns the path of the file, or of all parts of a split file in order.
    pub fn parts(&self) -> &[PathBuf] {
        &self.parts
    }

    /// Returns the source of the chat template, if present.
    pub fn chat_template(&self) -> Option<&str> {
        self.text("tokenizer.chat_template")
    }

    /// Returns the number of weights.
    pub fn parameters(&self) -> u64 {
        let count = |entry: &Entry| entry.shape.iter().map(|side| *side as u64).product::<u64>();
        self.tensors.values().map(count).sum()
    }

    /// Returns the bytes that all tensors take when held in `precision`.
    pub fn held_bytes(&self, precision: Precision) -> u64 {
        let of = |entry: &Entry| held_bytes(&entry.shape, precision);
        self.tensors.values().map(of).fold(0, u64::saturating_add)
    }

    /// Returns the text of the token under `key`, such as `bos_token_id`, or an empty string if the
    /// file does not name one.
    pub(super) fn token(&self, key: &str) -> String {
        let id = self.integer(&format!("tokenizer.ggml.{key}"));
        let id = id.and_then(|id| usize::try_from(id).ok());
        let tokens = self.texts("tokenizer.ggml.tokens").unwrap_or(&[]);
        id.and_then(|id| tokens.get(id)).cloned().unwrap_or_default()
    }

    /// Returns the architecture as the file names it, or an empty string.
    pub(super) fn architecture(&self) -> &str {
        self.text("general.architecture").unwrap_or("")
    }

    /// Returns the numbers of query heads and key heads; 0 if the file has no entry.
    pub(super) fn heads(&self) -> (usize, usize) {
        let of_model = |key: &str| {
            let value = self.get(&format!("{}.{key}", self.architecture()));
            value.and_then(Meta::same_for_all).and_then(|n| Meta::Number(n).integer())
        };
        let queries = of_model("attention.head_count").unwrap_or(0);
        let keys = of_model("attention.head_count_kv").unwrap_or(queries);
        (queries as usize, keys as usize)
    }

    /// Returns the tensors by their GGUF names.
    pub(super) fn tensors(&self) -> &HashMap<String, Entry> {
        &self.tensors
    }

    pub(in crate::lm) fn get(&self, key: &str) -> Option<&Meta> {
        self.meta.get(key)
    }

    pub(in crate::lm) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Meta::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(in crate::lm) fn integer(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(Meta::integer)
    }

    pub(in crate::lm) fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key) {
            Some(Meta::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    pub(in crate::lm) fn texts(&self, key: &str) -> Option<&[String]> {
        match self.get(key) {
            Some(Meta::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    pub(in crate::lm) fn numbers(&self, key: &str) -> Option<&[f64]> {
        match self.get(key) {
            Some(Meta::Numbers(numbers)) => Some(numbers),
            _ => None,
        }
    }

    pub(in crate::lm) fn missing(&self, key: &str) -> LmError {
        let problem = format!("the entry '{key}' is missing; take another GGUF file of this model");
        invalid(self.file(), problem)
    }

    pub(in crate::lm) fn unsupported(&self, feature: String, instead: &str) -> LmError {
        LmError::Unsupported { file: self.file().to_path_buf(), feature, instead: instead.into() }
    }
}

/// Returns the paths of all `count` parts of a split file, given one of them. Returns `None` if the
/// name does not have the form that `llama-gguf-split` writes.
fn part_names(file: &Path, count: u64) -> Option<Vec<PathBuf>> {
    let name = file.file_name()?.to_str()?;
    let (stem, extension) = name.rsplit_once('.')?;
    let (rest, total) = stem.rsplit_once("-of-")?;
    let (stem, number) = rest.rsplit_once('-')?;
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    let is_complete = is_number(number) && is_number(total) && total.parse() == Ok(count);
    let numbers = (is_complete && count <= MAX_PARTS).then_some(1..=count)?;
    let part = |number| file.with_file_name(format!("{stem}-{number:05}-of-{total}.{extension}"));
    Some(numbers.map(part).collect())
}

/// Returns the paths of all parts if `file` is one part of a split file, otherwise `file` alone.
/// Checks the name only.
pub(crate) fn split_parts(file: &Path) -> Vec<PathBuf> {
    let total = file.file_stem().and_then(|stem| stem.to_str()?.rsplit_once("-of-"));
    let count = total.and_then(|(_, total)| total.parse().ok()).filter(|count| *count > 0);
    let parts = count.and_then(|count| part_names(file, count));
    parts.unwrap_or_else(|| vec![file.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_all_parts_of_a_split_file_from_one_name() {
        let names = |name: &str, count| {
            part_names(Path::new(name), count).map(|parts| {
                parts.iter().map(|part| part.display().to_string()).collect::<Vec<_>>()
            })
        };
        let both = ["d/m-00001-of-00002.gguf", "d/m-00002-of-00002.gguf"];
        for name in both {
            assert_eq!(names(name, 2).as_deref(), Some(&both.map(str::to_owned)[..]));
        }
        assert_eq!(split_parts(Path::new(both[1])), both.map(PathBuf::from));
        assert_eq!(split_parts(Path::new("m-of-0.gguf")), [PathBuf::from("m-of-0.gguf")]);
        for other in ["d/m.gguf", "d/m-1-of-2.gguf", "d/m-00001-of-00003.gguf", "d/sha256-0"] {
            assert_eq!(names(other, 2), None, "{other}");
        }
    }
}
