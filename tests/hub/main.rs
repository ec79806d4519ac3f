//! Downloads from a hub: a test server on the loopback interface that stalls, disconnects, rejects
//! requests and sends wrong bytes.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod bench;
mod cache;
mod faults;
mod presets;
mod program;
mod resuming;
mod server;
mod surveys;
