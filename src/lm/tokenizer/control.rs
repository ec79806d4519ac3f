//! Where control tokens stand in a text, and where typed text only looks like one.

use std::ops::Range;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use serde_json::Value;

use super::vocabulary::{Added, Vocabulary};
use crate::lm::prompt_text::PromptText;

/// The control tokens of a tokenizer: its special tokens.
pub(super) struct Controls {
    names: Vec<String>,
    /// Per name whether it takes the spaces before it, and those behind it.
    strips: Vec<(bool, bool)>,
    /// Finds the longest one at a place; none for a tokenizer without any.
    finder: Option<AhoCorasick>,
    /// Whether one is looked for in normalised text, where it may arise from other characters.
    is_normalised: bool,
}

impl Controls {
    /// Those of a vocabulary, `json` being its tokenizer.
    pub fn new(vocabulary: &Vocabulary, json: &Value) -> Self {
        let special = |token: &&Added| token.special && !token.content.is_empty();
        let special: Vec<&Added> = vocabulary.added().iter().filter(special).collect();
        let names: Vec<String> = special.iter().map(|token| token.content.clone()).collect();
        let builder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&names);
        Self {
            finder: builder.ok().filter(|_| !names.is_empty()),
            strips: special.iter().map(|token| (token.lstrip, token.rstrip)).collect(),
            is_normalised: makes_characters(&json["normalizer"])
                && special.iter().any(|token| token.normalized),
            names,
        }
    }

    /// Their names, as they are written out.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The parts of a text that are to be encoded one by one, and whether control tokens are to be
    /// recognised in each. A text that does not imitate a control token is one part.
    pub fn parts<'a>(&self, prompt: &'a PromptText) -> Vec<(&'a str, bool)> {
        let text = prompt.text();
        let mut parts: Vec<(Range<usize>, bool)> = Vec::new();
        let mut done = 0;
        for Found { control, imitates_before } in self.find(prompt) {
            // The text between two control tokens contains none itself, so all of it is plain where
            // a part of it looks like one. Everything else stays together.
            if imitates_before && control.start > done {
                parts.push((done..control.start, false));
                done = control.start;
            }
            match parts.last_mut() {
                Some((last, true)) if last.end == done => last.end = control.end,
                _ if control.end > done => parts.push((done..control.end, true)),
                _ => {}
            }
            done = control.end;
        }
        parts.into_iter().map(|(bytes, control)| (&text[bytes], control)).collect()
    }

    /// The control tokens in a text in order, and its end as the last.
    fn find(&self, prompt: &PromptText) -> Vec<Found> {
        let text = prompt.text();
        let mut all = Vec::new();
        let (mut from, mut done, mut imitates) = (0, 0, false);
        let may_arise = |bytes: &Range<usize>| self.is_normalised && prompt.is_plain(bytes);
        while let Some(found) =
            self.finder.as_ref().and_then(|finder| finder.find(Input::new(text).range(from..)))
        {
            let bytes = found.range();
            if prompt.is_plain(&bytes) {
                imitates = true;
                // A real one may begin inside an imitation.
                from = bytes.start + text[bytes.start..].chars().next().map_or(1, char::len_utf8);
                continue;
            }
            let control = self.with_spaces(text, bytes, found.pattern().as_usize(), done);
            let imitates_before = imitates || may_arise(&(done..control.start));
            from = control.end;
            (done, imitates) = (control.end, false);
            all.push(Found { control, imitates_before });
        }
        let rest = done..text.len();
        let imitates_before = imitates || may_arise(&rest);
        all.push(Found { control: text.len()..text.len(), imitates_before });
        all
    }

    /// The bytes of a control token with the spaces that it takes, those from `done` on.
    fn with_spaces(
        &self,
        text: &str,
        bytes: Range<usize>,
        name: usize,
        done: usize,
    ) -> Range<usize> {
        let (left, right) = self.strips.get(name).copied().unwrap_or_default();
        let before = text[done..bytes.start].trim_end().len();
        let after = text[bytes.end..].trim_start().len();
        let start = if left { done + before } else { bytes.start };
        let end = if right { text.len() - after } else { bytes.end };
        start..end
    }
}

/// Whether a normalizer may make the characters of a control token of others: SentencePiece's, which
/// writes ▁ for spaces, does not.
fn makes_characters(normalizer: &Value) -> bool {
    match normalizer["type"].as_str() {
        None | Some("NFC" | "NFD" | "Prepend" | "ByteLevel") => false,
        Some("Sequence") => {
            let parts = normalizer["normalizers"].as_array().map(Vec::as_slice);
            parts.unwrap_or_default().iter().any(makes_characters)
        }
        Some("Replace") => normalizer["content"] != "▁" || normalizer["pattern"]["String"] != " ",
        Some(_) => true,
    }
}

/// A control token, and whether the text between the one before and it has an imitation.
struct Found {
    control: Range<usize>,
    imitates_before: bool,
}
