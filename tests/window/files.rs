//! Saving runs to files and opening them again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{DroppedFile, Key, Modifiers, OutputCommand, Role};
use egui_kittest::kittest::{NodeT, Queryable};
use ivg_playground::guidance::trace::Trace;
use ivg_playground::records::report::markdown::markdown;
use ivg_playground::records::trace_file;
use ivg_playground::worker::protocol::Request;
use tempfile::TempDir;

use crate::harness::Bench;

fn window() -> (Bench, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let bench = Bench::keeping(&folder.path().join("history"));
    (bench, folder)
}

/// Opens a window with a run of three different columns, one of them pinned.
fn finished() -> (Bench, TempDir, Request) {
    let (mut bench, folder) = window();
    bench.unlike_columns();
    let request = bench.finish(&[" dull, he said.", " bright.", " so-so <b>&\"é\"."]);
    (bench, folder, request)
}

fn shown(bench: &Bench) -> &Trace {
    let run = bench.window.state().session().run.as_ref().expect("a run");
    run.trace.as_deref().expect("a trace")
}

fn enter_path(bench: &mut Bench, path: &Path, verb: &str) {
    assert!(bench.window.get_by_role_and_label(Role::TextInput, "Path").is_focused());
    bench.overtype(&path.display().to_string());
    bench.click(verb);
}

fn export(bench: &mut Bench, what: &str, path: &Path) {
    bench.click("Export");
    bench.click(what);
    enter_path(bench, path, "Save");
}

fn open(bench: &mut Bench, path: &Path) {
    bench.click("Open");
    // The button in the dialog has the same name.
    assert!(bench.shows("Open a trace"));
    bench.overtype(&path.display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
}

/// Saves the run as JSON and returns its content.
fn saved(bench: &mut Bench, path: &Path) -> String {
    export(bench, "Trace (JSON)", path);
    let words = format!("Saved {}", path.display());
    bench.wait(&words, |b| b.shows(&words));
    std::fs::read_to_string(path).expect("a file")
}

#[test]
fn a_report_is_written_to_the_chosen_path() {
    let (mut bench, folder, _) = finished();
    let path = folder.path().join("report.html");
    export(&mut bench, "Report (HTML)", &path);
    let words = format!("Saved {}", path.display());
    bench.wait(&words, |b| b.shows(&words));
    let html = std::fs::read_to_string(&path).expect("a file");
    assert!(html.contains("bright.") && html.contains("&lt;b&gt;") && !html.contains("<b>&"));
    bench.wait("the end of the notice", |b| !b.shows(&words));
}

#[test]
fn the_suggested_path_names_the_run() {
    let (mut bench, _folder, _) = finished();
    bench.key(Modifiers::COMMAND, Key::S);
    let path = bench.window.get_by_role_and_label(Role::TextInput, "Path").value();
    assert!(path.expect("a path").ends_with("ivg-this-movie-was-seed9.json"));
    bench.overtype(" ");
    assert!(bench.is_disabled(Role::Button, "Save"));
    bench.key(Modifiers::NONE, Key::Enter);
    bench.expect_silence();
}

#[test]
fn an_opened_trace_shows_the_same_texts_and_metrics_and_can_be_run_again() {
    let (mut bench, folder, request) = finished();
    let path = folder.path().join("run.json");
    saved(&mut bench, &path);
    let trace = shown(&bench).clone();
    let metrics = |b: &Bench| -> Vec<String> {
        let mut all = Vec::new();
        for column in ["Best of 16", "Guided", "Token only"] {
            let name = format!("{column} ");
            let found = b.window.query_all_by_label_contains(&name);
            let node = |node: egui_kittest::Node<'_>| {
                let node = node.accesskit_node();
                node.label().or(node.value())
            };
            let names = found.filter_map(node);
            all.extend(
                names.filter(|name| !name.starts_with("Freeze") && !name.contains("Column ")),
            );
        }
        all
    };
    let metrics_before = metrics(&bench);
    assert!(metrics_before.len() >= 3, "{metrics_before:?}");
    drop(bench);
    // Opens the file in another window with another history.
    let other = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::keeping(other.path());
    open(&mut bench, &path);
    bench.wait("the run", |b| b.shows("Recorded run · run.json"));
    assert_eq!(*shown(&bench), trace);
    for arm in &trace.arms {
        assert!(bench.shows(&format!("This movie was{}", arm.text)), "{}", arm.text);
    }
    assert_eq!(metrics(&bench), metrics_before);
    bench.click("Generate");
    assert_eq!(bench.engine.generate().1, request);
}

/// A file dropped on the window.
#[derive(Debug)]
struct Dropped(PathBuf);

impl DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|e| e.to_string())
    }
}

#[test]
fn a_trace_dropped_on_the_window_opens() {
    let (mut bench, folder, _) = finished();
    let path = folder.path().join("run.json");
    saved(&mut bench, &path);
    bench.finish(&[" other", " texts", " now"]);
    assert!(!bench.shows("This movie was bright."));
    bench.window.input_mut().dropped_files.push(Arc::new(Dropped(path)));
    bench.wait("the run", |b| b.shows("This movie was bright."));
}

/// Returns names and contents of files that cannot be opened, and a part of each error message.
fn bad(json: &str) -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("newer", json.replacen("\"version\": 2", "\"version\": 9", 1), "update the program"),
        ("cut", json[..json.len() / 2].to_owned(), "it is cut short"),
        ("edited", json.replacen("\"beta\": 2.0", "\"beta\": 99.0", 1), "choose -3 to 3"),
        ("text", json.replacen(" dull, he said.", " dull, she said.", 1), "column 1"),
        ("empty", String::new(), "it is cut short"),
        ("else", "[1, 2]".to_owned(), "not an IVG trace"),
    ]
}

#[test]
fn a_file_that_cannot_be_opened_is_reported_and_the_run_stays() {
    let (mut bench, folder, _) = finished();
    let json = saved(&mut bench, &folder.path().join("run.json"));
    let trace = shown(&bench).clone();
    let preferences = bench.window.state().preferences().clone();
    for (name, content, words) in bad(&json) {
        assert_ne!(content, json, "{name}");
        let path = folder.path().join(format!("{name}.json"));
        std::fs::write(&path, content).expect("written");
        open(&mut bench, &path);
        bench.wait(name, |b| b.reads(words));
        let error = bench.window.state().session().error.clone().expect("an error");
        assert!(error.ends_with('.') && error.contains(&*path.to_string_lossy()), "{error}");
        assert_eq!(*shown(&bench), trace);
        bench.click("Dismiss the error");
    }
    open(&mut bench, &folder.path().join("nowhere.json"));
    bench.wait("the reason", |b| b.shows("This path does not exist."));
    bench.click("Cancel");
    assert_eq!(*shown(&bench), trace);
    assert_eq!(*bench.window.state().preferences(), preferences);
}

#[test]
fn a_path_that_cannot_be_written_is_reported() {
    let (mut bench, folder, _) = finished();
    for (path, words) in [
        (folder.path().join("no such folder/run.json"), "choose a folder that exists"),
        (folder.path().to_owned(), "name a file, not a folder"),
    ] {
        export(&mut bench, "Trace (JSON)", &path);
        bench.wait(words, |b| b.reads(words));
        assert!(bench.reads("Cannot write "));
        assert!(!bench.reads("Saved "));
        bench.click("Dismiss the error");
    }
    assert!(bench.shows("This movie was bright."));
}

#[test]
fn markdown_is_copied_to_the_clipboard() {
    let (mut bench, _folder, _) = finished();
    let expected = markdown(shown(&bench));
    assert!(expected.contains("bright."));
    bench.click("Export");
    let copied = bench.copied("Copy as Markdown");
    assert_eq!(copied, Some(OutputCommand::CopyText(expected)));
    assert!(bench.shows("Copied as Markdown"));
}

#[test]
fn only_a_screenshot_can_be_saved_before_a_run_has_ended() {
    let (mut bench, _folder) = window();
    bench.click("Export");
    for entry in ["Report (HTML)", "Trace (JSON)", "Copy as Markdown"] {
        assert!(bench.is_disabled(Role::Button, entry), "{entry}");
    }
    assert!(!bench.is_disabled(Role::Button, "Screenshot (PNG)"));
    let at = bench.window.get_by_label("Trace (JSON)").rect().center();
    bench.hover(at);
    assert!(bench.shows("There is no run yet."));
    bench.key(Modifiers::NONE, Key::Escape);
    bench.click("Generate");
    bench.engine.generate();
    bench.key(Modifiers::COMMAND, Key::S);
    assert!(bench.shows("The run has not ended yet. Nothing was saved."));
}

#[test]
fn without_a_data_folder_saving_and_opening_are_errors() {
    let mut bench = Bench::ready();
    bench.finish(&[" a", " b"]);
    bench.key(Modifiers::COMMAND, Key::S);
    assert!(bench.shows("This system has no folder for application data."));
    bench.click("Dismiss the error");
    bench.window.input_mut().dropped_files.push(Arc::new(Dropped("run.json".into())));
    bench.window.run();
    assert!(bench.shows("This system has no folder for application data."));
}

#[test]
fn a_run_of_another_pack_or_with_too_many_columns_is_shown_with_a_notice() {
    let (mut bench, folder, _) = finished();
    let mut trace = shown(&bench).clone();
    trace.pack = "another".into();
    let path = folder.path().join("other.json");
    trace_file::write(&path, &trace).expect("written");
    open(&mut bench, &path);
    let words = "This run was made with the pack “another”; “imdb-sentiment” is loaded.";
    bench.wait("the note", |b| b.shows(words));
    assert_eq!(bench.window.state().session().error, None);
    assert!(bench.shows("Recorded run · other.json"));
    trace.arms.extend([trace.arms[1].clone(), trace.arms[2].clone()]);
    let path = folder.path().join("wide.json");
    trace_file::write(&path, &trace).expect("written");
    open(&mut bench, &path);
    bench.wait("the notice", |b| b.shows("This run has 5 columns; the first 4 are shown."));
    assert!(bench.shows("Column 4: Guided 2"));
    bench.click("Dismiss the error");
    bench.click("Generate");
    assert_eq!(bench.engine.generate().1.columns.len(), 4);
}

#[test]
fn rejects_a_trace_with_a_text_that_is_too_long() {
    let (mut bench, folder, _) = finished();
    let mut trace = shown(&bench).clone();
    let long = "a".repeat(1 << 20);
    trace.arms[0].tokens.truncate(1);
    (trace.arms[0].tokens[0].text, trace.arms[0].text) = (long.clone(), long);
    let json = serde_json::to_string(&trace).expect("JSON");
    let path = folder.path().join("long.json");
    std::fs::write(&path, json).expect("written");
    open(&mut bench, &path);
    bench.wait("the error", |b| b.reads("its text has 1024 KiB; at most 512 are allowed"));
    assert!(bench.shows("This movie was bright."));
}
