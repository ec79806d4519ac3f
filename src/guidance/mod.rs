//! Integrated Value Guidance and nothing else: token values, chunk values, search, sampling,
//! and the trace of what happened. Knows no file, thread or pixel.
//!
//! Source: Liu, Zhou, Wang, Yang, Qiao, *Inference-Time Language Model Alignment via Integrated
//! Value Guidance*, EMNLP 2024 (arXiv 2409.17819).

mod models;
mod numeric;
mod row;
pub mod sampling;
mod search;
mod selection;
pub mod settings;
mod token_value;
pub mod trace;
mod values;

pub use models::{Models, Pair, Prefilled, Prompts, ValueGuide, ValuePrompt};
pub use search::{Search, Step};
pub use selection::{Scored, Selection, select};
pub use token_value::{Drawn, RowLogits, draw};

use thiserror::Error;

use self::settings::Lack;

/// Why a guided run cannot begin or go on.
#[derive(Debug, Error)]
pub enum GuidanceError {
    /// A setting out of range.
    #[error(transparent)]
    Setting(#[from] settings::SettingError),
    /// Nothing to continue.
    #[error("the prompt is empty; type the beginning of a text")]
    EmptyPrompt,
    /// No room for a response.
    #[error(
        "the prompt has {prompt_tokens} tokens and the {role} model reads {context_tokens} at \
         most; shorten the prompt"
    )]
    PromptTooLong {
        /// The role whose context is full.
        role: &'static str,
        /// Length of its prompt.
        prompt_tokens: usize,
        /// Its context.
        context_tokens: usize,
    },
    /// β or implicit values without a pair.
    #[error(
        "this pack has no tuned/untuned pair, which token guidance β and implicit values stand \
         on; choose another arm or another pack, or, where there is a value model, β 0 and \
         explicit values"
    )]
    NoPair,
    /// A search by explicit value without a value model.
    #[error(
        "this pack has no value model, which explicit values stand on; choose another arm or \
         another pack, or implicit values where there is a pair"
    )]
    NoValueModel,
    /// A prompt of one token, whose only token the value model would have to read anew.
    #[error("the prompt is too short for this value model; add a word to it")]
    ValueRetokenized,
    /// Logits that nothing can be drawn by.
    #[error(
        "a model's logits are no numbers; its weights or its adapter are damaged — download them \
         again, or choose another pack"
    )]
    NotANumber,
    /// A model failed.
    #[error(transparent)]
    Lm(#[from] crate::lm::LmError),
    /// The tensor library failed.
    #[error("computing failed ({0}); try again with fewer rows W·K or on the CPU")]
    Tensor(#[from] candle_core::Error),
}

impl From<Lack> for GuidanceError {
    fn from(lack: Lack) -> Self {
        match lack {
            Lack::TokenGuide | Lack::ImplicitValues => Self::NoPair,
            Lack::ExplicitValues => Self::NoValueModel,
        }
    }
}
