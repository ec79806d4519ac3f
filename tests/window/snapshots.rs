//! Compares the window with the pictures in `tests/snapshots/`.
//!
//! The pictures are drawn by a software adapter and are the same under OpenGL and Vulkan. Without
//! such an adapter, the tests are skipped with a message, or fail if `IVG_TEST_IMAGES=required`.
//! After an intended change, run
//! `UPDATE_SNAPSHOTS=1 cargo test --release --test window snapshots`.

use std::io::Write;
use std::sync::Once;

use eframe::egui::Vec2;
use egui_kittest::{Harness, SnapshotOptions};
use ivg_playground::app::Theme;
use ivg_playground::app::state::preferences::{LowerTab, Preferences};
use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::lab::sweep::{Sample, SweepAxis};
use ivg_playground::worker::protocol::{Command, Event};

use crate::engine::{pack, report};
use crate::graphics::Painter;
use crate::harness::{Bench, options};

/// The names of all pictures.
const PICTURES: [&str; 5] = ["light", "dark", "tree", "sweep", "error"];
/// The minimum size of the window, so that the files are small.
const SIZE: Vec2 = Vec2::new(1024.0, 640.0);

const UNGUIDED: &str = " slow and rather dull, and the story did not hold together for long. \
                        Still, some of the music was good.";
const GUIDED: &str = " bright and moving from the first scene to the last, and the acting was \
                      wonderful. A film to see again and again.";

/// Compares the window that `make` opens with the picture of this name.
fn check(name: &str, make: impl FnOnce(Painter) -> Bench) {
    assert!(PICTURES.contains(&name), "add {name} to PICTURES");
    let Some(painter) = Painter::new() else { return skipped() };
    let mut bench = make(painter);
    bench.window.remove_cursor();
    bench.window.run();
    bench.window.step();
    // The threshold is a squared distance of colours: 35,215 between black and white, about 450
    // between a card and its border. OpenGL and Vulkan differ in up to 44 pixels, by less than 1.5.
    let options = SnapshotOptions::new().threshold(5.0).max_failed_pixels(0_usize);
    bench.window.snapshot_options(name, &options);
}

fn skipped() {
    let required = std::env::var("IVG_TEST_IMAGES").is_ok_and(|v| v == "required");
    assert!(!required, "no software adapter; apt-get install mesa-vulkan-drivers");
    static REPORT: Once = Once::new();
    REPORT.call_once(|| {
        let count = PICTURES.len();
        // Written to stderr directly, because the test runner captures the output of `eprintln!`.
        let line = format!("{count} image tests skipped: no software graphics adapter");
        let _ = writeln!(std::io::stderr(), "{line}");
    });
}

fn preferences(theme: Theme) -> Preferences {
    Preferences { prompt: "This movie was".into(), theme, ..Preferences::default() }
}

fn closed(painter: Painter, stored: Preferences) -> Bench {
    Bench::built(Harness::builder().with_size(SIZE).renderer(painter), options(), stored)
}

fn open(painter: Painter, stored: Preferences) -> Bench {
    let mut bench = closed(painter, stored);
    bench.engine.load(pack());
    bench.window.run();
    bench
}

/// Opens a window with a finished run of two columns.
fn finished(painter: Painter, stored: Preferences) -> Bench {
    let mut bench = open(painter, stored);
    bench.click("Generate");
    let (run, request) = bench.engine.generate();
    let arms = [(Arm::Base, UNGUIDED, (1, 1), -0.4), (Arm::Ivg, GUIDED, (4, 16), 3.2)];
    let arms = arms.map(|(arm, text, rows, gold)| {
        let mut report = report(arm, &request.settings, text, StopReason::EndOfText);
        report.gold_reward = Some(gold);
        let count = report.tokens.len();
        let ends = (5..count).step_by(5).chain([count]);
        let chunk = |end| bench.engine.search_chunk(end, end as f32 / 8.0, rows, end == 5);
        report.chunks = ends.map(chunk).collect();
        report
    });
    bench.engine.finish(run, &request, arms.into());
    bench.window.run();
    bench
}

#[test]
fn a_finished_run_in_the_light_theme() {
    check("light", |painter| finished(painter, preferences(Theme::Light)));
}

#[test]
fn a_finished_run_in_the_dark_theme() {
    check("dark", |painter| finished(painter, preferences(Theme::Dark)));
}

#[test]
fn the_search_tree() {
    let stored = Preferences { lower: LowerTab::Tree, ..preferences(Theme::Light) };
    check("tree", |painter| finished(painter, stored));
}

#[test]
fn a_finished_sweep() {
    let stored = Preferences { lower: LowerTab::Sweep, ..preferences(Theme::Light) };
    check("sweep", |painter| {
        let mut bench = open(painter, stored);
        bench.click("Compare strengths");
        let Command::Sweep(run, plan) = bench.engine.command() else { panic!("no sweep") };
        for task in plan.tasks() {
            let sample = Box::new(sample(task.axis, task.setting, task.seed));
            bench.engine.send(Event::SweepPoint { run, sample });
        }
        bench.engine.send(Event::SweepDone { run, stopped: false });
        bench.window.run();
        bench
    });
}

/// Returns a response whose reward increases with guidance, by smaller and smaller steps.
fn sample(axis: SweepAxis, setting: f32, seed: u64) -> Sample {
    let share = axis.values(&Settings::default()).iter().position(|v| *v == setting);
    let share = share.expect("a value of the axis") as f32 / 6.0;
    Sample {
        axis,
        setting,
        seed,
        text: " good, and better the more it is guided.".into(),
        gold_reward: Some(8.0 * share.sqrt() - 2.0 + 0.4 * (seed as f32 + 5.0 * share).sin()),
        value: None,
        kl_nats: 9.0 * share * share,
        kl_selection_bound_nats: 15.2,
        tokens: 8,
        base_perplexity: Some(12.0),
        elapsed_ms: 500.0,
    }
}

#[test]
fn an_error_in_an_empty_window() {
    let stored = Preferences { theme: Theme::Light, ..Preferences::default() };
    check("error", |painter| {
        let bench = closed(painter, stored);
        let Command::LoadPack(source) = bench.engine.command() else { panic!("no pack") };
        let message = "tuned and untuned have different vocabularies (512 and 8192 tokens); a pair \
                       guides by a difference, so choose models of one tokenizer";
        bench.engine.send(Event::LoadFailed { source, message: message.into() });
        bench
    });
}
