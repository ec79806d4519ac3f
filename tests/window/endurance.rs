//! Long columns in time, and many runs in bounded memory.

use std::time::Instant;

use egui_kittest::kittest::Queryable;
use ivg_playground::app::coloring::Coloring;
use ivg_playground::app::preferences::{Lower, Preferences};
use ivg_playground::guidance::settings::Arm;
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::worker::protocol::{Cost, Event};

use crate::engine::{pack, tokens, trace};
use crate::harness::{Bench, options};

/// A window in which four columns have written `length` tokens each, every one with its search.
fn four_columns(length: usize, coloring: Coloring, lower: Lower) -> (Bench, u64) {
    let columns = [Arm::Base, Arm::Ivg, Arm::Token, Arm::Chunk].map(Into::into).into();
    let prompt = "This movie was".into();
    let stored = Preferences { columns, prompt, coloring, lower, ..Preferences::default() };
    let mut bench = Bench::open(options(), stored, pack());
    bench.enter("Length", "500");
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

#[test]
#[ignore = "prints the time of a frame; run by hand on a quiet machine, fully optimised"]
fn four_long_columns_are_drawn_in_time() {
    let cost = Cost { sampled_tokens: 400, elapsed_ms: 500.0 };
    for coloring in [Coloring::Plain, Coloring::Kl, Coloring::Changes] {
        for lower in [Lower::Values, Lower::Tree] {
            let (mut bench, run) = four_columns(400, coloring, lower);
            let mut ms = Vec::new();
            for i in 0..100 {
                // A run that goes on: one column's text changes with every frame.
                bench.engine.token(run, i % 4, " more", cost);
                let started = Instant::now();
                bench.window.step();
                let output = bench.window.output();
                let (shapes, ppp) = (output.shapes.clone(), output.pixels_per_point);
                let meshes = bench.window.ctx.tessellate(shapes, ppp);
                assert!(!meshes.is_empty());
                ms.push(started.elapsed().as_secs_f64() * 1e3);
            }
            ms.sort_by(f64::total_cmp);
            let (median, most) = (ms[ms.len() / 2], ms[ms.len() * 19 / 20]);
            println!("{median:.2} ms a frame, 95% below {most:.2} ms: {coloring:?}, {lower:?}");
        }
    }
}

/// What the session holds, in letters of its description.
fn held(bench: &Bench) -> usize {
    format!("{:?}", bench.window.state().session()).len()
}

#[test]
fn two_hundred_runs_leave_no_more_behind_than_two() {
    let mut bench = Bench::ready();
    let mut sizes = Vec::new();
    for i in 0..200 {
        bench.window.get_by_label("Generate").click();
        bench.window.step();
        let (run, request) = bench.engine.generate();
        bench.engine.send(Event::Started { run });
        let lead = tokens(" was fine and long");
        for arm in 0..2 {
            let chunk = bench.engine.search_chunk(4, 0.5, (4, 16), true);
            bench.engine.chunk(run, arm, chunk, &lead);
        }
        bench.window.step();
        let mut report = trace(&request, &[" was fine.", " was great."], StopReason::MaxTokens);
        for arm in &mut report.arms {
            arm.chunks = vec![bench.engine.search_chunk(4, 0.5, (4, 16), true)];
        }
        bench.engine.send(Event::Done { run, trace: Box::new(report) });
        bench.window.step();
        bench.window.step();
        sizes.push(held(&bench));
        assert_eq!(run, i + 1);
    }
    let (early, late) = (sizes[2], sizes[199]);
    // Numbers differ in length from run to run, never in how many there are.
    assert!(late < early + early / 10, "{early} and then {late}");
}
