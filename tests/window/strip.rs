//! The strength strip's panel, alone in a window.

use eframe::egui::{Align, Layout, Ui, Vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use ivg_playground::app::panels::{Action, strip::StrengthStrip};
use ivg_playground::app::strip_view::{StripView, plan};
use ivg_playground::app::theme;
use ivg_playground::guidance::settings::Settings;
use ivg_playground::lab::strip::Dial;
use ivg_playground::worker::protocol::{Event, PackInfo};

use crate::engine::{pack, sample};

/// The panel and what it needs.
struct Bench {
    view: StripView,
    prompt: &'static str,
    settings: Settings,
    pack: Option<PackInfo>,
    actions: Vec<Action>,
    dressed: bool,
}

fn draw(ui: &mut Ui, bench: &mut Bench) {
    if !std::mem::replace(&mut bench.dressed, true) {
        // The fonts are there from the next frame on.
        theme::install(ui.ctx());
        return ui.ctx().request_repaint();
    }
    let Bench { view, prompt, settings, pack, actions, .. } = bench;
    let mut strip = StrengthStrip { view, prompt, settings, pack: pack.as_ref() };
    ui.horizontal(|ui| {
        strip.dials(ui);
        let layout = Layout::right_to_left(Align::Center);
        ui.with_layout(layout, |ui| strip.controls(ui, actions));
    });
    strip.show(ui, actions);
}

fn window(pack: PackInfo) -> Harness<'static, Bench> {
    let bench = Bench {
        view: StripView::default(),
        prompt: "This film",
        settings: Settings::default(),
        pack: Some(pack),
        actions: Vec::new(),
        dressed: false,
    };
    let builder = Harness::builder().with_size(Vec2::new(904.0, 266.0));
    let mut window = builder.build_ui_state(draw, bench);
    window.run();
    window
}

/// A window in which a strip of run 1 has begun.
fn begun() -> Harness<'static, Bench> {
    let mut window = window(pack());
    let bench = window.state_mut();
    let plan = plan(bench.prompt, &bench.settings, bench.pack.as_ref()).expect("a plan");
    bench.view.begin(1, plan);
    window.run();
    window
}

/// Every point of the β curve comes in.
fn fill(window: &mut Harness<'static, Bench>) {
    for setting in Dial::Beta.values(&Settings::default()) {
        let sample = Box::new(sample(Dial::Beta, setting));
        window.state_mut().view.apply(&Event::SweepPoint { run: 1, sample });
    }
    window.run();
}

fn is_disabled(window: &Harness<'static, Bench>, name: &str) -> bool {
    window.get_by_label(name).accesskit_node().is_disabled()
}

#[test]
fn an_empty_panel_invites_and_says_why_it_cannot() {
    let mut window = window(pack());
    window.get_by_label("Run the strip").click();
    window.run();
    assert_eq!(window.state().actions, [Action::RunStrip]);
    window.state_mut().prompt = " ";
    window.run();
    assert!(is_disabled(&window, "Run the strip"));
    window.get_by_label("Run the strip").hover();
    for _ in 0..6 {
        window.step();
    }
    assert!(window.query_by_label_contains("Type a prompt first").is_some());
}

#[test]
fn a_running_strip_says_how_far_it_is_and_stops() {
    let mut window = begun();
    assert!(window.query_by_label("0 of 84").is_some());
    assert!(window.query_by_label("β 0.5: no text yet").is_some());
    fill(&mut window);
    assert!(window.query_by_label("7 of 84 · 39 s left").is_some());
    window.get_by_label("Stop").click();
    window.run();
    assert_eq!(window.state().actions, [Action::Stop]);
    window.state_mut().view.stopping();
    window.run();
    assert!(is_disabled(&window, "Stop"));
    window.state_mut().view.apply(&Event::SweepDone { run: 1, stopped: true });
    window.run();
    assert!(window.query_by_label("stopped early").is_some());
    assert!(window.query_by_label("Run again").is_some());
}

#[test]
fn every_point_is_a_row_that_sets_it() {
    let mut window = begun();
    fill(&mut window);
    let name = "β 0.5: gold +1.00, KL ≤ 16.2";
    window.get_by_label(name).click();
    window.run();
    assert_eq!(window.state().actions, [Action::Adopt { dial: Dial::Beta, value: 0.5 }]);
    // The one that is set already has nothing to do.
    window.state_mut().actions.clear();
    window.state_mut().settings.beta = 0.5;
    window.run();
    window.get_by_label(name).click();
    window.run();
    assert_eq!(window.state().actions, []);
    // Its texts, where the pointer rests on it.
    window.get_by_label("β −1: gold −2.00, KL ≤ 19.2").hover();
    for _ in 0..6 {
        window.step();
    }
    assert!(window.query_by_label_contains("at -1, it was fine").is_some());
    assert_eq!(window.state().view.hovered, Some(0));
}

#[test]
fn a_point_of_the_plot_is_clicked() {
    let mut window = begun();
    fill(&mut window);
    let plot = window.get_by_label_contains("Token β: gold against KL").rect();
    // The dearest point is the last one, β 2: in the upper right corner, somewhere.
    let corner = plot.right_top();
    let mut found = None;
    'search: for x in 0..30 {
        for y in 0..12 {
            let at = corner + Vec2::new(-8.0 * x as f32, 8.0 * y as f32);
            window.hover_at(at);
            window.run();
            if window.state().view.hovered == Some(6) {
                found = Some(at);
                break 'search;
            }
        }
    }
    let at = found.expect("the pointer finds the point");
    window.drag_at(at);
    window.run();
    window.drop_at(at);
    window.run();
    assert_eq!(window.state().actions, [Action::Adopt { dial: Dial::Beta, value: 2.0 }]);
}

#[test]
fn a_dial_that_was_left_out_says_so() {
    let mut alone = pack();
    alone.has_pair = false;
    let window = window(alone);
    assert!(is_disabled(&window, "Turn: Token β"));
    assert!(!is_disabled(&window, "Turn: Length L"));
}

#[test]
fn a_curve_says_when_it_is_of_other_settings() {
    let mut window = begun();
    fill(&mut window);
    window.state_mut().view.apply(&Event::SweepDone { run: 1, stopped: false });
    window.state_mut().settings.seed = 9;
    window.run();
    assert!(window.query_by_label("made at other settings").is_some());
}
