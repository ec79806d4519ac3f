//! The background thread that owns the models. It receives commands and sends events.
//!
//! Every event of a run carries the run's number. The thread checks for a stop between any two
//! forward passes.

mod channel;
mod engine;
mod error;
mod loaded_pack;
pub(crate) mod model_probe;
pub mod pack_service;
pub(crate) mod path_probe;
pub mod protocol;
mod sweep;

pub use channel::{WorkerHandle, WorkerInbox, channel};
pub use engine::spawn;
