//! The tokens with which a model of another vocabulary can begin a text, if the base has written a
//! part of its last word.
//!
//! The base's tokens " won" and "derful" are one token, " wonderful", of the guide. After " won"
//! the guide has not decided for its token " won": all of its tokens that begin with " won" agree
//! with the text. But the base could also have written " wonderful" as one token, if it has that
//! token. Then it would not have written " won" first, so " wonderful" does not agree.
//!
//! A *cover* of a word is a sequence of the guide's tokens that begins with the word, ends with the
//! token that completes it, and is how the guide writes its text. It counts if the base's way of
//! writing that text begins with the base's way of writing the word. If base and guide have one
//! vocabulary, the only cover is the word's own tokens. Without the condition on the base these are
//! the valid covers of Hayase et al. 2025 (arXiv 2506.14123).

use std::sync::Arc;

use super::encoder::WordEncoder;
use super::memory::{Memory, remembered};
use crate::lm::error::Result;
use crate::lm::tokenizer::Tokenizer;

/// Tokens that begin with a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cover {
    /// The number of the word's own tokens that come first.
    pub kept: usize,
    /// The token after them.
    pub last: u32,
}

/// The vocabulary of a guide that reads the text of a base with another vocabulary.
pub struct GuideWords {
    own: Arc<WordEncoder>,
    base: WordEncoder,
    /// All ids with bytes, in the order of their bytes.
    by_bytes: Vec<u32>,
    covers: Memory<Cover>,
}

impl GuideWords {
    /// Joins the tokenizers of a guide and a base.
    pub fn new(own: Tokenizer, base: Arc<Tokenizer>) -> Self {
        let mut by_bytes: Vec<u32> =
            (0..own.vocab_size() as u32).filter(|&id| !own.bytes(id).is_empty()).collect();
        by_bytes.sort_by_key(|&id| own.bytes(id));
        let (own, base) = (Arc::new(WordEncoder::new(own)), WordEncoder::new(base));
        Self { own, base, by_bytes, covers: Memory::default() }
    }

    /// Returns the encoder of the guide.
    pub fn own(&self) -> &Arc<WordEncoder> {
        &self.own
    }

    /// Returns all covers of `word`, which starts with a space after another word.
    ///
    /// # Errors
    /// Same as [`Tokenizer::encode`].
    pub fn covers(&self, word: &str) -> Result<Arc<[Cover]>> {
        remembered(&self.covers, word, || self.find(&self.own.word(word)?, 0, word, true))
    }

    /// Returns the covers of a text with the tokens `ids`. Its first `before` bytes belong to the
    /// prompt, and `word` is the rest. With `check_own`, the guide must write the text of the cover
    /// with the tokens of the cover.
    pub(super) fn find(
        &self,
        ids: &[u32],
        before: usize,
        word: &str,
        check_own: bool,
    ) -> Result<Vec<Cover>> {
        let own = self.own.tokenizer();
        let written = self.base.word(word)?;
        let mut covers = Vec::new();
        for kept in (0..ids.len()).rev() {
            // A control token has no bytes that a longer token could contain.
            if own.bytes(ids[kept]).is_empty() {
                break;
            }
            let bytes = |ids: &[u32]| -> Vec<u8> {
                ids.iter().flat_map(|&id| own.bytes(id)).copied().collect()
            };
            let (head, rest) = (bytes(&ids[..kept]), bytes(&ids[kept..]));
            for &last in self.that_begin_with(&rest) {
                let text = [&head[..], own.bytes(last)].concat();
                let Some(text) = text.get(before..).and_then(|text| std::str::from_utf8(text).ok())
                else {
                    continue;
                };
                let is_own = || -> Result<bool> {
                    let ids = (&ids[..kept], last);
                    Ok(self.own.word(text)?.split_last().is_some_and(|(l, h)| (h, *l) == ids))
                };
                if (text == word || self.base.word(text)?.starts_with(&written))
                    && (!check_own || is_own()?)
                {
                    covers.push(Cover { kept, last });
                }
            }
        }
        Ok(covers)
    }

    /// Returns the ids whose bytes begin with `prefix`.
    fn that_begin_with(&self, prefix: &[u8]) -> &[u32] {
        let bytes = |id: &u32| self.own.tokenizer().bytes(*id);
        let start = self.by_bytes.partition_point(|id| bytes(id) < prefix);
        let rest = &self.by_bytes[start..];
        &rest[..rest.partition_point(|id| bytes(id).starts_with(prefix))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn tokenizer(path: &str) -> Tokenizer {
        Tokenizer::load(Path::new(path)).expect("valid")
    }

    #[test]
    fn with_one_vocabulary_a_word_is_covered_by_its_own_tokens() {
        let words = GuideWords::new(
            tokenizer("assets/packs/imdb/base"),
            tokenizer("assets/packs/imdb/base").into(),
        );
        for word in [" wonder", " wonderful", " film", " xqz", " b", " don't", " 1", " é", " "] {
            let ids = words.own.word(word).expect("valid");
            let last = *ids.last().expect("valid");
            let own = Cover { kept: ids.len() - 1, last };
            assert_eq!(*words.covers(word).expect("valid"), [own], "{word}");
        }
    }

    /// The base of this test writes every byte as one token, so it excludes no cover.
    #[test]
    fn all_longer_tokens_cover_the_start_of_a_word() {
        let base = Arc::new(tokenizer("tests/goldens/tokenizer"));
        let words = GuideWords::new(tokenizer("assets/packs/imdb/base"), base);
        let own = words.own.tokenizer();
        let text = |word: &str| -> Vec<String> {
            let ids = words.own.word(word).expect("valid");
            let covers = words.covers(word).expect("valid");
            covers.iter().map(|c| own.decode(&[&ids[..c.kept], &[c.last]].concat())).collect()
        };
        assert!(text(" wond").contains(&" wonderful".to_owned()));
        assert!(text(" wonderful").contains(&" wonderfully".to_owned()));
        for word in [" wond", " terr", " a", " bor"] {
            assert!(text(word).iter().all(|text| text.starts_with(word)), "{word}");
        }
    }
}
