//! IVG Playground: Integrated Value Guidance (Liu et al., EMNLP 2024) in a window.
//!
//! ```text
//! app (window)  ┐
//! subcommands   ┴→ worker → guidance → lm
//!                  packs  ───────────→ lm
//!                  records → guidance
//! ```
//!
//! * [`lm`]: language models — a forward pass over many rows, a cache that is a value.
//! * [`guidance`]: the method — token and chunk guidance, search, sampling, the trace.
//! * [`judge`]: the gold reward of finished text, which measures and never guides.
//! * [`lab`]: many prompts, many settings: speed, and how far guidance aligns.
//! * [`packs`]: which models play which role, and where their files are.
//! * [`local_time`]: the date that chat templates may ask for.
//! * [`records`]: what a person keeps of a run: files, reports to show, the history.
//! * [`words`]: how arms, settings and numbers are written for people.
//! * [`worker`]: the background thread, its commands and events.
//! * `app`: the window (feature `window`).

#[cfg(feature = "window")]
pub mod app;
mod atomic;
pub mod guidance;
pub mod judge;
pub mod lab;
pub mod lm;
pub mod local_time;
pub mod packs;
mod quiet;
pub mod records;
mod text;
pub mod words;
pub mod worker;
