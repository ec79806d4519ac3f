//! The strength strip as the window sees it: what was asked for, what has come, what is looked at.

use crate::guidance::settings::Settings;
use crate::lab::strip::{Curve, Dial, Plan, REPEATS, Strip};
use crate::worker::protocol::{Event, PackInfo, RunId};

use super::availability::{sentence, why_not_ready};

/// Everything that the strip's panel draws.
#[derive(Debug, Default)]
pub struct StripView {
    /// The dial whose curve is shown.
    pub dial: Dial,
    /// The point under the pointer, counted from the left end of the dial.
    pub hovered: Option<usize>,
    run: Option<Run>,
}

/// A strip in progress, or the last one.
#[derive(Debug)]
struct Run {
    id: RunId,
    strip: Strip,
    phase: StripPhase,
}

/// How far a strip is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StripPhase {
    /// Responses are coming.
    Running,
    /// A stop is on its way to the worker.
    Stopping,
    /// Every response is in.
    Finished,
    /// A person ended it.
    Stopped,
    /// An error ended it, in words.
    Failed(String),
}

/// How far a strip is, in responses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Those that are in.
    pub done: usize,
    /// All of them.
    pub total: usize,
    /// How long the others will take, in milliseconds; none before the first.
    pub left_ms: Option<f64>,
}

/// The strip that Run would ask for.
///
/// # Errors
/// Why there can be none now, in a sentence.
pub fn plan(prompt: &str, settings: &Settings, pack: Option<&PackInfo>) -> Result<Plan, String> {
    if let Some(reason) = why_not_ready(prompt, settings, pack) {
        return Err(reason);
    }
    let pack = pack.ok_or("No models are loaded yet.")?;
    Plan::new(pack.into(), prompt, settings, REPEATS).map_err(|e| sentence(&e.to_string()))
}

impl StripView {
    /// Begins a strip. A dial that it leaves out is not the one shown.
    pub fn begin(&mut self, id: RunId, plan: Plan) {
        if !plan.dials.contains(&self.dial) {
            self.dial = plan.dials.first().copied().unwrap_or_default();
        }
        self.hovered = None;
        self.run = Some(Run { id, strip: Strip::new(plan), phase: StripPhase::Running });
    }

    /// Notes that a stop was sent.
    pub fn stopping(&mut self) {
        if let Some(run) = self.run.as_mut().filter(|r| r.is_active()) {
            run.phase = StripPhase::Stopping;
        }
    }

    /// Takes one event in. Those of other runs are not for it.
    pub fn apply(&mut self, event: &Event) {
        let (Event::SweepPoint { run: id, .. }
        | Event::SweepDone { run: id, .. }
        | Event::SweepFailed { run: id, .. }) = event
        else {
            return;
        };
        let Some(run) = self.run.as_mut().filter(|r| r.id == *id && r.is_active()) else { return };
        match event {
            Event::SweepPoint { sample, .. } => run.strip.add((**sample).clone()),
            Event::SweepDone { stopped: true, .. } => run.phase = StripPhase::Stopped,
            Event::SweepDone { stopped: false, .. } => run.phase = StripPhase::Finished,
            Event::SweepFailed { message, .. } => {
                run.phase = StripPhase::Failed(sentence(message));
            }
            _ => {}
        }
    }

    /// The strip in progress, to be stopped; none if none is.
    pub fn running(&self) -> Option<RunId> {
        self.run.as_ref().filter(|r| r.is_active()).map(|r| r.id)
    }

    /// How far the strip shown is.
    pub fn phase(&self) -> Option<&StripPhase> {
        self.run.as_ref().map(|r| &r.phase)
    }

    /// The strip shown.
    pub fn strip(&self) -> Option<&Strip> {
        self.run.as_ref().map(|r| &r.strip)
    }

    /// The curve shown.
    pub fn curve(&self) -> Option<&Curve> {
        self.strip()?.curve(self.dial)
    }

    /// How far the strip shown is, in responses.
    pub fn progress(&self) -> Option<Progress> {
        let strip = self.strip()?;
        let (done, total) = (strip.done(), strip.plan.len());
        Some(Progress { done, total, left_ms: strip.left_ms() })
    }

    /// Why `dial` cannot be looked at; none if it can. Of the strip shown, or while there is
    /// none, of the one that would be run.
    pub fn why_not(
        &self,
        dial: Dial,
        settings: &Settings,
        pack: Option<&PackInfo>,
    ) -> Option<&'static str> {
        match self.strip() {
            Some(strip) => {
                strip.plan.left_out.iter().find(|l| l.dial == dial).map(|left_out| left_out.reason)
            }
            None => pack.and_then(|pack| dial.why_not(settings, pack.into())),
        }
    }

    /// What has changed since the curve shown was made, so that the settings of now do not lie on
    /// it. Turning its own dial only moves along it.
    pub fn why_old(&self, prompt: &str, settings: &Settings) -> Option<&'static str> {
        let plan = &self.strip()?.plan;
        let held = |s: &Settings| self.dial.turned(s, self.dial.of(&plan.settings));
        if plan.prompt != prompt {
            Some("made of another prompt")
        } else if held(settings) != plan.settings {
            Some("made at other settings")
        } else {
            None
        }
    }

    /// The point of the curve shown at which the settings stand; none between two points, or
    /// beside the curve.
    pub fn current(&self, prompt: &str, settings: &Settings) -> Option<usize> {
        if self.why_old(prompt, settings).is_some() {
            return None;
        }
        let setting = self.dial.of(settings);
        self.curve()?.points.iter().position(|p| p.setting == setting)
    }
}

impl Run {
    fn is_active(&self) -> bool {
        matches!(self.phase, StripPhase::Running | StripPhase::Stopping)
    }
}

impl Progress {
    /// In words, such as "12 of 84 · 9 s left".
    pub fn words(&self) -> String {
        let Self { done, total, left_ms } = *self;
        let left = left_ms.map(|ms| format!(" · {} left", duration(ms / 1e3)));
        format!("{done} of {total}{}", left.unwrap_or_default())
    }

    /// 0 to 1.
    pub fn share(&self) -> f32 {
        self.done as f32 / self.total.max(1) as f32
    }
}

/// Seconds, or from a minute on whole minutes.
fn duration(seconds: f64) -> String {
    let whole = seconds.ceil() as u64;
    if whole < 60 { format!("{whole} s") } else { format!("{} min", whole.div_ceil(60)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::strip::{Abilities, Sample};

    const PROMPT: &str = "This film";

    fn settings() -> Settings {
        Settings::default()
    }

    fn made(settings: &Settings) -> Plan {
        let can = Abilities { pair: true, value: true, judge: true };
        Plan::new(can, PROMPT, settings, 2).expect("a plan")
    }

    fn begun() -> StripView {
        let mut view = StripView::default();
        view.begin(3, made(&settings()));
        view
    }

    fn point(run: RunId, setting: f32) -> Event {
        let sample = Sample {
            dial: Dial::Beta,
            setting,
            seed: 1,
            text: " was".into(),
            gold_reward: Some(1.0),
            value: None,
            kl_nats: 1.0,
            kl_selection_bound_nats: 2.0,
            tokens: 1,
            base_perplexity: Some(9.0),
            elapsed_ms: 500.0,
        };
        Event::SweepPoint { run, sample: Box::new(sample) }
    }

    fn means(view: &StripView) -> usize {
        view.curve().map_or(0, |c| c.points.iter().filter(|p| p.mean.is_some()).count())
    }

    #[test]
    fn points_come_in_until_the_end() {
        let mut view = begun();
        assert_eq!((view.running(), means(&view)), (Some(3), 0));
        let nothing = Progress { done: 0, total: 42, left_ms: None };
        assert_eq!(view.progress(), Some(nothing));
        assert_eq!(nothing.words(), "0 of 42");
        view.apply(&point(3, -1.0));
        view.apply(&point(3, -0.5));
        assert_eq!(means(&view), 2);
        let progress = view.progress().expect("a strip");
        assert_eq!(progress.words(), "2 of 42 · 20 s left");
        assert!((progress.share() - 2.0 / 42.0).abs() < 1e-6);
        view.apply(&Event::SweepDone { run: 3, stopped: false });
        assert_eq!((view.running(), view.phase()), (None, Some(&StripPhase::Finished)));
        // Nothing comes after the end.
        view.apply(&point(3, 0.0));
        assert_eq!(means(&view), 2);
    }

    #[test]
    fn events_of_other_runs_are_not_for_it() {
        let mut view = begun();
        view.apply(&point(2, 0.0));
        view.apply(&Event::SweepFailed { run: 4, message: "no".into() });
        view.apply(&Event::Failed { run: 3, message: "no".into() });
        assert_eq!((view.running(), means(&view)), (Some(3), 0));
    }

    #[test]
    fn a_stop_and_an_error_keep_what_has_come() {
        let mut view = begun();
        view.apply(&point(3, 0.0));
        view.stopping();
        assert_eq!((view.running(), view.phase()), (Some(3), Some(&StripPhase::Stopping)));
        view.apply(&Event::SweepDone { run: 3, stopped: true });
        assert_eq!((view.phase(), means(&view)), (Some(&StripPhase::Stopped), 1));
        view.stopping();
        assert_eq!(view.phase(), Some(&StripPhase::Stopped));

        let mut view = begun();
        view.apply(&point(3, 0.0));
        view.apply(&Event::SweepFailed { run: 3, message: "computing failed".into() });
        let failed = StripPhase::Failed("Computing failed.".into());
        assert_eq!((view.phase(), means(&view), view.running()), (Some(&failed), 1, None));
    }

    #[test]
    fn the_current_point_is_the_one_that_is_set() {
        let mut view = begun();
        let at = |view: &StripView, settings: &Settings| view.current(PROMPT, settings);
        // β 1 of −1 to 2 in halves.
        assert_eq!(at(&view, &settings()), Some(4));
        // Along the curve, and between two of its points.
        assert_eq!(at(&view, &Settings { beta: -1.0, ..settings() }), Some(0));
        assert_eq!(at(&view, &Settings { beta: 0.7, ..settings() }), None);
        // Beside it.
        let other = Settings { lambda: 1.0, ..settings() };
        assert_eq!((at(&view, &other), view.why_old(PROMPT, &other)), {
            (None, Some("made at other settings"))
        });
        assert_eq!(view.why_old("Another", &settings()), Some("made of another prompt"));
        view.dial = Dial::Lambda;
        assert_eq!(at(&view, &other), Some(2));
    }

    #[test]
    fn the_dial_shown_is_one_of_the_strip() {
        let mut view = StripView { dial: Dial::Lambda, hovered: Some(3), ..StripView::default() };
        view.begin(1, made(&Settings { beams: 1, successors: 1, ..settings() }));
        assert_eq!((view.dial, view.hovered), (Dial::Beta, None));
        // The reason is that of the strip shown, whatever is set now.
        let reason = view.why_not(Dial::Lambda, &settings(), None);
        assert!(reason.is_some_and(|r| r.contains("W·K = 1")));
        assert_eq!(view.why_not(Dial::Beta, &settings(), None), None);
    }

    #[test]
    fn a_plan_wants_a_pack_and_a_prompt() {
        assert!(plan(PROMPT, &settings(), None).is_err_and(|r| r.contains("No models")));
    }

    #[test]
    fn long_times_are_in_minutes() {
        assert_eq!((duration(0.2), duration(59.0)), ("1 s".into(), "59 s".into()));
        assert_eq!(duration(70.4), "2 min");
    }
}
