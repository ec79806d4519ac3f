//! Packs: manifests, checks without loading, loading, and the bundled packs.
#![allow(clippy::unwrap_used, missing_docs)]

mod bundled;
mod check;
mod damaged;
mod kinds;
mod manifest;
#[path = "../support/mod.rs"]
mod support;
