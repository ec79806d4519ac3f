//! Language models: one file an architecture, one cache that forks, weights, tokenizer.
//!
//! * [`Lm`]: a decoder; many rows at once, each at its own position, over an owned [`Cache`].
//! * [`ValueModel`]: the same trunk with a head that predicts the final reward of a prefix.
//! * [`Tokenizer`] and [`TextStream`]: text to ids, and ids back to text byte by byte.
//!
//! Nothing here knows what the models are used for.

mod cache;
mod config;
mod cpu;
mod error;
mod llama;
mod portable;
mod rope;
mod text;
mod tokenizer;
mod value;
mod weights;

pub use cache::Cache;
pub use config::LmConfig;
pub(crate) use cpu::exp;
pub use error::{LmError, Result};
pub use llama::Lm;
pub use text::TextStream;
pub use tokenizer::Tokenizer;
pub use value::ValueModel;
pub use weights::Weights;
