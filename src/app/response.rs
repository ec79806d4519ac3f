//! The text of a response: laid out with the colours of its tokens, and found again under the
//! pointer.

use eframe::egui::{
    Color32, FontId, Galley, Vec2,
    text::{LayoutJob, TextFormat},
};

use super::coloring::Coloring;
use super::session::ArmView;
use super::theme::{Palette, RESPONSE_LINE, text};
use crate::guidance::trace::TokenTrace;

/// The prompt, then the decided tokens, then the provisional ones, then what is left of the run
/// before.
pub fn layout(p: &Palette, prompt: &str, view: &ArmView, coloring: Coloring) -> LayoutJob {
    let mut job = LayoutJob::default();
    let format = |font: FontId, color: Color32| {
        let line_height = Some(text::response().size * RESPONSE_LINE);
        TextFormat { font_id: font, color, line_height, ..TextFormat::default() }
    };
    job.append(prompt, 0.0, format(text::prompt(), p.weak));
    let report = &view.report;
    if coloring == Coloring::Plain {
        let (decided, provisional) = report.text.split_at(view.decided_bytes());
        job.append(decided, 0.0, format(text::response(), p.text));
        job.append(provisional, 0.0, format(text::response(), p.provisional));
    } else {
        for (index, token) in report.tokens.iter().enumerate() {
            // On a tint the weaker ink of provisional text would be hard to read.
            let mut format = format(text::response(), p.text);
            format.background = coloring.of(token, p).unwrap_or(Color32::TRANSPARENT);
            format.italics = index >= view.decided && !view.done;
            job.append(&token.text, 0.0, format);
        }
    }
    job.append(view.ghost_tail(), 0.0, format(text::response(), p.ghost));
    job
}

/// The token at `at`, counted from the galley's corner.
pub fn token_at<'t>(
    galley: &Galley,
    at: Vec2,
    prompt: &str,
    tokens: &'t [TokenTrace],
) -> Option<&'t TokenTrace> {
    if !galley.rect.contains(at.to_pos2()) {
        return None;
    }
    // The nearest place between two characters; the character meant is the one on the pointer's
    // side of it.
    let cursor = galley.cursor_from_pos(at);
    let edge = galley.pos_from_cursor(cursor);
    if !edge.y_range().contains(at.y) {
        return None;
    }
    let character =
        if at.x < edge.left() { cursor.index.0.checked_sub(1)? } else { cursor.index.0 };
    let mut left = character.checked_sub(prompt.chars().count())?;
    tokens.iter().find(|token| {
        let count = token.text.chars().count();
        let is_here = left < count;
        left = left.saturating_sub(count);
        is_here
    })
}
