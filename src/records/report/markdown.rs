//! Formats a run as Markdown, for issues, wikis and mails.

use std::fmt::Write;

use super::metrics::METRICS;
use super::side_by_side::{column_runs, joined_arms};
use super::story;
use crate::format::{joined, visible};
use crate::guidance::labels::{settings_line, titles_of};
use crate::guidance::trace::Trace;
use crate::records::escape::{markdown as escaped, one_line};

/// Returns the report: prompt, metrics, every response as a quoted block, pack, seed and version.
pub fn markdown(trace: &Trace) -> String {
    side_by_side_markdown(trace, &[])
}

/// Returns one report of a run and of the runs beside it. The columns of a run with another pack,
/// seed or prompt say so.
pub fn side_by_side_markdown(trace: &Trace, beside: &[Trace]) -> String {
    let runs = column_runs(trace, beside);
    let trace = &*joined_arms(trace, beside);
    let titles = titles_of(&trace.arms);
    let is_one_prompt = runs.iter().all(|run| run.prompt == trace.prompt);
    let subject = if is_one_prompt { "one prompt" } else { "runs" };
    let mut out = format!("# IVG Playground: {subject}, side by side\n\n");
    if is_one_prompt {
        // Writing to a string cannot fail.
        let _ = write!(out, "{}.\n\n", escaped(&one_line(&story(trace), 200)));
    }
    out += "## Prompt\n\n";
    quote(&mut out, &trace.prompt);
    out += "\n## Metrics\n\n";
    table(&mut out, trace, &titles);
    out += "\n## Responses\n\nEach text begins with the prompt.\n";
    for ((arm, title), run) in trace.arms.iter().zip(&titles).zip(&runs) {
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "\n### {}\n\n{} · {}\n\n",
            title,
            settings_line(arm.name, &arm.settings),
            arm.stop_reason.describe(arm.tokens.len())
        );
        if let Some(note) = &run.note {
            let _ = write!(out, "{}\n\n", escaped(note));
        }
        quote(&mut out, &joined(run.prompt, &arm.text));
    }
    let origin = format!(
        "Pack {} · seed {} · IVG Playground {}",
        one_line(&trace.pack, 80),
        trace.seed,
        one_line(&trace.program, 40),
    );
    let _ = write!(out, "\n---\n\n{}\n", escaped(&origin));
    out
}

fn table(out: &mut String, trace: &Trace, titles: &[String]) {
    *out += "| Column | Settings |";
    for metric in &METRICS {
        let _ = write!(out, " {} |", escaped(&metric.title(trace.aim.as_ref())));
    }
    *out += "\n|---|---|";
    *out += &"---:|".repeat(METRICS.len());
    *out += "\n";
    for (arm, title) in trace.arms.iter().zip(titles) {
        let _ = write!(out, "| {title} | {} |", settings_line(arm.name, &arm.settings));
        for metric in &METRICS {
            let _ = write!(out, " {} |", metric.text_or_none(arm));
        }
        *out += "\n";
    }
}

/// Appends `text` as a quoted block with all markup escaped.
fn quote(out: &mut String, text: &str) {
    let text = visible(text);
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        let line = escaped(line);
        if line.is_empty() {
            *out += ">\n";
            continue;
        }
        // Without a backslash, Markdown would join the lines of a paragraph.
        let breaks = lines.peek().is_some_and(|next| !next.is_empty());
        let _ = writeln!(out, "> {line}{}", if breaks { "\\" } else { "" });
    }
}
