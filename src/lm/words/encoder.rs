//! Encodes a word as part of a text.

use std::sync::Arc;

use super::memory::{Memory, remembered};
use crate::lm::error::Result;
use crate::lm::tokenizer::Tokenizer;

/// A tokenizer that remembers the ids of words.
pub struct WordEncoder {
    tokenizer: Arc<Tokenizer>,
    words: Memory<u32>,
}

impl WordEncoder {
    /// Creates an encoder that has not encoded any words yet.
    pub fn new(tokenizer: impl Into<Arc<Tokenizer>>) -> Self {
        Self { tokenizer: tokenizer.into(), words: Memory::default() }
    }

    /// Returns the tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Returns the ids of a word that follows another text.
    pub(super) fn word(&self, word: &str) -> Result<Arc<[u32]>> {
        remembered(&self.words, word, || self.tokenizer.encode_continuation(word))
    }
}

/// Returns the offsets at which words start, except the first.
pub(super) fn word_starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    text.match_indices(' ')
        .map(|(at, _)| at)
        .filter(|&at| text[..at].chars().next_back().is_some_and(|c| !c.is_whitespace()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_start_at_spaces_after_other_characters() {
        let starts = |text: &str| word_starts(text).collect::<Vec<_>>();
        assert_eq!(starts(" a b  c\n d e "), [2, 4, 10, 12]);
        assert_eq!(starts(""), [] as [usize; 0]);
        assert_eq!(starts("é ü"), [2]);
    }
}
