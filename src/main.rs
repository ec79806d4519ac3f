//! The command line: opens the window, or runs a subcommand without one.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, whatever it is: scripts read it, and so do people.
            let line = format!("{error:#}").replace('\n', " ");
            eprintln!("ivg-playground: {line}");
            ExitCode::from(2)
        }
    }
}
