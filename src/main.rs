//! The entry point: opens the window, or runs a subcommand without a window.

mod cli;

use std::process::ExitCode;

#[cfg(feature = "embed-packs")]
use include_dir::{Dir, include_dir};
use ivg_playground::format;

fn main() -> ExitCode {
    #[cfg(feature = "embed-packs")]
    embed_packs();
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::note(format_args!("ivg-playground: {}", one_line(&error)));
            ExitCode::from(2)
        }
    }
}

/// Returns the error and its causes in one line, for scripts and users. Leaves out a cause that the
/// message already contains.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            line = if line.is_empty() { cause } else { format!("{line}: {cause}") };
        }
    }
    format::one_line(&line)
}

/// Registers the bundled packs inside the program, for when no folder holds them.
#[cfg(feature = "embed-packs")]
fn embed_packs() {
    static PACKS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/assets/packs");
    let (mut files, mut open) = (Vec::new(), vec![&PACKS]);
    while let Some(folder) = open.pop() {
        files.extend(folder.files().map(|file| (file.path(), file.contents())));
        // Training scripts are for readers of the repository.
        open.extend(folder.dirs().filter(|dir| !dir.path().ends_with("recipe")));
    }
    ivg_playground::packs::embed(files);
}
