//! `ivg-playground generate`: runs arms on one prompt and prints texts and values.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use ivg_playground::format::{joined, visible};
use ivg_playground::guidance::GuidanceError;
use ivg_playground::guidance::settings::{Arm, Column};
use ivg_playground::guidance::trace::{ArmTrace, Trace};
use ivg_playground::local_time::LocalTime;
use ivg_playground::packs::hub::Hub;
use ivg_playground::packs::{DeviceChoice, PackSource};
use ivg_playground::records::report::metrics::{
    GOLD_REWARD, KL, Metric, SAMPLED, SECONDS, TOKENS, VALUE,
};
use ivg_playground::records::trace_file;
use ivg_playground::worker::{
    self, WorkerHandle,
    protocol::{Command, Event, PackInfo, Request},
};

use super::download_bar::DownloadBar;
use super::settings::SettingArgs;

#[derive(clap::Args)]
pub struct Args {
    /// Prompt to respond to
    #[arg(long)]
    prompt: String,
    /// Arm to run; may be repeated: base, best-of-n, token, chunk, ivg, prompt-only
    /// [default: base and ivg, or only base without a guide]
    #[arg(long = "arm", value_name = "ARM")]
    arms: Vec<Arm>,
    #[command(flatten)]
    settings: SettingArgs,
    /// Local time for chat templates, such as 2026-11-27T12:00:00 [default: now]
    #[arg(long, value_name = "TIME")]
    local_time: Option<LocalTime>,
    /// Also write the trace as JSON to this file; `-` prints the JSON instead of the texts
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the arms on the same worker that the window uses.
pub fn run(args: &Args, pack: PackSource, device: DeviceChoice) -> anyhow::Result<()> {
    let link = worker::spawn(Hub::from_env(), || {}).context("cannot start the worker thread")?;
    link.send(Command::UseDevice(device));
    super::output::check_writable(args.json.as_deref())?;
    let pack = load(&link, pack)?;
    let settings = args.settings.apply_to(pack.defaults);
    let has_guide = pack.has_pair || pack.has_value || settings.active_steers().next().is_some();
    let arms = match args.arms.as_slice() {
        [] if has_guide => vec![Arm::Base, Arm::Ivg],
        [] => vec![Arm::Base],
        arms => arms.to_vec(),
    };
    let missing_guide = |arm: &Arm| arm.missing_guide(&settings, pack.has_pair, pack.has_value);
    if let Some(missing) = arms.iter().find_map(missing_guide) {
        bail!(GuidanceError::from(missing));
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
            outln!("{}", trace_file::to_json(&trace)?.trim_end());
        }
        Some(path) => {
            trace_file::write(path, &trace)?;
            print(&trace);
        }
        None => print(&trace),
    }
    Ok(())
}

fn load(link: &WorkerHandle, pack: PackSource) -> anyhow::Result<PackInfo> {
    link.send(Command::LoadPack(pack));
    let mut bar = DownloadBar::new();
    while let Some(event) = link.wait() {
        match event {
            Event::Downloading(progress) => bar.show(&progress),
            Event::Loading { .. } => bar.clear(),
            Event::Loaded(info) => {
                if let Some(note) = &info.device_note {
                    errln!("{note}");
                }
                return Ok(*info);
            }
            Event::LoadFailed { message, .. } => {
                bar.clear();
                bail!(message);
            }
            _ => {}
        }
    }
    Err(anyhow!("the worker thread ended unexpectedly"))
}

fn generate(link: &WorkerHandle, request: Request) -> anyhow::Result<Trace> {
    link.send(Command::Generate(1, request));
    while let Some(event) = link.wait() {
        match event {
            Event::Done { trace, .. } => return Ok(*trace),
            Event::Failed { message, .. } => bail!(message),
            _ => {}
        }
    }
    Err(anyhow!("the worker thread ended unexpectedly"))
}

fn print(trace: &Trace) {
    for arm in &trace.arms {
        outln!("── {} {}", arm.name, metrics(arm));
        outln!("{}\n", visible(&joined(&trace.prompt, &arm.text)));
    }
}

fn metrics(arm: &ArmTrace) -> String {
    let text = |metric: &Metric| metric.text_or_none(arm);
    let gold = GOLD_REWARD.text(arm).map_or("no judge".to_owned(), |g| format!("gold {g}"));
    format!(
        "· value {} · {gold} · token KL {} nats · {} tokens, {} sampled · {} s · {}",
        text(&VALUE),
        text(&KL),
        text(&TOKENS),
        text(&SAMPLED),
        text(&SECONDS),
        arm.stop_reason.describe(arm.tokens.len())
    )
}
