//! `ivg-playground generate`: one prompt, some arms, texts and values on standard output.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use ivg_playground::guidance::settings::{Arm, Column, Settings};
use ivg_playground::guidance::trace::{ArmTrace, Trace};
use ivg_playground::packs::PackSource;
use ivg_playground::worker::{
    self, Link,
    protocol::{Command, Event, Request},
};

use super::settings::SettingArgs;

/// What to generate.
#[derive(clap::Args)]
pub struct Args {
    /// The beginning of the text
    #[arg(long)]
    prompt: String,
    /// An arm to run, may be repeated: base, best-of-n, token, chunk, ivg [default: base ivg]
    #[arg(long = "arm", value_name = "ARM")]
    arms: Vec<Arm>,
    #[command(flatten)]
    settings: SettingArgs,
    /// Write the trace as JSON to this file; `-` is standard output, and then nothing else is
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the arms on the same worker that the window uses.
pub fn run(args: &Args, pack: PackSource) -> anyhow::Result<()> {
    let link = worker::spawn(|| {}).context("cannot start the worker thread")?;
    let defaults = load(&link, pack)?;
    let arms = if args.arms.is_empty() { vec![Arm::Base, Arm::Ivg] } else { args.arms.clone() };
    let settings = args.settings.over(defaults);
    let request = Request {
        prompt: args.prompt.clone(),
        columns: arms.into_iter().map(Column::from).collect(),
        settings,
    };
    let trace = generate(&link, request)?;
    match &args.json {
        Some(path) if path == Path::new("-") => {
            write_json(std::io::stdout().lock(), &trace).context("cannot write the trace")
        }
        Some(path) => {
            let failed = || format!("cannot write {}", path.display());
            let file = std::fs::File::create(path).with_context(failed)?;
            write_json(std::io::BufWriter::new(file), &trace).with_context(failed)?;
            print(&trace)
        }
        None => print(&trace),
    }
}

/// Loads the pack; gives the settings it starts with.
fn load(link: &Link, pack: PackSource) -> anyhow::Result<Settings> {
    link.send(Command::LoadPack(pack));
    while let Some(event) = link.wait() {
        match event {
            Event::Loaded(info) => return Ok(info.defaults),
            Event::LoadFailed(message) => bail!(message),
            _ => {}
        }
    }
    Err(anyhow!("the worker ended"))
}

fn generate(link: &Link, request: Request) -> anyhow::Result<Trace> {
    link.send(Command::Generate(1, request));
    while let Some(event) = link.wait() {
        match event {
            Event::Done { trace, .. } => return Ok(*trace),
            Event::Failed { message, .. } => bail!(message),
            _ => {}
        }
    }
    Err(anyhow!("the worker ended"))
}

fn write_json(mut out: impl Write, trace: &Trace) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut out, trace)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

fn print(trace: &Trace) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for arm in &trace.arms {
        writeln!(out, "── {} {}", arm.name, figures(arm))?;
        writeln!(out, "{}{}\n", trace.prompt, arm.text)?;
    }
    Ok(())
}

fn figures(arm: &ArmTrace) -> String {
    let value = arm.value.map_or("no value".to_owned(), |v| format!("value {v:.3}"));
    let gold = arm.gold_reward.map_or("no judge".to_owned(), |g| format!("gold {g:+.2}"));
    format!(
        "· {value} · {gold} · KL {:.2} nats · {} tokens, {} sampled · {:.2} s · {}",
        arm.kl_nats(),
        arm.tokens.len(),
        arm.sampled_tokens,
        arm.elapsed_ms / 1e3,
        arm.stop_reason.label()
    )
}
