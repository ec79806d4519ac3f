//! Sweeps in the window: starting, stopping, and using a result.

use eframe::egui::{Key, Modifiers, Vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::app::state::session::Phase;
use ivg_playground::guidance::settings::Settings;
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::lab::sweep::SweepAxis;
use ivg_playground::worker::protocol::{Command, Event, RunId, SweepRequest};

use crate::engine::{pack, sample};
use crate::harness::{Bench, options};

fn started(bench: &Bench) -> (RunId, SweepRequest) {
    match bench.engine.command() {
        Command::Sweep(run, plan) => (run, *plan),
        other => panic!("expected Sweep, got {other:?}"),
    }
}

/// Opens a window in which a sweep runs.
fn running() -> (Bench, RunId) {
    let mut bench = Bench::ready();
    bench.click("Lower panel: Sweep");
    bench.click("Compare strengths");
    let (run, _) = started(&bench);
    (bench, run)
}

/// Sends every point of the β curve.
fn fill(bench: &mut Bench, run: RunId) {
    for setting in SweepAxis::Beta.values(&Settings::default()) {
        let sample = Box::new(sample(SweepAxis::Beta, setting));
        bench.engine.send(Event::SweepPoint { run, sample });
    }
    bench.window.run();
}

const ROW: &str = "β 0.5: judge +1.00, KL upper bound 16.2 nats";

#[test]
fn a_sweep_uses_the_prompt_and_the_settings_and_shows_its_points() {
    let mut bench = Bench::ready();
    bench.enter("Seed", "5");
    bench.click("Lower panel: Sweep");
    bench.click("Compare strengths");
    let (run, plan) = started(&bench);
    assert_eq!(plan.prompt, "This movie was");
    assert_eq!(plan.settings, *bench.settings());
    assert_eq!(plan.axes, SweepAxis::ALL);
    assert!(bench.shows("0 of 84") && !bench.shows(ROW));
    fill(&mut bench, run);
    assert!(bench.shows(ROW));
    bench.engine.send(Event::SweepDone { run, stopped: false });
    bench.window.run();
    assert!(bench.shows("Run again"));
    // The points are kept while another tab is shown.
    bench.click("Lower panel: Values");
    assert!(!bench.shows(ROW));
    bench.click("Lower panel: Sweep");
    assert!(bench.shows(ROW));
}

#[test]
fn clicking_a_row_applies_its_setting_and_runs_it_in_live_mode() {
    let (mut bench, run) = running();
    fill(&mut bench, run);
    bench.engine.send(Event::SweepDone { run, stopped: false });
    bench.window.run();
    bench.click(ROW);
    assert_eq!(bench.settings().beta, 0.5);
    bench.expect_silence();
    bench.finish(&[" a", " b"]);
    bench.click("Live");
    bench.click("β −1: judge −2.00, KL upper bound 19.2 nats");
    let (_, request) = bench.engine.generate();
    assert_eq!(request.settings.beta, -1.0);
}

#[test]
fn a_new_run_pauses_the_sweep_which_can_be_resumed() {
    let (mut bench, sweep) = running();
    fill(&mut bench, sweep);
    bench.click("Generate");
    let (run, _) = bench.engine.generate();
    assert!(bench.engine.is_stopped(sweep) && !bench.engine.is_stopped(run));
    bench.engine.send(Event::SweepDone { run: sweep, stopped: true });
    bench.engine.send(Event::Started { run });
    bench.window.run();
    assert!(bench.shows("paused at 7 of 84") && bench.shows(ROW), "its points stay");
    assert_eq!(bench.phase(), Some(Phase::Generating));
    // It goes on with the points it has, and stops the run.
    bench.click("Resume");
    let Command::ResumeSweep(resumed, so_far) = bench.engine.command() else { panic!("no sweep") };
    assert!(resumed > run && bench.engine.is_stopped(run));
    assert_eq!((so_far.plan.prompt.as_str(), so_far.done()), ("This movie was", 7));
    assert!(bench.shows("7 of 84 · 39 s left") && bench.shows("Pause"));
    let sample = Box::new(sample(SweepAxis::Lambda, 0.3));
    bench.engine.send(Event::SweepPoint { run: resumed, sample });
    bench.engine.send(Event::SweepDone { run: resumed, stopped: false });
    bench.window.run();
    assert!(bench.shows(ROW) && !bench.shows("Resume"));
}

#[test]
fn a_new_sweep_stops_the_run() {
    let (mut bench, run, request) = Bench::running();
    bench.click("Lower panel: Sweep");
    bench.click("Compare strengths");
    let (sweep, _) = started(&bench);
    assert!(bench.engine.is_stopped(run) && !bench.engine.is_stopped(sweep));
    assert_eq!(bench.phase(), Some(Phase::Stopping));
    bench.engine.done(run, &request, &[" a", " b"], StopReason::Stopped);
    bench.window.run();
    assert_eq!(bench.phase(), Some(Phase::Stopped));
    assert!(bench.shows("This movie was b") && bench.shows("0 of 84"));
}

#[test]
fn escape_and_the_pause_button_pause_the_sweep() {
    let (mut bench, sweep) = running();
    bench.key(Modifiers::NONE, Key::Escape);
    bench.expect_stop(sweep);
    assert!(bench.engine.is_stopped(sweep));
    bench.engine.send(Event::SweepDone { run: sweep, stopped: true });
    bench.window.run();
    assert!(bench.shows("paused at 0 of 84"));
    bench.key(Modifiers::NONE, Key::Escape);
    bench.expect_silence();
    bench.click("Run again");
    let (sweep, _) = started(&bench);
    bench.click("Pause");
    bench.expect_stop(sweep);
}

#[test]
fn a_failed_sweep_shows_the_error_and_keeps_its_points() {
    let (mut bench, run) = running();
    fill(&mut bench, run);
    bench.engine.send(Event::SweepFailed { run, message: "out of memory".into() });
    bench.window.run();
    assert!(bench.shows("Out of memory.") && bench.shows(ROW) && bench.shows("Resume"));
}

#[test]
fn the_buttons_of_a_paused_sweep_fit_into_a_small_window() {
    let stored = Preferences { prompt: "This movie was".into(), ..Preferences::default() };
    let builder = Harness::builder().with_size(Vec2::new(1024.0, 640.0));
    let mut bench = Bench::built(builder, options(), stored);
    bench.engine.load(pack());
    bench.window.run();
    bench.click("Lower panel: Sweep");
    bench.click("Compare strengths");
    let (run, _) = started(&bench);
    fill(&mut bench, run);
    bench.engine.send(Event::SweepDone { run, stopped: true });
    bench.window.run();
    let names =
        ["Sweep over: Length L", "Resume", "Run again", "Save figure", "Hide the lower panel"];
    let rects = names.map(|name| bench.window.get_by_label(name).rect());
    for (pair, names) in rects.windows(2).zip(names.windows(2)) {
        assert!(pair[0].right() <= pair[1].left(), "{names:?} overlap: {pair:?}");
    }
    let seeds = bench.number("Seeds").rect();
    let first = bench.window.get_by_label_contains("β −1: ").rect();
    assert!(seeds.bottom() <= first.top() + 1.0, "{seeds:?} covers {first:?}");
}
