//! The progress of a run in the status bar.

use ivg_playground::worker::protocol::Cost;

use crate::harness::Bench;

fn cost(elapsed_ms: f64) -> Cost {
    Cost { sampled_tokens: 1, elapsed_ms }
}

#[test]
fn a_long_run_shows_the_remaining_time() {
    let (mut bench, run, _) = Bench::running();
    bench.engine.token(run, 0, " a", cost(20.0));
    bench.window.run();
    assert!(bench.shows("Generating · 0 of 50 tokens"), "the other column has no token yet");
    bench.engine.token(run, 1, " b", cost(400.0));
    bench.window.run();
    // 49 tokens remain, at 20 and 400 ms each, because the columns are stepped in turn.
    assert!(bench.shows("Generating · 1 of 50 tokens · 21 s left"));
    for i in 2..=10 {
        bench.engine.token(run, 0, " a", cost(20.0 * f64::from(i)));
        bench.engine.token(run, 1, " b", cost(400.0 * f64::from(i)));
    }
    bench.window.run();
    assert!(bench.shows("Generating · 10 of 50 tokens · 17 s left"));
    bench.click("Stop");
    assert!(bench.shows("Stopping"), "no remaining time is shown");
}

#[test]
fn a_short_run_shows_no_remaining_time() {
    let (mut bench, run, _) = Bench::running();
    for arm in 0..2 {
        bench.engine.token(run, arm, " a", cost(8.0));
    }
    bench.window.run();
    assert!(bench.shows("Generating · 1 of 50 tokens"));
}
