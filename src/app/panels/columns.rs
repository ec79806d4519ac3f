//! The responses side by side, and the figures under each.

use eframe::egui::{
    Align, Galley, Label, Layout, Pos2, Rect, RichText, Role, ScrollArea, Sense, Stroke,
    StrokeKind, Ui, UiBuilder, WidgetInfo, pos2,
    text::{CCursor, LayoutJob},
    text_selection::LabelSelectionState,
    vec2,
};

use super::Action;
use crate::app::coloring::Coloring;
use crate::app::column_menu::{ColumnEdit, ColumnMenu, newcomer};
use crate::app::figures::{Figures, Grid};
use crate::app::focus::{ChunkRef, Focus};
use crate::app::lineage::lead;
use crate::app::preferences::Preferences;
use crate::app::response::{Page, bytes_of, chunk_of, token_at};
use crate::app::session::{ArmView, Origin, Phase, Session};
use crate::app::slots::{Slot, slots};
use crate::app::theme::{Palette, space, text};
use crate::app::token_card::TokenCard;
use crate::app::widgets::{chip, marker, segmented, within};
use crate::guidance::settings::Arm;
use crate::guidance::trace::ArmTrace;
use crate::worker::protocol::{PackInfo, RunId};

/// Width of the scale of colours with its numbers, and of the button for another column.
pub(super) const LEGEND: f32 = 230.0;
const BUTTON: f32 = 104.0;
/// Height of the settings line below a heading.
const LINE: f32 = 18.0;

/// All columns.
pub struct Columns<'a> {
    /// What they show.
    pub session: &'a Session,
    /// Which columns there are, and how tokens are coloured.
    pub preferences: &'a mut Preferences,
    /// The chunk that is pointed at.
    pub focus: &'a mut Focus,
    /// Leave out what an audience need not see.
    pub presenting: bool,
}

impl Columns<'_> {
    /// Shows them over the whole of `ui`.
    pub fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Self { session, preferences, focus, presenting } = self;
        let mut edit = None;
        if !presenting {
            edit = tools(ui, preferences, session.pack.as_ref());
        }
        let slots = slots(session, preferences);
        let count = slots.len() as f32;
        let area = ui.available_rect_before_wrap();
        let width = (area.width() - (count - 1.0) * space::M) / count;
        let grid = Grid::of(width - 2.0 * space::L, presenting, slots.len() > 1);
        for slot in &slots {
            let left = area.left() + slot.index as f32 * (width + space::M);
            let card = Rect::from_min_size(pos2(left, area.top()), vec2(width, area.height()));
            let first = slots.first().filter(|first| first.index != slot.index);
            let reference = first.and_then(|s| report(s.view));
            let card_edit = Card { session, preferences, slot, reference, grid, presenting };
            edit = card_edit.show(ui, card, focus).or(edit);
        }
        ui.advance_cursor_after_rect(area);
        if let Some(edit) = edit {
            let applied: Vec<_> = slots.into_iter().map(|s| s.applied).collect();
            edit.apply(&mut preferences.columns, &applied, &preferences.settings);
            actions.push(Action::ColumnsChanged);
        }
    }
}

/// The report of a column, once there is a token.
fn report(view: Option<&ArmView>) -> Option<&ArmTrace> {
    view.map(|v| &v.report).filter(|r| !r.tokens.is_empty())
}

/// Height below which a text gives up its figures rather than shrink further.
const LEAST_TEXT: f32 = 48.0;

/// One column: heading, text, a line, figures. The text gets what the others leave.
struct Card<'a> {
    session: &'a Session,
    preferences: &'a Preferences,
    slot: &'a Slot<'a>,
    /// The first column's report, in every other column.
    reference: Option<&'a ArmTrace>,
    grid: Grid,
    presenting: bool,
}

impl Card<'_> {
    fn show(&self, ui: &mut Ui, card: Rect, focus: &mut Focus) -> Option<ColumnEdit> {
        let p = Palette::of(ui);
        let stroke = Stroke::new(1.0, p.border);
        ui.painter().rect(card, space::CARD_RADIUS, p.surface, stroke, StrokeKind::Inside);
        let inside = card.shrink2(vec2(space::L, space::M));
        let heading = inside.with_max_y(inside.top() + space::ROW + LINE);
        let line = inside.bottom() - self.grid.height() - space::XS;
        let body = inside.with_min_y(heading.bottom() + space::S);
        // Enlarged in a small window, the text has what room there is.
        let has_room = line - space::S - body.top() >= LEAST_TEXT;
        let text = if has_room { body.with_max_y(line - space::S) } else { body };
        let edit = self.heading(ui, heading);
        let id = ("column", self.slot.index);
        let builder = UiBuilder::new().id_salt(id).max_rect(text);
        let builder = builder.layout(Layout::top_down(Align::Min));
        self.body(&mut ui.new_child(builder), focus);
        if !has_room {
            return edit;
        }
        ui.painter().hline(inside.x_range(), line, stroke);
        let figures = Figures {
            title: &self.slot.title,
            report: report(self.slot.view),
            reference: self.reference,
            no_judge: self.session.pack.as_ref().is_some_and(|pack| !pack.has_judge),
            presenting: self.presenting,
        };
        figures.show(ui, inside.with_min_y(line + space::S), self.grid);
        edit
    }

    fn heading(&self, ui: &mut Ui, place: Rect) -> Option<ColumnEdit> {
        let p = Palette::of(ui);
        let slot = self.slot;
        let edit = within(ui, place.with_max_y(place.top() + space::ROW), |ui| {
            let (mark, _) = ui.allocate_exact_size(vec2(24.0, 20.0), Sense::hover());
            marker(ui.painter(), mark.center(), slot.mark(), p.column(slot.index));
            ui.spacing_mut().button_padding.x = space::XS;
            ui.spacing_mut().item_spacing.x = space::XS;
            let menu = ColumnMenu {
                slot,
                settings: &self.preferences.settings,
                pack: self.session.pack.as_ref(),
                is_last: self.preferences.columns.len() == 1,
            };
            let edit = menu.show(ui);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let state = slot.view.and_then(|v| self.state(v));
                // Half a word says nothing.
                if let Some(state) = state.filter(|_| ui.available_width() > 90.0) {
                    let words = RichText::new(state).font(text::small()).color(p.weak);
                    ui.add(Label::new(words).selectable(false).truncate());
                }
            });
            edit
        });
        within(ui, place.with_min_y(place.bottom() - LINE), |ui| {
            let words = RichText::new(slot.line()).font(text::small()).color(p.weak);
            ui.add(Label::new(words).selectable(false).truncate());
        });
        edit
    }

    /// What the column is doing, or why it ended.
    fn state(&self, view: &ArmView) -> Option<&'static str> {
        let run = self.session.run.as_ref()?;
        if run.origin != Origin::Own {
            return Some("recorded");
        }
        if view.done {
            return Some(view.report.stop_reason.label());
        }
        match run.phase {
            Phase::Starting => Some("reading"),
            Phase::Generating => Some("writing"),
            Phase::Stopping => Some("stopping"),
            Phase::Finished => None,
            Phase::Stopped => Some("stopped"),
            Phase::Failed => Some("failed"),
        }
    }

    fn body(&self, ui: &mut Ui, focus: &mut Focus) {
        let Some(view) = self.slot.view else { return self.empty(ui) };
        // Its last line too, which may come with the end of the run. What is recorded is read from
        // its beginning.
        let follows = self.session.run.as_ref().is_some_and(|run| run.origin == Origin::Own);
        // Below a text that begins anew stands what is left of the one before.
        let follows = follows && view.ghost_tail().is_empty();
        ScrollArea::vertical().auto_shrink(false).stick_to_bottom(follows).show(ui, |ui| {
            // The right margin keeps words clear of the scroll bar.
            ui.set_max_width(ui.available_width() - space::M);
            self.text(ui, view, focus);
        });
    }

    /// The response, to be selected and copied; a token under the pointer says what it is, and
    /// its chunk is marked in the plot.
    fn text(&self, ui: &mut Ui, view: &ArmView, focus: &mut Focus) {
        let p = Palette::of(ui);
        let slot = self.slot.index;
        let ArmTrace { tokens, chunks, .. } = &view.report;
        let marked = focus.marked().filter(|at| at.slot == slot);
        let page = Page {
            prompt: &view.prompt,
            view,
            coloring: self.preferences.coloring,
            reference: self.reference.map(|r| r.text.as_str()),
            marked: marked.map(|at| bytes_of(tokens, chunks, at.chunk)),
            ink: p.column(slot),
        };
        let mut laid = page.lay(ui);
        let words = laid.job.text.clone();
        let job = std::mem::take(&mut laid.job);
        let (at, galley, shown) = Label::new(job).wrap().selectable(true).layout_in_ui(ui);
        shown.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        let drawn = galley.clone();
        LabelSelectionState::label_text_selection(ui, &shown, at, drawn, p.text, Stroke::NONE);
        self.keep_in_sight(ui, view, &galley, at);
        let pointer = shown.hover_pos().filter(|_| !shown.is_pointer_button_down_on());
        let byte = pointer.and_then(|pointer| laid.byte_at(&words, &galley, pointer - at));
        if let Some((index, token)) = byte.and_then(|byte| token_at(tokens, byte)) {
            if let Some(chunk) = chunk_of(chunks, index) {
                let candidate = lead(chunks).get(chunk).copied().unwrap_or(0);
                focus.point(ChunkRef { slot, chunk, candidate });
            }
            shown.on_hover_ui_at_pointer(|ui| TokenCard(token).show(ui));
        }
    }

    /// Scrolls to what a run writes above what is left of the one before; with every token once, so
    /// that a person can look elsewhere meanwhile.
    fn keep_in_sight(&self, ui: &Ui, view: &ArmView, galley: &Galley, at: Pos2) {
        let run = self.session.run.as_ref().filter(|run| run.origin == Origin::Own);
        let Some(run) = run else { return };
        let rest = view.ghost_tail().chars().count();
        let state = (run.id, rest > 0, view.report.tokens.len());
        let id = ui.scope_id().with("written");
        let before = ui.data_mut(|data| {
            let before = data.get_temp::<(RunId, bool, usize)>(id);
            data.insert_temp(id, state);
            before
        });
        // Once nothing is left of the one before, the area itself follows the end.
        let was_above = before.is_some_and(|(id, above, _)| id == run.id && above);
        if before == Some(state) || !(rest > 0 || was_above) {
            return;
        }
        let letters = galley.job.text.chars().count().saturating_sub(rest);
        let end = galley.pos_from_cursor(CCursor::new(letters)).translate(at.to_vec2());
        // As much of what stands before it as there is room for.
        let room = ui.clip_rect().height() - end.height();
        let top = (end.bottom() - room).max(at.y);
        ui.scroll_to_rect(end.with_min_y(top.min(end.top())), None);
    }

    fn empty(&self, ui: &Ui) {
        let p = Palette::of(ui);
        let words = self.invitation();
        let rect = ui.max_rect();
        let wrap = (rect.width() - 2.0 * space::L).max(0.0);
        let mut job = LayoutJob::simple(words, text::body(), p.weak, wrap);
        job.halign = Align::Center;
        let galley = ui.painter().layout_job(job);
        let top = rect.center() - vec2(0.0, galley.size().y / 2.0);
        ui.painter().galley(top, galley, p.weak);
    }

    /// What to do to fill an empty column, in one line.
    fn invitation(&self) -> String {
        match (&self.session.loading, &self.session.pack) {
            (Some(loading), None) => {
                format!("Loading {} · {:.0}%", loading.what, loading.fraction * 100.0)
            }
            (None, None) => "No models are loaded.".into(),
            _ if self.preferences.prompt.trim().is_empty() => {
                "Type a prompt or pick an example, then generate.".into()
            }
            _ if self.slot.column.arm == Arm::Base => {
                "Generate to read what the base model writes by itself.".into()
            }
            _ => "Generate to read what it writes under guidance.".into(),
        }
    }
}

/// What the colours of the tokens show, their scale, and one more column.
fn tools(
    ui: &mut Ui,
    preferences: &mut Preferences,
    pack: Option<&PackInfo>,
) -> Option<ColumnEdit> {
    let p = Palette::of(ui);
    let mut edit = None;
    ui.horizontal(|ui| {
        let words = RichText::new("Colour tokens by").font(text::small()).color(p.weak);
        ui.add(Label::new(words).selectable(false));
        let choices = Coloring::ALL.map(|(value, label, hint)| (value, label, hint, None));
        segmented(ui, "Colour tokens by", &choices, &mut preferences.coloring);
        // In a narrow window the button wants the room.
        if ui.available_width() >= LEGEND + BUTTON {
            ui.add_space(space::XS);
            scale(ui, preferences.coloring);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let arm = newcomer(&preferences.columns, &preferences.settings, pack);
            let add = ui.add_enabled_ui(arm.is_ok(), |ui| chip(ui, "Add column", false)).inner;
            let add = add.on_hover_text("Another way of decoding beside these.");
            let add = add.on_disabled_hover_text(arm.err().unwrap_or_default());
            if let (true, Ok(arm)) = (add.clicked(), arm) {
                edit = Some(ColumnEdit::Add(arm));
            }
        });
    });
    ui.add_space(space::XS);
    edit
}

/// The colours of a measure from its lowest to its highest value; nothing for plain text.
pub(super) fn scale(ui: &mut Ui, coloring: Coloring) {
    const STEPS: usize = 32;
    let Some(legend) = coloring.legend() else { return };
    let p = Palette::of(ui);
    let number = |words: &str| {
        Label::new(RichText::new(words).font(text::small()).color(p.weak)).selectable(false)
    };
    ui.add(number(legend.low));
    let (bar, response) = ui.allocate_exact_size(vec2(96.0, 12.0), Sense::hover());
    let width = bar.width() / STEPS as f32;
    for step in 0..STEPS {
        let left = bar.left() + step as f32 * width;
        let part = Rect::from_min_size(pos2(left, bar.top()), vec2(width, bar.height()));
        let ink = coloring.along((step as f32 + 0.5) / STEPS as f32, p);
        ui.painter().rect_filled(part, 0.0, ink);
    }
    ui.painter().rect_stroke(bar, 2.0, Stroke::new(1.0, p.border), StrokeKind::Outside);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, legend.words));
    ui.add(number(legend.high));
}
