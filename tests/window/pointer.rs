//! Scrolling columns together, tooltips of a held button, and the idle pointer of the stage.

use eframe::egui::{
    CursorIcon, Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, Rect,
    TouchPhase, Vec2, vec2,
};
use egui_kittest::kittest::Queryable;

use ivg_playground::app::state::coloring::Coloring;

use crate::harness::Bench;

/// Opens a window with two finished texts, of which the second is `share` times as long.
fn finished(share: f32) -> (Bench, [String; 2]) {
    let mut bench = Bench::ready();
    let words = |count: usize| " A long review of a long film.".repeat(count);
    let texts = [words(120), words((120.0 * share) as usize)];
    bench.finish(&[&texts[0], &texts[1]]);
    (bench, texts.map(|text| format!("This movie was{text}")))
}

fn place(bench: &Bench, text: &str) -> Rect {
    bench.window.get_all_by_label(text).next().expect("a text").rect()
}

/// Turns the mouse wheel by `points` above `at`.
fn scroll(bench: &mut Bench, at: Pos2, points: f32) {
    bench.window.hover_at(at);
    bench.window.run();
    bench.window.event(Event::MouseWheel {
        unit: MouseWheelUnit::Point,
        delta: vec2(0.0, points),
        phase: TouchPhase::Move,
        modifiers: Modifiers::NONE,
        source: MouseWheelSource::Wheel,
    });
    for _ in 0..8 {
        bench.window.step();
    }
}

#[test]
fn columns_scroll_together_only_if_they_are_told_to() {
    let (mut bench, [left, right]) = finished(0.9);
    let tops = |bench: &Bench| [place(bench, &left).top(), place(bench, &right).top()];
    let start = tops(&bench);
    let over_left = place(&bench, &left).left_top() + vec2(40.0, 60.0);
    let over_right = place(&bench, &right).left_top() + vec2(40.0, 60.0);
    scroll(&mut bench, over_left, -60.0);
    assert!(tops(&bench)[0] < start[0] && tops(&bench)[1] == start[1], "{:?}", tops(&bench));
    scroll(&mut bench, over_left, 200.0);
    assert_eq!(tops(&bench), start);
    bench.click("Scroll together");
    scroll(&mut bench, over_left, -60.0);
    let moved = tops(&bench);
    assert!(moved[0] < start[0] && moved[0] - start[0] == moved[1] - start[1], "{moved:?}");
    scroll(&mut bench, over_right, -40.0);
    let further = tops(&bench);
    assert!(further[1] < moved[1] && further[0] == further[1], "{further:?}");
    scroll(&mut bench, over_right, 400.0);
    assert_eq!(tops(&bench), start);
}

#[test]
fn a_short_column_does_not_hold_back_a_long_one() {
    let (mut bench, [left, right]) = finished(0.02);
    bench.click("Scroll together");
    let (start, short) = (place(&bench, &left), place(&bench, &right));
    scroll(&mut bench, start.left_top() + vec2(40.0, 60.0), -100.0);
    assert!(place(&bench, &left).top() < start.top() - 50.0);
    assert_eq!(place(&bench, &right), short, "it fits without scrolling");
}

#[test]
fn a_tooltip_closes_while_a_button_is_held() {
    let mut bench = Bench::ready();
    let at = bench.window.get_by_label("Colour tokens by: Advantage").rect().center();
    let (_, _, words) = Coloring::ALL[1];
    bench.hover(at);
    assert!(bench.shows(words));
    bench.window.event(Event::PointerButton {
        pos: at,
        button: PointerButton::Primary,
        pressed: true,
        modifiers: Modifiers::NONE,
    });
    for _ in 0..3 {
        bench.window.step();
    }
    assert!(!bench.shows(words), "the tooltip is still open");
}

#[test]
fn the_stage_hides_a_pointer_that_rests() {
    let mut bench = Bench::ready();
    let cursor = |bench: &Bench| bench.window.output().platform_output.cursor_icon;
    let rest = |bench: &mut Bench| {
        // A step of the harness takes a quarter of a second.
        for _ in 0..24 {
            bench.window.step();
        }
    };
    let middle = Pos2::ZERO + Vec2::new(640.0, 400.0);
    bench.window.hover_at(middle);
    rest(&mut bench);
    assert_ne!(cursor(&bench), CursorIcon::None, "only on stage");
    bench.key(Modifiers::NONE, Key::F11);
    bench.window.hover_at(middle + vec2(5.0, 0.0));
    bench.window.step();
    assert_ne!(cursor(&bench), CursorIcon::None);
    rest(&mut bench);
    assert_eq!(cursor(&bench), CursorIcon::None);
    bench.window.hover_at(middle);
    bench.window.step();
    assert_ne!(cursor(&bench), CursorIcon::None, "it appears when it moves");
}
