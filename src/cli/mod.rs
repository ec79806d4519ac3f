//! Arguments, and what each of them starts.

#[macro_use]
mod out;

mod bench;
mod download_bar;
mod eval;
mod generate;
mod interrupt;
mod models;
mod settings;
mod strip;
#[cfg(feature = "window")]
mod window;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand};
use ivg_playground::packs::hub::Hub;
use ivg_playground::packs::{DeviceChoice, Pack, PackSource, Step};
use tracing_subscriber::EnvFilter;

use self::download_bar::DownloadBar;
pub use self::out::note;

/// Integrated Value Guidance: a language model's text, unguided and guided, side by side.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[cfg(feature = "window")]
    #[command(flatten)]
    window: window::Args,

    /// Folder with a pack.toml, or name of a bundled pack, to use instead of the default one
    #[arg(long, global = true, value_name = "DIR")]
    pack: Option<PathBuf>,

    /// Where the models compute: auto, cpu or gpu [default: auto, or as chosen in the window]
    #[arg(long, global = true, value_name = "DEVICE")]
    device: Option<DeviceChoice>,
}

#[derive(Subcommand)]
enum Command {
    /// Generate without a window and print every arm's text and value
    Generate(generate::Args),
    /// Run many prompts through several arms and judge the texts
    Eval(eval::Args),
    /// Run one prompt at seven strengths of β, λ and L and print what each buys and costs
    Strip(strip::Args),
    /// Measure tokens per second on this machine
    Bench(bench::Args),
    /// See which models a pack needs, check them, download them
    Models(models::Args),
}

/// Reads the arguments and does what they say.
pub fn run() -> anyhow::Result<()> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if e.use_stderr() => return Err(one_line(&e)),
        Err(help) => {
            say!("{}", help.to_string().trim_end());
            return Ok(());
        }
    };
    let filter = EnvFilter::try_from_env("IVG_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let named = cli.pack.as_deref().map(PackSource::named);
    let pack = named.clone().unwrap_or_default();
    let device = cli.device.unwrap_or_default();
    match cli.command {
        Some(Command::Generate(args)) => generate::run(&args, pack, device),
        Some(Command::Eval(args)) => eval::run(&args, &load_pack(&pack, device)?),
        Some(Command::Strip(args)) => strip::run(&args, &load_pack(&pack, device)?),
        Some(Command::Bench(args)) => bench::run(&args, &load_pack(&pack, device)?),
        Some(Command::Models(args)) => models::run(&args, named),
        #[cfg(feature = "window")]
        None => window::run(cli.window, pack, cli.device),
        #[cfg(not(feature = "window"))]
        None => Err(anyhow!(
            "built without the window; name a subcommand, such as: ivg-playground generate \
             --prompt \"This film\""
        )),
    }
}

/// clap explains over several paragraphs; the first says what is wrong.
fn one_line(error: &clap::Error) -> anyhow::Error {
    let text = error.to_string();
    let paragraph = text.lines().take_while(|line| !line.trim().is_empty());
    let line = paragraph.map(str::trim).collect::<Vec<_>>().join(" ");
    anyhow!("{} (--help lists the arguments)", line.trim_start_matches("error: "))
}

/// Loads a pack; what has to be downloaded first is shown on standard error.
fn load_pack(source: &PackSource, device: DeviceChoice) -> anyhow::Result<Pack> {
    let mut bar = DownloadBar::new();
    let mut show = |step: Step<'_>| match step {
        Step::Downloading(progress) => bar.show(progress),
        Step::Reading { .. } => bar.clear(),
    };
    let pack = Pack::load_from(source, device, &Hub::from_env(), &|| false, &mut show);
    bar.clear();
    let pack = pack?;
    if let Some(note) = &pack.device_note {
        tell!("{note}");
    }
    Ok(pack)
}

/// Whether a result can be written to `file`: known before it is made, not after.
fn check_writable(file: Option<&Path>) -> anyhow::Result<()> {
    let Some(path) = file.filter(|path| *path != Path::new("-")) else { return Ok(()) };
    let failed = || format!("cannot write {}", path.display());
    match path.symlink_metadata() {
        // What fails meanwhile leaves nothing behind.
        Err(_) => {
            std::fs::File::create_new(path).with_context(failed)?;
            std::fs::remove_file(path).with_context(failed)
        }
        Ok(there) if there.is_file() => {
            let opened = std::fs::OpenOptions::new().append(true).open(path);
            opened.map(drop).with_context(failed)
        }
        Ok(there) if there.is_dir() => Err(anyhow!("{}: it is a folder; name a file", failed())),
        // Whoever reads a pipe would take this for the end.
        Ok(_) => Ok(()),
    }
}

/// Writes `json` to the file that was named (`-` is standard output, and then nothing else is);
/// `print` shows the same to people.
fn deliver(json: &str, file: Option<&Path>, print: impl FnOnce()) -> anyhow::Result<()> {
    match file {
        Some(path) if path == Path::new("-") => say!("{json}"),
        Some(path) => {
            let failed = || format!("cannot write {}", path.display());
            std::fs::write(path, format!("{json}\n")).with_context(failed)?;
            print();
        }
        None => print(),
    }
    Ok(())
}
