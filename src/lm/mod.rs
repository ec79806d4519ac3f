//! Language models: architectures, weights, key/value cache, tokenizer and chat templates.
//!
//! * [`Lm`]: a decoder. It runs a batch of rows, each at its own position, over a [`Cache`] that
//!   the caller owns.
//! * [`ValueModel`]: a decoder with a head that predicts the final reward of a partial text.
//! * [`Tokenizer`] and [`TextStream`]: encode text as token ids, and decode ids incrementally.
//! * [`WordEncoder`]: encodes a growing text for a model of another vocabulary.
//! * [`ChatTemplate`]: formats a prompt for a model tuned on conversations.
//! * [`GgufFile`]: configuration, weights, tokenizer and chat template in one file.
//!
//! This module does not depend on guidance, packs or the app.

mod adapter;
mod arch;
mod cache;
mod chat;
mod config;
mod cpu;
mod decoder;
mod engine;
mod error;
mod fields;
mod file_kind;
mod gguf;
mod jinja;
mod json_file;
mod model_files;
mod parts;
mod portable;
mod precision;
mod prompt_text;
mod rope;
mod routing;
mod text_stream;
mod tokenizer;
mod value;
mod weights;
mod words;

pub use adapter::check_adapter;
pub use cache::Cache;
pub use chat::ChatTemplate;
pub use config::{Activation, Experts, NormKind};
pub use config::{Architecture, LmConfig, Local, Positions, Rotary};
pub use decoder::Lm;
pub use error::{LmError, Result};
pub(crate) use file_kind::{not_a_model_reason, read_text};
pub use gguf::GgufFile;
pub(crate) use gguf::split_parts;
pub(crate) use json_file::MAX_JSON_BYTES;
pub use precision::Precision;
pub use prompt_text::PromptText;
pub use text_stream::TextStream;
pub use tokenizer::Tokenizer;
pub(crate) use tokenizer::{encode, read as read_tokenizer};
pub use value::ValueModel;
pub use weights::Weights;
pub use words::{Cover, GuideWords, ResponseEncoder, Settled, WordEncoder};
