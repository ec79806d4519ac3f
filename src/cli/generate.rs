//! `ivg-playground generate`: one prompt, some arms, texts and values on standard output.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use ivg_playground::guidance::GuidanceError;
use ivg_playground::guidance::settings::{Arm, Column};
use ivg_playground::guidance::trace::{ArmTrace, Trace};
use ivg_playground::local_time::LocalTime;
use ivg_playground::packs::{DeviceChoice, PackSource};
use ivg_playground::records::trace_file;
use ivg_playground::words::{joined, visible};
use ivg_playground::worker::{
    self, Link,
    protocol::{Command, Event, PackInfo, Request},
};

use super::download_bar::DownloadBar;
use super::settings::SettingArgs;

/// What to generate.
#[derive(clap::Args)]
pub struct Args {
    /// The beginning of the text
    #[arg(long)]
    prompt: String,
    /// An arm to run, may be repeated: base, best-of-n, token, chunk, ivg [default: base ivg, or base alone where nothing can guide]
    #[arg(long = "arm", value_name = "ARM")]
    arms: Vec<Arm>,
    #[command(flatten)]
    settings: SettingArgs,
    /// Tell chat templates this local time, as a trace notes it [default: now]
    #[arg(long, value_name = "TIME")]
    local_time: Option<LocalTime>,
    /// Write the trace as JSON to this file; `-` is standard output, and then nothing else is
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the arms on the same worker that the window uses.
pub fn run(args: &Args, pack: PackSource, device: DeviceChoice) -> anyhow::Result<()> {
    let link = worker::spawn(|| {}).context("cannot start the worker thread")?;
    link.send(Command::UseDevice(device));
    super::check_writable(args.json.as_deref())?;
    let pack = load(&link, pack)?;
    let arms = match args.arms.as_slice() {
        [] if pack.has_pair || pack.has_value => vec![Arm::Base, Arm::Ivg],
        [] => vec![Arm::Base],
        arms => arms.to_vec(),
    };
    let settings = args.settings.over(pack.defaults);
    let lack = |arm: &Arm| arm.lacks(&settings, pack.has_pair, pack.has_value);
    if let Some(lack) = arms.iter().find_map(lack) {
        bail!(GuidanceError::from(lack));
    }
    let request = Request {
        prompt: args.prompt.clone(),
        local_time: args.local_time,
        columns: arms.into_iter().map(Column::from).collect(),
        settings,
    };
    let trace = generate(&link, request)?;
    match &args.json {
        Some(path) if path == Path::new("-") => {
            say!("{}", trace_file::to_json(&trace)?.trim_end());
        }
        Some(path) => {
            trace_file::write(path, &trace)?;
            print(&trace);
        }
        None => print(&trace),
    }
    Ok(())
}

/// Loads the pack.
fn load(link: &Link, pack: PackSource) -> anyhow::Result<PackInfo> {
    link.send(Command::LoadPack(pack));
    let mut bar = DownloadBar::new();
    while let Some(event) = link.wait() {
        match event {
            Event::Downloading(progress) => bar.show(&progress),
            Event::Loading { .. } => bar.clear(),
            Event::Loaded(info) => {
                if let Some(note) = &info.device_note {
                    tell!("{note}");
                }
                return Ok(info);
            }
            Event::LoadFailed(message) => {
                bar.clear();
                bail!(message);
            }
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

fn print(trace: &Trace) {
    for arm in &trace.arms {
        say!("── {} {}", arm.name, figures(arm));
        say!("{}\n", visible(&joined(&trace.prompt, &arm.text)));
    }
}

fn figures(arm: &ArmTrace) -> String {
    let value = arm.value.map_or("no value".to_owned(), |v| format!("value {v:.3}"));
    let gold = arm.gold_reward.map_or("no judge".to_owned(), |g| format!("gold {g:+.2}"));
    format!(
        "· {value} · {gold} · token KL {:.2} nats · {} tokens, {} sampled · {:.2} s · {}",
        arm.kl_nats(),
        arm.tokens.len(),
        arm.sampled_tokens,
        arm.elapsed_ms / 1e3,
        arm.stop_reason.label()
    )
}
