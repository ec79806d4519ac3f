//! The strength strip: what the worker makes of it, and what it shows of the bundled pack.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::lab::strip::{self, Abilities, Dial, Measure, Plan, Sample, Strip, Task};
use ivg_playground::packs::{DeviceChoice, Pack, PackSource};
use ivg_playground::worker::protocol::{Command, Event, PackInfo, Request, RunId};
use ivg_playground::worker::{Link, spawn};

fn loaded(dir: &Path) -> (Link, PackInfo) {
    support::write_pack(dir);
    support::write_judge(dir);
    let link = spawn(|| {}).unwrap();
    link.send(Command::LoadPack(PackSource::Folder(dir.to_owned())));
    loop {
        match link.wait().unwrap() {
            Event::Loaded(info) => return (link, info),
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

/// The samples of a sweep until it ends, and whether it was stopped.
fn until_done(link: &Link, of: RunId) -> (Vec<Sample>, bool) {
    let mut samples = Vec::new();
    loop {
        match link.wait().unwrap() {
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

fn failure(link: &Link) -> String {
    match link.wait().unwrap() {
        Event::SweepFailed { message, .. } => message,
        other => panic!("{other:?}"),
    }
}

fn task(sample: &Sample) -> Task {
    Task { dial: sample.dial, setting: sample.setting, seed: sample.seed }
}

#[test]
fn samples_arrive_in_the_promised_order_and_come_to_curves() {
    let dir = tempfile::tempdir().unwrap();
    let (link, info) = loaded(dir.path());
    let plan = plan(&info, 6, 2);
    link.send(Command::Sweep(1, Box::new(plan.clone())));
    let (samples, stopped) = until_done(&link, 1);
    assert!(!stopped);
    let made: Vec<Task> = samples.iter().map(task).collect();
    assert_eq!(made, plan.tasks().collect::<Vec<_>>());
    // β and λ have seven points; of L only 1, 2, 5 and 6 fit.
    assert_eq!(made.len(), 2 * (7 + 7 + 4));
    let mut strip = Strip::new(plan);
    samples.iter().for_each(|s| strip.add(s.clone()));
    assert_eq!((strip.done(), strip.left_ms()), (36, Some(0.0)));
    for point in strip.curves.iter().flat_map(|c| &c.points) {
        assert!(point.mean.is_some() && point.standard_error.is_some());
        assert!(point.kl_bound_nats.unwrap() > 0.0 && point.base_perplexity.unwrap() > 1.0);
    }
    // With β = 0 the tokens cost nothing, and the choice among 2·2 rows log 2 + T log 2 at most.
    let off = samples.iter().find(|s| s.dial == Dial::Beta && s.setting == 0.0).unwrap();
    assert!(off.kl_nats.abs() < 1e-4);
    assert!((off.kl_bound_nats() - 3.0 * 2f32.ln()).abs() < 1e-3);
}

#[test]
fn every_text_is_the_one_that_generate_gives_at_these_settings() {
    let dir = tempfile::tempdir().unwrap();
    let (link, info) = loaded(dir.path());
    let plan = plan(&info, 6, 2);
    link.send(Command::Sweep(1, Box::new(plan.clone())));
    let (samples, _) = until_done(&link, 1);
    let mut texts: Vec<&str> = samples.iter().map(|s| s.text.as_str()).collect();
    for (run, sample) in (2..).zip(&samples) {
        let turned = sample.dial.turned(&plan.settings, sample.setting);
        let settings = Settings { seed: sample.seed, ..turned };
        let columns = vec![Arm::Ivg.into()];
        let request = Request { prompt: plan.prompt.clone(), local_time: None, columns, settings };
        link.send(Command::Generate(run, request));
        let trace = loop {
            if let Event::Done { trace, .. } = link.wait().unwrap() {
                break trace;
            }
        };
        let arm = &trace.arms[0];
        assert_eq!((&arm.text, arm.gold_reward), (&sample.text, sample.gold_reward));
        assert_eq!((arm.value, arm.tokens.len()), (sample.value, sample.tokens));
        assert_eq!(arm.kl_nats(), sample.kl_nats);
    }
    // They are not all one text.
    texts.sort_unstable();
    texts.dedup();
    assert!(texts.len() > 10, "{}", texts.len());
}

#[test]
fn a_stop_and_a_new_run_end_a_sweep() {
    let dir = tempfile::tempdir().unwrap();
    let (link, info) = loaded(dir.path());
    let long = plan(&info, 60, 64);
    link.send(Command::Sweep(5, Box::new(long.clone())));
    assert!(matches!(link.wait(), Some(Event::SweepPoint { run: 5, .. })));
    link.send(Command::Stop(5));
    let asked = Instant::now();
    let (samples, stopped) = until_done(&link, 5);
    assert!(stopped && samples.len() + 1 < long.len());
    assert!(asked.elapsed() < Duration::from_secs(1));
    // A sweep gives way to a sweep, and to a run.
    link.send(Command::Sweep(6, Box::new(long.clone())));
    assert!(matches!(link.wait(), Some(Event::SweepPoint { run: 6, .. })));
    link.send(Command::Sweep(7, Box::new(long)));
    assert!(until_done(&link, 6).1);
    assert!(matches!(link.wait(), Some(Event::SweepPoint { run: 7, .. })));
    let columns = vec![Arm::Base.into()];
    let request =
        Request { prompt: "A film".into(), local_time: None, columns, settings: settings(3) };
    link.send(Command::Generate(8, request));
    assert!(until_done(&link, 7).1);
    assert_eq!(link.wait(), Some(Event::Started { run: 8 }));
}

#[test]
fn errors_are_sentences_and_the_worker_lives_on() {
    let dir = tempfile::tempdir().unwrap();
    let (link, info) = loaded(dir.path());
    let good = plan(&info, 3, 1);
    let bare = spawn(|| {}).unwrap();
    bare.send(Command::Sweep(1, Box::new(good.clone())));
    assert!(failure(&bare).contains("choose a pack"));
    let refused = |run, plan: Plan| {
        link.send(Command::Sweep(run, Box::new(plan)));
        failure(&link)
    };
    assert!(refused(1, Plan { prompt: " ".into(), ..good.clone() }).contains("prompt is empty"));
    assert!(refused(2, Plan { prompt: "x".repeat(500), ..good.clone() }).contains("shorten"));
    let wild = Settings { beta: f32::NAN, ..settings(3) };
    assert!(refused(3, Plan { settings: wild, ..good.clone() }).contains("β is NaN"));
    assert!(refused(4, Plan { dials: vec![], ..good.clone() }).contains("nothing to turn"));
    assert!(refused(5, Plan { repeats: 0, ..good.clone() }).contains("choose 1 to"));
    link.send(Command::Sweep(6, Box::new(good)));
    let (samples, stopped) = until_done(&link, 6);
    assert!(!stopped && samples.iter().all(|s| s.gold_reward.is_some()));
}

#[test]
fn a_pack_without_a_judge_is_measured_by_its_value() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let source = PackSource::Folder(dir.path().to_owned());
    let pack = Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {}).unwrap();
    let plan = Plan::new(Abilities::from(&pack), "A film", &settings(4), 1).unwrap();
    assert_eq!(plan.measure, Measure::Value);
    let mut strip = Strip::new(plan.clone());
    assert!(strip::run(&pack, &plan, &|| false, &mut |s| strip.add(s)).unwrap());
    for point in strip.curves.iter().flat_map(|c| &c.points) {
        assert_eq!(point.samples[0].gold_reward, None);
        assert_eq!(point.mean, point.samples[0].value.map(f64::from));
    }
}

#[test]
fn the_bundled_pack_praises_more_the_stronger_it_is_guided() {
    let pack = Pack::load(&PackSource::default(), DeviceChoice::Cpu, &mut |_, _| {}).unwrap();
    // Token guidance alone, so that β is all there is.
    let settings = Settings { beams: 1, successors: 1, ..pack.manifest.defaults.clone() };
    let plan = Plan::new(Abilities::from(&pack), "This film", &settings, 6).unwrap();
    assert_eq!(plan.dials, [Dial::Beta]);
    let mut strip = Strip::new(plan.clone());
    assert!(strip::run(&pack, &plan, &|| false, &mut |s| strip.add(s)).unwrap());
    let at = |beta: f32| {
        let points = &strip.curve(Dial::Beta).unwrap().points;
        points.iter().find(|p| p.setting == beta).unwrap()
    };
    let gold = |beta: f32| at(beta).mean.unwrap();
    assert!(gold(1.5) > gold(-1.0) + 1.0, "β 1.5: {}, β −1: {}", gold(1.5), gold(-1.0));
    // What it costs grows to both sides of 0.
    let kl = |beta: f32| at(beta).kl_bound_nats.unwrap();
    assert!(kl(0.0) < 1e-3 && kl(0.5) > kl(0.0) && kl(1.5) > kl(0.5) && kl(-1.0) > kl(-0.5));
}

#[test]
fn the_command_line_prints_a_table_a_dial_and_writes_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("strip.json");
    let strip = |args: &[&str]| {
        let program = env!("CARGO_BIN_EXE_ivg-playground");
        let short = ["strip", "--prompt", "This film", "--seeds", "1", "--max-tokens", "4"];
        Process::new(program).args(short).args(args).output().unwrap()
    };
    let out = strip(&["--w", "2", "--k", "2", "--json", file.to_str().unwrap()]);
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
    // With a single row only β is left, and the others say why.
    let out = strip(&["--w", "1", "--k", "1"]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("Length L: left out") && text.contains("W·K = 1"), "{text}");
    let out = strip(&["--beta", "9"]);
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8(out.stderr).unwrap().contains("-3 to 3"));
}
