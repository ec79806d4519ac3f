//! What a person keeps of a run: files, reports, the history, and the clerk.
#![allow(clippy::unwrap_used, missing_docs)]

mod clerk;
mod files;
mod history;
mod reports;
mod sample;
