//! The settings of the steers: guides made from sentences.

use eframe::egui::{Align, Frame, Id, Label, Layout, RichText, TextEdit, Ui, vec2};

use super::scales::{beta_scale, parse_number, rounded};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Edit, Explain, Icon, Setting, chip, icon_button};
use crate::format::{excerpt, minus};
use crate::guidance::settings::{Settings, limits};
use crate::guidance::steer::Steer;
use crate::worker::protocol::PackInfo;

const WITHOUT_PLACE: &str = "This model has no chat template. Sentences stand before the prompt, \
                             and the model follows them loosely.";
const SAME: &str = "Both sentences are the same, so nothing is steered.";

/// Draws all steers.
pub(super) fn steers(ui: &mut Ui, settings: &mut Settings, pack: Option<&PackInfo>) -> Edit {
    let mut edit = Edit::default();
    let mut removed = None;
    let count = settings.steers.len();
    for (index, steer) in settings.steers.iter_mut().enumerate() {
        let number = if index == 0 { String::new() } else { format!(" {}", index + 1) };
        let frame = Frame::new().fill(Palette::of(ui).inset).corner_radius(space::RADIUS);
        frame.inner_margin(space::S).show(ui, |ui| {
            let is_new = ui.data_mut(|data| {
                let is_new = data.get_temp::<usize>(new_steer_id()) == Some(index);
                if is_new {
                    data.remove::<usize>(new_steer_id());
                }
                is_new
            });
            let (own, is_removed) = steer_fields(ui, steer, &number, is_new);
            edit |= own;
            if let Some(pack) = pack.filter(|_| steer.is_empty()) {
                edit |= examples(ui, steer, pack);
            }
            removed = removed.or(is_removed.then_some(index));
            if steer.is_without_effect() && !steer.is_empty() {
                note(ui, SAME);
            }
        });
    }
    if let Some(index) = removed {
        settings.steers.remove(index);
        edit |= Edit::at_once(true);
    }
    if count > 0 && pack.is_some_and(|pack| !pack.reads_instructions) {
        note(ui, WITHOUT_PLACE);
    }
    edit
}

/// Draws the button that adds a steer, unless there are as many as possible.
pub(super) fn add_steer(ui: &mut Ui, settings: &mut Settings) -> Edit {
    let count = settings.steers.len();
    if count >= *limits::STEERS.end() {
        return Edit::default();
    }
    let words = if count == 0 { "Steer by a sentence" } else { "Add a sentence" };
    let hint = "Steers towards what you write. The model reads the prompt with and without your \
                sentence, and the difference guides each token.";
    if chip(ui, words, false).explain(ui, hint).clicked() {
        ui.data_mut(|data| data.insert_temp(new_steer_id(), count));
        settings.steers.push(Steer::default());
    }
    Edit::default()
}

/// The index of a steer that was added in the last frame. Its first text box gets the focus.
fn new_steer_id() -> Id {
    Id::unique("new steer")
}

/// Draws the fields of one steer. Returns whether it was removed.
fn steer_fields(ui: &mut Ui, steer: &mut Steer, number: &str, is_new: bool) -> (Edit, bool) {
    let mut is_removed = false;
    let mut edit = Edit::default();
    ui.horizontal(|ui| {
        ui.add(Label::new(RichText::new("Steer towards").font(text::small())).selectable(false));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let name = format!("Remove the sentence{number}");
            is_removed = icon_button(ui, Icon::Close, &name).clicked();
        });
    });
    let towards = ("such as: Answer in one sentence.", format!("Steer towards{number}"));
    edit |= sentence_box(ui, &mut steer.towards, towards, is_new);
    ui.add(Label::new(RichText::new("and away from").font(text::small())).selectable(false));
    let away = ("optional; empty: the plain prompt", format!("Steer away from{number}"));
    edit |= sentence_box(ui, &mut steer.away, away, false);
    let name = format!("Sentence strength{number}");
    let hint = "0 is off. 1 steers as much as the sentence in the prompt does, more amplifies it. \
                Negative values reverse it.";
    let mut beta = rounded(steer.beta);
    let default = rounded(Steer::default().beta);
    let strength = Setting::new(&name, hint, beta_scale(), default).origin(0.0);
    let change = strength
        .marks(&[(-3.0, "−3"), (0.0, "0 off"), (3.0, "+3")])
        .number_format(|v| minus(&format!("{v:.2}")), parse_number)
        .show(ui, &mut beta);
    if change.changed {
        steer.beta = beta as f32;
    }
    edit |= change;
    (edit, is_removed)
}

/// Draws the example steers of the pack. A click copies one.
fn examples(ui: &mut Ui, steer: &mut Steer, pack: &PackInfo) -> Edit {
    let mut edit = Edit::default();
    ui.scope(|ui| {
        let spacing = ui.spacing_mut();
        spacing.button_padding = vec2(9.0, 2.0);
        spacing.interact_size.y = 22.0;
        for example in &pack.steers {
            let words = excerpt(&example.towards, 36);
            let response = chip(ui, &words, false);
            let response = response.accessible_name(format!("Example: {}", example.towards));
            if response.explain(ui, &example.name()).clicked() {
                *steer = example.clone();
                edit |= Edit::at_once(true);
            }
        }
    });
    edit
}

/// Draws a text box for a sentence. `words` are the hint of the empty box and its accessible name.
fn sentence_box(ui: &mut Ui, sentence: &mut String, words: (&str, String), focus: bool) -> Edit {
    let (hint, name) = words;
    let edit = TextEdit::multiline(sentence)
        .desired_rows(1)
        .desired_width(f32::INFINITY)
        .char_limit(*limits::INSTRUCTION_CHARS.end())
        .hint_text(hint);
    let response = ui.add(edit);
    if focus {
        response.request_focus();
    }
    let changed = response.changed();
    let response = response.accessible_name(name);
    Edit { changed, committed: response.lost_focus() }
}

fn note(ui: &mut Ui, words: &str) {
    let words = RichText::new(words).font(text::small()).color(Palette::of(ui).weak);
    ui.add(Label::new(words).selectable(false));
}
