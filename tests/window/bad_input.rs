//! Very long and unusual prompts and responses.

use std::time::{Duration, Instant};

use eframe::egui::{Event, Key, MissingGlyphPolicy, Modifiers, Role};
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::worker::protocol;

use crate::engine::{pack, trace};
use crate::harness::{Bench, options};

/// Time limit for the fastest of several frames. It is far above the time of a frame on a busy
/// machine, and below what feels slow.
const RESPONSIVE: Duration = Duration::from_millis(100);
/// Time limit for a single frame that cannot be repeated.
const ONCE: Duration = Duration::from_millis(400);

/// Returns the time of the fastest of five frames, because other programs share the machine.
fn frame(bench: &mut Bench) -> Duration {
    let time = |bench: &mut Bench| {
        let started = Instant::now();
        bench.window.step();
        started.elapsed()
    };
    (0..5).map(|_| time(bench)).min().expect("a frame")
}

/// Pastes over the prompt and returns the time of that frame.
fn paste(bench: &mut Bench, text: &str) -> Duration {
    bench.key(Modifiers::COMMAND, Key::L);
    bench.key(Modifiers::COMMAND, Key::A);
    bench.window.event(Event::Paste(text.into()));
    let started = Instant::now();
    bench.window.step();
    let took = started.elapsed();
    bench.window.run();
    took
}

fn prompt(bench: &Bench) -> &str {
    &bench.window.state().preferences().prompt
}

#[test]
fn rejects_a_pasted_megabyte_quickly_and_says_why() {
    let mut bench = Bench::ready();
    let took = paste(&mut bench, &"All work and no play. ".repeat((1 << 20) / 22));
    assert!(took < ONCE, "{took:?}");
    assert!(bench.reads("Nothing was pasted: 1024 KiB in 1 line is too long for a prompt;"));
    assert_eq!(prompt(&bench), "This movie was", "the prompt is unchanged");
    assert!(frame(&mut bench) < RESPONSIVE);
    // A text that fits is pasted.
    paste(&mut bench, "The ending");
    assert_eq!(prompt(&bench), "The ending");
    bench.finish(&[" a", " b"]);
    assert!(bench.shows("The ending b"));
}

#[test]
fn rejects_ten_thousand_pasted_lines() {
    let mut bench = Bench::ready();
    let took = paste(&mut bench, &"line\n".repeat(10_000));
    assert!(took < ONCE, "{took:?}");
    assert!(bench.reads("Nothing was pasted: 49 KiB in 10001 lines"));
    assert_eq!(prompt(&bench), "This movie was");
}

#[test]
fn the_longest_allowed_prompt_is_edited_and_shown_quickly() {
    let mut bench = Bench::ready();
    let long = "All work and no play. ".repeat((64 << 10) / 22);
    paste(&mut bench, &long);
    assert_eq!(prompt(&bench), long);
    let request = bench.finish(&[" a dull boy", " a bright boy"]);
    assert_eq!(request.prompt, long, "the whole prompt is sent");
    assert!(bench.reads("no play.  a bright boy") && bench.reads("…"), "its end is shown");
    let took = frame(&mut bench);
    assert!(took < ONCE, "{took:?}");
}

#[test]
fn a_stored_prompt_that_is_too_long_can_only_be_cleared() {
    for long in ["All work. ".repeat(110_000), "line\n".repeat(10_000)] {
        let stored = Preferences { prompt: long, ..Preferences::default() };
        let mut bench = Bench::open(options(), stored, pack());
        assert!(frame(&mut bench) < RESPONSIVE);
        assert!(bench.reads("is too long for a prompt; the limit is 64 KiB and 2000 lines."));
        assert!(bench.is_disabled(Role::Button, "Generate"));
        bench.key(Modifiers::COMMAND, Key::Enter);
        bench.expect_silence();
        bench.click("Present");
        assert!(frame(&mut bench) < RESPONSIVE);
        assert!(bench.shows("Clear the prompt"));
        bench.click("Exit presentation");
        bench.click("Clear the prompt");
        assert_eq!(prompt(&bench), "");
        assert!(bench.window.query_by_role(Role::MultilineTextInput).is_some());
    }
}

/// Prompts and responses with unusual characters.
const UNUSUAL_TEXTS: [(&str, &str); 6] = [
    ("bell\u{7} null\0 escape\u{1b}[31m", " back\u{8}space\u{7f} \u{85}"),
    ("שלום לכם, הסרט", " היה נפלא — באמת"),
    ("مرحبا بالعالم", " كان \u{202e}رائعا\u{202c} جدا"),
    ("这部电影", "真的非常好看。我很喜欢"),
    ("👩‍👩‍👧‍👦 🏳️‍🌈 e\u{301}\u{302}\u{303}", " 🇦🇶 👍🏽 \u{fffd}\u{feff}"),
    ("tab\there\r\nand\rthere", "\n\n\n\t\u{2028}end"),
];

/// Opens a window that draws a box for every character missing in our fonts, because a test has no
/// system fonts.
fn without_system_fonts() -> Bench {
    let bench = Bench::ready();
    bench.window.ctx.set_missing_glyph_policy(MissingGlyphPolicy::Tofu);
    bench
}

#[test]
fn unusual_text_is_sent_and_shown_in_every_view() {
    for (prompt, text) in UNUSUAL_TEXTS {
        let mut bench = without_system_fonts();
        paste(&mut bench, prompt);
        bench.click("Generate");
        let (run, request) = bench.engine.generate();
        assert!(!request.prompt.is_empty());
        let mut report = trace(&request, &[text, text], StopReason::MaxTokens);
        for arm in &mut report.arms {
            let mut chunk = bench.engine.search_chunk(arm.tokens.len(), 0.5, (4, 16), true);
            chunk.candidates.iter_mut().for_each(|c| c.text = text.into());
            arm.chunks = vec![chunk];
        }
        bench.engine.send(protocol::Event::Done { run, trace: Box::new(report) });
        bench.window.run();
        let words = format!("{}{text}", request.prompt);
        assert!(bench.shows(&words), "{words:?}");
        for name in ["Advantage", "Changes", "Plain"] {
            bench.click(&format!("Colour tokens by: {name}"));
            assert!(bench.reads(text), "{words:?} in {name}");
        }
        let page = bench.window.get_all_by_label(&words).last().expect("a page").rect();
        for share in 0..8 {
            let x = page.left() + page.width() * share as f32 / 8.0;
            bench.hover(eframe::egui::pos2(x, page.bottom() - 10.0));
        }
        bench.click("Lower panel: Tree");
        let dot = bench.window.get_all_by_label_contains("Chunk 1, candidate 1,").next();
        dot.expect("a candidate").click();
        bench.window.run();
        assert!(bench.shows("Continue from here"));
    }
}

#[test]
fn pasted_text_is_sent_unchanged() {
    for (prompt, _) in UNUSUAL_TEXTS.iter().skip(1).take(4) {
        let mut bench = without_system_fonts();
        paste(&mut bench, prompt);
        assert_eq!(bench.finish(&[" a", " b"]).prompt, *prompt);
    }
}
