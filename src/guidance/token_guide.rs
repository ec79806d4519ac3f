//! Guides that score the base's likeliest next tokens: a pair of another vocabulary, or the value
//! model.

use super::candidates::{Addition, Candidates, Choice};
use super::error::GuidanceError;
use super::models::{Models, Prefilled};
use super::row::Row;
use super::settings::{Settings, ValueSource};
use super::text_pair::{TextPair, is_full};
use super::values::ValueRows;
use crate::numeric::{exp, log_sum_exp};

/// The rows of a guide that scores candidates. It holds the live rows of the search in their order.
pub(super) enum TokenGuide {
    /// A pair of another vocabulary: log π_tuned − log π_untuned.
    Pair(TextPair),
    /// The value model: `z = z_base + β V(x, y≤t, ·)` (the token-level explicit value of Liu et al.
    /// 2024).
    Value(ValueRows),
}

impl TokenGuide {
    /// Returns the guide that β applies to, or `None` if the pair has the base's vocabulary or β
    /// is 0.
    pub(super) fn new(
        models: &Models,
        prompt: &Prefilled,
        settings: &Settings,
    ) -> Result<Option<Self>, GuidanceError> {
        if settings.beta == 0.0 {
            return Ok(None);
        }
        Ok(match (settings.token_source, &models.value) {
            (ValueSource::Implicit, _) => {
                prompt.text_pair.as_ref().map(TextPair::copy).transpose()?.map(Self::Pair)
            }
            (ValueSource::Explicit, Some(guide)) => {
                let rows = match (&prompt.value_rows, prompt.caches.value_cache()?) {
                    (Some(rows), _) => rows.copy()?,
                    (None, Some(cache)) => ValueRows::of_prompt(cache, &prompt.value_prompt),
                    (None, None) => ValueRows::prefill(guide, &prompt.value_prompt)?.0,
                };
                Some(Self::Value(rows))
            }
            (ValueSource::Explicit, None) => None,
        })
    }

    /// Replaces the rows by the given rows in the given order. Rows may repeat.
    pub(super) fn fork(&mut self, rows: &[usize]) -> Result<(), GuidanceError> {
        match self {
            Self::Pair(read) => *read = read.fork(rows)?,
            Self::Value(read) => *read = read.fork(rows)?,
        }
        Ok(())
    }

    /// Returns the number of forward passes at one position.
    pub(super) fn passes(&self) -> usize {
        match self {
            Self::Pair(_) => 4,
            Self::Value(_) => 2,
        }
    }

    /// Reads the responses of `rows`, and scores the base's likeliest next tokens of each row.
    /// `logits` holds the base's logits of each row, `given` a token to score in any case.
    pub(super) fn candidates(
        &mut self,
        models: &Models,
        rows: &[&Row],
        logits: &[&[f32]],
        given: Option<u32>,
    ) -> Result<Vec<Candidates>, GuidanceError> {
        let addition = |row: &Row, id: u32| match models.tokenizer.bytes(id) {
            _ if models.is_end(id) => Addition::End,
            [] => Addition::Control,
            bytes => Addition::Text(row.text_added_by(bytes)),
        };
        let choices: Vec<Choice> = rows
            .iter()
            .zip(logits)
            .map(|(row, logits)| Choice::new(logits, given, |id| addition(row, id)))
            .collect();
        match (self, models.text_pair(), &models.value) {
            (Self::Pair(read), Some(pair), _) => read.score(pair, rows, logits, choices),
            (Self::Value(read), _, Some(guide)) => {
                let scored = match read.next_values(guide, rows)? {
                    Some(all) => all
                        .iter()
                        .zip(logits)
                        .map(|(values, logits)| dense(values, logits))
                        .collect(),
                    None => {
                        let values = read.values_of_candidates(guide, rows, &choices)?;
                        let rows = choices.into_iter().zip(logits).zip(values);
                        // The value model reads text only, so ending is not guided.
                        rows.map(|((choice, logits), texts)| choice.scored(logits, texts, None))
                            .collect::<Vec<_>>()
                    }
                };
                Ok(scored.into_iter().zip(logits).map(|(c, logits)| centred(c, logits)).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Returns whether the text of a row is close to the end of the guide's context.
    pub(super) fn is_full(&self, models: &Models, rows: &[&Row]) -> Result<bool, GuidanceError> {
        match (self, models.text_pair(), &models.value) {
            (Self::Pair(read), Some(pair), _) => read.is_full(pair, rows),
            (Self::Value(read), _, Some(guide)) => match read.encoder() {
                Some(encoder) => {
                    is_full(encoder, guide.model.trunk().config().context_tokens, rows)
                }
                None => Ok(false),
            },
            _ => Ok(false),
        }
    }
}

/// Returns all tokens as candidates, with these values.
fn dense(values: &[f32], logits: &[f32]) -> Candidates {
    let advantages = values.iter().zip(logits).enumerate().map(|(id, (v, _))| (id as u32, *v));
    Candidates { advantages: advantages.collect(), unguided_mass: 0.0 }
}

/// Subtracts the mean of the values under the base, so that they are advantages.
fn centred(mut candidates: Candidates, logits: &[f32]) -> Candidates {
    let own: Vec<f32> = candidates.advantages.iter().map(|(id, _)| logits[*id as usize]).collect();
    let lse = log_sum_exp(&own);
    let values = own.iter().zip(&candidates.advantages);
    let mean: f32 = values.map(|(logit, (_, value))| exp(logit - lse) * value).sum();
    candidates.advantages.iter_mut().for_each(|(_, value)| *value -= mean);
    candidates
}
