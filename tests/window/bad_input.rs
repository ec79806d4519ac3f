//! What nobody means to type, and what models may write.

use std::time::{Duration, Instant};

use eframe::egui::{Event, Key, Modifiers, Role};
use egui_kittest::kittest::Queryable;

use crate::harness::Bench;

/// Times a frame, at its best of some: other programs share the machine.
fn frame(bench: &mut Bench) -> Duration {
    let time = |bench: &mut Bench| {
        let started = Instant::now();
        bench.window.step();
        started.elapsed()
    };
    (0..5).map(|_| time(bench)).min().expect("a frame")
}

fn paste(bench: &mut Bench, text: &str) {
    bench.key(Modifiers::COMMAND, Key::L);
    bench.key(Modifiers::COMMAND, Key::A);
    bench.window.event(Event::Paste(text.into()));
    let started = Instant::now();
    bench.window.step();
    println!("paste frame {:?}", started.elapsed());
    bench.window.run();
}

#[test]
fn probe() {
    for size in [20_000usize, 100_000, 200_000, 1 << 20] {
        let mut bench = Bench::ready();
        println!("empty {:?}", frame(&mut bench));
        let text = "All work and no play. ".repeat(size / 22);
        paste(&mut bench, &text);
        println!("{size} chars: {:?}", frame(&mut bench));
        bench.key(Modifiers::NONE, Key::Escape);
        println!("{size} chars unfocused: {:?}", frame(&mut bench));
        let _ = bench.window.get_by_role(Role::MultilineTextInput);
    }
    for lines in [10_000usize] {
        let mut bench = Bench::ready();
        paste(&mut bench, &"line\n".repeat(lines));
        println!("{lines} lines: {:?}", frame(&mut bench));
    }
}
