//! Reports: everything is said, and nothing that a text says is acted on.

use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::Trace;
use ivg_playground::records::html::html;
use ivg_playground::records::markdown::markdown;

use crate::sample::{columns, trace};

const NASTY: &str =
    " <script>alert(1)</script> \"quoted\" & 'single' </bdi></p> \u{1b}[31m \u{0} end";

fn five() -> Trace {
    columns("This film", &Arm::ALL.map(|arm| (arm, " was very good indeed")))
}

#[test]
fn html_stands_alone() {
    let page = html(&five());
    for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains("default-src 'none'"));
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
}

/// A text that answers the prompt does not stand glued to it.
#[test]
fn an_answer_is_a_paragraph_of_its_own() {
    let answer = trace("Why is the sky blue?", "Because it scatters");
    assert!(html(&answer).contains("<span class=\"prompt\">Why is the sky blue?\n\n</span>"));
    assert!(markdown(&answer).contains("> Why is the sky blue?\n>\n> Because it scatters"));
    let goes_on = trace("This film", " was good");
    assert!(html(&goes_on).contains("<span class=\"prompt\">This film</span>"));
    assert!(markdown(&goes_on).contains("> This film was good"));
}

#[test]
fn html_says_everything() {
    let page = html(&five());
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
        "length reached",
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
    // Advantage 0 has no colour, sin 1 · 1.2 the strongest.
    assert!(page.contains("<span title=") && page.contains("<span class=\"t p10\" title="));
}

#[test]
fn html_acts_on_no_text() {
    let mut run = trace(NASTY, NASTY);
    (run.pack, run.program) = ("<img>".into(), "\"><b>".into());
    let page = html(&run);
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("\"><b>"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("&quot;quoted&quot; ") && page.contains("&#39;single&#39;"));
    assert!(page.contains('␛') && page.contains('␀'));
    assert!(!page.contains(|c: char| c.is_control() && c != '\n'));
    balanced(&page);
}

#[test]
fn text_from_right_to_left_stays_in_its_place() {
    let page = html(&trace("זה סרט", " \u{202e}טוב \u{2067}מאוד"));
    assert!(page.contains("<h1><bdi dir=\"auto\">זה סרט</bdi></h1>"));
    assert!(page.contains("<bdi dir=\"auto\"><span class=\"prompt\">זה סרט</span>"));
    balanced(&page);
}

/// Every element that is opened is closed, in order.
fn balanced(page: &str) {
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
fn the_plot_tells_columns_apart_without_colour() {
    let page = html(&five());
    let keys: Vec<&str> = page
        .split("<svg class=\"key ")
        .skip(1)
        .map(|svg| svg.split("</svg>").next().unwrap())
        .collect();
    let mut shapes: Vec<&str> =
        keys.iter().map(|k| k.split("class=\"kept\"").nth(1).unwrap()).collect();
    shapes.sort_unstable();
    shapes.dedup();
    assert_eq!(shapes.len(), 5);
    // Two chunks on the way of every answer, and what was dropped by the three searches.
    assert_eq!(page.matches("<path class=\"answer\"").count(), 10);
    let plot = page.split("role=\"img\"").nth(1).unwrap().split("</svg>").next().unwrap();
    assert_eq!(plot.matches("<path class=\"dropped\"").count(), 3);
    assert_eq!(plot.matches("<path class=\"lineage\"").count(), 5);
    assert_eq!(plot.matches("lead dashed").count(), 1);
    assert!(plot.contains("Guided: value +1.00 after 5 tokens"));
}

#[test]
fn a_run_without_values_guides_or_text_is_still_a_report() {
    let mut run = trace("A film", "");
    for arm in &mut run.arms {
        (arm.value, arm.gold_reward) = (None, None);
        arm.chunks.iter_mut().flat_map(|c| &mut c.candidates).for_each(|c| c.value = None);
    }
    run.arms[1].chunks.clear();
    let page = html(&run);
    assert!(page.contains("This run gave no values") && !page.contains("Advantage of each token"));
    balanced(&page);
    assert!(markdown(&run).contains("| Guided | β 1 · λ ∞ · W 4 · K 4 · L 5 | – | – | 0.00 | – |"));
}

#[test]
fn extreme_values_still_make_a_plot() {
    let mut run = trace("A film", " was");
    for (i, candidate) in run.arms[1].chunks[0].candidates.iter_mut().enumerate() {
        candidate.value = Some(if i % 2 == 0 { f32::MAX } else { f32::MIN });
    }
    let page = html(&run);
    assert!(!page.contains("NaN") && !page.contains("inf,") && page.len() < 200_000);
}

#[test]
fn a_megabyte_of_prompt_is_told_once() {
    let page = html(&trace(&"word ".repeat(200_000), " was"));
    assert!(page.len() < 1_200_000, "{}", page.len());
    assert!(page.contains("<span class=\"prompt\">… "));
}

#[test]
fn markdown_has_the_figures_and_the_texts() {
    let mut run = five();
    run.arms[0].settings = Settings { seed: 1, ..run.arms[0].settings.clone() };
    let page = markdown(&run);
    assert!(page.contains("| Unguided | base model | −2.25 | +1.50 | 0.62 |"), "{page}");
    assert!(page.contains("### Best of 16\n\nwhole responses · length reached\n"));
    assert!(page.contains("\n> This film was very good indeed\n"));
    assert!(page.ends_with("Pack imdb · seed 1 · IVG Playground 0.1.0\n"));
}

#[test]
fn no_text_breaks_out_of_its_block() {
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
