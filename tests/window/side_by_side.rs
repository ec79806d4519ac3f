//! Past runs added beside the run shown: their labels, differences, plot and reports.

use std::path::Path;

use eframe::egui::{OutputCommand, Role};
use egui_kittest::kittest::Queryable;
use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::{StopReason, Trace};
use ivg_playground::records::history::History;
use ivg_playground::worker::protocol::Request;
use tempfile::TempDir;

use crate::engine::trace;
use crate::harness::Bench;
use crate::history::{choose, reopened, run};

/// Puts a run with large values and a large budget in the history.
fn remember(folder: &Path, prompt: &str, pack: &str) -> Trace {
    let settings = Settings { max_tokens: 80, ..Settings::default() };
    let columns = vec![Arm::Base.into(), Arm::Ivg.into()];
    let request = Request { prompt: prompt.into(), local_time: None, columns, settings };
    let mut trace = trace(&request, &[" slow", " quick"], StopReason::MaxTokens);
    trace.pack = pack.into();
    let (_, engine) = crate::engine::engine(|| {});
    trace.arms[1].chunks = vec![engine.search_chunk(1, 20.0, (4, 16), true)];
    History::open(folder).expect("a folder").add(&trace, 1).expect("written");
    trace
}

/// Opens a window with a run, and adds a past run with this prompt and pack.
fn combined(prompt: &str, pack: &str) -> (Bench, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    remember(folder.path(), prompt, pack);
    let mut bench = reopened(folder.path());
    bench.wait("the past run", |b| b.reads("Recorded run"));
    run(&mut bench, "The cast", &[" d", " e"]);
    let cards = |b: &Bench| b.window.query_all_by_label_contains("More about ").count();
    bench.wait("both cards", |b| cards(b) == 2);
    let name = if prompt == "The cast" { "Older" } else { prompt };
    if prompt == "The cast" {
        // Both runs have the same title; rename the past one, which is the lower card.
        let last = bench.window.query_all_by_label("More about The cast").last();
        last.expect("a card").click();
        bench.window.run();
        bench.click("Rename");
        bench.overtype("Older");
        bench.key(eframe::egui::Modifiers::NONE, eframe::egui::Key::Enter);
        bench.wait("the name", |b| b.shows("Run: Older"));
    }
    choose(&mut bench, name, "Add to the run shown");
    bench.wait("the columns", |b| b.shows(&format!("{prompt} quick")));
    bench.window.run();
    (bench, folder)
}

#[test]
fn columns_of_another_run_are_labelled_and_not_compared() {
    let (bench, _folder) = combined("The ending", "smol2");
    assert!(bench.shows("β 1 · λ ∞ · W 4 · K 4 · L 5"), "the columns of the run shown are not");
    assert!(bench.shows("smol2 · “The ending” · pinned · β 1 · λ ∞ · W 4 · K 4 · L 5"));
    assert!(bench.shows("Guided Judge: praise: +2.50, +0.0 from the first column, rather praise"));
    assert!(
        bench.shows("Guided 2 Judge: +2.50, rather positive"),
        "no difference from another run"
    );
    assert!(bench.shows("Unguided 2 Judge: +2.50, rather positive"));
}

#[test]
fn columns_of_the_same_prompt_and_pack_are_compared() {
    let (bench, _folder) = combined("The cast", "imdb-sentiment");
    assert!(bench.shows("pinned · β 1 · λ ∞ · W 4 · K 4 · L 5"));
    assert!(
        bench.shows("Guided 2 Judge: praise: +2.50, +0.0 from the first column, rather praise")
    );
}

#[test]
fn another_pack_alone_hides_the_differences() {
    let (bench, _folder) = combined("The cast", "smol2");
    assert!(bench.shows("smol2 · pinned · β 1 · λ ∞ · W 4 · K 4 · L 5"));
    assert!(bench.shows("Guided 2 Judge: +2.50, rather positive"));
}

#[test]
fn the_plot_contains_the_values_of_all_columns() {
    let (bench, _folder) = combined("The ending", "smol2");
    let span = bench.window.state().session().run.as_ref().expect("a run").value_span();
    assert!(*span.end() > 20.0, "{span:?}");
    assert!(bench.reads("Guided 2: 1 chunks, +2"), "the plot describes the added column");
}

#[test]
fn runs_side_by_side_are_saved_as_one_report() {
    let (mut bench, folder) = combined("The ending", "smol2");
    let path = folder.path().join("report.html");
    bench.click("Export");
    bench.click("Report (HTML)");
    bench.overtype(&path.display().to_string());
    bench.click("Save");
    bench.wait("the file", |b| b.reads("Saved "));
    let html = std::fs::read_to_string(&path).expect("a file");
    assert_eq!(html.matches("<article").count(), 4);
    assert!(html.contains("Another run: pack smol2 · prompt “The ending”"));
    assert!(html.contains("<span class=\"prompt\">The ending</span>"));
    bench.click("Export");
    let copied = bench.copied("Copy as Markdown");
    let Some(OutputCommand::CopyText(markdown)) = copied else { panic!("nothing was copied") };
    assert!(markdown.contains("> The cast e") && markdown.contains("> The ending quick"));
}

#[test]
fn runs_side_by_side_are_not_a_trace() {
    let (mut bench, _folder) = combined("The ending", "smol2");
    bench.click("Export");
    assert!(!bench.is_disabled(Role::Button, "Report (HTML)"));
    assert!(!bench.is_disabled(Role::Button, "Copy as Markdown"));
    assert!(bench.is_disabled(Role::Button, "Trace (JSON)"));
    let at = bench.window.get_by_label("Trace (JSON)").rect().center();
    bench.hover(at);
    assert!(bench.reads("A trace holds one run, and runs are shown side by side;"));
}
