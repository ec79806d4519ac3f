//! Tests of evals, sweeps and judges.
#![allow(clippy::unwrap_used, missing_docs)]

mod eval;
mod judge;
#[path = "../support/mod.rs"]
mod support;
mod sweep;
