//! The window as it looks, compared with the pictures in `tests/snapshots/`.
//!
//! They are drawn by a software adapter and are the same under OpenGL and Vulkan. Without one the
//! tests step aside and say so, unless `IVG_TEST_IMAGES=required`. After an intended change:
//! `UPDATE_SNAPSHOTS=1 cargo test --release --test window snapshots`.

use std::io::Write;
use std::sync::Once;

use eframe::egui::Vec2;
use egui_kittest::{Harness, SnapshotOptions};
use ivg_playground::app::Theme;
use ivg_playground::app::preferences::{Lower, Preferences};
use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::lab::strip::{Dial, Sample};
use ivg_playground::worker::protocol::{Command, Event};

use crate::engine::{pack, report};
use crate::graphics::Painter;
use crate::harness::{Bench, options};

/// Every picture there is.
const PICTURES: [&str; 5] = ["light", "dark", "tree", "strength", "error"];
/// Not too large to keep, and the least that the window accepts.
const SIZE: Vec2 = Vec2::new(1024.0, 640.0);

const UNGUIDED: &str = " slow and rather dull, and the story did not hold together for long. \
                        Still, some of the music was good.";
const GUIDED: &str = " bright and moving from the first scene to the last, and the acting was \
                      wonderful. A film to see again and again.";

/// Draws the window that `make` opens and compares it with the picture of this name.
fn check(name: &str, make: impl FnOnce(Painter) -> Bench) {
    assert!(PICTURES.contains(&name), "name every picture, so that they can be counted");
    let Some(painter) = Painter::new() else { return left_out() };
    let mut bench = make(painter);
    bench.window.remove_cursor();
    bench.window.run();
    bench.window.step();
    // A squared distance of colours: 35,215 from black to white, some 450 from a card to its
    // border. OpenGL and Vulkan differ in up to 44 pixels of a picture, by less than 1.5.
    let options = SnapshotOptions::new().threshold(5.0).max_failed_pixels(0_usize);
    bench.window.snapshot_options(name, &options);
}

fn left_out() {
    let required = std::env::var("IVG_TEST_IMAGES").is_ok_and(|v| v == "required");
    assert!(!required, "no software adapter; apt-get install mesa-vulkan-drivers");
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let count = PICTURES.len();
        // Past the test runner, which would keep it to itself.
        let line = format!("{count} image tests left out: no software graphics adapter");
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

/// A window in which both columns are complete.
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
fn a_finished_comparison_in_light() {
    check("light", |painter| finished(painter, preferences(Theme::Light)));
}

#[test]
fn a_finished_comparison_in_dark() {
    check("dark", |painter| finished(painter, preferences(Theme::Dark)));
}

#[test]
fn the_tree_of_a_search() {
    let stored = Preferences { lower: Lower::Tree, ..preferences(Theme::Light) };
    check("tree", |painter| finished(painter, stored));
}

#[test]
fn a_finished_strength_strip() {
    let stored = Preferences { lower: Lower::Strength, ..preferences(Theme::Light) };
    check("strength", |painter| {
        let mut bench = open(painter, stored);
        bench.click("Run the strip");
        let Command::Sweep(run, plan) = bench.engine.command() else { panic!("no sweep") };
        for task in plan.tasks() {
            let sample = Box::new(sample(task.dial, task.setting, task.seed));
            bench.engine.send(Event::SweepPoint { run, sample });
        }
        bench.engine.send(Event::SweepDone { run, stopped: false });
        bench.window.run();
        bench
    });
}

/// More guidance, more reward, less and less of it.
fn sample(dial: Dial, setting: f32, seed: u64) -> Sample {
    let share = dial.values(&Settings::default()).iter().position(|v| *v == setting);
    let share = share.expect("a value of the dial") as f32 / 6.0;
    Sample {
        dial,
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
fn an_error_over_an_empty_window() {
    let stored = Preferences { theme: Theme::Light, ..Preferences::default() };
    check("error", |painter| {
        let bench = closed(painter, stored);
        assert!(matches!(bench.engine.command(), Command::LoadPack(_)));
        let message = "tuned and base have different vocabularies (512 and 8192 tokens); guidance \
                       adds logits token by token, so choose models of one tokenizer";
        bench.engine.send(Event::LoadFailed(message.into()));
        bench
    });
}
