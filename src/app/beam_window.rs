//! The reader: the whole text of one beam, chunk by chunk.

use eframe::egui::text::{LayoutJob, TextFormat};
use eframe::egui::{
    Align, Button, Context, FontId, Id, Label, RichText, Role, ScrollArea, Stroke, Ui, WidgetInfo,
    Window, vec2,
};

use super::chunk_card::{fate, value_words};
use super::focus::{ChunkRef, Focus};
use super::lineage::{beam_text, candidate, extend, is_line, line_through};
use super::panels::Action;
use super::preferences::Preferences;
use super::prompt_box::end_of;
use super::session::Session;
use super::slots::{Slot, slots};
use super::theme::{Palette, RESPONSE_LINE, space, text};
use crate::guidance::trace::ChunkTrace;
use crate::words::{joined, seam};

/// Width of the window when it first opens; it is as high as its text, up to a limit.
const WIDTH: f32 = 440.0;
const HIGHEST: f32 = 320.0;

/// Reads beams.
#[derive(Debug, Default)]
pub struct BeamReader {
    /// The line that is read, one candidate a chunk. It stays while a person goes back and forth
    /// along it.
    line: Vec<usize>,
    slot: usize,
}

impl BeamReader {
    /// Shows the beam that is open, if there is one.
    pub fn show(
        &mut self,
        ctx: &Context,
        session: &Session,
        preferences: &Preferences,
        focus: &mut Focus,
        actions: &mut Vec<Action>,
    ) {
        let Some(at) = focus.open else { return };
        let slots = slots(session, preferences);
        let found = slots.get(at.slot).and_then(|s| Some((s, s.view?)));
        let Some((slot, view)) = found else {
            focus.open = None;
            return;
        };
        let chunks = view.report.chunks.as_slice();
        let Some(open) = candidate(chunks, at.chunk, at.candidate) else {
            focus.open = None;
            return;
        };
        self.follow(chunks, at);
        let (number, count) = (at.chunk + 1, chunks.len());
        let title = format!("{} · chunk {number} of {count} · {}", slot.title, fate(open));
        let mut stays = true;
        let room = ctx.content_rect();
        Window::new(RichText::new(title).font(text::heading()))
            .id(Id::unique("beam"))
            .open(&mut stays)
            .collapsible(false)
            .default_width(WIDTH)
            .min_width(360.0)
            .resizable([true, false])
            .default_pos(room.center() - vec2(WIDTH / 2.0, HIGHEST / 2.0))
            .constrain_to(room)
            .show(ctx, |ui| {
                let beam = Beam { slot, prompt: &view.prompt, chunks, at, line: &self.line };
                beam.buttons(ui, focus, actions);
                ui.separator();
                beam.text(ui);
            });
        if !stays {
            focus.open = None;
        }
    }

    /// Keeps to the line while what is open lies on it.
    fn follow(&mut self, chunks: &[ChunkTrace], at: ChunkRef) {
        let is_on_it = self.slot == at.slot && self.line.get(at.chunk) == Some(&at.candidate);
        // It may be the line of a run before.
        if is_on_it && is_line(chunks, &self.line) {
            extend(chunks, &mut self.line);
        } else {
            self.line = line_through(chunks, at.chunk, at.candidate);
            self.slot = at.slot;
        }
    }
}

/// What the window shows.
struct Beam<'a> {
    slot: &'a Slot<'a>,
    prompt: &'a str,
    chunks: &'a [ChunkTrace],
    at: ChunkRef,
    line: &'a [usize],
}

impl Beam<'_> {
    fn buttons(&self, ui: &mut Ui, focus: &mut Focus, actions: &mut Vec<Action>) {
        let at = self.at;
        ui.horizontal(|ui| {
            let neighbour = |chunk: Option<usize>| {
                let chunk = chunk?;
                let candidate = *self.line.get(chunk)?;
                Some(ChunkRef { slot: at.slot, chunk, candidate })
            };
            for (name, label, to) in [
                ("Previous chunk", "‹", neighbour(at.chunk.checked_sub(1))),
                ("Next chunk", "›", neighbour(Some(at.chunk + 1))),
            ] {
                let button = Button::new(RichText::new(label).font(text::heading()));
                let button = ui.add_enabled(to.is_some(), button.min_size(vec2(28.0, space::ROW)));
                let button = button.accessible_name(name).on_hover_text(name);
                if button.clicked() {
                    focus.open = to;
                }
            }
            ui.add_space(space::S);
            let copy = ui.button("Copy").on_hover_text("Copies the prompt and this beam.");
            let beam = || beam_text(self.chunks, at.chunk, at.candidate);
            if copy.clicked() {
                ui.copy_text(joined(self.prompt, &beam()));
            }
            let go_on = ui.button("Continue from here");
            let hint = "Starts a run whose prompt is the prompt and this beam, to its end here.";
            if go_on.on_hover_text(hint).clicked() {
                actions.push(Action::Continue(format!("{}{}", self.prompt, beam())));
            }
        });
    }

    /// The prompt, then every chunk and what it was worth, then what became of it.
    fn text(&self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let ink = p.column(self.slot.index);
        let line_height = Some(text::response().size * RESPONSE_LINE);
        let plain = |color| TextFormat {
            font_id: text::response(),
            color,
            line_height,
            ..TextFormat::default()
        };
        let mut job = LayoutJob::default();
        let prompt = TextFormat { font_id: text::prompt(), ..plain(p.weak) };
        let spoken = self.spoken();
        job.append(&end_of(self.prompt), 0.0, prompt.clone());
        job.append(seam(self.prompt, &spoken), 0.0, prompt);
        for (t, (chunk, &i)) in self.chunks.iter().zip(self.line).enumerate() {
            let Some(candidate) = chunk.candidates.get(i) else { break };
            let mut format = plain(if t > self.at.chunk { p.ghost } else { p.text });
            if t == self.at.chunk {
                format.background = p.added(ink);
                format.underline = Stroke::new(1.5, ink);
            }
            job.append(&candidate.text, 0.0, format);
            let value = TextFormat {
                font_id: FontId::proportional(10.5),
                valign: Align::TOP,
                ..plain(p.weak)
            };
            let bar = if t + 1 < self.line.len() { " |" } else { "" };
            job.append(&format!(" {}{bar}", value_words(candidate.value)), 0.0, value);
        }
        let words = joined(&end_of(self.prompt), &spoken);
        ScrollArea::vertical().auto_shrink([false, true]).max_height(HIGHEST).show(ui, |ui| {
            ui.set_max_width(ui.available_width() - space::M);
            let shown = ui.add(Label::new(job).wrap());
            shown.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
        });
    }

    /// The beam up to the chunk that is open.
    fn spoken(&self) -> String {
        beam_text(self.chunks, self.at.chunk, self.at.candidate)
    }
}
