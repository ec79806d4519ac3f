//! The window, driven by its accessible names, on a worker that the tests play themselves. No
//! display, no GPU, no model.
#![cfg(feature = "window")]

mod chunks;
mod engine;
#[path = "../graphics/mod.rs"]
mod graphics;
mod harness;
mod live;
mod loading;
mod runs;
mod settings;
mod snapshots;
mod stage;
mod strip;
mod tokens;
mod tree;
