//! The cards of past runs: opening them, their lines, and equal runs.

use eframe::egui::{Color32, CursorIcon, Key, Modifiers, Pos2, Rect, Shape, vec2};
use egui_kittest::kittest::Queryable;
use ivg_playground::guidance::trace::StopReason;

use crate::harness::Bench;
use crate::history::{choose, run, window};

fn card(bench: &Bench, prompt: &str) -> Rect {
    bench.window.get_by_label(&format!("Run: {prompt}")).rect()
}

/// Returns the colour of a card.
fn fill(bench: &Bench, rect: Rect) -> Color32 {
    let is_card = |shape: &Rect| (shape.center() - rect.center()).length() < 1.0;
    let shapes = bench.window.output().shapes.iter();
    let mut fills = shapes.filter_map(|clipped| match &clipped.shape {
        Shape::Rect(shape) if is_card(&shape.rect) && shape.fill.a() > 0 => Some(shape.fill),
        _ => None,
    });
    fills.next().expect("a card")
}

#[test]
fn a_click_anywhere_on_a_card_opens_the_run() {
    let (mut bench, _folder) = window();
    run(&mut bench, "The ending", &[" a", " b"]);
    let rect = card(&bench, "The ending");
    let inset = vec2(6.0, 6.0);
    for (i, at) in [rect.min + inset, rect.max - inset, rect.center()].into_iter().enumerate() {
        run(&mut bench, &format!("The cast {i}"), &[" d", " e"]);
        // Newer cards are above.
        let moved = card(&bench, "The ending").min - rect.min;
        bench.press(at + moved);
        bench.wait("the run", |b| b.shows("The ending b"));
    }
}

#[test]
fn the_menu_of_a_card_does_not_open_the_run() {
    let (mut bench, _folder) = window();
    run(&mut bench, "The ending", &[" a", " b"]);
    run(&mut bench, "The cast", &[" d", " e"]);
    let at = bench.window.get_by_label("More about The ending").rect().center();
    assert!(card(&bench, "The ending").contains(at), "the button is on the card");
    bench.press(at);
    for _ in 0..20 {
        bench.window.step();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(bench.shows("Rename"), "the menu is open");
    assert!(bench.shows("The cast e") && !bench.shows("The ending b"));
}

#[test]
fn a_card_shows_that_it_can_be_clicked() {
    let (mut bench, _folder) = window();
    run(&mut bench, "The ending", &[" a", " b"]);
    let rect = card(&bench, "The ending");
    bench.window.hover_at(Pos2::new(700.0, 400.0));
    bench.window.run();
    let before = fill(&bench, rect);
    bench.hover(rect.center());
    assert_ne!(fill(&bench, rect), before);
    assert_eq!(bench.window.output().platform_output.cursor_icon, CursorIcon::PointingHand);
    assert!(bench.shows("Shows this run with its prompt and settings."));
    assert!(bench.shows("Guided: β 1 · λ ∞ · W 4 · K 4 · L 5"), "the tooltip has all settings");
}

#[test]
fn a_card_is_opened_from_the_keyboard() {
    let (mut bench, _folder) = window();
    run(&mut bench, "The ending", &[" a", " b"]);
    run(&mut bench, "The cast", &[" d", " e"]);
    bench.window.get_by_label("Run: The ending").focus();
    bench.window.run();
    assert!(bench.window.get_by_label("Run: The ending").is_focused());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("the run", |b| b.shows("The ending b"));
    // The next stop is the menu of the card.
    bench.key(Modifiers::NONE, Key::Tab);
    assert!(bench.window.get_by_label("More about The ending").is_focused());
}

#[test]
fn a_card_shows_strengths_seed_and_pack_inside_its_frame() {
    let (mut bench, _folder) = window();
    bench.click("Sidebar: Settings");
    bench.unlike_columns();
    bench.click("Sidebar: History");
    let prompt = "A long prompt that does not fit into the width of the sidebar, not even nearly";
    bench.key(Modifiers::COMMAND, Key::L);
    bench.overtype(prompt);
    let text = " word".repeat(40);
    bench.finish(&[&text, &text, &text]);
    bench.wait("the card", |b| b.reads("Run: A long prompt"));
    assert!(bench.shows("just now · imdb-sentiment"));
    assert!(bench.shows("β −0.5, 2 · λ ∞ · seed 9"));
    bench.window.remove_cursor();
    bench.window.run();
    let card = bench.window.get_by_label_contains("Run: A long prompt").rect();
    let drawn = bench.drawn();
    let inside: Vec<_> = drawn.iter().filter(|text| card.contains(text.pos)).collect();
    assert_eq!(inside.len(), 6, "title, age, strengths and three columns");
    for text in inside {
        let rect = text.visual_bounding_rect();
        assert!(card.contains_rect(rect), "{}: {rect:?} in {card:?}", text.galley.job.text);
    }
}

/// Runs the prompt of the window again and waits until `words` are shown.
fn again(bench: &mut Bench, texts: &[&str], words: &str) {
    bench.finish(texts);
    bench.wait(words, |b| b.shows(words));
}

fn cards(bench: &Bench) -> usize {
    bench.window.query_all_by_label_contains("Run: ").count()
}

#[test]
fn equal_runs_share_a_card_that_opens_the_newest() {
    let (mut bench, _folder) = window();
    again(&mut bench, &[" a", " b"], "just now · imdb-sentiment");
    again(&mut bench, &[" c", " d"], "2 runs · just now · imdb-sentiment");
    again(&mut bench, &[" e", " f"], "3 runs · just now · imdb-sentiment");
    assert_eq!(cards(&bench), 1);
    // A stopped run and a run with another seed are different runs.
    bench.click("Generate");
    let (id, request) = bench.engine.generate();
    bench.engine.done(id, &request, &[" e", ""], StopReason::Stopped);
    bench.wait("the stopped run", |b| cards(b) == 2);
    bench.key(Modifiers::COMMAND, Key::D);
    bench.finish(&[" g", " h"]);
    bench.wait("the other seed", |b| cards(b) == 3);
    let at = bench.window.get_by_label("3 runs · just now · imdb-sentiment").rect().center();
    bench.press(at);
    bench.wait("the newest", |b| b.shows("This movie was f"));
}

#[test]
fn a_pinned_run_leaves_the_card_of_its_equals() {
    let (mut bench, _folder) = window();
    again(&mut bench, &[" a", " b"], "just now · imdb-sentiment");
    again(&mut bench, &[" c", " d"], "2 runs · just now · imdb-sentiment");
    choose(&mut bench, "This movie was", "Pin");
    bench.wait("two cards", |b| cards(b) == 2);
    assert!(bench.shows("pinned · just now · imdb-sentiment"));
    assert!(bench.shows("just now · imdb-sentiment"));
}

#[test]
fn deleting_from_a_card_of_several_runs_deletes_the_newest() {
    let (mut bench, folder) = window();
    again(&mut bench, &[" a", " b"], "just now · imdb-sentiment");
    again(&mut bench, &[" c", " d"], "2 runs · just now · imdb-sentiment");
    choose(&mut bench, "This movie was", "Delete the newest run");
    bench.wait("the other run", |b| b.shows("just now · imdb-sentiment"));
    assert!(bench.shows("Guided +2.5: b"));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
}
