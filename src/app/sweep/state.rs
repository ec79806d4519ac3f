//! State of the sweep panel: the running or last sweep, and the axis shown.

use std::ops::RangeInclusive;

use crate::guidance::settings::Settings;
use crate::lab::sweep::{Curve, Plan, REPEATS, SweepAxis, SweepResults};
use crate::worker::protocol::{Event, PackInfo, PackSource, RunId};

use crate::app::state::availability::not_ready_reason;
use crate::format::duration;
use crate::format::sentence;

/// The numbers of seeds that the panel offers.
pub(crate) const SEEDS: RangeInclusive<u64> = 1..=8;

/// State of the sweep panel.
#[derive(Debug)]
pub struct SweepState {
    /// The axis whose curve is shown.
    pub axis: SweepAxis,
    /// Number of seeds at each value of the next sweep, within [`SEEDS`].
    pub seeds: u64,
    /// Index of the point under the pointer.
    pub hovered: Option<usize>,
    run: Option<Run>,
}

/// The sweep in progress, or the last one.
#[derive(Debug)]
struct Run {
    id: RunId,
    sweep: SweepResults,
    /// The pack that generates it.
    pack: PackSource,
    phase: SweepPhase,
}

/// Phase of a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SweepPhase {
    /// The worker generates responses.
    Running,
    /// The worker was asked to stop.
    Pausing,
    /// All responses have arrived.
    Finished,
    /// The user or a new run stopped it. It can be resumed.
    Paused,
    /// An error ended it. Holds the message.
    Failed(String),
}

/// Progress of a sweep, in responses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Responses that have arrived.
    pub done: usize,
    /// All responses.
    pub total: usize,
    /// Estimated time for the remaining responses, in milliseconds. `None` before the first one.
    pub left_ms: Option<f64>,
}

/// Creates the plan of a sweep with the current prompt, settings and pack.
///
/// # Errors
/// Returns the reason as a sentence if no sweep can be run.
pub fn plan(
    prompt: &str,
    settings: &Settings,
    pack: Option<&PackInfo>,
    seeds: u64,
) -> Result<Plan, String> {
    if let Some(reason) = not_ready_reason(prompt, settings, pack) {
        return Err(reason);
    }
    let pack = pack.ok_or("No models are loaded yet.")?;
    Plan::new(pack.into(), prompt, settings, seeds).map_err(|e| sentence(&e.to_string()))
}

impl Default for SweepState {
    fn default() -> Self {
        Self { axis: SweepAxis::default(), seeds: REPEATS, hovered: None, run: None }
    }
}

impl SweepState {
    /// Starts a sweep with this pack. If it skips the axis shown, shows its first axis.
    pub fn begin(&mut self, id: RunId, plan: Plan, pack: PackSource) {
        if !plan.axes.contains(&self.axis) {
            self.axis = plan.axes.first().copied().unwrap_or_default();
        }
        self.hovered = None;
        let sweep = SweepResults::new(plan);
        self.run = Some(Run { id, sweep, pack, phase: SweepPhase::Running });
    }

    /// Records that the worker was asked to stop.
    pub fn pausing(&mut self) {
        if let Some(run) = self.run.as_mut().filter(|r| r.is_active()) {
            run.phase = SweepPhase::Pausing;
        }
    }

    /// Returns whether the sweep was paused or failed before its end.
    pub(crate) fn can_resume(&self) -> bool {
        self.run.as_ref().is_some_and(Run::can_resume)
    }

    /// Returns the reason why the sweep cannot go on with this pack, or `None` if it can.
    pub(crate) fn resume_disabled_reason(&self, pack: Option<&PackInfo>) -> Option<&'static str> {
        let started_with = &self.run.as_ref()?.pack;
        match pack {
            None => Some("No models are loaded yet."),
            Some(pack) if pack.source != *started_with => Some(
                "This sweep was started with another pack. Load that pack to resume it, or run \
                 the sweep again.",
            ),
            Some(_) => None,
        }
    }

    /// Goes on with the sweep as run `id`. Returns its results so far, or `None` if it cannot be
    /// resumed.
    pub fn resume(&mut self, id: RunId) -> Option<Box<SweepResults>> {
        let run = self.run.as_mut().filter(|run| run.can_resume())?;
        (run.id, run.phase) = (id, SweepPhase::Running);
        Some(Box::new(run.sweep.clone()))
    }

    /// Applies a worker event. Ignores the events of other runs.
    pub fn apply(&mut self, event: &Event) {
        let (Event::SweepPoint { run: id, .. }
        | Event::SweepDone { run: id, .. }
        | Event::SweepFailed { run: id, .. }) = event
        else {
            return;
        };
        let Some(run) = self.run.as_mut().filter(|r| r.id == *id && r.is_active()) else { return };
        match event {
            Event::SweepPoint { sample, .. } => run.sweep.add((**sample).clone()),
            Event::SweepDone { stopped: true, .. } => run.phase = SweepPhase::Paused,
            Event::SweepDone { stopped: false, .. } => run.phase = SweepPhase::Finished,
            Event::SweepFailed { message, .. } => {
                run.phase = SweepPhase::Failed(sentence(message));
            }
            _ => {}
        }
    }

    /// Returns the run id of the sweep in progress, or `None` if no sweep is running.
    pub fn running(&self) -> Option<RunId> {
        self.run.as_ref().filter(|r| r.is_active()).map(|r| r.id)
    }

    /// Returns the phase of the sweep shown.
    pub fn phase(&self) -> Option<&SweepPhase> {
        self.run.as_ref().map(|r| &r.phase)
    }

    /// Returns the results of the sweep shown.
    pub fn results(&self) -> Option<&SweepResults> {
        self.run.as_ref().map(|r| &r.sweep)
    }

    /// Returns the curve shown.
    pub fn curve(&self) -> Option<&Curve> {
        self.results()?.curve(self.axis)
    }

    /// Returns the progress of the sweep shown.
    pub fn progress(&self) -> Option<Progress> {
        let sweep = self.results()?;
        let (done, total) = (sweep.done(), sweep.plan.len());
        Some(Progress { done, total, left_ms: sweep.left_ms() })
    }

    /// Returns the reason why `axis` cannot be shown, or `None` if it can. Without a sweep, returns
    /// the reason why a sweep would skip it.
    pub(crate) fn disabled_reason(
        &self,
        axis: SweepAxis,
        settings: &Settings,
        pack: Option<&PackInfo>,
    ) -> Option<&'static str> {
        match self.results() {
            Some(sweep) => {
                sweep.plan.skipped.iter().find(|l| l.axis == axis).map(|skipped| skipped.reason)
            }
            None => pack.and_then(|pack| axis.disabled_reason(settings, pack.into())),
        }
    }

    /// Returns what differs from the current prompt and settings, or `None` if the curve shown
    /// applies to them. A change of the swept setting itself does not count.
    pub(crate) fn outdated_reason(
        &self,
        prompt: &str,
        settings: &Settings,
    ) -> Option<&'static str> {
        let plan = &self.results()?.plan;
        let held = |s: &Settings| self.axis.with_value(s, self.axis.value_in(&plan.settings));
        if plan.prompt != prompt {
            Some("from another prompt")
        } else if held(settings) != plan.settings {
            Some("from other settings")
        } else {
            None
        }
    }

    /// Returns the index of the point with the current settings. Returns `None` if they lie between
    /// two points, or if the curve does not apply to them.
    pub fn current(&self, prompt: &str, settings: &Settings) -> Option<usize> {
        if self.outdated_reason(prompt, settings).is_some() {
            return None;
        }
        let setting = self.axis.value_in(settings);
        self.curve()?.points.iter().position(|p| p.setting == setting)
    }
}

impl Run {
    fn is_active(&self) -> bool {
        matches!(self.phase, SweepPhase::Running | SweepPhase::Pausing)
    }

    fn can_resume(&self) -> bool {
        let has_ended = matches!(self.phase, SweepPhase::Paused | SweepPhase::Failed(_));
        has_ended && self.sweep.done() < self.sweep.plan.len()
    }
}

impl Progress {
    /// Returns the progress as text, such as "12 of 84 · 9 s left".
    pub fn words(&self) -> String {
        let Self { done, total, left_ms } = *self;
        let left = left_ms.map(|ms| format!(" · {} left", duration(ms / 1e3)));
        format!("{done} of {total}{}", left.unwrap_or_default())
    }

    /// Returns the finished share, from 0 to 1.
    pub fn share(&self) -> f32 {
        self.done as f32 / self.total.max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::sweep::{PackCapabilities, Sample};

    const PROMPT: &str = "This film";

    fn settings() -> Settings {
        Settings::default()
    }

    fn plan_for(settings: &Settings) -> Plan {
        let can = PackCapabilities { pair: true, value: true, judge: true };
        Plan::new(can, PROMPT, settings, 2).expect("a plan")
    }

    fn started() -> SweepState {
        let mut view = SweepState::default();
        view.begin(3, plan_for(&settings()), PackSource::default());
        view
    }

    fn point(run: RunId, setting: f32) -> Event {
        let sample = Sample {
            axis: SweepAxis::Beta,
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

    fn measured_points(view: &SweepState) -> usize {
        view.curve().map_or(0, |c| c.points.iter().filter(|p| p.mean.is_some()).count())
    }

    #[test]
    fn collects_points_until_the_end() {
        let mut view = started();
        assert_eq!((view.running(), measured_points(&view)), (Some(3), 0));
        let none_done = Progress { done: 0, total: 42, left_ms: None };
        assert_eq!(view.progress(), Some(none_done));
        assert_eq!(none_done.words(), "0 of 42");
        view.apply(&point(3, -1.0));
        view.apply(&point(3, -0.5));
        assert_eq!(measured_points(&view), 2);
        let progress = view.progress().expect("a sweep");
        assert_eq!(progress.words(), "2 of 42 · 20 s left");
        assert!((progress.share() - 2.0 / 42.0).abs() < 1e-6);
        view.apply(&Event::SweepDone { run: 3, stopped: false });
        assert_eq!((view.running(), view.phase()), (None, Some(&SweepPhase::Finished)));
        // Ignores points after the end.
        view.apply(&point(3, 0.0));
        assert_eq!(measured_points(&view), 2);
    }

    #[test]
    fn ignores_events_of_other_runs() {
        let mut view = started();
        view.apply(&point(2, 0.0));
        view.apply(&Event::SweepFailed { run: 4, message: "no".into() });
        view.apply(&Event::Failed { run: 3, message: "no".into() });
        assert_eq!((view.running(), measured_points(&view)), (Some(3), 0));
    }

    #[test]
    fn a_stop_and_an_error_keep_the_points() {
        let mut view = started();
        view.apply(&point(3, 0.0));
        view.pausing();
        assert_eq!((view.running(), view.phase()), (Some(3), Some(&SweepPhase::Pausing)));
        view.apply(&Event::SweepDone { run: 3, stopped: true });
        assert_eq!((view.phase(), measured_points(&view)), (Some(&SweepPhase::Paused), 1));
        view.pausing();
        assert_eq!(view.phase(), Some(&SweepPhase::Paused));

        let mut view = started();
        view.apply(&point(3, 0.0));
        view.apply(&Event::SweepFailed { run: 3, message: "computing failed".into() });
        let failed = SweepPhase::Failed("Computing failed.".into());
        assert_eq!(
            (view.phase(), measured_points(&view), view.running()),
            (Some(&failed), 1, None)
        );
    }

    #[test]
    fn a_paused_sweep_goes_on_with_its_points() {
        let mut view = started();
        assert_eq!((view.resume(4), view.can_resume()), (None, false));
        view.apply(&point(3, 0.0));
        view.pausing();
        view.apply(&Event::SweepDone { run: 3, stopped: true });
        assert!(view.can_resume());
        let so_far = view.resume(4).expect("a paused sweep");
        assert_eq!((so_far.done(), view.running()), (1, Some(4)));
        // Late events of the paused run are ignored.
        view.apply(&point(3, 0.5));
        view.apply(&point(4, 1.0));
        assert_eq!(measured_points(&view), 2);
        view.apply(&Event::SweepFailed { run: 4, message: "no".into() });
        assert!(view.can_resume());
        view.resume(5).expect("a failed sweep");
        view.apply(&Event::SweepDone { run: 5, stopped: false });
        assert!(!view.can_resume());
    }

    #[test]
    fn finds_the_point_with_the_current_settings() {
        let mut view = started();
        let at = |view: &SweepState, settings: &Settings| view.current(PROMPT, settings);
        // β = 1 is point 4 of −1, −0.5, …, 2.
        assert_eq!(at(&view, &settings()), Some(4));
        // On the curve: at a point, and between two points.
        assert_eq!(at(&view, &Settings { beta: -1.0, ..settings() }), Some(0));
        assert_eq!(at(&view, &Settings { beta: 0.7, ..settings() }), None);
        // Not on the curve.
        let other = Settings { lambda: 1.0, ..settings() };
        assert_eq!((at(&view, &other), view.outdated_reason(PROMPT, &other)), {
            (None, Some("from other settings"))
        });
        assert_eq!(view.outdated_reason("Another", &settings()), Some("from another prompt"));
        view.axis = SweepAxis::Lambda;
        assert_eq!(at(&view, &other), Some(2));
    }

    #[test]
    fn shows_the_first_axis_if_the_sweep_skips_the_current_one() {
        let mut view =
            SweepState { axis: SweepAxis::Lambda, hovered: Some(3), ..SweepState::default() };
        let single = Settings { beams: 1, successors: 1, ..settings() };
        view.begin(1, plan_for(&single), PackSource::default());
        assert_eq!((view.axis, view.hovered), (SweepAxis::Beta, None));
        // The reason comes from the sweep shown, not from the current settings.
        let reason = view.disabled_reason(SweepAxis::Lambda, &settings(), None);
        assert!(reason.is_some_and(|r| r.contains("W·K = 1")));
        assert_eq!(view.disabled_reason(SweepAxis::Beta, &settings(), None), None);
    }

    #[test]
    fn a_plan_needs_a_pack() {
        assert!(plan(PROMPT, &settings(), None, 4).is_err_and(|r| r.contains("No models")));
    }
}
