//! The runs of the past: found, opened, compared, named, pinned, deleted.

use eframe::egui::{
    Align, Button, Frame, Key, Label, Layout, Popup, Response, RichText, ScrollArea, Sense, Stroke,
    TextEdit, Ui, vec2,
};

use super::Action;
use crate::app::archive::{Archive, Wanted};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, icon_button, menu};
use crate::records::clerk::Command;
use crate::records::history::{Entry, now_unix_ms, search};
use crate::words::{excerpt, minus};

/// The list.
pub struct HistoryList<'a> {
    /// What there is.
    pub archive: &'a mut Archive,
    /// Whether a run is shown beside which another one can stand.
    pub can_compare: bool,
}

impl HistoryList<'_> {
    /// Shows it over the whole of `ui`.
    pub fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        if !self.archive.is_open() {
            ui.label(RichText::new("No folder to keep runs in.").color(p.weak));
            return;
        }
        let edit = TextEdit::singleline(&mut self.archive.query).hint_text("Search runs");
        let width = ui.available_width() - space::L;
        ui.add(edit.desired_width(width)).accessible_name("Search runs");
        let now = now_unix_ms();
        let found = search(&self.archive.entries, &self.archive.query);
        let found: Vec<Entry> = found.into_iter().cloned().collect();
        if found.is_empty() {
            let words = if self.archive.entries.is_empty() {
                "Every run is kept here, to be opened again."
            } else {
                "No run has all these words."
            };
            ui.add_space(space::S);
            ui.label(RichText::new(words).color(p.weak));
        }
        ScrollArea::vertical().id_salt("history").auto_shrink(false).show(ui, |ui| {
            ui.set_max_width(width);
            ui.spacing_mut().item_spacing.y = space::S;
            for entry in &found {
                Item { archive: &mut *self.archive, entry, can_compare: self.can_compare, now }
                    .show(ui, actions);
            }
        });
    }
}

/// One run of the list.
struct Item<'a> {
    archive: &'a mut Archive,
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
            small(ui, &format!("{pinned}{when} · {}", self.entry.pack)).on_hover_text("When");
            for column in &self.entry.columns {
                let gold = column.gold_reward.map(|g| minus(&format!(" {g:+.1}")));
                let line = format!("{}{}", column.title, gold.unwrap_or_default());
                small(ui, &format!("{line}: {}", excerpt(&column.excerpt, 60)))
                    .on_hover_text(format!("{}\n{}", column.settings_line, column.excerpt));
            }
        });
    }

    /// Its name, a button that opens it; or the box in which it gets another one.
    fn title(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let id = &self.entry.id;
        if let Some((_, name)) = self.archive.renaming.as_mut().filter(|(i, _)| i == id) {
            let edit = ui.add(TextEdit::singleline(name).desired_width(f32::INFINITY));
            let edit = edit.accessible_name("New name");
            if edit.lost_focus() {
                let entered = ui.input(|i| i.key_pressed(Key::Enter));
                if entered {
                    let name = name.clone();
                    actions.push(Action::File(Command::Rename(id.clone(), name)));
                }
                self.archive.renaming = None;
            } else {
                edit.request_focus();
            }
            return;
        }
        let title = self.entry.title();
        let words = RichText::new(&title).font(text::group());
        let button = Button::new(words).frame_when_inactive(false).truncate();
        let button = ui.add(button).on_hover_text("Show this run, with its settings.");
        if button.accessible_name(format!("Run: {title}")).clicked() {
            actions.push(Action::Recall(id.clone(), Wanted::Shown));
        }
    }

    fn menu(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Entry { id, pinned, .. } = self.entry;
        let name = format!("More about {}", self.entry.title());
        let button = icon_button(ui, Icon::More, &name);
        Popup::menu(&button).show(|ui| {
            menu(ui, 190.0);
            let beside = ui.add_enabled(self.can_compare, Button::new("Put beside this run"));
            let beside = beside.on_hover_text("Its columns beside those that are shown.");
            if beside.on_disabled_hover_text("Show or make a run first.").clicked() {
                actions.push(Action::Recall(id.clone(), Wanted::Beside));
            }
            if ui.button("Use its settings").clicked() {
                actions.push(Action::Recall(id.clone(), Wanted::Settings));
            }
            ui.separator();
            if ui.button("Rename").clicked() {
                self.archive.renaming = Some((id.clone(), self.entry.title()));
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

/// How long ago, in words.
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
    fn times_are_told_roughly() {
        let minute = 60_000;
        assert_eq!(ago(100, 50), "just now");
        assert_eq!(ago(50, 100), "just now", "clocks are set back");
        assert_eq!(ago(minute, 0), "1 minute ago");
        assert_eq!(ago(minute * 150, 0), "2 hours ago");
        assert_eq!(ago(minute * 1440 * 3, 0), "3 days ago");
    }
}
