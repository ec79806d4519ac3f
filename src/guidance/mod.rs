//! Integrated Value Guidance and nothing else: token values, chunk values, search, sampling,
//! and the trace of what happened. Knows no file, thread or pixel.

pub mod settings;
pub mod trace;
