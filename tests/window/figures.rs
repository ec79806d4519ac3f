//! Saving the plots of the lower panel as figures, and the data of a sweep as CSV.

use std::path::{Path, PathBuf};

use eframe::egui::{Key, Modifiers, Role};
use egui_kittest::kittest::Queryable;
use ivg_playground::guidance::settings::Settings;
use ivg_playground::lab::sweep::SweepAxis;
use ivg_playground::worker::protocol::{Command, Event};
use tempfile::TempDir;

use crate::engine::sample;
use crate::harness::Bench;

fn window() -> (Bench, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let bench = Bench::keeping(&folder.path().join("history"));
    (bench, folder)
}

/// Opens a window with a finished run of the recorded example.
fn finished() -> (Bench, TempDir) {
    let (mut bench, folder) = window();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/example.json");
    bench.click("Open");
    bench.overtype(&example.display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("the example", |b| b.window.state().session().run.is_some());
    bench.window.run();
    (bench, folder)
}

/// Opens a window with the points of the β curve.
fn swept() -> (Bench, TempDir) {
    let (mut bench, folder) = window();
    bench.click("Lower panel: Sweep");
    bench.click("Compare strengths");
    let Command::Sweep(run, _) = bench.engine.command() else { panic!("no sweep") };
    assert!(bench.is_disabled(Role::Button, "Save figure"), "there is no point yet");
    for setting in SweepAxis::Beta.values(&Settings::default()) {
        let sample = Box::new(sample(SweepAxis::Beta, setting));
        bench.engine.send(Event::SweepPoint { run, sample });
    }
    bench.window.run();
    (bench, folder)
}

/// Saves with an entry of the menu to a file in `folder`, and returns the file and the proposed name.
fn saved(bench: &mut Bench, folder: &TempDir, entry: &str, name: &str) -> (Vec<u8>, String) {
    bench.click("Save figure");
    bench.click(entry);
    let path = bench.window.get_by_role_and_label(Role::TextInput, "Path").value();
    let proposed = PathBuf::from(path.expect("a path"));
    let proposed = proposed.file_name().expect("a name").to_string_lossy().into_owned();
    let path = folder.path().join(name);
    bench.overtype(&path.display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    let words = format!("Saved {}", path.display());
    bench.wait(&words, |b| b.shows(&words));
    (std::fs::read(path).expect("a file"), proposed)
}

#[test]
fn nothing_can_be_saved_before_the_first_run_has_ended() {
    let (mut bench, _folder) = window();
    assert!(bench.is_disabled(Role::Button, "Save figure"));
    let at = bench.window.get_by_label("Save figure").rect().center();
    bench.hover(at);
    assert!(bench.reads("There is no run yet."));
    // This run has texts, but no chunks with values.
    bench.finish(&[" a", " b"]);
    assert!(bench.is_disabled(Role::Button, "Save figure"));
}

#[test]
fn the_value_plot_is_saved_in_two_clicks() {
    let (mut bench, folder) = finished();
    let (svg, proposed) = saved(&mut bench, &folder, "SVG for a paper", "a.svg");
    assert!(proposed.starts_with("ivg-") && proposed.ends_with(".values.svg"), "{proposed}");
    let svg = String::from_utf8(svg).expect("text");
    assert!(svg.contains("width=\"90mm\"") && svg.contains("Length of the response (tokens)"));
    let (png, proposed) = saved(&mut bench, &folder, "PNG for a slide", "a.png");
    assert!(proposed.ends_with(".values.png"), "{proposed}");
    let reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().expect("a PNG");
    assert_eq!((reader.info().width, reader.info().height), (1920, 1080));
}

#[test]
fn the_tree_of_the_chosen_column_is_saved() {
    let (mut bench, folder) = finished();
    bench.click("Lower panel: Tree");
    let title = |bench: &mut Bench, name: &str| {
        let (svg, proposed) = saved(bench, &folder, "SVG for a slide", name);
        assert!(proposed.ends_with(".tree.svg"), "{proposed}");
        let svg = String::from_utf8(svg).expect("text");
        let start = svg.find("Search tree: ").expect("a title") + "Search tree: ".len();
        svg[start..].split('<').next().expect("a name").to_owned()
    };
    assert_eq!(title(&mut bench, "guided.svg"), "Guided");
    bench.click("Tree of: Unguided");
    assert_eq!(title(&mut bench, "unguided.svg"), "Unguided");
}

#[test]
fn a_sweep_is_saved_as_a_figure_and_as_a_table() {
    let (mut bench, folder) = swept();
    let (svg, proposed) = saved(&mut bench, &folder, "SVG for a paper", "s.svg");
    assert_eq!(proposed, "ivg-this-movie-was-seed1.sweep.svg");
    let svg = String::from_utf8(svg).expect("text");
    assert!(svg.contains("Distance from base (KL upper bound, nats)"));
    let (table, proposed) = saved(&mut bench, &folder, "Data (CSV)", "s.csv");
    assert!(proposed.ends_with(".sweep.csv"), "{proposed}");
    let table = String::from_utf8(table).expect("text");
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 8, "a header and seven responses");
    assert!(rows[0].starts_with("setting,value,seed,gold_reward,"));
    assert!(rows[1].starts_with("beta,-1,1,-2,,4,15.2,19.2,5,12,500,"), "{}", rows[1]);
}

#[test]
fn only_the_sweep_offers_a_table() {
    let (mut bench, _folder) = finished();
    bench.click("Save figure");
    assert!(bench.shows("PNG for a paper") && !bench.shows("Data (CSV)"));
}
