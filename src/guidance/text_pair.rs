//! Guidance by a pair of another vocabulary than the base's. Both halves read the response as text.
//!
//! A candidate token extends the response's text. Its advantage is what that adds to the pair's
//! log-ratio: log π_tuned(text) − log π_untuned(text) of the extended text, minus that of the text
//! so far. A text that ends inside a word stands for all texts that begin with it. With one
//! vocabulary this equals the advantage of a pair that reads tokens.

use std::sync::Arc;

use super::candidates::{Candidates, Choice};
use super::error::GuidanceError;
use super::pair::Pair;
use super::row::Row;
use super::text_rows::TextRows;
use crate::lm::{GuideWords, Lm, PromptText, ResponseEncoder};

/// Room for tokens that must be left in a context while a response grows. One token of the base is
/// at most this many tokens of a guide, apart from long runs of a byte-level vocabulary.
pub(super) const TEXT_MARGIN: usize = 32;

/// The responses as both halves of the pair have read them. Row r is the same response in both.
pub(super) struct TextPair {
    untuned: TextRows,
    tuned: TextRows,
    /// Log-ratio of the end of the prompt, which all rows share.
    prompt_ratio: f32,
}

impl TextPair {
    /// Reads the prompts of untuned and tuned. Returns a single row without a response.
    pub(super) fn prefill(
        pair: &Pair,
        words: &Arc<GuideWords>,
        prompts: &[PromptText; 2],
    ) -> Result<Self, GuidanceError> {
        let rows = |lm: &Lm, prompt: &PromptText| {
            let encoder = Arc::new(ResponseEncoder::new(Arc::clone(words.own()), prompt.clone())?);
            if encoder.fixed().is_empty() {
                return Err(GuidanceError::EmptyPrompt);
            }
            TextRows::prefill(lm, Arc::clone(words), encoder)
        };
        let untuned = rows(&pair.untuned, &prompts[0])?;
        let tuned = rows(&pair.tuned, &prompts[1])?;
        let mut text_pair = Self { untuned, tuned, prompt_ratio: 0.0 };
        let ratios = text_pair.ratios(pair, &[""])?;
        text_pair.prompt_ratio = ratios.first().copied().unwrap_or(0.0);
        Ok(text_pair)
    }

    /// Returns the given rows in the given order. Rows may repeat; cached states stay shared.
    pub(super) fn fork(&self, rows: &[usize]) -> Result<Self, GuidanceError> {
        let (untuned, tuned) = (self.untuned.fork(rows)?, self.tuned.fork(rows)?);
        Ok(Self { untuned, tuned, prompt_ratio: self.prompt_ratio })
    }

    /// Returns an independent copy.
    pub(super) fn copy(&self) -> Result<Self, GuidanceError> {
        self.fork(&(0..self.untuned.len()).collect::<Vec<_>>())
    }

    /// Reads the new part of each response. Returns log π_tuned − log π_untuned of each response.
    pub(super) fn ratios(
        &mut self,
        pair: &Pair,
        responses: &[&str],
    ) -> Result<Vec<f32>, GuidanceError> {
        let (untuned, tuned) = self.on_both(pair, |rows, lm| rows.read(lm, responses))?;
        Ok(tuned.iter().zip(untuned).map(|(t, u)| t - u - self.prompt_ratio).collect())
    }

    /// Calls `f` with the rows and the model of untuned and of tuned. On the CPU both run at the same
    /// time: the models are small, so each keeps half of the cores busier than one does all.
    fn on_both<T: Send>(
        &mut self,
        pair: &Pair,
        f: impl Fn(&mut TextRows, &Lm) -> Result<T, GuidanceError> + Sync,
    ) -> Result<(T, T), GuidanceError> {
        let mut untuned = || f(&mut self.untuned, &pair.untuned);
        let mut tuned = || f(&mut self.tuned, &pair.tuned);
        let (untuned, tuned) = match pair.untuned.device().is_cpu() {
            true => rayon::join(untuned, tuned),
            false => (untuned(), tuned()),
        };
        Ok((untuned?, tuned?))
    }

    /// Returns the advantage of ending the response of `row`, or `None` if the pair has no end
    /// token.
    pub(super) fn end_advantage(&self, pair: &Pair, row: usize) -> Option<f32> {
        let untuned = self.untuned.end(row, &pair.untuned.config().eos)?;
        let tuned = self.tuned.end(row, &pair.tuned.config().eos)?;
        Some(tuned - untuned)
    }

    /// Reads the responses of `rows`, and scores their candidates. `logits` holds the base's logits
    /// of each row.
    pub(super) fn score(
        &mut self,
        pair: &Pair,
        rows: &[&Row],
        logits: &[&[f32]],
        choices: Vec<Choice>,
    ) -> Result<Vec<Candidates>, GuidanceError> {
        let responses: Vec<&str> = rows.iter().map(|row| row.text()).collect();
        let texts: Vec<Vec<&str>> =
            choices.iter().map(|choice| choice.texts().map(|(_, text)| text).collect()).collect();
        let (untuned, tuned) = self.on_both(pair, |rows, lm| {
            rows.read(lm, &responses)?;
            rows.extensions(lm, &responses, &texts)
        })?;
        let scored = choices.into_iter().enumerate().map(|(row, choice)| {
            let advantages = tuned[row].iter().zip(&untuned[row]).map(|(t, u)| Some(t - u));
            choice.scored(logits[row], advantages, self.end_advantage(pair, row))
        });
        Ok(scored.collect())
    }

    /// Returns whether a text that the pair reads is close to the end of its context.
    pub(super) fn is_full(&self, pair: &Pair, rows: &[&Row]) -> Result<bool, GuidanceError> {
        for (half, lm) in [(&self.untuned, &pair.untuned), (&self.tuned, &pair.tuned)] {
            let room = lm.config().context_tokens;
            if is_full(half.encoder(), room, rows)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns whether prompt and response of any row have almost `context_tokens` tokens.
pub(super) fn is_full(
    encoder: &ResponseEncoder,
    context_tokens: usize,
    rows: &[&Row],
) -> Result<bool, GuidanceError> {
    for row in rows {
        // A text never has more tokens than bytes, apart from those of the prompt.
        let most = encoder.prompt_ids().len() + row.text().len() + TEXT_MARGIN;
        if most > context_tokens {
            let tokens = encoder.tokens(row.text())?;
            if tokens + TEXT_MARGIN > context_tokens {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
