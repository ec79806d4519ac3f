//! The command line: opens the window, or runs a subcommand without one.

mod cli;

use std::process::ExitCode;

use ivg_playground::words;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            cli::note(format_args!("ivg-playground: {}", one_line(&error)));
            ExitCode::from(2)
        }
    }
}

/// The error and its causes in one line: scripts read it, and so do people. Many of our errors
/// already name their cause; it is not said twice.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            line = if line.is_empty() { cause } else { format!("{line}: {cause}") };
        }
    }
    words::one_line(&line)
}
