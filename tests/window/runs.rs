//! Starting, watching and stopping runs, and runs that fail.

use eframe::egui::{Key, Modifiers, Role, vec2};
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::app::state::session::Phase;
use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::worker::protocol::{Cost, Event, Request};

use crate::engine::{pack, tokens};
use crate::harness::{Bench, options};

const COST: Cost = Cost { sampled_tokens: 40, elapsed_ms: 500.0 };

#[test]
fn typing_a_prompt_and_pressing_ctrl_enter_runs_both_columns() {
    let mut bench = Bench::with_pack(pack());
    assert!(bench.is_disabled(Role::Button, "Generate"));
    bench.window.get_by_role(Role::MultilineTextInput).focus();
    bench.window.run();
    bench.window.get_by_role(Role::MultilineTextInput).type_text("The ending");
    bench.window.run();
    bench.window.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    bench.window.run();
    let (run, request) = bench.engine.generate();
    let columns = vec![Arm::Base.into(), Arm::Ivg.into()];
    let settings = Settings::default();
    assert_eq!(
        request,
        Request { prompt: "The ending".into(), local_time: None, columns, settings }
    );
    assert_eq!(run, 1);
    assert_eq!(bench.window.state().preferences().prompt, "The ending", "no line feed is typed");
}

#[test]
fn an_example_fills_the_prompt() {
    let mut bench = Bench::with_pack(pack());
    bench.click("Example: My wife and I");
    assert_eq!(bench.window.state().preferences().prompt, "My wife and I");
    bench.click("Generate");
    assert_eq!(bench.engine.generate().1.prompt, "My wife and I");
}

#[test]
fn without_a_prompt_generate_is_disabled_with_the_reason() {
    let mut bench = Bench::with_pack(pack());
    let at = bench.window.get_by_label("Generate").rect().center();
    bench.hover(at);
    assert!(bench.shows("Type a prompt first, or pick an example."));
    bench.press(at);
    bench.expect_silence();
    // The shortcut is disabled too.
    bench.window.key_press_modifiers(Modifiers::COMMAND, Key::Enter);
    bench.window.run();
    bench.expect_silence();
    assert!(bench.shows("Type a prompt first, or pick an example."));
}

#[test]
fn both_columns_stream_and_a_chunk_replaces_the_provisional_tokens() {
    let (mut bench, run, _) = Bench::running();
    bench.engine.token(run, 0, " was slow", COST);
    bench.engine.token(run, 1, " was dull", COST);
    bench.window.run();
    assert!(bench.reads("This movie was was slow"));
    assert!(bench.reads("This movie was was dull"));
    assert_eq!(bench.arm(Arm::Ivg).decided_bytes(), 0);
    let lead = tokens(" was bright");
    let chunk = bench.engine.search_chunk(2, 1.5, (4, 16), true);
    let value = chunk.leader().and_then(|c| c.value).expect("a value");
    bench.engine.chunk(run, 1, chunk, &lead);
    bench.window.run();
    assert!(bench.reads("This movie was was bright"));
    assert!(!bench.reads("dull"));
    assert_eq!(bench.arm(Arm::Ivg).decided_bytes(), " was bright".len());
    bench.click("Details");
    assert!(bench.shows(&format!("Guided Value: {value:+.2}")));
    assert!(bench.shows(&format!("Guided Tokens: {}", lead.len())));
    assert!(bench.shows("Unguided Value: –"));
    assert!(bench.reads("Guided: 1 chunks"), "the plot has a description");
    assert!(bench.shows("Generating · 1 of 50 tokens · 33 s left"));
}

#[test]
fn a_finished_run_shows_its_metrics() {
    let (mut bench, run, request) = Bench::running();
    bench.engine.done(run, &request, &[" was fine.", " was great."], StopReason::EndOfText);
    bench.window.run();
    assert_eq!(bench.phase(), Some(Phase::Finished));
    assert!(bench.reads("This movie was was great."));
    bench.click("Details");
    assert!(bench.shows("Unguided Value: +1.25"));
    assert!(bench.shows("Guided Value: +1.25, +0.0 from the first column"));
    assert!(bench.shows("Guided Judge: praise: +2.50, +0.0 from the first column, rather praise"));
    assert!(bench.shows("Guided Tokens/s: 100"));
    assert!(bench.shows("Unguided Seconds: 2.00"));
    assert!(bench.reads("Ended after "));
    assert!(bench.shows("Done"));
    let kl = bench.arm(Arm::Ivg).report.kl_nats();
    assert!(bench.reads(&format!("Guided KL, nats: {kl:.2}, ")));
}

#[test]
fn escape_stops_the_run_and_keeps_the_text() {
    let (mut bench, run, request) = Bench::running();
    bench.engine.token(run, 0, " was slow", COST);
    bench.window.run();
    bench.window.key_press(Key::Escape);
    bench.window.run();
    bench.expect_stop(run);
    assert!(bench.engine.is_stopped(run));
    assert!(bench.shows("Stopping"));
    bench.engine.done(run, &request, &[" was slow", ""], StopReason::Stopped);
    bench.window.run();
    assert!(bench.shows("Stopped"));
    assert!(bench.reads("This movie was was slow"));
    // Escape does nothing after the run has ended.
    bench.window.key_press(Key::Escape);
    bench.window.run();
    bench.expect_silence();
}

#[test]
fn the_stop_button_is_enabled_only_during_a_run() {
    let mut bench = Bench::ready();
    assert!(bench.is_disabled(Role::Button, "Stop"));
    bench.click("Generate");
    let (run, _) = bench.engine.generate();
    bench.click("Stop");
    bench.expect_stop(run);
}

#[test]
fn a_failed_run_shows_the_error_and_keeps_the_text() {
    let (mut bench, run, _) = Bench::running();
    bench.engine.token(run, 1, " was splendid", COST);
    let message = "The tuned model ran out of memory; lower W·K.";
    bench.engine.send(Event::Failed { run, message: message.into() });
    bench.window.run();
    assert!(bench.shows(message));
    assert!(bench.shows("Failed"));
    assert!(bench.reads("This movie was was splendid"));
    bench.click("Dismiss the error");
    assert!(!bench.shows(message));
    assert!(bench.reads("This movie was was splendid"));
    // The next run clears the sweep by itself.
    bench.click("Generate");
    assert_eq!(bench.engine.generate().0, run + 1);
}

#[test]
fn events_of_an_old_run_are_ignored() {
    let (mut bench, old, request) = Bench::running();
    bench.click("Generate");
    let (new, _) = bench.engine.generate();
    bench.engine.token(old, 0, " from before", COST);
    bench.engine.done(old, &request, &[" from before", ""], StopReason::Stopped);
    bench.engine.send(Event::Failed { run: old, message: "Too late.".into() });
    bench.window.run();
    assert!(!bench.reads("from before") && !bench.shows("Too late."));
    bench.engine.token(new, 0, " from now", COST);
    bench.window.run();
    assert!(bench.reads("This movie was from now"));
    assert_eq!(bench.phase(), Some(Phase::Generating));
}

#[test]
fn a_run_shows_its_settings_and_whether_they_have_changed_since() {
    let (mut bench, run, request) = Bench::running();
    bench.engine.done(run, &request, &[" a", " b"], StopReason::MaxTokens);
    bench.window.run();
    assert!(bench.shows("β 1 · λ ∞ · W 4 · K 4 · L 5"));
    bench.enter("Token guidance β", "0.5");
    assert!(bench.shows("β 1 · λ ∞ · W 4 · K 4 · L 5"), "the column shows the settings of the run");
    assert!(bench.shows("Done. Press Generate to apply your changes"));
}

#[test]
fn a_worker_that_has_ended_is_reported() {
    let stored = Preferences { prompt: "This movie was".into(), ..Preferences::default() };
    let mut bench = Bench::open(options(), stored, pack());
    let Bench { window, engine } = &mut bench;
    let (_, other) = crate::engine::engine(|| {});
    drop(std::mem::replace(engine, other));
    window.get_by_label("Generate").click();
    window.run();
    assert!(bench.reads("The engine has stopped"));
}

#[test]
fn a_pack_without_a_judge_has_no_gold_reward() {
    let mut pack = pack();
    pack.has_judge = false;
    let bench = Bench::with_pack(pack);
    assert!(bench.shows("Guided Value (this pack has no judge): –"));
    let bench = Bench::with_pack(crate::engine::pack());
    assert!(bench.shows("Guided Judge: praise: –"));
}

#[test]
fn a_response_that_does_not_continue_the_prompt_starts_a_new_paragraph() {
    let stored = Preferences { prompt: "Why is the sky blue?".into(), ..Preferences::default() };
    let mut bench = Bench::open(options(), stored, pack());
    bench.finish(&["The sky scatters light.", "The air does."]);
    let drawn = bench.drawn();
    let shows = |words: &str| drawn.iter().any(|text| text.galley.job.text.starts_with(words));
    assert!(shows("Why is the sky blue?\n\nThe sky scatters light."));
    assert!(shows("Why is the sky blue?\n\nThe air does."));
}

#[test]
fn a_long_text_is_read_from_its_start_when_it_is_complete() {
    let (mut bench, run, request) = Bench::running();
    let long = " word".repeat(600);
    bench.engine.done(run, &request, &[&long, &long], StopReason::MaxTokens);
    bench.window.run();
    let heading = bench.window.get_by_label("Column 1: Unguided").rect();
    let texts = bench.window.query_all_by_label_contains("This movie was word");
    let tops: Vec<f32> = texts.map(|text| text.rect().top()).collect();
    assert_eq!(tops.len(), 2);
    assert!(tops.iter().all(|top| *top >= heading.bottom()), "{tops:?} {heading:?}");
}

/// The rest of the previous text is still shown below the new one.
#[test]
fn a_new_run_is_scrolled_to_its_start() {
    let (mut bench, run, request) = Bench::running();
    let long = " word".repeat(600);
    bench.engine.done(run, &request, &[&long, &long], StopReason::MaxTokens);
    bench.window.run();
    bench.click("Generate");
    let (run, _) = bench.engine.generate();
    bench.engine.send(Event::Started { run });
    let heading = bench.window.get_by_label("Column 1: Unguided").rect();
    let top = |bench: &Bench| {
        let mut texts = bench.window.query_all_by_label_contains("This movie was new new");
        texts.next().expect("the text").rect().top()
    };
    for _ in 0..2 {
        bench.engine.token(run, 0, " new", COST);
    }
    bench.window.run();
    assert!(top(&bench) >= heading.bottom(), "the start of the text is visible");
    // Once the text is longer than the column, its end is visible.
    for _ in 0..400 {
        bench.engine.token(run, 0, " new", COST);
    }
    bench.window.run();
    let metrics = bench.window.get_by_label_contains("Unguided Judge").rect();
    let pages_above = (heading.bottom() - top(&bench)) / (metrics.top() - heading.bottom());
    assert!((0.5..3.0).contains(&pages_above), "{pages_above} pages are above");
    // The complete text is read from its start, even if it is completed while the column scrolls.
    for _ in 0..150 {
        bench.engine.token(run, 0, " new", COST);
    }
    bench.window.step();
    let long = " new".repeat(600);
    bench.engine.done(run, &request, &[&long, &long], StopReason::MaxTokens);
    bench.window.run();
    assert!(top(&bench) >= heading.bottom(), "{}", top(&bench));
}

/// Widgets that do not fit are left out, and no widgets overlap.
#[test]
fn four_columns_fit_into_the_smallest_window() {
    let mut bench = Bench::ready();
    bench.window.set_size(vec2(1024.0, 640.0));
    bench.window.run();
    for title in ["Token only", "Chunk only"] {
        bench.add_column(title);
    }
    let request = bench.finish(&[" a", " b", " c", " d"]);
    assert_eq!(request.columns.len(), 4);
    bench.window.run();
    let tabs = bench.window.get_by_label("Lower panel: Sweep").rect();
    let entries = bench.window.query_all_by_label_contains("Candidates of");
    let entries: Vec<f32> = entries.map(|entry| entry.rect().left()).collect();
    assert_eq!(entries.len(), 4);
    assert!(entries.iter().all(|left| *left > tabs.right()), "{entries:?} {tabs:?}");
}
