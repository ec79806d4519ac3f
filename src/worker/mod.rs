//! The background thread that owns the models: commands in, events out.

pub mod link;
pub mod protocol;
