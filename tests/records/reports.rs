//! Reports are complete, and no text of a run is interpreted as markup.

use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::Trace;
use ivg_playground::records::report::html::{html, side_by_side_html};
use ivg_playground::records::report::markdown::{markdown, side_by_side_markdown};

use crate::sample::{columns, trace};

const HOSTILE_TEXT: &str =
    " <script>alert(1)</script> \"quoted\" & 'single' </bdi></p> \u{1b}[31m \u{0} end";

fn all_arms() -> Trace {
    columns("This film", &Arm::ALL.map(|arm| (arm, " was very good indeed")))
}

#[test]
fn html_has_no_scripts_and_no_external_resources() {
    let page = html(&all_arms());
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains("default-src 'none'"));
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
}

#[test]
fn a_response_that_does_not_continue_the_prompt_starts_a_new_paragraph() {
    let answer = trace("Why is the sky blue?", "Because it scatters");
    assert!(html(&answer).contains("<span class=\"prompt\">Why is the sky blue?\n\n</span>"));
    assert!(markdown(&answer).contains("> Why is the sky blue?\n>\n> Because it scatters"));
    let continuation = trace("This film", " was good");
    assert!(html(&continuation).contains("<span class=\"prompt\">This film</span>"));
    assert!(markdown(&continuation).contains("> This film was good"));
}

#[test]
fn html_contains_prompt_texts_settings_and_metrics() {
    let page = html(&all_arms());
    for words in [
        "This film",
        "imdb",
        "0.1.0",
        "Unguided",
        "Best of 16",
        "Token only",
        "Chunk only",
        "Guided",
        "β 1 · λ ∞ · W 4 · K 4 · L 5",
        "−2.25",
        "+1.50",
        "1.23",
        "Stopped at ",
        "Temperature",
        "Perplexity",
        "log p base −1.10 · guided −0.90",
        "tuned −1.30",
        "KL 0.125 nats",
        "≥ +1",
        "≤ −1",
        "value V(x, y≤t)",
        "tokens of the response",
    ] {
        assert!(page.contains(words), "{words}");
    }
    // An advantage of 0 has no colour, one of sin(1) · 1.2 the strongest.
    assert!(page.contains("<span title=") && page.contains("<span class=\"t p10\" title="));
}

#[test]
fn html_escapes_every_text() {
    let mut run = trace(HOSTILE_TEXT, HOSTILE_TEXT);
    (run.pack, run.program) = ("<img>".into(), "\"><b>".into());
    let page = html(&run);
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("\"><b>"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("&quot;quoted&quot; ") && page.contains("'single'"));
    assert!(page.contains('␛') && page.contains('␀'));
    assert!(!page.contains(|c: char| c.is_control() && c != '\n'));
    assert_balanced(&page);
}

#[test]
fn right_to_left_text_is_isolated() {
    let page = html(&trace("זה סרט", " \u{202e}טוב \u{2067}מאוד"));
    assert!(page.contains("<h1><bdi dir=\"auto\">זה סרט</bdi></h1>"));
    assert!(page.contains("<bdi dir=\"auto\"><span class=\"prompt\">זה סרט</span>"));
    assert_balanced(&page);
}

/// Asserts that every element is closed, in order.
fn assert_balanced(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for tag in page.split('<').skip(1) {
        let body = tag.split('>').next().unwrap();
        let name = body.split([' ', '\n']).next().unwrap();
        if name.starts_with('!') || name == "meta" || body.ends_with('/') {
            continue;
        }
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn the_plot_distinguishes_columns_without_colour() {
    let page = html(&all_arms());
    let keys: Vec<&str> = page
        .split("<svg class=\"key ")
        .skip(1)
        .map(|svg| svg.split("</svg>").next().unwrap())
        .collect();
    let mut shapes: Vec<&str> =
        keys.iter().map(|k| k.split("class=\"kept\"").nth(1).unwrap()).collect();
    shapes.sort_unstable();
    shapes.dedup();
    assert_eq!(shapes.len(), 6);
    // Six responses of two chunks each, and dropped candidates in the three searches.
    assert_eq!(page.matches("<path class=\"answer\"").count(), 12);
    let plot = page.split("role=\"img\"").nth(1).unwrap().split("</svg>").next().unwrap();
    assert_eq!(plot.matches("<path class=\"dropped\"").count(), 3);
    assert_eq!(plot.matches("<path class=\"lineage\"").count(), 6);
    assert_eq!(plot.matches("lead dashed").count(), 1);
    assert!(plot.contains("Guided: value +1.00 after 5 tokens"));
}

#[test]
fn reports_a_run_without_values_guides_or_text() {
    let mut run = trace("A film", "");
    for arm in &mut run.arms {
        (arm.value, arm.gold_reward) = (None, None);
        arm.chunks.iter_mut().flat_map(|c| &mut c.candidates).for_each(|c| c.value = None);
    }
    run.arms[1].chunks.clear();
    let page = html(&run);
    assert!(page.contains("This run has no values") && !page.contains("Advantage of each token"));
    assert_balanced(&page);
    assert!(markdown(&run).contains("| Guided | β 1 · λ ∞ · W 4 · K 4 · L 5 | – | – | 0.00 | – |"));
}

#[test]
fn plots_extreme_values() {
    let mut run = trace("A film", " was");
    for (i, candidate) in run.arms[1].chunks[0].candidates.iter_mut().enumerate() {
        candidate.value = Some(if i % 2 == 0 { f32::MAX } else { f32::MIN });
    }
    let page = html(&run);
    assert!(!page.contains("NaN") && !page.contains("inf,") && page.len() < 200_000);
}

#[test]
fn a_long_prompt_is_shown_in_full_only_once() {
    let page = html(&trace(&"word ".repeat(200_000), " was"));
    assert!(page.len() < 1_200_000, "{}", page.len());
    assert!(page.contains("<span class=\"prompt\">… "));
}

#[test]
fn markdown_contains_the_metrics_and_the_texts() {
    let mut run = all_arms();
    run.arms[0].settings = Settings { seed: 1, ..run.arms[0].settings.clone() };
    let page = markdown(&run);
    assert!(page.contains("| Unguided | base model | −2.25 | +1.50 | 0.62 |"), "{page}");
    assert!(page.contains("### Best of 16\n\nwhole responses · Stopped at 5 tokens\n"));
    assert!(page.contains("\n> This film was very good indeed\n"));
    assert!(page.ends_with("Pack imdb · seed 1 · IVG Playground 0.1.0\n"));
}

#[test]
fn text_cannot_break_out_of_its_markdown_block() {
    let text = "\n\n# Head\n- item\n1. one\n```\ncode\n```\n<b>x</b> [a](b) | *c*\n    four\r\n---\u{0}\n===";
    let page = markdown(&trace("A film", text));
    let block = page.split("### Guided").nth(1).unwrap();
    let block = block.split("\n---\n").next().unwrap();
    let lines: Vec<&str> = block.lines().skip(3).filter(|l| !l.trim().is_empty()).collect();
    assert!(lines.iter().skip(1).all(|l| l.starts_with('>')), "{block}");
    for markup in ["> # ", "> - ", "> 1. ", "```", "<b>", "[a]", " *c*", ">     ", "> ---", "> ==="]
    {
        assert!(!block.contains(markup), "{markup} in {block}");
    }
    assert!(block.contains("> \\# Head\\\n> \\- item\\\n> 1\\. one\\\n"));
}

#[test]
fn runs_side_by_side_are_one_report_and_say_where_they_differ() {
    let first = trace("This film", " was good");
    let mut other = trace("This <b>book</b>", " was bad");
    other.pack = "smol2".into();
    let page = side_by_side_html(&first, std::slice::from_ref(&other));
    assert_eq!(page.matches("<article").count(), 4);
    assert_eq!(page.matches("Another run: pack smol2 · prompt").count(), 4, "texts and table");
    assert!(page.contains("Guided 2") && page.contains("Runs side by side"));
    assert!(page.contains("<span class=\"prompt\">This &lt;b&gt;book&lt;/b&gt;</span>"));
    assert!(page.contains("cannot be compared.") && !page.contains("use the same seed"));
    assert_balanced(&page);
    let text = side_by_side_markdown(&first, std::slice::from_ref(&other));
    assert!(text.starts_with("# IVG Playground: runs, side by side"));
    assert!(text.contains("### Guided 2\n") && text.contains("Another run: pack smol2"));
    assert!(text.contains("> This film was good\n") && text.contains(" was bad\n"));
    assert!(!text.contains("<b>"));
    // The same run with another seed.
    let mut other = first.clone();
    other.seed = 7;
    let page = side_by_side_html(&first, &[other]);
    assert!(page.contains("Another run: seed 7") && page.contains("pack imdb"));
    assert_eq!(side_by_side_html(&first, &[]), html(&first));
}
