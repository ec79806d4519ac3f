//! Time of a frame of the window, layout and tessellation, without drawing:
//!
//! ```console
//! cargo bench --bench frames
//! ```

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use ivg_playground::app::state::coloring::Coloring;
use ivg_playground::app::state::preferences::{LowerTab, Preferences};
use ivg_playground::guidance::settings::Arm;
use ivg_playground::worker::protocol::{Cost, Event};

use crate::engine::{pack, tokens};
use crate::harness::{Bench, options};

#[allow(dead_code)]
#[path = "../tests/window/engine.rs"]
mod engine;
#[allow(dead_code)]
#[path = "../tests/window/harness.rs"]
mod harness;

const COST: Cost = Cost { sampled_tokens: 400, elapsed_ms: 500.0 };

/// A window in which four columns have written `length` tokens each, with their searches.
fn four_columns(length: usize, coloring: Coloring, lower: LowerTab) -> (Bench, u64) {
    let columns = [Arm::Base, Arm::Ivg, Arm::Token, Arm::Chunk].map(Into::into).into();
    let prompt = "This movie was".into();
    let stored = Preferences { columns, prompt, coloring, lower, ..Preferences::default() };
    let mut bench = Bench::open(options(), stored, pack());
    bench.enter("Length", "2000");
    bench.click("Generate");
    let (run, _) = bench.engine.generate();
    bench.engine.send(Event::Started { run });
    let all = tokens(&"word ".repeat(length));
    for end in (5..=length).step_by(5) {
        for (arm, rows) in [(0, (1, 1)), (1, (4, 16)), (2, (1, 1)), (3, (4, 16))] {
            let chunk = bench.engine.search_chunk(end, end as f32 / 500.0, rows, end == 5);
            bench.engine.chunk(run, arm, chunk, &all[..end]);
        }
        bench.window.step();
    }
    (bench, run)
}

/// One frame of a run in progress: the text of one column changes, and everything is drawn.
fn frame(bench: &mut Bench, run: u64, arm: usize) {
    bench.engine.token(run, arm, " more", COST);
    bench.window.step();
    let output = bench.window.output();
    let (shapes, pixels_per_point) = (output.shapes.clone(), output.pixels_per_point);
    black_box(bench.window.ctx.tessellate(shapes, pixels_per_point));
}

fn four_long_columns(c: &mut Criterion) {
    let mut group = c.benchmark_group("four columns of 400 tokens");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for coloring in [Coloring::Plain, Coloring::Kl, Coloring::Changes] {
        for lower in [LowerTab::Values, LowerTab::Tree] {
            let (mut bench, run) = four_columns(400, coloring, lower);
            let name = BenchmarkId::new(format!("{coloring:?}"), format!("{lower:?}"));
            let mut arms = (0..4).cycle();
            group.bench_function(name, |b| {
                b.iter(|| frame(&mut bench, run, arms.next().unwrap_or_default()));
            });
        }
    }
    group.finish();
}

fn largest_search(c: &mut Criterion) {
    let mut group = c.benchmark_group("a search of 64 rows");
    group.sample_size(20).measurement_time(Duration::from_secs(3));
    for tab in ["Values", "Tree"] {
        let (mut bench, run, _) = Bench::running();
        let all = tokens(&"word ".repeat(400));
        for end in (5..=400).step_by(5) {
            let chunk = bench.engine.search_chunk(end, end as f32 / 500.0, (8, 64), end == 5);
            bench.engine.chunk(run, 1, chunk, &all[..end]);
        }
        bench.window.run();
        bench.click(&format!("Lower panel: {tab}"));
        group.bench_function(tab, |b| b.iter(|| frame(&mut bench, run, 1)));
    }
    group.finish();
}

criterion_group!(benches, four_long_columns, largest_search);
criterion_main!(benches);
