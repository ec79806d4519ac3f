//! The search tree.

use eframe::egui::Key;
use egui_kittest::kittest::{NodeT, Queryable};

use crate::engine::tokens;
use crate::harness::Bench;

fn tree(chunks: usize) -> Bench {
    let mut bench = Bench::searched(chunks);
    bench.click("Lower panel: Tree");
    bench
}

/// Returns the label of a candidate of the second column.
fn name(bench: &Bench, chunk: usize, candidate: usize) -> String {
    let found = &bench.candidates(1, chunk)[candidate];
    let fate = if found.survived { "kept" } else { "dropped" };
    let value = format!("{:+.2}", found.value.expect("a value")).replace('-', "−");
    format!("Chunk {}, candidate {}, {fate}, value {value}", chunk + 1, candidate + 1)
}

/// Returns the label of the focused candidate.
fn focused(bench: &Bench) -> String {
    let all = bench.window.get_all_by_label_contains("Chunk ");
    let mut focused = all.filter(|node| node.accesskit_node().is_focused());
    focused.next().and_then(|node| node.accesskit_node().label()).unwrap_or_default()
}

fn press(bench: &mut Bench, key: Key) {
    bench.window.key_press(key);
    bench.window.run();
}

#[test]
fn every_candidate_has_a_label_a_tooltip_and_a_reader() {
    let mut bench = tree(2);
    for i in 0..16 {
        let name = name(&bench, 1, i);
        assert!(bench.shows(&name), "{name}");
    }
    let candidate = bench.candidates(1, 1)[3].clone();
    let at = bench.window.get_by_label(&name(&bench, 1, 3)).rect();
    bench.hover(at.left_center() + eframe::egui::vec2(8.0, 0.0));
    assert!(bench.shows("Guided · chunk 2 of 2"));
    assert!(bench.reads(&candidate.text));
    bench.press(at.left_center() + eframe::egui::vec2(8.0, 0.0));
    bench.window.run();
    assert_eq!(focused(&bench), name(&bench, 1, 3), "the clicked candidate has the focus");
    let parent = &bench.candidates(1, 0)[candidate.parent.expect("a parent")];
    let beam = format!("This movie was{}{}", parent.text, candidate.text);
    assert!(bench.shows(&beam), "{beam}");
    bench.click("Continue from here");
    assert_eq!(bench.engine.generate().1.prompt, beam);
}

#[test]
fn arrow_keys_follow_the_branches_and_enter_opens_a_candidate() {
    let mut bench = tree(3);
    let run = bench.window.state().session().run.as_ref().expect("a run");
    let chunks = run.arms[1].report.chunks.clone();
    let last = chunks[2].leader;
    let middle = chunks[2].candidates[last].parent.expect("a parent");
    let first = chunks[1].candidates[middle].parent.expect("a parent");
    bench.window.get_by_label(&name(&bench, 0, first)).focus();
    bench.window.run();
    assert_eq!(focused(&bench), name(&bench, 0, first), "the first chunk can be focused");
    press(&mut bench, Key::ArrowRight);
    assert_eq!(focused(&bench), name(&bench, 1, middle));
    press(&mut bench, Key::ArrowRight);
    assert_eq!(focused(&bench), name(&bench, 2, last));
    press(&mut bench, Key::ArrowRight);
    assert_eq!(focused(&bench), name(&bench, 2, last), "there is no next chunk");
    press(&mut bench, Key::Enter);
    assert!(bench.reads("Guided · chunk 3 of 3 · kept"));
    press(&mut bench, Key::ArrowLeft);
    assert_eq!(focused(&bench), name(&bench, 1, middle));
    assert!(bench.reads("Guided · chunk 2 of 3 · kept"), "the reader follows the focus");
    let before = focused(&bench);
    press(&mut bench, Key::ArrowDown);
    assert_ne!(focused(&bench), before);
    assert!(focused(&bench).starts_with("Chunk 2, "));
    press(&mut bench, Key::ArrowUp);
    assert_eq!(focused(&bench), before);
}

#[test]
fn the_tree_of_any_column_can_be_shown() {
    let mut bench = tree(2);
    assert!(bench.reads("Chunk 2, candidate 16"), "the column with a search is shown first");
    bench.click("Tree of: Unguided");
    assert!(bench.reads("Chunk 2, candidate 1, kept"));
    assert!(!bench.reads("Chunk 2, candidate 2,"), "one candidate per chunk");
    assert!(bench.reads("Colours: value, "));
}

#[test]
fn removing_a_column_keeps_the_trees_of_the_others() {
    let mut bench = Bench::ready();
    bench.click("Lower panel: Tree");
    bench.add_column("Token only");
    bench.click("Generate");
    let (run, _) = bench.engine.generate();
    for (arm, rows) in [(0, (1, 1)), (1, (2, 4)), (2, (4, 16))] {
        let chunk = bench.engine.search_chunk(5, 0.5, rows, true);
        bench.engine.chunk(run, arm, chunk, &tokens("a b c d e"));
    }
    bench.window.run();
    bench.click("Tree of: Guided");
    assert!(bench.reads("Chunk 1, candidate 4,") && !bench.reads("Chunk 1, candidate 5,"));
    bench.click("Column 2: Guided");
    bench.click("Remove this column");
    bench.click("Tree of: Token only");
    assert!(bench.reads("Chunk 1, candidate 16,"));
}

#[test]
fn the_tree_grows_with_the_run_and_is_reset_by_the_next_run() {
    let (mut bench, run, _) = Bench::running();
    bench.click("Lower panel: Tree");
    assert!(bench.engine.next().is_none());
    bench.search(run, 1);
    assert!(bench.reads("Chunk 1, candidate 1,") && !bench.reads("Chunk 2, "));
    bench.search(run, 2);
    assert!(bench.reads("Chunk 2, candidate 1,"));
    bench.click(&name(&bench, 0, 0));
    assert!(bench.shows("Continue from here"));
    bench.click("Generate");
    assert!(!bench.shows("Continue from here"));
    // The tree of the previous run is still shown but cannot be opened.
    let old = bench.window.get_all_by_label_contains("Chunk 1, candidate 1,").next();
    old.expect("the old tree").click();
    bench.window.run();
    assert!(!bench.shows("Continue from here"));
}
