//! The responses side by side, each with its metrics.

use eframe::egui::{
    Align, Galley, Label, Layout, Pos2, Rect, RichText, Role, ScrollArea, Sense, Stroke,
    StrokeKind, Ui, UiBuilder, WidgetInfo, pos2,
    text::{CCursor, LayoutJob},
    text_selection::LabelSelectionState,
    vec2,
};

use super::column_menu::{ColumnEdit, ColumnMenu, next_arm};
use super::metrics::{Grid, MetricsView};
use super::text::{Page, bytes_of, chunk_of, token_at};
use super::token_tooltip::TokenCards;
use crate::app::action::Action;
use crate::app::state::coloring::Coloring;
use crate::app::state::columns::{ColumnView, column_views};
use crate::app::state::preferences::Preferences;
use crate::app::state::selection::{ChunkRef, Selection};
use crate::app::state::session::{ArmView, Loading, Origin, Phase, Session};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{chip, marker, segmented, within};
use crate::guidance::lineage::lead;
use crate::guidance::settings::Arm;
use crate::guidance::trace::ArmTrace;
use crate::worker::protocol::{PackInfo, RunId};

/// Width of the colour scale with its numbers, in points.
pub(in crate::app) const LEGEND_WIDTH: f32 = 230.0;
/// Width of the "Add column" button, in points.
const ADD_BUTTON_WIDTH: f32 = 104.0;
/// Height of the settings line below a heading.
const SETTINGS_LINE_HEIGHT: f32 = 18.0;

pub(crate) struct Columns<'a> {
    pub(crate) session: &'a Session,
    /// Progress of the pack that is loading.
    pub(crate) loading: Option<&'a Loading>,
    /// Which columns there are, and how tokens are coloured.
    pub(crate) preferences: &'a mut Preferences,
    /// The chunk under the pointer.
    pub(crate) selection: &'a mut Selection,
    /// Hides the toolbar and secondary metrics, for presentations.
    pub(crate) presenting: bool,
}

impl Columns<'_> {
    /// Draws the columns over the whole area of `ui`.
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Self { session, loading, preferences, selection, presenting } = self;
        let mut edit = None;
        if !presenting {
            edit = toolbar(ui, preferences, session.pack.as_ref());
        }
        let columns = column_views(session, preferences);
        let count = columns.len() as f32;
        let area = ui.available_rect_before_wrap();
        let width = (area.width() - (count - 1.0) * space::M) / count;
        let grid = Grid::of(width - 2.0 * space::L, presenting, columns.len() > 1);
        for column_view in &columns {
            let left = area.left() + column_view.index as f32 * (width + space::M);
            let card = Rect::from_min_size(pos2(left, area.top()), vec2(width, area.height()));
            let first = columns.first().filter(|first| first.index != column_view.index);
            let reference = first.and_then(|s| report(s.view));
            let card_edit =
                Card { session, loading, preferences, column_view, reference, grid, presenting };
            edit = card_edit.show(ui, card, selection).or(edit);
        }
        ui.advance_cursor_after_rect(area);
        if let Some(edit) = edit {
            let applied: Vec<_> = columns.into_iter().map(|s| s.applied).collect();
            edit.apply(&mut preferences.columns, &applied, &preferences.settings);
            actions.push(Action::ColumnsChanged);
        }
    }
}

/// Returns the trace of a column, or `None` before the first token.
fn report(view: Option<&ArmView>) -> Option<&ArmTrace> {
    view.map(|v| &v.report).filter(|r| !r.tokens.is_empty())
}

/// Minimum height of a text, in points. If less would be left, the metrics are hidden.
const MIN_TEXT_HEIGHT: f32 = 48.0;

/// One column: heading, text, a line and metrics. The text takes the remaining height.
struct Card<'a> {
    session: &'a Session,
    loading: Option<&'a Loading>,
    preferences: &'a Preferences,
    column_view: &'a ColumnView<'a>,
    /// The first column's trace. `None` in the first column.
    reference: Option<&'a ArmTrace>,
    grid: Grid,
    presenting: bool,
}

impl Card<'_> {
    fn show(&self, ui: &mut Ui, card: Rect, selection: &mut Selection) -> Option<ColumnEdit> {
        let p = Palette::of(ui);
        let stroke = Stroke::new(1.0, p.border);
        ui.painter().rect(card, space::CARD_RADIUS, p.surface, stroke, StrokeKind::Inside);
        let inside = card.shrink2(vec2(space::L, space::M));
        let heading = inside.with_max_y(inside.top() + space::ROW + SETTINGS_LINE_HEIGHT);
        let line = inside.bottom() - self.grid.height() - space::XS;
        let body = inside.with_min_y(heading.bottom() + space::S);
        // In a small window with large text, the text takes the room of the metrics.
        let has_room = line - space::S - body.top() >= MIN_TEXT_HEIGHT;
        let text = if has_room { body.with_max_y(line - space::S) } else { body };
        let edit = self.heading(ui, heading);
        let id = ("column", self.column_view.index);
        let builder = UiBuilder::new().id_salt(id).max_rect(text);
        let builder = builder.layout(Layout::top_down(Align::Min));
        self.body(&mut ui.new_child(builder), selection);
        if !has_room {
            return edit;
        }
        ui.painter().hline(inside.x_range(), line, stroke);
        let metrics = MetricsView {
            title: &self.column_view.title,
            report: report(self.column_view.view),
            reference: self.reference,
            no_judge: self.session.pack.as_ref().is_some_and(|pack| !pack.has_judge),
            presenting: self.presenting,
        };
        metrics.show(ui, inside.with_min_y(line + space::S), self.grid);
        edit
    }

    fn heading(&self, ui: &mut Ui, rect: Rect) -> Option<ColumnEdit> {
        let p = Palette::of(ui);
        let column_view = self.column_view;
        let edit = within(ui, rect.with_max_y(rect.top() + space::ROW), |ui| {
            let (mark, _) = ui.allocate_exact_size(vec2(24.0, 20.0), Sense::hover());
            marker(ui.painter(), mark.center(), column_view.mark(), p.column(column_view.index));
            ui.spacing_mut().button_padding.x = space::XS;
            ui.spacing_mut().item_spacing.x = space::XS;
            let menu = ColumnMenu {
                column_view,
                settings: &self.preferences.settings,
                pack: self.session.pack.as_ref(),
                is_only_column: self.preferences.columns.len() == 1,
            };
            let edit = menu.show(ui);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let state = column_view.view.and_then(|v| self.state(v));
                // Hides the state if it would be cut.
                if let Some(state) = state.filter(|_| ui.available_width() > 90.0) {
                    let words = RichText::new(state).font(text::small()).color(p.weak);
                    ui.add(Label::new(words).selectable(false).truncate());
                }
            });
            edit
        });
        within(ui, rect.with_min_y(rect.bottom() - SETTINGS_LINE_HEIGHT), |ui| {
            let words = RichText::new(column_view.line()).font(text::small()).color(p.weak);
            ui.add(Label::new(words).selectable(false).truncate());
        });
        edit
    }

    /// Returns what the column is doing, or why it ended.
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

    fn body(&self, ui: &mut Ui, selection: &mut Selection) {
        let Some(view) = self.column_view.view else { return self.empty(ui) };
        // Scrolls along also after a run has ended, because its last line may come with the end.
        // A recorded run is read from the beginning.
        let follows = self.session.run.as_ref().is_some_and(|run| run.origin == Origin::Own);
        // While the rest of the previous text is shown below the new text, `scroll_to_new_text`
        // scrolls instead.
        let follows = follows && view.ghost_tail().is_empty();
        ScrollArea::vertical().auto_shrink(false).stick_to_bottom(follows).show(ui, |ui| {
            // Keeps the text clear of the scroll bar.
            ui.set_max_width(ui.available_width() - space::M);
            self.text(ui, view, selection);
        });
    }

    /// Draws the response as selectable text. Shows a tooltip for the token under the pointer and
    /// marks its chunk in the plot.
    fn text(&self, ui: &mut Ui, view: &ArmView, selection: &mut Selection) {
        let p = Palette::of(ui);
        let index = self.column_view.index;
        let ArmTrace { tokens, chunks, .. } = &view.report;
        let marked = selection.marked().filter(|at| at.column == index);
        let page = Page {
            prompt: &view.prompt,
            view,
            coloring: self.preferences.coloring,
            reference: self.reference.map(|r| r.text.as_str()),
            shows_removed: self.preferences.show_removed_words,
            marked: marked.map(|at| bytes_of(tokens, chunks, at.chunk)),
            color: p.column(index),
        };
        let mut layout = page.layout(ui);
        let words = layout.job.text.clone();
        let job = std::mem::take(&mut layout.job);
        let (at, galley, shown) = Label::new(job).wrap().selectable(true).layout_in_ui(ui);
        shown.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        let drawn = galley.clone();
        LabelSelectionState::label_text_selection(ui, &shown, at, drawn, p.text, Stroke::NONE);
        self.scroll_to_new_text(ui, view, &galley, at);
        let is_held = shown.is_pointer_button_down_on() && !shown.clicked();
        let pointer = shown.hover_pos().filter(|_| !is_held);
        let byte = pointer.and_then(|pointer| layout.byte_at(&words, &galley, pointer - at));
        let pointed = byte.and_then(|byte| token_at(tokens, byte)).map(|(token, _)| token);
        if let Some(chunk) = pointed.and_then(|token| chunk_of(chunks, token)) {
            let candidate = lead(chunks).get(chunk).copied().unwrap_or(0);
            selection.point(ChunkRef { column: index, chunk, candidate });
        }
        let run = self.session.run.as_ref().map(|run| run.id);
        let cards = TokenCards { response: &shown, run, tokens, pointed };
        let place_of = |byte| Some(layout.place_of(&galley, byte)?.translate(at.to_vec2()));
        cards.show(ui, self.presenting, place_of);
    }

    /// Scrolls to the end of the new text while the rest of the previous text is shown below it.
    /// Scrolls once per token, so that the user can scroll away between tokens.
    fn scroll_to_new_text(&self, ui: &Ui, view: &ArmView, galley: &Galley, at: Pos2) {
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
        // Once nothing of the previous text is left, the scroll area itself follows the end.
        let was_above = before.is_some_and(|(id, above, _)| id == run.id && above);
        if before == Some(state) || !(rest > 0 || was_above) {
            return;
        }
        let characters = galley.job.text.chars().count().saturating_sub(rest);
        let end = galley.pos_from_cursor(CCursor::new(characters)).translate(at.to_vec2());
        // Shows as much of the text before the end as fits.
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

    /// Returns a line that says how to fill an empty column.
    fn invitation(&self) -> String {
        match (self.loading, &self.session.pack) {
            (Some(loading), None) => {
                format!("Loading {} · {:.0}%", loading.what, loading.fraction * 100.0)
            }
            (None, None) => "No models are loaded.".into(),
            _ if self.preferences.prompt.trim().is_empty() => {
                "Type a prompt or pick an example, then generate.".into()
            }
            _ if self.column_view.spec.arm == Arm::Base => {
                "Generate to see the response of the base model.".into()
            }
            _ => "Generate to see the guided response.".into(),
        }
    }
}

/// Draws the choice of token colours, their scale, and the button that adds a column.
fn toolbar(
    ui: &mut Ui,
    preferences: &mut Preferences,
    pack: Option<&PackInfo>,
) -> Option<ColumnEdit> {
    let p = Palette::of(ui);
    let mut edit = None;
    let mut has_room = false;
    ui.horizontal(|ui| {
        let words = RichText::new("Colour tokens by").font(text::small()).color(p.weak);
        ui.add(Label::new(words).selectable(false));
        let choices = Coloring::ALL.map(|(value, label, hint)| (value, label, hint, None));
        segmented(ui, "Colour tokens by", &choices, &mut preferences.coloring);
        // In a narrow window only the button fits.
        has_room = ui.available_width() >= LEGEND_WIDTH + ADD_BUTTON_WIDTH;
        if has_room {
            ui.add_space(space::XS);
            color_scale(ui, preferences.coloring);
            removed_words(ui, preferences);
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let arm = next_arm(&preferences.columns, &preferences.settings, pack);
            let add = ui.add_enabled_ui(arm.is_ok(), |ui| chip(ui, "Add column", false)).inner;
            let add = add.on_hover_text("Adds a column with another way of decoding.");
            let add = add.on_disabled_hover_text(arm.err().unwrap_or_default());
            if let (true, Ok(arm)) = (add.clicked(), arm) {
                edit = Some(ColumnEdit::Add(arm));
            }
        });
    });
    if !has_room {
        removed_words(ui, preferences);
    }
    ui.add_space(space::XS);
    edit
}

/// Draws the choice whether [`Coloring::Changes`] shows removed words, if that is chosen.
fn removed_words(ui: &mut Ui, preferences: &mut Preferences) {
    if preferences.coloring == Coloring::Changes {
        let words = RichText::new("Show removed words").font(text::small());
        ui.checkbox(&mut preferences.show_removed_words, words).on_hover_text(
            "Also shows the words of the first column that this column does not have, struck \
             through.",
        );
    }
}

/// Draws the colour scale of a measure, with its lowest and highest value. Draws nothing if the
/// measure has no scale.
pub(in crate::app) fn color_scale(ui: &mut Ui, coloring: Coloring) {
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
        let color = coloring.color_at((step as f32 + 0.5) / STEPS as f32, p);
        ui.painter().rect_filled(part, 0.0, color);
    }
    ui.painter().rect_stroke(bar, 2.0, Stroke::new(1.0, p.border), StrokeKind::Outside);
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, legend.words));
    ui.add(number(legend.high));
}
