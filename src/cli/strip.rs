//! `ivg-playground strip`: one prompt at many strengths, as tables and JSON.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::lab::strip::{
    self, Abilities, Curve, Dial, MAX_REPEATS, Measure, Plan, Point, REPEATS, Strip,
};
use ivg_playground::local_time::LocalTime;
use ivg_playground::packs::Pack;
use ivg_playground::words::{counted, excerpt, plain, settings_line, visible};
use serde::Serialize;

use super::interrupt::stop_on_interrupt;
use super::settings::SettingArgs;

/// What to run.
#[derive(clap::Args)]
pub struct Args {
    /// The beginning of the text
    #[arg(long)]
    prompt: String,
    /// Responses at every setting, each at a seed of its own
    #[arg(
        long,
        value_name = "N",
        default_value_t = REPEATS,
        value_parser = clap::value_parser!(u64).range(1..=MAX_REPEATS)
    )]
    seeds: u64,
    #[command(flatten)]
    settings: SettingArgs,
    /// Write everything as JSON to this file; `-` is standard output, instead of the tables
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What the file holds.
#[derive(Serialize)]
struct Report<'a> {
    program: &'a str,
    pack: &'a str,
    complete: bool,
    #[serde(flatten)]
    strip: &'a Strip,
}

/// Characters of a text that a line of a table shows.
const EXCERPT: usize = 44;

/// Makes every response, and prints what it is worth and what it costs.
pub fn run(args: &Args, pack: &Pack) -> anyhow::Result<()> {
    super::check_writable(args.json.as_deref())?;
    let settings = args.settings.over(pack.defaults());
    let mut plan = Plan::new(Abilities::from(pack), &args.prompt, &settings, args.seeds)?;
    plan.local_time = pack.asks_time().then(LocalTime::now);
    let stopped = stop_on_interrupt()?;
    let bar = ProgressBar::new(plan.len() as u64);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} · {msg} · {eta} left");
    let bar = style.map_or(bar.clone(), |style| bar.with_style(style));
    let mut strip = Strip::new(plan.clone());
    let complete = strip::run(pack, &plan, &|| stopped.load(Ordering::Relaxed), &mut |sample| {
        bar.set_message(sample.dial.words(sample.setting));
        bar.inc(1);
        strip.add(sample);
    })?;
    bar.finish_and_clear();
    let (program, pack) = (env!("CARGO_PKG_VERSION"), pack.manifest.name.as_str());
    let report = Report { program, pack, complete, strip: &strip };
    let json = serde_json::to_string_pretty(&report)?;
    super::deliver(&json, args.json.as_deref(), || print(pack, &strip))?;
    if !complete {
        bail!("stopped after {} of {} texts; what was done is above", strip.done(), plan.len());
    }
    Ok(())
}

fn print(pack: &str, strip: &Strip) {
    let plan = &strip.plan;
    let Plan { prompt, repeats, .. } = plan;
    let seeds = counted(*repeats as usize, "seed");
    say!("pack {pack}, {prompt:?}, {seeds} from {}", plan.settings.seed);
    for curve in &strip.curves {
        print_curve(plan, curve);
    }
    for left_out in &plan.left_out {
        say!("\n{}: left out. {}", left_out.dial.label(), left_out.reason);
    }
    let height = match plan.measure {
        Measure::Gold => "gold: mean log-odds of praise, by the pack's judge",
        Measure::Value => "value: mean V of the responses, for want of a judge",
    };
    say!(
        "\n{height}; ±: its standard error; KL ≤: most\nnats from the base, tokens and choice \
         together; ppl: perplexity under the base; text: of\nthe first seed; •: as set"
    );
}

fn print_curve(plan: &Plan, curve: &Curve) {
    let dial = curve.dial;
    say!("\n{}, at {}", dial.label(), held(dial, &plan.settings));
    say!(
        "  {:>6}{:>9}{:>8}{:>8}{:>8}   text",
        dial.symbol(),
        plan.measure.name(),
        "±",
        "KL ≤",
        "ppl"
    );
    for point in &curve.points {
        let mark = if point.setting == dial.of(&plan.settings) { "•" } else { " " };
        say!("{mark} {}", line(point));
    }
}

fn line(point: &Point) -> String {
    let figure = |v: Option<f64>, signed: bool, decimals: usize| match v {
        Some(v) if signed => format!("{v:+.decimals$}"),
        Some(v) => format!("{v:.decimals$}"),
        None => "–".into(),
    };
    let text = point.samples.first().map(|s| excerpt(&visible(&s.text), EXCERPT));
    let text = text.unwrap_or_default();
    format!(
        "{:>6}{:>9}{:>8}{:>8}{:>8}   {text}",
        plain(point.setting.into()),
        figure(point.mean, true, 2),
        figure(point.standard_error, false, 2),
        figure(point.kl_bound_nats, false, 1),
        figure(point.base_perplexity, false, 1),
    )
}

/// The settings that are not turned.
fn held(dial: Dial, settings: &Settings) -> String {
    let line = settings_line(Arm::Ivg, settings);
    let others = line.split(" · ").filter(|part| !part.starts_with(dial.symbol()));
    others.collect::<Vec<_>>().join(" · ")
}
