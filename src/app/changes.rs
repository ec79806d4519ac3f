//! Which words of a response another response does not have.

use std::sync::Arc;
use std::time::Duration;

use eframe::egui::{Ui, cache};
use similar::{ChangeTag, TextDiff};

/// A stretch of text: in both, here alone, or there alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Both have it.
    Common,
    /// The first column does not have it.
    Added,
    /// Only the first column has it.
    Removed,
}

/// Stretches in reading order; those that are not [`Kind::Removed`] make up the text.
pub type Changes = Arc<Vec<(Kind, String)>>;

/// After this the rest is told apart more coarsely; a frame must not wait for it.
const MOST_TIME: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Differ;

impl cache::ComputerMut<(&str, &str), Changes> for Differ {
    fn compute(&mut self, (reference, text): (&str, &str)) -> Changes {
        Arc::new(changes(reference, text))
    }
}

/// How `text` differs from `reference`, word by word. Computed once for as long as both stay.
pub fn changes_cached(ui: &Ui, reference: &str, text: &str) -> Changes {
    type Cache = cache::FrameCache<Changes, Differ>;
    ui.memory_mut(|m| m.caches.cache::<Cache>().get((reference, text)).clone())
}

fn changes(reference: &str, text: &str) -> Vec<(Kind, String)> {
    let (old, new) = (words(reference), words(text));
    let diff = TextDiff::configure().timeout(MOST_TIME).diff_slices(&old, &new);
    let mut stretches: Vec<(Kind, String)> = Vec::new();
    for change in diff.iter_all_changes() {
        let kind = match change.tag() {
            ChangeTag::Equal => Kind::Common,
            ChangeTag::Insert => Kind::Added,
            ChangeTag::Delete => Kind::Removed,
        };
        match stretches.last_mut().filter(|(last, _)| *last == kind) {
            Some((_, stretch)) => stretch.push_str(change.value()),
            None => stretches.push((kind, change.value().to_owned())),
        }
    }
    stretches
}

/// Words with the space before each, as models write them: a word that stays keeps its space.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut in_word = false;
    for (i, letter) in text.char_indices() {
        if letter.is_whitespace() && in_word {
            words.push(&text[start..i]);
            (start, in_word) = (i, false);
        } else if !letter.is_whitespace() {
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
    fn added_and_removed_words_are_told_apart() {
        let changes = changes(" a dull film.", " a bright and good film.");
        let seen: Vec<_> = changes.iter().map(|(k, t)| (*k, t.as_str())).collect();
        assert_eq!(
            seen,
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
        fn what_is_not_removed_is_the_text(a in "[ab \n]{0,40}", b in "[ab é\n]{0,40}") {
            let of = |skipped| -> String {
                let kept = changes(&a, &b).into_iter().filter(move |(k, _)| *k != skipped);
                kept.map(|(_, t)| t).collect()
            };
            proptest::prop_assert_eq!(of(Kind::Removed), b.clone());
            proptest::prop_assert_eq!(of(Kind::Added), a.clone());
        }
    }
}
