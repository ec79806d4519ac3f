//! The bar at the bottom: the current state and its progress, notices, the device and the pack.

use eframe::egui::{
    Align, Color32, Frame, Label, Layout, Margin, Panel, RichText, Role, Sense, Ui, WidgetInfo,
    vec2,
};

use crate::app::action::Action;
use crate::app::state::columns::column_views;
use crate::app::state::preferences::Preferences;
use crate::app::state::session::{Loading, Origin, Phase, Run, Session};
use crate::app::theme::{Palette, space, text};
use crate::app::widgets::progress_bar;
use crate::format::{duration, excerpt};
use crate::records::record_writer::Command;

/// Minimum height of a window that shows the bar, in points.
pub(in crate::app) const MIN_WINDOW_HEIGHT: f32 = 420.0;

pub(crate) struct StatusBar<'a> {
    pub(crate) session: &'a Session,
    /// The progress of loading a pack.
    pub(crate) loading: Option<&'a Loading>,
    /// The current choices. The bar compares them with the run shown, to say what has changed
    /// since.
    pub(crate) preferences: &'a Preferences,
    /// The progress of a download in the background.
    pub(crate) download: Option<Loading>,
    /// Whether the window is too low for the panel below the responses.
    pub(crate) is_too_low: bool,
}

struct State {
    words: String,
    /// From 0 to 1, or `None` to draw no progress bar.
    progress: Option<f32>,
    ink: Color32,
}

impl StatusBar<'_> {
    pub(crate) fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let p = Palette::of(ui);
        let margin = Margin::symmetric(space::L as i8, 0);
        let frame = Frame::new().fill(p.surface).inner_margin(margin);
        let panel = Panel::bottom("status bar").exact_size(space::STATUS_BAR).frame(frame);
        panel.show(ui, |ui| {
            ui.horizontal_centered(|ui| {
                let state = self.state(p);
                let (dot, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
                ui.painter().circle_filled(dot.center(), 4.0, state.ink);
                ui.add(Label::new(RichText::new(&state.words).font(text::small())));
                if let Some(fraction) = state.progress {
                    progress_bar(ui, 160.0, fraction);
                }
                self.download(ui);
                self.notice(ui, actions);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| self.facts(ui));
            });
        });
    }

    /// Draws the progress of a background download. While the window waits for the download, the
    /// state shows its progress instead.
    fn download(&self, ui: &mut Ui) {
        let download = self.download.as_ref().filter(|_| self.loading.is_none());
        let Some(Loading { what, fraction }) = download else { return };
        ui.add(Label::new(RichText::new("·").color(Palette::of(ui).weak)).selectable(false));
        let words = format!("Downloading {:.0}%", fraction * 100.0);
        let words = Label::new(RichText::new(words).font(text::small()));
        ui.add(words.selectable(false)).on_hover_text(what);
    }

    /// Draws the notice, with an Undo button if the action can be undone.
    fn notice(&self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Some(notice) = &self.session.notice else { return };
        ui.add(Label::new(RichText::new("·").color(Palette::of(ui).weak)).selectable(false));
        let label = ui.add(Label::new(RichText::new(&notice.words).font(text::small())));
        label.widget_info(|| WidgetInfo::labeled(Role::Status, true, &notice.words));
        if notice.undo && ui.small_button("Undo").clicked() {
            actions.push(Action::File(Command::UndoDelete));
        }
    }

    fn state(&self, p: &Palette) -> State {
        if let Some(loading) = self.loading {
            let percent = (loading.fraction * 100.0).round();
            let words = format!("Loading {percent:.0}% · {}", loading.what);
            return State { words, progress: Some(loading.fraction), ink: p.guided };
        }
        match &self.session.run {
            Some(run) => self.run_state(run, p),
            None if self.session.pack.is_some() => State::plain("Ready", p.guided),
            None => State::plain("No models loaded", p.danger),
        }
    }

    /// Draws the device and the pack, from right to left.
    fn facts(&self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let mut facts = Vec::new();
        if self.is_too_low {
            facts.push("Enlarge the window to see the plot".to_owned());
        }
        if let Some(pack) = &self.session.pack {
            facts.push(pack.device.clone());
            facts.push(pack.name.clone());
        }
        for (i, fact) in facts.iter().enumerate() {
            if i > 0 {
                ui.add(Label::new(RichText::new("·").color(p.weak)).selectable(false));
            }
            ui.add(Label::new(RichText::new(fact).font(text::small()).color(p.weak)));
        }
    }
}

impl State {
    fn plain(words: &str, ink: Color32) -> Self {
        Self { words: words.into(), progress: None, ink }
    }
}

impl StatusBar<'_> {
    fn run_state(&self, run: &Run, p: &Palette) -> State {
        let (so_far, budget) = (run.tokens_so_far(), run.request.settings.max_tokens);
        let progress = Some(so_far as f32 / budget.max(1) as f32);
        match run.phase {
            Phase::Starting => {
                State { words: "Reading the prompt".into(), progress: Some(0.0), ink: p.guided }
            }
            Phase::Generating => {
                let left = run.remaining_ms().map(|ms| format!(" · {} left", duration(ms / 1e3)));
                let left = left.unwrap_or_default();
                let words = format!("Generating · {so_far} of {budget} tokens{left}");
                State { words, progress, ink: p.guided }
            }
            Phase::Stopping => State { words: "Stopping".into(), progress, ink: p.unguided },
            Phase::Finished => self.ended(run, finished(&run.origin), p.guided),
            Phase::Stopped => self.ended(run, "Stopped", p.unguided),
            Phase::Failed => State::plain("Failed", p.danger),
        }
    }

    /// Describes a run that has ended, and whether the prompt, settings, columns or pack have
    /// changed since.
    fn ended(&self, run: &Run, word: impl Into<String>, ink: Color32) -> State {
        let word = word.into();
        let Preferences { prompt, settings, .. } = self.preferences;
        let columns = column_views(self.session, self.preferences);
        let has_all = columns.len() == run.arms.len() && columns.iter().all(|c| c.view.is_some());
        let pack = self.session.pack.as_ref().map(|pack| &pack.name);
        let is_other_pack = run.trace.as_ref().is_some_and(|trace| Some(&trace.pack) != pack);
        let is_changed = run.request.prompt != *prompt || run.request.settings != *settings;
        let words = match (&run.trace, pack) {
            (Some(trace), Some(pack)) if is_other_pack && run.origin == Origin::Own => {
                format!("{word}. This run used {}; {pack} is loaded now.", trace.pack)
            }
            _ if is_changed || !has_all => format!("{word}. Press Generate to apply your changes"),
            _ => word,
        };
        State { words, progress: None, ink }
    }
}

/// Describes a run that was not stopped, by its origin.
fn finished(origin: &Origin) -> String {
    match origin {
        Origin::Own => "Done".into(),
        Origin::Example => "Recorded example · press Generate to start your own run".into(),
        Origin::Past(name) => format!("Recorded run · {}", excerpt(name, 40)),
    }
}
