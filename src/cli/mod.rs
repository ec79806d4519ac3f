//! Arguments, and what each of them starts.

mod bench;
mod eval;
mod generate;
mod interrupt;
mod settings;
mod strip;
#[cfg(feature = "window")]
mod window;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Parser, Subcommand};
use ivg_playground::packs::PackSource;
use tracing_subscriber::EnvFilter;

/// Integrated Value Guidance: a language model's text, unguided and guided, side by side.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[cfg(feature = "window")]
    #[command(flatten)]
    window: window::Args,

    /// Folder with a pack.toml to use instead of the bundled models
    #[arg(long, global = true, value_name = "DIR")]
    pack: Option<PathBuf>,
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
}

/// Reads the arguments and does what they say.
pub fn run() -> anyhow::Result<()> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) if e.use_stderr() => return Err(one_line(&e)),
        Err(help) => {
            print!("{help}");
            return Ok(());
        }
    };
    let filter = EnvFilter::try_from_env("IVG_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let pack = cli.pack.map_or_else(PackSource::default, PackSource::Folder);
    match cli.command {
        Some(Command::Generate(args)) => generate::run(&args, pack),
        Some(Command::Eval(args)) => eval::run(&args, &pack),
        Some(Command::Strip(args)) => strip::run(&args, &pack),
        Some(Command::Bench(args)) => bench::run(&args, &pack),
        #[cfg(feature = "window")]
        None => window::run(cli.window, pack),
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

/// Writes `json` to the file that was named (`-` is standard output, and then nothing else is);
/// `print` shows the same to people.
fn deliver(json: &str, file: Option<&Path>, print: impl FnOnce()) -> anyhow::Result<()> {
    match file {
        Some(path) if path == Path::new("-") => println!("{json}"),
        Some(path) => {
            let failed = || format!("cannot write {}", path.display());
            std::fs::write(path, format!("{json}\n")).with_context(failed)?;
            print();
        }
        None => print(),
    }
    Ok(())
}
