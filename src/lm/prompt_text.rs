//! Prompt text that separates template text from user text. Control tokens such as `<|im_end|>` are
//! recognised only in template text, so that pasted text cannot end a turn.

use std::ops::Range;

use aho_corasick::AhoCorasick;

/// A prompt with plain parts. In a plain part, control tokens are encoded as ordinary text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptText {
    text: String,
    /// Byte ranges of the plain parts, ascending.
    plain: Vec<Range<usize>>,
}

impl PromptText {
    /// Creates a prompt in which control tokens are recognised.
    pub fn control(text: impl Into<String>) -> Self {
        Self { text: text.into(), plain: Vec::new() }
    }

    /// Creates a plain prompt: no control tokens are recognised.
    pub fn plain(text: &str) -> Self {
        Self::default().then_plain(text)
    }

    /// Appends `text`, in which control tokens are recognised.
    #[must_use]
    pub fn then_control(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Appends `text` as plain text.
    #[must_use]
    pub fn then_plain(mut self, text: &str) -> Self {
        let start = self.text.len();
        self.text.push_str(text);
        if !text.is_empty() {
            self.plain.push(start..self.text.len());
        }
        self
    }

    /// Appends another prompt.
    #[must_use]
    pub(crate) fn then(mut self, other: Self) -> Self {
        let start = self.text.len();
        self.text.push_str(&other.text);
        self.plain.extend(other.plain.into_iter().map(|r| r.start + start..r.end + start));
        self
    }

    /// Replaces each `placeholder` in `template` with `typed` as plain text.
    pub fn fill(template: &str, placeholder: &str, typed: &str) -> Self {
        let mut parts = template.split(placeholder);
        let first = Self::control(parts.next().unwrap_or_default());
        parts.fold(first, |filled, part| filled.then_plain(typed).then_control(part))
    }

    /// Returns the whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether a plain part overlaps these bytes.
    pub(super) fn is_plain(&self, bytes: &Range<usize>) -> bool {
        // Ranges are ascending: only the first that ends after `bytes.start` needs a check.
        let index = self.plain.partition_point(|plain| plain.end <= bytes.start);
        self.plain.get(index).is_some_and(|plain| plain.start < bytes.end)
    }
}

/// Marks control tokens in user text before a chat template is applied, because the template may
/// cut, trim or repeat the text. The mark is a noncharacter that does not occur in the texts.
pub(super) struct Marker(char);

impl Marker {
    /// Creates a marker whose character does not occur in `texts`.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        // Unicode reserves these noncharacters for internal use.
        let is_free = |mark: &char| !texts.clone().into_iter().any(|text| text.contains(*mark));
        Self(('\u{FDD0}'..='\u{FDEF}').find(is_free).unwrap_or('\u{FDD0}'))
    }

    /// Inserts a mark after the first character of each occurrence of `controls` in `text`. Ignores
    /// ASCII case, because a template may change it.
    pub(super) fn mark(&self, text: &str, controls: &[String]) -> String {
        let controls = controls.iter().filter(|control| !control.is_empty());
        let finder = AhoCorasick::builder().ascii_case_insensitive(true).build(controls);
        let Ok(finder) = finder else { return text.to_owned() };
        let mut starts: Vec<usize> =
            finder.find_overlapping_iter(text).map(|found| found.start()).collect();
        starts.sort_unstable();
        starts.dedup();
        let mut marked = String::with_capacity(text.len() + starts.len() * self.0.len_utf8());
        let mut done = 0;
        for start in starts {
            let end = start + text[start..].chars().next().map_or(0, char::len_utf8);
            marked.push_str(&text[done..end]);
            marked.push(self.0);
            done = end;
        }
        marked + &text[done..]
    }

    /// Removes the marks from `text` and makes the character before each mark plain.
    pub(crate) fn unmark(&self, text: &str) -> PromptText {
        let mut unmarked = PromptText::default();
        for character in text.chars() {
            if character != self.0 {
                unmarked.text.push(character);
                continue;
            }
            let end = unmarked.text.len();
            let start = unmarked.text.char_indices().next_back().map_or(end, |(at, _)| at);
            unmarked.plain.push(start..end);
        }
        unmarked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_text_is_plain_in_each_placeholder() {
        let filled = PromptText::fill("<s>{prompt} and {prompt}</s>", "{prompt}", "<s>");
        assert_eq!(filled.text(), "<s><s> and <s></s>");
        let plain: Vec<bool> =
            [0..3, 3..6, 11..14, 14..18].iter().map(|bytes| filled.is_plain(bytes)).collect();
        assert_eq!(plain, [false, true, true, false]);
        assert_eq!(PromptText::fill("no place", "{prompt}", "x").text(), "no place");
    }

    #[test]
    fn marks_survive_trimming_by_a_template() {
        let controls = ["<|end|>".to_owned(), "<s>".to_owned()];
        let typed = "  \u{FDD0}a<|end|>b<s>  ";
        assert_eq!(Marker::new(["é<S>"]).mark("é<S>", &controls), "é<\u{FDD0}S>");
        let marker = Marker::new([typed]);
        let marked = marker.mark(typed, &controls);
        assert!(!controls.iter().any(|control| marked.contains(control)));
        let rendered = format!("<s>{}<|end|>", marked.trim());
        let prompt = marker.unmark(&rendered);
        assert_eq!(prompt.text(), "<s>\u{FDD0}a<|end|>b<s><|end|>");
        let plain = |part: &str| {
            let found = prompt.text().match_indices(part);
            found.map(|(at, part)| prompt.is_plain(&(at..at + part.len()))).collect::<Vec<_>>()
        };
        assert_eq!((plain("<s>"), plain("<|end|>")), (vec![false, true], vec![true, false]));
    }
}
