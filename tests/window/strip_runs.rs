//! The strength strip in the window: started, filled, stopped, put to use.

use eframe::egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use ivg_playground::app::session::Phase;
use ivg_playground::guidance::settings::Settings;
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::lab::strip::Dial;
use ivg_playground::worker::protocol::{Command, Event, RunId, SweepRequest};

use crate::engine::sample;
use crate::harness::Bench;

fn started(bench: &Bench) -> (RunId, SweepRequest) {
    match bench.engine.command() {
        Command::Sweep(run, plan) => (run, *plan),
        other => panic!("expected Sweep, got {other:?}"),
    }
}

/// A window in which a strip runs.
fn running() -> (Bench, RunId) {
    let mut bench = Bench::ready();
    bench.click("Below: Strength");
    bench.click("Run the strip");
    let (run, _) = started(&bench);
    (bench, run)
}

/// Every point of the β curve comes in.
fn fill(bench: &mut Bench, run: RunId) {
    for setting in Dial::Beta.values(&Settings::default()) {
        let sample = Box::new(sample(Dial::Beta, setting));
        bench.engine.send(Event::SweepPoint { run, sample });
    }
    bench.window.run();
}

const ROW: &str = "β 0.5: gold +1.00, KL ≤ 16.2";

#[test]
fn a_strip_asks_for_this_prompt_at_these_settings_and_fills_with_points() {
    let mut bench = Bench::ready();
    bench.enter("Seed", "5");
    bench.click("Below: Strength");
    bench.click("Run the strip");
    let (run, plan) = started(&bench);
    assert_eq!(plan.prompt, "This movie was");
    assert_eq!(plan.settings, *bench.settings());
    assert_eq!(plan.dials, Dial::ALL);
    assert!(bench.shows("0 of 84") && !bench.shows(ROW));
    fill(&mut bench, run);
    assert!(bench.shows(ROW));
    bench.engine.send(Event::SweepDone { run, stopped: false });
    bench.window.run();
    assert!(bench.shows("Run again"));
    // A look elsewhere loses nothing.
    bench.click("Below: Values");
    assert!(!bench.shows(ROW));
    bench.click("Below: Strength");
    assert!(bench.shows(ROW));
}

#[test]
fn a_row_becomes_the_setting_and_live_runs_it() {
    let (mut bench, run) = running();
    fill(&mut bench, run);
    bench.engine.send(Event::SweepDone { run, stopped: false });
    bench.window.run();
    bench.click(ROW);
    assert_eq!(bench.settings().beta, 0.5);
    bench.expect_silence();
    bench.finish(&[" a", " b"]);
    bench.click("Live");
    bench.click("β −1: gold −2.00, KL ≤ 19.2");
    let (_, request) = bench.engine.generate();
    assert_eq!(request.settings.beta, -1.0);
}

#[test]
fn a_run_ends_the_strip() {
    let (mut bench, strip) = running();
    fill(&mut bench, strip);
    bench.click("Generate");
    let (run, _) = bench.engine.generate();
    assert!(bench.engine.is_stopped(strip) && !bench.engine.is_stopped(run));
    bench.engine.send(Event::SweepDone { run: strip, stopped: true });
    bench.engine.send(Event::Started { run });
    bench.window.run();
    assert!(bench.shows("stopped early") && bench.shows(ROW), "its points stay");
    assert_eq!(bench.phase(), Some(Phase::Generating));
}

#[test]
fn a_strip_ends_the_run() {
    let (mut bench, run, request) = Bench::running();
    bench.click("Below: Strength");
    bench.click("Run the strip");
    let (strip, _) = started(&bench);
    assert!(bench.engine.is_stopped(run) && !bench.engine.is_stopped(strip));
    assert_eq!(bench.phase(), Some(Phase::Stopping));
    bench.engine.done(run, &request, &[" a", " b"], StopReason::Stopped);
    bench.window.run();
    assert_eq!(bench.phase(), Some(Phase::Stopped));
    assert!(bench.shows("This movie was b") && bench.shows("0 of 84"));
}

#[test]
fn escape_and_its_own_button_stop_the_strip() {
    let (mut bench, strip) = running();
    bench.key(Modifiers::NONE, Key::Escape);
    bench.expect_stop(strip);
    assert!(bench.engine.is_stopped(strip));
    bench.engine.send(Event::SweepDone { run: strip, stopped: true });
    bench.window.run();
    assert!(bench.shows("stopped early"));
    bench.key(Modifiers::NONE, Key::Escape);
    bench.expect_silence();
    bench.click("Run again");
    let (strip, _) = started(&bench);
    // The sidebar's button is for runs; the lower one is the strip's.
    let stop = bench
        .window
        .get_all_by_label("Stop")
        .max_by(|a, b| a.rect().left().total_cmp(&b.rect().left()));
    stop.expect("a button").click();
    bench.window.run();
    bench.expect_stop(strip);
}

#[test]
fn a_failed_strip_says_so_and_keeps_its_points() {
    let (mut bench, run) = running();
    fill(&mut bench, run);
    bench.engine.send(Event::SweepFailed { run, message: "out of memory".into() });
    bench.window.run();
    assert!(bench.shows("Out of memory.") && bench.shows(ROW));
}
