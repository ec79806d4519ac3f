//! The stage by keyboard, the stories, undo, and frozen columns.

use eframe::egui::{Key, Modifiers};
use ivg_playground::app::state::preferences::{LowerTab, Preferences};
use ivg_playground::guidance::settings::{Arm, Column, Settings};
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::worker::protocol::{PackInfo, Request, Story};

use crate::engine::pack;
use crate::harness::{Bench, options};

fn with_stories() -> PackInfo {
    let story = |prompt: &str, seed| Story { prompt: prompt.into(), seed };
    PackInfo { stories: vec![story("This film", 8), story("The plot", 28)], ..pack() }
}

/// Opens the stage with a pack that has stories.
fn stage() -> Bench {
    let mut bench = Bench::open(options(), Preferences::default(), with_stories());
    bench.key(Modifiers::NONE, Key::F11);
    bench
}

/// Ends the run that was requested last and returns its request.
fn ended(bench: &mut Bench) -> Request {
    let (run, request) = bench.engine.generate();
    let texts: Vec<&str> = request.columns.iter().map(|_| " fine").collect();
    bench.engine.done(run, &request, &texts, StopReason::MaxTokens);
    bench.window.run();
    request
}

fn press(bench: &mut Bench, key: Key) {
    bench.key(Modifiers::NONE, key);
}

#[test]
fn a_story_is_told_on_stage_with_four_keys() {
    // The window shows the second step already, as after the first start.
    let stored = Preferences {
        prompt: "This film".into(),
        settings: Settings { seed: 8, ..Settings::default() },
        pack: Some(pack().name),
        ..Preferences::default()
    };
    let mut bench = Bench::open(options(), stored, with_stories());
    press(&mut bench, Key::F11);
    let steps = [
        ("unguided", 0.0, "not steered"),
        ("towards praise", 1.0, "steered towards praise"),
        ("towards criticism", -1.0, "steered towards criticism"),
    ];
    for (caption, beta, sentence) in steps {
        press(&mut bench, Key::PageDown);
        let request = ended(&mut bench);
        assert_eq!((request.prompt.as_str(), request.settings.seed), ("This film", 8));
        assert_eq!(request.settings.beta, beta, "{caption}");
        assert_eq!(request.columns, [Arm::Base.into(), Arm::Ivg.into()]);
        assert!(bench.shows(&format!("Story 1 of 2 · {caption}")));
        assert!(bench.reads(sentence), "{sentence}");
    }
    press(&mut bench, Key::PageDown);
    assert_eq!(ended(&mut bench).prompt, "The plot", "the next story");
    press(&mut bench, Key::PageUp);
    assert_eq!(ended(&mut bench).settings.beta, -1.0, "back to the last step");
}

#[test]
fn single_keys_change_the_strengths_and_run() {
    let mut bench = stage();
    press(&mut bench, Key::PageDown);
    ended(&mut bench);
    press(&mut bench, Key::CloseBracket);
    press(&mut bench, Key::CloseBracket);
    assert_eq!(bench.settings().beta, 1.0);
    press(&mut bench, Key::OpenBracket);
    assert_eq!(bench.settings().beta, 0.5);
    press(&mut bench, Key::OpenCurlyBracket);
    assert_eq!(bench.settings().lambda, 30.0);
    press(&mut bench, Key::CloseCurlyBracket);
    assert_eq!(bench.settings().lambda, f32::INFINITY);
    bench.expect_silence();
    press(&mut bench, Key::Space);
    assert_eq!(ended(&mut bench).settings.beta, 0.5);
}

#[test]
fn keys_present_one_column_and_each_panel() {
    let mut bench = stage();
    press(&mut bench, Key::PageDown);
    ended(&mut bench);
    press(&mut bench, Key::Num2);
    assert!(bench.shows("Column 2: Guided") && !bench.shows("Column 1: Unguided"));
    press(&mut bench, Key::Num2);
    assert!(bench.shows("Column 1: Unguided"), "the same key shows all again");
    press(&mut bench, Key::Num4);
    assert!(bench.shows("Column 1: Unguided"), "there is no fourth column");
    for (key, tab, heading) in [
        (Key::T, LowerTab::Tree, "Search tree"),
        (Key::S, LowerTab::Sweep, "How strong should guidance be?"),
        (Key::V, LowerTab::Values, "Value of every chunk"),
    ] {
        press(&mut bench, key);
        assert_eq!(bench.window.state().preferences().lower, tab);
        assert!(bench.reads(heading), "{heading}");
    }
}

#[test]
fn keys_type_while_the_prompt_has_the_focus_and_do_nothing_off_stage() {
    let mut bench = stage();
    bench.key(Modifiers::COMMAND, Key::L);
    press(&mut bench, Key::OpenBracket);
    press(&mut bench, Key::Space);
    assert_eq!(bench.settings().beta, 1.0);
    bench.expect_silence();
    let mut bench = Bench::open(options(), Preferences::default(), with_stories());
    press(&mut bench, Key::PageDown);
    press(&mut bench, Key::CloseBracket);
    assert_eq!(bench.settings().beta, 1.0);
    bench.expect_silence();
}

#[test]
fn the_stage_is_never_smaller_than_the_window() {
    let stored = Preferences { zoom: 1.8, present_zoom: 1.2, ..Preferences::default() };
    let mut bench = Bench::open(options(), stored, with_stories());
    press(&mut bench, Key::F11);
    bench.window.run();
    assert_eq!(bench.window.ctx.zoom_factor(), 1.8);
    let mut bench = stage();
    bench.window.ctx.set_zoom_factor(2.4);
    bench.window.run();
    bench.key(Modifiers::COMMAND, Key::Num0);
    bench.window.run();
    assert_eq!(bench.window.ctx.zoom_factor(), 1.4, "the stage's own size");
    press(&mut bench, Key::F11);
    bench.key(Modifiers::COMMAND, Key::Num0);
    bench.window.run();
    assert_eq!(bench.window.ctx.zoom_factor(), 1.0);
}

#[test]
fn a_pack_that_lost_its_guides_presents_its_examples() {
    let bare = PackInfo { has_pair: false, has_value: false, ..with_stories() };
    let stored = Preferences { columns: vec![Arm::Base.into()], ..Preferences::default() };
    let mut bench = Bench::open(options(), stored, bare);
    press(&mut bench, Key::F11);
    press(&mut bench, Key::PageDown);
    assert_eq!(ended(&mut bench).prompt, "This movie was");
    assert!(bench.shows("Prompt 1 of 4"));
}

#[test]
fn changes_of_settings_columns_and_prompts_are_undone_and_redone() {
    let mut bench = Bench::ready();
    bench.enter("Token guidance β", "2");
    bench.click("Example: My wife and I");
    bench.add_column("Token only");
    bench.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(bench.window.state().preferences().columns.len(), 2);
    bench.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(bench.window.state().preferences().prompt, "This movie was");
    bench.key(Modifiers::COMMAND, Key::Z);
    assert_eq!(bench.settings().beta, 1.0);
    for _ in 0..3 {
        bench.key(Modifiers::COMMAND, Key::Z);
    }
    assert_eq!(bench.settings().beta, 1.0, "past the beginning");
    for _ in 0..3 {
        bench.key(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    }
    let preferences = bench.window.state().preferences();
    assert_eq!((preferences.prompt.as_str(), preferences.columns.len()), ("My wife and I", 3));
    assert_eq!(preferences.settings.beta, 2.0);
}

#[test]
fn a_frozen_column_keeps_its_text_while_the_other_runs_again() {
    let mut bench = Bench::ready();
    bench.finish(&[" a", " b"]);
    // Four actions: freeze, type β, confirm, generate.
    bench.click("Freeze Guided beside itself");
    bench.expect_silence();
    assert!(bench.shows("Column 2: Guided") && bench.shows("Column 3: Guided 2"));
    bench.click("Live");
    bench.enter("Token guidance β", "-1");
    let (run, request) = bench.engine.generate();
    assert_eq!(request.columns, [Column::from(Arm::Ivg)], "only the live column runs");
    bench.engine.done(run, &request, &[" sour"], StopReason::MaxTokens);
    bench.window.run();
    assert!(bench.shows("Column 2: Guided β −1") && bench.shows("Column 3: Guided β 1"));
    let run = bench.window.state().session().run.as_ref().expect("a run");
    let texts: Vec<&str> = run.arms.iter().map(|view| view.report.text.as_str()).collect();
    assert_eq!(texts, [" a", " sour", " b"]);
}

#[test]
fn live_runs_after_a_held_slider_has_rested() {
    let mut bench = Bench::ready();
    bench.finish(&[" a", " b"]);
    bench.click("Live");
    let at = bench.drag("Token guidance β", 0.7, 0.9);
    for _ in 0..4 {
        bench.window.step();
    }
    let (_, request) = bench.engine.generate();
    assert!(request.settings.beta > 1.0 && request.columns == [Column::from(Arm::Ivg)]);
    bench.drop(at);
}

#[test]
fn the_first_guided_text_takes_two_actions() {
    let mut bench = Bench::open(options(), Preferences::default(), with_stories());
    bench.click("Example: This movie was");
    bench.key(Modifiers::COMMAND, Key::Enter);
    let request = ended(&mut bench);
    let expected = Settings { ..pack().defaults };
    assert_eq!(request.settings, expected);
}

/// In a narrow window, a caption is left out if it would touch its neighbour.
#[test]
fn captions_of_the_sliders_on_stage_do_not_overlap() {
    let mut bench = stage();
    for width in [640.0, 731.0, 800.0, 914.0, 1280.0] {
        bench.window.set_size(eframe::egui::Vec2::new(width, 500.0));
        bench.window.run();
        bench.window.run();
        let captions = ["away", "off", "towards"];
        let drawn = bench.drawn();
        let places: Vec<_> = drawn
            .iter()
            .filter(|text| captions.contains(&text.galley.text()))
            .map(|text| text.galley.rect.translate(text.pos.to_vec2()))
            .collect();
        assert!(places.len() >= 4, "{width}: the ends of both sliders");
        for (i, a) in places.iter().enumerate() {
            for b in &places[..i] {
                assert!(!a.intersects(*b), "{width}: {a} and {b}");
            }
        }
    }
}

#[test]
fn the_glossary_explains_every_term() {
    let mut bench = Bench::ready();
    bench.key(Modifiers::NONE, Key::F1);
    for term in ["Base", "Guide", "Value", "Judge", "KL", "Advantage", "β", "λ", "W", "K", "L"] {
        assert!(bench.shows(term), "{term}");
    }
    bench.click("Help: Keys");
    assert!(bench.reads("Next step of the story"));
}
