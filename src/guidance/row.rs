//! One row of the search: a partial response and what is known of it.

use super::sampling::RowKey;
use super::token_value::{Drawn, Likely};
use super::trace::{Alternative, TokenTrace};
use crate::lm::{TextStream, Tokenizer};

/// A partial response. Cloned when a beam branches; holds plain numbers and bytes only.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Its place in the search.
    pub key: RowKey,
    /// Candidate of the previous chunk that it continues.
    pub parent: Option<usize>,
    /// Its own index among the candidates of the last chunk (set when it survives).
    pub candidate: usize,
    /// Row of the value cache that holds its beginning.
    pub value_source_row: usize,
    /// V under the setting in force.
    pub value: Option<f32>,
    /// V of the value model.
    pub explicit_value: Option<f32>,
    /// Σ advantage over the response.
    pub advantage_sum: Option<f32>,
    /// Has drawn an end token.
    pub ended: bool,
    drawn: Vec<Drawn>,
    text: TextStream,
    /// Length of the text after each token: what a token completed lies between two of them.
    text_ends: Vec<usize>,
    chunk_start_token: usize,
    chunk_start_byte: usize,
}

impl Row {
    /// The empty response; `explicit_value` is that of the prompt alone.
    pub fn root(explicit_value: Option<f32>) -> Self {
        Self {
            key: RowKey { beam: 0, successor: 0 },
            parent: None,
            candidate: 0,
            value_source_row: 0,
            value: None,
            explicit_value,
            advantage_sum: None,
            ended: false,
            drawn: Vec::new(),
            text: TextStream::new(),
            text_ends: Vec::new(),
            chunk_start_token: 0,
            chunk_start_byte: 0,
        }
    }

    /// A copy that begins a new chunk at another place.
    pub fn branch(&self, key: RowKey, parent: Option<usize>) -> Self {
        let mut row = self.clone();
        (row.key, row.parent) = (key, parent);
        row.chunk_start_token = row.drawn.len();
        row.chunk_start_byte = row.text.text().len();
        row
    }

    /// Appends a token.
    pub fn push(&mut self, drawn: Drawn, bytes: &[u8], is_end: bool) {
        if is_end {
            self.close_text();
        }
        self.text.push(bytes);
        self.text_ends.push(self.text.text().len());
        if let Some(advantage) = drawn.advantage() {
            self.advantage_sum = Some(self.advantage_sum.unwrap_or(0.0) + advantage);
        }
        self.ended = is_end;
        self.drawn.push(drawn);
    }

    /// Appends the token that completes a text which ends the response: `bytes` are those of it
    /// that stand before that text.
    pub fn push_last(&mut self, drawn: Drawn, bytes: &[u8]) {
        self.push(drawn, bytes, false);
        self.ended = true;
        self.close_text();
    }

    /// Response tokens so far.
    pub fn tokens(&self) -> usize {
        self.drawn.len()
    }

    /// The token to feed next.
    pub fn last_id(&self) -> u32 {
        self.drawn.last().map_or(0, |d| d.id)
    }

    /// Ids of the text drawn in this chunk: without the token that ends it, for a value model
    /// values text.
    pub fn chunk_ids(&self) -> Vec<u32> {
        let text_end = self.drawn.len() - usize::from(self.ended);
        let start = self.chunk_start_token.min(text_end);
        self.drawn[start..text_end].iter().map(|d| d.id).collect()
    }

    /// The response so far, whole characters.
    pub fn text(&self) -> &str {
        self.text.text()
    }

    /// Whole characters that this chunk completed.
    pub fn chunk_text(&self) -> &str {
        &self.text.text()[self.chunk_start_byte..]
    }

    /// The token at response position `position` − 1, if this row has just drawn it.
    pub fn last_token_of_step(&self, position: usize, tokenizer: &Tokenizer) -> Option<TokenTrace> {
        let index = position.checked_sub(1)?;
        (self.drawn.len() == position).then(|| self.token(index, tokenizer))
    }

    /// The finished text, an incomplete last character replaced, and the report of its tokens.
    pub fn into_text_and_tokens(mut self, tokenizer: &Tokenizer) -> (String, Vec<TokenTrace>) {
        self.close_text();
        let tokens = (0..self.drawn.len()).map(|i| self.token(i, tokenizer)).collect();
        (self.text.text().to_owned(), tokens)
    }

    /// Gives up waiting for the rest of a character that the last token has begun.
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
            kl_nats: drawn.kl_nats,
            alternatives: drawn
                .likely
                .iter()
                .map(|likely| alternative(likely, tokenizer))
                .collect(),
        }
    }
}

fn alternative(likely: &Likely, tokenizer: &Tokenizer) -> Alternative {
    let Likely { id, logp_base, logp_guided } = *likely;
    Alternative { id, text: tokenizer.piece(id), logp_base, logp_guided }
}
