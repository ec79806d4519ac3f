//! The settings: sliders, number fields and reset buttons.

use eframe::egui::{Key, Modifiers, Role};
use egui_kittest::kittest::Queryable;
use ivg_playground::guidance::settings::{Settings, ValueSource};

use crate::engine::pack;
use crate::harness::Bench;

#[test]
fn the_slider_of_lambda_reaches_zero_and_infinity() {
    let mut bench = Bench::ready();
    let at = bench.drag("Chunk guidance λ", 1.0, 0.5);
    bench.drop(at);
    let middle = bench.settings().lambda;
    assert!((1.0..10.0).contains(&middle), "{middle} in the middle");
    let at = bench.drag("Chunk guidance λ", 0.5, 0.0);
    bench.drop(at);
    assert_eq!(bench.settings().lambda, 0.0);
    let at = bench.drag("Chunk guidance λ", 0.0, 1.0);
    bench.drop(at);
    assert_eq!(bench.settings().lambda, f32::INFINITY);
}

#[test]
fn lambda_accepts_numbers_and_infinity() {
    let mut bench = Bench::ready();
    for (typed, value) in
        [("2.5", 2.5), ("inf", f32::INFINITY), ("0", 0.0), ("∞", f32::INFINITY), ("1e6", 100.0)]
    {
        bench.enter("Chunk guidance λ", typed);
        assert_eq!(bench.settings().lambda, value, "{typed}");
    }
    bench.enter("Chunk guidance λ", "nonsense");
    assert_eq!(bench.settings().lambda, 100.0, "invalid input changes nothing");
}

#[test]
fn beta_snaps_to_zero_and_accepts_negative_numbers() {
    let mut bench = Bench::ready();
    let at = bench.drag("Token guidance β", 0.6667, 0.508);
    bench.drop(at);
    assert_eq!(bench.settings().beta, 0.0);
    bench.enter("Token guidance β", "-0.35");
    assert_eq!(bench.settings().beta, -0.35);
    bench.enter("Token guidance β", "9");
    assert_eq!(bench.settings().beta, 3.0);
}

#[test]
fn a_double_click_and_the_reset_button_restore_the_default() {
    let mut bench = Bench::ready();
    bench.enter("Token guidance β", "2");
    assert_eq!(bench.settings().beta, 2.0);
    bench.click("Reset Token guidance β to 1.00");
    assert_eq!(bench.settings().beta, 1.0);
    assert!(!bench.shows("Reset Token guidance β to 1.00"));
    bench.enter("Temperature", "1.5");
    let at = bench.place("Temperature", 0.2);
    bench.press(at);
    bench.press(at);
    bench.window.run();
    assert_eq!(bench.settings().temperature, Settings::default().temperature);
}

#[test]
fn every_setting_has_a_number_field() {
    let mut bench = Bench::ready();
    for (name, text) in [
        ("Beams W", "2"),
        ("Successors K", "3"),
        ("Chunk length L", "10"),
        ("Temperature", "1.2"),
        ("Top-p", "0.9"),
        ("Top-k", "40"),
        ("Length", "200"),
        ("Seed", "77"),
    ] {
        bench.enter(name, text);
    }
    let expected = Settings {
        beams: 2,
        successors: 3,
        chunk_tokens: 10,
        temperature: 1.2,
        top_p: 0.9,
        top_k: 40,
        max_tokens: 200,
        seed: 77,
        ..Settings::default()
    };
    assert_eq!(*bench.settings(), expected);
    bench.enter("Top-k", "off");
    assert_eq!(bench.settings().top_k, 0);
}

#[test]
fn the_number_of_rows_is_limited() {
    let mut bench = Bench::ready();
    bench.enter("Beams W", "16");
    assert_eq!((bench.settings().beams, bench.settings().successors), (16, 4));
    assert!(bench.shows("64 candidates at a time (W × K, at most 64)"));
    bench.enter("Successors K", "16");
    assert_eq!((bench.settings().beams, bench.settings().successors), (16, 4));
    bench.enter("Beams W", "2");
    bench.enter("Successors K", "16");
    bench.enter("Beams W", "9");
    assert_eq!((bench.settings().beams, bench.settings().successors), (4, 16));
    assert!(bench.settings().validate().is_ok());
}

#[test]
fn the_seed_button_draws_another_seed() {
    let mut bench = Bench::ready();
    let before = bench.settings().seed;
    bench.click("Draw another seed");
    let first = bench.settings().seed;
    assert_ne!(first, before);
    bench.click("Draw another seed");
    assert_ne!(bench.settings().seed, first);
}

#[test]
fn the_value_source_can_be_chosen() {
    let mut bench = Bench::ready();
    bench.click("Rank chunks by: Implicit");
    assert_eq!(bench.settings().value_source, ValueSource::Implicit);
}

#[test]
fn beta_is_disabled_without_a_pair_and_says_why() {
    let mut bench = Bench::with_pack({
        let mut pack = pack();
        pack.has_pair = false;
        pack
    });
    assert!(bench.is_disabled(Role::Slider, "Token guidance β"));
    assert!(bench.is_disabled(Role::SpinButton, "Token guidance β"));
    assert!(!bench.is_disabled(Role::Slider, "Chunk guidance λ"));
    let at = bench.place("Token guidance β", 0.3);
    bench.hover(at);
    assert!(bench.shows("β needs a tuned and an untuned model, and this pack has none."));
    bench.press(at);
    assert_eq!(bench.settings().beta, 1.0);
}

#[test]
fn lambda_is_disabled_without_a_value_model_until_implicit_values_are_chosen() {
    let mut bench = Bench::with_pack({
        let mut pack = pack();
        pack.has_value = false;
        pack
    });
    assert!(bench.is_disabled(Role::Slider, "Chunk guidance λ"));
    let at = bench.place("Chunk guidance λ", 0.3);
    bench.hover(at);
    assert!(bench.shows(
        "λ needs a value model, and this pack has none. Rank chunks by implicit values instead."
    ));
    bench.click("Rank chunks by: Implicit");
    assert!(!bench.is_disabled(Role::Slider, "Chunk guidance λ"));
}

#[test]
fn lambda_is_disabled_with_a_single_row() {
    let mut bench = Bench::ready();
    bench.enter("Successors K", "1");
    // With several beams, the response is still selected among them.
    assert!(!bench.is_disabled(Role::Slider, "Chunk guidance λ"));
    bench.enter("Beams W", "1");
    assert!(bench.is_disabled(Role::Slider, "Chunk guidance λ"));
    bench.enter("Successors K", "2");
    assert!(!bench.is_disabled(Role::Slider, "Chunk guidance λ"));
}

#[test]
fn every_setting_has_a_tooltip() {
    let mut bench = Bench::ready();
    for (name, words) in [
        ("Token guidance β", "the untuned model at each token"),
        ("Chunk guidance λ", "as in the paper"),
        ("Beams W", "kept after each chunk"),
        ("Successors K", "sampled from each beam"),
        ("Chunk length L", "between two selections"),
        ("Temperature", "Randomness of sampling"),
        ("Top-p", "with this total probability"),
        ("Top-k", "this number of most likely"),
        ("Length", "Maximum number of new tokens"),
    ] {
        let at = bench.place(name, 0.4);
        bench.hover(at);
        assert!(bench.reads(words), "{name}");
    }
}

#[test]
fn tooltips_of_settings_are_beside_the_sidebar_and_do_not_linger() {
    let mut bench = Bench::ready();
    let (beta, lambda) = ("the untuned model at each token", "as in the paper");
    let at = bench.place("Token guidance β", 0.4);
    bench.hover(at);
    let edge = bench.number("Token guidance β").rect().right();
    let tooltip = bench.window.get_by_label_contains(beta).rect();
    assert!(tooltip.left() > edge, "{tooltip:?} covers the sidebar");
    // The next setting waits for the pointer to rest.
    bench.window.hover_at(bench.place("Chunk guidance λ", 0.4));
    bench.window.step();
    assert!(!bench.reads(beta) && !bench.reads(lambda));
    for _ in 0..6 {
        bench.window.step();
    }
    assert!(bench.reads(lambda));
}

#[test]
fn no_tooltip_is_shown_while_a_button_is_held() {
    let mut bench = Bench::ready();
    let hint = "the untuned model at each token";
    let at = bench.place("Token guidance β", 0.4);
    bench.hover(at);
    assert!(bench.reads(hint));
    bench.window.drag_at(at);
    bench.window.step();
    assert!(!bench.reads(hint), "an open tooltip is closed");
    let to = bench.place("Token guidance β", 0.5);
    bench.window.hover_at(to);
    for _ in 0..6 {
        bench.window.step();
    }
    assert!(!bench.reads(hint), "the pointer rests with the button held");
    bench.drop(to);
    bench.hover(bench.place("Token guidance β", 0.45));
    assert!(bench.reads(hint));
}

#[test]
fn control_tokens_in_the_prompt_are_recognised_only_on_request() {
    let mut bench = Bench::ready();
    let label = "Read <|end|> as a control token";
    assert!(!bench.shows(label));
    let type_in = |bench: &mut Bench, text: &str| {
        bench.key(Modifiers::COMMAND, Key::L);
        bench.overtype(text);
        bench.window.run();
    };
    type_in(&mut bench, "Hi<|end|> there");
    assert!(bench.shows(label) && !bench.settings().special_tokens);
    bench.click(label);
    let request = bench.finish(&[" a", " b"]);
    assert!(request.settings.special_tokens);
    // While the option is on, it stays visible so that it can be switched off.
    type_in(&mut bench, "Hi there");
    let label = "Read control tokens in the prompt";
    assert!(bench.shows(label));
    bench.click(label);
    assert!(!bench.settings().special_tokens && !bench.shows(label));
}
