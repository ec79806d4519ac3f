//! What there is to say of one candidate at the end of a chunk: shown where the pointer rests on
//! it, in the plot and in the tree.

use eframe::egui::text::{LayoutJob, TextFormat};
use eframe::egui::{Label, RichText, Ui};

use super::focus::ChunkRef;
use super::lineage::{beam_text, candidate};
use super::theme::{Palette, space, text};
use crate::guidance::trace::{Candidate, ChunkTrace};
use crate::words::minus;

const WIDTH: f32 = 320.0;
/// Letters shown of the text before the chunk.
const BEFORE: usize = 200;

/// The card of a candidate.
pub struct ChunkCard<'a> {
    /// The column's title.
    pub title: &'a str,
    /// The prompt, which every beam begins with.
    pub prompt: &'a str,
    /// The search.
    pub chunks: &'a [ChunkTrace],
    /// Which candidate.
    pub at: ChunkRef,
}

impl ChunkCard<'_> {
    /// Shows it.
    pub fn show(self, ui: &mut Ui) {
        let Self { title, prompt, chunks, at } = self;
        let Some(found) = candidate(chunks, at.chunk, at.candidate) else { return };
        let p = Palette::of(ui);
        ui.set_width(WIDTH);
        ui.spacing_mut().item_spacing.y = space::XS;
        let heading = format!("{title} · chunk {} of {}", at.chunk + 1, chunks.len());
        let heading = RichText::new(heading).font(text::heading()).color(p.column(at.slot));
        ui.add(Label::new(heading));
        let facts = RichText::new(facts(at.candidate, found)).font(text::small()).color(p.weak);
        ui.add(Label::new(facts));
        let before = match (at.chunk.checked_sub(1), found.parent) {
            (Some(chunk), Some(parent)) => prompt.to_owned() + &beam_text(chunks, chunk, parent),
            _ => prompt.to_owned(),
        };
        let mut job = LayoutJob::default();
        let format = |color| TextFormat { font_id: text::body(), color, ..TextFormat::default() };
        job.append(&tail(&before, BEFORE), 0.0, format(p.weak));
        job.append(&found.text, 0.0, format(p.text));
        ui.add(Label::new(job).wrap());
    }
}

/// A value with its sign, or a dash.
pub fn value_words(value: Option<f32>) -> String {
    value.map_or("–".into(), |v| minus(&format!("{v:+.2}")))
}

/// Whether a candidate was kept, in one word.
pub fn fate(candidate: &Candidate) -> &'static str {
    if candidate.survived { "kept" } else { "dropped" }
}

/// A candidate in one line: what happened to it and what it is worth.
fn facts(index: usize, candidate: &Candidate) -> String {
    let ended = if candidate.ended { " · ended" } else { "" };
    let (value, tokens) = (value_words(candidate.value), candidate.tokens);
    let fate = fate(candidate);
    format!("candidate {} · {fate}{ended} · value {value} · {tokens} tokens", index + 1)
}

/// The name of a candidate, for those who cannot see where it stands.
pub fn name(at: ChunkRef, candidate: &Candidate) -> String {
    let (chunk, number) = (at.chunk + 1, at.candidate + 1);
    let value = value_words(candidate.value);
    format!("Chunk {chunk}, candidate {number}, {}, value {value}", fate(candidate))
}

/// The last `most` letters, from a word on where there is one.
fn tail(text: &str, most: usize) -> String {
    let Some((cut, _)) = text.char_indices().rev().nth(most.saturating_sub(1)) else {
        return text.to_owned();
    };
    if cut == 0 {
        return text.to_owned();
    }
    let rest = &text[cut..];
    let words = rest.find(' ').map_or(rest, |space| &rest[space..]);
    format!("…{words}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::lineage::tests::made;

    #[test]
    fn a_long_text_is_cut_before_a_word() {
        assert_eq!(tail("short", 10), "short");
        assert_eq!(tail("exactly 10", 10), "exactly 10");
        assert_eq!(tail("one two three", 8), "… three");
        assert_eq!(tail("ééééé", 3), "…ééé");
        assert_eq!(tail("", 3), "");
    }

    #[test]
    fn a_name_says_where_and_what() {
        let at = ChunkRef { slot: 1, chunk: 2, candidate: 4 };
        assert_eq!(name(at, &made(None, 1.2, true, 5)), "Chunk 3, candidate 5, kept, value +1.20");
        let mut nothing = made(None, 1.2, false, 5);
        nothing.value = None;
        assert_eq!(name(at, &nothing), "Chunk 3, candidate 5, dropped, value –");
    }
}
