//! The window, driven by its accessible names, on a worker that the tests play themselves. No
//! display, no GPU, no model.
#![cfg(feature = "window")]

mod chunks;
mod engine;
mod harness;
mod live;
mod loading;
mod runs;
mod settings;
mod stage;
mod strip;
mod tokens;
mod tree;
