//! Finds control tokens in a prompt, and typed text that only imitates one.

use std::ops::Range;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use serde_json::Value;

use super::vocabulary::{Added, Vocabulary};
use crate::lm::prompt_text::PromptText;

/// The control tokens of a tokenizer, which are its special tokens.
pub(super) struct Controls {
    names: Vec<String>,
    /// For each name: whether it strips the spaces before it, and those after it.
    strips: Vec<(bool, bool)>,
    /// Finds the longest name at each position; `None` if there are no names.
    finder: Option<AhoCorasick>,
    /// Whether names are matched in normalised text, where other characters can turn into a name.
    is_normalised: bool,
}

impl Controls {
    /// Creates the control tokens of a vocabulary. `json` is its `tokenizer.json`.
    pub(super) fn new(vocabulary: &Vocabulary, json: &Value) -> Self {
        let special = |token: &&Added| token.special && !token.content.is_empty();
        let special: Vec<&Added> = vocabulary.added().iter().filter(special).collect();
        let names: Vec<String> = special.iter().map(|token| token.content.clone()).collect();
        let builder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&names);
        Self {
            finder: builder.ok().filter(|_| !names.is_empty()),
            strips: special.iter().map(|token| (token.lstrip, token.rstrip)).collect(),
            is_normalised: can_create_characters(&json["normalizer"])
                && special.iter().any(|token| token.normalized),
            names,
        }
    }

    /// Returns the names, as they appear in a text.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Splits a prompt into parts to encode one by one. The flag of a part says whether control
    /// tokens are recognised in it. A prompt that does not imitate a control token is one part.
    pub(super) fn parts<'a>(&self, prompt: &'a PromptText) -> Vec<(&'a str, bool)> {
        let text = prompt.text();
        let mut parts: Vec<(Range<usize>, bool)> = Vec::new();
        let mut done = 0;
        for Found { control, imitates_before } in self.find(prompt) {
            // If any part of the text between two control tokens imitates one, all of that text is
            // encoded as plain text. Everything else stays in one part.
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

    /// Returns the control tokens of a prompt in order, followed by an empty one at its end.
    fn find(&self, prompt: &PromptText) -> Vec<Found> {
        let text = prompt.text();
        let mut all = Vec::new();
        let (mut from, mut done, mut imitates) = (0, 0, false);
        let may_normalise = |bytes: &Range<usize>| self.is_normalised && prompt.is_plain(bytes);
        while let Some(found) =
            self.finder.as_ref().and_then(|finder| finder.find(Input::new(text).range(from..)))
        {
            let bytes = found.range();
            if prompt.is_plain(&bytes) {
                imitates = true;
                // A real control token may begin inside an imitation.
                from = bytes.start + text[bytes.start..].chars().next().map_or(1, char::len_utf8);
                continue;
            }
            let control = self.with_spaces(text, bytes, found.pattern().as_usize(), done);
            let imitates_before = imitates || may_normalise(&(done..control.start));
            from = control.end;
            (done, imitates) = (control.end, false);
            all.push(Found { control, imitates_before });
        }
        let rest = done..text.len();
        let imitates_before = imitates || may_normalise(&rest);
        all.push(Found { control: text.len()..text.len(), imitates_before });
        all
    }

    /// Returns the range of a control token including the spaces that it strips. `done` is the end
    /// of the previous one.
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

/// Returns whether a normalizer can turn other characters into those of a control token.
/// SentencePiece's, which only writes ▁ for spaces, cannot.
fn can_create_characters(normalizer: &Value) -> bool {
    match normalizer["type"].as_str() {
        None | Some("NFC" | "NFD" | "Prepend" | "ByteLevel") => false,
        Some("Sequence") => {
            let parts = normalizer["normalizers"].as_array().map(Vec::as_slice);
            parts.unwrap_or_default().iter().any(can_create_characters)
        }
        Some("Replace") => normalizer["content"] != "▁" || normalizer["pattern"]["String"] != " ",
        Some(_) => true,
    }
}

/// A control token, and whether the text since the previous one imitates a control token.
struct Found {
    control: Range<usize>,
    imitates_before: bool,
}
