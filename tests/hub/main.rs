//! Models by name from a hub: a server of our own on the loopback, which stalls, cuts off, refuses
//! and lies.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../support/mod.rs"]
mod support;

mod asking;
mod bench;
mod cache;
mod faults;
mod presets;
mod program;
mod resuming;
mod server;
