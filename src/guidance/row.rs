//! A row of the search: a partial response with its tokens and values.

use super::sampling::RowKey;
use super::token_value::{Drawn, LikelyToken};
use super::trace::{Alternative, TokenTrace};
use crate::lm::{TextStream, Tokenizer};

/// A partial response. Cloned when a beam branches, so it holds no tensors.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Beam and successor; keys the random draws.
    pub(crate) key: RowKey,
    /// Index of the candidate of the previous chunk that it continues.
    pub(crate) parent: Option<usize>,
    /// Index among the candidates of the last chunk; set when the row survives.
    pub(crate) candidate: usize,
    /// Row of the value cache that this row continues.
    pub(crate) value_source_row: usize,
    /// V according to `Settings::value_source`.
    pub(crate) value: Option<f32>,
    /// V from the value model.
    pub(crate) explicit_value: Option<f32>,
    /// Sum of the advantages over the response, as far as they are known when a token is drawn.
    advantage_sum: Option<f32>,
    /// Whether the row has drawn an end token or completed a stop sequence.
    pub(crate) ended: bool,
    /// Whether `ended` is due to an end token.
    pub(super) ended_by_token: bool,
    /// log π_tuned − log π_untuned of the response as a pair of another vocabulary reads it.
    pub(super) text_ratio: Option<f32>,
    drawn: Vec<Drawn>,
    /// Σ KL(π_guided ‖ π_base) over the tokens, in nats.
    kl_nats: f32,
    text: TextStream,
    /// Length of the text after each token, in bytes.
    text_ends: Vec<usize>,
    chunk_start_token: usize,
    chunk_start_byte: usize,
}

impl Row {
    /// Returns the empty response. `explicit_value` is the value of the prompt alone.
    pub(super) fn root(explicit_value: Option<f32>) -> Self {
        Self {
            key: RowKey { beam: 0, successor: 0 },
            parent: None,
            candidate: 0,
            value_source_row: 0,
            value: None,
            explicit_value,
            advantage_sum: None,
            ended: false,
            ended_by_token: false,
            text_ratio: None,
            drawn: Vec::new(),
            kl_nats: 0.0,
            text: TextStream::new(),
            text_ends: Vec::new(),
            chunk_start_token: 0,
            chunk_start_byte: 0,
        }
    }

    /// Returns a copy with another key and parent that starts a new chunk.
    pub(super) fn branch(&self, key: RowKey, parent: Option<usize>) -> Self {
        let mut row = self.clone();
        (row.key, row.parent) = (key, parent);
        row.chunk_start_token = row.drawn.len();
        row.chunk_start_byte = row.text.text().len();
        row
    }

    pub(super) fn push(&mut self, drawn: Drawn, bytes: &[u8], is_end: bool) {
        if is_end {
            self.close_text();
        }
        self.text.push(bytes);
        self.text_ends.push(self.text.text().len());
        if let Some(advantage) = drawn.ratio() {
            self.advantage_sum = Some(self.advantage_sum.unwrap_or(0.0) + advantage);
        }
        (self.ended, self.ended_by_token) = (is_end, is_end);
        self.kl_nats += drawn.kl_nats;
        self.drawn.push(drawn);
    }

    /// Appends the token that completes a stop sequence, and ends the row. `bytes` are the bytes of
    /// the token before the stop sequence.
    pub(crate) fn push_last(&mut self, drawn: Drawn, bytes: &[u8]) {
        self.push(drawn, bytes, false);
        self.ended = true;
        self.close_text();
    }

    /// Returns the divergence of the tokens from the base so far, in nats.
    pub(super) fn kl_nats(&self) -> f32 {
        self.kl_nats
    }

    /// Returns the number of response tokens so far.
    pub(super) fn tokens(&self) -> usize {
        self.drawn.len()
    }

    /// Returns the last token, which the models read next.
    pub(crate) fn last_id(&self) -> u32 {
        self.drawn.last().map_or(0, |d| d.id)
    }

    /// Returns whether this chunk added a token, of text or an end.
    pub(super) fn has_new_tokens(&self) -> bool {
        self.drawn.len() > self.chunk_start_token
    }

    /// Returns the sum of the advantages of all guides over the response.
    pub(super) fn implicit_value(&self) -> Option<f32> {
        let steers = self.drawn.iter().flat_map(|drawn| &drawn.steer_advantages);
        self.text_ratio.map(|ratio| ratio + steers.sum::<f32>()).or(self.advantage_sum)
    }

    /// Returns all ids drawn so far.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.drawn.iter().map(|drawn| drawn.id)
    }

    /// Returns the ids drawn in this chunk without the token that ends the response, because the
    /// value model reads text only.
    pub(crate) fn chunk_ids(&self) -> Vec<u32> {
        let text_end = self.drawn.len() - usize::from(self.ended);
        let start = self.chunk_start_token.min(text_end);
        self.drawn[start..text_end].iter().map(|d| d.id).collect()
    }

    /// Returns the response so far, in whole characters.
    pub(super) fn text(&self) -> &str {
        self.text.text()
    }

    /// Returns the text that a token with these bytes would add, in whole characters.
    pub(super) fn text_added_by(&self, bytes: &[u8]) -> String {
        self.text.completed_by(bytes)
    }

    /// Returns the text that this chunk added, in whole characters.
    pub(crate) fn chunk_text(&self) -> &str {
        &self.text.text()[self.chunk_start_byte..]
    }

    /// Returns the token at response position `position` − 1, if this row has just drawn it.
    pub(crate) fn last_token_of_step(
        &self,
        position: usize,
        tokenizer: &Tokenizer,
    ) -> Option<TokenTrace> {
        let index = position.checked_sub(1)?;
        (self.drawn.len() == position).then(|| self.token(index, tokenizer))
    }

    /// Returns the response and its tokens. An incomplete last character is replaced.
    pub(crate) fn into_text_and_tokens(
        mut self,
        tokenizer: &Tokenizer,
    ) -> (String, Vec<TokenTrace>) {
        self.close_text();
        let tokens = (0..self.drawn.len()).map(|i| self.token(i, tokenizer)).collect();
        (self.text.text().to_owned(), tokens)
    }

    /// Ends the text. Replaces a character that the last token left incomplete.
    fn close_text(&mut self) {
        self.text.finish();
        if let Some(end) = self.text_ends.last_mut() {
            *end = self.text.text().len();
        }
    }

    fn token(&self, index: usize, tokenizer: &Tokenizer) -> TokenTrace {
        let drawn = &self.drawn[index];
        let range = &self.text.ranges()[index];
        let start = index.checked_sub(1).map_or(0, |before| self.text_ends[before]);
        TokenTrace {
            id: drawn.id,
            text: self.text.text()[start..self.text_ends[index]].to_owned(),
            start: range.start,
            end: range.end,
            logp_base: drawn.logp_base,
            logp_guided: drawn.logp_guided,
            logp_untuned: drawn.logp_pair.map(|(untuned, _)| untuned),
            logp_tuned: drawn.logp_pair.map(|(_, tuned)| tuned),
            advantage: drawn.advantage(),
            steer_advantages: drawn.steer_advantages.clone(),
            kl_nats: drawn.kl_nats,
            unguided_mass: drawn.unguided_mass,
            strength_factor: (drawn.strength_factor < 1.0).then_some(drawn.strength_factor),
            alternatives: drawn
                .likely
                .iter()
                .map(|likely| alternative(likely, tokenizer))
                .collect(),
        }
    }
}

fn alternative(likely: &LikelyToken, tokenizer: &Tokenizer) -> Alternative {
    let LikelyToken { id, logp_base, logp_guided } = *likely;
    Alternative { id, text: tokenizer.piece(id), logp_base, logp_guided }
}
