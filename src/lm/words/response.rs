//! Encodes growing responses to one prompt.

use std::sync::Arc;

use super::covers::{Cover, GuideWords};
use super::encoder::{WordEncoder, word_starts};
use super::memory::{Memory, remembered};
use crate::lm::error::Result;
use crate::lm::prompt_text::PromptText;

/// Maximum number of tokens at the end of a prompt that a response may change. A response can
/// continue the last word of the prompt.
const OPEN_TOKENS: usize = 8;

/// Encodes responses to one prompt. Prompt and response are one text: the response may continue the
/// last word of the prompt.
pub struct ResponseEncoder {
    words: Arc<WordEncoder>,
    prompt: PromptText,
    prompt_ids: Vec<u32>,
    /// Ids of the prompt and of the first word of a response, without the fixed ones.
    first_words: Memory<u32>,
    /// Covers of the first word of a response.
    first_covers: Memory<Cover>,
}

/// How much of a response cannot change any more when text is added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Bytes of the response.
    pub bytes: usize,
    /// Ids of the response, after the fixed ids of the prompt.
    pub ids: usize,
}

impl ResponseEncoder {
    /// Encodes the prompt.
    ///
    /// # Errors
    /// Same as [`Tokenizer::encode`].
    pub fn new(words: Arc<WordEncoder>, prompt: PromptText) -> Result<Self> {
        let prompt_ids = words.tokenizer().encode_prompt(&prompt)?;
        Ok(Self {
            words,
            prompt,
            prompt_ids,
            first_words: Memory::default(),
            first_covers: Memory::default(),
        })
    }

    /// Returns the ids of the prompt that no response changes.
    pub fn fixed(&self) -> &[u32] {
        let count = self.prompt_ids.len();
        &self.prompt_ids[..count - OPEN_TOKENS.min(count.saturating_sub(1))]
    }

    /// Returns the ids of the prompt.
    pub fn prompt_ids(&self) -> &[u32] {
        &self.prompt_ids
    }

    /// Returns the number of ids of the prompt and a response.
    ///
    /// # Errors
    /// Same as [`Tokenizer::encode`].
    pub fn tokens(&self, response: &str) -> Result<usize> {
        Ok(self.fixed().len() + self.encode(Settled::default(), response)?.1.len())
    }

    /// Encodes the part of `response` after `from`, which is the state of a shorter response.
    /// Returns the state of this response, and the ids after `from`.
    ///
    /// # Errors
    /// Same as [`Tokenizer::encode`].
    pub fn encode(&self, from: Settled, response: &str) -> Result<(Settled, Vec<u32>)> {
        let (mut settled, mut ids) = (from, Vec::new());
        let rest = response.get(from.bytes..).unwrap_or_default();
        let mut start = 0;
        for end in word_starts(rest).chain([rest.len()]) {
            settled = Settled { bytes: from.bytes + start, ids: from.ids + ids.len() };
            let word = &rest[start..end];
            if settled.bytes == 0 {
                ids.extend_from_slice(&self.first_word(word)?);
            } else {
                ids.extend_from_slice(&self.words.word(word)?);
            }
            start = end;
        }
        Ok((settled, ids))
    }

    /// Returns the covers of the last word of `response`, whose ids start after `settled`, which is
    /// the state of this response. Empty if only its own ids cover it.
    ///
    /// # Errors
    /// Same as [`Tokenizer::encode`].
    pub fn covers(
        &self,
        guide: &GuideWords,
        settled: Settled,
        response: &str,
    ) -> Result<Arc<[Cover]>> {
        let word = response.get(settled.bytes..).unwrap_or_default();
        if settled.bytes > 0 {
            return guide.covers(word);
        }
        remembered(&self.first_covers, word, || {
            let ids = self.first_word(word)?;
            let open = &self.prompt_ids[self.fixed().len()..];
            let rest = ids.strip_prefix(open);
            if word.starts_with(' ') && rest == Some(&*self.words.word(word)?) {
                let own = guide.covers(word)?;
                return Ok(own.iter().map(|c| Cover { kept: c.kept + open.len(), ..*c }).collect());
            }
            let bytes: usize = ids.iter().map(|&id| self.words.tokenizer().bytes(id).len()).sum();
            match bytes.checked_sub(word.len()) {
                Some(before) => guide.find(&ids, before, word, false),
                None => Ok(Vec::new()),
            }
        })
    }

    /// Returns the ids of the prompt and a word, without the fixed ones.
    fn first_word(&self, word: &str) -> Result<Arc<[u32]>> {
        let fixed = self.fixed();
        remembered(&self.first_words, word, || {
            let tokenizer = self.words.tokenizer();
            let mut ids = tokenizer.encode_prompt(&self.prompt.clone().then_plain(word))?;
            // If the word changes how the fixed part is read, it is encoded alone.
            if !ids.starts_with(fixed) {
                ids = [&self.prompt_ids[..], &tokenizer.encode(word)?].concat();
            }
            Ok(ids.split_off(fixed.len()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::tokenizer::Tokenizer;
    use proptest::prelude::*;
    use std::path::Path;

    const TOKENIZERS: [&str; 5] = [
        "assets/packs/imdb/base",
        "tests/goldens/tokenizer",
        "tests/corpus/tokenizer-llama-3/m",
        "tests/corpus/tokenizer-pieces-metaspace-old/m",
        "tests/corpus/tokenizer-pieces-normalizer/m",
    ];

    fn encoder(tokenizer: &str, prompt: &str) -> ResponseEncoder {
        let tokenizer = Tokenizer::load(Path::new(tokenizer)).expect("valid");
        let words = Arc::new(WordEncoder::new(tokenizer));
        ResponseEncoder::new(words, PromptText::plain(prompt)).expect("valid")
    }

    #[test]
    fn a_continuation_has_exactly_the_bytes_of_its_text() {
        for name in TOKENIZERS {
            let tokenizer = Tokenizer::load(Path::new(name)).expect("valid");
            for text in ["The film", " The film", "\n\nThe", "ful", "é", " 🦀", ", and", "  x"] {
                let ids = tokenizer.encode_continuation(text).expect("valid");
                assert_eq!(tokenizer.decode(&ids), text, "{name}");
            }
        }
    }

    #[test]
    fn words_encode_like_the_whole_text() {
        let encoders = TOKENIZERS.map(|name| (name, encoder(name, "The film")));
        let piece = "( |  |\n|[a-z]{1,6}|[A-Z'.,!?]|[0-9]{1,4}|é|日本|🦀)";
        proptest!(|(pieces in prop::collection::vec(piece, 1..30))| {
            for (name, encoder) in &encoders {
                let (mut response, mut ids) = (String::new(), Vec::new());
                let mut settled = Settled::default();
                for piece in &pieces {
                    response.push_str(piece);
                    ids.truncate(settled.ids);
                    let (now, tail) = encoder.encode(settled, &response).expect("valid");
                    ids.extend(tail);
                    settled = now;
                }
                let text = PromptText::plain("The film").then_plain(&response);
                let whole = encoder.words.tokenizer().encode_prompt(&text).expect("valid");
                let all = [encoder.fixed(), &ids].concat();
                prop_assert_eq!(all, whole, "{} {:?}", name, response);
            }
        });
    }

    #[test]
    fn a_response_that_changes_the_fixed_prompt_is_encoded_alone() {
        // Without a beginning-of-text token the only token of a short prompt is fixed.
        let path = Path::new("tests/goldens/tokenizer");
        let tokenizer = Tokenizer::load(path).expect("valid");
        assert!(tokenizer.prefix().is_empty(), "the test needs a tokenizer without a prefix");
        let whole = (0..tokenizer.vocab_size() as u32).find(|&id| {
            let bytes = tokenizer.bytes(id);
            let head = std::str::from_utf8(bytes.get(..1).unwrap_or_default()).unwrap_or_default();
            bytes.len() > 1
                && bytes.is_ascii()
                && tokenizer.encode(head).is_ok_and(|ids| ids.len() == 1)
        });
        let word = tokenizer.decode(&[whole.expect("valid")]);
        let (head, tail) = word.split_at(1);
        let encoder = encoder("tests/goldens/tokenizer", head);
        assert_eq!(encoder.fixed(), encoder.prompt_ids);
        let (_, ids) = encoder.encode(Settled::default(), tail).expect("valid");
        let tokenizer = encoder.words.tokenizer();
        assert_eq!(tokenizer.decode(&[encoder.fixed(), &ids].concat()), word);
        assert_ne!([encoder.fixed(), &ids].concat(), tokenizer.encode(&word).expect("valid"));
    }
}
