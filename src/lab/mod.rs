//! Many prompts, many settings, many repetitions: measurements made without a window.

pub mod bench;
pub mod eval;
pub mod strip;
