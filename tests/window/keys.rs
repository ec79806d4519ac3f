//! Every key of the window.

use eframe::egui::{Event, Key, Modifiers, Role};
use egui_kittest::kittest::Queryable;
use ivg_playground::app::coloring::Coloring;
use ivg_playground::app::panels::side::Side;
use ivg_playground::guidance::trace::StopReason;

use crate::harness::Bench;

const CTRL: Modifiers = Modifiers::COMMAND;
const NONE: Modifiers = Modifiers::NONE;

fn kept() -> (Bench, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (Bench::keeping(folder.path()), folder)
}

#[test]
fn ctrl_l_goes_to_the_prompt_where_digits_are_digits() {
    let mut bench = Bench::ready();
    bench.slider("Temperature").focus();
    bench.window.run();
    bench.key(CTRL, Key::L);
    assert!(bench.window.get_by_role(Role::MultilineTextInput).is_focused());
    bench.window.key_press(Key::End);
    for (key, text) in [(Key::Num1, "1"), (Key::H, "h"), (Key::Questionmark, "?")] {
        bench.window.key_press(key);
        bench.window.event(Event::Text(text.into()));
        bench.window.run();
    }
    let preferences = bench.window.state().preferences();
    assert_eq!(preferences.prompt, "This movie was1h?");
    assert_eq!((preferences.coloring, preferences.side), (Coloring::Plain, Side::Settings));
    bench.expect_silence();
}

#[test]
fn ctrl_d_draws_another_seed_and_ctrl_r_switches_live() {
    let mut bench = Bench::ready();
    bench.finish(&[" a", " b"]);
    let seed = bench.settings().seed;
    bench.key(CTRL, Key::D);
    assert_ne!(bench.settings().seed, seed);
    bench.expect_silence();
    bench.key(CTRL, Key::R);
    assert!(bench.window.state().preferences().live);
    bench.key(CTRL, Key::D);
    assert_eq!(bench.engine.generate().1.settings.seed, bench.settings().seed);
    bench.key(CTRL, Key::R);
    assert!(!bench.window.state().preferences().live);
}

#[test]
fn ctrl_and_a_digit_colour_the_tokens() {
    let mut bench = Bench::ready();
    for (key, coloring) in [
        (Key::Num2, Coloring::Advantage),
        (Key::Num3, Coloring::Kl),
        (Key::Num4, Coloring::Probability),
        (Key::Num5, Coloring::Changes),
        (Key::Num1, Coloring::Plain),
    ] {
        bench.key(CTRL, key);
        assert_eq!(bench.window.state().preferences().coloring, coloring);
    }
}

#[test]
fn ctrl_h_shows_the_history_and_the_settings_again() {
    let (mut bench, _folder) = kept();
    bench.key(CTRL, Key::H);
    assert!(bench.shows("Search runs") && !bench.shows("Token guidance β"));
    bench.key(CTRL, Key::H);
    assert!(!bench.shows("Search runs") && bench.shows("Token guidance β"));
}

#[test]
fn ctrl_o_and_ctrl_s_ask_for_a_path() {
    let (mut bench, _folder) = kept();
    bench.key(CTRL, Key::S);
    assert!(!bench.shows("Save the trace"));
    assert!(bench.shows("There is no run yet. Nothing can be saved."));
    bench.finish(&[" a", " b"]);
    bench.key(CTRL, Key::S);
    assert!(bench.shows("Save the trace"));
    bench.key(NONE, Key::Escape);
    assert!(!bench.shows("Save the trace"));
    bench.key(CTRL, Key::O);
    assert!(bench.shows("Open a trace"));
    bench.click("Cancel");
    assert!(!bench.shows("Open a trace"));
}

#[test]
fn f1_lists_every_key_and_escape_closes_the_list() {
    let mut bench = Bench::ready();
    bench.key(NONE, Key::F1);
    for words in [
        "Generate",
        "Stop the run; close what is open",
        "Go to the prompt",
        "Draw another seed",
        "Switch Live on or off",
        "Plain text",
        "Colour by advantage",
        "Colour by KL",
        "Colour by probability",
        "Mark changed words",
        "Settings or history",
        "Open a trace",
        "Save the trace",
        "Present, or leave the stage",
        "This list",
        "Next control, the one before",
        "Larger, smaller, as it was",
    ] {
        assert!(bench.shows(words), "{words}");
    }
    bench.key(NONE, Key::Escape);
    assert!(!bench.shows("This list"));
    bench.click("Help");
    assert!(bench.shows("This list"));
    bench.key(NONE, Key::F1);
    assert!(!bench.shows("This list"));
}

#[test]
fn escape_closes_the_list_first_then_stops_then_leaves_the_stage() {
    let mut bench = Bench::ready();
    bench.key(NONE, Key::F11);
    bench.click("Generate");
    let (run, request) = bench.engine.generate();
    bench.key(NONE, Key::F1);
    bench.key(NONE, Key::Escape);
    assert!(!bench.shows("This list"));
    bench.expect_silence();
    bench.key(NONE, Key::Escape);
    bench.expect_stop(run);
    bench.engine.done(run, &request, &[" a", " b"], StopReason::Stopped);
    bench.window.run();
    assert!(bench.shows("Leave"));
    bench.key(NONE, Key::Escape);
    if bench.shows("Leave") {
        // A button that was clicked had the focus.
        bench.key(NONE, Key::Escape);
    }
    assert!(bench.shows("Token guidance β") && !bench.shows("Leave"));
}

#[test]
fn while_a_path_is_asked_for_no_other_key_does_anything() {
    let (mut bench, _folder) = kept();
    bench.finish(&[" a", " b"]);
    bench.click("Generate");
    let (_, request) = bench.engine.generate();
    let before = bench.window.state().preferences().clone();
    bench.key(CTRL, Key::O);
    for key in [Key::Enter, Key::D, Key::R, Key::Num3, Key::H, Key::S, Key::L] {
        bench.key(CTRL, key);
    }
    for key in [Key::F1, Key::F11] {
        bench.key(NONE, key);
    }
    assert!(bench.shows("Open a trace") && !bench.shows("This list"));
    assert_eq!(*bench.window.state().preferences(), before);
    bench.expect_silence();
    // Escape closes the dialog and leaves the run alone.
    bench.key(NONE, Key::Escape);
    assert!(!bench.shows("Open a trace"));
    bench.expect_silence();
    bench.engine.done(2, &request, &[" c", " d"], StopReason::MaxTokens);
    bench.window.run();
    assert!(bench.shows("This movie was d"));
}

#[test]
fn an_escape_that_closes_a_menu_or_leaves_a_box_stops_nothing() {
    let (mut bench, run, _) = Bench::running();
    bench.click("Column 1: Unguided");
    assert!(bench.shows("Pin these settings"));
    bench.key(NONE, Key::Escape);
    assert!(!bench.shows("Pin these settings"));
    bench.expect_silence();
    bench.key(NONE, Key::Escape);
    bench.expect_stop(run);
}
