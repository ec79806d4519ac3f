//! Coloured tokens and their tooltips.

use eframe::egui::vec2;
use egui_kittest::kittest::{NodeT, Queryable};
use ivg_playground::app::state::coloring::Coloring;
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::worker::protocol::Event;

use crate::engine::trace;
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

#[test]
fn the_card_of_a_token_starts_with_its_probabilities_before_and_after_guidance() {
    let (mut bench, run, request) = Bench::running();
    let mut report = trace(&request, &[" dull", " bright"], StopReason::MaxTokens);
    for arm in &mut report.arms {
        for token in &mut arm.tokens {
            (token.id, token.logp_base, token.logp_guided) = (99, 0.25_f32.ln(), 0.0004_f32.ln());
        }
    }
    bench.engine.send(Event::Done { run, trace: Box::new(report) });
    bench.window.run();
    let text = bench.window.get_by_label("This movie was bright").rect();
    bench.hover(text.right_center() - vec2(10.0, 0.0));
    assert!(bench.shows("token 99"), "it is not among the likely tokens");
    let rows: Vec<_> = bench
        .window
        .query_all_by_label_contains(" after guidance")
        .map(|row| (row.rect().top(), row.accesskit_node().value().expect("a text")))
        .collect();
    assert_eq!(rows.len(), 4);
    assert!(rows.is_sorted_by(|a, b| a.0 < b.0), "from top to bottom: {rows:?}");
    assert_eq!(rows[0].1, "Sampled token bright: 25.0% before, <0.1% after guidance");
    assert_eq!(rows[1].1, "Other token one: 49.7% before, 67.0% after guidance");
    assert!(rows[0].0 > text.bottom(), "the card does not cover the token");
    let drawn: Vec<_> = bench.drawn().iter().map(|t| t.galley.text().to_owned()).collect();
    for words in ["before", "after", "25.0%", "<0.1%"] {
        assert!(drawn.iter().any(|text| text == words), "{words}");
    }
}

#[test]
fn a_card_disappears_when_a_button_is_pressed_and_when_the_pointer_leaves() {
    let mut bench = finished();
    let text = bench.window.get_by_label("This movie was bright").rect();
    let at = text.right_center() - vec2(10.0, 0.0);
    bench.hover(at);
    assert!(bench.shows("token 1"));
    bench.window.drag_at(at);
    bench.window.step();
    assert!(!bench.shows("token 1"), "text is selected");
    bench.window.drop_at(at);
    bench.window.step();
    bench.hover(at + vec2(-1.0, 0.0));
    assert!(bench.shows("token 1"));
    bench.window.hover_at(text.left_bottom() + vec2(0.0, 60.0));
    bench.window.step();
    bench.window.step();
    assert!(!bench.shows("token 1"));
}
