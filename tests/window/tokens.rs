//! Coloured tokens and their tooltips.

use eframe::egui::vec2;
use egui_kittest::kittest::Queryable;
use ivg_playground::app::state::coloring::Coloring;
use ivg_playground::guidance::trace::StopReason;

use crate::harness::Bench;

fn finished() -> Bench {
    let (mut bench, run, request) = Bench::running();
    bench.engine.done(run, &request, &[" dull", " bright"], StopReason::MaxTokens);
    bench.window.run();
    bench
}

#[test]
fn choosing_a_colouring_shows_its_scale_and_is_remembered() {
    let mut bench = finished();
    assert!(!bench.shows("Colours: KL, 0 to 0.3 nats"));
    bench.click("Colour tokens by: KL");
    assert!(bench.shows("Colours: KL, 0 to 0.3 nats"));
    assert_eq!(bench.window.state().preferences().coloring, Coloring::Kl);
    assert!(bench.shows("This movie was bright"), "the text is unchanged");
    bench.click("Colour tokens by: Plain");
    assert!(!bench.shows("Colours: KL, 0 to 0.3 nats"));
}

#[test]
fn tokens_of_the_response_have_tooltips_but_the_prompt_has_none() {
    let mut bench = finished();
    let text = bench.window.get_by_label("This movie was bright").rect();
    bench.hover(text.left_center() + vec2(10.0, 0.0));
    assert!(!bench.shows("token 0") && !bench.shows("token 1"), "the prompt has no tooltip");
    bench.hover(text.right_center() - vec2(10.0, 0.0));
    assert!(bench.shows("token 1") && bench.shows("bright"));
}
