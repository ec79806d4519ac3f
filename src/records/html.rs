//! A run as one HTML file that needs nothing else: to be shown, sent and printed.

use std::fmt::Write;

use super::escape::{html as escaped, one_line};
use super::figures::{self, FIGURES, NONE, decimals, signed};
use super::svg::{self, Look};
use crate::guidance::settings::ValueSource;
use crate::guidance::trace::{ArmTrace, TokenTrace, Trace};
use crate::words::{minus, seam, titles_of, visible};

const STYLE: &str = include_str!("report.css");
/// Advantage with the strongest colour, in nats, as in the window.
const ADVANTAGE_NATS: f32 = 1.0;
/// Steps of colour on either side of nothing.
const STEPS: i32 = 10;
/// Of a longer prompt only the end is repeated before every text.
const LONG_PROMPT_CHARS: usize = 240;
const REPEATED_CHARS: usize = 140;

/// The report: prompt, every text coloured by advantage, the value plot, figures and settings.
/// Nothing in it runs, and nothing is fetched.
pub fn html(trace: &Trace) -> String {
    let titles = titles_of(&trace.arms);
    let looks = svg::looks(&trace.arms);
    let report = Report { trace, titles: &titles, looks: &looks };
    let mut out = String::new();
    report.head(&mut out);
    report.texts(&mut out);
    report.plot(&mut out);
    report.figures(&mut out);
    report.settings(&mut out);
    report.foot(&mut out);
    out
}

struct Report<'a> {
    trace: &'a Trace,
    titles: &'a [String],
    looks: &'a [Look],
}

impl Report<'_> {
    fn columns(&self) -> impl Iterator<Item = (&ArmTrace, &String, &Look)> {
        let titled = self.trace.arms.iter().zip(self.titles);
        titled.zip(self.looks).map(|((arm, title), look)| (arm, title, look))
    }

    fn head(&self, out: &mut String) {
        let t = self.trace;
        let (pack, program) = (escaped(&one_line(&t.pack, 80)), escaped(&one_line(&t.program, 40)));
        let size = match t.prompt.chars().count() {
            0..=90 => "",
            91..=400 => " class=\"long\"",
            _ => " class=\"longer\"",
        };
        let _ = write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{} · IVG Playground</title>\n<style>\n{STYLE}{}</style>\n</head>\n\
             <body>\n<main>\n<header>\n<p class=\"eyebrow\">One prompt, side by side</p>\n\
             <h1{size}><bdi dir=\"auto\">{}</bdi></h1>\n\
             <ul class=\"facts\"><li>Pack <b><bdi>{pack}</bdi></b></li><li>Seed <b>{}</b></li>\
             <li>IVG Playground <b><bdi>{program}</bdi></b></li></ul>\n</header>\n",
            escaped(&one_line(&t.prompt, 80)),
            tints(),
            escaped(&t.prompt),
            t.seed,
        );
    }

    fn texts(&self, out: &mut String) {
        *out += "<section aria-label=\"Texts\">\n";
        if figures::has_advantage(self.trace) {
            legend(out);
        }
        *out += "<div class=\"columns\">\n";
        for (arm, title, look) in self.columns() {
            let _ = write!(
                out,
                "<article class=\"c{}\">\n<h2>{}{title}</h2>\n<p class=\"line\">{}</p>\n\
                 <p class=\"text\"><bdi dir=\"auto\"><span class=\"prompt\">{}{}</span>",
                look.colour,
                svg::key(look),
                escaped(&figures::line(arm)),
                escaped(&self.repeated_prompt()),
                seam(&self.trace.prompt, &arm.text),
            );
            arm.tokens.iter().for_each(|token| span(out, token));
            let _ = write!(
                out,
                "</bdi></p>\n<dl><div><dt>Gold reward</dt><dd>{}</dd></div>\
                 <div><dt>Value</dt><dd>{}</dd></div><div><dt>KL, nats</dt><dd>{}</dd></div></dl>\n\
                 <p class=\"end\">{} tokens · {} s · {}</p>\n</article>\n",
                signed(arm.gold_reward, 2),
                signed(arm.value, 2),
                decimals(arm.kl_nats().into(), 2),
                arm.tokens.len(),
                decimals(arm.elapsed_ms / 1e3, 2),
                arm.stop_reason.label(),
            );
        }
        *out += "</div>\n</section>\n";
    }

    /// What stands before each text: the prompt, or the end of a long one.
    fn repeated_prompt(&self) -> String {
        let prompt = &self.trace.prompt;
        if prompt.chars().nth(LONG_PROMPT_CHARS).is_none() {
            return prompt.clone();
        }
        let cut = prompt.char_indices().nth_back(REPEATED_CHARS).map_or(0, |(at, _)| at);
        let end = &prompt[cut..];
        // From the next word on, if there is one.
        let word = end.trim_end().find(char::is_whitespace).unwrap_or(0);
        format!("… {}", end[word..].trim_start())
    }

    fn plot(&self, out: &mut String) {
        *out += "<section class=\"card\">\n<h2>Value of every chunk</h2>\n";
        let Some(plot) = svg::plot(&self.trace.arms, self.titles, self.looks) else {
            *out += "<p class=\"note\">This run gave no values: nothing in the pack ranks partial \
                     responses.</p>\n</section>\n";
            return;
        };
        *out += "<ul class=\"legend\">";
        for (_, title, look) in self.columns() {
            let _ = write!(out, "<li>{}{title}</li>", svg::key(look));
        }
        for (icon, words) in svg::kinds() {
            let _ = write!(out, "<li class=\"weak\">{icon}{words}</li>");
        }
        let _ = write!(out, "</ul>\n<div class=\"wide\">{plot}</div>\n");
        *out += "<p class=\"note\">Each mark is one partial response at the end of a chunk. Thin \
                 lines join what was kept to what it grew from; bold lines are the way of the \
                 answer.";
        if self.trace.arms.iter().any(|a| a.settings.value_source == ValueSource::Implicit) {
            *out += " Implicit values are summed advantages in nats: they are not on one scale \
                     with those of the value model.";
        }
        *out += "</p>\n</section>\n";
    }

    fn figures(&self, out: &mut String) {
        *out += "<section class=\"card\">\n<h2>Figures</h2>\n<div class=\"wide\"><table>\n<thead>\
                 <tr><th scope=\"col\">Column</th>";
        for figure in &FIGURES {
            let _ = write!(out, "<th scope=\"col\" class=\"number\">{}</th>", figure.name);
        }
        *out += "</tr></thead>\n<tbody>\n";
        for (arm, title, look) in self.columns() {
            let _ = write!(
                out,
                "<tr><th scope=\"row\">{}{title}<small>{}</small></th>",
                svg::key(look),
                escaped(&figures::line(arm))
            );
            for figure in &FIGURES {
                let _ = write!(out, "<td class=\"number\">{}</td>", (figure.of)(arm));
            }
            *out += "</tr>\n";
        }
        *out += "</tbody></table></div>\n<dl class=\"meanings\">";
        for figure in FIGURES.iter().filter(|f| !f.meaning.is_empty()) {
            let _ = write!(
                out,
                "<div><dt>{}</dt><dd>{}</dd></div>",
                figure.name,
                escaped(figure.meaning)
            );
        }
        *out += "</dl>\n</section>\n";
    }

    fn settings(&self, out: &mut String) {
        *out += "<section class=\"card\">\n<h2>Settings</h2>\n<div class=\"wide\"><table class=\"settings\">\n<thead>\
                 <tr><th scope=\"col\">What each column decoded with</th>";
        for (_, title, look) in self.columns() {
            let _ = write!(out, "<th scope=\"col\">{}{title}</th>", svg::key(look));
        }
        *out += "</tr></thead>\n<tbody>\n";
        let columns: Vec<_> =
            self.trace.arms.iter().map(|arm| figures::settings(&arm.settings)).collect();
        let names = columns.first().into_iter().flatten().map(|(name, _)| name);
        for (row, name) in names.enumerate() {
            let _ = write!(out, "<tr><th scope=\"row\">{name}</th>");
            for column in &columns {
                let _ = write!(out, "<td>{}</td>", escaped(&column[row].1));
            }
            *out += "</tr>\n";
        }
        *out += "</tbody></table></div>\n</section>\n";
    }

    fn foot(&self, out: &mut String) {
        let _ = write!(
            out,
            "<footer><p>Integrated Value Guidance (Liu et al., EMNLP 2024) steers a frozen \
             language model while it writes: a tuned and an untuned small model weigh every token \
             (β), a value model picks among chunks (λ, W, K, L). The same seed draws the same \
             tokens in every column.</p><p>Written by IVG Playground <bdi>{}</bdi>.</p></footer>\n\
             </main>\n</body>\n</html>\n",
            escaped(&one_line(&self.trace.program, 40))
        );
    }
}

/// The step of colour of an advantage.
fn step(advantage: f32) -> i32 {
    let share = (advantage / ADVANTAGE_NATS).clamp(-1.0, 1.0);
    (share * STEPS as f32).round() as i32
}

/// Class of a step: `p` above nothing, `n` below; none at nothing.
fn class(step: i32) -> String {
    match step {
        0 => String::new(),
        1.. => format!(" class=\"t p{step}\""),
        _ => format!(" class=\"t n{}\"", -step),
    }
}

/// The colours of all steps. Text stays readable on the strongest; what is beyond the middle of
/// the scale is underlined too, for paper and eyes without colour.
fn tints() -> String {
    let mut css = String::new();
    for (sign, ink) in [("p", "blue"), ("n", "orange")] {
        for step in 1..=STEPS {
            let alpha = 0.42 * f64::from(step) / f64::from(STEPS);
            let _ = writeln!(css, ".{sign}{step}{{background:rgb(var(--{ink})/{alpha:.3})}}");
        }
        let line = if sign == "p" { "solid" } else { "dotted" };
        let strong: Vec<String> =
            (STEPS / 2..=STEPS).map(|step| format!(".{sign}{step}")).collect();
        let _ = writeln!(css, "{}{{border-bottom:2px {line} rgb(var(--{ink}))}}", strong.join(","));
    }
    css
}

/// A token; one that completes no character has nothing to show.
fn span(out: &mut String, token: &TokenTrace) {
    if token.text.is_empty() {
        return;
    }
    let nats = |v: Option<f32>| v.map_or(NONE.into(), |v| decimals(v.into(), 2));
    let words = format!(
        "{}\nlog p base {} · guided {}\nlog p untuned {} · tuned {}\nadvantage {}\nKL {} nats",
        quoted(&token.text),
        nats(Some(token.logp_base)),
        nats(Some(token.logp_guided)),
        nats(token.logp_untuned),
        nats(token.logp_tuned),
        signed(token.advantage, 2),
        decimals(token.kl_nats.into(), 3),
    );
    let class = token.advantage.map(|a| class(step(a))).unwrap_or_default();
    // A space that ends a line hangs over its edge: colour begins at the word.
    let body = token.text.trim_start();
    let (space, body) = match body {
        "" => ("", token.text.as_str()),
        body => token.text.split_at(token.text.len() - body.len()),
    };
    let _ = write!(
        out,
        "{}<span{class} title=\"{}\">{}</span>",
        escaped(space),
        escaped(&words).replace('\n', "&#10;"),
        escaped(body)
    );
}

/// A token's text with its spaces seen.
fn quoted(text: &str) -> String {
    format!("“{}”", visible(text).replace('\n', "⏎").replace('\t', "⇥").replace(' ', "·"))
}

/// The scale of the colours, with its numbers.
fn legend(out: &mut String) {
    *out += "<div class=\"scale\"><span class=\"what\">Advantage of each token</span>\
             <span class=\"ramp\">";
    for at in -STEPS..=STEPS {
        let _ = write!(out, "<i{}></i>", class(at));
    }
    *out += "</span><span class=\"ticks\">";
    for (at, bound) in [(-1.0, "≤ "), (-0.5, ""), (0.0, ""), (0.5, ""), (1.0, "≥ ")] {
        let number = if at == 0.0 { "0".into() } else { minus(&format!("{at:+}")) };
        let _ = write!(out, "<span>{bound}{number}</span>");
    }
    *out += "</span><span class=\"note\">in nats: how much likelier the tuned model finds the \
             token than the untuned one. Solid underline: from +0.5; dotted: from −0.5. Rest the \
             pointer on a token for its numbers.</span></div>\n";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_centred_at_nothing_and_ends_at_one_nat() {
        assert_eq!([-7.0, -1.0, -0.04, 0.0, 0.5, 2.0].map(step), [-10, -10, 0, 0, 5, 10]);
        assert_eq!((class(0), class(3), class(-3)).0, "");
        assert_ne!(class(3), class(-3));
    }

    #[test]
    fn every_step_has_its_colour() {
        let css = tints();
        for step in (-STEPS..=STEPS).filter(|&s| s != 0) {
            let name = class(step).replace(" class=\"t ", ".").replace('"', "{");
            assert!(css.contains(&name), "{name}");
        }
    }
}
