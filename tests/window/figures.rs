//! Saving the plots of the lower panel as figures, and the data of a sweep as CSV.

use std::collections::BTreeSet;
use std::path::Path;

use eframe::egui::{Key, Modifiers, Role};
use egui_kittest::kittest::Queryable;
use ivg_playground::app::Options;
use ivg_playground::app::state::preferences::Preferences;
use ivg_playground::guidance::settings::Settings;
use ivg_playground::lab::sweep::SweepAxis;
use ivg_playground::worker::protocol::{Command, Event};
use tempfile::TempDir;

use crate::engine::{pack, sample};
use crate::harness::{Bench, options};

fn window() -> (Bench, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let stored = Preferences {
        prompt: "This movie was".into(),
        figure_folder: Some(folder.path().to_owned()),
        ..Preferences::default()
    };
    let options = Options { folder: Some(folder.path().join("history")), ..options() };
    (Bench::open(options, stored, pack()), folder)
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

/// Saves with an entry of the menu, and returns the file and its name.
fn saved(bench: &mut Bench, folder: &TempDir, entry: &str) -> (Vec<u8>, String) {
    let before = files(folder);
    bench.click("Save figure");
    bench.click(entry);
    let words = format!("Saved {}", folder.path().display());
    bench.wait(&words, |b| b.reads(&words) && files(folder).len() > before.len());
    let new = files(folder).difference(&before).next().expect("a new file").clone();
    (std::fs::read(folder.path().join(&new)).expect("a file"), new)
}

fn files(folder: &TempDir) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder.path()).expect("a folder").flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect()
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
    let (svg, proposed) = saved(&mut bench, &folder, "SVG for a paper");
    assert!(proposed.starts_with("ivg-") && proposed.ends_with(".values.svg"), "{proposed}");
    let svg = String::from_utf8(svg).expect("text");
    assert!(svg.contains("width=\"90mm\"") && svg.contains("Length of the response (tokens)"));
    // A second figure does not replace the first.
    let (again, second) = saved(&mut bench, &folder, "SVG for a paper");
    assert_eq!(second, proposed.replace(".values", "-2.values"));
    assert_eq!(String::from_utf8(again).expect("text"), svg);
    let (png, proposed) = saved(&mut bench, &folder, "PNG for a slide");
    assert!(proposed.ends_with(".values.png"), "{proposed}");
    let reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().expect("a PNG");
    assert_eq!((reader.info().width, reader.info().height), (1920, 1080));
}

#[test]
fn the_tree_of_the_chosen_column_is_saved() {
    let (mut bench, folder) = finished();
    bench.click("Lower panel: Tree");
    let title = |bench: &mut Bench| {
        let (svg, proposed) = saved(bench, &folder, "SVG for a slide");
        assert!(proposed.ends_with(".tree.svg"), "{proposed}");
        let svg = String::from_utf8(svg).expect("text");
        let start = svg.find("Search tree: ").expect("a title") + "Search tree: ".len();
        svg[start..].split('<').next().expect("a name").to_owned()
    };
    assert_eq!(title(&mut bench), "Guided");
    bench.click("Tree of: Unguided");
    assert_eq!(title(&mut bench), "Unguided");
}

#[test]
fn a_sweep_is_saved_as_a_figure_and_as_a_table() {
    let (mut bench, folder) = swept();
    let (svg, proposed) = saved(&mut bench, &folder, "SVG for a paper");
    assert_eq!(proposed, "ivg-this-movie-was-seed1.sweep.svg");
    let svg = String::from_utf8(svg).expect("text");
    assert!(svg.contains("Distance from base (KL upper bound, nats)"));
    let (table, proposed) = saved(&mut bench, &folder, "Data (CSV)");
    assert!(proposed.ends_with(".sweep.csv"), "{proposed}");
    let table = String::from_utf8(table).expect("text");
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 8, "a header and seven responses");
    assert!(rows[0].starts_with("setting,value,seed,gold_reward,"));
    assert!(rows[1].starts_with("beta,-1,1,-2,,4,15.2,19.2,5,12,500,"), "{}", rows[1]);
}

#[test]
fn the_folder_for_figures_can_be_changed() {
    let (mut bench, folder) = finished();
    let other = tempfile::tempdir().expect("a folder");
    bench.click("Save figure");
    bench.click("Change folder…");
    let path = bench.window.get_by_role_and_label(Role::TextInput, "Path").value();
    assert_eq!(path, Some(folder.path().display().to_string()));
    bench.overtype(&other.path().join("nowhere").display().to_string());
    bench.wait("the reason", |b| b.shows("This path does not exist."));
    bench.overtype(&other.path().display().to_string());
    bench.key(Modifiers::NONE, Key::Enter);
    bench.wait("the dialog closes", |b| !b.shows("Choose the folder for figures"));
    assert!(saved(&mut bench, &other, "SVG for a paper").1.ends_with(".values.svg"));
    // The folder was deleted since.
    let path = other.path().to_owned();
    other.close().expect("deleted");
    bench.click("Save figure");
    bench.click("SVG for a paper");
    let words = path.display().to_string();
    bench.wait("the reason", |b| {
        b.window.state().session().error.as_ref().is_some_and(|error| error.contains(&words))
    });
}

#[test]
fn only_the_sweep_offers_a_table() {
    let (mut bench, _folder) = finished();
    bench.click("Save figure");
    assert!(bench.shows("PNG for a paper") && !bench.shows("Data (CSV)"));
}
