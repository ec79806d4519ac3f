//! The Live switch, which runs again after every change.

use eframe::egui::Key;
use ivg_playground::guidance::settings::Arm;
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::worker::protocol::{Cost, Event};

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
fn a_slider_runs_again_only_when_it_is_released() {
    let mut bench = live();
    let at = bench.drag("Token guidance β", 0.6667, 0.9);
    assert!(bench.settings().beta > 2.0);
    bench.expect_silence();
    bench.drop(at);
    let (run, request) = bench.engine.generate();
    assert_eq!((run, request.settings.seed), (2, 1));
    assert_eq!(request.settings, *bench.settings());
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
fn a_slider_returned_to_its_value_does_not_run_again() {
    let mut bench = live();
    bench.drag("Token guidance β", 0.6667, 0.9);
    let back = bench.place("Token guidance β", 0.6667);
    bench.window.hover_at(back);
    bench.window.run();
    bench.drop(back);
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
    assert!(bench.reads("This movie was was great."));
    bench.engine.token(run, 1, " was", Cost::default());
    bench.window.run();
    assert_eq!(bench.arm(Arm::Ivg).ghost_tail(), " great.");
    assert!(bench.reads("This movie was was great."));
    bench.engine.done(run, &request, &[" is", " is"], StopReason::MaxTokens);
    bench.window.run();
    assert!(!bench.reads("great."));
    assert!(bench.reads("This movie was is"));
}
