//! The record writer, driven by commands as the window drives it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ivg_playground::records::history::{Entry, History};
use ivg_playground::records::record_writer::{Command, Event, RecordWriter, spawn, suggested_name};
use ivg_playground::records::{RecordError, trace_file};

use crate::sample::trace;

fn writer(folder: &Path) -> RecordWriter {
    spawn(folder.to_owned(), || {}).unwrap()
}

fn remember(prompt: &str, unix_ms: u64) -> Command {
    Command::Remember { trace: Box::new(trace(prompt, " was good")), unix_ms }
}

fn entries(writer: &RecordWriter) -> Vec<Entry> {
    match writer.wait().unwrap() {
        Event::Entries(entries) => entries,
        other => panic!("{other:?}"),
    }
}

fn failure(writer: &RecordWriter) -> String {
    match writer.wait().unwrap() {
        Event::Failed(message) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_history_command_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path());
    writer.send(Command::List).unwrap();
    assert!(entries(&writer).is_empty());
    writer.send(remember("one", 1)).unwrap();
    let id = entries(&writer)[0].id.clone();
    writer.send(Command::Rename(id.clone(), "named".into())).unwrap();
    assert_eq!(entries(&writer)[0].name.as_deref(), Some("named"));
    writer.send(Command::Pin(id.clone(), true)).unwrap();
    assert!(entries(&writer)[0].pinned);
    writer.send(Command::Load(id.clone())).unwrap();
    let run = Box::new(trace("one", " was good"));
    assert_eq!(writer.wait(), Some(Event::Loaded(id.clone(), run)));
    writer.send(Command::Delete(id.clone())).unwrap();
    assert_eq!(writer.wait(), Some(Event::Deleted { name: "named".into(), can_undo: true }));
    assert!(entries(&writer).is_empty());
    writer.send(Command::UndoDelete).unwrap();
    assert_eq!(entries(&writer)[0].id, id);
    writer.send(Command::UndoDelete).unwrap();
    assert!(failure(&writer).starts_with("Nothing to restore"));
    assert_eq!(entries(&writer).len(), 1);
}

#[test]
fn files_are_written_and_opened() {
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(&dir.path().join("runs"));
    let run = Box::new(trace("A film", " was good"));
    let path = |name: &str| dir.path().join(name);
    let written = |command: Command, at: PathBuf| {
        writer.send(command).unwrap();
        assert_eq!(writer.wait(), Some(Event::Written(at.clone())));
        std::fs::read(at).unwrap()
    };
    let json = path("a.json");
    let command = Command::ExportJson { path: json.clone(), trace: run.clone() };
    assert_eq!(written(command, json.clone()), trace_file::to_json(&run).unwrap().as_bytes());
    let command =
        Command::ExportHtml { path: path("a.html"), trace: run.clone(), beside: Vec::new() };
    assert!(written(command, path("a.html")).starts_with(b"<!DOCTYPE html>"));
    let command = Command::ExportBytes { path: path("a.png"), bytes: vec![1, 2, 3] };
    assert_eq!(written(command, path("a.png")), [1, 2, 3]);
    writer.send(Command::Open { path: json.clone() }).unwrap();
    assert_eq!(writer.wait(), Some(Event::Opened(run, json)));
    // The history's folder is not created for these commands.
    assert!(!path("runs").exists());
}

#[test]
fn failures_are_reported_as_sentences_and_the_writer_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    std::fs::write(&blocked, "x").unwrap();
    let writer = writer(&blocked.join("runs"));
    writer.send(remember("one", 1)).unwrap();
    let message = failure(&writer);
    assert!(message.starts_with("Cannot write ") && message.ends_with('.'), "{message}");
    writer.send(Command::Open { path: dir.path().join("none.json") }).unwrap();
    assert!(failure(&writer).contains("none.json"));
    writer.send(Command::ExportBytes { path: blocked.join("a"), bytes: vec![1] }).unwrap();
    assert!(failure(&writer).contains("choose a folder that exists"));
    // Without the blocking file the history works, and no restart is needed.
    std::fs::remove_file(&blocked).unwrap();
    writer.send(remember("two", 2)).unwrap();
    assert_eq!(entries(&writer)[0].prompt, "two");
}

#[test]
fn loading_a_deleted_run_updates_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path());
    writer.send(remember("one", 1)).unwrap();
    let id = entries(&writer)[0].id.clone();
    History::open(dir.path()).unwrap().delete(&id).unwrap();
    writer.send(Command::Load(id)).unwrap();
    assert!(failure(&writer).starts_with("This run is no longer in the history"));
    assert!(entries(&writer).is_empty());
}

#[test]
fn a_damaged_file_is_reported_and_the_other_runs_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path());
    writer.send(remember("one", 1)).unwrap();
    entries(&writer);
    std::fs::write(dir.path().join("0000000000007-00000000.run"), "{\"format\":1").unwrap();
    writer.send(Command::List).unwrap();
    assert!(failure(&writer).contains("0000000000007-00000000 is damaged (cut short"));
    assert_eq!(entries(&writer).len(), 1);
}

#[test]
fn dropping_the_handle_waits_until_queued_runs_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let writer = writer(dir.path());
    for i in 0..40 {
        writer.send(remember(&format!("run {i}"), i)).unwrap();
    }
    // The events are not read.
    drop(writer);
    assert_eq!(History::open(dir.path()).unwrap().list().unwrap().entries.len(), 40);
}

#[test]
fn every_event_wakes_the_window_and_dropping_the_handle_ends_the_thread() {
    let dir = tempfile::tempdir().unwrap();
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    let count = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let writer = spawn(dir.path().to_owned(), count).unwrap();
    writer.send(remember("one", 1)).unwrap();
    entries(&writer);
    writer.send(Command::UndoDelete).unwrap();
    failure(&writer);
    entries(&writer);
    drop(writer);
    // The thread has dropped its clone of the counter.
    assert_eq!(Arc::strong_count(&woken), 1);
    assert_eq!(woken.load(Ordering::SeqCst), 3);
}

#[test]
fn sending_to_a_full_queue_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    // The wake function blocks, so the thread stops at its first event.
    let (hold, held) = crossbeam_channel::bounded::<()>(0);
    let wait = move || {
        let _ = held.recv();
    };
    let writer = spawn(dir.path().to_owned(), wait).unwrap();
    let refused = (0..100).find_map(|_| writer.send(Command::List).err());
    assert!(matches!(refused, Some(RecordError::Busy)));
    drop(hold);
}

#[test]
fn a_suggested_name_is_short_and_valid_on_every_system() {
    assert_eq!(
        suggested_name(&trace("This film: a/b\\c", " x"), "html"),
        "ivg-this-film-a-b-c-seed1.html"
    );
    assert_eq!(suggested_name(&trace("映画", " x"), "json"), "ivg-seed1.json");
    assert!(suggested_name(&trace(&"very long message ".repeat(50), " x"), "png").len() < 80);
}
