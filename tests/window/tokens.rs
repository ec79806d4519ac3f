//! Tokens coloured by what guidance did to them, and what a token says of itself.

use eframe::egui::vec2;
use egui_kittest::kittest::Queryable;
use ivg_playground::app::coloring::Coloring;
use ivg_playground::guidance::trace::StopReason;

use crate::harness::Bench;

fn finished() -> Bench {
    let (mut bench, run, request) = Bench::running();
    bench.engine.done(run, &request, &[" dull", " bright"], StopReason::MaxTokens);
    bench.window.run();
    bench
}

#[test]
fn a_colouring_is_chosen_comes_with_its_scale_and_is_remembered() {
    let mut bench = finished();
    assert!(!bench.shows("Colours: KL, 0 to 0.3 nats"));
    bench.click("Colour tokens by: KL");
    assert!(bench.shows("Colours: KL, 0 to 0.3 nats"));
    assert_eq!(bench.window.state().preferences().coloring, Coloring::Kl);
    assert!(bench.shows("This movie was bright"), "the text is the same");
    bench.click("Colour tokens by: Plain");
    assert!(!bench.shows("Colours: KL, 0 to 0.3 nats"));
}

#[test]
fn a_token_under_the_pointer_says_what_it_is_and_the_prompt_does_not() {
    let mut bench = finished();
    let text = bench.window.get_by_label("This movie was bright").rect();
    bench.hover(text.left_center() + vec2(10.0, 0.0));
    assert!(!bench.shows("token 0") && !bench.shows("token 1"), "the prompt was not drawn");
    bench.hover(text.right_center() - vec2(10.0, 0.0));
    assert!(bench.shows("token 1") && bench.shows("bright"));
}
