//! `ivg-playground eval`: compares arms on many prompts and writes a table and files.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use ivg_playground::format::counted;
use ivg_playground::guidance::settings::ValueSource;
use ivg_playground::lab::eval::{self, EvalArm, MAX_SEEDS, Plan, Record, Store, Summary};
use ivg_playground::packs::Pack;

use super::interrupt::stop_on_interrupt;
use super::settings::SettingArgs;

#[derive(clap::Args)]
pub struct Args {
    /// Also write texts.jsonl, summary.json and summary.csv to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the run in the folder of --out
    #[arg(long, requires = "out")]
    resume: bool,
    /// Use only the first N prompts
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    prompts: Option<u64>,
    /// Responses of each arm to each prompt
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3,
        conflicts_with = "seed",
        value_parser = clap::value_parser!(u64).range(1..=MAX_SEEDS)
    )]
    seeds: u64,
    /// File with the prompts, one per line [default: the prompts of the pack]
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// Arm to run; may be repeated: base, best-of-n, token, chunk, chunk-implicit, ivg [default:
    /// all arms that the pack has models for]
    #[arg(long = "arm", value_name = "ARM")]
    arms: Vec<EvalArm>,
    #[command(flatten)]
    settings: SettingArgs,
}

/// Generates the missing texts and prints the table.
pub fn run(args: &Args, pack: &Pack) -> anyhow::Result<()> {
    let mut plan = plan(args, pack)?;
    if pack.judge.is_none() {
        errln!("this pack has no judge: the texts get no gold reward");
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
    // Keep and print the finished texts even after an error.
    let summary = Summary::new(&plan, &records);
    if let Some(store) = &store {
        store.write_summary(&summary)?;
    }
    if !records.is_empty() {
        print(&summary);
    }
    result?;
    if !summary.complete {
        let (done, all) = (summary.texts, plan.texts());
        match &args.out {
            Some(_) => bail!("stopped after {done} of {all} texts; continue with --resume"),
            None => bail!("stopped after {done} of {all} texts; use --out DIR to keep them"),
        }
    }
    Ok(())
}

fn plan(args: &Args, pack: &Pack) -> anyhow::Result<Plan> {
    let settings = args.settings.apply_to(pack.defaults());
    settings.validate()?;
    let possible = |arm: &EvalArm| arm.is_possible(pack, &settings);
    let arms = if args.arms.is_empty() {
        // With implicit values, `chunk` and `chunk-implicit` are the same arm.
        let is_duplicate = |arm: &EvalArm| {
            *arm == EvalArm::ChunkImplicit && settings.value_source == ValueSource::Implicit
        };
        EvalArm::ALL.into_iter().filter(|arm| possible(arm) && !is_duplicate(arm)).collect()
    } else {
        if let Some(arm) = args.arms.iter().find(|arm| !possible(arm)) {
            bail!("the pack does not have the models for arm {}; leave it out", arm.name());
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
    let (file, text) = named
        .or_else(|| pack.manifest.read_eval_prompts(&pack.folder))
        .ok_or_else(|| anyhow!("this pack has no eval prompts; name a file with --prompt-file"))?;
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned);
    let count = args.prompts.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let prompts: Vec<String> = lines.take(count).collect();
    if prompts.is_empty() {
        bail!("{} contains no prompts; write one per line", file.display());
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
        errln!("generating {} of texts.jsonl again", counted(resumed.dropped, "damaged line"));
    }
    *plan = resumed.plan;
    Ok((Some(resumed.store), resumed.records))
}

/// Creates a progress bar on standard error, drawn only on a terminal.
fn progress(plan: &Plan, done: usize) -> ProgressBar {
    let bar = ProgressBar::new(plan.texts() as u64).with_position(done as u64);
    // The time left must not count the texts of an earlier run.
    bar.reset_eta();
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} · {msg} · {eta} left");
    style.map_or(bar.clone(), |style| bar.with_style(style))
}

fn print(summary: &Summary) {
    let Summary { pack, texts, prompts, seeds, .. } = summary;
    let (prompts, seeds) = (counted(*prompts, "prompt"), counted(*seeds as usize, "seed"));
    outln!("pack {pack}, {prompts}, {seeds}, {}\n", counted(*texts, "text"));
    outln!(
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
        outln!(
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
    outln!(
        "\ngold reward: log-odds of praise by the pack's judge; KL ≤: upper bound in nats, tokens \
         and\nselection together; ppl: perplexity under the base; distinct-2: share of distinct \
         bigrams in all\ntexts; in text: the same within one text; seconds and sampled tokens: per \
         response"
    );
}
