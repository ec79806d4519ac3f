//! The word-by-word difference between two responses.

use std::sync::Arc;
use std::time::Duration;

use eframe::egui::{Ui, cache};
use similar::{ChangeTag, TextDiff};

/// Which of the two texts contain a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In both texts.
    Common,
    /// Not in the reference.
    Added,
    /// Only in the reference.
    Removed,
}

/// Pieces in reading order. All pieces except [`Kind::Removed`] together are the text.
pub(crate) type Changes = Arc<Vec<(Kind, String)>>;

/// Time limit of one comparison, so that it never blocks a frame. After it, the rest of the text is
/// compared more coarsely.
const TIME_LIMIT: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Differ;

impl cache::ComputerMut<(&str, &str), Changes> for Differ {
    fn compute(&mut self, (reference, text): (&str, &str)) -> Changes {
        Arc::new(changes(reference, text))
    }
}

/// Compares `text` with `reference` word by word. The result is cached while both are unchanged.
pub(crate) fn changes_cached(ui: &Ui, reference: &str, text: &str) -> Changes {
    type Cache = cache::FrameCache<Changes, Differ>;
    ui.memory_mut(|m| m.caches.cache::<Cache>().get((reference, text)).clone())
}

fn changes(reference: &str, text: &str) -> Vec<(Kind, String)> {
    let (old, new) = (words(reference), words(text));
    let diff = TextDiff::configure().timeout(TIME_LIMIT).diff_slices(&old, &new);
    let mut pieces: Vec<(Kind, String)> = Vec::new();
    for change in diff.iter_all_changes() {
        let kind = match change.tag() {
            ChangeTag::Equal => Kind::Common,
            ChangeTag::Insert => Kind::Added,
            ChangeTag::Delete => Kind::Removed,
        };
        match pieces.last_mut().filter(|(last, _)| *last == kind) {
            Some((_, piece)) => piece.push_str(change.value()),
            None => pieces.push((kind, change.value().to_owned())),
        }
    }
    pieces
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
        let found: Vec<_> = changes.iter().map(|(k, t)| (*k, t.as_str())).collect();
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

    proptest::proptest! {
        #[test]
        fn common_and_added_pieces_form_the_text(a in "[ab \n]{0,40}", b in "[ab é\n]{0,40}") {
            let without = |skipped| -> String {
                let kept = changes(&a, &b).into_iter().filter(move |(k, _)| *k != skipped);
                kept.map(|(_, t)| t).collect()
            };
            proptest::prop_assert_eq!(without(Kind::Removed), b.clone());
            proptest::prop_assert_eq!(without(Kind::Added), a.clone());
        }
    }
}
