//! Values of candidates by guides that read the response chunk by chunk.

use super::error::GuidanceError;
use super::models::{Models, Prefilled};
use super::row::Row;
use super::settings::ValueSource;
use super::text_pair::{TextPair, is_full};
use super::values::ValueRows;

/// The rows of a guide that reads each response at the end of a chunk.
pub(super) enum ChunkReader {
    /// The value model, if it shares no pass with another role.
    Explicit(ValueRows),
    /// A pair of another vocabulary.
    Implicit(TextPair),
}

impl ChunkReader {
    /// Returns the reader of the values of `source`, or `None` if they need no reading of their own.
    pub(super) fn new(
        prompt: &Prefilled,
        source: ValueSource,
    ) -> Result<Option<Self>, GuidanceError> {
        Ok(match source {
            ValueSource::Explicit => {
                prompt.value_rows.as_ref().map(ValueRows::copy).transpose()?.map(Self::Explicit)
            }
            ValueSource::Implicit => {
                let pair = prompt.text_pair.as_ref().map(TextPair::copy);
                pair.transpose()?.map(Self::Implicit)
            }
        })
    }

    /// Returns the given rows in the given order. Rows may repeat; cached states stay shared.
    pub(super) fn fork(&self, rows: &[usize]) -> Result<Self, GuidanceError> {
        Ok(match self {
            Self::Explicit(read) => Self::Explicit(read.fork(rows)?),
            Self::Implicit(read) => Self::Implicit(read.fork(rows)?),
        })
    }

    /// Returns whether the last chunk changed the value of `row`. The value model reads text only, a
    /// pair also scores the end of the response.
    pub(super) fn must_read(&self, row: &Row) -> bool {
        match self {
            Self::Explicit(_) => !row.chunk_ids().is_empty(),
            Self::Implicit(_) => row.has_new_tokens(),
        }
    }

    /// Reads the new text of each row and sets its value. Returns the number of forward passes.
    pub(super) fn read(
        &mut self,
        models: &Models,
        rows: &mut [&mut Row],
    ) -> Result<usize, GuidanceError> {
        let texts: Vec<String> = rows.iter().map(|row| row.text().to_owned()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        match (self, &models.value, models.text_pair()) {
            (Self::Explicit(read), Some(guide), _) => {
                let new: Vec<Vec<u32>> = rows.iter().map(|row| row.chunk_ids()).collect();
                let values = read.values(guide, &new, &texts)?;
                for (row, value) in rows.iter_mut().zip(values) {
                    row.explicit_value = Some(value);
                }
                Ok(1)
            }
            (Self::Implicit(read), _, Some(pair)) => {
                let ratios = read.ratios(pair, &texts)?;
                for (index, (row, ratio)) in rows.iter_mut().zip(ratios).enumerate() {
                    let end = row.ended_by_token.then(|| read.end_advantage(pair, index)).flatten();
                    row.text_ratio = Some(ratio + end.unwrap_or(0.0));
                }
                Ok(2)
            }
            _ => Ok(0),
        }
    }

    /// Returns whether the text of a row is close to the end of the guide's context.
    pub(super) fn is_full(&self, models: &Models, rows: &[&Row]) -> Result<bool, GuidanceError> {
        match (self, &models.value, models.text_pair()) {
            (Self::Explicit(read), Some(guide), _) => match read.encoder() {
                Some(encoder) => {
                    is_full(encoder, guide.model.trunk().config().context_tokens, rows)
                }
                None => Ok(false),
            },
            (Self::Implicit(read), _, Some(pair)) => read.is_full(pair, rows),
            _ => Ok(false),
        }
    }
}
