//! The plot: candidates that are pointed at, read and continued; zoom, legend and tabs.

use eframe::egui::{
    Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, Pos2, TouchPhase, lerp, vec2,
};
use egui_kittest::kittest::{NodeT, Queryable};
use ivg_playground::app::preferences::{Lower, Preferences};
use ivg_playground::guidance::trace::Candidate;

use crate::engine::pack;
use crate::harness::{Bench, options};

/// Where a candidate stands in the plot while all of it is shown.
fn dot(bench: &Bench, candidate: &Candidate) -> Pos2 {
    let frame = bench.window.get_by_label_contains("Value of every chunk.").rect();
    let run = bench.window.state().session().run.as_ref().expect("a run");
    let (low, high) = run.value_span().into_inner();
    let value = f64::from(candidate.value.expect("a value"));
    let up = ((value - low) / (high - low)) as f32;
    let along = candidate.tokens as f32 / (1.02 * run.request.settings.max_tokens as f32);
    let x = lerp(frame.x_range(), along);
    Pos2::new(x, lerp(frame.bottom()..=frame.top(), up))
}

/// The lowest candidate of a chunk, which is dropped and stands alone.
fn lowest(bench: &Bench, chunk: usize) -> (usize, Candidate) {
    let all = bench.candidates(1, chunk).iter().cloned().enumerate();
    all.min_by(|(_, a), (_, b)| a.value.partial_cmp(&b.value).expect("numbers")).expect("some")
}

fn summary(bench: &Bench) -> String {
    let plot = bench.window.get_by_label_contains("Value of every chunk.");
    plot.accesskit_node().label().expect("a name")
}

#[test]
fn a_dot_under_the_pointer_shows_its_text_and_is_marked() {
    let mut bench = Bench::searched(3);
    let (i, candidate) = lowest(&bench, 1);
    let at = dot(&bench, &candidate);
    bench.hover(at + vec2(3.0, 3.0));
    assert!(bench.shows("Guided · chunk 2 of 3"));
    assert!(bench.reads(&format!("candidate {} · dropped", i + 1)));
    assert!(bench.reads(&candidate.text), "its own text");
    let parent = &bench.candidates(1, 0)[candidate.parent.expect("a parent")];
    assert!(bench.reads(&format!("{}{}", parent.text, candidate.text)), "after what it continues");
    assert!(summary(&bench).contains(&format!("Marked: Guided, Chunk 2, candidate {}", i + 1)));
    bench.hover(at - vec2(0.0, -40.0));
    bench.hover(Pos2::new(5.0, 5.0));
    assert!(!summary(&bench).contains("Marked"));
}

#[test]
fn a_click_opens_the_beam_and_escape_closes_it() {
    let mut bench = Bench::searched(3);
    let (_, candidate) = lowest(&bench, 1);
    let at = dot(&bench, &candidate);
    bench.press(at);
    bench.window.run();
    assert!(bench.reads("Guided · chunk 2 of 3 · dropped"));
    let parent = &bench.candidates(1, 0)[candidate.parent.expect("a parent")];
    let beam = format!("This movie was{}{}", parent.text, candidate.text);
    assert!(bench.shows(&beam), "{beam}");
    bench.click("Previous chunk");
    assert!(bench.reads("Guided · chunk 1 of 3 · kept"));
    bench.click("Next chunk");
    assert!(bench.reads("Guided · chunk 2 of 3 · dropped"), "along the line it came from");
    // The run goes on: what is in front is closed first.
    bench.window.key_press(Key::Escape);
    bench.window.run();
    assert!(!bench.reads("Guided · chunk 2 of 3 · dropped"));
    bench.expect_silence();
    bench.press(at);
    bench.window.run();
    bench.click("Close window");
    bench.window.run();
    assert!(!bench.shows("Continue from here"));
}

#[test]
fn a_beam_is_continued_by_a_run_with_the_longer_prompt() {
    let mut bench = Bench::searched(2);
    let (_, candidate) = lowest(&bench, 0);
    let at = dot(&bench, &candidate);
    bench.press(at);
    bench.window.run();
    // What is in the box by now does not matter: the beam belongs to its run's prompt.
    bench.click("Example: My wife and I");
    bench.click("Continue from here");
    let (run, request) = bench.engine.generate();
    assert_eq!((run, request.prompt.as_str()), (2, &*format!("This movie was{}", candidate.text)));
    assert_eq!(bench.window.state().preferences().prompt, request.prompt);
    assert!(!bench.shows("Continue from here"), "the beam was another run's");
}

#[test]
fn a_beam_is_copied_with_its_prompt() {
    let mut bench = Bench::searched(1);
    let (_, candidate) = lowest(&bench, 0);
    let at = dot(&bench, &candidate);
    bench.press(at);
    bench.window.run();
    let copied = bench.copied("Copy");
    let words = format!("This movie was{}", candidate.text);
    assert_eq!(copied, Some(eframe::egui::OutputCommand::CopyText(words)));
}

#[test]
fn a_chunk_pointed_at_in_the_text_is_marked_in_the_plot() {
    let mut bench = Bench::searched(2);
    let text = bench.window.get_all_by_label_contains("This movie wasw0").last().expect("a text");
    let text = text.rect();
    bench.hover(text.left_top() + vec2(130.0, 12.0));
    let words = summary(&bench);
    assert!(words.contains("Marked: Guided, Chunk 1, candidate "), "{words}");
    assert!(words.contains(", kept, value "), "the answer's own candidate: {words}");
}

#[test]
fn a_legend_entry_hides_candidates_from_view_and_pointer() {
    let mut bench = Bench::searched(3);
    bench.click("Candidates of Guided: shown");
    let (_, candidate) = lowest(&bench, 1);
    let at = dot(&bench, &candidate);
    bench.press(at);
    bench.window.run();
    assert!(!bench.shows("Continue from here"), "it is not there");
    let run = bench.window.state().session().run.as_ref().expect("a run");
    let leader = run.arms[1].report.chunks[2].leader().expect("a leader").clone();
    let at = dot(&bench, &leader);
    bench.press(at);
    bench.window.run();
    assert!(bench.shows("Continue from here"), "the answer's line stays");
    bench.click("Candidates of Guided: hidden");
    assert!(bench.shows("Candidates of Guided: shown"));
}

/// Turns the wheel over a place.
fn wheel(bench: &mut Bench, at: Pos2, modifiers: Modifiers) {
    bench.window.hover_at(at);
    bench.window.run();
    let (unit, delta, phase) = (MouseWheelUnit::Line, vec2(0.0, 4.0), TouchPhase::Move);
    let source = MouseWheelSource::Wheel;
    bench.window.event(Event::ModifiersChanged(modifiers));
    bench.window.event(Event::MouseWheel { unit, delta, phase, modifiers, source });
    bench.window.run();
    bench.window.event(Event::ModifiersChanged(Modifiers::NONE));
    bench.window.run();
}

#[test]
fn the_wheel_zooms_with_ctrl_alone_and_a_double_click_leads_back() {
    let mut bench = Bench::searched(3);
    let frame = bench.window.get_by_label_contains("Value of every chunk.").rect();
    wheel(&mut bench, frame.center(), Modifiers::NONE);
    assert!(!bench.shows("Show the whole plot"), "plain scrolling is harmless");
    wheel(&mut bench, frame.center(), Modifiers::COMMAND);
    assert!(bench.shows("Show the whole plot"));
    let empty = frame.left_bottom() + vec2(8.0, -8.0);
    bench.press(empty);
    bench.press(empty);
    bench.window.run();
    assert!(!bench.shows("Show the whole plot"));
}

#[test]
fn a_box_that_is_drawn_becomes_the_plot() {
    let mut bench = Bench::searched(3);
    let frame = bench.window.get_by_label_contains("Value of every chunk.").rect();
    let (from, to) = (frame.left_top() + vec2(30.0, 20.0), frame.center());
    bench.window.hover_at(from);
    bench.window.run();
    bench.window.drag_at(from);
    bench.window.run();
    bench.window.hover_at(from + (to - from) / 2.0);
    bench.window.run();
    bench.window.hover_at(to);
    bench.window.run();
    bench.drop(to);
    assert!(bench.shows("Show the whole plot"));
    assert!(!bench.shows("Continue from here"), "a drag is no click");
    bench.click("Show the whole plot");
    assert!(!bench.shows("Show the whole plot"));
}

#[test]
fn the_panel_below_has_tabs_hides_and_remembers_both() {
    let mut bench = Bench::searched(2);
    assert!(bench.reads("Value of every chunk."));
    bench.click("Below: Tree");
    assert!(!bench.reads("Value of every chunk."));
    assert_eq!(bench.window.state().preferences().lower, Lower::Tree);
    let before = bench.window.get_by_label("Guided Tokens: 10").rect().top();
    bench.click("Hide the lower panel");
    assert!(!bench.reads("Chunk 1, candidate"));
    assert!(bench.window.get_by_label("Guided Tokens: 10").rect().top() > before + 150.0);
    assert!(bench.window.state().preferences().lower_hidden);
    bench.click("Show the lower panel");
    assert!(bench.reads("Chunk 1, candidate"));
    bench.click("Hide the lower panel");
    bench.click("Below: Values");
    assert!(bench.reads("Value of every chunk."), "whoever chooses a tab wants to see it");
    assert!(!bench.window.state().preferences().lower_hidden);
    let stored = Preferences { lower: Lower::Tree, ..Preferences::default() };
    let bench = Bench::open(options(), stored, pack());
    assert!(bench.shows("Below: Tree") && !bench.shows("Candidates of Guided: shown"));
}

#[test]
fn the_option_wins_over_what_is_remembered_and_the_stage_shows_values_alone() {
    let stored = Preferences { lower_hidden: true, ..Preferences::default() };
    let mut options = options();
    options.lower = Some(Lower::Tree);
    let mut bench = Bench::open(options, stored, pack());
    assert!(bench.shows("Hide the lower panel") && !bench.shows("Candidates of Guided: shown"));
    bench.click("Present");
    assert!(bench.shows("Candidates of Guided: shown"));
    assert!(!bench.shows("Below: Tree") && !bench.shows("Hide the lower panel"));
    bench.click("Leave");
    assert_eq!(bench.window.state().preferences().lower, Lower::Tree);
}
