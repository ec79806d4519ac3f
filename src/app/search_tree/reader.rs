//! The beam reader: a window with the whole text of one beam, chunk by chunk.

use eframe::egui::text::{LayoutJob, TextFormat};
use eframe::egui::{
    Align, Button, Context, FontId, Id, Label, RichText, Role, ScrollArea, Stroke, Ui, WidgetInfo,
    Window, vec2,
};

use crate::app::action::Action;
use crate::app::settings::prompt_box::prompt_tail;
use crate::app::state::columns::{ColumnView, column_views};
use crate::app::state::preferences::Preferences;
use crate::app::state::selection::{ChunkRef, Selection};
use crate::app::state::session::Session;
use crate::app::theme::{Palette, RESPONSE_LINE, space, text};
use crate::app::value_plot::chunk_tooltip::{outcome, value_text};
use crate::format::{joined, separator};
use crate::guidance::lineage::{beam_text, candidate, extend, is_line, line_through};
use crate::guidance::trace::ChunkTrace;

/// Initial width of the window, in points.
const WIDTH: f32 = 440.0;
/// Maximum height of the text, in points.
const MAX_HEIGHT: f32 = 320.0;

/// State of the beam reader.
#[derive(Debug, Default)]
pub(crate) struct BeamReader {
    /// The line that is read: one candidate per chunk. It is kept while the user steps back and
    /// forth along it.
    line: Vec<usize>,
    column: usize,
}

impl BeamReader {
    /// Draws the window if a beam is open.
    pub(crate) fn show(
        &mut self,
        ctx: &Context,
        session: &Session,
        preferences: &Preferences,
        selection: &mut Selection,
        actions: &mut Vec<Action>,
    ) {
        let Some(at) = selection.open else { return };
        let columns = column_views(session, preferences);
        let found = columns.get(at.column).and_then(|s| Some((s, s.view?)));
        let Some((column, view)) = found else {
            selection.open = None;
            return;
        };
        let chunks = view.report.chunks.as_slice();
        let Some(open) = candidate(chunks, at.chunk, at.candidate) else {
            selection.open = None;
            return;
        };
        self.update_line(chunks, at);
        let (number, count) = (at.chunk + 1, chunks.len());
        let title = format!("{} · chunk {number} of {count} · {}", column.title, outcome(open));
        let mut is_open = true;
        let screen = ctx.content_rect();
        Window::new(RichText::new(title).font(text::heading()))
            .id(Id::unique("beam"))
            .open(&mut is_open)
            .collapsible(false)
            .default_width(WIDTH)
            .min_width(360.0)
            .resizable([true, false])
            .default_pos(screen.center() - vec2(WIDTH / 2.0, MAX_HEIGHT / 2.0))
            .constrain_to(screen)
            .show(ctx, |ui| {
                let beam = Beam { column, prompt: &view.prompt, chunks, at, line: &self.line };
                beam.buttons(ui, selection, actions);
                ui.separator();
                beam.text(ui);
            });
        if !is_open {
            selection.open = None;
        }
    }

    /// Keeps the line if the open candidate is on it. Otherwise replaces it.
    fn update_line(&mut self, chunks: &[ChunkTrace], at: ChunkRef) {
        let is_on_line = self.column == at.column && self.line.get(at.chunk) == Some(&at.candidate);
        // The stored line may belong to an earlier run.
        if is_on_line && is_line(chunks, &self.line) {
            extend(chunks, &mut self.line);
        } else {
            self.line = line_through(chunks, at.chunk, at.candidate);
            self.column = at.column;
        }
    }
}

/// The contents of the window.
struct Beam<'a> {
    column: &'a ColumnView<'a>,
    prompt: &'a str,
    chunks: &'a [ChunkTrace],
    at: ChunkRef,
    line: &'a [usize],
}

impl Beam<'_> {
    fn buttons(&self, ui: &mut Ui, selection: &mut Selection, actions: &mut Vec<Action>) {
        let at = self.at;
        ui.horizontal(|ui| {
            let chunk_ref = |chunk: Option<usize>| {
                let chunk = chunk?;
                let candidate = *self.line.get(chunk)?;
                Some(ChunkRef { column: at.column, chunk, candidate })
            };
            for (name, label, to) in [
                ("Previous chunk", "‹", chunk_ref(at.chunk.checked_sub(1))),
                ("Next chunk", "›", chunk_ref(Some(at.chunk + 1))),
            ] {
                let button = Button::new(RichText::new(label).font(text::heading()));
                let button = ui.add_enabled(to.is_some(), button.min_size(vec2(28.0, space::ROW)));
                let button = button.accessible_name(name).on_hover_text(name);
                if button.clicked() {
                    selection.open = to;
                }
            }
            ui.add_space(space::S);
            let copy = ui.button("Copy").on_hover_text("Copies the prompt and this beam.");
            let beam = || beam_text(self.chunks, at.chunk, at.candidate);
            if copy.clicked() {
                ui.copy_text(joined(self.prompt, &beam()));
            }
            let continue_button = ui.button("Continue from here");
            let hint = "Starts a run that continues the prompt and this beam from this chunk on.";
            if continue_button.on_hover_text(hint).clicked() {
                actions.push(Action::Continue(format!("{}{}", self.prompt, beam())));
            }
        });
    }

    /// Draws the prompt, then each chunk with its value. The chunks after the open one are faded.
    fn text(&self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let color = p.column(self.column.index);
        let line_height = Some(text::response().size * RESPONSE_LINE);
        let plain = |color| TextFormat {
            font_id: text::response(),
            color,
            line_height,
            ..TextFormat::default()
        };
        let mut job = LayoutJob::default();
        let prompt = TextFormat { font_id: text::prompt(), ..plain(p.weak) };
        let text_so_far = self.text_so_far();
        job.append(&prompt_tail(self.prompt), 0.0, prompt.clone());
        job.append(separator(self.prompt, &text_so_far), 0.0, prompt);
        for (t, (chunk, &i)) in self.chunks.iter().zip(self.line).enumerate() {
            let Some(candidate) = chunk.candidates.get(i) else { break };
            let mut format = plain(if t > self.at.chunk { p.ghost } else { p.text });
            if t == self.at.chunk {
                format.background = p.added(color);
                format.underline = Stroke::new(1.5, color);
            }
            job.append(&candidate.text, 0.0, format);
            let value = TextFormat {
                font_id: FontId::proportional(10.5),
                valign: Align::TOP,
                ..plain(p.weak)
            };
            let bar = if t + 1 < self.line.len() { " |" } else { "" };
            job.append(&format!(" {}{bar}", value_text(candidate.value)), 0.0, value);
        }
        let words = joined(&prompt_tail(self.prompt), &text_so_far);
        ScrollArea::vertical().auto_shrink([false, true]).max_height(MAX_HEIGHT).show(ui, |ui| {
            ui.set_max_width(ui.available_width() - space::M);
            let shown = ui.add(Label::new(job).wrap());
            shown.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        });
    }

    /// Returns the text of the beam up to the end of the open chunk.
    fn text_so_far(&self) -> String {
        beam_text(self.chunks, self.at.chunk, self.at.candidate)
    }
}
