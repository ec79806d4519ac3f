//! Every control stays inside the window, and no two overlap, at every size and zoom.

use eframe::egui::{Key, Modifiers, Rect, Role, Vec2, vec2};
use egui_kittest::kittest::NodeT;
use ivg_playground::app::state::preferences::Preferences;

use crate::engine::pack;
use crate::harness::{Bench, options};

/// Sizes of a screen in pixels.
const SIZES: [(f32, f32); 5] =
    [(1024.0, 640.0), (1280.0, 720.0), (1600.0, 1000.0), (1920.0, 1080.0), (3840.0, 2160.0)];
const ZOOMS: [f32; 4] = [1.0, 1.25, 1.5, 2.0];
/// Width of the sidebar, in points. Its lower part scrolls.
const SIDEBAR: f32 = 344.0;

const CONTROLS: [Role; 7] = [
    Role::Button,
    Role::Slider,
    Role::Switch,
    Role::RadioButton,
    Role::CheckBox,
    Role::SpinButton,
    Role::TextInput,
];

/// Returns the name and the place of every control.
fn controls(bench: &Bench) -> Vec<(String, Rect)> {
    let root = bench.window.root();
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        open.extend(node.children());
        let accesskit = node.accesskit_node();
        if CONTROLS.contains(&accesskit.role()) && !accesskit.is_hidden() {
            let name = accesskit.label().unwrap_or_default();
            if !name.is_empty() {
                found.push((name, node.rect()));
            }
        }
    }
    found
}

/// Checks the controls that do not scroll. `top` is the height at which the sidebar starts to
/// scroll.
fn check(bench: &Bench, size: Vec2, what: &str) {
    let screen = Rect::from_min_size(Default::default(), size);
    let all = controls(bench);
    assert!(all.len() > 8, "{what}: only {} controls", all.len());
    let has_sidebar = all.iter().any(|(name, _)| name == "Sidebar: Models");
    let tabs = all.iter().find(|(name, _)| name == "Sidebar: Models").map(|(_, rect)| *rect);
    let scrolls = |name: &str, rect: &Rect| {
        let in_sidebar = has_sidebar
            && rect.right() <= SIDEBAR
            && tabs.is_some_and(|tabs| rect.top() > tabs.bottom());
        // Stacked columns scroll.
        let in_column = name.starts_with("Column ") || name.starts_with("Freeze ");
        in_sidebar || in_column
    };
    let fixed: Vec<_> = all.iter().filter(|(name, rect)| !scrolls(name, rect)).collect();
    for (i, (name, rect)) in fixed.iter().enumerate() {
        assert!(screen.expand(0.6).contains_rect(*rect), "{what}: {name} at {rect}");
        for (other, place) in &fixed[..i] {
            let common = rect.intersect(*place);
            let overlaps = common.is_positive() && common.area() > 2.0;
            assert!(!overlaps, "{what}: {name} at {rect} and {other} at {place}");
        }
    }
}

fn every_size(bench: &mut Bench, what: &str) {
    for (width, height) in SIZES {
        for zoom in ZOOMS {
            // The harness has one pixel per point, so a zoom is a smaller window.
            let size = vec2(width, height) / zoom;
            bench.window.set_size(size);
            for _ in 0..3 {
                bench.window.step();
            }
            check(bench, size, &format!("{what} {width}×{height} at {zoom}"));
        }
    }
}

#[test]
fn controls_fit_in_the_window_at_every_size_and_zoom() {
    let stored = Preferences { prompt: "This movie was".into(), ..Preferences::default() };
    let mut bench = Bench::open(options(), stored, pack());
    every_size(&mut bench, "empty");
    bench.window.set_size(vec2(1280.0, 1000.0));
    bench.window.run();
    for title in ["Token only", "Chunk only"] {
        bench.add_column(title);
    }
    bench.finish(&[" a", " b", " c", " d"]);
    bench.click("Details");
    bench.click("Colour tokens by: Changes");
    every_size(&mut bench, "four columns");
}

#[test]
fn controls_fit_on_the_stage_at_every_size_and_zoom() {
    let stored = Preferences { present_zoom: 1.0, ..Preferences::default() };
    let mut bench = Bench::open(options(), stored, pack());
    bench.key(Modifiers::NONE, Key::F11);
    bench.key(Modifiers::NONE, Key::PageDown);
    let (run, request) = bench.engine.generate();
    let texts: Vec<&str> = request.columns.iter().map(|_| " fine").collect();
    let reason = ivg_playground::guidance::trace::StopReason::MaxTokens;
    bench.engine.done(run, &request, &texts, reason);
    bench.window.run();
    every_size(&mut bench, "stage");
}

#[test]
fn the_sidebar_collapses_by_itself_and_by_key() {
    let mut bench = Bench::ready();
    assert!(bench.shows("Sidebar: Models"));
    bench.key(Modifiers::COMMAND, Key::B);
    assert!(!bench.shows("Sidebar: Models"));
    assert!(bench.shows("Generate") && bench.shows("Prompt"), "the prompt stays");
    bench.key(Modifiers::COMMAND, Key::B);
    assert!(bench.shows("Sidebar: Models"));
    bench.window.set_size(vec2(960.0, 700.0));
    bench.window.run();
    assert!(!bench.shows("Sidebar: Models"), "too narrow");
    bench.key(Modifiers::COMMAND, Key::M);
    assert!(bench.shows("Sidebar: Models"), "a key for a tab opens it");
    bench.window.set_size(vec2(1280.0, 800.0));
    bench.window.run();
    assert!(bench.shows("Sidebar: Models"));
}

#[test]
fn a_tiny_window_keeps_the_prompt_and_the_responses() {
    let mut bench = Bench::ready();
    bench.finish(&[" a", " b"]);
    assert!(!bench.shows("Enlarge the window to see the plot"));
    bench.window.set_size(vec2(640.0, 480.0));
    bench.window.run();
    bench.window.run();
    assert!(bench.shows("Enlarge the window to see the plot"));
    check(&bench, vec2(640.0, 480.0), "640×480");
    assert!(bench.shows("Prompt") && bench.shows("Generate") && bench.shows("This movie was a"));
}
