//! `ivg-playground` without a subcommand: the window.

use ivg_playground::packs::PackSource;

/// How the window opens.
#[derive(clap::Args)]
pub struct Args {}

/// Opens the window and stays until it is closed.
pub fn run(_args: Args, _pack: PackSource) -> anyhow::Result<()> {
    anyhow::bail!("window not merged yet")
}
