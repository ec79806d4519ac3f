//! Sweeps: the worker's samples, the curves, the effect on the bundled pack and the command line.

use std::path::Path;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::lab::sweep;
use ivg_playground::lab::sweep::{
    Measure, PackCapabilities, Plan, Sample, SweepAxis, SweepResults, Task,
};
use ivg_playground::packs::hub::Hub;
use ivg_playground::packs::{DeviceChoice, Pack, PackSource};
use ivg_playground::worker::protocol::{Command, Event, PackInfo, Request, RunId};
use ivg_playground::worker::{WorkerHandle, spawn};

use crate::support;

fn loaded(dir: &Path) -> (WorkerHandle, PackInfo) {
    support::write_pack(dir);
    support::write_judge(dir);
    let worker = spawn(Hub::default(), || {}).unwrap();
    worker.send(Command::LoadPack(PackSource::Folder(dir.to_owned())));
    loop {
        match worker.wait().unwrap() {
            Event::Loaded(info) => return (worker, *info),
            Event::Loading { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

fn settings(max_tokens: usize) -> Settings {
    let (beams, successors) = (2, 2);
    Settings { max_tokens, beams, successors, temperature: 1.0, ..Settings::default() }
}

fn plan(info: &PackInfo, max_tokens: usize, repeats: u64) -> Plan {
    Plan::new(info.into(), "A film", &settings(max_tokens), repeats).unwrap()
}

/// Returns the samples until the sweep ends, and whether it was stopped.
fn until_done(worker: &WorkerHandle, of: RunId) -> (Vec<Sample>, bool) {
    let mut samples = Vec::new();
    loop {
        match worker.wait().unwrap() {
            Event::SweepPoint { run, sample } => {
                assert_eq!(run, of);
                samples.push(*sample);
            }
            Event::SweepDone { run, stopped } => {
                assert_eq!(run, of);
                return (samples, stopped);
            }
            other => panic!("{other:?}"),
        }
    }
}

fn failure(worker: &WorkerHandle) -> String {
    match worker.wait().unwrap() {
        Event::SweepFailed { message, .. } => message,
        other => panic!("{other:?}"),
    }
}

fn task(sample: &Sample) -> Task {
    Task { axis: sample.axis, setting: sample.setting, seed: sample.seed }
}

#[test]
fn samples_arrive_in_the_order_of_the_plan_and_form_curves() {
    let dir = tempfile::tempdir().unwrap();
    let (worker, info) = loaded(dir.path());
    let plan = plan(&info, 6, 2);
    worker.send(Command::Sweep(1, Box::new(plan.clone())));
    let (samples, stopped) = until_done(&worker, 1);
    assert!(!stopped);
    let tasks: Vec<Task> = samples.iter().map(task).collect();
    assert_eq!(tasks, plan.tasks().collect::<Vec<_>>());
    // β and λ have seven points. L has four (1, 2, 5 and 6), because a response has 6 tokens.
    assert_eq!(tasks.len(), 2 * (7 + 7 + 4));
    let mut sweep = SweepResults::new(plan);
    samples.iter().for_each(|s| sweep.add(s.clone()));
    assert_eq!((sweep.done(), sweep.left_ms()), (36, Some(0.0)));
    for point in sweep.curves.iter().flat_map(|c| &c.points) {
        assert!(point.mean.is_some() && point.standard_error.is_some());
        assert!(point.kl_bound_nats.unwrap() > 0.0 && point.base_perplexity.unwrap() > 1.0);
    }
    // With β = 0 token guidance has no KL. Selection among 2·2 rows has at most log 2 + T log 2.
    let off = samples.iter().find(|s| s.axis == SweepAxis::Beta && s.setting == 0.0).unwrap();
    assert!(off.kl_nats.abs() < 1e-4);
    assert!((off.kl_bound_nats() - 3.0 * 2f32.ln()).abs() < 1e-3);
}

#[test]
fn every_sample_equals_a_run_with_the_same_settings() {
    let dir = tempfile::tempdir().unwrap();
    let (worker, info) = loaded(dir.path());
    let plan = plan(&info, 6, 2);
    worker.send(Command::Sweep(1, Box::new(plan.clone())));
    let (samples, _) = until_done(&worker, 1);
    let mut texts: Vec<&str> = samples.iter().map(|s| s.text.as_str()).collect();
    for (run, sample) in (2..).zip(&samples) {
        let swept = sample.axis.with_value(&plan.settings, sample.setting);
        let settings = Settings { seed: sample.seed, ..swept };
        let columns = vec![Arm::Ivg.into()];
        let request = Request { prompt: plan.prompt.clone(), local_time: None, columns, settings };
        worker.send(Command::Generate(run, request));
        let trace = loop {
            if let Event::Done { trace, .. } = worker.wait().unwrap() {
                break trace;
            }
        };
        let arm = &trace.arms[0];
        assert_eq!((&arm.text, arm.gold_reward), (&sample.text, sample.gold_reward));
        assert_eq!((arm.value, arm.tokens.len()), (sample.value, sample.tokens));
        assert_eq!(arm.kl_nats(), sample.kl_nats);
    }
    // The texts differ from each other.
    texts.sort_unstable();
    texts.dedup();
    assert!(texts.len() > 10, "{}", texts.len());
}

#[test]
fn a_sweep_ends_when_it_is_stopped_or_another_run_starts() {
    let dir = tempfile::tempdir().unwrap();
    let (worker, info) = loaded(dir.path());
    let long = plan(&info, 60, 64);
    worker.send(Command::Sweep(5, Box::new(long.clone())));
    assert!(matches!(worker.wait(), Some(Event::SweepPoint { run: 5, .. })));
    worker.send(Command::Stop(5));
    let stopped_at = Instant::now();
    let (samples, stopped) = until_done(&worker, 5);
    assert!(stopped && samples.len() + 1 < long.len());
    assert!(stopped_at.elapsed() < Duration::from_secs(1));
    // A new sweep or a new run stops it.
    worker.send(Command::Sweep(6, Box::new(long.clone())));
    assert!(matches!(worker.wait(), Some(Event::SweepPoint { run: 6, .. })));
    worker.send(Command::Sweep(7, Box::new(long)));
    assert!(until_done(&worker, 6).1);
    assert!(matches!(worker.wait(), Some(Event::SweepPoint { run: 7, .. })));
    let columns = vec![Arm::Base.into()];
    let request =
        Request { prompt: "A film".into(), local_time: None, columns, settings: settings(3) };
    worker.send(Command::Generate(8, request));
    assert!(until_done(&worker, 7).1);
    assert_eq!(worker.wait(), Some(Event::Started { run: 8 }));
}

#[test]
fn the_worker_goes_on_after_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (worker, info) = loaded(dir.path());
    let good = plan(&info, 3, 1);
    let without_pack = spawn(Hub::default(), || {}).unwrap();
    without_pack.send(Command::Sweep(1, Box::new(good.clone())));
    assert!(failure(&without_pack).contains("choose a pack"));
    let error_of = |run, plan: Plan| {
        worker.send(Command::Sweep(run, Box::new(plan)));
        failure(&worker)
    };
    assert!(error_of(1, Plan { prompt: " ".into(), ..good.clone() }).contains("prompt is empty"));
    assert!(error_of(2, Plan { prompt: "x".repeat(500), ..good.clone() }).contains("shorten"));
    let invalid = Settings { beta: f32::NAN, ..settings(3) };
    assert!(error_of(3, Plan { settings: invalid, ..good.clone() }).contains("β is NaN"));
    assert!(error_of(4, Plan { axes: vec![], ..good.clone() }).contains("no setting can be swept"));
    assert!(error_of(5, Plan { repeats: 0, ..good.clone() }).contains("choose 1 to"));
    worker.send(Command::Sweep(6, Box::new(good)));
    let (samples, stopped) = until_done(&worker, 6);
    assert!(!stopped && samples.iter().all(|s| s.gold_reward.is_some()));
}

#[test]
fn a_pack_without_a_judge_is_measured_by_its_value() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let source = PackSource::Folder(dir.path().to_owned());
    let pack = Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {}).unwrap();
    let plan = Plan::new(PackCapabilities::from(&pack), "A film", &settings(4), 1).unwrap();
    assert_eq!(plan.measure, Measure::Value);
    let mut sweep = SweepResults::new(plan.clone());
    assert!(sweep::run(&pack, &plan, &|| false, &mut |s| sweep.add(s)).unwrap());
    for point in sweep.curves.iter().flat_map(|c| &c.points) {
        assert_eq!(point.samples[0].gold_reward, None);
        assert_eq!(point.mean, point.samples[0].value.map(f64::from));
    }
}

#[test]
fn stronger_guidance_of_the_bundled_pack_raises_the_gold_reward() {
    let pack = Pack::load(&PackSource::default(), DeviceChoice::Cpu, &mut |_, _| {}).unwrap();
    // One row: chunk guidance has no effect, so only β is swept.
    let settings = Settings { beams: 1, successors: 1, ..pack.manifest.defaults.clone() };
    let plan = Plan::new(PackCapabilities::from(&pack), "This film", &settings, 6).unwrap();
    assert_eq!(plan.axes, [SweepAxis::Beta]);
    let mut sweep = SweepResults::new(plan.clone());
    assert!(sweep::run(&pack, &plan, &|| false, &mut |s| sweep.add(s)).unwrap());
    let at = |beta: f32| {
        let points = &sweep.curve(SweepAxis::Beta).unwrap().points;
        points.iter().find(|p| p.setting == beta).unwrap()
    };
    let gold = |beta: f32| at(beta).mean.unwrap();
    assert!(gold(1.5) > gold(-1.0) + 1.0, "β 1.5: {}, β −1: {}", gold(1.5), gold(-1.0));
    // KL grows in both directions from β = 0.
    let kl = |beta: f32| at(beta).kl_bound_nats.unwrap();
    assert!(kl(0.0) < 1e-3 && kl(0.5) > kl(0.0) && kl(1.5) > kl(0.5) && kl(-1.0) > kl(-0.5));
}

#[test]
fn the_command_line_prints_a_table_per_setting_and_writes_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("strip.json");
    let sweep = |args: &[&str]| {
        let program = env!("CARGO_BIN_EXE_ivg-playground");
        let short = ["strip", "--prompt", "This film", "--seeds", "1", "--max-tokens", "4"];
        Process::new(program).args(short).args(args).output().unwrap()
    };
    let out = sweep(&["--w", "2", "--k", "2", "--json", file.to_str().unwrap()]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!((&json["complete"], &json["pack"]), (&true.into(), &"imdb".into()));
    let curves = json["curves"].as_array().unwrap();
    let points = |i: usize| curves[i]["points"].as_array().unwrap();
    assert_eq!([0, 1, 2].map(|i| points(i).len()), [7, 7, 3]);
    for heading in ["Token β, at λ ∞", "Chunk λ, at β 1", "Length L, at"] {
        assert!(text.contains(heading), "{heading} in {text}");
    }
    for point in points(0).iter().chain(points(2)) {
        let mean = format!("{:+.2}", point["mean"].as_f64().unwrap());
        assert!(text.contains(&mean), "{mean} in {text}");
    }
    // With a single row only β is swept. The output gives the reason for the other settings.
    let out = sweep(&["--w", "1", "--k", "1"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("Length L: left out") && text.contains("W·K = 1"), "{text}");
    let out = sweep(&["--beta", "9"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8(out.stderr).unwrap().contains("-3 to 3"));
}

#[test]
fn a_resumed_sweep_generates_only_the_missing_responses() {
    let dir = tempfile::tempdir().unwrap();
    let (worker, info) = loaded(dir.path());
    let plan = plan(&info, 4, 2);
    worker.send(Command::Sweep(1, Box::new(plan.clone())));
    let (whole, _) = until_done(&worker, 1);
    // Ends within the curve of λ, so that the responses that curves share are among both parts.
    let mut so_far = SweepResults::new(plan);
    whole[..9].iter().for_each(|sample| so_far.add(sample.clone()));
    worker.send(Command::ResumeSweep(2, Box::new(so_far)));
    let (rest, stopped) = until_done(&worker, 2);
    assert!(!stopped);
    let texts = |samples: &[Sample]| -> Vec<_> {
        samples.iter().map(|s| (task(s), s.text.clone(), s.gold_reward)).collect()
    };
    assert_eq!(texts(&rest), texts(&whole[9..]));
}
