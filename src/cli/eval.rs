//! `ivg-playground eval`: how far guidance aligns, on many prompts, as a table and files.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use ivg_playground::guidance::settings::ValueSource;
use ivg_playground::lab::eval::{self, EvalArm, MAX_SEEDS, Plan, Record, Store, Summary};
use ivg_playground::packs::Pack;
use ivg_playground::words::counted;

use super::interrupt::stop_on_interrupt;
use super::settings::SettingArgs;

/// What to compare, on what, and where the results go.
#[derive(clap::Args)]
pub struct Args {
    /// Folder for texts.jsonl, summary.json and summary.csv; without it, only the table is shown
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with what the folder holds
    #[arg(long, requires = "out")]
    resume: bool,
    /// Use the first N prompts only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    prompts: Option<u64>,
    /// Responses of every arm to every prompt
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        conflicts_with = "seed",
        value_parser = clap::value_parser!(u64).range(1..=MAX_SEEDS)
    )]
    seeds: u64,
    /// Prompts to use instead of the pack's own, one a line
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// An arm to run, may be repeated: base, best-of-n, token, chunk, chunk-implicit, ivg
    /// [default: all that the pack has models for]
    #[arg(long = "arm", value_name = "ARM")]
    arms: Vec<EvalArm>,
    #[command(flatten)]
    settings: SettingArgs,
}

/// Runs what is missing, and prints the table of what is there.
pub fn run(args: &Args, pack: &Pack) -> anyhow::Result<()> {
    let mut plan = plan(args, pack)?;
    if pack.judge.is_none() {
        tell!("this pack has no judge: texts are made and measured, but not judged");
    }
    let (mut store, mut records) = open(args, &mut plan)?;
    let stopped = stop_on_interrupt()?;
    let bar = progress(&plan, records.len());
    let done = records.clone();
    let result =
        eval::run(pack, &plan, &done, &|| stopped.load(Ordering::Relaxed), &mut |record| {
            if let Some(store) = &mut store {
                store.append(&record)?;
            }
            bar.set_message(record.arm.name());
            bar.inc(1);
            records.push(record);
            Ok(())
        });
    bar.finish_and_clear();
    // What is done is shown and kept, whatever ended the work.
    let summary = Summary::new(&plan, &records);
    if let Some(store) = &store {
        store.write_summary(&summary)?;
    }
    if !records.is_empty() {
        print(&summary);
    }
    result?;
    if !summary.complete {
        let (made, all) = (summary.texts, plan.texts());
        match &args.out {
            Some(_) => bail!("stopped after {made} of {all} texts; --resume goes on from there"),
            None => bail!("stopped after {made} of {all} texts; with --out DIR they would be kept"),
        }
    }
    Ok(())
}

fn plan(args: &Args, pack: &Pack) -> anyhow::Result<Plan> {
    let settings = args.settings.over(pack.defaults());
    settings.validate()?;
    let possible = |arm: &EvalArm| arm.is_possible(pack, &settings);
    let arms = if args.arms.is_empty() {
        // Where chunks are ranked by implicit values anyway, that is one arm and not two.
        let is_again = |arm: &EvalArm| {
            *arm == EvalArm::ChunkImplicit && settings.value_source == ValueSource::Implicit
        };
        EvalArm::ALL.into_iter().filter(|arm| possible(arm) && !is_again(arm)).collect()
    } else {
        if let Some(arm) = args.arms.iter().find(|arm| !possible(arm)) {
            bail!("the pack has not the models for arm {}; leave it out", arm.name());
        }
        EvalArm::ALL.into_iter().filter(|arm| args.arms.contains(arm)).collect()
    };
    let prompts = prompts(args, pack)?;
    Ok(Plan::new(pack, settings, arms, args.seeds, prompts)?)
}

fn prompts(args: &Args, pack: &Pack) -> anyhow::Result<Vec<String>> {
    let named = args.prompt_file.clone().map(|file| {
        let text = eval::read_prompts(&file);
        (file, text)
    });
    let (file, text) =
        named.or_else(|| pack.manifest.read_eval_prompts(&pack.folder)).ok_or_else(|| {
            anyhow!("this pack has no prompts of its own; name a file with --prompt-file")
        })?;
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned);
    let count = args.prompts.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let prompts: Vec<String> = lines.take(count).collect();
    if prompts.is_empty() {
        bail!("{} holds no prompt; write one a line", file.display());
    }
    Ok(prompts)
}

fn open(args: &Args, plan: &mut Plan) -> anyhow::Result<(Option<Store>, Vec<Record>)> {
    let Some(folder) = &args.out else { return Ok((None, Vec::new())) };
    if !args.resume {
        return Ok((Some(Store::create(folder, plan)?), Vec::new()));
    }
    let resumed = Store::resume(folder, plan)?;
    if resumed.dropped > 0 {
        tell!("{} of texts.jsonl made again", counted(resumed.dropped, "damaged line"));
    }
    *plan = resumed.plan;
    Ok((Some(resumed.store), resumed.records))
}

/// On standard error, and only where that is a terminal.
fn progress(plan: &Plan, done: usize) -> ProgressBar {
    let bar = ProgressBar::new(plan.texts() as u64).with_position(done as u64);
    // Time left is counted from what this run does, not from what it found.
    bar.reset_eta();
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} · {msg} · {eta} left");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

fn print(summary: &Summary) {
    let Summary { pack, texts, prompts, seeds, .. } = summary;
    let (prompts, seeds) = (counted(*prompts, "prompt"), counted(*seeds as usize, "seed"));
    say!("pack {pack}, {prompts}, {seeds}, {}\n", counted(*texts, "text"));
    say!(
        "{:<28}{:>22}{:>10}{:>7}{:>7}{:>12}{:>9}{:>9}{:>8}",
        "",
        "gold reward, 95%",
        "positive",
        "KL ≤",
        "ppl",
        "distinct-2",
        "in text",
        "seconds",
        "tokens"
    );
    for a in &summary.arms {
        if a.texts == 0 {
            continue;
        }
        let gold = match (a.gold_mean, a.gold_low, a.gold_high) {
            (Some(mean), Some(low), Some(high)) => format!("{mean:+.2} [{low:+.2}, {high:+.2}]"),
            _ => "no judge".into(),
        };
        let positive = a.share_positive.map_or("–".into(), |s| format!("{:.1}%", s * 100.0));
        say!(
            "{:<28}{gold:>22}{positive:>10}{:>7.1}{:>7.1}{:>12.3}{:>9.3}{:>9.2}{:>8.0}",
            a.label,
            a.kl_nats,
            a.base_ppl,
            a.distinct2,
            a.distinct2_in_text,
            a.seconds,
            a.sampled_tokens
        );
    }
    say!(
        "\ngold reward: log-odds of praise, by the pack's judge; KL ≤: nats from the base, tokens \
         and\nchoice together; ppl: perplexity under the base; distinct-2: different bigrams among \
         those of\nall texts, and of one text; seconds and sampled tokens a response"
    );
}
