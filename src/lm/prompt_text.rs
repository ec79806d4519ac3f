//! A text for a model that knows which of its parts were typed. Control tokens, such as
//! `<|im_end|>`, are recognised only where a template wrote them: pasted text must not end a turn.

use std::ops::Range;

use aho_corasick::AhoCorasick;

/// A text in which some parts are plain: what looks like a control token there is read as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptText {
    text: String,
    /// Byte ranges that no control token may overlap, in order.
    plain: Vec<Range<usize>>,
}

impl PromptText {
    /// A text whose control tokens are recognised.
    pub fn control(text: impl Into<String>) -> Self {
        Self { text: text.into(), plain: Vec::new() }
    }

    /// A text without control tokens, whatever it holds.
    pub fn plain(text: &str) -> Self {
        Self::default().then_plain(text)
    }

    /// This text, and `text` behind it, whose control tokens are recognised.
    #[must_use]
    pub fn then_control(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// This text, and plain `text` behind it.
    #[must_use]
    pub fn then_plain(mut self, text: &str) -> Self {
        let start = self.text.len();
        self.text.push_str(text);
        if !text.is_empty() {
            self.plain.push(start..self.text.len());
        }
        self
    }

    /// `template` with plain `typed` in every place of `placeholder`.
    pub fn fill(template: &str, placeholder: &str, typed: &str) -> Self {
        let mut parts = template.split(placeholder);
        let first = Self::control(parts.next().unwrap_or_default());
        parts.fold(first, |filled, part| filled.then_plain(typed).then_control(part))
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether no control token may overlap these bytes.
    pub(super) fn is_plain(&self, bytes: &Range<usize>) -> bool {
        // The first range that ends behind their beginning is the only one that may overlap.
        let at = self.plain.partition_point(|plain| plain.end <= bytes.start);
        self.plain.get(at).is_some_and(|plain| plain.start < bytes.end)
    }
}

/// Marks control tokens in typed text while a chat template is applied, which may cut, trim or
/// repeat what it is given. The mark is a noncharacter that these texts do not contain.
pub(super) struct Marker(char);

impl Marker {
    /// A marker for texts, none of which holds its character.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        // Noncharacters: Unicode keeps them for a program's own use.
        let is_free = |mark: &char| !texts.clone().into_iter().any(|text| text.contains(*mark));
        Self(('\u{FDD0}'..='\u{FDEF}').find(is_free).unwrap_or('\u{FDD0}'))
    }

    /// `text` with a mark behind the first character of everything in it that reads as one of
    /// `controls`, in capitals or not: a template may change them.
    pub fn mark(&self, text: &str, controls: &[String]) -> String {
        let named = controls.iter().filter(|control| !control.is_empty());
        let finder = AhoCorasick::builder().ascii_case_insensitive(true).build(named);
        let Ok(finder) = finder else { return text.to_owned() };
        let mut begins: Vec<usize> =
            finder.find_overlapping_iter(text).map(|found| found.start()).collect();
        begins.sort_unstable();
        begins.dedup();
        let mut marked = String::with_capacity(text.len() + begins.len() * self.0.len_utf8());
        let mut done = 0;
        for begin in begins {
            let end = begin + text[begin..].chars().next().map_or(0, char::len_utf8);
            marked.push_str(&text[done..end]);
            marked.push(self.0);
            done = end;
        }
        marked + &text[done..]
    }

    /// `text` without marks, the character before each of them plain.
    pub fn unmark(&self, text: &str) -> PromptText {
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
    fn typed_text_is_plain_in_every_place_of_a_template() {
        let filled = PromptText::fill("<s>{prompt} and {prompt}</s>", "{prompt}", "<s>");
        assert_eq!(filled.text(), "<s><s> and <s></s>");
        let plain: Vec<bool> =
            [0..3, 3..6, 11..14, 14..18].iter().map(|bytes| filled.is_plain(bytes)).collect();
        assert_eq!(plain, [false, true, true, false]);
        assert_eq!(PromptText::fill("no place", "{prompt}", "x").text(), "no place");
    }

    #[test]
    fn marks_survive_what_a_template_does_to_a_text() {
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
