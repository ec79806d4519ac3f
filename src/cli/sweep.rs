//! `ivg-playground sweep`: runs sweeps on one prompt and prints tables or JSON.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use ivg_playground::format::{counted, excerpt, plain, visible};
use ivg_playground::guidance::labels::settings_line;
use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::lab::sweep;
use ivg_playground::lab::sweep::{
    Curve, MAX_REPEATS, Measure, PackCapabilities, Plan, Point, REPEATS, SweepAxis, SweepResults,
};
use ivg_playground::local_time::LocalTime;
use ivg_playground::packs::Pack;
use serde::Serialize;

use super::interrupt::stop_on_interrupt;
use super::settings::SettingArgs;

#[derive(clap::Args)]
pub struct Args {
    /// Prompt to respond to
    #[arg(long)]
    prompt: String,
    /// Responses at each value, each with a different seed
    #[arg(
        long,
        value_name = "N",
        default_value_t = REPEATS,
        value_parser = clap::value_parser!(u64).range(1..=MAX_REPEATS)
    )]
    seeds: u64,
    #[command(flatten)]
    settings: SettingArgs,
    /// Also write the results as JSON to this file; `-` prints the JSON instead of the tables
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The JSON output.
#[derive(Serialize)]
struct Report<'a> {
    program: &'a str,
    pack: &'a str,
    complete: bool,
    #[serde(flatten)]
    sweep: &'a SweepResults,
}

/// Number of characters of a text that a table row shows.
const EXCERPT: usize = 44;

/// Generates all responses, and prints reward and KL of each value.
pub fn run(args: &Args, pack: &Pack) -> anyhow::Result<()> {
    super::output::check_writable(args.json.as_deref())?;
    let settings = args.settings.apply_to(pack.defaults());
    let mut plan = Plan::new(PackCapabilities::from(pack), &args.prompt, &settings, args.seeds)?;
    plan.local_time = pack.uses_time().then(LocalTime::now);
    let stopped = stop_on_interrupt()?;
    let bar = ProgressBar::new(plan.len() as u64);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} · {msg} · {eta} left");
    let bar = style.map_or(bar.clone(), |style| bar.with_style(style));
    let mut sweep = SweepResults::new(plan.clone());
    let complete = sweep::run(pack, &plan, &|| stopped.load(Ordering::Relaxed), &mut |sample| {
        bar.set_message(sample.axis.format_value(sample.setting));
        bar.inc(1);
        sweep.add(sample);
    })?;
    bar.finish_and_clear();
    let (program, pack) = (env!("CARGO_PKG_VERSION"), pack.manifest.name.as_str());
    let report = Report { program, pack, complete, sweep: &sweep };
    let json = serde_json::to_string_pretty(&report)?;
    super::output::write_result(&json, args.json.as_deref(), || print(pack, &sweep))?;
    if !complete {
        bail!("stopped after {} of {} texts; the results are above", sweep.done(), plan.len());
    }
    Ok(())
}

fn print(pack: &str, sweep: &SweepResults) {
    let plan = &sweep.plan;
    let Plan { prompt, repeats, .. } = plan;
    let seeds = counted(*repeats as usize, "seed");
    outln!("pack {pack}, {prompt:?}, {seeds} from {}", plan.settings.seed);
    for curve in &sweep.curves {
        print_curve(plan, curve);
    }
    for skipped in &plan.skipped {
        outln!("\n{}: left out. {}", skipped.axis.label(), skipped.reason);
    }
    let measure = match plan.measure {
        Measure::Gold => "judge: mean log-odds of praise by the pack's judge",
        Measure::Value => "value: mean V of the responses; the pack has no judge",
    };
    outln!(
        "\n{measure}; ±: its standard error; KL ≤: upper\nbound in nats, tokens and selection \
         together; ppl: perplexity under the base; text: of the\nfirst seed; •: the value in the \
         settings"
    );
}

fn print_curve(plan: &Plan, curve: &Curve) {
    let axis = curve.axis;
    outln!("\n{}, at {}", axis.label(), fixed_settings(axis, &plan.settings));
    outln!(
        "  {:>6}{:>9}{:>8}{:>8}{:>8}   text",
        axis.symbol(),
        plan.measure.name(),
        "±",
        "KL ≤",
        "ppl"
    );
    for point in &curve.points {
        let mark = if point.setting == axis.value_in(&plan.settings) { "•" } else { " " };
        outln!("{mark} {}", line(point));
    }
}

fn line(point: &Point) -> String {
    let number = |v: Option<f64>, signed: bool, decimals: usize| match v {
        Some(v) if signed => format!("{v:+.decimals$}"),
        Some(v) => format!("{v:.decimals$}"),
        None => "–".into(),
    };
    let text = point.samples.first().map(|s| excerpt(&visible(&s.text), EXCERPT));
    let text = text.unwrap_or_default();
    format!(
        "{:>6}{:>9}{:>8}{:>8}{:>8}   {text}",
        plain(point.setting.into()),
        number(point.mean, true, 2),
        number(point.standard_error, false, 2),
        number(point.kl_bound_nats, false, 1),
        number(point.base_perplexity, false, 1),
    )
}

/// Returns the settings that do not vary in this sweep.
fn fixed_settings(axis: SweepAxis, settings: &Settings) -> String {
    let line = settings_line(Arm::Ivg, settings);
    let others = line.split(" · ").filter(|part| !part.starts_with(axis.symbol()));
    others.collect::<Vec<_>>().join(" · ")
}
