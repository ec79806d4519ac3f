//! Tests of the figures: their labels, their sizes and their files.

use resvg::usvg::roxmltree::Document;

use super::*;
use crate::guidance::settings::Settings;
use crate::lab::sweep::{PackCapabilities, Plan, Sample};

const SIZES: [FigureSize; 2] = [FigureSize::Paper, FigureSize::Slide];

/// Returns the recorded example, an unguided and a guided column.
fn trace() -> Box<Trace> {
    let json = include_str!("../../../../assets/example.json");
    Box::new(serde_json::from_str(json).expect("a trace"))
}

fn values() -> Figure {
    Figure::Values(trace())
}

fn tree() -> Figure {
    Figure::Tree { trace: trace(), arm: 1 }
}

/// Returns the β curve of a sweep with `seeds` responses at each value.
fn sweep(seeds: u64) -> Figure {
    let can = PackCapabilities { pair: true, value: true, judge: true };
    let settings = Settings::default();
    let plan = Plan::new(can, "A & B <c>\u{1}", &settings, seeds).expect("a plan");
    let mut results = SweepResults::new(plan.clone());
    for task in plan.tasks().filter(|task| task.axis == SweepAxis::Beta) {
        let noise = (task.seed / 1_000_000) as f32;
        results.add(Sample {
            axis: task.axis,
            setting: task.setting,
            seed: task.seed,
            text: " was".into(),
            gold_reward: Some(2.0 * task.setting + noise),
            value: None,
            kl_nats: 3.0 * task.setting * task.setting + noise,
            kl_selection_bound_nats: 15.2,
            tokens: 4,
            base_perplexity: None,
            elapsed_ms: 2.0,
        });
    }
    Figure::Sweep { results: Box::new(results), axis: SweepAxis::Beta }
}

/// Returns all texts that the figure shows.
fn texts(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).expect("well-formed XML");
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts.filter_map(|node| node.text().map(str::to_owned)).collect()
}

fn assert_shows(figure: &Figure, expected: &[&str]) {
    for size in SIZES {
        let texts = texts(&figure.svg(size).expect("a figure"));
        for words in expected {
            assert!(texts.iter().any(|t| t == words), "{size:?}: no “{words}” in {texts:?}");
        }
    }
}

#[test]
fn the_value_plot_names_its_axes_units_columns_and_marks() {
    let names = ["Value of every chunk", "Length of the response (tokens)"];
    assert_shows(&values(), &names);
    assert_shows(
        &values(),
        &["Value V (predicted reward)", "Unguided", "Guided", "kept", "dropped"],
    );
}

#[test]
fn the_sweep_plot_names_its_axes_units_and_marks() {
    let axes = ["Distance from base (KL upper bound, nats)", "Judge (log-odds)"];
    assert_shows(&sweep(3), &axes);
    assert_shows(
        &sweep(3),
        &["Effect of token guidance β", "mean of 3 seeds at each β", "one seed", "standard error"],
    );
    // The values of the setting are beside their points.
    assert_shows(&sweep(3), &["−1", "−0.5", "0.5", "1.5"]);
    // A single seed has no mean and no error.
    let single = texts(&sweep(1).svg(FigureSize::Paper).expect("a figure"));
    assert!(single.contains(&"one response at each β".to_owned()));
    assert!(!single.iter().any(|t| t == "one seed" || t == "standard error"));
}

#[test]
fn the_search_tree_names_its_column_marks_and_values() {
    assert_shows(&tree(), &["Search tree: Guided", "Chunk of the response", "1", "response"]);
    let svg = tree().svg(FigureSize::Slide).expect("a figure");
    let shown = texts(&svg);
    assert!(shown.iter().any(|t| t.starts_with("value, ") && t.contains(" to ")), "{shown:?}");
    let document = Document::parse(&svg).expect("well-formed XML");
    let circles = document.descendants().filter(|node| node.has_tag_name("circle")).count();
    let candidates = trace().arms[1].chunks.iter().map(|c| c.candidates.len()).sum::<usize>();
    assert_eq!(circles, candidates + 2, "every candidate, and two in the legend");
}

#[test]
fn each_seed_is_a_mark_of_the_sweep_plot() {
    let drawn = |seeds| {
        let svg = sweep(seeds).svg(FigureSize::Paper).expect("a figure");
        let document = Document::parse(&svg).expect("well-formed XML");
        let faint = document.descendants().filter(|n| n.attribute("fill-opacity") == Some("0.35"));
        faint.filter_map(|n| n.attribute("d")).map(|d| d.matches('M').count()).collect::<Vec<_>>()
    };
    assert_eq!(drawn(3), [1, 21], "one in the legend, three at each of seven values");
    assert_eq!(drawn(1), Vec::<usize>::new());
}

#[test]
fn a_figure_has_the_size_of_a_column_or_a_slide() {
    for (size, width, height) in
        [(FigureSize::Paper, "90mm", "60mm"), (FigureSize::Slide, "1920", "1080")]
    {
        let svg = values().svg(size).expect("a figure");
        let document = Document::parse(&svg).expect("well-formed XML");
        let root = document.root_element();
        assert_eq!(
            (root.attribute("width"), root.attribute("height")),
            (Some(width), Some(height))
        );
    }
}

/// Returns size, density and pixels of a PNG.
fn read(png: &[u8]) -> (u32, u32, Option<u32>, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
    reader.next_frame(&mut pixels).expect("pixels");
    let info = reader.info();
    (info.width, info.height, info.pixel_dims.map(|dims| dims.xppu), pixels)
}

#[test]
fn a_png_has_the_right_size_and_shows_text_and_marks() {
    let paper = (1063, 709, Some(11811));
    for (figure, name) in [(values(), "values"), (tree(), "tree"), (sweep(3), "sweep")] {
        for (size, expected) in SIZES.into_iter().zip([paper, (1920, 1080, None)]) {
            let png = figure.file(size, FigureFormat::Png).expect("a PNG");
            let (width, height, density, pixels) = read(&png);
            assert_eq!((width, height, density), expected, "{name}");
            let is_white = |p: &&[u8]| p.iter().all(|&v| v == 255);
            let count = pixels.chunks_exact(3).len();
            let white = pixels.chunks_exact(3).filter(is_white).count();
            assert!(white > count / 2 && white < count * 99 / 100, "{name}: {white} of {count}");
            // The title is dark text, so the embedded font was found.
            let title = pixels.chunks_exact(3).take(2 * 38 * width as usize);
            let dark = title.filter(|p| p.iter().all(|&v| v < 90)).count();
            assert!(dark > 100, "{name}: the title has {dark} dark pixels");
        }
    }
}

#[test]
fn the_description_tells_how_the_figure_was_made() {
    let svg = sweep(2).svg(FigureSize::Paper).expect("a figure");
    let document = Document::parse(&svg).expect("well-formed XML");
    let description = document.descendants().find(|n| n.has_tag_name("desc"));
    let words = description.and_then(|n| n.text()).expect("a description");
    assert!(words.contains("A & B <c>␁") && words.contains("2 seeds per value"), "{words}");
}

#[test]
fn a_figure_without_data_is_refused() {
    let mut empty = trace();
    empty.arms.iter_mut().for_each(|arm| arm.chunks.clear());
    let error = |figure: Figure| figure.svg(FigureSize::Paper).expect_err("refused").to_string();
    assert!(error(Figure::Values(empty.clone())).contains("has no values"));
    assert!(error(Figure::Tree { trace: empty, arm: 0 }).contains("no search tree"));
    assert!(error(Figure::Tree { trace: trace(), arm: 9 }).contains("no search tree"));
    let Figure::Sweep { results, .. } = sweep(1) else { unreachable!() };
    let lambda = Figure::Sweep { results, axis: SweepAxis::Lambda };
    assert!(error(lambda).contains("no point yet"));
}
