//! The prompt box. It refuses prompts that are too long for the models, because laying out a
//! megabyte in every frame would block the window. It never cuts a prompt.

use std::borrow::Cow;

use eframe::egui::{Context, Event, Id, Margin, Response, RichText, ScrollArea, TextEdit, Ui};

use crate::app::state::availability::prompt_too_long;
use crate::app::theme::{Palette, space, text};

/// Number of bytes at the end of a prompt that are drawn before its response.
const MAX_SHOWN_BYTES: usize = 8000;
const HINT: &str = "Type a text to continue, or a question";
/// Maximum height of the box. A longer prompt scrolls.
const MAX_HEIGHT: f32 = 76.0;

/// Returns the id of the prompt box, to focus it.
pub(crate) fn prompt_id() -> Id {
    Id::unique("prompt")
}

/// Drops pasted text that is too long for a prompt, and returns the reason. Must be called before
/// the panels are drawn.
pub(crate) fn refuse_paste(ctx: &Context) -> Option<String> {
    let mut reason = None;
    ctx.input_mut(|i| {
        i.events.retain(|event| {
            let Event::Paste(text) = event else { return true };
            reason = prompt_too_long(text).or(reason.take());
            prompt_too_long(text).is_none()
        });
    });
    reason.map(|reason| format!("Nothing was pasted: {reason} Paste a part of it."))
}

/// Returns the end of a prompt that is drawn before a response.
pub(crate) fn prompt_tail(prompt: &str) -> Cow<'_, str> {
    let Some(from) = prompt.len().checked_sub(MAX_SHOWN_BYTES).filter(|from| *from > 0) else {
        return Cow::Borrowed(prompt);
    };
    let from = (from..prompt.len()).find(|&i| prompt.is_char_boundary(i)).unwrap_or(prompt.len());
    Cow::Owned(format!("…{}", &prompt[from..]))
}

/// Draws the prompt box with several lines. If the prompt is too long, draws the reason and a
/// button that clears it instead.
pub(crate) fn prompt_box(ui: &mut Ui, prompt: &mut String, heading: &Response) {
    if let Some(reason) = prompt_too_long(prompt) {
        return refused(ui, prompt, &reason);
    }
    ScrollArea::vertical().id_salt("prompt").max_height(MAX_HEIGHT).show(ui, |ui| {
        let edit = TextEdit::multiline(prompt)
            .id(prompt_id())
            .hint_text(HINT)
            .desired_rows(3)
            .desired_width(f32::INFINITY)
            .margin(Margin::symmetric(10, 8));
        ui.add(edit).labelled_by(heading.id);
    });
}

/// Draws the prompt box with one line; see [`prompt_box`].
pub(crate) fn prompt_line(ui: &mut Ui, prompt: &mut String) {
    if let Some(reason) = prompt_too_long(prompt) {
        return refused(ui, prompt, &reason);
    }
    let edit = TextEdit::singleline(prompt)
        .id(prompt_id())
        .font(text::response())
        .hint_text(HINT)
        .desired_width(f32::INFINITY)
        .margin(Margin::symmetric(10, 8));
    ui.add(edit).accessible_name("Prompt");
}

fn refused(ui: &mut Ui, prompt: &mut String, reason: &str) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        ui.label(RichText::new(reason).color(Palette::of(ui).danger));
        if ui.button("Clear the prompt").clicked() {
            prompt.clear();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_the_beginning_at_a_character_boundary() {
        assert_eq!(prompt_tail("short"), "short");
        for extra in 0..4 {
            let prompt = "é語".repeat(MAX_SHOWN_BYTES) + &"x".repeat(extra);
            let end = prompt_tail(&prompt);
            assert!(end.starts_with('…') && end.len() <= MAX_SHOWN_BYTES + 3);
            assert!(prompt.ends_with(&end['…'.len_utf8()..]));
        }
    }
}
