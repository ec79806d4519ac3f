//! Feeds the value model with the rows of the search. It reads only the new tokens of each row, in
//! its own vocabulary.

use std::sync::Arc;

use candle_core::{IndexOp, Tensor};

use super::error::GuidanceError;
use crate::lm::{Cache, PromptText, ResponseEncoder, Settled, ValueModel, WordEncoder};

/// The explicit value function.
pub struct ValueGuide {
    /// The value model: trunk and head.
    pub model: ValueModel,
    /// The vocabulary of the value model, if it differs from the base's. The response is then
    /// passed to it as text.
    pub words: Option<Arc<WordEncoder>>,
}

/// The prompt as the value model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValuePrompt {
    /// Tokens of the shared vocabulary.
    Tokens(Vec<u32>),
    /// Text, for a value model with another vocabulary.
    Text(PromptText),
}

/// The tokens that the value model has read, row by row.
pub(super) struct ValueRows {
    cache: Cache,
    /// Encodes the responses if the value model reads text.
    encoder: Option<Arc<ResponseEncoder>>,
    /// Tokens of each row in `cache`.
    read: Vec<Vec<u32>>,
}

impl ValueRows {
    /// Reads the prompt. Returns a single row and the value of the prompt alone.
    pub(super) fn prefill(
        guide: &ValueGuide,
        prompt: &ValuePrompt,
    ) -> Result<(Self, f32), GuidanceError> {
        let encoder = encoder(guide, prompt)?;
        let tokens = match (&encoder, prompt) {
            (Some(encoder), _) => encoder.prompt_ids().to_vec(),
            (None, ValuePrompt::Tokens(tokens)) => tokens.clone(),
            (None, ValuePrompt::Text(_)) => Vec::new(),
        };
        // The shared prompt cannot be truncated. Prompt tokens that the head or another vocabulary
        // may need to read again are therefore part of the row.
        let needed = guide.model.tokens_needed();
        let fixed = encoder.as_ref().map_or(tokens.len(), |encoder| encoder.fixed().len());
        let shared = fixed.min(tokens.len() + 1 - needed.min(tokens.len()));
        let (Some(shared), Some(rest)) = (tokens.get(..shared), tokens.get(shared..)) else {
            return Err(GuidanceError::EmptyPrompt);
        };
        let trunk = guide.model.trunk();
        let (mut cache, mut hidden) = trunk.prefill(shared)?;
        if !rest.is_empty() {
            let more = trunk.forward(&mut cache, &[rest])?.squeeze(0)?;
            hidden = Tensor::cat(&[hidden, more], 0)?;
        }
        // A head that needs two tokens has no value for a prompt of one.
        let has_value = tokens.len() >= needed;
        let value = if has_value { guide.model.value(&hidden, &tokens)? } else { 0.0 };
        Ok((Self { cache, encoder: encoder.map(Arc::new), read: vec![tokens] }, value))
    }

    /// Returns the given rows in the given order. Rows may repeat; cached states stay shared.
    pub(super) fn fork(&self, rows: &[usize]) -> Result<Self, GuidanceError> {
        let cache = self.cache.fork(rows)?;
        let read = rows.iter().filter_map(|&row| self.read.get(row)).cloned().collect();
        Ok(Self { cache, encoder: self.encoder.clone(), read })
    }

    /// Returns the encoder of the responses, if the value model reads text.
    pub(super) fn encoder(&self) -> Option<&ResponseEncoder> {
        self.encoder.as_deref()
    }

    /// Returns an independent copy.
    pub(super) fn copy(&self) -> Result<Self, GuidanceError> {
        self.fork(&(0..self.read.len()).collect::<Vec<_>>())
    }

    /// Reads the new part of each response and returns the value of each row. `new` holds the
    /// tokens added since the last call, `responses` the whole responses as text. `responses` is
    /// used if the value model reads text, `new` otherwise.
    pub(super) fn values(
        &mut self,
        guide: &ValueGuide,
        new: &[Vec<u32>],
        responses: &[&str],
    ) -> Result<Vec<f32>, GuidanceError> {
        let whole = match &self.encoder {
            Some(encoder) => responses
                .iter()
                .map(|response| {
                    let (_, ids) = encoder.encode(Settled::default(), response)?;
                    Ok([encoder.fixed(), &ids].concat())
                })
                .collect::<Result<Vec<Vec<u32>>, GuidanceError>>()?,
            None => {
                self.read.iter().zip(new).map(|(read, new)| [&read[..], new].concat()).collect()
            }
        };
        self.extend_to(&guide.model, whole)
    }

    /// Extends every row `r` to `whole[r]` and returns the values. Reuses the longest prefix of
    /// each row that is already cached.
    fn extend_to(
        &mut self,
        model: &ValueModel,
        whole: Vec<Vec<u32>>,
    ) -> Result<Vec<f32>, GuidanceError> {
        let mut starts = Vec::with_capacity(whole.len());
        for (row, (read, whole)) in self.read.iter().zip(&whole).enumerate() {
            let common = read.iter().zip(whole).take_while(|(a, b)| a == b).count();
            let start = common.min(whole.len().saturating_sub(model.tokens_needed()));
            if start < self.cache.prompt_tokens() {
                return Err(GuidanceError::ValueRetokenized);
            }
            self.cache.truncate(row, start)?;
            starts.push(start);
        }
        let new: Vec<&[u32]> = whole.iter().zip(&starts).map(|(ids, &from)| &ids[from..]).collect();
        let hidden = model.trunk().forward(&mut self.cache, &new)?;
        let mut values = Vec::with_capacity(new.len());
        for (row, new) in new.iter().enumerate() {
            values.push(model.value(&hidden.i((row, ..new.len()))?, new)?);
        }
        self.read = whole;
        Ok(values)
    }
}

/// Returns the encoder of responses for a value model that reads text.
fn encoder(
    guide: &ValueGuide,
    prompt: &ValuePrompt,
) -> Result<Option<ResponseEncoder>, GuidanceError> {
    match (prompt, &guide.words) {
        (ValuePrompt::Text(text), Some(words)) => {
            Ok(Some(ResponseEncoder::new(Arc::clone(words), text.clone())?))
        }
        _ => Ok(None),
    }
}

/// Returns the number of tokens of the prompt for the value model.
pub(super) fn prompt_tokens(
    guide: &ValueGuide,
    prompt: &ValuePrompt,
) -> Result<usize, GuidanceError> {
    Ok(match (prompt, &guide.words) {
        (ValuePrompt::Tokens(tokens), _) => tokens.len(),
        (ValuePrompt::Text(text), Some(words)) => words.tokenizer().encode_prompt(text)?.len(),
        // `Pack::prompts` returns text only if the value model reads text.
        (ValuePrompt::Text(_), None) => 0,
    })
}
