//! One column: heading, text, the judge's score and the details.

use eframe::egui::{
    Align, Galley, Id, Label, Layout, Pos2, Rect, RichText, Role, Sense, Stroke, StrokeKind, Ui,
    UiBuilder, WidgetInfo,
    text::{CCursor, LayoutJob},
    text_selection::LabelSelectionState,
    vec2,
};

use super::column_menu::{ColumnEdit, ColumnMenu};
use super::judge_line::{self, JudgeLine};
use super::metrics::{Grid, MetricsView, report};
use super::scroll::Scroll;
use super::text::{Page, bytes_of, chunk_of, token_at};
use super::token_tooltip::TokenCards;
use crate::app::state::columns::ColumnView;
use crate::app::state::preferences::Preferences;
use crate::app::state::selection::{ChunkRef, Selection};
use crate::app::state::session::{ArmView, Loading, Origin, Phase, Session};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::{Icon, icon_button, marker, within};
use crate::guidance::lineage::lead;
use crate::guidance::settings::{Arm, limits};
use crate::guidance::trace::ArmTrace;
use crate::worker::protocol::RunId;

/// Height of the settings line below a heading.
const SETTINGS_LINE_HEIGHT: f32 = 18.0;

/// Minimum height of a text, in points. If less would be left, the metrics are hidden.
const MIN_TEXT_HEIGHT: f32 = 48.0;

/// One column: heading, text, a line and metrics. The text takes the remaining height.
pub(super) struct Card<'a> {
    pub(super) session: &'a Session,
    pub(super) loading: Option<&'a Loading>,
    pub(super) preferences: &'a Preferences,
    pub(super) column_view: &'a ColumnView<'a>,
    /// The first column's trace. `None` in the first column.
    pub(super) reference: Option<&'a ArmTrace>,
    pub(super) grid: Grid,
    pub(super) presenting: bool,
}

impl Card<'_> {
    /// Draws the column in `card`. Returns the edit that the user chose.
    pub(super) fn show(
        &self,
        ui: &mut Ui,
        card: Rect,
        selection: &mut Selection,
    ) -> Option<ColumnEdit> {
        let p = Palette::of(ui);
        let stroke = Stroke::new(1.0, p.border);
        ui.painter().rect(card, space::CARD_RADIUS, p.surface, stroke, StrokeKind::Inside);
        let inside = card.shrink2(vec2(space::L, space::M));
        let settings_line = if self.presenting { 0.0 } else { SETTINGS_LINE_HEIGHT };
        let heading = inside.with_max_y(inside.top() + space::ROW + settings_line);
        let body = inside.with_min_y(heading.bottom() + space::S);
        let line_above =
            |grid: Grid| inside.bottom() - judge_line::HEIGHT - grid.height() - space::S;
        let fits = |grid: Grid| line_above(grid) - space::S - body.top() >= MIN_TEXT_HEIGHT;
        // In a small column, the text takes the room of the details, then that of the score.
        let grid = if fits(self.grid) { self.grid } else { Grid::Hidden };
        let has_room = fits(grid);
        let line = line_above(grid);
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
        let (title, report) = (self.column_view.title.as_str(), report(self.column_view.view));
        let reference = self.reference;
        let pack = self.session.pack.as_ref();
        let has_judge = pack.is_none_or(|pack| pack.has_judge);
        let trace = self.session.run.as_ref().and_then(|run| run.trace.as_ref());
        // Traces of earlier versions have no aim.
        let of_pack = pack.filter(|pack| trace.is_none_or(|trace| trace.pack == pack.name));
        let of_trace = trace.and_then(|trace| trace.aim.as_ref());
        // A run beside the run shown may have used another pack.
        let is_other = self.column_view.view.zip(trace).is_some_and(|(v, t)| v.pack != t.pack);
        let aim = of_trace.or(of_pack.and_then(|pack| pack.aim.as_ref())).filter(|_| !is_other);
        let below = inside.with_min_y(line + space::S);
        let judge = below.with_max_y(below.top() + judge_line::HEIGHT - space::XS);
        let presenting = self.presenting;
        JudgeLine { title, report, reference, has_judge, aim, presenting }.show(ui, judge);
        let metrics = MetricsView { title, report, reference, presenting: self.presenting };
        metrics.show(ui, below.with_min_y(judge.bottom() + space::XS), grid);
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
            let mut edit = menu.show(ui);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if self.can_freeze() {
                    let name = format!("Freeze {} beside itself", column_view.title);
                    if icon_button(ui, Icon::Copy, &name).clicked() {
                        edit = Some(ColumnEdit::Freeze(column_view.index));
                    }
                }
                let state = column_view.view.and_then(|v| self.state(v));
                // Hides the state if it would be cut.
                if let Some(state) = state.filter(|_| ui.available_width() > 90.0) {
                    let words = RichText::new(state).font(text::small()).color(p.weak);
                    ui.add(Label::new(words).selectable(false).truncate());
                }
            });
            edit
        });
        if !self.presenting {
            within(ui, rect.with_min_y(rect.bottom() - SETTINGS_LINE_HEIGHT), |ui| {
                let words = RichText::new(column_view.line()).font(text::small()).color(p.weak);
                let line = ui.add(Label::new(words).selectable(false).truncate());
                line.on_hover_text(
                    "β: strength of guidance at each token. λ: strength of the choice between \
                     chunks. W: texts kept after each chunk. K: continuations tried for each. \
                     L: tokens per chunk.",
                );
            });
        }
        edit
    }

    /// Returns whether a frozen copy of this column can be added.
    fn can_freeze(&self) -> bool {
        let count = self.preferences.columns.len();
        !self.presenting && count < *limits::COLUMNS.end() && self.column_view.spec.pinned.is_none()
    }

    /// Returns what the column is doing, or why it ended.
    fn state(&self, view: &ArmView) -> Option<String> {
        let run = self.session.run.as_ref()?;
        if run.origin != Origin::Own {
            return Some("recorded".into());
        }
        if view.done {
            return Some(view.report.stop_reason.describe(view.report.tokens.len()));
        }
        let state = match run.phase {
            Phase::Starting => "reading",
            Phase::Generating => "writing",
            Phase::Stopping => "stopping",
            Phase::Finished => return None,
            Phase::Stopped => "stopped",
            Phase::Failed => "failed",
        };
        Some(state.into())
    }

    fn body(&self, ui: &mut Ui, selection: &mut Selection) {
        let Some(view) = self.column_view.view else { return self.empty(ui) };
        let run = self.session.run.as_ref();
        let follows = run.is_some_and(|run| run.origin == Origin::Own) && !view.done;
        // While the rest of the previous text is shown below the new text, `scroll_to_new_text`
        // scrolls instead.
        let follows = follows && view.ghost_tail().is_empty();
        let text = (run.map_or(0, |run| run.id), view.done);
        let scroll = Scroll { text, follows, together: self.preferences.scroll_together };
        scroll.show(ui, |ui| {
            // Keeps the text clear of the scroll bar.
            ui.set_max_width(ui.available_width() - space::M);
            self.text(ui, view, selection)
        });
    }

    /// Draws the response as selectable text. Shows a tooltip for the token under the pointer and
    /// marks its chunk in the plot.
    fn text(&self, ui: &mut Ui, view: &ArmView, selection: &mut Selection) -> Option<Rect> {
        let p = Palette::of(ui);
        let index = self.column_view.index;
        let prompt = folded_prompt(ui, &view.prompt);
        let ArmTrace { tokens, chunks, .. } = &view.report;
        let marked = selection.marked().filter(|at| at.column == index);
        let page = Page {
            prompt: &prompt,
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
        let start = galley.pos_from_cursor(CCursor::new(prompt.chars().count()));
        Some(start.translate(at.to_vec2()))
    }

    /// Scrolls to the end of the new text while the rest of the previous text is shown below it.
    /// Scrolls once per token, so that the user can scroll away between tokens.
    fn scroll_to_new_text(&self, ui: &Ui, view: &ArmView, galley: &Galley, at: Pos2) {
        let run = self.session.run.as_ref().filter(|run| run.origin == Origin::Own);
        // A complete text is read from its start.
        let Some(run) = run.filter(|_| !view.done) else { return };
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
                "Type a prompt or pick an example, then press Generate.".into()
            }
            _ if self.column_view.spec.arm == Arm::Base => {
                "Press Generate to see what the base model writes.".into()
            }
            _ => "Press Generate to see the guided text.".into(),
        }
    }
}

/// Draws the button that folds or unfolds a long prompt, and returns the prompt to show: the whole
/// one, or its last line.
fn folded_prompt(ui: &mut Ui, prompt: &str) -> String {
    let folded = last_line(prompt);
    if folded == prompt {
        return folded;
    }
    let id = Id::unique("long prompts are unfolded");
    let mut is_unfolded: bool = ui.data(|data| data.get_temp(id)).unwrap_or(false);
    let words = if is_unfolded { "Fold the prompt" } else { "Show the whole prompt" };
    if ui.link(RichText::new(words).font(text::small())).clicked() {
        is_unfolded = !is_unfolded;
        ui.data_mut(|data| data.insert_temp(id, is_unfolded));
    }
    if is_unfolded { prompt.to_owned() } else { folded }
}

/// Maximum length of a prompt that is shown whole, in characters.
const MAX_LINE_CHARS: usize = 160;

/// Returns the end of the last line of a long prompt, or the whole prompt if it is short.
fn last_line(prompt: &str) -> String {
    let lines = prompt.trim_end().lines().count();
    let is_long = prompt.chars().nth(MAX_LINE_CHARS).is_some();
    if lines <= 2 && !is_long {
        return prompt.to_owned();
    }
    let line_start = prompt.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let line = &prompt[line_start..];
    let cut = line.char_indices().nth_back(MAX_LINE_CHARS).map_or(0, |(at, _)| at);
    let rest = &line[cut..];
    let word = if cut == 0 { 0 } else { rest.find(char::is_whitespace).unwrap_or(0) };
    format!("… {}", rest[word..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_prompt_folds_to_its_last_words() {
        assert_eq!(last_line("This film"), "This film");
        assert_eq!(last_line("Two\nlines"), "Two\nlines");
        assert_eq!(last_line("One\ntwo\nthe last line"), "… the last line");
        let long = "word ".repeat(100);
        let folded = last_line(&long);
        assert!(folded.starts_with("… word") && folded.chars().count() <= MAX_LINE_CHARS + 2);
        assert!(folded.ends_with("word "), "the end stays as typed");
        let single = "语".repeat(500);
        assert!(last_line(&single).chars().count() <= MAX_LINE_CHARS + 3);
    }
}
