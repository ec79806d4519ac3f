//! Steering by sentences in the window.

use eframe::egui::{Event, Role, Vec2};
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::guidance::settings::Arm;
use ivg_playground::guidance::steer::Steer;
use ivg_playground::worker::protocol::PackInfo;

use crate::engine::pack;
use crate::harness::{Bench, options};

/// Opens a window with a steer and types its sentences.
fn steered(towards: &str, away: &str) -> Bench {
    let mut bench = Bench::ready();
    bench.click("Steer by a sentence");
    // The first box has the focus.
    bench.window.event(Event::Text(towards.into()));
    bench.window.run();
    write(&mut bench, "Steer away from", away);
    bench
}

fn write(bench: &mut Bench, name: &str, text: &str) {
    bench.window.get_by_role_and_label(Role::MultilineTextInput, name).focus();
    bench.window.run();
    bench.window.event(Event::Text(text.into()));
    bench.window.run();
}

fn steer(towards: &str, away: &str, beta: f32) -> Steer {
    Steer { towards: towards.into(), away: away.into(), beta }
}

#[test]
fn a_typed_sentence_becomes_a_guide_with_its_own_strength() {
    let mut bench = steered("Be brief.", "Be long.");
    assert!(bench.reads("praise and “Be brief.”"), "the story bar names it");
    bench.enter("Sentence strength", "2");
    assert!(bench.shows("β 1 · “Be brief.” 2 · λ ∞ · W 4 · K 4 · L 5"));
    let request = bench.finish(&[" a", " b"]);
    assert_eq!(request.settings.steers, [steer("Be brief.", "Be long.", 2.0)]);
    assert_eq!(request.settings.beta, 1.0, "the pack's own guide stays");
    bench.click("Remove the sentence");
    assert!(bench.settings().steers.is_empty() && !bench.shows("Steer towards"));
    assert!(!bench.reads("praise and"));
}

#[test]
fn up_to_three_sentences_steer_together() {
    let mut bench = steered("Be brief.", "");
    // The whole sidebar must be visible.
    bench.window.set_size(Vec2::new(1280.0, 1600.0));
    for number in [2, 3] {
        bench.click("Add a sentence");
        write(&mut bench, &format!("Steer towards {number}"), &format!("Sentence {number}."));
    }
    assert!(!bench.shows("Add a sentence"));
    let names: Vec<&str> = bench.settings().steers.iter().map(|s| s.towards.as_str()).collect();
    assert_eq!(names, ["Be brief.", "Sentence 2.", "Sentence 3."]);
    bench.click("Remove the sentence 2");
    assert_eq!(bench.settings().steers.len(), 2);
    assert!(bench.shows("Add a sentence"));
}

#[test]
fn a_column_shows_what_the_prompt_alone_achieves() {
    let mut bench = Bench::ready();
    bench.click("Add column");
    assert!(bench.is_disabled(Role::Button, "Add column: Prompt only"));
    let at = bench.window.get_by_label("Add column: Prompt only").rect().center();
    bench.hover(at);
    assert!(bench.shows("Write a sentence to steer towards first."));
    let mut bench = steered("Be brief.", "");
    bench.add_column("Prompt only");
    assert!(bench.shows("Column 3: Prompt only"));
    let request = bench.finish(&[" a", " b", " c"]);
    assert_eq!(request.columns[2].arm, Arm::PromptOnly);
    assert!(bench.shows("base model, told “Be brief.”"));
}

#[test]
fn sentences_without_effect_and_models_without_a_place_for_them_are_named() {
    let same = "Both sentences are the same, so nothing is steered.";
    let mut bench = steered("Be brief.", "Be brief.");
    assert!(bench.shows(same));
    assert!(!bench.reads("and “Be brief.”"), "it does not steer");
    write(&mut bench, "Steer away from", " Never.");
    assert!(!bench.shows(same));
    let loose = "This model has no chat template.";
    assert!(!bench.reads(loose));
    let stored = Preferences { prompt: "This movie was".into(), ..Preferences::default() };
    let bare = PackInfo { reads_instructions: false, ..pack() };
    let mut bench = Bench::open(options(), stored, bare);
    assert!(!bench.reads(loose), "only if the user steers by a sentence");
    bench.click("Steer by a sentence");
    assert!(bench.reads(loose));
}

#[test]
fn a_pack_without_guides_can_be_steered_by_a_sentence() {
    let stored = Preferences { prompt: "This movie was".into(), ..Preferences::default() };
    let (has_pair, has_value) = (false, false);
    let bare = PackInfo { has_pair, has_value, aim: None, ..pack() };
    let mut bench = Bench::open(options(), stored, bare);
    assert!(bench.is_disabled(Role::Slider, "Token guidance β"));
    bench.click("Steer by a sentence");
    write(&mut bench, "Steer towards", "Be brief.");
    assert!(bench.reads("steered towards “Be brief.”"));
    let before = bench.window.state().preferences().columns.len();
    bench.add_column("Token only");
    bench.click("Generate");
    let (_, request) = bench.engine.generate();
    assert_eq!(request.columns[before].arm, Arm::Token);
}

#[test]
fn an_example_of_the_pack_fills_an_empty_steer() {
    let stored = Preferences { prompt: "This movie was".into(), ..Preferences::default() };
    let example = steer("Rhyme.", "Use prose.", 2.0);
    let with_example = PackInfo { steers: vec![example.clone()], ..pack() };
    let mut bench = Bench::open(options(), stored, with_example);
    bench.click("Steer by a sentence");
    bench.click("Example: Rhyme.");
    assert_eq!(bench.settings().steers, [example]);
    assert!(!bench.shows("Example: Rhyme."), "only an empty steer offers examples");
}

#[test]
fn undo_removes_a_sentence() {
    let mut bench = steered("Be brief.", "");
    bench.click("Generate");
    bench.click("Remove the sentence");
    bench.key(eframe::egui::Modifiers::COMMAND, eframe::egui::Key::Z);
    assert_eq!(bench.settings().steers.len(), 1);
}

#[test]
fn a_limit_of_the_guidance_can_be_set_and_removed() {
    let mut bench = Bench::ready();
    assert!(!bench.shows("KL budget"), "a first-time user sees the two strengths only");
    bench.click("Limit the guidance");
    assert_eq!(bench.settings().kl_budget_nats, 5.0);
    bench.enter("Plausibility mask", "7");
    assert!(bench.shows("β 1 · KL ≤ 5 · mask 7 · λ ∞ · W 4 · K 4 · L 5"));
    let request = bench.finish(&[" a", " b"]);
    assert_eq!((request.settings.kl_budget_nats, request.settings.mask_nats), (5.0, 7.0));
    bench.enter("KL budget", "off");
    bench.enter("Plausibility mask", "off");
    assert!(!bench.shows("KL budget") && bench.shows("Limit the guidance"));
}
