//! The recorded example: when it is shown, and that the bundled models reproduce it.

use std::time::{Duration, Instant};

use eframe::egui::Vec2;
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::app::state::session::{Origin, Phase};
use ivg_playground::app::{App, Options};
use ivg_playground::guidance::settings::Settings;
use ivg_playground::guidance::trace::Trace;
use ivg_playground::packs::PackSource;
use ivg_playground::packs::hub::Hub;
use ivg_playground::records::trace_file;
use ivg_playground::worker;

use crate::engine::pack;
use crate::harness::{Bench, options};

fn recorded() -> Trace {
    serde_json::from_str(include_str!("../../assets/example.json")).expect("a trace")
}

fn with_example() -> Options {
    Options { example: true, ..options() }
}

fn opened(options: Options, stored: Preferences) -> Bench {
    let mut pack = pack();
    pack.name = recorded().pack;
    pack.defaults = recorded().settings;
    Bench::open(options, stored, pack)
}

#[test]
fn the_example_is_shown_until_the_first_run() {
    let mut bench = opened(with_example(), Preferences::default());
    let example = recorded();
    for arm in &example.arms {
        assert!(bench.shows(&format!("{}{}", example.prompt, arm.text)));
    }
    assert!(bench.shows("recorded"));
    assert!(bench.shows("Recorded example · press Generate to start your own run"));
    bench.expect_silence();
    let request = bench.finish(&[" mine", " too"]);
    assert_eq!((&request.prompt, &request.settings), (&example.prompt, &example.settings));
    assert!(!bench.reads("recorded") && !bench.reads("Recorded"));
    let run = bench.window.state().session().run.as_ref().expect("a run");
    assert_eq!(run.origin, Origin::Own);
    let stored = bench.window.state().preferences().clone();
    assert!(stored.has_run);
    let bench = opened(with_example(), stored);
    assert!(bench.window.state().session().run.is_none() && !bench.reads("Recorded"));
}

#[test]
fn the_example_is_shown_only_without_past_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let with_history = || Options { folder: Some(folder.path().to_owned()), ..with_example() };
    let mut bench = opened(with_history(), Preferences::default());
    bench.wait("the example", |b| b.reads("Recorded example"));
    bench.finish(&[" mine", " too"]);
    drop(bench);
    // Without stored preferences, the last run is shown all the same.
    let mut bench = opened(with_history(), Preferences::default());
    bench.wait("the last run", |b| b.reads("Recorded run"));
    assert!(bench.reads(" too") && !bench.reads("Recorded example"));
    drop(bench);
    // Once the user has made a run, an empty history shows nothing.
    let empty = tempfile::tempdir().expect("a folder");
    let options = Options { folder: Some(empty.path().to_owned()), ..with_example() };
    let stored = Preferences { has_run: true, ..Preferences::default() };
    let mut bench = opened(options, stored);
    for _ in 0..20 {
        bench.window.step();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(bench.window.state().session().run.is_none());
}

#[test]
fn the_example_is_not_shown_with_generate_and_does_not_replace_a_typed_prompt() {
    let mut generate = with_example();
    (generate.prompt, generate.generate) = (Some("The cast".into()), true);
    let bench = opened(generate, Preferences::default());
    assert_eq!(bench.engine.generate().1.prompt, "The cast");
    let typed = Preferences { prompt: "My own words".into(), ..Preferences::default() };
    let bench = opened(with_example(), typed);
    assert!(bench.reads("Recorded example"));
    assert_eq!(bench.window.state().preferences().prompt, "My own words");
    let bench = opened(options(), Preferences::default());
    assert!(bench.window.state().session().run.is_none(), "shown only if the option is set");
}

/// Opens a window with the real worker and the bundled models.
fn real(options: Options, stored: Preferences) -> Harness<'static, App> {
    let link = worker::spawn(Hub::default(), || {}).expect("a thread");
    Harness::builder()
        .with_size(Vec2::new(1280.0, 1000.0))
        .with_max_steps(20)
        .build_eframe(|cc| App::new(&cc.egui_ctx, link, options, stored))
}

fn wait(window: &mut Harness<'static, App>, what: &str, exists: impl Fn(&App) -> bool) {
    let started = Instant::now();
    while !exists(window.state()) {
        assert!(started.elapsed() < Duration::from_secs(300), "timed out waiting for {what}");
        window.step();
        assert_eq!(window.state().session().error, None);
        std::thread::sleep(Duration::from_millis(10));
    }
    window.run_steps(2);
}

/// Presses Generate and returns the trace of the run.
fn generate(window: &mut Harness<'static, App>) -> Trace {
    let before = window.state().session().run.as_ref().map(|run| run.id);
    window.get_by_label("Generate").click();
    wait(window, "the run", |app| {
        let run = app.session().run.as_ref();
        run.is_some_and(|run| Some(run.id) != before && !run.is_active())
    });
    let run = window.state().session().run.as_ref().expect("a run");
    assert_eq!(run.phase, Phase::Finished);
    run.trace.as_deref().expect("a trace").clone()
}

fn assert_close(what: &str, a: Option<f32>, b: Option<f32>) {
    let is_near = match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-3,
        (a, b) => a == b,
    };
    assert!(is_near, "{what}: {a:?} and {b:?}");
}

/// Asserts that two runs differ only in their times.
fn assert_reproduces(new: &Trace, recorded: &Trace) {
    assert_eq!((&new.prompt, &new.settings), (&recorded.prompt, &recorded.settings));
    assert_eq!(new.arms.len(), recorded.arms.len());
    for (a, b) in new.arms.iter().zip(&recorded.arms) {
        let name = a.name.name();
        assert_eq!((a.name, &a.settings, &a.text), (b.name, &b.settings, &b.text));
        let ids = |t: &ivg_playground::guidance::trace::ArmTrace| -> Vec<u32> {
            t.tokens.iter().map(|t| t.id).collect()
        };
        assert_eq!(ids(a), ids(b), "{name}");
        assert_close(name, a.value, b.value);
        assert_close(name, a.gold_reward, b.gold_reward);
        for (x, y) in a.tokens.iter().zip(&b.tokens) {
            assert_close(&x.text, Some(x.logp_base), Some(y.logp_base));
            assert_close(&x.text, Some(x.logp_guided), Some(y.logp_guided));
            assert_close(&x.text, x.advantage, y.advantage);
            assert_close(&x.text, Some(x.kl_nats), Some(y.kl_nats));
        }
        assert_eq!(a.chunks.len(), b.chunks.len(), "{name}");
        for (x, y) in a.chunks.iter().zip(&b.chunks) {
            assert_eq!((x.leader, x.candidates.len()), (y.leader, y.candidates.len()));
            for (x, y) in x.candidates.iter().zip(&y.candidates) {
                assert_eq!((&x.text, x.survived, x.parent), (&y.text, y.survived, y.parent));
                assert_close(&x.text, x.value, y.value);
            }
        }
    }
}

#[test]
fn the_bundled_models_reproduce_the_example() {
    let mut options = Options::new(PackSource::default());
    options.example = true;
    let mut window = real(options, Preferences::default());
    wait(&mut window, "the models", |app| app.session().pack.is_some());
    let run = window.state().session().run.as_ref().expect("the example");
    assert_eq!((&run.origin, run.trace.as_deref()), (&Origin::Example, Some(&recorded())));
    assert_reproduces(&generate(&mut window), &recorded());
}

#[test]
fn the_bundled_models_reproduce_a_saved_trace() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.json");
    let mut options = Options::new(PackSource::default());
    options.folder = Some(folder.path().join("history"));
    let settings = Settings {
        beta: 0.5,
        lambda: 2.0,
        beams: 2,
        successors: 3,
        max_tokens: 14,
        seed: 23,
        ..Settings::default()
    };
    options.settings = Some(settings.clone());
    let pinned = Settings { beta: -1.0, top_p: 0.9, ..settings };
    use ivg_playground::guidance::settings::{Arm, Column};
    let columns = vec![Arm::BestOfN.into(), Column::pinned(Arm::Ivg, pinned), Arm::Chunk.into()];
    let stored = Preferences { prompt: "The actors".into(), columns, ..Preferences::default() };
    let mut window = real(options.clone(), stored);
    wait(&mut window, "the models", |app| app.session().pack.is_some());
    let first = generate(&mut window);
    trace_file::write(&path, &first).expect("written");
    drop(window);
    options.settings = None;
    // A new history, because the last run of the old one would be shown already.
    options.folder = Some(folder.path().join("new history"));
    let mut window = real(options, Preferences::default());
    wait(&mut window, "the models", |app| app.session().pack.is_some());
    window.get_by_label("Open").click();
    window.run();
    let (command, a) = (eframe::egui::Modifiers::COMMAND, eframe::egui::Key::A);
    window.key_press_modifiers(command, a);
    window.run();
    window.event(eframe::egui::Event::Text(path.display().to_string()));
    window.run();
    window.key_press(eframe::egui::Key::Enter);
    window.step();
    wait(&mut window, "the file", |app| app.session().run.is_some());
    assert_reproduces(&generate(&mut window), &first);
}

#[test]
fn the_example_is_a_valid_trace_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("example.json");
    trace_file::write(&path, &recorded()).expect("written");
    assert_eq!(trace_file::read(&path).expect("read"), recorded());
}

/// Returns the current memory of this process, in MiB.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

#[test]
#[ignore = "measures the memory of the process; run it manually, alone, on Linux"]
fn memory_does_not_grow_over_two_hundred_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = Options::new(PackSource::default());
    options.folder = Some(folder.path().to_owned());
    options.settings =
        Some(Settings { beams: 2, successors: 2, max_tokens: 15, ..Settings::default() });
    let stored = Preferences { prompt: "The actors".into(), ..Preferences::default() };
    let mut window = real(options, stored);
    wait(&mut window, "the models", |app| app.session().pack.is_some());
    let mut early = 0.0;
    for i in 1..=200 {
        window.get_by_label("Draw another seed").click();
        window.run();
        generate(&mut window);
        let now = resident_mib();
        if i == 20 {
            early = now;
        }
        if i % 20 == 0 {
            println!("{now:.1} MiB after {i} runs");
        }
    }
    assert!(resident_mib() < early * 1.1 + 8.0, "memory grows with the number of runs");
}
