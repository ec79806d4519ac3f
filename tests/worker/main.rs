//! The worker, driven by commands and observed by its events as the window does.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::{StopReason, Trace};
use ivg_playground::packs::PackSource;
use ivg_playground::packs::hub::Hub;
use ivg_playground::worker::protocol::{Command, DeviceChoice, Event, Request, no_gpu_support};
use ivg_playground::worker::{WorkerHandle, spawn};

fn loaded(dir: &Path) -> WorkerHandle {
    support::write_pack(dir);
    let worker = spawn(Hub::default(), || {}).unwrap();
    assert!(worker.send(Command::LoadPack(PackSource::Folder(dir.to_owned()))));
    loop {
        match worker.wait().unwrap() {
            Event::Loading { fraction, .. } => assert!((0.0..=1.0).contains(&fraction)),
            Event::Loaded(info) => {
                assert_eq!((info.name.as_str(), info.examples.len()), ("tiny", 2));
                assert!(info.has_pair && info.has_value);
                assert_eq!(info.defaults.max_tokens, 12);
                assert_eq!(info.context_tokens, support::CONTEXT);
                let roles: Vec<&str> = info.roles.iter().map(|r| r.role.as_str()).collect();
                assert_eq!(roles, ["base", "untuned", "tuned", "value"]);
                return worker;
            }
            other => panic!("{other:?}"),
        }
    }
}

fn request(max_tokens: usize) -> Request {
    let settings = Settings { max_tokens, temperature: 1.0, ..Settings::default() };
    Request {
        prompt: "A film".into(),
        local_time: None,
        columns: vec![Arm::Base.into(), Arm::Ivg.into()],
        settings,
    }
}

fn until_done(worker: &WorkerHandle) -> (Vec<Event>, Trace) {
    let mut events = Vec::new();
    loop {
        match worker.wait().unwrap() {
            Event::Done { trace, .. } => return (events, *trace),
            Event::Failed { message, .. } => panic!("{message}"),
            event => events.push(event),
        }
    }
}

fn failure(worker: &WorkerHandle) -> String {
    loop {
        match worker.wait().unwrap() {
            Event::Failed { message, .. } | Event::LoadFailed { message, .. } => return message,
            Event::Done { .. } | Event::Loaded(_) => panic!("the command did not fail"),
            _ => {}
        }
    }
}

#[test]
fn columns_stream_in_turn_and_end_in_one_trace() {
    let dir = tempfile::tempdir().unwrap();
    let worker = loaded(dir.path());
    worker.send(Command::Generate(1, request(12)));
    let (events, trace) = until_done(&worker);
    assert_eq!(events[0], Event::Started { run: 1 });
    let mut shown = [Vec::new(), Vec::new()];
    let mut order = Vec::new();
    for event in &events {
        match event {
            Event::Token { run: 1, arm, token, cost } => {
                assert!(cost.sampled_tokens > 0 && cost.elapsed_ms > 0.0);
                shown[*arm].push(token.clone());
                order.push(*arm);
            }
            Event::Chunk { run: 1, arm, lead, .. } => shown[*arm] = lead.clone(),
            Event::ArmDone { run: 1, arm, trace } => assert_eq!(shown[*arm], trace.tokens),
            Event::Started { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    // The columns are stepped in turn.
    assert_eq!(order[..4], [0, 1, 0, 1]);
    assert_eq!(trace.arms.iter().map(|a| a.name).collect::<Vec<_>>(), [Arm::Base, Arm::Ivg]);
    assert_eq!((trace.pack.as_str(), trace.prompt.as_str()), ("tiny", "A film"));
    assert_eq!(trace.arms[1].tokens, shown[1]);
    // The same seed reproduces the text, and the trace survives JSON.
    worker.send(Command::Generate(2, request(12)));
    let (_, again) = until_done(&worker);
    assert_eq!(again.arms[1].text, trace.arms[1].text);
    let json = serde_json::to_string(&trace).unwrap();
    assert_eq!(serde_json::from_str::<Trace>(&json).unwrap(), trace);
}

#[test]
fn a_stop_keeps_the_text_of_every_column() {
    let dir = tempfile::tempdir().unwrap();
    let worker = loaded(dir.path());
    worker.send(Command::Generate(7, request(80)));
    let mut tokens = 0;
    let stopped_at = loop {
        if let Event::Token { .. } = worker.wait().unwrap() {
            tokens += 1;
            if tokens == 6 {
                worker.send(Command::Stop(7));
                break Instant::now();
            }
        }
    };
    let (_, trace) = until_done(&worker);
    assert!(stopped_at.elapsed() < Duration::from_secs(1));
    for arm in &trace.arms {
        assert_eq!(arm.stop_reason, StopReason::Stopped);
        assert!((2..80).contains(&arm.tokens.len()));
        assert!(arm.value.is_some());
    }
}

#[test]
fn a_new_run_stops_the_previous_one() {
    let dir = tempfile::tempdir().unwrap();
    let worker = loaded(dir.path());
    worker.send(Command::Generate(1, request(80)));
    while !matches!(worker.wait().unwrap(), Event::Token { .. }) {}
    worker.send(Command::Generate(2, request(3)));
    let (_, first) = until_done(&worker);
    assert!(first.arms.iter().all(|a| a.stop_reason == StopReason::Stopped));
    let (events, second) = until_done(&worker);
    assert_eq!(events[0], Event::Started { run: 2 });
    assert!(second.arms.iter().all(|a| a.tokens.len() == 3));
}

#[test]
fn the_worker_goes_on_after_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let worker = spawn(Hub::default(), || {}).unwrap();
    worker.send(Command::Generate(1, request(3)));
    assert!(failure(&worker).contains("choose a pack"));
    drop(worker);

    let worker = loaded(dir.path());
    worker.send(Command::Generate(1, Request { prompt: " \n".into(), ..request(3) }));
    assert!(failure(&worker).contains("prompt is empty"));
    worker.send(Command::Generate(2, Request { prompt: "x".repeat(500), ..request(3) }));
    assert!(failure(&worker).contains("shorten the prompt"));
    worker.send(Command::Generate(3, Request { columns: vec![], ..request(3) }));
    assert!(failure(&worker).contains("arm"));
    let bad = Settings { beta: f32::INFINITY, ..Settings::default() };
    worker.send(Command::Generate(4, Request { settings: bad, ..request(3) }));
    assert!(failure(&worker).contains("β is inf"));
    // The previous pack stays in use if a pack cannot be loaded.
    worker.send(Command::LoadPack(PackSource::Folder(dir.path().join("nowhere"))));
    assert!(failure(&worker).contains("pack.toml"));
    worker.send(Command::Generate(5, request(3)));
    assert_eq!(until_done(&worker).1.arms.len(), 2);
}

#[test]
fn uses_the_cpu_and_says_why_if_there_is_no_gpu() {
    let Some(reason) = no_gpu_support() else { return };
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let worker = spawn(Hub::default(), || {}).unwrap();
    let device_note = |device| {
        worker.send(Command::UseDevice(device));
        worker.send(Command::LoadPack(PackSource::Folder(dir.path().to_owned())));
        loop {
            if let Event::Loaded(info) = worker.wait().unwrap() {
                assert!(info.device.starts_with("CPU, "), "{}", info.device);
                return info.device_note;
            }
        }
    };
    assert!(device_note(DeviceChoice::Gpu).is_some_and(|note| note.contains(reason)));
    assert_eq!(device_note(DeviceChoice::Auto), None);
    assert_eq!(device_note(DeviceChoice::Cpu), None);
}

#[test]
fn dropping_the_handle_ends_the_worker_during_a_run() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let alive = Arc::new(());
    let held_by_worker = Arc::clone(&alive);
    let worker = spawn(Hub::default(), move || drop(Arc::clone(&held_by_worker))).unwrap();
    worker.send(Command::LoadPack(PackSource::Folder(dir.path().to_owned())));
    worker.send(Command::Generate(1, request(80)));
    while !matches!(worker.wait().unwrap(), Event::Token { .. }) {}
    drop(worker);
    let closed = Instant::now();
    // The thread owns the wake function and drops it when it ends.
    while Arc::strong_count(&alive) > 1 {
        assert!(closed.elapsed() < Duration::from_secs(1), "the worker outlived its window");
        std::thread::sleep(Duration::from_millis(5));
    }
}
