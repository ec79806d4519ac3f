//! The bar at the bottom: what is going on, how far it is and how fast.

use eframe::egui::{
    Align, Color32, Frame, Label, Layout, Margin, Panel, RichText, Role, Sense, Ui, WidgetInfo,
    vec2,
};

use super::Action;
use crate::app::preferences::Preferences;
use crate::app::session::{Origin, Phase, Run, Session};
use crate::app::slots::slots;
use crate::app::theme::{Palette, space, text};
use crate::records::clerk::Command;
use crate::words::{duration, excerpt};

/// The status bar.
pub struct StatusBar<'a> {
    /// What it reports.
    pub session: &'a Session,
    /// Tells whether the settings have moved on since the run.
    pub preferences: &'a Preferences,
    /// The download that goes on meanwhile: what arrives, and the share that is here.
    pub download: Option<(String, f32)>,
}

/// The state in words, and how far it is where that is known.
struct State {
    words: String,
    progress: Option<f32>,
    ink: Color32,
}

impl StatusBar<'_> {
    /// Shows it.
    pub fn show(self, ui: &mut Ui, actions: &mut Vec<Action>) {
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
                    progress(ui, 160.0, fraction);
                }
                self.download(ui);
                self.notice(ui, actions);
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| self.facts(ui));
            });
        });
    }

    /// A download that goes on behind what is shown; while it is what everything waits for, the
    /// state says it.
    fn download(&self, ui: &mut Ui) {
        let Some((what, share)) = self.download.as_ref().filter(|_| self.session.loading.is_none())
        else {
            return;
        };
        ui.add(Label::new(RichText::new("·").color(Palette::of(ui).weak)).selectable(false));
        let words = format!("Downloading {:.0}%", share * 100.0);
        let words = Label::new(RichText::new(words).font(text::small()));
        ui.add(words.selectable(false)).on_hover_text(what);
    }

    /// What was just done, and the way back where there is one.
    fn notice(&self, ui: &mut Ui, actions: &mut Vec<Action>) {
        let Some(notice) = &self.session.notice else { return };
        ui.add(Label::new(RichText::new("·").color(Palette::of(ui).weak)).selectable(false));
        let shown = ui.add(Label::new(RichText::new(&notice.words).font(text::small())));
        shown.widget_info(|| WidgetInfo::labeled(Role::Status, true, &notice.words));
        if notice.undo && ui.small_button("Undo").clicked() {
            actions.push(Action::File(Command::UndoDelete));
        }
    }

    fn state(&self, p: &Palette) -> State {
        if let Some(loading) = &self.session.loading {
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

    /// From the right: device, pack.
    fn facts(&self, ui: &mut Ui) {
        let p = Palette::of(ui);
        let mut facts = Vec::new();
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

/// How far something is. egui's bar has no colour of its own for the empty part.
pub(super) fn progress(ui: &mut Ui, width: f32, fraction: f32) {
    let p = Palette::of(ui);
    let (bar, response) = ui.allocate_exact_size(vec2(width, 6.0), Sense::hover());
    ui.painter().rect_filled(bar, 3.0, p.rail);
    let done = bar.with_max_x(bar.left() + bar.width() * fraction.clamp(0.0, 1.0));
    ui.painter().rect_filled(done, 3.0, p.accent);
    response.widget_info(|| {
        let value = Some(f64::from(fraction));
        WidgetInfo { value, ..WidgetInfo::labeled(Role::ProgressIndicator, true, "Progress") }
    });
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
                let left = run.left_ms().map(|ms| format!(" · {} left", duration(ms / 1e3)));
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

    /// A run that has ended shows what it was asked for, which may not be what is set now.
    fn ended(&self, run: &Run, word: impl Into<String>, ink: Color32) -> State {
        let word = word.into();
        let Preferences { prompt, settings, .. } = self.preferences;
        let slots = slots(self.session, self.preferences);
        let has_all = slots.len() == run.arms.len() && slots.iter().all(|s| s.view.is_some());
        let pack = self.session.pack.as_ref().map(|pack| &pack.name);
        let other = run.trace.as_ref().is_some_and(|trace| Some(&trace.pack) != pack);
        let what = if other && pack.is_some() && run.origin == Origin::Own {
            "another pack is in use since"
        } else if run.request.prompt != *prompt {
            "the prompt has changed since"
        } else if run.request.settings != *settings {
            "settings have changed since"
        } else if !has_all {
            "columns have changed since"
        } else {
            return State { words: word, progress: None, ink };
        };
        State { words: format!("{word} · {what}"), progress: None, ink }
    }
}

/// The end of a run that was not stopped, in words.
fn finished(origin: &Origin) -> String {
    match origin {
        Origin::Own => "Done".into(),
        Origin::Example => "Recorded example · press Generate for a run of your own".into(),
        Origin::Past(name) => format!("Recorded run · {}", excerpt(name, 40)),
    }
}
