//! `ivg-playground models`: lists, checks and downloads the models of packs.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::bail;
use ivg_playground::format::{bytes, one_line, weights};
use ivg_playground::packs::check::{Verdict, check};
use ivg_playground::packs::hub::{Hub, Watch};
use ivg_playground::packs::size::free_memory_bytes;
use ivg_playground::packs::survey::{Entry, HubLookup, Kind, Presence, Survey};
use ivg_playground::packs::{Pack, PackSource};
use serde::Serialize;

use super::download_bar::DownloadBar;
use super::interrupt::stop_on_interrupt;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List all bundled packs, or the pack of --pack, with source, presence and size of each model
    List(ListArgs),
    /// Check a pack without loading its models, and print one line per finding
    Check,
    /// Download the models of a pack from the hub, or resume a stopped download
    Download(DownloadArgs),
}

#[derive(clap::Args)]
struct ListArgs {
    /// Do not query the hub for the sizes of models that are not downloaded
    #[arg(long)]
    offline: bool,
    /// Also write the list as JSON to this file; `-` prints the JSON instead of the tables
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(clap::Args)]
struct DownloadArgs {
    /// Also download newer commits of branches that are already downloaded
    #[arg(long)]
    update: bool,
}

/// Runs the action for `pack`. Without a pack, `list` covers all bundled packs, and the other
/// actions use the default pack.
pub fn run(args: &Args, pack: Option<PackSource>) -> anyhow::Result<()> {
    let hub = Hub::from_env();
    match &args.action {
        Action::List(args) => list(args, pack, &hub),
        Action::Check => inspect(&pack.unwrap_or_default(), &hub),
        Action::Download(args) => download(&pack.unwrap_or_default(), &hub, args.update),
    }
}

/// The JSON output of `list`.
#[derive(Serialize)]
struct Report<'a> {
    program: &'a str,
    free_memory_bytes: Option<u64>,
    packs: &'a [Survey],
}

fn list(args: &ListArgs, pack: Option<PackSource>, hub: &Hub) -> anyhow::Result<()> {
    let stopped = stop_on_interrupt()?;
    let sources = pack.map_or_else(PackSource::bundled, |pack| vec![pack]);
    let cancelled = || stopped.load(Ordering::Relaxed);
    let mut lookup = HubLookup::new(hub, !args.offline, &cancelled);
    let packs: Result<Vec<Survey>, _> =
        sources.iter().map(|source| Survey::new(source, &mut lookup)).collect();
    let (packs, free) = (packs?, free_memory_bytes());
    if cancelled() {
        bail!("stopped before all packs were listed");
    }
    let program = env!("CARGO_PKG_VERSION");
    let report = Report { program, free_memory_bytes: free, packs: &packs };
    let json = serde_json::to_string_pretty(&report)?;
    super::output::write_result(&json, args.json.as_deref(), || {
        packs.iter().for_each(|p| print(p, free))
    })
}

/// Prints a line without control characters, because names come from files and the network.
macro_rules! list {
    ($($args:tt)*) => { outln!("{}", one_line(&format!($($args)*))) };
}

fn print(pack: &Survey, free: Option<u64>) {
    let licence = pack.licence.as_deref().unwrap_or("licence not named");
    list!("{} · {licence} · {}", pack.name, pack.folder.display());
    list!("{}", pack.description);
    list!("  {:<16}{:<12}{:>9}{:>12}{:>9}   from", "", "", "files", "weights", "memory");
    for model in &pack.models {
        print_model(model);
    }
    if let Some(missing) = pack.missing_bytes().filter(|missing| *missing > 0) {
        let folder = pack.folder.display();
        let missing = bytes(missing);
        list!("  {missing} to download: ivg-playground models download --pack {folder}");
    }
    let fits = match (pack.held_bytes(), free) {
        (Some(held), Some(free)) => {
            let verdict = if held <= free { "fits" } else { "does not fit" };
            format!("{} of weights in memory, {} are free: {verdict}", bytes(held), bytes(free))
        }
        (Some(held), None) => {
            format!("{} of weights in memory; the free memory is unknown", bytes(held))
        }
        (None, _) => "the memory is unknown until all models are downloaded".to_owned(),
    };
    list!("  {fits}");
    outln!("");
}

fn print_model(model: &Entry) {
    let unknown = || "–".to_owned();
    let size = |count: Option<u64>| count.map_or_else(unknown, bytes);
    let role = match model.kind {
        Kind::Model => model.role.to_owned(),
        Kind::Adapter => format!("{} + adapter", model.role),
        Kind::Head => format!("{} head", model.role),
    };
    if let Some(other) = model.same_as {
        list!("  {role:<16}same model as {other}");
        return;
    }
    let presence = match model.presence {
        Presence::Here => "here",
        Presence::ToDownload => "to download",
        Presence::Broken => "broken",
    };
    list!(
        "  {role:<16}{presence:<12}{:>9}{:>12}{:>9}   {}{}",
        size(model.file_bytes),
        model.parameters.map_or_else(unknown, weights),
        size(model.held_bytes),
        model.source,
        model.licence.as_ref().map_or(String::new(), |licence| format!(" ({licence})")),
    );
    if let Some(problem) = &model.problem {
        list!("    {problem}");
    }
}

fn inspect(source: &PackSource, hub: &Hub) -> anyhow::Result<()> {
    let stopped = stop_on_interrupt()?;
    let findings = check(source, hub, &|| stopped.load(Ordering::Relaxed));
    for finding in &findings {
        outln!("{:<6}{}", finding.verdict, finding.text);
    }
    if stopped.load(Ordering::Relaxed) {
        bail!("stopped before the check was complete");
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Fault).count() {
        0 => Ok(()),
        1 => bail!("the pack has a fault, listed above; correct it to load the pack"),
        n => bail!("the pack has {n} faults, listed above; correct them to load the pack"),
    }
}

fn download(source: &PackSource, hub: &Hub, update: bool) -> anyhow::Result<()> {
    let stopped = stop_on_interrupt()?;
    let mut bar = DownloadBar::new();
    let cancelled = || stopped.load(Ordering::Relaxed);
    let mut watch = Watch { cancelled: &cancelled, progress: &mut |progress| bar.show(progress) };
    let result = Pack::download(source, hub, update, &mut watch);
    bar.clear();
    result?;
    let (_, manifest) = source.open()?;
    let name = manifest.name;
    if bar.was_needed {
        outln!("{name}: downloaded and verified");
    } else {
        outln!("{name}: nothing to download");
    }
    Ok(())
}
