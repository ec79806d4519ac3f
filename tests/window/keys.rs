//! The keyboard shortcuts.

use eframe::egui::{Event, Key, Modifiers, Role};
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::coloring::Coloring;
use ivg_playground::app::state::preferences::SidebarTab;
use ivg_playground::guidance::trace::StopReason;

use crate::harness::Bench;

const CTRL: Modifiers = Modifiers::COMMAND;
const NONE: Modifiers = Modifiers::NONE;

/// Opens a window with a history.
fn with_history() -> (Bench, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (Bench::keeping(folder.path()), folder)
}

#[test]
fn ctrl_l_focuses_the_prompt_where_single_keys_type_text() {
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
    assert_eq!((preferences.coloring, preferences.side), (Coloring::Plain, SidebarTab::Settings));
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
fn ctrl_and_a_digit_select_the_colouring() {
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
fn ctrl_h_switches_between_history_and_settings() {
    let (mut bench, _folder) = with_history();
    bench.key(CTRL, Key::H);
    assert!(bench.shows("Search runs") && !bench.shows("Token guidance β"));
    bench.key(CTRL, Key::H);
    assert!(!bench.shows("Search runs") && bench.shows("Token guidance β"));
}

#[test]
fn ctrl_o_and_ctrl_s_open_the_path_dialog() {
    let (mut bench, _folder) = with_history();
    bench.key(CTRL, Key::S);
    assert!(!bench.shows("Save the trace"));
    assert!(bench.shows("There is no run yet. Nothing was saved."));
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
fn f1_lists_the_shortcuts_and_escape_closes_the_list() {
    let mut bench = Bench::ready();
    bench.key(NONE, Key::F1);
    bench.click("Help: Keys");
    for words in [
        "Generate",
        "Close what is open; stop the run",
        "Go to the prompt",
        "Draw another seed",
        "Switch Live on or off",
        "Plain text",
        "Colour by advantage",
        "Colour by KL",
        "Colour by probability",
        "Mark changed words",
        "Show or hide the history",
        "Open a trace",
        "Save the trace",
        "Start or end the presentation",
        "Show or hide this list",
        "Next control, previous control",
        "Zoom in, zoom out",
        "Reset the zoom",
    ] {
        assert!(bench.shows(words), "{words}");
    }
    bench.key(NONE, Key::Escape);
    assert!(!bench.shows("Show or hide this list"));
    bench.click("Help");
    assert!(bench.shows("Show or hide this list"));
    bench.key(NONE, Key::F1);
    assert!(!bench.shows("Show or hide this list"));
}

#[test]
fn escape_first_closes_the_list_then_stops_the_run_then_ends_the_presentation() {
    let mut bench = Bench::ready();
    bench.key(NONE, Key::F11);
    bench.click("Generate");
    let (run, request) = bench.engine.generate();
    bench.key(NONE, Key::F1);
    bench.key(NONE, Key::Escape);
    assert!(!bench.shows("Show or hide this list"));
    bench.expect_silence();
    bench.key(NONE, Key::Escape);
    bench.expect_stop(run);
    bench.engine.done(run, &request, &[" a", " b"], StopReason::Stopped);
    bench.window.run();
    assert!(bench.shows("Exit presentation"));
    bench.key(NONE, Key::Escape);
    if bench.shows("Exit presentation") {
        // The first Escape only removed the focus from the clicked button.
        bench.key(NONE, Key::Escape);
    }
    assert!(bench.shows("Token guidance β") && !bench.shows("Exit presentation"));
}

#[test]
fn shortcuts_are_disabled_while_the_path_dialog_is_open() {
    let (mut bench, _folder) = with_history();
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
    assert!(bench.shows("Open a trace") && !bench.shows("Show or hide this list"));
    assert_eq!(*bench.window.state().preferences(), before);
    bench.expect_silence();
    // Escape closes the dialog but does not stop the run.
    bench.key(NONE, Key::Escape);
    assert!(!bench.shows("Open a trace"));
    bench.expect_silence();
    bench.engine.done(2, &request, &[" c", " d"], StopReason::MaxTokens);
    bench.window.run();
    assert!(bench.shows("This movie was d"));
}

#[test]
fn an_escape_that_closes_a_menu_does_not_stop_the_run() {
    let (mut bench, run, _) = Bench::running();
    bench.click("Column 1: Unguided");
    assert!(bench.shows("Pin these settings"));
    bench.key(NONE, Key::Escape);
    assert!(!bench.shows("Pin these settings"));
    bench.expect_silence();
    bench.key(NONE, Key::Escape);
    bench.expect_stop(run);
}
