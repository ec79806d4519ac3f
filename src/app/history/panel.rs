//! The list of past runs in the sidebar: search, open, compare, rename, pin and delete.

use eframe::egui::{
    Align, Button, Frame, Key, Label, Layout, Popup, Response, RichText, ScrollArea, Sense, Stroke,
    TextEdit, Ui, vec2,
};

use super::state::HistoryState;
use crate::app::action::Action;
use crate::app::action::RecallMode;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, icon_button, menu};
use crate::format::{excerpt, minus};
use crate::records::history::{Entry, now_unix_ms, search};
use crate::records::record_writer::Command;

pub(crate) struct HistoryList<'a> {
    pub(crate) history: &'a mut HistoryState,
    /// Whether another run can be added to the run shown.
    pub(crate) can_compare: bool,
}

impl HistoryList<'_> {
    /// Draws the list. Fills `ui`.
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        if !self.history.is_open() {
            let words = "Past runs are not available: there is no folder for application data.";
            ui.label(RichText::new(words).color(p.weak));
            return;
        }
        let edit = TextEdit::singleline(&mut self.history.query).hint_text("Search runs");
        let width = ui.available_width() - space::L;
        ui.add(edit.desired_width(width)).accessible_name("Search runs");
        let now = now_unix_ms();
        let matches = search(&self.history.entries, &self.history.query);
        let matches: Vec<Entry> = matches.into_iter().cloned().collect();
        if matches.is_empty() {
            let words = if self.history.entries.is_empty() {
                "No past runs. Finished runs are kept here."
            } else {
                "No run contains all these words."
            };
            ui.add_space(space::S);
            ui.label(RichText::new(words).color(p.weak));
        }
        ScrollArea::vertical().id_salt("history").auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(width);
            ui.spacing_mut().item_spacing.y = space::S;
            for entry in &matches {
                Item { history: &mut *self.history, entry, can_compare: self.can_compare, now }
                    .show(ui, actions);
            }
        });
    }
}

struct Item<'a> {
    history: &'a mut HistoryState,
    entry: &'a Entry,
    can_compare: bool,
    now: u64,
}

impl Item<'_> {
    fn show(mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let frame = Frame::new()
            .fill(p.inset)
            .stroke(Stroke::new(1.0, p.border))
            .corner_radius(space::RADIUS)
            .inner_margin(space::S);
        frame.show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing = vec2(space::XS, 2.0);
            ui.spacing_mut().button_padding.x = 0.0;
            ui.horizontal(|ui| {
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    self.menu(ui, actions);
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        self.title(ui, actions);
                    });
                });
            });
            let pinned = if self.entry.pinned { "pinned · " } else { "" };
            let when = ago(self.now, self.entry.unix_ms);
            small(ui, &format!("{pinned}{when} · {}", self.entry.pack))
                .on_hover_text("Age and pack of the run");
            for column in &self.entry.columns {
                let gold = column.gold_reward.map(|g| minus(&format!(" {g:+.1}")));
                let line = format!("{}{}", column.title, gold.unwrap_or_default());
                small(ui, &format!("{line}: {}", excerpt(&column.excerpt, 60)))
                    .on_hover_text(format!("{}\n{}", column.settings_line, column.excerpt));
            }
        });
    }

    /// Draws the title as a button that opens the run, or as a text box while the run is renamed.
    fn title(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let id = &self.entry.id;
        if let Some((_, name)) = self.history.renaming.as_mut().filter(|(i, _)| i == id) {
            let edit = ui.add(TextEdit::singleline(name).desired_width(f32::INFINITY));
            let edit = edit.accessible_name("New name");
            if edit.lost_focus() {
                let entered = ui.input(|i| i.key_pressed(Key::Enter));
                if entered {
                    let name = name.clone();
                    actions.push(Action::File(Command::Rename(id.clone(), name)));
                }
                self.history.renaming = None;
            } else {
                edit.request_focus();
            }
            return;
        }
        let title = self.entry.title();
        let words = RichText::new(&title).font(text::group());
        let button = Button::new(words).frame_when_inactive(false).truncate();
        let button = ui.add(button).on_hover_text("Shows this run with its prompt and settings.");
        if button.accessible_name(format!("Run: {title}")).clicked() {
            actions.push(Action::Recall(id.clone(), RecallMode::Shown));
        }
    }

    fn menu(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Entry { id, pinned, .. } = self.entry;
        let name = format!("More about {}", self.entry.title());
        let button = icon_button(ui, Icon::More, &name);
        Popup::menu(&button).show(|ui| {
            menu(ui, 190.0);
            let compare = Button::new("Add to the run shown");
            let compare = ui.add_enabled(self.can_compare, compare);
            let compare = compare.on_hover_text("Adds its columns beside the columns shown.");
            if compare.on_disabled_hover_text("Show or start a run first.").clicked() {
                actions.push(Action::Recall(id.clone(), RecallMode::Beside));
            }
            if ui.button("Use its settings").clicked() {
                actions.push(Action::Recall(id.clone(), RecallMode::Settings));
            }
            ui.separator();
            if ui.button("Rename").clicked() {
                self.history.renaming = Some((id.clone(), self.entry.title()));
            }
            if ui.button(if *pinned { "Unpin" } else { "Pin" }).clicked() {
                actions.push(Action::File(Command::Pin(id.clone(), !pinned)));
            }
            if ui.button("Delete").clicked() {
                actions.push(Action::File(Command::Delete(id.clone())));
            }
        });
    }
}

fn small(ui: &mut Ui, words: &str) -> Response {
    let words = RichText::new(words).font(text::small()).color(Palette::of(ui).weak);
    ui.add(Label::new(words).selectable(false).truncate().sense(Sense::hover()))
}

/// Formats the time since `then_ms`.
fn ago(now_ms: u64, then_ms: u64) -> String {
    let minutes = now_ms.saturating_sub(then_ms) / 60_000;
    let count = |n: u64, unit: &str| format!("{n} {unit}{} ago", if n == 1 { "" } else { "s" });
    match minutes {
        0 => "just now".into(),
        1..60 => count(minutes, "minute"),
        60..1440 => count(minutes / 60, "hour"),
        _ => count(minutes / 1440, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_rounded_down_to_whole_units() {
        let minute = 60_000;
        assert_eq!(ago(100, 50), "just now");
        assert_eq!(ago(50, 100), "just now", "the clock was set back");
        assert_eq!(ago(minute, 0), "1 minute ago");
        assert_eq!(ago(minute * 150, 0), "2 hours ago");
        assert_eq!(ago(minute * 1440 * 3, 0), "3 days ago");
    }
}
