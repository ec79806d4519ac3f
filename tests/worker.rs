//! The worker as the window sees it: commands in, events out.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::{StopReason, Trace};
use ivg_playground::packs::PackSource;
use ivg_playground::worker::protocol::{Command, DeviceChoice, Event, Request, no_gpu_support};
use ivg_playground::worker::{Link, spawn};

fn loaded(dir: &Path) -> Link {
    support::write_pack(dir);
    let link = spawn(|| {}).unwrap();
    assert!(link.send(Command::LoadPack(PackSource::Folder(dir.to_owned()))));
    loop {
        match link.wait().unwrap() {
            Event::Loading { fraction, .. } => assert!((0.0..=1.0).contains(&fraction)),
            Event::Loaded(info) => {
                assert_eq!((info.name.as_str(), info.examples.len()), ("tiny", 2));
                assert!(info.has_pair && info.has_value);
                assert_eq!(info.defaults.max_tokens, 12);
                assert_eq!(info.context_tokens, support::CONTEXT);
                let roles: Vec<&str> = info.roles.iter().map(|r| r.role.as_str()).collect();
                assert_eq!(roles, ["base", "untuned", "tuned", "value"]);
                return link;
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

fn until_done(link: &Link) -> (Vec<Event>, Trace) {
    let mut events = Vec::new();
    loop {
        match link.wait().unwrap() {
            Event::Done { trace, .. } => return (events, *trace),
            Event::Failed { message, .. } => panic!("{message}"),
            event => events.push(event),
        }
    }
}

fn failure(link: &Link) -> String {
    loop {
        match link.wait().unwrap() {
            Event::Failed { message, .. } | Event::LoadFailed(message) => return message,
            Event::Done { .. } | Event::Loaded(_) => panic!("it worked"),
            _ => {}
        }
    }
}

#[test]
fn both_columns_stream_together_and_end_in_one_trace() {
    let dir = tempfile::tempdir().unwrap();
    let link = loaded(dir.path());
    link.send(Command::Generate(1, request(12)));
    let (events, trace) = until_done(&link);
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
    // Neither column waits for the other to end.
    assert_eq!(order[..4], [0, 1, 0, 1]);
    assert_eq!(trace.arms.iter().map(|a| a.name).collect::<Vec<_>>(), [Arm::Base, Arm::Ivg]);
    assert_eq!((trace.pack.as_str(), trace.prompt.as_str()), ("tiny", "A film"));
    assert_eq!(trace.arms[1].tokens, shown[1]);
    // The same again at the same seed, through JSON and back.
    link.send(Command::Generate(2, request(12)));
    let (_, again) = until_done(&link);
    assert_eq!(again.arms[1].text, trace.arms[1].text);
    let json = serde_json::to_string(&trace).unwrap();
    assert_eq!(serde_json::from_str::<Trace>(&json).unwrap(), trace);
}

#[test]
fn a_stop_keeps_the_text_of_every_column() {
    let dir = tempfile::tempdir().unwrap();
    let link = loaded(dir.path());
    link.send(Command::Generate(7, request(80)));
    let mut tokens = 0;
    let stopped_at = loop {
        if let Event::Token { .. } = link.wait().unwrap() {
            tokens += 1;
            if tokens == 6 {
                link.send(Command::Stop(7));
                break Instant::now();
            }
        }
    };
    let (_, trace) = until_done(&link);
    assert!(stopped_at.elapsed() < Duration::from_secs(1));
    for arm in &trace.arms {
        assert_eq!(arm.stop_reason, StopReason::Stopped);
        assert!((2..80).contains(&arm.tokens.len()));
        assert!(arm.value.is_some());
    }
}

#[test]
fn a_new_run_ends_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let link = loaded(dir.path());
    link.send(Command::Generate(1, request(80)));
    while !matches!(link.wait().unwrap(), Event::Token { .. }) {}
    link.send(Command::Generate(2, request(3)));
    let (_, first) = until_done(&link);
    assert!(first.arms.iter().all(|a| a.stop_reason == StopReason::Stopped));
    let (events, second) = until_done(&link);
    assert_eq!(events[0], Event::Started { run: 2 });
    assert!(second.arms.iter().all(|a| a.tokens.len() == 3));
}

#[test]
fn errors_are_sentences_and_the_worker_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let link = spawn(|| {}).unwrap();
    link.send(Command::Generate(1, request(3)));
    assert!(failure(&link).contains("choose a pack"));
    drop(link);

    let link = loaded(dir.path());
    link.send(Command::Generate(1, Request { prompt: " \n".into(), ..request(3) }));
    assert!(failure(&link).contains("prompt is empty"));
    link.send(Command::Generate(2, Request { prompt: "x".repeat(500), ..request(3) }));
    assert!(failure(&link).contains("shorten the prompt"));
    link.send(Command::Generate(3, Request { columns: vec![], ..request(3) }));
    assert!(failure(&link).contains("arm"));
    let bad = Settings { beta: f32::INFINITY, ..Settings::default() };
    link.send(Command::Generate(4, Request { settings: bad, ..request(3) }));
    assert!(failure(&link).contains("β is inf"));
    // A pack that does not load leaves the one in use alone.
    link.send(Command::LoadPack(PackSource::Folder(dir.path().join("nowhere"))));
    assert!(failure(&link).contains("pack.toml"));
    link.send(Command::Generate(5, request(3)));
    assert_eq!(until_done(&link).1.arms.len(), 2);
}

/// Asked for a GPU that there is not, the worker says so and computes on.
#[test]
fn a_gpu_that_is_not_there_is_told() {
    let Some(reason) = no_gpu_support() else { return };
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let link = spawn(|| {}).unwrap();
    let told = |device| {
        link.send(Command::UseDevice(device));
        link.send(Command::LoadPack(PackSource::Folder(dir.path().to_owned())));
        loop {
            if let Event::Loaded(info) = link.wait().unwrap() {
                assert!(info.device.starts_with("CPU, "), "{}", info.device);
                return info.device_note;
            }
        }
    };
    assert!(told(DeviceChoice::Gpu).is_some_and(|note| note.contains(reason)));
    assert_eq!(told(DeviceChoice::Auto), None);
    assert_eq!(told(DeviceChoice::Cpu), None);
}

#[test]
fn closing_the_window_ends_the_worker_during_a_run() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let alive = Arc::new(());
    let held_by_worker = Arc::clone(&alive);
    let link = spawn(move || drop(Arc::clone(&held_by_worker))).unwrap();
    link.send(Command::LoadPack(PackSource::Folder(dir.path().to_owned())));
    link.send(Command::Generate(1, request(80)));
    while !matches!(link.wait().unwrap(), Event::Token { .. }) {}
    drop(link);
    let closed = Instant::now();
    // The thread owns the wake function: once it is gone, so is the thread's end.
    while Arc::strong_count(&alive) > 1 {
        assert!(closed.elapsed() < Duration::from_secs(1), "the worker outlived its window");
        std::thread::sleep(Duration::from_millis(5));
    }
}
