//! Feeds the value model with the rows of the search. It reads only the new tokens of each row, in
//! its own vocabulary.

use std::sync::Arc;

use candle_core::{IndexOp, Tensor};

use super::candidates::Choice;
use super::error::GuidanceError;
use super::row::Row;
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
    /// Number of tokens of the prompt alone.
    prompt_tokens: usize,
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
        let (encoder, prompt_tokens) = (encoder.map(Arc::new), tokens.len());
        Ok((Self { cache, encoder, read: vec![tokens], prompt_tokens }, value))
    }

    /// Returns the single row of a prompt that `cache` holds.
    pub(super) fn of_prompt(cache: Cache, prompt: &ValuePrompt) -> Self {
        let tokens = match prompt {
            ValuePrompt::Tokens(tokens) => tokens.clone(),
            ValuePrompt::Text(_) => Vec::new(),
        };
        Self { cache, encoder: None, prompt_tokens: tokens.len(), read: vec![tokens] }
    }

    /// Returns the given rows in the given order. Rows may repeat; cached states stay shared.
    pub(super) fn fork(&self, rows: &[usize]) -> Result<Self, GuidanceError> {
        let cache = self.cache.fork(rows)?;
        let read = rows.iter().filter_map(|&row| self.read.get(row)).cloned().collect();
        let (encoder, prompt_tokens) = (self.encoder.clone(), self.prompt_tokens);
        Ok(Self { cache, encoder, read, prompt_tokens })
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
        let rows = self.read.iter().zip(new).zip(responses);
        let whole = rows.map(|((read, new), response)| match &self.encoder {
            Some(encoder) => encode(encoder, response),
            None => Ok([&read[..], new].concat()),
        });
        let whole = whole.collect::<Result<_, _>>()?;
        self.extend_to(&guide.model, whole)
    }

    /// Reads the responses of `rows`, and returns V of every next token, `[rows][V]`. Returns `None`
    /// if the head does not value the base's next tokens in one pass.
    pub(super) fn next_values(
        &mut self,
        guide: &ValueGuide,
        rows: &[&Row],
    ) -> Result<Option<Vec<Vec<f32>>>, GuidanceError> {
        if self.encoder.is_some() || !guide.model.values_next_tokens() {
            return Ok(None);
        }
        let whole = self.tokens_of(rows)?;
        let (hidden, new) = self.extend(&guide.model, whole, 1)?;
        let last = new.iter().enumerate().map(|(row, new)| hidden.i((row, new.len() - 1)));
        let last = Tensor::stack(&last.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        Ok(guide.model.next_values(&last)?)
    }

    /// Reads the responses of `rows`, and returns V of each response extended by each candidate with
    /// a text, or `None` if the candidate adds no whole character.
    pub(super) fn values_of_candidates(
        &mut self,
        guide: &ValueGuide,
        rows: &[&Row],
        choices: &[Choice],
    ) -> Result<Vec<Vec<Option<f32>>>, GuidanceError> {
        let whole = self.tokens_of(rows)?;
        self.extend(&guide.model, whole, 0)?;
        let (mut sources, mut extended) = (Vec::new(), Vec::new());
        for (index, (row, choice)) in rows.iter().zip(choices).enumerate() {
            for (id, text) in choice.texts().filter(|(_, text)| !text.is_empty()) {
                sources.push(index);
                extended.push(match &self.encoder {
                    Some(encoder) => encode(encoder, &format!("{}{text}", row.text()))?,
                    None => [&self.read[index][..], &[id]].concat(),
                });
            }
        }
        let mut values = match sources.is_empty() {
            true => Vec::new(),
            false => self.fork(&sources)?.extend_to(&guide.model, extended)?,
        }
        .into_iter();
        let mut value = |(_, text): (u32, &str)| match text {
            "" => None,
            _ => values.next(),
        };
        Ok(choices.iter().map(|choice| choice.texts().map(&mut value).collect()).collect())
    }

    /// Returns the tokens of prompt and response for each row.
    fn tokens_of(&self, rows: &[&Row]) -> Result<Vec<Vec<u32>>, GuidanceError> {
        let tokens = rows.iter().zip(&self.read).map(|(row, read)| match &self.encoder {
            Some(encoder) => encode(encoder, row.text()),
            None => Ok(read[..self.prompt_tokens].iter().copied().chain(row.ids()).collect()),
        });
        tokens.collect()
    }

    /// Extends every row `r` to `whole[r]` and returns the values. Reuses the longest prefix of
    /// each row that is already cached.
    fn extend_to(
        &mut self,
        model: &ValueModel,
        whole: Vec<Vec<u32>>,
    ) -> Result<Vec<f32>, GuidanceError> {
        let (hidden, new) = self.extend(model, whole, model.tokens_needed())?;
        let value =
            |(row, new): (usize, &Vec<u32>)| Ok(model.value(&hidden.i((row, ..new.len()))?, new)?);
        new.iter().enumerate().map(value).collect()
    }

    /// Extends every row `r` to `whole[r]`. Reads at least the last `again` tokens of each row, even
    /// if they are cached. Returns the hidden states `[rows, T, hidden]` of the tokens that were
    /// read, and these tokens.
    fn extend(
        &mut self,
        model: &ValueModel,
        whole: Vec<Vec<u32>>,
        again: usize,
    ) -> Result<(Tensor, Vec<Vec<u32>>), GuidanceError> {
        let mut new = Vec::with_capacity(whole.len());
        for (row, (read, whole)) in self.read.iter().zip(&whole).enumerate() {
            let common = read.iter().zip(whole).take_while(|(a, b)| a == b).count();
            let start = common.min(whole.len().saturating_sub(again));
            if start < self.cache.prompt_tokens() {
                return Err(GuidanceError::ValueRetokenized);
            }
            self.cache.truncate(row, start)?;
            new.push(whole[start..].to_vec());
        }
        let rows: Vec<&[u32]> = new.iter().map(Vec::as_slice).collect();
        let hidden = model.trunk().forward(&mut self.cache, &rows)?;
        self.read = whole;
        Ok((hidden, new))
    }
}

/// Returns the ids of prompt and response.
fn encode(encoder: &ResponseEncoder, response: &str) -> Result<Vec<u32>, GuidanceError> {
    let (_, ids) = encoder.encode(Settled::default(), response)?;
    Ok([encoder.fixed(), &ids].concat())
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
