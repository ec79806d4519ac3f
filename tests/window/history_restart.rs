//! The last run after a restart, a run cut off by closing the window, and runs of other packs.

use std::path::Path;
use std::time::{Duration, Instant};

use eframe::App as _;
use eframe::egui::Key;
use eframe::egui::Modifiers;
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::session::Origin;
use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::{StopReason, Trace};
use ivg_playground::records::history::History;
use ivg_playground::worker::protocol::{Command, Cost, Event, PackInfo, PackSource, Request};

use crate::engine::{pack, trace};
use crate::harness::Bench;
use crate::history::{reopened, run, window};

#[test]
fn the_last_run_is_shown_after_a_restart_and_the_choices_stay() {
    let (mut bench, folder) = window();
    bench.click("Sidebar: Settings");
    bench.enter("Token guidance β", "0.5");
    bench.click("Sidebar: History");
    run(&mut bench, "The ending", &[" a", " b"]);
    run(&mut bench, "The cast", &[" d", " e"]);
    crate::history::choose(&mut bench, "The ending", "Pin");
    bench.wait("the pin", |b| b.shows("pinned · just now · imdb-sentiment"));
    drop(bench);
    let mut bench = reopened(folder.path());
    bench.wait("the last run", |b| b.shows("The cast e"));
    assert!(bench.reads("Recorded run · The cast") && bench.shows("recorded"));
    let shown = bench.window.state().session().run.as_ref().expect("a run");
    assert_eq!(shown.origin, Origin::Past("The cast".into()));
    let preferences = bench.window.state().preferences();
    assert_eq!(preferences.prompt, "This movie was", "the typed prompt is kept");
    assert_eq!(preferences.settings, Settings::default());
    bench.expect_silence();
}

#[test]
fn a_run_that_was_started_before_the_last_run_is_read_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    remember(folder.path(), "The ending", |_| {});
    let mut bench = Bench::keeping(folder.path());
    bench.click("Generate");
    let (id, request) = bench.engine.generate();
    for _ in 0..20 {
        bench.window.step();
        std::thread::sleep(Duration::from_millis(5));
    }
    bench.engine.done(id, &request, &[" a", " b"], StopReason::MaxTokens);
    bench.window.run();
    assert!(bench.shows("This movie was b"));
}

/// Puts a run of two columns in the history.
fn remember(folder: &Path, prompt: &str, change: impl FnOnce(&mut Trace)) -> Trace {
    let request = Request {
        prompt: prompt.into(),
        local_time: None,
        columns: vec![Arm::Base.into(), Arm::Ivg.into()],
        settings: Settings { beta: 0.25, ..Settings::default() },
    };
    let mut trace = trace(&request, &[" f", " g"], StopReason::MaxTokens);
    change(&mut trace);
    History::open(folder).expect("a folder").add(&trace, 1).expect("written");
    trace
}

#[test]
fn the_pack_of_a_run_can_be_loaded_from_the_note() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = remember(folder.path(), "The ending", |trace| trace.pack = "imdb".into());
    let mut bench = reopened(folder.path());
    bench.wait("the run", |b| b.shows("Run: The ending"));
    bench.click("Run: The ending");
    bench.wait("the run", |b| b.shows("The ending g"));
    assert!(bench.shows("This run was made with the pack “imdb”; “imdb-sentiment” is loaded."));
    assert_eq!(bench.window.state().session().error, None);
    bench.wait("the button", |b| b.shows("Load imdb"));
    bench.click("Load imdb");
    let source = PackSource::Bundled("imdb".into());
    assert_eq!(bench.engine.command(), Command::LoadPack(source.clone()));
    bench.engine.send(Event::Loading { what: "base model".into(), fraction: 0.1 });
    bench.window.run();
    assert!(!bench.shows("Load imdb"), "it is being loaded");
    let defaults = Settings { beta: 2.0, ..Settings::default() };
    let imdb = PackInfo { source, name: "imdb".into(), defaults, ..pack() };
    bench.engine.send(Event::Loaded(Box::new(imdb)));
    bench.window.run();
    assert!(!bench.reads("This run was made with the pack"));
    assert!(bench.shows("The ending g"), "the run stays");
    bench.click("Generate");
    assert_eq!(bench.engine.generate().1.settings, trace.settings, "with the settings of the run");
}

#[test]
fn an_unknown_pack_is_only_named() {
    let folder = tempfile::tempdir().expect("a folder");
    remember(folder.path(), "The ending", |trace| trace.pack = "another".into());
    let mut bench = reopened(folder.path());
    let words = "This run was made with the pack “another”; “imdb-sentiment” is loaded.";
    bench.wait("the note", |b| b.shows(words));
    bench.key(Modifiers::COMMAND, Key::M);
    bench.wait("the packs", |b| b.shows("Load: imdb"));
    assert!(!bench.shows("Load another"));
    let top = |b: &Bench| b.window.get_by_label("Sidebar: Models").rect().top();
    let with_note = top(&bench);
    bench.click("Close this note");
    assert!(!bench.shows(words));
    assert_eq!(top(&bench), with_note, "the note does not move the sidebar");
    assert!(bench.shows("The ending g"));
}

/// Closes the window while a run has text. The worker answers the stop after `delay`.
fn close_during_a_run(folder: &Path, delay: Duration) -> Duration {
    let mut bench = Bench::keeping(folder);
    bench.click("Generate");
    let (id, request) = bench.engine.generate();
    bench.engine.send(Event::Started { run: id });
    bench.engine.token(id, 0, " half", Cost { sampled_tokens: 1, elapsed_ms: 10.0 });
    bench.window.run();
    let Bench { mut window, engine } = bench;
    let worker = std::thread::spawn(move || {
        while !engine.is_stopped(id) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(delay);
        let trace = trace(&request, &[" half", ""], StopReason::Stopped);
        // Sent to a window that may have been closed.
        engine.send_if_open(Event::Done { run: id, trace: Box::new(trace) });
    });
    let started = Instant::now();
    window.state_mut().on_exit(None);
    let took = started.elapsed();
    drop(window);
    worker.join().expect("the worker ends");
    took
}

#[test]
fn a_run_cut_off_by_closing_the_window_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    close_during_a_run(folder.path(), Duration::from_millis(50));
    let mut bench = reopened(folder.path());
    bench.wait("the run", |b| b.shows("Run: This movie was"));
    bench.wait("its text", |b| b.shows("This movie was half"));
}

#[test]
fn closing_the_window_waits_at_most_a_second_for_the_worker() {
    let folder = tempfile::tempdir().expect("a folder");
    let took = close_during_a_run(folder.path(), Duration::from_millis(2500));
    assert!((0.9..2.4).contains(&took.as_secs_f64()), "{took:?}");
    let entries = History::open(folder.path()).expect("a folder").list().expect("a list").entries;
    assert!(entries.is_empty());
}

#[test]
fn closing_the_window_does_not_wait_without_a_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bench = Bench::keeping(folder.path());
    bench.finish(&[" a", " b"]);
    let started = Instant::now();
    bench.window.state_mut().on_exit(None);
    assert!(started.elapsed() < Duration::from_millis(500));
    bench.expect_silence();
}
