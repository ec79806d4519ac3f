//! What can go wrong with a model: each message names the file, the problem and the remedy.

use std::io::{Error, ErrorKind};
use std::path::PathBuf;

/// [`LmError`] or a value.
pub type Result<T> = std::result::Result<T, LmError>;

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum LmError {
    /// A file could not be read.
    #[error("{file}: {}", unread(.source))]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: Error,
    },
    /// A file is of another kind than its name or its place says.
    #[error("{file} is {found}; {advice}")]
    OtherKind {
        /// The file.
        file: PathBuf,
        /// What it is.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A file is whole, but what it says cannot be used.
    #[error("{file}: {}", brief(.problem))]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// A file is cut short, or its content was altered.
    #[error("{file}: {}; the file is damaged: download it again", brief(.problem))]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A field of a JSON file is missing or has a value that cannot be.
    #[error("{file}: field '{field}' {}", brief(.problem))]
    Field {
        /// The file.
        file: PathBuf,
        /// The field, with dots between levels.
        field: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// The model needs something this program does not have.
    #[error("{file}: {} is not supported; choose a model {instead}", brief(.what))]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// What was asked for.
        what: String,
        /// What would work.
        instead: String,
    },
    /// A chat template that cannot be used.
    #[error(
        "{file}: the chat template does not work here: {problem}; set chat = false and write the \
         form into 'template', or leave the system prompt out if there is one"
    )]
    Template {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A tensor is not in the file.
    #[error(
        "{file}: tensor '{}' is missing; the weights do not belong to this configuration: take both \
         from the same model",
        brief(.tensor)
    )]
    MissingTensor {
        /// The file or folder.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error(
        "{file}: tensor '{}' has shape {found:?}, the model's configuration asks for \
         {expected:?}; the file belongs to another model: choose the one made for this",
        brief(.tensor)
    )]
    Shape {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape expected.
        expected: Vec<usize>,
    },
    /// The tokenizer refused a text.
    #[error("the text cannot be tokenized: {0}; check tokenizer.json")]
    Encode(String),
    /// A token id the model does not have.
    #[error(
        "token {token} is outside the model's vocabulary of {vocab_size}; the tokenizer belongs \
         to another model — use the one in the model's folder"
    )]
    Token {
        /// The id.
        token: u32,
        /// How many ids there are.
        vocab_size: usize,
    },
    /// No token at all where one is needed.
    #[error("the prompt is empty; give at least one token, such as the end-of-text token")]
    EmptyPrompt,
    /// The text is longer than the model can read.
    #[error(
        "{needed} tokens do not fit in the model's context of {context_tokens}; shorten the \
         prompt or lower the number of new tokens"
    )]
    ContextFull {
        /// Tokens wanted in one row.
        needed: usize,
        /// Tokens the model can read.
        context_tokens: usize,
    },
    /// A call that does not fit the cache or the model it was made with.
    #[error("{0}")]
    Call(String),
    /// The model has no language-model head.
    #[error(
        "this model has no output head and cannot give logits: there is no lm_head.weight, and \
             tie_word_embeddings does not lend it the embedding"
    )]
    NoHead,
    /// A tensor operation failed.
    #[error("a tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl LmError {
    /// The error of a file that is not there.
    pub(super) fn absent(file: PathBuf) -> Self {
        Self::Read { file, source: ErrorKind::NotFound.into() }
    }
}

/// Longest part of a message that may quote a file, in characters.
const MAX_QUOTED: usize = 400;

/// A text that may quote a file, cut where it is long, its control characters escaped.
fn brief(text: &str) -> String {
    let escape = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    let mut brief: String = text.chars().take(MAX_QUOTED).map(escape).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        brief.push('…');
    }
    brief
}

/// Why a file cannot be read, and what to do.
fn unread(source: &Error) -> String {
    match source.kind() {
        ErrorKind::NotFound => {
            "there is no such file; check that the model's folder is complete".to_owned()
        }
        ErrorKind::PermissionDenied => {
            format!("{source}; give this account permission to read it")
        }
        _ => source.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_is_quoted_briefly() {
        assert_eq!(brief("entry 'a\nb\u{1b}[31m'"), "entry 'a\\nb\\u{1b}[31m'");
        assert_eq!(brief("日本"), "日本");
        let long = brief(&"x".repeat(500));
        assert_eq!((long.len(), long.ends_with("x…")), (MAX_QUOTED + '…'.len_utf8(), true));
    }
}
