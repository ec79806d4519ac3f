//! The background thread that owns the models: commands in, events out, every event stamped
//! with its run, a stop read between any two forward passes.

mod engine;
mod holder;
pub mod library;
mod link;
pub mod places;
pub mod protocol;
mod sweep;

pub use engine::spawn;
pub use link::{Link, WorkerEnd, link};
