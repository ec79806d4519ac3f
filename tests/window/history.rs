//! The history in the sidebar, with a real folder.

use std::path::Path;

use eframe::egui::{Event, Key, Modifiers, Role};
use egui_kittest::kittest::Queryable;
use ivg_playground::guidance::settings::Arm;
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::worker::protocol::{self, Request};
use tempfile::TempDir;

use crate::engine::trace;
use crate::harness::Bench;

/// Opens a window that shows the history in a new folder.
pub fn window() -> (Bench, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let bench = reopened(folder.path());
    (bench, folder)
}

pub fn reopened(folder: &Path) -> Bench {
    let mut bench = Bench::keeping(folder);
    bench.click("Sidebar: History");
    bench
}

/// Types a prompt, runs it to its end and waits until the run is listed.
pub fn run(bench: &mut Bench, prompt: &str, texts: &[&str]) -> Request {
    bench.key(Modifiers::COMMAND, Key::L);
    bench.overtype(prompt);
    let request = bench.finish(texts);
    let name = format!("Run: {prompt}");
    bench.wait(&name, |b| b.shows(&name));
    request
}

pub fn choose(bench: &mut Bench, run: &str, entry: &str) {
    bench.click(&format!("More about {run}"));
    bench.click(entry);
}

fn runs_on_disk(folder: &Path) -> usize {
    let files = std::fs::read_dir(folder).expect("a folder").flatten();
    files.filter(|f| f.path().extension().is_some_and(|e| e == "run")).count()
}

#[test]
fn a_finished_run_is_listed_and_can_be_opened_after_a_restart() {
    let (mut bench, folder) = window();
    assert!(bench.shows("No past runs. Finished runs are kept here."));
    run(&mut bench, "The ending", &[" was dull.", " was bright."]);
    assert!(bench.shows("Guided +2.5: was bright."));
    assert!(bench.shows("just now · imdb-sentiment"));
    drop(bench);
    let mut bench = reopened(folder.path());
    bench.wait("the list", |b| b.shows("Run: The ending"));
    assert!(bench.shows("Guided +2.5: was bright."));
    bench.click("Run: The ending");
    bench.wait("the run", |b| b.shows("The ending was bright."));
}

#[test]
fn opening_a_run_restores_its_prompt_settings_and_columns() {
    let (mut bench, _folder) = window();
    bench.click("Sidebar: Settings");
    bench.unlike_columns();
    bench.click("Sidebar: History");
    let first = run(&mut bench, "The ending", &[" a", " b", " c"]);
    bench.click("Sidebar: Settings");
    bench.enter("Token guidance β", "1");
    bench.enter("Seed", "1");
    bench.click("Column 3: Token only");
    bench.click("Remove this column");
    bench.click("Sidebar: History");
    run(&mut bench, "The cast", &[" d", " e"]);
    bench.click("Run: The ending");
    bench.wait("the run", |b| b.shows("The ending c"));
    let preferences = bench.window.state().preferences();
    assert_eq!(preferences.prompt, first.prompt);
    assert_eq!(preferences.settings, first.settings);
    assert_eq!(preferences.columns, first.columns);
    assert!(bench.shows("Recorded run · The ending") && bench.shows("recorded"));
    assert!(bench.shows("Best of 16 Judge: praise: +2.50, rather praise"));
    // Generate repeats the same request.
    bench.click("Generate");
    assert_eq!(bench.engine.generate().1, first);
}

#[test]
fn a_past_run_can_be_added_to_the_shown_one_up_to_four_columns() {
    let (mut bench, _folder) = window();
    let first = run(&mut bench, "The ending", &[" a", " b"]);
    bench.click("Column 2: Guided");
    bench.click("Best of 16");
    run(&mut bench, "The cast", &[" d", " e"]);
    choose(&mut bench, "The ending", "Add to the run shown");
    bench.wait("the other run", |b| b.shows("The ending b"));
    for words in ["The cast d", "The cast e", "The ending a", "The ending b"] {
        assert!(bench.shows(words), "{words}");
    }
    let columns = &bench.window.state().preferences().columns;
    let arms: Vec<Arm> = columns.iter().map(|c| c.arm).collect();
    assert_eq!(arms, [Arm::Base, Arm::BestOfN, Arm::Base, Arm::Ivg]);
    assert_eq!(columns[3].applied(&first.settings), first.columns[1].applied(&first.settings));
    // A fifth column is not added, and the combined runs cannot be saved as one trace.
    choose(&mut bench, "The cast", "Add to the run shown");
    for _ in 0..20 {
        bench.window.step();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(bench.window.state().preferences().columns.len(), 4);
    bench.key(Modifiers::COMMAND, Key::S);
    assert!(bench.reads("A trace holds one run, and runs are shown side by side;"));
}

#[test]
fn a_large_best_of_n_added_from_another_run_can_be_run_again() {
    let (mut bench, _folder) = window();
    bench.click("Sidebar: Settings");
    bench.enter("Length", "400");
    bench.enter("Beams W", "4");
    bench.enter("Successors K", "16");
    bench.click("Column 2: Guided");
    bench.click("Best of 64");
    bench.click("Sidebar: History");
    run(&mut bench, "The ending", &[" a", " b"]);
    bench.click("Sidebar: Settings");
    bench.enter("Successors K", "4");
    bench.click("Sidebar: History");
    run(&mut bench, "The cast", &[" d", " e"]);
    choose(&mut bench, "The ending", "Add to the run shown");
    bench.wait("the other run", |b| b.shows("The ending b"));
    bench.click("Generate");
    let (_, request) = bench.engine.generate();
    for column in &request.columns {
        assert_eq!(column.chosen(&request.settings).validate(), Ok(()), "{column:?}");
    }
    let wide = request.columns[3].applied(&request.settings);
    assert_eq!((wide.beams * wide.successors, wide.chunk_tokens), (64, 400));
}

#[test]
fn the_settings_of_a_past_run_can_be_used_without_the_run() {
    let (mut bench, _folder) = window();
    bench.click("Sidebar: Settings");
    bench.enter("Temperature", "1.5");
    bench.click("Sidebar: History");
    run(&mut bench, "The ending", &[" a", " b"]);
    bench.click("Sidebar: Settings");
    bench.enter("Temperature", "0.2");
    bench.click("Sidebar: History");
    run(&mut bench, "The cast", &[" d", " e"]);
    choose(&mut bench, "The ending", "Use its settings");
    bench.wait("the settings", |b| b.shows("Token guidance β"));
    assert_eq!(bench.settings().temperature, 1.5);
    assert_eq!(bench.window.state().preferences().prompt, "The cast");
    assert!(bench.shows("The cast e"), "the shown run stays");
}

#[test]
fn a_run_can_be_renamed_pinned_and_searched() {
    let (mut bench, folder) = window();
    run(&mut bench, "The ending", &[" a", " b"]);
    run(&mut bench, "The cast", &[" was splendid", " e"]);
    choose(&mut bench, "The ending", "Rename");
    assert!(bench.window.get_by_role_and_label(Role::TextInput, "New name").is_focused());
    bench.overtype("My favourite");
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("the name", |b| b.shows("Run: My favourite"));
    choose(&mut bench, "My favourite", "Pin");
    bench.wait("the pin", |b| b.shows("pinned · just now · imdb-sentiment"));
    let top = |b: &Bench, name: &str| b.window.get_by_label(name).rect().top();
    assert!(top(&bench, "Run: My favourite") < top(&bench, "Run: The cast"), "pinned runs first");
    bench.window.get_by_role_and_label(Role::TextInput, "Search runs").click();
    bench.window.run();
    bench.window.event(Event::Text("SPLENDID".into()));
    bench.window.run();
    assert!(bench.shows("Run: The cast") && !bench.shows("Run: My favourite"));
    bench.overtype("nothing like it");
    assert!(bench.shows("No run contains all these words."));
    bench.overtype("favourite");
    assert!(bench.shows("Run: My favourite") && !bench.shows("Run: The cast"));
    // Name and pin are stored.
    drop(bench);
    let mut bench = reopened(folder.path());
    bench.wait("the list", |b| b.shows("Run: My favourite"));
    choose(&mut bench, "My favourite", "Unpin");
    bench.wait("the pin", |b| !b.reads("pinned · "));
}

#[test]
fn cancelling_a_rename_changes_nothing() {
    let (mut bench, _folder) = window();
    run(&mut bench, "The ending", &[" a", " b"]);
    choose(&mut bench, "The ending", "Rename");
    bench.overtype("Something");
    bench.key(Modifiers::NONE, Key::Escape);
    bench.window.run();
    assert!(bench.shows("Run: The ending") && !bench.shows("New name"));
}

#[test]
fn a_deleted_run_can_be_restored_from_the_status_bar() {
    let (mut bench, folder) = window();
    run(&mut bench, "The ending", &[" a", " b"]);
    run(&mut bench, "The cast", &[" d", " e"]);
    choose(&mut bench, "The ending", "Delete");
    bench.wait("the notice", |b| b.shows("Deleted “The ending”"));
    bench.wait("the list", |b| !b.shows("Run: The ending"));
    assert!(bench.shows("Run: The cast"));
    assert_eq!(runs_on_disk(folder.path()), 1);
    bench.click("Undo");
    bench.wait("the run", |b| b.shows("Run: The ending"));
    assert_eq!(runs_on_disk(folder.path()), 2);
    assert!(!bench.shows("Undo"), "undo is offered only once");
}

#[test]
fn a_damaged_file_is_reported_once_and_the_other_runs_are_listed() {
    let (mut bench, folder) = window();
    run(&mut bench, "The ending", &[" a", " b"]);
    let old: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().collect();
    run(&mut bench, "The cast", &[" d", " e"]);
    drop(bench);
    let path = old[0].path();
    let bytes = std::fs::read(&path).expect("a file");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    let mut bench = reopened(folder.path());
    bench.wait("the list", |b| b.shows("Run: The cast"));
    assert!(!bench.shows("Run: The ending"));
    bench.wait("the error", |b| b.reads("Some past runs cannot be shown: "));
    let error = bench.window.state().session().error.clone().expect("an error");
    assert_eq!(error.matches(". ").count(), 0, "{error}");
    bench.click("Run: The cast");
    bench.wait("the run", |b| b.shows("The cast e"));
    // The file has been renamed, so it is not reported again.
    drop(bench);
    let mut bench = reopened(folder.path());
    bench.wait("the list", |b| b.shows("Run: The cast"));
    assert!(!bench.reads("cannot be shown"));
}

#[test]
fn a_stopped_run_is_kept_but_not_one_replaced_by_the_next() {
    let (mut bench, folder) = window();
    bench.click("Generate");
    let (id, request) = bench.engine.generate();
    bench.click("Stop");
    bench.expect_stop(id);
    bench.engine.done(id, &request, &[" half", " of it"], StopReason::Stopped);
    bench.wait("the stopped run", |b| b.shows("Run: This movie was"));
    bench.click("Generate");
    let (id, request) = bench.engine.generate();
    bench.click("Generate");
    bench.engine.generate();
    bench.engine.done(id, &request, &[" gone", " by"], StopReason::Stopped);
    bench.window.run();
    // The record writer works in order, so the replaced run would be written by now.
    run(&mut bench, "The cast", &[" d", " e"]);
    assert_eq!(runs_on_disk(folder.path()), 2);
}

#[test]
fn without_a_data_folder_the_list_says_so() {
    let mut bench = Bench::ready();
    bench.finish(&[" a", " b"]);
    bench.click("Sidebar: History");
    assert!(
        bench.shows("Past runs are not available. This system has no folder for application data.")
    );
}

/// Finishes a run whose second column has a chunk of `rows` candidates, four of them kept.
fn searched(bench: &mut Bench, prompt: &str, rows: usize) {
    bench.key(Modifiers::COMMAND, Key::L);
    bench.overtype(prompt);
    bench.click("Generate");
    let (run, request) = bench.engine.generate();
    let mut report = trace(&request, &[" a", " b"], StopReason::MaxTokens);
    report.arms[1].chunks = vec![bench.engine.search_chunk(1, 0.5, (4, rows), true)];
    bench.engine.send(protocol::Event::Done { run, trace: Box::new(report) });
    let name = format!("Run: {prompt}");
    bench.wait(&name, |b| b.shows(&name));
}

#[test]
fn opening_another_past_run_updates_the_tree() {
    let (mut bench, _folder) = window();
    bench.click("Lower panel: Tree");
    searched(&mut bench, "The ending", 8);
    searched(&mut bench, "The cast", 16);
    bench.click("Run: The ending");
    bench.wait("the run", |b| b.shows("The ending b"));
    assert!(bench.reads("Chunk 1, candidate 8,") && !bench.reads("Chunk 1, candidate 9,"));
    bench.click("Run: The cast");
    bench.wait("the run", |b| b.shows("The cast b"));
    assert!(bench.reads("Chunk 1, candidate 16,"));
}

#[test]
fn a_beam_of_an_added_run_continues_from_the_prompt_of_its_run() {
    let (mut bench, _folder) = window();
    searched(&mut bench, "The ending", 16);
    run(&mut bench, "The cast", &[" d", " e"]);
    choose(&mut bench, "The ending", "Add to the run shown");
    bench.wait("the other run", |b| b.shows("The ending b"));
    bench.click("Lower panel: Tree");
    bench.click("Tree of: Guided 2");
    let first = bench.window.get_all_by_label_contains("Chunk 1, candidate 1,").next();
    first.expect("a candidate").click();
    bench.window.run();
    assert!(bench.shows("The ending t1c0"));
    bench.click("Continue from here");
    assert_eq!(bench.engine.generate().1.prompt, "The ending t1c0");
}

#[test]
fn a_run_replaced_by_a_past_run_is_not_kept() {
    let (mut bench, folder) = window();
    run(&mut bench, "The ending", &[" a", " b"]);
    bench.click("Generate");
    let (id, request) = bench.engine.generate();
    bench.engine.send(protocol::Event::Started { run: id });
    bench.click("Run: The ending");
    bench.wait("the past run", |b| b.shows("Recorded run · The ending"));
    bench.expect_stop(id);
    bench.engine.done(id, &request, &[" half", " of it"], StopReason::Stopped);
    bench.window.run();
    assert!(bench.shows("The ending b"));
    run(&mut bench, "The cast", &[" d", " e"]);
    assert_eq!(runs_on_disk(folder.path()), 2);
}

#[test]
fn the_run_that_was_clicked_last_is_shown() {
    let (mut bench, _folder) = window();
    run(&mut bench, "The ending", &[" a", " b"]);
    run(&mut bench, "The cast", &[" d", " e"]);
    run(&mut bench, "The plot", &[" f", " g"]);
    for _ in 0..5 {
        for name in ["Run: The cast", "Run: The ending"] {
            bench.window.get_by_label(name).click();
            bench.window.step();
        }
        bench.wait("the last run", |b| b.shows("The ending b"));
        bench.click("Run: The plot");
        bench.wait("another run", |b| b.shows("The plot g"));
    }
}
