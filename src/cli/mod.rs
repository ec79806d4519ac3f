//! The command line: arguments and subcommands.

#[macro_use]
mod out;

mod bench;
mod download_bar;
mod eval;
mod generate;
mod interrupt;
mod models;
mod output;
mod pack_loading;
mod score;
mod settings;
mod sweep;
#[cfg(feature = "window")]
mod window;

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Parser, Subcommand};
use ivg_playground::packs::{DeviceChoice, PackSource};
use tracing_subscriber::EnvFilter;

pub use self::out::note;

/// Compare the unguided and the guided text of a language model.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[cfg(feature = "window")]
    #[command(flatten)]
    window: window::Args,

    /// Pack to use: the name of a bundled pack, or a folder with a pack.toml [default: imdb]
    #[arg(long, global = true, value_name = "PACK")]
    pack: Option<PathBuf>,

    /// Device that computes: auto, cpu or gpu [default: auto; the window keeps its last choice]
    #[arg(long, global = true, value_name = "DEVICE")]
    device: Option<DeviceChoice>,
}

#[derive(Subcommand)]
enum Command {
    /// Run several arms on one prompt, and print each text and value
    Generate(generate::Args),
    /// Run several arms on many prompts, and print the mean gold reward and KL of each arm
    Eval(eval::Args),
    /// Run one prompt at several values of β, λ and L, and print the reward and KL of each value
    #[command(alias = "strip")]
    Sweep(sweep::Args),
    /// Read a text as the response to a prompt, and print its values and advantages by chunk
    Score(score::Args),
    /// Measure tokens per second on this machine
    Bench(bench::Args),
    /// List, check or download the models of a pack
    Models(models::Args),
}

/// Parses the arguments, and runs the subcommand or opens the window.
pub fn run() -> anyhow::Result<()> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if e.use_stderr() => return Err(one_line(&e)),
        Err(help) => {
            outln!("{}", help.to_string().trim_end());
            return Ok(());
        }
    };
    let filter = EnvFilter::try_from_env("IVG_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let named = cli.pack.as_deref().map(PackSource::parse);
    let pack = named.clone().unwrap_or_default();
    let device = cli.device.unwrap_or_default();
    match cli.command {
        Some(Command::Generate(args)) => generate::run(&args, pack, device),
        Some(Command::Eval(args)) => eval::run(&args, &pack_loading::load_pack(&pack, device)?),
        Some(Command::Sweep(args)) => sweep::run(&args, &pack_loading::load_pack(&pack, device)?),
        Some(Command::Score(args)) => score::run(&args, &pack_loading::load_pack(&pack, device)?),
        Some(Command::Bench(args)) => bench::run(&args, &pack_loading::load_pack(&pack, device)?),
        Some(Command::Models(args)) => models::run(&args, named),
        #[cfg(feature = "window")]
        None => window::run(cli.window, pack, cli.device),
        #[cfg(not(feature = "window"))]
        None => Err(anyhow!(
            "this program was built without the window; name a subcommand, such as: \
             ivg-playground generate --prompt \"This film\""
        )),
    }
}

/// Returns the first paragraph of a clap error, which states the problem.
fn one_line(error: &clap::Error) -> anyhow::Error {
    let text = error.to_string();
    let paragraph = text.lines().take_while(|line| !line.trim().is_empty());
    let line = paragraph.map(str::trim).collect::<Vec<_>>().join(" ");
    anyhow!("{} (--help lists the arguments)", line.trim_start_matches("error: "))
}
