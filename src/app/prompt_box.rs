//! The box for the prompt, and what is too long for it. A box that lays out a megabyte with every
//! frame would stop the window; what no model here can read is refused instead, and never cut.

use std::borrow::Cow;

use eframe::egui::{Context, Event, Id, Margin, Response, RichText, ScrollArea, TextEdit, Ui};

use super::theme::{Palette, space, text};
use crate::words::counted;

/// Longest prompt, in bytes: several times what the models' contexts hold.
const MOST_BYTES: usize = 64 << 10;
/// Most lines of a prompt: each costs as much to draw as a long one.
const MOST_LINES: usize = 2000;
/// What is drawn of a prompt before its response, from its end.
const SHOWN_BYTES: usize = 8000;
/// What an empty box says.
const HINT: &str = "The beginning of a text, to be continued";
/// Height of the box; a longer prompt is scrolled.
const HEIGHT: f32 = 76.0;

/// The prompt box, for whoever wants to give it the focus.
pub fn prompt_id() -> Id {
    Id::unique("prompt")
}

/// Why `text` can be no prompt; none if it can.
pub fn why_too_long(text: &str) -> Option<String> {
    let lines = || 1 + text.bytes().filter(|&b| b == b'\n').count();
    // Short texts are looked at with every frame, and have few lines whatever they are.
    let is_short = text.len() < MOST_LINES;
    if is_short || (text.len() <= MOST_BYTES && lines() <= MOST_LINES) {
        return None;
    }
    let (kib, most) = (text.len().div_ceil(1024), MOST_BYTES >> 10);
    Some(format!(
        "{kib} KiB in {} are too long for a prompt; {most} KiB in {MOST_LINES} lines fit.",
        counted(lines(), "line")
    ))
}

/// Keeps text from the boxes that is too long for any; gives the reason. Asked before the panels
/// are drawn.
pub fn refuse_paste(ctx: &Context) -> Option<String> {
    let mut reason = None;
    ctx.input_mut(|i| {
        i.events.retain(|event| {
            let Event::Paste(text) = event else { return true };
            reason = why_too_long(text).or(reason.take());
            why_too_long(text).is_none()
        });
    });
    reason.map(|reason| format!("Nothing was pasted: {reason} Paste a part of it."))
}

/// The end of a prompt, as far as it is drawn before a response.
pub fn end_of(prompt: &str) -> Cow<'_, str> {
    let Some(from) = prompt.len().checked_sub(SHOWN_BYTES).filter(|from| *from > 0) else {
        return Cow::Borrowed(prompt);
    };
    let from = (from..prompt.len()).find(|&i| prompt.is_char_boundary(i)).unwrap_or(prompt.len());
    Cow::Owned(format!("…{}", &prompt[from..]))
}

/// The box over some lines; what it holds, if that is too long to be edited, and a way out.
pub fn prompt_box(ui: &mut Ui, prompt: &mut String, heading: &Response) {
    if let Some(reason) = why_too_long(prompt) {
        return refused(ui, prompt, &reason);
    }
    ScrollArea::vertical().id_salt("prompt").max_height(HEIGHT).show(ui, |ui| {
        let edit = TextEdit::multiline(prompt)
            .id(prompt_id())
            .hint_text(HINT)
            .desired_rows(3)
            .desired_width(f32::INFINITY)
            .margin(Margin::symmetric(10, 8));
        ui.add(edit).labelled_by(heading.id);
    });
}

/// The same in one line.
pub fn prompt_line(ui: &mut Ui, prompt: &mut String) {
    if let Some(reason) = why_too_long(prompt) {
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
    fn long_texts_and_many_lines_are_refused() {
        assert_eq!(why_too_long(&"a".repeat(MOST_BYTES)), None);
        assert_eq!(why_too_long(&"\n".repeat(MOST_LINES - 1)), None);
        let long = why_too_long(&"a".repeat(MOST_BYTES + 1));
        assert!(long.is_some_and(|r| r.starts_with("65 KiB in 1 line are")));
        let lines = why_too_long(&"a\n".repeat(10_000));
        assert!(lines.is_some_and(|r| r.starts_with("20 KiB in 10001 lines")));
    }

    #[test]
    fn the_end_of_a_prompt_begins_between_two_letters() {
        assert_eq!(end_of("short"), "short");
        for extra in 0..4 {
            let prompt = "é語".repeat(SHOWN_BYTES) + &"x".repeat(extra);
            let end = end_of(&prompt);
            assert!(end.starts_with('…') && end.len() <= SHOWN_BYTES + 3);
            assert!(prompt.ends_with(&end['…'.len_utf8()..]));
        }
    }
}
