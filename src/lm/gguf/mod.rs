//! GGUF files: one file that holds weights, configuration, tokenizer and chat template.

mod config;
mod header;
mod tokenizer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(super) use self::header::{Entry, Meta};
use super::config::LmConfig;
use super::error::{LmError, Result};
use super::weights::{Precision, damaged, held_bytes};

/// A GGUF file whose header has been read and checked.
pub struct GgufFile {
    file: PathBuf,
    meta: HashMap<String, Meta>,
    tensors: HashMap<String, Entry>,
}

impl GgufFile {
    /// Whether `path` is named as GGUF files are.
    pub fn is_named_so(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
    }

    /// Opens a file.
    ///
    /// # Errors
    /// A sentence naming the file when it is missing, cut short, or not GGUF.
    pub fn open(file: &Path) -> Result<Self> {
        let (meta, tensors) = header::read(file)?;
        Ok(Self { file: file.to_owned(), meta, tensors })
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
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
        let of_model = |key: &str| self.whole(&format!("{}.{key}", self.architecture()));
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
        damaged(&self.file, format!("the entry '{key}' is missing"))
    }

    fn unsupported(&self, what: String, instead: &str) -> LmError {
        LmError::Unsupported { file: self.file.clone(), what, instead: instead.into() }
    }
}
