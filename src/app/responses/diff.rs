//! The word-by-word difference between two responses.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use eframe::egui::{Ui, cache};
use similar::{ChangeTag, TextDiff};

/// Which of the two texts contain a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In both texts, or part of a text that is not compared word by word.
    Common,
    /// Not in the reference.
    Added,
    /// Only in the reference.
    Removed,
}

/// How a text differs from a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Pieces in reading order. All pieces except [`Kind::Removed`] together are the text. If the
    /// texts share few words, the whole text is one [`Kind::Common`] piece.
    pub(crate) pieces: Vec<(Kind, String)>,
    /// Byte range of the first word of the text that differs, without the white space before it.
    /// `None` if all words are those with which the reference starts.
    pub(crate) fork: Option<Range<usize>>,
}

/// Texts that share less than one word in this number are not compared word by word.
const MAX_WORDS_PER_SHARED_WORD: usize = 3;

/// Time limit of one comparison, so that it never blocks a frame. After it, the rest of the text is
/// compared more coarsely.
const TIME_LIMIT: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Differ;

impl cache::ComputerMut<(&str, &str), Arc<Changes>> for Differ {
    fn compute(&mut self, (reference, text): (&str, &str)) -> Arc<Changes> {
        Arc::new(changes(reference, text))
    }
}

/// Compares `text` with `reference` word by word. The result is cached while both are unchanged.
pub(crate) fn changes_cached(ui: &Ui, reference: &str, text: &str) -> Arc<Changes> {
    type Cache = cache::FrameCache<Arc<Changes>, Differ>;
    ui.memory_mut(|m| m.caches.cache::<Cache>().get((reference, text)).clone())
}

fn changes(reference: &str, text: &str) -> Changes {
    let (old, new) = (words(reference), words(text));
    let fork = fork(&old, &new);
    let diff = TextDiff::configure().timeout(TIME_LIMIT).diff_slices(&old, &new);
    let mut pieces: Vec<(Kind, String)> = Vec::new();
    let mut shared = 0;
    for change in diff.iter_all_changes() {
        let kind = match change.tag() {
            ChangeTag::Equal => {
                shared += 1;
                Kind::Common
            }
            ChangeTag::Insert => Kind::Added,
            ChangeTag::Delete => Kind::Removed,
        };
        match pieces.last_mut().filter(|(last, _)| *last == kind) {
            Some((_, piece)) => piece.push_str(change.value()),
            None => pieces.push((kind, change.value().to_owned())),
        }
    }
    // The share of the texts' mean length.
    if 2 * shared * MAX_WORDS_PER_SHARED_WORD < old.len() + new.len() {
        pieces = vec![(Kind::Common, text.to_owned())];
    }
    Changes { pieces, fork }
}

/// Returns the byte range of the first word in `new` that differs from the word of `old` at the same
/// place.
fn fork(old: &[&str], new: &[&str]) -> Option<Range<usize>> {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let word = new.get(same)?;
    let start = new[..same].iter().map(|word| word.len()).sum::<usize>();
    let space = word.len() - word.trim_start().len();
    Some(start + space..start + word.len()).filter(|range| !range.is_empty())
}

/// Splits `text` into words. White space belongs to the word after it, as in model tokens.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut in_word = false;
    for (i, character) in text.char_indices() {
        if character.is_whitespace() && in_word {
            words.push(&text[start..i]);
            (start, in_word) = (i, false);
        } else if !character.is_whitespace() {
            in_word = true;
        }
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separates_added_and_removed_words() {
        let changes = changes(" a dull film.", " a bright and good film.");
        let found: Vec<_> = changes.pieces.iter().map(|(k, t)| (*k, t.as_str())).collect();
        assert_eq!(
            found,
            [
                (Kind::Common, " a"),
                (Kind::Removed, " dull"),
                (Kind::Added, " bright and good"),
                (Kind::Common, " film.")
            ]
        );
    }

    /// Returns the word at the fork.
    fn fork_word<'a>(reference: &str, text: &'a str) -> Option<&'a str> {
        changes(reference, text).fork.map(|range| &text[range])
    }

    #[test]
    fn the_fork_is_the_first_word_that_differs() {
        assert_eq!(fork_word(" a dull film.", " a bright dull film."), Some("bright"));
        assert_eq!(fork_word(" a dull film.", " a film."), Some("film."), "a word is missing");
        assert_eq!(fork_word(" a", " a\n\nfilm"), Some("film"), "the text goes on");
        assert_eq!(fork_word(" a dull film.", " a dull"), None, "the text only ends earlier");
        assert_eq!(fork_word(" a dull film.", " a dull film."), None);
        assert_eq!(fork_word("", ""), None);
    }

    #[test]
    fn texts_that_share_less_than_a_third_of_their_words_are_not_compared() {
        let (reference, text) = (" a b c d e f", " a u v w x y");
        let changes = changes(reference, text);
        assert_eq!(changes.pieces, [(Kind::Common, text.to_owned())]);
        assert_eq!(changes.fork.map(|range| &text[range]), Some("u"), "the fork is still marked");
        // Two of six words are a third.
        let third = super::changes(reference, " a b v w x y");
        assert!(third.pieces.contains(&(Kind::Added, " v w x y".to_owned())));
    }

    proptest::proptest! {
        #[test]
        fn common_and_added_pieces_form_the_text(a in "[ab \n]{0,40}", b in "[ab é\n]{0,40}") {
            let without = |skipped| -> String {
                let pieces = changes(&a, &b).pieces;
                let kept = pieces.into_iter().filter(move |(k, _)| *k != skipped);
                kept.map(|(_, t)| t).collect()
            };
            let is_compared = changes(&a, &b).pieces != [(Kind::Common, b.clone())];
            proptest::prop_assert_eq!(without(Kind::Removed), b.clone());
            if is_compared {
                proptest::prop_assert_eq!(without(Kind::Added), a.clone());
            }
        }

        #[test]
        fn texts_agree_up_to_the_fork(a in "[ab \n]{0,40}", b in "[ab é\n]{0,40}") {
            if let Some(fork) = changes(&a, &b).fork {
                let before = b[..fork.start].trim_end();
                proptest::prop_assert!(a.starts_with(before));
                proptest::prop_assert!(!b[fork.clone()].contains(char::is_whitespace));
            } else {
                proptest::prop_assert!(a.starts_with(b.trim_end()));
            }
        }
    }
}
