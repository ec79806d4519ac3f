//! The Live switch, which runs again after every change.

use eframe::egui::Key;
use ivg_playground::guidance::settings::Arm;
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::worker::protocol::{Command, Cost, Event};

use crate::harness::Bench;

/// Opens a window with a finished run and switches Live on.
fn live() -> Bench {
    let (mut bench, run, request) = Bench::running();
    bench.engine.done(run, &request, &[" was fine.", " was great."], StopReason::MaxTokens);
    bench.window.run();
    bench.click("Live");
    bench.expect_silence();
    bench
}

#[test]
fn a_slider_runs_again_where_it_rests_and_not_once_more_when_it_is_released() {
    let mut bench = live();
    let at = bench.drag("Token guidance β", 0.6667, 0.9);
    assert!(bench.settings().beta > 2.0);
    // A frame of the harness takes as long as a rest, so every position was run.
    let mut last = None;
    while let Some(Command::Generate(_, request)) = bench.engine.next() {
        assert_eq!(request.settings.seed, 1);
        last = Some(request);
    }
    assert_eq!(last.expect("a run").settings, *bench.settings());
    bench.drop(at);
    bench.expect_silence();
}

#[test]
fn a_change_stops_the_run_in_progress() {
    let mut bench = live();
    bench.enter("Token guidance β", "2");
    let (first, _) = bench.engine.generate();
    bench.engine.send(Event::Started { run: first });
    bench.window.run();
    bench.enter("Token guidance β", "-2");
    let (second, request) = bench.engine.generate();
    assert_eq!((second, request.settings.beta), (first + 1, -2.0));
    assert!(bench.engine.is_stopped(first) && !bench.engine.is_stopped(second));
}

#[test]
fn arrow_keys_reset_buttons_and_a_new_seed_run_again() {
    let mut bench = live();
    bench.slider("Temperature").focus();
    bench.window.run();
    bench.window.key_press(Key::ArrowRight);
    bench.window.run();
    assert_eq!(bench.engine.generate().1.settings.temperature, 0.75);
    bench.click("Reset Temperature to 0.70");
    assert_eq!(bench.engine.generate().1.settings.temperature, 0.7);
    bench.click("Draw another seed");
    assert_eq!(bench.engine.generate().1.settings.seed, bench.settings().seed);
    bench.click("Rank chunks by: Implicit");
    bench.engine.generate();
}

#[test]
fn typing_a_number_runs_again_only_after_enter() {
    let mut bench = live();
    bench.number("Length").click();
    bench.window.run();
    bench.window.event(eframe::egui::Event::Text("120".into()));
    bench.window.run();
    bench.expect_silence();
    bench.window.key_press(Key::Enter);
    bench.window.run();
    assert_eq!(bench.engine.generate().1.settings.max_tokens, 120);
}

#[test]
fn a_slider_that_was_not_moved_does_not_run_again() {
    let mut bench = live();
    let at = bench.drag("Token guidance β", 0.6667, 0.6667);
    bench.drop(at);
    assert_eq!(bench.settings().beta, 1.0);
    bench.expect_silence();
}

#[test]
fn live_does_nothing_before_the_first_run() {
    let mut bench = Bench::ready();
    bench.click("Live");
    bench.enter("Token guidance β", "2");
    bench.expect_silence();
}

#[test]
fn changes_do_not_run_after_live_is_switched_off() {
    let mut bench = live();
    bench.click("Live");
    bench.enter("Token guidance β", "2");
    bench.expect_silence();
}

#[test]
fn the_old_text_is_shown_until_the_new_one_replaces_it() {
    let mut bench = live();
    bench.enter("Token guidance β", "2");
    let (run, request) = bench.engine.generate();
    assert_eq!(request.columns.len(), 1, "only the guided column runs");
    assert!(bench.reads("This movie was was great."));
    bench.engine.token(run, 0, " was", Cost::default());
    bench.window.run();
    assert_eq!(bench.arm(Arm::Ivg).ghost_tail(), " great.");
    assert!(bench.reads("This movie was was great."));
    bench.engine.done(run, &request, &[" is"], StopReason::MaxTokens);
    bench.window.run();
    assert!(!bench.reads("great."));
    assert!(bench.reads("This movie was is"));
}
