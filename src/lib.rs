//! IVG Playground: a desktop app for Integrated Value Guidance (Liu et al., EMNLP 2024), which
//! steers a frozen language model while it decodes.
//!
//! Modules import only modules further to the right:
//!
//! ```text
//! app, cli → worker → lab, records → packs → guidance, judge → lm → leaves
//! ```
//!
//! * `app`: the window (feature `window`).
//! * `cli`: the command line, in the program's binary.
//! * [`worker`]: the background threads of the window. One runs the models, one manages packs and
//!   one checks paths.
//! * [`lab`]: measurements over many prompts and settings: evals, sweeps and benchmarks.
//! * [`records`]: saved runs: trace files, the history and reports.
//! * [`packs`]: which models play which role, and how their files are found and downloaded.
//! * [`guidance`]: the method: token and chunk guidance, search, sampling and the trace of a run.
//! * [`judge`]: the gold reward of a finished text. It is used only to measure, never to guide.
//! * [`lm`]: language models, tokenizers and chat templates.
//!
//! The leaves import only other leaves:
//!
//! * [`mod@format`]: numbers and texts for display.
//! * [`local_time`]: the date and time passed to chat templates.
//! * `numeric`: numeric routines that vectorise.
//! * `actor`: background threads with bounded channels.
//! * `atomic_file`, `bounded_read`: safe writing and reading of files.
//! * `panic_guard`: catches expected panics of third-party code.

#![warn(unreachable_pub)]

mod actor;
#[cfg(feature = "window")]
pub mod app;
mod atomic_file;
mod bounded_read;
pub mod format;
pub mod guidance;
pub mod judge;
pub mod lab;
pub mod lm;
pub mod local_time;
mod numeric;
pub mod packs;
mod panic_guard;
pub mod records;
pub mod worker;
