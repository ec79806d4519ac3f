//! The value plot: tooltips, reading and continuing a candidate, zoom, legend and tabs.

use eframe::egui::{
    Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, Pos2, TouchPhase, lerp, vec2,
};
use egui_kittest::kittest::{NodeT, Queryable};
use ivg_playground::app::state::preferences::{LowerTab, Preferences};
use ivg_playground::guidance::trace::Candidate;

use crate::engine::pack;
use crate::harness::{Bench, options};

/// Returns the position of a candidate in the plot when the whole plot is shown.
fn dot(bench: &Bench, candidate: &Candidate) -> Pos2 {
    let frame = bench.window.get_by_label_contains("Value of every chunk.").rect();
    let run = bench.window.state().session().run.as_ref().expect("a run");
    let (low, high) = run.value_span().into_inner();
    let value = f64::from(candidate.value.expect("a value"));
    let y_share = ((value - low) / (high - low)) as f32;
    let x_share = candidate.tokens as f32 / (1.02 * run.request.settings.max_tokens as f32);
    let x = lerp(frame.x_range(), x_share);
    Pos2::new(x, lerp(frame.bottom()..=frame.top(), y_share))
}

/// Returns the candidate of a chunk with the lowest value. It is dropped and has no close
/// neighbour.
fn lowest(bench: &Bench, chunk: usize) -> (usize, Candidate) {
    let all = bench.candidates(1, chunk).iter().cloned().enumerate();
    all.min_by(|(_, a), (_, b)| a.value.partial_cmp(&b.value).expect("numbers")).expect("some")
}

fn summary(bench: &Bench) -> String {
    let plot = bench.window.get_by_label_contains("Value of every chunk.");
    plot.accesskit_node().label().expect("a name")
}

#[test]
fn hovering_over_a_candidate_shows_its_text_and_marks_it() {
    let mut bench = Bench::searched(3);
    let (i, candidate) = lowest(&bench, 1);
    let at = dot(&bench, &candidate);
    bench.hover(at + vec2(3.0, 3.0));
    assert!(bench.shows("Guided · chunk 2 of 3"));
    assert!(bench.reads(&format!("candidate {} · dropped", i + 1)));
    assert!(bench.reads(&candidate.text), "its own text");
    let parent = &bench.candidates(1, 0)[candidate.parent.expect("a parent")];
    assert!(bench.reads(&format!("{}{}", parent.text, candidate.text)), "after its parent's text");
    assert!(summary(&bench).contains(&format!("Marked: Guided, Chunk 2, candidate {}", i + 1)));
    bench.hover(at - vec2(0.0, -40.0));
    bench.hover(Pos2::new(5.0, 5.0));
    assert!(!summary(&bench).contains("Marked"));
}

#[test]
fn clicking_a_candidate_opens_its_beam_and_escape_closes_it() {
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
    assert!(bench.reads("Guided · chunk 2 of 3 · dropped"), "returns to the same candidate");
    // Escape closes the beam before it would stop the run.
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
fn continuing_a_beam_starts_a_run_with_the_longer_prompt() {
    let mut bench = Bench::searched(2);
    let (_, candidate) = lowest(&bench, 0);
    let at = dot(&bench, &candidate);
    bench.press(at);
    bench.window.run();
    // The beam keeps the prompt of its run, even if the prompt box has changed.
    bench.click("Example: My wife and I");
    bench.click("Continue from here");
    let (run, request) = bench.engine.generate();
    assert_eq!((run, request.prompt.as_str()), (2, &*format!("This movie was{}", candidate.text)));
    assert_eq!(bench.window.state().preferences().prompt, request.prompt);
    assert!(!bench.shows("Continue from here"), "the beam of the previous run is closed");
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
fn hovering_over_a_chunk_of_the_text_marks_it_in_the_plot() {
    let mut bench = Bench::searched(2);
    let text = bench.window.get_all_by_label_contains("This movie wasw0").last().expect("a text");
    let text = text.rect();
    bench.hover(text.left_top() + vec2(130.0, 12.0));
    let words = summary(&bench);
    assert!(words.contains("Marked: Guided, Chunk 1, candidate "), "{words}");
    assert!(words.contains(", kept, value "), "the candidate of the response: {words}");
}

#[test]
fn a_legend_entry_hides_the_candidates_of_its_column() {
    let mut bench = Bench::searched(3);
    bench.click("Candidates of Guided: shown");
    let (_, candidate) = lowest(&bench, 1);
    let at = dot(&bench, &candidate);
    bench.press(at);
    bench.window.run();
    assert!(!bench.shows("Continue from here"), "hidden candidates cannot be clicked");
    let run = bench.window.state().session().run.as_ref().expect("a run");
    let leader = run.arms[1].report.chunks[2].leader().expect("a leader").clone();
    let at = dot(&bench, &leader);
    bench.press(at);
    bench.window.run();
    assert!(bench.shows("Continue from here"), "the line of the response stays");
    bench.click("Candidates of Guided: hidden");
    assert!(bench.shows("Candidates of Guided: shown"));
}

/// Turns the mouse wheel at a position.
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
fn ctrl_and_the_wheel_zoom_and_a_double_click_resets_the_zoom() {
    let mut bench = Bench::searched(3);
    let frame = bench.window.get_by_label_contains("Value of every chunk.").rect();
    wheel(&mut bench, frame.center(), Modifiers::NONE);
    assert!(!bench.shows("Show the whole plot"), "the wheel alone does not zoom");
    wheel(&mut bench, frame.center(), Modifiers::COMMAND);
    assert!(bench.shows("Show the whole plot"));
    let empty = frame.left_bottom() + vec2(8.0, -8.0);
    bench.press(empty);
    bench.press(empty);
    bench.window.run();
    assert!(!bench.shows("Show the whole plot"));
}

#[test]
fn dragging_a_box_zooms_into_it() {
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
    assert!(!bench.shows("Continue from here"), "dragging opens no candidate");
    bench.click("Show the whole plot");
    assert!(!bench.shows("Show the whole plot"));
}

#[test]
fn the_lower_panel_remembers_its_tab_and_whether_it_is_hidden() {
    let mut bench = Bench::searched(2);
    assert!(bench.reads("Value of every chunk."));
    bench.click("Lower panel: Tree");
    assert!(!bench.reads("Value of every chunk."));
    assert_eq!(bench.window.state().preferences().lower, LowerTab::Tree);
    bench.click("Details");
    let before = bench.window.get_by_label("Guided Tokens: 10").rect().top();
    bench.click("Hide the lower panel");
    assert!(!bench.reads("Chunk 1, candidate"));
    assert!(bench.window.get_by_label("Guided Tokens: 10").rect().top() > before + 150.0);
    assert!(bench.window.state().preferences().lower_hidden);
    bench.click("Show the lower panel");
    assert!(bench.reads("Chunk 1, candidate"));
    bench.click("Hide the lower panel");
    bench.click("Lower panel: Values");
    assert!(bench.reads("Value of every chunk."), "choosing a tab shows the panel");
    assert!(!bench.window.state().preferences().lower_hidden);
    let stored = Preferences { lower: LowerTab::Tree, ..Preferences::default() };
    let bench = Bench::open(options(), stored, pack());
    assert!(bench.shows("Lower panel: Tree") && !bench.shows("Candidates of Guided: shown"));
}

#[test]
fn the_option_overrides_the_stored_tab_and_presentation_mode_shows_the_same_tab() {
    let stored = Preferences { lower_hidden: true, ..Preferences::default() };
    let mut options = options();
    options.lower = Some(LowerTab::Tree);
    let mut bench = Bench::open(options, stored, pack());
    assert!(bench.shows("Hide the lower panel") && !bench.shows("Candidates of Guided: shown"));
    bench.click("Present");
    assert!(bench.shows("Search tree") && !bench.shows("Candidates of Guided: shown"));
    assert!(!bench.shows("Lower panel: Tree") && !bench.shows("Hide the lower panel"));
    bench.click("Exit presentation");
    assert_eq!(bench.window.state().preferences().lower, LowerTab::Tree);
}
