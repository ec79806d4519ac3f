//! Formats a run as a self-contained HTML page for screen and print.

use std::fmt::Write;

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};

use super::metrics::{
    GOLD_REWARD, KL, METRICS, NONE, SECONDS, VALUE, decimals, judge_meaning, signed,
};
use super::side_by_side::{ColumnRun, column_runs, joined_arms};
use super::story;
use super::svg::{self, Look};
use super::value_plot::NO_VALUES;
use crate::format::{minus, plain, separator, visible};
use crate::guidance::labels::{settings_line, titles_of};
use crate::guidance::settings::{Settings, ValueSource};
use crate::guidance::trace::{ArmTrace, TokenTrace, Trace};
use crate::records::escape::one_line;

const STYLE: &str = include_str!("report.css");
/// Advantage with the strongest colour, in nats. The window uses the same scale.
const ADVANTAGE_NATS: f32 = 1.0;
/// Number of colour steps on each side of zero.
const STEPS: i32 = 10;
/// Prompts longer than this are shortened before each response.
const LONG_PROMPT_CHARS: usize = 240;
/// Length of the end of a long prompt that is shown before each response.
const REPEATED_CHARS: usize = 140;

/// Returns the report: prompt, responses coloured by advantage, value plot, metrics and settings.
/// The page has no scripts and no external resources.
pub fn html(trace: &Trace) -> String {
    side_by_side_html(trace, &[])
}

/// Returns one report of a run and of the runs beside it. The columns of a run with another pack,
/// seed or prompt say so.
pub fn side_by_side_html(trace: &Trace, beside: &[Trace]) -> String {
    let runs = column_runs(trace, beside);
    let trace = &*joined_arms(trace, beside);
    let titles = titles_of(&trace.arms);
    let looks = svg::looks(&trace.arms);
    let report = Report { trace, titles: &titles, looks: &looks, runs: &runs };
    let mut page = report.page().into_string();
    page.push('\n');
    page
}

struct Report<'a> {
    /// The first run, with the arms of all runs.
    trace: &'a Trace,
    titles: &'a [String],
    looks: &'a [Look],
    /// The run of every arm.
    runs: &'a [ColumnRun<'a>],
}

impl Report<'_> {
    fn columns(&self) -> impl Iterator<Item = (&ArmTrace, &String, &Look)> {
        let titled = self.trace.arms.iter().zip(self.titles);
        titled.zip(self.looks).map(|((arm, title), look)| (arm, title, look))
    }

    /// Returns whether all columns have the prompt, the seed and the pack of the first run.
    fn is_one_run(&self) -> bool {
        self.runs.iter().all(|run| run.note.is_none())
    }

    fn page(&self) -> Markup {
        let policy = "default-src 'none'; style-src 'unsafe-inline'";
        markup! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (visible(&one_line(&self.trace.prompt, 80))) " · IVG Playground" }
                    style { (PreEscaped(STYLE)) (PreEscaped(tints())) }
                }
                body {
                    main {
                        (self.header())
                        (self.texts())
                        (self.plot())
                        (self.metrics())
                        (self.settings())
                        (self.footer())
                    }
                }
            }
        }
    }

    fn header(&self) -> Markup {
        let t = self.trace;
        let size = match t.prompt.chars().count() {
            0..=90 => None,
            91..=400 => Some("long"),
            _ => Some("longer"),
        };
        markup! {
            header {
                p class="eyebrow" {
                    @if self.runs.iter().all(|run| run.prompt == t.prompt) {
                        bdi { (visible(&one_line(&story(t), 200))) }
                    } @else {
                        "Runs side by side"
                    }
                }
                h1 class=[size] { bdi dir="auto" { (visible(&t.prompt)) } }
                ul class="facts" {
                    li { "Pack " b { bdi { (visible(&one_line(&t.pack, 80))) } } }
                    li { "Seed " b { (t.seed) } }
                    li { "IVG Playground " b { bdi { (visible(&one_line(&t.program, 40))) } } }
                }
            }
        }
    }

    fn texts(&self) -> Markup {
        let mut tokens = self.trace.arms.iter().flat_map(|arm| &arm.tokens);
        let has_advantage = tokens.any(|token| token.advantage.is_some());
        markup! {
            section aria-label="Responses" {
                @if has_advantage { (legend()) }
                div class="columns" {
                    @for ((arm, title, look), run) in self.columns().zip(self.runs) {
                        (text(arm, title, look, run))
                    }
                }
            }
        }
    }

    fn plot(&self) -> Markup {
        let is_implicit = |arm: &ArmTrace| arm.settings.value_source == ValueSource::Implicit;
        markup! {
            section class="card" {
                h2 { "Value of every chunk" }
                @if let Some(plot) = svg::plot(&self.trace.arms, self.titles, self.looks) {
                    ul class="legend" {
                        @for (_, title, look) in self.columns() { li { (svg::key(look)) (title) } }
                        @for (icon, words) in svg::kinds() { li class="weak" { (icon) (words) } }
                    }
                    div class="wide" { (plot) }
                    p class="note" {
                        "Each mark is one partial response at the end of a chunk. Thin lines join \
                         each kept response to the one it continues. The bold line leads to the \
                         final response."
                        @if !self.is_one_run() {
                            " Values for different packs or prompts cannot be compared."
                        }
                        @if self.trace.arms.iter().any(is_implicit) {
                            " Implicit values are summed advantages in nats. They cannot be \
                             compared with the values of the value model."
                        }
                    }
                } @else {
                    p class="note" {
                        (NO_VALUES)
                    }
                }
            }
        }
    }

    fn metrics(&self) -> Markup {
        markup! {
            section class="card" {
                h2 { "Metrics" }
                div class="wide" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Column" }
                                @for metric in &METRICS {
                                    th scope="col" class="number" { (metric.title(self.trace.aim.as_ref())) }
                                }
                            }
                        }
                        tbody {
                            @for ((arm, title, look), run) in self.columns().zip(self.runs) {
                                tr {
                                    th scope="row" {
                                        (svg::key(look)) (title)
                                        small { (settings_line(arm.name, &arm.settings)) }
                                        @if let Some(note) = &run.note {
                                            small { bdi { (visible(note)) } }
                                        }
                                    }
                                    @for metric in &METRICS {
                                        td class="number" { (metric.text_or_none(arm)) }
                                    }
                                }
                            }
                        }
                    }
                }
                dl class="meanings" {
                    @for metric in &METRICS {
                        div { dt { (metric.name) } dd { (metric.meaning) } }
                    }
                }
            }
        }
    }

    fn settings(&self) -> Markup {
        let columns: Vec<_> = self.trace.arms.iter().map(|arm| settings(&arm.settings)).collect();
        let names = columns.first().into_iter().flatten().map(|(name, _)| name);
        markup! {
            section class="card" {
                h2 { "Settings" }
                div class="wide" {
                    table class="settings" {
                        thead {
                            tr {
                                th scope="col" { "Setting" }
                                @for (_, title, look) in self.columns() {
                                    th scope="col" { (svg::key(look)) (title) }
                                }
                            }
                        }
                        tbody {
                            @for (row, name) in names.enumerate() {
                                tr {
                                    th scope="row" { (name) }
                                    @for column in &columns { td { (column[row].1) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn footer(&self) -> Markup {
        markup! {
            footer {
                p {
                    "Integrated Value Guidance (Liu et al., EMNLP 2024) steers a frozen language \
                     model while it decodes. The difference between a tuned and an untuned small \
                     model reweights every token (β). A value model selects between chunks (λ, W, \
                     K, L)."
                    @if self.is_one_run() { " All columns use the same seed." }
                }
                p {
                    "Written by IVG Playground "
                    bdi { (visible(&one_line(&self.trace.program, 40))) } "."
                }
            }
        }
    }
}

/// Returns the response of a column, with its primary metrics.
fn text(arm: &ArmTrace, title: &str, look: &Look, run: &ColumnRun<'_>) -> Markup {
    let prompt = repeated_prompt(run.prompt);
    let separator = separator(run.prompt, &arm.text);
    markup! {
        article class={ "c" (look.colour) } {
            h2 { (svg::key(look)) (title) }
            p class="line" { (settings_line(arm.name, &arm.settings)) }
            @if let Some(note) = &run.note { p class="line" { bdi { (visible(note)) } } }
            p class="text" {
                bdi dir="auto" {
                    span class="prompt" { (visible(&prompt)) (separator) }
                    @for token in arm.tokens.iter().filter(|token| !token.text.is_empty()) {
                        (span(token))
                    }
                }
            }
            dl {
                @for metric in [GOLD_REWARD, VALUE, KL] {
                    div { dt { (metric.title(run.aim)) } dd { (metric.text_or_none(arm)) } }
                }
            }
            @if let Some(score) = arm.gold_reward {
                p class="meaning" { (judge_meaning(score, run.aim)) }
            }
            p class="end" {
                (arm.stop_reason.describe(arm.tokens.len())) " · "
                (SECONDS.text_or_none(arm)) " s"
            }
        }
    }
}

/// Returns the prompt shown before a response: the whole prompt, or the end of a long one.
fn repeated_prompt(prompt: &str) -> String {
    if prompt.chars().nth(LONG_PROMPT_CHARS).is_none() {
        return prompt.to_owned();
    }
    let cut = prompt.char_indices().nth_back(REPEATED_CHARS).map_or(0, |(at, _)| at);
    let end = &prompt[cut..];
    let next_word = end.trim_end().find(char::is_whitespace).unwrap_or(0);
    format!("… {}", end[next_word..].trim_start())
}

/// Returns the name and value of every setting.
fn settings(s: &Settings) -> [(&'static str, String); 14] {
    let off = |number: usize| if number == 0 { "off".to_owned() } else { number.to_string() };
    let tokens = match s.token_source {
        ValueSource::Explicit => "value model",
        ValueSource::Implicit => "pair",
    };
    let limit = |nats: f32| if nats.is_finite() { plain(nats.into()) } else { "off".to_owned() };
    let source = match s.value_source {
        ValueSource::Explicit => "explicit",
        ValueSource::Implicit => "implicit",
    };
    [
        ("Token guidance β", plain(s.beta.into())),
        ("Chunk guidance λ", plain(s.lambda.into())),
        ("Beams kept W", s.beams.to_string()),
        ("Successors per beam K", s.successors.to_string()),
        ("Tokens per chunk L", s.chunk_tokens.to_string()),
        ("Length, tokens", s.max_tokens.to_string()),
        ("Temperature", plain(s.temperature.into())),
        ("Top-k", off(s.top_k)),
        ("Top-p", if s.top_p >= 1.0 { "off".into() } else { plain(s.top_p.into()) }),
        ("Seed", s.seed.to_string()),
        ("Values", source.into()),
        ("Tokens guided by", tokens.into()),
        ("KL budget, nats", limit(s.kl_budget_nats)),
        ("Plausibility mask, nats", limit(s.mask_nats)),
    ]
}

/// Returns the colour step of an advantage in nats, -[`STEPS`] to [`STEPS`].
fn step(advantage: f32) -> i32 {
    let share = (advantage / ADVANTAGE_NATS).clamp(-1.0, 1.0);
    (share * STEPS as f32).round() as i32
}

/// Returns the CSS classes of a colour step: `p` above zero, `n` below.
fn class(step: i32) -> Option<String> {
    match step {
        0 => None,
        1.. => Some(format!("t p{step}")),
        _ => Some(format!("t n{}", -step)),
    }
}

/// Returns the CSS rules of all colour steps. Text is readable on the strongest colour. The upper
/// half of the steps is also underlined, for print and for colour-blind readers.
fn tints() -> String {
    let mut css = String::new();
    for (sign, ink) in [("p", "blue"), ("n", "orange")] {
        for step in 1..=STEPS {
            let alpha = 0.42 * f64::from(step) / f64::from(STEPS);
            // Writing to a string cannot fail.
            let _ = writeln!(css, ".{sign}{step}{{background:rgb(var(--{ink})/{alpha:.3})}}");
        }
        let line = if sign == "p" { "solid" } else { "dotted" };
        let strong: Vec<String> =
            (STEPS / 2..=STEPS).map(|step| format!(".{sign}{step}")).collect();
        let _ = writeln!(css, "{}{{border-bottom:2px {line} rgb(var(--{ink}))}}", strong.join(","));
    }
    css
}

/// Returns a coloured token with its numbers as a tooltip.
fn span(token: &TokenTrace) -> Markup {
    let nats = |v: Option<f32>| v.map_or(NONE.into(), |v| decimals(v.into(), 2));
    let tooltip = format!(
        "{}\nlog p base {} · guided {}\nlog p untuned {} · tuned {}\nadvantage {}\nKL {} nats",
        quoted(&token.text),
        nats(Some(token.logp_base)),
        nats(Some(token.logp_guided)),
        nats(token.logp_untuned),
        nats(token.logp_tuned),
        token.advantage.map_or(NONE.into(), |v| signed(v.into(), 2)),
        decimals(token.kl_nats.into(), 3),
    );
    let own: String =
        token.steer_advantages.iter().map(|v| format!(", {}", signed((*v).into(), 2))).collect();
    let sentences = own.strip_prefix(", ").map(|own| format!("\nof sentences: {own}"));
    let unguided = token.unguided_mass.map(|mass| {
        format!("\nnot guided: {}% of the base's probability", decimals((100.0 * mass).into(), 1))
    });
    let lowered = token
        .strength_factor
        .map(|factor| format!("\nstrength × {} (KL budget)", decimals(factor.into(), 2)));
    let more = [sentences, unguided, lowered].into_iter().flatten();
    let tooltip = more.fold(tooltip, |tooltip, line| tooltip + &line);
    // The space is not coloured, because it would stick out at the end of a line.
    let word = token.text.trim_start();
    let (space, word) = match word {
        "" => ("", token.text.as_str()),
        word => token.text.split_at(token.text.len() - word.len()),
    };
    markup! {
        (visible(space))
        span class=[token.advantage.and_then(|a| class(step(a)))] title=(tooltip) {
            (visible(word))
        }
    }
}

/// Returns a token's text in quotation marks, with visible white space.
fn quoted(text: &str) -> String {
    format!("“{}”", visible(text).replace('\n', "⏎").replace('\t', "⇥").replace(' ', "·"))
}

/// Returns the colour scale with its explanation.
fn legend() -> Markup {
    let ticks = [(-1.0, "≤ "), (-0.5, ""), (0.0, ""), (0.5, ""), (1.0, "≥ ")];
    let number = |at: f64| if at == 0.0 { "0".to_owned() } else { minus(&format!("{at:+}")) };
    markup! {
        div class="scale" {
            span class="what" { "Advantage of each token" }
            span class="ramp" { @for at in -STEPS..=STEPS { i class=[class(at)] {} } }
            span class="ticks" {
                @for (at, bound) in ticks { span { (bound) (number(at)) } }
            }
            span class="note" {
                "in nats: log-probability of the token under the tuned model minus that under the \
                 untuned model. Solid underline: +0.5 or more. Dotted underline: −0.5 or less. \
                 Hover over a token for its numbers."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_steps_are_centred_at_zero_and_saturate_at_one_nat() {
        assert_eq!([-7.0, -1.0, -0.04, 0.0, 0.5, 2.0].map(step), [-10, -10, 0, 0, 5, 10]);
        assert_eq!(class(0), None);
        assert_ne!(class(3), class(-3));
    }

    #[test]
    fn every_colour_step_has_a_css_rule() {
        let css = tints();
        for step in (-STEPS..=STEPS).filter(|&s| s != 0) {
            let class = class(step).expect("a class").replace("t ", ".");
            assert!(css.contains(&format!("{class}{{")), "{class}");
        }
    }
}
