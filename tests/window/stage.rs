//! The window before an audience.

use eframe::egui::{Key, Modifiers};
use ivg_playground::guidance::trace::StopReason;

use crate::harness::Bench;

fn press(bench: &mut Bench, key: Key) {
    bench.window.key_press_modifiers(Modifiers::NONE, key);
    bench.window.run();
}

#[test]
fn the_stage_shows_prompt_texts_and_plot_alone_and_keeps_a_zoom_of_its_own() {
    let (mut bench, run, request) = Bench::running();
    bench.engine.done(run, &request, &[" a", " b"], StopReason::MaxTokens);
    bench.window.run();
    assert!(bench.shows("Token guidance β") && bench.shows("Guided Tokens: 2"));
    press(&mut bench, Key::F11);
    assert!(!bench.shows("Token guidance β") && !bench.shows("Guided Tokens: 2"));
    assert!(bench.shows("This movie was b") && bench.shows("Prompt") && bench.shows("Generate"));
    assert_eq!(bench.window.ctx.zoom_factor(), 1.4);
    bench.window.ctx.set_zoom_factor(2.0);
    bench.window.run();
    press(&mut bench, Key::F11);
    assert!(bench.shows("Token guidance β"));
    assert_eq!(bench.window.ctx.zoom_factor(), 1.0);
    bench.click("Present");
    assert_eq!(bench.window.ctx.zoom_factor(), 2.0, "as it was left");
    bench.click("Leave");
    assert!(bench.shows("Token guidance β"));
}

#[test]
fn a_run_starts_and_stops_on_the_stage() {
    let mut bench = Bench::ready();
    press(&mut bench, Key::F11);
    bench.click("Generate");
    let (run, request) = bench.engine.generate();
    assert_eq!(request.prompt, "This movie was");
    bench.click("Stop");
    bench.expect_stop(run);
}
