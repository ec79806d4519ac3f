//! Guidance by a pair of another vocabulary than the base's. Both halves read the response as text.
//!
//! A candidate token extends the response's text. Its advantage is what that adds to the pair's
//! log-ratio: log π_tuned(text) − log π_untuned(text) of the extended text, minus that of the text
//! so far. A text that ends inside a word stands for all texts that begin with it. With one
//! vocabulary this equals the advantage of a pair that reads tokens.

use std::sync::Arc;

use super::error::GuidanceError;
use super::pair::Pair;
use super::row::Row;
use super::text_rows::TextRows;
use super::token_value::Candidates;
use crate::lm::{GuideWords, Lm, PromptText, ResponseEncoder};
use crate::numeric::{exp, log_sum_exp, top};

/// Maximum number of candidates at a position.
const MAX_CANDIDATES: usize = 64;
/// Minimum number of candidates, even if fewer hold [`GUIDED_MASS`].
const MIN_CANDIDATES: usize = 8;
/// Probability under the base that the candidates hold together, unless that takes more than
/// [`MAX_CANDIDATES`].
const GUIDED_MASS: f32 = 0.995;
/// Room for tokens that must be left in a context while a response grows. One token of the base is
/// at most this many tokens of a guide, apart from long runs of a byte-level vocabulary.
pub(super) const TEXT_MARGIN: usize = 32;

/// What a token of the base adds to a response.
pub(super) enum Addition {
    /// Whole characters; empty if the token ends inside its first character.
    Text(String),
    /// The end of the response.
    End,
    /// A control token, which has no text that the pair could read.
    Control,
}

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
    /// time: the models are small, so each keeps one half of the cores busier than both.
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

    /// Reads the responses of `rows`, and returns the advantages of the base's likeliest next tokens
    /// for each row. `logits` holds the base's logits of each row; `addition` says what a token adds
    /// to a row.
    pub(super) fn candidates(
        &mut self,
        pair: &Pair,
        rows: &[&Row],
        logits: &[&[f32]],
        addition: impl Fn(&Row, u32) -> Addition,
    ) -> Result<Vec<Candidates>, GuidanceError> {
        let responses: Vec<&str> = rows.iter().map(|row| row.text()).collect();
        let likeliest: Vec<(Vec<u32>, f32)> = logits.iter().map(|row| likeliest(row)).collect();
        let additions = likeliest.iter().zip(rows);
        let additions: Vec<Vec<Addition>> = additions
            .map(|((ids, _), row)| ids.iter().map(|&id| addition(row, id)).collect())
            .collect();
        let text = |addition: &Addition| match addition {
            Addition::Text(text) => Some(text.clone()),
            Addition::End | Addition::Control => None,
        };
        let texts: Vec<Vec<String>> =
            additions.iter().map(|row| row.iter().filter_map(text).collect()).collect();
        let (untuned, tuned) = self.on_both(pair, |rows, lm| {
            rows.read(lm, &responses)?;
            rows.extensions(lm, &responses, &texts)
        })?;
        let mut all = Vec::with_capacity(rows.len());
        for (row, (ids, unguided_mass)) in likeliest.into_iter().enumerate() {
            let mut candidates = Candidates { advantages: Vec::new(), unguided_mass };
            let mut of_texts = tuned[row].iter().zip(&untuned[row]).map(|(t, u)| t - u);
            for (id, addition) in ids.into_iter().zip(&additions[row]) {
                let advantage = match addition {
                    Addition::Text(_) => of_texts.next(),
                    Addition::End => self.end_advantage(pair, row),
                    Addition::Control => None,
                };
                match advantage {
                    Some(advantage) => candidates.advantages.push((id, advantage)),
                    None => {
                        let logit = logits[row][id as usize];
                        candidates.unguided_mass += exp(logit - log_sum_exp(logits[row]));
                    }
                }
            }
            all.push(candidates);
        }
        Ok(all)
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

/// Returns the likeliest tokens, likeliest first, and the probability of all others.
fn likeliest(logits: &[f32]) -> (Vec<u32>, f32) {
    let lse = log_sum_exp(logits);
    let mut mass = 0.0;
    let mut ids = Vec::new();
    for id in top(logits, MAX_CANDIDATES) {
        if mass >= GUIDED_MASS && ids.len() >= MIN_CANDIDATES {
            break;
        }
        mass += exp(logits[id] - lse);
        ids.push(id as u32);
    }
    (ids, (1.0 - mass).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_tokens_hold_almost_all_mass() {
        let peaked: Vec<f32> = (0..100).map(|i| -(i as f32)).collect();
        let (ids, rest) = likeliest(&peaked);
        assert_eq!(ids, (0..MIN_CANDIDATES as u32).collect::<Vec<_>>());
        assert!(rest < 1e-3);
        let flat = vec![0.0; 100];
        let (ids, rest) = likeliest(&flat);
        assert_eq!(ids.len(), MAX_CANDIDATES);
        assert!((rest - 0.36).abs() < 1e-5);
        let half: Vec<f32> = (0..100).map(|i| -(i as f32) / 4.0).collect();
        let (ids, rest) = likeliest(&half);
        assert!(rest <= 1.0 - GUIDED_MASS && ids.len() < MAX_CANDIDATES);
        let one_less: f32 = ids[..ids.len() - 1].iter().map(|&i| exp(half[i as usize])).sum();
        assert!(one_less / half.iter().map(|&z| exp(z)).sum::<f32>() < GUIDED_MASS, "not more");
        assert_eq!(likeliest(&[1.0, 2.0]).0, [1, 0], "a small vocabulary");
    }
}
