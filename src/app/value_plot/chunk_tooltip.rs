//! The tooltip of a candidate at the end of a chunk, in the plot and in the tree.

use eframe::egui::text::{LayoutJob, TextFormat};
use eframe::egui::{Label, RichText, Ui};

use crate::app::state::selection::ChunkRef;
use crate::app::theme::{Palette, space, text};
use crate::format::minus;
use crate::guidance::lineage::{beam_text, candidate};
use crate::guidance::trace::{Candidate, ChunkTrace};

const WIDTH: f32 = 320.0;
/// Characters shown of the text before the chunk.
const MAX_CONTEXT: usize = 200;

pub(crate) struct ChunkTooltip<'a> {
    /// Title of the column.
    pub(crate) title: &'a str,
    pub(crate) prompt: &'a str,
    /// All chunks of the column.
    pub(crate) chunks: &'a [ChunkTrace],
    pub(crate) at: ChunkRef,
}

impl ChunkTooltip<'_> {
    pub(crate) fn show(self, ui: &mut Ui) {
        let Self { title, prompt, chunks, at } = self;
        let Some(found) = candidate(chunks, at.chunk, at.candidate) else { return };
        let p = Palette::of(ui);
        ui.set_width(WIDTH);
        ui.spacing_mut().item_spacing.y = space::XS;
        let heading = format!("{title} · chunk {} of {}", at.chunk + 1, chunks.len());
        let heading = RichText::new(heading).font(text::heading()).color(p.column(at.column));
        ui.add(Label::new(heading));
        let facts = RichText::new(facts(at.candidate, found)).font(text::small()).color(p.weak);
        ui.add(Label::new(facts));
        let before = match (at.chunk.checked_sub(1), found.parent) {
            (Some(chunk), Some(parent)) => prompt.to_owned() + &beam_text(chunks, chunk, parent),
            _ => prompt.to_owned(),
        };
        let mut job = LayoutJob::default();
        let format = |color| TextFormat { font_id: text::body(), color, ..TextFormat::default() };
        job.append(&tail(&before, MAX_CONTEXT), 0.0, format(p.weak));
        job.append(&found.text, 0.0, format(p.text));
        ui.add(Label::new(job).wrap());
    }
}

/// Returns a value with its sign, or a dash.
pub(crate) fn value_text(value: Option<f32>) -> String {
    value.map_or("–".into(), |v| minus(&format!("{v:+.2}")))
}

/// Returns "kept" or "dropped".
pub(crate) fn outcome(candidate: &Candidate) -> &'static str {
    if candidate.survived { "kept" } else { "dropped" }
}

fn facts(index: usize, candidate: &Candidate) -> String {
    let ended = if candidate.ended { " · ended" } else { "" };
    let (value, tokens) = (value_text(candidate.value), candidate.tokens);
    let outcome = outcome(candidate);
    format!("candidate {} · {outcome}{ended} · value {value} · {tokens} tokens", index + 1)
}

/// Returns the accessible name of a candidate.
pub(crate) fn name(at: ChunkRef, candidate: &Candidate) -> String {
    let (chunk, number) = (at.chunk + 1, at.candidate + 1);
    let value = value_text(candidate.value);
    format!("Chunk {chunk}, candidate {number}, {}, value {value}", outcome(candidate))
}

/// Returns the last `max_length` characters, from the beginning of a word if possible.
fn tail(text: &str, max_length: usize) -> String {
    let Some((cut, _)) = text.char_indices().rev().nth(max_length.saturating_sub(1)) else {
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
    use crate::guidance::lineage::tests::candidate_of;

    #[test]
    fn cuts_a_long_text_before_a_word() {
        assert_eq!(tail("short", 10), "short");
        assert_eq!(tail("exactly 10", 10), "exactly 10");
        assert_eq!(tail("one two three", 8), "… three");
        assert_eq!(tail("ééééé", 3), "…ééé");
        assert_eq!(tail("", 3), "");
    }

    #[test]
    fn a_name_has_position_outcome_and_value() {
        let at = ChunkRef { column: 1, chunk: 2, candidate: 4 };
        assert_eq!(
            name(at, &candidate_of(None, 1.2, true, 5)),
            "Chunk 3, candidate 5, kept, value +1.20"
        );
        let mut unvalued = candidate_of(None, 1.2, false, 5);
        unvalued.value = None;
        assert_eq!(name(at, &unvalued), "Chunk 3, candidate 5, dropped, value –");
    }
}
