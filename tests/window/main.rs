//! The window, driven by its accessible names, on a worker that the tests play themselves. No
//! display, no GPU, no model.
#![cfg(feature = "window")]

mod bad_input;
mod changes;
mod chunks;
mod columns;
mod downloads;
mod endurance;
mod engine;
mod example;
mod files;
#[path = "../graphics/mod.rs"]
mod graphics;
mod harness;
mod history;
mod keys;
mod live;
mod loading;
mod models;
mod presets;
mod runs;
#[path = "../hub/server.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod server;
mod settings;
mod snapshots;
mod stage;
mod status;
mod strip;
mod strip_runs;
mod tokens;
mod tree;
