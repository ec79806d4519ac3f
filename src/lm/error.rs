//! Errors while loading or running a model. Each message names the file, the problem and the
//! remedy.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// Result with an [`LmError`].
pub type Result<T> = std::result::Result<T, LmError>;

/// An error while loading or running a model.
#[derive(Debug, thiserror::Error)]
pub enum LmError {
    /// A file could not be read.
    #[error("{file}: {}", read_problem(.source))]
    Read {
        /// Path of the file.
        file: PathBuf,
        /// Error of the operating system.
        source: Error,
    },
    /// A file has a different kind than its name or location implies.
    #[error("{file} is {found}; {advice}")]
    OtherKind {
        /// Path of the file.
        file: PathBuf,
        /// Kind of the file.
        found: &'static str,
        /// The remedy.
        advice: &'static str,
    },
    /// A file is complete, but its content cannot be used.
    #[error("{file}: {}", shorten(.problem))]
    Invalid {
        /// Path of the file.
        file: PathBuf,
        /// Description of the problem and the remedy.
        problem: String,
    },
    /// A file is cut short or its content was altered.
    #[error("{file}: {}; the file is damaged: download it again", shorten(.problem))]
    Damaged {
        /// Path of the file.
        file: PathBuf,
        /// Description of the problem.
        problem: String,
    },
    /// A field of a JSON file is missing or has an impossible value.
    #[error("{file}: field '{field}' {}", shorten(.problem))]
    Field {
        /// Path of the file.
        file: PathBuf,
        /// Name of the field, with dots between levels.
        field: String,
        /// Description of the problem and the remedy.
        problem: String,
    },
    /// The model needs a feature that this program does not support.
    #[error("{file}: {} is not supported; choose a model {instead}", shorten(.feature))]
    Unsupported {
        /// Path of the file.
        file: PathBuf,
        /// The unsupported feature.
        feature: String,
        /// A supported alternative; completes "choose a model …".
        instead: String,
    },
    /// A chat template cannot be used.
    #[error(
        "{file}: the chat template cannot be used: {problem}; set chat = false and write the \
         prompt format into 'template', or remove the system prompt if one is set"
    )]
    Template {
        /// Path of the file.
        file: PathBuf,
        /// Description of the problem.
        problem: String,
    },
    /// A tensor is missing from the weights.
    #[error(
        "{file}: tensor '{}' is missing; the weights do not belong to this configuration: use both \
         from the same model",
        shorten(.tensor)
    )]
    MissingTensor {
        /// Path of the file or folder.
        file: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// A tensor's shape does not match the configuration.
    #[error(
        "{file}: tensor '{}' has shape {found:?}, but the model's configuration requires \
         {expected:?}; the file belongs to another model: use the file of this model",
        shorten(.tensor)
    )]
    Shape {
        /// Path of the file.
        file: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape that the configuration requires.
        expected: Vec<usize>,
    },
    /// The tokenizer failed on a text.
    #[error("the text cannot be tokenized: {0}; check tokenizer.json")]
    Encode(String),
    /// A token id is outside the model's vocabulary.
    #[error(
        "token {token} is outside the model's vocabulary of {vocab_size}; the tokenizer belongs \
         to another model: use the one in the model's folder"
    )]
    Token {
        /// The token id.
        token: u32,
        /// Number of ids in the vocabulary.
        vocab_size: usize,
    },
    /// A prompt has no tokens.
    #[error("the prompt is empty; give at least one token, such as the end-of-text token")]
    EmptyPrompt,
    /// A text is longer than the model's context.
    #[error(
        "{needed} tokens do not fit in the model's context of {context_tokens}; shorten the \
         prompt or lower the number of new tokens"
    )]
    ContextFull {
        /// Required length of the row, in tokens.
        needed: usize,
        /// Length of the model's context, in tokens.
        context_tokens: usize,
    },
    /// A call's arguments do not fit the model or the cache.
    #[error("{0}")]
    Call(String),
    /// The model has no language-model head.
    #[error(
        "this model has no output head, so it cannot compute logits: lm_head.weight is missing and \
         tie_word_embeddings is off; choose a model with a language-model head"
    )]
    NoHead,
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl LmError {
    /// Returns the error for a missing file.
    pub(super) fn absent(file: PathBuf) -> Self {
        Self::Read { file, source: ErrorKind::NotFound.into() }
    }
}

/// Maximum length of a message part that may quote a file, in characters.
const MAX_QUOTED: usize = 400;

/// Shortens a text that may quote a file and escapes its control characters.
fn shorten(text: &str) -> String {
    let escape = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    let mut short: String = text.chars().take(MAX_QUOTED).map(escape).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        short.push('…');
    }
    short
}

/// Returns why a file cannot be read and what to do.
fn read_problem(source: &Error) -> String {
    match source.kind() {
        ErrorKind::NotFound => "no such file; check that the model's folder is complete".to_owned(),
        ErrorKind::PermissionDenied => {
            format!("{source}; give this account permission to read it")
        }
        _ => source.to_string(),
    }
}

/// Returns the error for a file that is cut short or altered.
pub(super) fn damaged(file: &Path, problem: String) -> LmError {
    LmError::Damaged { file: file.to_path_buf(), problem }
}

/// Returns the error for a complete file whose content cannot be used.
pub(super) fn invalid(file: &Path, problem: String) -> LmError {
    LmError::Invalid { file: file.to_path_buf(), problem }
}

/// Returns the error for a tensor that two files of a model define.
pub(super) fn occurs_twice(file: &Path, tensor: &str) -> LmError {
    let problem = format!(
        "its tensor '{tensor}' is also in another file of this model; use the files from the \
         model's repository"
    );
    invalid(file, problem)
}

/// Returns the error for a tensor whose type is not a supported float type.
pub(super) fn unsupported_dtype(file: &Path, name: &str, dtype: &dyn std::fmt::Debug) -> LmError {
    LmError::Unsupported {
        file: file.to_path_buf(),
        feature: format!("tensor '{name}' of type {dtype:?}"),
        instead: "whose weights are f32, f16 or bf16".into(),
    }
}

/// Returns the error for a tensor that contains NaN or an infinity.
pub(super) fn not_finite(file: &Path, name: &str) -> LmError {
    let problem = format!(
        "tensor '{name}' contains a value that is not a finite number; if the file's checksum \
         matches the one in its repository, the model was published with that value"
    );
    invalid(file, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotations_are_shortened_and_escaped() {
        assert_eq!(shorten("entry 'a\nb\u{1b}[31m'"), "entry 'a\\nb\\u{1b}[31m'");
        assert_eq!(shorten("日本"), "日本");
        let long = shorten(&"x".repeat(500));
        assert_eq!((long.len(), long.ends_with("x…")), (MAX_QUOTED + '…'.len_utf8(), true));
    }
}
