//! The sweep panel, alone in a window.

use eframe::egui::{Align, Key, Layout, Role, Ui, Vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use ivg_playground::app::action::Action;
use ivg_playground::app::sweep::panel::SweepPanel;
use ivg_playground::app::sweep::state::{SweepState, plan};
use ivg_playground::app::theme;
use ivg_playground::guidance::settings::Settings;
use ivg_playground::lab::sweep::SweepAxis;
use ivg_playground::worker::protocol::{Event, PackInfo, PackSource};

use crate::engine::{pack, sample};

/// The state of the panel and its inputs.
struct Bench {
    view: SweepState,
    prompt: &'static str,
    settings: Settings,
    pack: Option<PackInfo>,
    actions: Vec<Action>,
    has_theme: bool,
}

fn draw(ui: &mut Ui, bench: &mut Bench) {
    if !std::mem::replace(&mut bench.has_theme, true) {
        // The fonts are available from the next frame on.
        theme::install(ui.ctx());
        return ui.ctx().request_repaint();
    }
    let Bench { view, prompt, settings, pack, actions, .. } = bench;
    let mut sweep = SweepPanel { view, prompt, settings, pack: pack.as_ref() };
    ui.horizontal(|ui| {
        sweep.axes(ui);
        let layout = Layout::right_to_left(Align::Center);
        ui.with_layout(layout, |ui| sweep.controls(ui, actions));
    });
    sweep.show(ui, actions);
}

fn window(pack: PackInfo) -> Harness<'static, Bench> {
    let bench = Bench {
        view: SweepState::default(),
        prompt: "This film",
        settings: Settings::default(),
        pack: Some(pack),
        actions: Vec::new(),
        has_theme: false,
    };
    let builder = Harness::builder().with_size(Vec2::new(904.0, 266.0));
    let mut window = builder.build_ui_state(draw, bench);
    window.run();
    window
}

/// Opens a window in which a sweep has started, as run 1.
fn begun() -> Harness<'static, Bench> {
    let mut window = window(pack());
    let bench = window.state_mut();
    let plan = plan(bench.prompt, &bench.settings, bench.pack.as_ref(), 4).expect("a plan");
    bench.view.begin(1, plan, PackSource::Bundled("imdb-sentiment".into()));
    window.run();
    window
}

/// Adds every point of the β curve.
fn fill(window: &mut Harness<'static, Bench>) {
    for setting in SweepAxis::Beta.values(&Settings::default()) {
        let sample = Box::new(sample(SweepAxis::Beta, setting));
        window.state_mut().view.apply(&Event::SweepPoint { run: 1, sample });
    }
    window.run();
}

fn is_disabled(window: &Harness<'static, Bench>, name: &str) -> bool {
    window.get_by_label(name).accesskit_node().is_disabled()
}

#[test]
fn an_empty_panel_offers_a_sweep_or_says_why_it_cannot_run() {
    let mut window = window(pack());
    window.get_by_label("Compare strengths").click();
    window.run();
    assert_eq!(window.state().actions, [Action::RunSweep]);
    window.state_mut().prompt = " ";
    window.run();
    assert!(is_disabled(&window, "Compare strengths"));
    window.get_by_label("Compare strengths").hover();
    for _ in 0..6 {
        window.step();
    }
    assert!(window.query_by_label_contains("Type a prompt first").is_some());
}

#[test]
fn a_running_sweep_shows_its_progress_and_can_be_paused_and_resumed() {
    let mut window = begun();
    assert!(window.query_by_label("0 of 84").is_some());
    assert!(window.query_by_label("β 0.5: no response yet").is_some());
    fill(&mut window);
    assert!(window.query_by_label("7 of 84 · 39 s left").is_some());
    window.get_by_label("Pause").click();
    window.run();
    assert_eq!(window.state().actions, [Action::Stop]);
    window.state_mut().view.pausing();
    window.run();
    assert!(is_disabled(&window, "Pause"));
    window.state_mut().view.apply(&Event::SweepDone { run: 1, stopped: true });
    window.run();
    assert!(window.query_by_label("paused at 7 of 84").is_some());
    assert!(window.query_by_label("Run again").is_some());
    window.get_by_label("Resume").click();
    window.run();
    assert_eq!(window.state().actions, [Action::Stop, Action::ResumeSweep]);
    // Another pack cannot go on with the sweep.
    window.state_mut().pack.as_mut().expect("a pack").source = PackSource::Bundled("other".into());
    window.run();
    assert!(is_disabled(&window, "Resume"));
}

#[test]
fn clicking_a_row_applies_its_setting() {
    let mut window = begun();
    fill(&mut window);
    let name = "β 0.5: judge +1.00, KL upper bound 16.2 nats";
    window.get_by_label(name).click();
    window.run();
    assert_eq!(window.state().actions, [Action::Adopt { axis: SweepAxis::Beta, value: 0.5 }]);
    // The row of the current setting does nothing.
    window.state_mut().actions.clear();
    window.state_mut().settings.beta = 0.5;
    window.run();
    window.get_by_label(name).click();
    window.run();
    assert_eq!(window.state().actions, []);
    // Hovering over a row shows its texts.
    window.get_by_label("β −1: judge −2.00, KL upper bound 19.2 nats").hover();
    for _ in 0..6 {
        window.step();
    }
    assert!(window.query_by_label_contains("at -1, it was fine").is_some());
    assert_eq!(window.state().view.hovered, Some(0));
}

#[test]
fn clicking_a_point_of_the_plot_applies_its_setting() {
    let mut window = begun();
    fill(&mut window);
    let plot = window.get_by_label_contains("Token β: judge against the KL upper bound").rect();
    // The last point, β 2, has the highest KL. Searches for it from the upper right corner.
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
    let at = found.expect("a position over the point");
    window.drag_at(at);
    window.run();
    window.drop_at(at);
    window.run();
    assert_eq!(window.state().actions, [Action::Adopt { axis: SweepAxis::Beta, value: 2.0 }]);
}

#[test]
fn settings_that_are_not_swept_are_disabled() {
    let mut without_pair = pack();
    without_pair.has_pair = false;
    let window = window(without_pair);
    assert!(is_disabled(&window, "Sweep over: Token β"));
    assert!(!is_disabled(&window, "Sweep over: Length L"));
}

#[test]
fn a_curve_of_other_settings_is_marked() {
    let mut window = begun();
    fill(&mut window);
    window.state_mut().view.apply(&Event::SweepDone { run: 1, stopped: false });
    window.state_mut().settings.seed = 9;
    window.run();
    assert!(window.query_by_label("from other settings").is_some());
}

#[test]
fn the_number_of_seeds_decides_the_length_of_the_sweep() {
    let mut window = window(pack());
    let seeds = |window: &mut Harness<'static, Bench>, text: &str| {
        window.get_by_role_and_label(Role::SpinButton, "Seeds").click();
        window.run();
        window.event(eframe::egui::Event::Text(text.into()));
        window.run();
        window.key_press(Key::Enter);
        window.run();
        window.state().view.seeds
    };
    assert_eq!(window.state().view.seeds, 4);
    assert_eq!(seeds(&mut window, "2"), 2);
    window.get_by_label("Compare strengths").hover();
    for _ in 0..6 {
        window.step();
    }
    assert!(window.query_by_label_contains("42 times under guidance: 2 times at each").is_some());
    assert_eq!(seeds(&mut window, "99"), 8);
    // The box stays beside the results, but not while a sweep runs.
    let mut window = begun();
    fill(&mut window);
    assert!(window.query_by_role_and_label(Role::SpinButton, "Seeds").is_none());
    window.state_mut().view.apply(&Event::SweepDone { run: 1, stopped: false });
    window.run();
    assert!(window.query_by_role_and_label(Role::SpinButton, "Seeds").is_some());
}
