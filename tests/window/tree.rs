//! The search as a tree.

use eframe::egui::Key;
use egui_kittest::kittest::{NodeT, Queryable};
use ivg_playground::worker::protocol::Cost;

use crate::engine::tokens;
use crate::harness::Bench;

fn tree(chunks: usize) -> Bench {
    let mut bench = Bench::searched(chunks);
    bench.click("Below: Tree");
    bench
}

/// The name of a candidate of the second column.
fn name(bench: &Bench, chunk: usize, candidate: usize) -> String {
    let found = &bench.candidates(1, chunk)[candidate];
    let fate = if found.survived { "kept" } else { "dropped" };
    let value = format!("{:+.2}", found.value.expect("a value")).replace('-', "−");
    format!("Chunk {}, candidate {}, {fate}, value {value}", chunk + 1, candidate + 1)
}

/// The candidate that has the keyboard.
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
fn every_candidate_is_named_shows_its_text_and_can_be_read() {
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
    assert_eq!(focused(&bench), name(&bench, 1, 3), "arrow keys go on from there");
    let parent = &bench.candidates(1, 0)[candidate.parent.expect("a parent")];
    let beam = format!("This movie was{}{}", parent.text, candidate.text);
    assert!(bench.shows(&beam), "{beam}");
    bench.click("Continue from here");
    assert_eq!(bench.engine.generate().1.prompt, beam);
}

#[test]
fn arrow_keys_lead_along_the_branches_and_enter_reads() {
    let mut bench = tree(3);
    let run = bench.window.state().session().run.as_ref().expect("a run");
    let chunks = run.arms[1].report.chunks.clone();
    let last = chunks[2].leader;
    let middle = chunks[2].candidates[last].parent.expect("a parent");
    let first = chunks[1].candidates[middle].parent.expect("a parent");
    bench.window.get_by_label(&name(&bench, 0, first)).focus();
    bench.window.run();
    assert_eq!(focused(&bench), name(&bench, 0, first), "the answer's first chunk is a tab stop");
    press(&mut bench, Key::ArrowRight);
    assert_eq!(focused(&bench), name(&bench, 1, middle));
    press(&mut bench, Key::ArrowRight);
    assert_eq!(focused(&bench), name(&bench, 2, last));
    press(&mut bench, Key::ArrowRight);
    assert_eq!(focused(&bench), name(&bench, 2, last), "there is no more");
    press(&mut bench, Key::Enter);
    assert!(bench.reads("Guided · chunk 3 of 3 · kept"));
    press(&mut bench, Key::ArrowLeft);
    assert_eq!(focused(&bench), name(&bench, 1, middle));
    assert!(bench.reads("Guided · chunk 2 of 3 · kept"), "what is read follows");
    let before = focused(&bench);
    press(&mut bench, Key::ArrowDown);
    assert_ne!(focused(&bench), before);
    assert!(focused(&bench).starts_with("Chunk 2, "));
    press(&mut bench, Key::ArrowUp);
    assert_eq!(focused(&bench), before);
}

#[test]
fn any_column_can_be_chosen() {
    let mut bench = tree(2);
    assert!(bench.reads("Chunk 2, candidate 16"), "the column that searches comes first");
    bench.click("Tree of: Unguided");
    assert!(bench.reads("Chunk 2, candidate 1, kept"));
    assert!(!bench.reads("Chunk 2, candidate 2,"), "a single line");
    assert!(bench.reads("Colours: value, "));
}

#[test]
fn it_grows_with_the_run_and_forgets_the_last_one() {
    let (mut bench, run, _) = Bench::running();
    bench.click("Below: Tree");
    assert!(bench.engine.next().is_none());
    bench.search(run, 1);
    assert!(bench.reads("Chunk 1, candidate 1,") && !bench.reads("Chunk 2, "));
    bench.search(run, 2);
    assert!(bench.reads("Chunk 2, candidate 1,"));
    bench.click(&name(&bench, 0, 0));
    assert!(bench.shows("Continue from here"));
    bench.click("Generate");
    assert!(!bench.shows("Continue from here"));
    // What the run before has left can be seen, not read.
    let old = bench.window.get_all_by_label_contains("Chunk 1, candidate 1,").next();
    old.expect("the old tree").click();
    bench.window.run();
    assert!(!bench.shows("Continue from here"));
}

#[test]
#[ignore = "prints the time of a frame; run by hand on a quiet machine"]
fn the_largest_tree_is_drawn_in_time() {
    let (mut bench, run, _) = Bench::running();
    let all = tokens(&"word ".repeat(400));
    for end in (5..=400).step_by(5) {
        let chunk = bench.engine.search_chunk(end, end as f32 / 500.0, (8, 64), end == 5);
        bench.engine.chunk(run, 1, chunk, &all[..end]);
    }
    bench.window.run();
    let cost = Cost { sampled_tokens: 40, elapsed_ms: 500.0 };
    for tab in ["Hide the lower panel", "Show the lower panel", "Below: Tree"] {
        bench.click(tab);
        let started = std::time::Instant::now();
        for _ in 0..50 {
            bench.engine.token(run, 0, "", cost);
            bench.window.step();
        }
        println!("{:.2} ms a frame after {tab}", started.elapsed().as_secs_f64() * 1e3 / 50.0);
    }
}
