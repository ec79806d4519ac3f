//! Saved runs: trace files, reports, the history and the record writer.
#![allow(clippy::unwrap_used, missing_docs)]

mod files;
mod history;
mod record_writer;
mod reports;
mod sample;
