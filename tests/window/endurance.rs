//! Many runs use bounded memory.

use egui_kittest::kittest::Queryable;
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::worker::protocol::Event;

use crate::engine::{tokens, trace};
use crate::harness::Bench;

/// Returns the length of the session's debug output, as a measure of its size.
fn size(bench: &Bench) -> usize {
    format!("{:?}", bench.window.state().session()).len()
}

#[test]
fn the_session_does_not_grow_with_the_number_of_runs() {
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
        sizes.push(size(&bench));
        assert_eq!(run, i + 1);
    }
    let (early, late) = (sizes[2], sizes[199]);
    // The number of values is constant, but their lengths vary between runs.
    assert!(late < early + early / 10, "{early} and then {late}");
}
