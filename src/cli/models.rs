//! `ivg-playground models`: what packs need, whether it is in order, and fetching it.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::bail;
use ivg_playground::packs::check::{Verdict, check};
use ivg_playground::packs::hub::{Hub, Watch};
use ivg_playground::packs::size::free_memory_bytes;
use ivg_playground::packs::survey::{Entry, Inquirer, Kind, Presence, Survey};
use ivg_playground::packs::{Pack, PackSource};
use ivg_playground::words::{bytes, one_line, weights};
use serde::Serialize;

use super::download_bar::DownloadBar;
use super::interrupt::stop_on_interrupt;

/// What to do with models.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List the packs that come along, or the one that --pack names, and their models: from where,
    /// whether here, how large
    List(ListArgs),
    /// Look whether a pack is in order, without loading it: one line a finding
    Check,
    /// Download what a pack needs from the hub; a stopped download goes on where it was
    Download(DownloadArgs),
}

#[derive(clap::Args)]
struct ListArgs {
    /// Do not ask the hub for the sizes of what is not here
    #[arg(long)]
    offline: bool,
    /// Write the list as JSON to this file; `-` is standard output, instead of the tables
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(clap::Args)]
struct DownloadArgs {
    /// Ask for newer commits of the branches that are cached
    #[arg(long)]
    update: bool,
}

/// Does what was asked, with the pack that `--pack` names or else the default one.
pub fn run(args: &Args, pack: Option<PackSource>) -> anyhow::Result<()> {
    let hub = Hub::from_env();
    match &args.action {
        Action::List(args) => list(args, pack, &hub),
        Action::Check => inspect(&pack.unwrap_or_default(), &hub),
        Action::Download(args) => download(&pack.unwrap_or_default(), &hub, args.update),
    }
}

/// What the file of `list` holds.
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
    let mut inquirer = Inquirer::new(hub, !args.offline, &cancelled);
    let packs: Result<Vec<Survey>, _> =
        sources.iter().map(|source| Survey::new(source, &mut inquirer)).collect();
    let (packs, free) = (packs?, free_memory_bytes());
    if cancelled() {
        bail!("stopped before every pack was looked at");
    }
    let program = env!("CARGO_PKG_VERSION");
    let report = Report { program, free_memory_bytes: free, packs: &packs };
    let json = serde_json::to_string_pretty(&report)?;
    super::deliver(&json, args.json.as_deref(), || packs.iter().for_each(|p| print(p, free)))
}

/// Prints a line, whatever the names in it hold.
macro_rules! list {
    ($($words:tt)*) => { say!("{}", one_line(&format!($($words)*))) };
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
            format!("{} of weights in memory; what is free is not known here", bytes(held))
        }
        (None, _) => "memory is not known before everything is here".to_owned(),
    };
    list!("  {fits}");
    say!("");
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
        say!("{:<6}{}", finding.verdict, finding.text);
    }
    if stopped.load(Ordering::Relaxed) {
        bail!("stopped before everything was looked at");
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Fault).count() {
        0 => Ok(()),
        1 => bail!("the pack has a fault, named above; it does not load before that is mended"),
        n => bail!("the pack has {n} faults, named above; it does not load before they are mended"),
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
        say!("{name}: downloaded and verified");
    } else {
        say!("{name}: everything is here");
    }
    Ok(())
}
