//! Log-probabilities of growing texts under a model of another vocabulary than the base's.
//!
//! The model reads each response as text, in its own tokens. The text may end inside a word, so its
//! log-probability is that of all texts that begin with it: the words before the last one are
//! certain, and the last one is summed over its covers (see [`GuideWords`]). The log-probability of
//! an extension is that of the extended text minus that of the text.

use std::sync::Arc;

use super::error::GuidanceError;
use super::next_token::{Score, scores, sum_of, tokens_of};
use crate::lm::{Cache, Cover, GuideWords, Lm, ResponseEncoder, Settled};

/// The responses that one model has read, row by row.
pub(super) struct TextRows {
    words: Arc<GuideWords>,
    encoder: Arc<ResponseEncoder>,
    /// Ids that have a logit; ids beyond it are padding.
    vocab_size: usize,
    cache: Cache,
    rows: Vec<TextRow>,
}

/// A response in the tokens of the model.
#[derive(Clone)]
pub(super) struct TextRow {
    /// Ids after the fixed ids of the prompt.
    pub(super) ids: Vec<u32>,
    /// Σ log p of the first n ids, for n from 0 to the number of ids.
    pub(super) sums: Vec<f32>,
    /// The part that later text cannot change.
    pub(super) settled: Settled,
    /// log p of every next token: after the settled ids, then after each further id.
    next: Vec<Arc<[f32]>>,
    /// log p of all texts that begin with the response and the prompt's last tokens.
    pub(super) logp: f32,
}

impl TextRow {
    /// Returns log p of every next token after the first `ids` ids. They include the settled ids.
    fn next_after(&self, ids: usize) -> &[f32] {
        &self.next[ids - self.settled.ids]
    }

    /// Removes all ids after the first `ids`. They include the settled ids.
    fn truncate(&mut self, ids: usize) {
        self.ids.truncate(ids);
        self.sums.truncate(ids + 1);
        self.next.truncate(ids + 1 - self.settled.ids);
    }

    /// Appends the new ids of an extension. `read` yields what was read after each of them.
    fn append(&mut self, extension: &Extension, read: &mut impl Iterator<Item = Score>) {
        let mut logp = extension.new.first().map_or(0.0, |&id| self.token(self.ids.len(), id));
        // Drops what was only needed while the last word could change.
        let settled = extension.settled.ids - self.settled.ids;
        self.next.drain(..settled.min(self.next.len()));
        self.settled = extension.settled;
        for (&id, score) in extension.new.iter().zip(read) {
            self.sums.push(self.of_ids() + logp);
            self.ids.push(id);
            self.next.extend(score.all);
            logp = score.next.unwrap_or(0.0);
        }
    }

    /// Returns log p of `id` after the first `ids` ids. They include the settled ids.
    pub(super) fn token(&self, ids: usize, id: u32) -> f32 {
        self.next_after(ids).get(id as usize).copied().unwrap_or(f32::NEG_INFINITY)
    }

    /// Returns log p of exactly these ids.
    fn of_ids(&self) -> f32 {
        self.sums.last().copied().unwrap_or(0.0)
    }
}

/// The ids of an extended response: the first `common` ids of the row, then `new`.
pub(super) struct Extension {
    pub(super) row: usize,
    pub(super) common: usize,
    pub(super) new: Vec<u32>,
    /// The settled part of the extended response.
    pub(super) settled: Settled,
    /// The covers of its last word; empty only if there is no id after the settled ones.
    pub(super) covers: Arc<[Cover]>,
}

impl TextRows {
    /// Reads the prompt. Returns a single row without a response.
    pub(super) fn prefill(
        lm: &Lm,
        words: Arc<GuideWords>,
        encoder: Arc<ResponseEncoder>,
    ) -> Result<Self, GuidanceError> {
        let vocab_size = lm.config().vocab_size.min(words.own().tokenizer().vocab_size());
        let (cache, hidden) = lm.prefill(encoder.fixed())?;
        let last = hidden.narrow(0, encoder.fixed().len() - 1, 1)?;
        let next = scores(lm, &last, vocab_size, &[(None, true)])?;
        let next = next.into_iter().filter_map(|score| score.all).collect();
        let settled = Settled::default();
        let row = TextRow { ids: Vec::new(), sums: vec![0.0], settled, next, logp: 0.0 };
        let mut rows = Self { words, encoder, vocab_size, cache, rows: vec![row] };
        rows.read(lm, &[""])?;
        Ok(rows)
    }

    /// Returns the given rows in the given order. Rows may repeat; cached states stay shared.
    pub(super) fn fork(&self, rows: &[usize]) -> Result<Self, GuidanceError> {
        Ok(Self {
            words: Arc::clone(&self.words),
            encoder: Arc::clone(&self.encoder),
            vocab_size: self.vocab_size,
            cache: self.cache.fork(rows)?,
            rows: rows.iter().map(|&row| self.rows[row].clone()).collect(),
        })
    }

    /// Returns the encoder of the responses.
    pub(super) fn encoder(&self) -> &ResponseEncoder {
        &self.encoder
    }

    pub(super) fn row(&self, row: usize) -> &TextRow {
        &self.rows[row]
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Returns the number of ids that have a logit.
    pub(super) fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Returns the number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Reads the new part of each response. Returns log p of all texts that begin with the response
    /// and the last tokens of the prompt. The latter are the same in all rows.
    pub(super) fn read(&mut self, lm: &Lm, responses: &[&str]) -> Result<Vec<f32>, GuidanceError> {
        let fixed = self.encoder.fixed().len();
        let mut extensions = Vec::with_capacity(responses.len());
        for (index, response) in responses.iter().enumerate() {
            let extension = self.extension(index, response)?;
            self.rows[index].truncate(extension.common);
            self.cache.truncate(index, fixed + extension.common)?;
            extensions.push(extension);
        }
        let new_ids: Vec<&[u32]> = extensions.iter().map(|e| e.new.as_slice()).collect();
        let hidden = lm.forward(&mut self.cache, &new_ids)?;
        // The whole distribution is needed only where a later text may continue, log p of one token
        // elsewhere.
        let needs = extensions.iter().flat_map(|e| {
            let after = e.new.iter().skip(1).copied().map(Some).chain([None]);
            let is_open = |step| e.common + step + 1 >= e.settled.ids;
            after.enumerate().map(move |(step, id)| (id, is_open(step))).take(e.new.len())
        });
        let needs: Vec<(Option<u32>, bool)> = needs.collect();
        let hidden = tokens_of(&hidden, &new_ids)?;
        let mut read = scores(lm, &hidden, self.vocab_size, &needs)?.into_iter();
        for (row, extension) in self.rows.iter_mut().zip(extensions) {
            row.append(&extension, &mut read);
            let start = extension.settled.ids;
            let cover = |cover: &Cover| {
                row.sums[start + cover.kept] + row.token(start + cover.kept, cover.last)
            };
            row.logp = sum_of(extension.covers.iter().map(cover)).unwrap_or(row.of_ids());
        }
        Ok(self.rows.iter().map(|row| row.logp).collect())
    }

    /// Returns the ids of `text`, which extends the response of `row`.
    pub(super) fn extension(&self, row: usize, text: &str) -> Result<Extension, GuidanceError> {
        let read = &self.rows[row];
        let (settled, mut new) = self.encoder.encode(read.settled, text)?;
        let last_word = read.settled.ids + new.len() - settled.ids;
        let mut covers = self.encoder.covers(&self.words, settled, text)?;
        if let (true, Some(&last), Some(kept)) =
            (covers.is_empty(), new.last(), last_word.checked_sub(1))
        {
            covers = Arc::new([Cover { kept, last }]);
        }
        let known = read.ids.get(read.settled.ids..).unwrap_or_default();
        let shared = known.iter().zip(&new).take_while(|(a, b)| a == b).count();
        let new = new.split_off(shared);
        Ok(Extension { row, common: read.settled.ids + shared, new, settled, covers })
    }

    /// Returns log p of the response of `row`, ended by one of `ends`, minus log p of the response.
    /// Returns `None` without ends.
    pub(super) fn end(&self, row: usize, ends: &[u32]) -> Option<f32> {
        let row = &self.rows[row];
        let end = sum_of(ends.iter().map(|&id| row.token(row.ids.len(), id)))?;
        // The end completes the last word, so its longer covers do not count.
        Some(row.of_ids() + end - row.logp)
    }
}

#[cfg(test)]
#[path = "text_rows_tests.rs"]
mod tests;
