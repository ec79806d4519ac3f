//! A run as Markdown: for an issue, a wiki or a mail.

use std::fmt::Write;

use super::escape::{markdown as escaped, one_line};
use super::figures::{FIGURES, line};
use crate::guidance::trace::Trace;
use crate::words::{joined, titles_of, visible};

/// The report: prompt, figures, every text as a quoted block, and what it was made with.
pub fn markdown(trace: &Trace) -> String {
    let titles = titles_of(&trace.arms);
    let mut out = String::from("# IVG Playground: one prompt, side by side\n\n## Prompt\n\n");
    quote(&mut out, &trace.prompt);
    out += "\n## Figures\n\n";
    table(&mut out, trace, &titles);
    out += "\n## Texts\n\nEach begins with the prompt.\n";
    for (arm, title) in trace.arms.iter().zip(&titles) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\n### {}\n\n{} · {}\n\n", title, line(arm), arm.stop_reason.label());
        quote(&mut out, &joined(&trace.prompt, &arm.text));
    }
    let made_with = format!(
        "Pack {} · seed {} · IVG Playground {}",
        one_line(&trace.pack, 80),
        trace.seed,
        one_line(&trace.program, 40),
    );
    let _ = write!(out, "\n---\n\n{}\n", escaped(&made_with));
    out
}

fn table(out: &mut String, trace: &Trace, titles: &[String]) {
    *out += "| Column | Settings |";
    for figure in &FIGURES {
        let _ = write!(out, " {} |", figure.name);
    }
    *out += "\n|---|---|";
    *out += &"---:|".repeat(FIGURES.len());
    *out += "\n";
    for (arm, title) in trace.arms.iter().zip(titles) {
        let _ = write!(out, "| {title} | {} |", line(arm));
        for figure in &FIGURES {
            let _ = write!(out, " {} |", (figure.of)(arm));
        }
        *out += "\n";
    }
}

/// Every line of `text` behind a `>`, with nothing in it that Markdown would act on.
fn quote(out: &mut String, text: &str) {
    let text = visible(text);
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let line = escaped(line);
        if line.is_empty() {
            *out += ">\n";
            continue;
        }
        // Between two lines of one paragraph the break would be lost.
        let breaks = lines.peek().is_some_and(|next| !next.is_empty());
        let _ = writeln!(out, "> {line}{}", if breaks { "\\" } else { "" });
    }
}
