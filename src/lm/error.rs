//! What can go wrong with a model, each case a sentence that says what to do.

use std::path::PathBuf;

/// [`LmError`] or a value.
pub type Result<T> = std::result::Result<T, LmError>;

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum LmError {
    /// A file could not be read.
    #[error("{file}: {source}; check that the model's folder is complete, or download it again")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{file}: {problem}; the file is damaged or of another kind — download it again")]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A field of a JSON file is missing or has a value that cannot be.
    #[error("{file}: field '{field}' {problem}")]
    Field {
        /// The file.
        file: PathBuf,
        /// The field, with dots between levels.
        field: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// The model needs something this program does not have.
    #[error("{file}: {what} is not supported; choose a model {instead}")]
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
        "{file}: tensor '{tensor}' is missing; the weights do not belong to this configuration — \
         download the model again"
    )]
    MissingTensor {
        /// The file or folder.
        file: PathBuf,
        /// The tensor's name.
        tensor: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error(
        "{file}: tensor '{tensor}' has shape {found:?}, the model's configuration asks for \
         {expected:?}; the file belongs to another model — choose the one made for this, or \
         download it again"
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
