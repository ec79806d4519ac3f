//! Language models: one file an architecture, one cache that forks, weights, tokenizer.
//!
//! * [`Lm`]: a decoder; many rows at once, each at its own position, over an owned [`Cache`].
//! * [`ValueModel`]: the same trunk with a head that predicts the final reward of a prefix.
//! * [`Tokenizer`] and [`TextStream`]: text to ids, and ids back to text byte by byte.
//! * [`ChatTemplate`]: the form in which a model tuned for conversations reads a prompt.
//! * [`GgufFile`]: all of these in one file.
//!
//! Nothing here knows what the models are used for.

mod adapter;
mod arch;
mod cache;
mod chat;
mod config;
mod cpu;
mod decoder;
mod error;
mod fields;
mod file_kind;
mod gguf;
mod jinja;
mod model_files;
mod portable;
mod prompt_text;
mod rope;
mod routing;
mod text;
mod tokenizer;
mod value;
mod weights;

pub use adapter::check_adapter;
pub use arch::Architecture;
pub use cache::Cache;
pub use chat::ChatTemplate;
pub use config::{
    Activation, Biases, Experts, LmConfig, Local, NormKind, Positions, RopeScaling, Rotary,
};
pub(crate) use cpu::exp;
pub use decoder::Lm;
pub use error::{LmError, Result};
pub(crate) use file_kind::{read_text, why_no_model};
pub use gguf::{GgufFile, split_parts};
pub use prompt_text::PromptText;
pub use text::TextStream;
pub use tokenizer::Tokenizer;
pub(crate) use tokenizer::{encode, read as read_tokenizer};
pub use value::ValueModel;
pub(crate) use weights::MAX_JSON_BYTES;
pub use weights::{Precision, Weights};
