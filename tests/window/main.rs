//! Tests of the window. They find widgets by their accessible labels and replace the worker with a
//! fake, so most of them need no display, no GPU and no models.
#![cfg(feature = "window")]

mod bad_input;
mod chunks;
mod columns;
mod diff;
#[allow(clippy::unwrap_used)]
mod display;
mod downloads;
mod endurance;
mod engine;
mod example;
mod figures;
mod files;
#[path = "../graphics/mod.rs"]
mod graphics;
mod grid;
mod harness;
mod history;
mod history_cards;
mod history_restart;
mod keys;
mod live;
mod loading;
mod models;
mod pointer;
mod presentation;
mod presets;
#[allow(clippy::unwrap_used)]
mod real;
mod runs;
#[path = "../hub/server.rs"]
#[allow(dead_code, clippy::unwrap_used)]
mod server;
mod settings;
mod side_by_side;
mod snapshots;
mod stage;
mod status;
mod steers;
mod sweep;
mod sweep_runs;
mod tasks;
mod tokens;
mod tree;
mod wizard;
