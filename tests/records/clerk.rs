//! The clerk as the window sees it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ivg_playground::records::clerk::{Clerk, Command, Event, spawn, suggested_name};
use ivg_playground::records::history::{Entry, History};
use ivg_playground::records::{RecordError, trace_file};

use crate::sample::trace;

fn clerk(folder: &Path) -> Clerk {
    spawn(folder.to_owned(), || {}).unwrap()
}

fn remember(prompt: &str, unix_ms: u64) -> Command {
    Command::Remember { trace: Box::new(trace(prompt, " was good")), unix_ms }
}

fn entries(clerk: &Clerk) -> Vec<Entry> {
    match clerk.wait().unwrap() {
        Event::Entries(entries) => entries,
        other => panic!("{other:?}"),
    }
}

fn failure(clerk: &Clerk) -> String {
    match clerk.wait().unwrap() {
        Event::Failed(words) => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_command_on_the_history_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let clerk = clerk(dir.path());
    clerk.send(Command::List).unwrap();
    assert!(entries(&clerk).is_empty());
    clerk.send(remember("one", 1)).unwrap();
    let id = entries(&clerk)[0].id.clone();
    clerk.send(Command::Rename(id.clone(), "named".into())).unwrap();
    assert_eq!(entries(&clerk)[0].name.as_deref(), Some("named"));
    clerk.send(Command::Pin(id.clone(), true)).unwrap();
    assert!(entries(&clerk)[0].pinned);
    clerk.send(Command::Load(id.clone())).unwrap();
    let run = Box::new(trace("one", " was good"));
    assert_eq!(clerk.wait(), Some(Event::Loaded(id.clone(), run)));
    clerk.send(Command::Delete(id.clone())).unwrap();
    assert_eq!(clerk.wait(), Some(Event::Deleted { name: "named".into(), can_undo: true }));
    assert!(entries(&clerk).is_empty());
    clerk.send(Command::UndoDelete).unwrap();
    assert_eq!(entries(&clerk)[0].id, id);
    clerk.send(Command::UndoDelete).unwrap();
    assert!(failure(&clerk).starts_with("Nothing to restore"));
    assert_eq!(entries(&clerk).len(), 1);
}

#[test]
fn files_are_written_and_opened() {
    let dir = tempfile::tempdir().unwrap();
    let clerk = clerk(&dir.path().join("runs"));
    let run = Box::new(trace("A film", " was good"));
    let path = |name: &str| dir.path().join(name);
    let written = |command: Command, at: PathBuf| {
        clerk.send(command).unwrap();
        assert_eq!(clerk.wait(), Some(Event::Written(at.clone())));
        std::fs::read(at).unwrap()
    };
    let json = path("a.json");
    let command = Command::ExportJson { path: json.clone(), trace: run.clone() };
    assert_eq!(written(command, json.clone()), trace_file::to_json(&run).unwrap().as_bytes());
    let command = Command::ExportHtml { path: path("a.html"), trace: run.clone() };
    assert!(written(command, path("a.html")).starts_with(b"<!DOCTYPE html>"));
    let command = Command::ExportBytes { path: path("a.png"), bytes: vec![1, 2, 3] };
    assert_eq!(written(command, path("a.png")), [1, 2, 3]);
    clerk.send(Command::Open { path: json.clone() }).unwrap();
    assert_eq!(clerk.wait(), Some(Event::Opened(run, json)));
    // Nothing of this touched the history's folder.
    assert!(!path("runs").exists());
}

#[test]
fn failures_are_sentences_and_the_clerk_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    std::fs::write(&blocked, "x").unwrap();
    let clerk = clerk(&blocked.join("runs"));
    clerk.send(remember("one", 1)).unwrap();
    let words = failure(&clerk);
    assert!(words.starts_with("Cannot write ") && words.ends_with('.'), "{words}");
    clerk.send(Command::Open { path: dir.path().join("none.json") }).unwrap();
    assert!(failure(&clerk).contains("none.json"));
    clerk.send(Command::ExportBytes { path: blocked.join("a"), bytes: vec![1] }).unwrap();
    assert!(failure(&clerk).contains("choose a folder that exists"));
    // What stood in the way is gone: the history works without a restart.
    std::fs::remove_file(&blocked).unwrap();
    clerk.send(remember("two", 2)).unwrap();
    assert_eq!(entries(&clerk)[0].prompt, "two");
}

#[test]
fn a_run_that_is_gone_leaves_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let clerk = clerk(dir.path());
    clerk.send(remember("one", 1)).unwrap();
    let id = entries(&clerk)[0].id.clone();
    History::open(dir.path()).unwrap().delete(&id).unwrap();
    clerk.send(Command::Load(id)).unwrap();
    assert!(failure(&clerk).starts_with("This run is no longer in the history"));
    assert!(entries(&clerk).is_empty());
}

#[test]
fn damage_is_told_beside_the_rest_of_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let clerk = clerk(dir.path());
    clerk.send(remember("one", 1)).unwrap();
    entries(&clerk);
    std::fs::write(dir.path().join("0000000000007-00000000.run"), "{\"format\":1").unwrap();
    clerk.send(Command::List).unwrap();
    assert!(failure(&clerk).contains("0000000000007-00000000 is damaged (cut off"));
    assert_eq!(entries(&clerk).len(), 1);
}

#[test]
fn what_is_queued_is_written_before_the_handle_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let clerk = clerk(dir.path());
    for i in 0..40 {
        clerk.send(remember(&format!("run {i}"), i)).unwrap();
    }
    // Nobody reads the answers.
    drop(clerk);
    assert_eq!(History::open(dir.path()).unwrap().list().unwrap().entries.len(), 40);
}

#[test]
fn the_window_is_woken_by_every_event_and_the_thread_ends_with_the_handle() {
    let dir = tempfile::tempdir().unwrap();
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    let count = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let clerk = spawn(dir.path().to_owned(), count).unwrap();
    clerk.send(remember("one", 1)).unwrap();
    entries(&clerk);
    clerk.send(Command::UndoDelete).unwrap();
    failure(&clerk);
    entries(&clerk);
    drop(clerk);
    // The thread owned the other half of this.
    assert_eq!(Arc::strong_count(&woken), 1);
    assert_eq!(woken.load(Ordering::SeqCst), 3);
}

#[test]
fn a_full_queue_says_so() {
    let dir = tempfile::tempdir().unwrap();
    // A clerk whose window does not react stands still at its first event.
    let (hold, held) = crossbeam_channel::bounded::<()>(0);
    let wait = move || {
        let _ = held.recv();
    };
    let clerk = spawn(dir.path().to_owned(), wait).unwrap();
    let refused = (0..100).find_map(|_| clerk.send(Command::List).err());
    assert!(matches!(refused, Some(RecordError::Busy)));
    drop(hold);
}

#[test]
fn a_suggested_name_fits_every_system() {
    assert_eq!(
        suggested_name(&trace("This film: a/b\\c", " x"), "html"),
        "ivg-this-film-a-b-c-seed1.html"
    );
    assert_eq!(suggested_name(&trace("映画", " x"), "json"), "ivg-seed1.json");
    assert!(suggested_name(&trace(&"very long words ".repeat(50), " x"), "png").len() < 80);
}
