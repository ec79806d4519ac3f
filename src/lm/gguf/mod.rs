//! GGUF files: one file, or the parts of one, with weights, configuration, tokenizer and chat
//! template.
//!
//! The reader is this program's own because candle's reads no split files and, as of 0.11, allocates
//! what a header claims before comparing it with the file's length.

mod config;
mod header;
mod pre_tokenizer;
mod tokenizer;
mod types;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(super) use self::header::{Entry, Meta};
pub(super) use self::types::{TensorType, dequantise_iq4_nl, dequantise_iq4_xs};
use super::config::LmConfig;
use super::error::{LmError, Result};
use super::file_kind::{self, FileKind};
use super::weights::{Precision, held_bytes, invalid};

/// Most parts of a split file.
const MAX_PARTS: u64 = 1 << 10;

/// A GGUF file whose header has been read and checked.
pub struct GgufFile {
    /// The files: one, or all parts of a split file in order.
    parts: Vec<PathBuf>,
    meta: HashMap<String, header::Meta>,
    tensors: HashMap<String, Entry>,
}

impl GgufFile {
    /// Whether `path` is a GGUF file, by its name or by its first bytes: other programs keep such
    /// files under a checksum as their name. Files of llama.cpp's older formats count, so that
    /// opening one says what it is.
    pub fn is_one(path: &Path) -> bool {
        let is_named =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
        if is_named {
            return !path.is_dir();
        }
        let kinds = [FileKind::Gguf, FileKind::GgufBigEndian, FileKind::Ggml];
        path.is_file() && kinds.contains(&file_kind::of(path))
    }

    /// Opens a file. A part of a split file, named `…-00001-of-00003.gguf`, stands for all of them.
    ///
    /// # Errors
    /// A sentence naming the file when it or another part is missing, cut short, not GGUF, or in a
    /// quantisation that is not read.
    pub fn open(file: &Path) -> Result<Self> {
        let header::Header { meta, tensors } = header::read(file, 0)?;
        let mut one = Self { parts: vec![file.to_owned()], meta, tensors };
        let count = one.whole("split.count").unwrap_or(1);
        if count <= 1 {
            return Ok(one);
        }
        // A link stands for the file that it leads to, beside which the others are.
        let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        let beside = |file: &Path| {
            let parts = part_names(file, count)?;
            parts.iter().all(|part| part.exists()).then_some(parts)
        };
        let parts = beside(file).or_else(|| beside(&real)).or_else(|| part_names(file, count));
        let parts = parts.ok_or_else(|| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let problem = format!(
                "is one of {count} parts of a split GGUF file, and '{name}' does not say where the \
                 others are; give the parts the names NAME-00001-of-{count:05}.gguf and so on"
            );
            invalid(file, problem)
        })?;
        let missing = parts.iter().enumerate().find(|(_, part)| !part.exists());
        if let Some((index, part)) = missing {
            let problem = format!(
                "is part {} of {count} of a split GGUF file, and is not there; all parts are needed",
                index + 1
            );
            return Err(invalid(part, problem));
        }
        // Only the first part holds the configuration.
        if parts.first().is_some_and(|first| first != file) {
            let header = header::read(&parts[0], 0)?;
            one = Self { parts: Vec::new(), meta: header.meta, tensors: header.tensors };
        }
        one.parts = parts;
        one.add_parts()?;
        Ok(one)
    }

    /// Adds the tensors of all parts but the first.
    fn add_parts(&mut self) -> Result<()> {
        for (index, part) in self.parts.iter().enumerate().skip(1) {
            for (name, entry) in header::read(part, index)?.tensors {
                if self.tensors.insert(name.clone(), entry).is_some() {
                    let problem = format!("tensor '{name}' is in another part as well");
                    return Err(invalid(part, problem));
                }
            }
        }
        let expected = self.whole("split.tensors.count");
        let found = self.tensors.len() as u64;
        match expected.filter(|expected| *expected != found) {
            None => Ok(()),
            Some(expected) => {
                let problem = format!(
                    "its parts hold {found} tensors, and {expected} are expected; take all parts \
                     from the same model"
                );
                Err(invalid(self.file(), problem))
            }
        }
    }

    /// The file; of a split one, its first part.
    pub fn file(&self) -> &Path {
        self.parts.first().map_or(Path::new(""), PathBuf::as_path)
    }

    /// The file, or all parts of a split one.
    pub fn parts(&self) -> &[PathBuf] {
        &self.parts
    }

    /// Shape and constants.
    ///
    /// # Errors
    /// As [`LmConfig::load`].
    pub fn config(&self) -> Result<LmConfig> {
        config::read(self)
    }

    /// The tokenizer, as a `tokenizer.json` would have it.
    ///
    /// # Errors
    /// A kind that is not supported, a part that is missing.
    pub fn tokenizer_json(&self) -> Result<Value> {
        tokenizer::json(self)
    }

    /// The chat template, if there is one.
    pub fn chat_template(&self) -> Option<&str> {
        self.text("tokenizer.chat_template")
    }

    /// Number of weights.
    pub fn parameters(&self) -> u64 {
        let count = |entry: &Entry| entry.shape.iter().map(|side| *side as u64).product::<u64>();
        self.tensors.values().map(count).sum()
    }

    /// Bytes that all tensors take once they are held as `precision` says.
    pub fn held_bytes(&self, precision: Precision) -> u64 {
        let of = |entry: &Entry| held_bytes(&entry.shape, precision);
        self.tensors.values().map(of).fold(0, u64::saturating_add)
    }

    /// The text of a token that the file names, such as `bos_token_id`; empty where it does not.
    pub(super) fn token(&self, key: &str) -> String {
        let id = self.whole(&format!("tokenizer.ggml.{key}"));
        let id = id.and_then(|id| usize::try_from(id).ok());
        let tokens = self.texts("tokenizer.ggml.tokens").unwrap_or(&[]);
        id.and_then(|id| tokens.get(id)).cloned().unwrap_or_default()
    }

    /// The architecture by the file's own name; empty where it gives none.
    pub(super) fn architecture(&self) -> &str {
        self.text("general.architecture").unwrap_or("")
    }

    /// Query heads and key heads; 0 where the file gives none.
    pub(super) fn heads(&self) -> (usize, usize) {
        let of_model = |key: &str| {
            let value = self.get(&format!("{}.{key}", self.architecture()));
            value.and_then(Meta::same_for_all).and_then(|n| Meta::Number(n).whole())
        };
        let queries = of_model("attention.head_count").unwrap_or(0);
        let keys = of_model("attention.head_count_kv").unwrap_or(queries);
        (queries as usize, keys as usize)
    }

    /// The tensors by the names of the file.
    pub(super) fn tensors(&self) -> &HashMap<String, Entry> {
        &self.tensors
    }

    fn get(&self, key: &str) -> Option<&Meta> {
        self.meta.get(key)
    }

    fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Meta::Text(text)) => Some(text),
            _ => None,
        }
    }

    fn whole(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(Meta::whole)
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key) {
            Some(Meta::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    fn texts(&self, key: &str) -> Option<&[String]> {
        match self.get(key) {
            Some(Meta::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    fn numbers(&self, key: &str) -> Option<&[f64]> {
        match self.get(key) {
            Some(Meta::Numbers(numbers)) => Some(numbers),
            _ => None,
        }
    }

    fn missing(&self, key: &str) -> LmError {
        let problem = format!("the entry '{key}' is missing; take another GGUF file of this model");
        invalid(self.file(), problem)
    }

    fn unsupported(&self, what: String, instead: &str) -> LmError {
        LmError::Unsupported { file: self.file().to_path_buf(), what, instead: instead.into() }
    }
}

/// The names of all `count` parts of the split file of which `file` is one, as `llama-gguf-split`
/// writes them; none where its name has another form.
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

/// The files of the model of which `file` is one: all parts of a split file, or itself alone. Looks
/// at its name only.
pub fn split_parts(file: &Path) -> Vec<PathBuf> {
    let total = file.file_stem().and_then(|stem| stem.to_str()?.rsplit_once("-of-"));
    let count = total.and_then(|(_, total)| total.parse().ok()).filter(|count| *count > 0);
    let parts = count.and_then(|count| part_names(file, count));
    parts.unwrap_or_else(|| vec![file.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_split_file_follow_from_one_name() {
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
