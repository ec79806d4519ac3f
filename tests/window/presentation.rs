//! The presentation mode.

use eframe::egui::{Key, Modifiers, vec2};
use egui_kittest::kittest::Queryable;
use ivg_playground::guidance::trace::StopReason;

use crate::harness::Bench;

fn press(bench: &mut Bench, key: Key) {
    bench.window.key_press_modifiers(Modifiers::NONE, key);
    bench.window.run();
}

#[test]
fn presentation_mode_hides_the_settings_and_has_its_own_zoom() {
    let (mut bench, run, request) = Bench::running();
    bench.engine.done(run, &request, &[" a", " b"], StopReason::MaxTokens);
    bench.window.run();
    assert!(bench.shows("Temperature") && bench.shows("Details"));
    press(&mut bench, Key::F11);
    assert!(!bench.shows("Temperature") && !bench.shows("Details"));
    assert!(bench.shows("This movie was b") && bench.shows("Prompt") && bench.shows("Generate"));
    assert_eq!(bench.window.ctx.zoom_factor(), 1.4);
    bench.window.ctx.set_zoom_factor(2.0);
    bench.window.run();
    press(&mut bench, Key::F11);
    assert!(bench.shows("Temperature"));
    assert_eq!(bench.window.ctx.zoom_factor(), 1.0);
    bench.click("Present");
    assert_eq!(bench.window.ctx.zoom_factor(), 2.0, "the last zoom of the presentation");
    bench.click("Exit presentation");
    assert!(bench.shows("Temperature"));
}

#[test]
fn runs_can_be_started_and_stopped_in_presentation_mode() {
    let mut bench = Bench::ready();
    press(&mut bench, Key::F11);
    bench.click("Generate");
    let (run, request) = bench.engine.generate();
    assert_eq!(request.prompt, "This movie was");
    bench.click("Stop");
    bench.expect_stop(run);
}

/// The colour scale is in the bar. At the size of a projector, six lines of text and all metrics
/// are visible with and without colours.
#[test]
fn the_colour_scale_takes_no_space_from_the_texts() {
    let text =
        " the words of a text that fills some six lines, and no more than these six".repeat(2);
    let (mut bench, run, request) = Bench::running();
    bench.engine.done(run, &request, &[&text, &text], StopReason::MaxTokens);
    bench.window.set_size(vec2(1280.0, 720.0));
    bench.window.run();
    press(&mut bench, Key::F11);
    bench.window.run();
    let place = |bench: &Bench| {
        let mut texts = bench.window.query_all_by_label_contains("This movie was the words");
        texts.next().expect("a text").rect()
    };
    let plain = place(&bench);
    press(&mut bench, Key::F11);
    bench.click("Colour tokens by: Advantage");
    press(&mut bench, Key::F11);
    bench.window.run();
    assert!(bench.shows("Colours: advantage, −1 to +1 nat"));
    assert_eq!(place(&bench), plain);
    let heading = bench.window.get_by_label("Column 1: Unguided").rect();
    let metrics = bench.window.get_by_label_contains("Unguided Judge").rect();
    assert!(plain.top() > heading.bottom() && plain.bottom() < metrics.top(), "{plain:?}");
}

#[test]
fn on_stage_cards_and_tooltips_appear_on_click_only() {
    let (mut bench, run, request) = Bench::running();
    bench.engine.done(run, &request, &[" dull one", " bright one"], StopReason::MaxTokens);
    bench.window.run();
    press(&mut bench, Key::F11);
    let (leave, meaning) = ("F11", "Score of the finished text");
    let at = |bench: &Bench, label: &str| bench.window.get_by_label_contains(label).rect();
    let text = at(&bench, "This movie was bright one");
    let (first, second) =
        (text.right_center() - vec2(60.0, 0.0), text.right_center() - vec2(10.0, 0.0));
    let click = |bench: &mut Bench, at| {
        bench.press(at);
        // A tooltip is visible from its second frame on.
        bench.window.run();
    };
    let gold = at(&bench, "Guided Judge").center();
    for place in [first, gold, at(&bench, "Exit presentation").center()] {
        bench.hover(place);
        assert!(!bench.shows("token 1") && !bench.shows("token 2"), "{place:?}");
        assert!(!bench.reads(meaning) && !bench.shows(leave), "{place:?}");
    }
    click(&mut bench, second);
    assert!(bench.shows("token 2"));
    click(&mut bench, first);
    assert!(bench.shows("token 1") && !bench.shows("token 2"), "the other token");
    click(&mut bench, first);
    assert!(!bench.shows("token 1"), "the same token again");
    click(&mut bench, first);
    click(&mut bench, text.left_bottom() + vec2(0.0, 60.0));
    assert!(!bench.shows("token 1"), "a click elsewhere");
    click(&mut bench, gold);
    assert!(bench.reads(meaning));
    click(&mut bench, gold);
    assert!(!bench.reads(meaning));
    click(&mut bench, first);
    press(&mut bench, Key::F11);
    let present = bench.window.get_by_label("Present").rect().center();
    bench.hover(present);
    assert!(bench.reads("Shows only the responses and the plot"), "as before the presentation");
    press(&mut bench, Key::F11);
    assert!(!bench.shows("token 1"), "the card is not kept");
}
