//! Errors of guided decoding.

use thiserror::Error;

use super::settings::{self, MissingGuide};

/// An error that prevents or ends a guided run.
#[derive(Debug, Error)]
pub enum GuidanceError {
    /// A setting is out of range.
    #[error(transparent)]
    Setting(#[from] settings::SettingError),
    /// The prompt has no tokens.
    #[error("the prompt is empty; type the beginning of a text")]
    EmptyPrompt,
    /// The prompt leaves no room for a response.
    #[error(
        "the prompt has {prompt_tokens} tokens and the context of the {role} model holds \
         {context_tokens}; shorten the prompt"
    )]
    PromptTooLong {
        /// Role of the model whose context is full.
        role: &'static str,
        /// Length of the prompt for that role.
        prompt_tokens: usize,
        /// Context length of that model.
        context_tokens: usize,
    },
    /// The text to read has no tokens.
    #[error("the text is empty; name a file with the text to score")]
    EmptyText,
    /// The text to read does not fit in a context.
    #[error(
        "the text has {tokens} tokens and there is room for {room} after the prompt; shorten it"
    )]
    TextTooLong {
        /// Length of the text.
        tokens: usize,
        /// Maximum length of a text after this prompt.
        room: usize,
    },
    /// The settings use β or implicit values, but the pack has no pair.
    #[error(
        "this pack has no tuned/untuned pair, which token guidance β and implicit values need; \
         choose another arm or another pack, or set β to 0 and use explicit values if the pack \
         has a value model"
    )]
    NoPair,
    /// The settings use explicit values, but the pack has no value model.
    #[error(
        "this pack has no value model, which explicit values need; choose another arm or another \
         pack, or use implicit values if the pack has a tuned/untuned pair"
    )]
    NoValueModel,
    /// The arm reads instructions, but the settings have none.
    #[error("no instruction is given; write one to steer towards, or choose another arm")]
    NoInstruction,
    /// The prompt was read with other instructions than those of the settings.
    #[error(
        "the prompt was read with other instructions; read it again with those of the settings"
    )]
    OtherInstructions,
    /// The value model would have to re-read a prompt token that all rows share.
    #[error("the prompt is too short for this value model; add a word to it")]
    ValueRetokenized,
    /// A logit is not finite.
    #[error(
        "a model returned logits that are not finite numbers; its weights or its adapter may be \
         damaged; download them again, or choose another pack"
    )]
    NotANumber,
    /// A model failed.
    #[error(transparent)]
    Lm(#[from] crate::lm::LmError),
    /// The tensor library failed.
    #[error("computing failed ({0}); try again with fewer rows W·K or on the CPU")]
    Tensor(#[from] candle_core::Error),
}

impl From<MissingGuide> for GuidanceError {
    fn from(missing: MissingGuide) -> Self {
        match missing {
            MissingGuide::TokenGuide | MissingGuide::ImplicitValues => Self::NoPair,
            MissingGuide::ExplicitValues | MissingGuide::TokenValues => Self::NoValueModel,
            MissingGuide::Instruction => Self::NoInstruction,
        }
    }
}
