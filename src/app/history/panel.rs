//! The list of past runs in the sidebar: search, open, compare, rename, pin and delete.

use eframe::egui::{
    Align, Button, CursorIcon, Key, Label, Layout, Popup, Rect, Response, RichText, Role,
    ScrollArea, Sense, Stroke, StrokeKind, TextEdit, TextStyle, TextWrapMode, Ui, UiBuilder,
    WidgetInfo, WidgetText, vec2,
};

use super::state::HistoryState;
use crate::app::action::Action;
use crate::app::action::RecallMode;
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, icon_button, menu, within};
use crate::format::{excerpt, minus};
use crate::records::history::{Entry, Group, grouped, now_unix_ms, search};
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
        if let Some(reason) = self.history.closed_reason() {
            let words = format!("Past runs are not available. {reason}");
            ui.label(RichText::new(words).color(p.weak));
            return;
        }
        let edit = TextEdit::singleline(&mut self.history.query).hint_text("Search runs");
        let width = ui.available_width() - space::L;
        ui.add(edit.desired_width(width)).accessible_name("Search runs");
        let now = now_unix_ms();
        let matches = search(&self.history.entries, &self.history.query);
        let groups = grouped(matches);
        if groups.is_empty() {
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
            for Group { newest: entry, count } in &groups {
                let (count, can_compare) = (*count, self.can_compare);
                Card { history: &mut *self.history, entry, count, can_compare, now }
                    .show(ui, actions);
            }
        });
    }
}

/// Height of the row with the title and the menu button, in points.
const HEADING: f32 = 24.0;
/// Gap between the lines of a card, in points.
const LINE_GAP: f32 = 2.0;

/// The card of a run. A click anywhere on it shows the run.
struct Card<'a> {
    history: &'a mut HistoryState,
    entry: &'a Entry,
    /// The number of equal runs that the card stands for.
    count: usize,
    can_compare: bool,
    now: u64,
}

impl Card<'_> {
    fn show(mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let lines = self.lines();
        let line_height = ui.fonts_mut(|fonts| fonts.row_height(&text::small())).ceil() + LINE_GAP;
        let height = 2.0 * space::S + HEADING + lines.len() as f32 * line_height;
        let size = vec2(ui.available_width(), height);
        let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
        // Added before the menu button, which therefore gets its own clicks.
        let is_renaming =
            self.history.renaming.as_ref().is_some_and(|(id, _)| *id == self.entry.id);
        if is_renaming {
            paint_card(ui, rect, None);
        } else {
            let card = ui.interact(rect, ui.scope_id().with(&self.entry.id), Sense::click());
            paint_card(ui, rect, Some(&card));
            self.explain(ui, card, actions);
        }
        let inside = rect.shrink(space::S);
        let heading = inside.with_max_y(inside.top() + HEADING);
        let menu_left = heading.right() - HEADING;
        let title = heading.with_max_x(menu_left - space::XS);
        if is_renaming {
            within(ui, title, |ui| self.rename(ui, actions));
        } else {
            paint_title(ui, title, &self.entry.title());
        }
        within(ui, heading.with_min_x(menu_left), |ui| self.menu(ui, actions));
        let builder = UiBuilder::new().max_rect(inside.with_min_y(heading.bottom()));
        let mut ui = ui.new_child(builder.layout(Layout::top_down(Align::Min)));
        ui.spacing_mut().item_spacing.y = LINE_GAP;
        lines.iter().for_each(|line| small(&mut ui, line));
    }

    /// Returns the lines below the title.
    fn lines(&self) -> Vec<String> {
        let entry = self.entry;
        let pinned = if entry.pinned { "pinned · " } else { "" };
        let count = if self.count > 1 { format!("{} runs · ", self.count) } else { String::new() };
        let mut lines =
            vec![format!("{pinned}{count}{} · {}", ago(self.now, entry.unix_ms), entry.pack)];
        lines.extend(Some(entry.strengths()).filter(|line| !line.is_empty()));
        lines.extend(entry.columns.iter().map(|column| {
            let gold = column.gold_reward.map(|g| minus(&format!(" {g:+.1}"))).unwrap_or_default();
            format!("{}{gold}: {}", column.title, excerpt(&column.excerpt, 60))
        }));
        lines
    }

    /// Names the card, adds its tooltip and opens the run on a click, or on Enter with the focus.
    fn explain(&self, ui: &Ui, card: Response, actions: &mut Vec<Action>) {
        let (enabled, name) = (ui.is_enabled(), format!("Run: {}", self.entry.title()));
        card.widget_info(|| WidgetInfo::labeled(Role::Button, enabled, &name));
        if card.gained_focus() {
            card.scroll_to_me(None);
        }
        if card.clicked() {
            actions.push(Action::Recall(self.entry.id.clone(), RecallMode::Shown));
        }
        card.on_hover_cursor(CursorIcon::PointingHand).on_hover_ui(|ui| {
            ui.label("Shows this run with its prompt and settings.");
            for column in &self.entry.columns {
                let words = format!("{}: {}", column.title, column.settings_line);
                small(ui, &words);
                ui.label(RichText::new(&column.excerpt).font(text::small()));
            }
        });
    }

    /// Draws the text box with the new name.
    fn rename(&mut self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let id = &self.entry.id;
        let Some((_, name)) = &mut self.history.renaming else { return };
        let edit = TextEdit::singleline(name).margin(vec2(space::XS, 2.0));
        let edit = ui.add(edit.desired_width(f32::INFINITY)).accessible_name("New name");
        if !edit.lost_focus() {
            return edit.request_focus();
        }
        if ui.input(|i| i.key_pressed(Key::Enter)) {
            actions.push(Action::File(Command::Rename(id.clone(), name.clone())));
        }
        self.history.renaming = None;
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
            let delete = if self.count > 1 { "Delete the newest run" } else { "Delete" };
            if ui.button(delete).clicked() {
                actions.push(Action::File(Command::Delete(id.clone())));
            }
        });
    }
}

/// Draws the background of a card. `card` is its response, or `None` if it cannot be clicked.
fn paint_card(ui: &Ui, rect: Rect, card: Option<&Response>) {
    let p = Palette::of(ui);
    let is_hovered = card.is_some_and(Response::hovered);
    let has_focus = card.is_some_and(Response::has_focus);
    let fill = if is_hovered || has_focus { p.hover } else { p.inset };
    let stroke = match (has_focus, is_hovered) {
        (true, _) => Stroke::new(1.5, p.guided),
        (false, true) => Stroke::new(1.0, p.outline),
        (false, false) => Stroke::new(1.0, p.border),
    };
    ui.painter().rect(rect, space::RADIUS, fill, stroke, StrokeKind::Inside);
}

/// Paints the title. It is not a label, because the card already has an accessible name.
fn paint_title(ui: &Ui, rect: Rect, title: &str) {
    let color = Palette::of(ui).text;
    let words = WidgetText::from(RichText::new(title).font(text::group()).color(color));
    let wrap = Some(TextWrapMode::Truncate);
    let galley = words.into_galley(ui, wrap, rect.width(), TextStyle::Body);
    let at = rect.left_center() - vec2(0.0, galley.size().y / 2.0);
    ui.painter().galley(at, galley, color);
}

fn small(ui: &mut Ui, words: &str) {
    let words = RichText::new(words).font(text::small()).color(Palette::of(ui).weak);
    // Shows no tooltip of its own, because the card has one.
    ui.add(Label::new(words).selectable(false).truncate().show_tooltip_when_elided(false));
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
