//! Integrated Value Guidance: token values, chunk values, search, sampling and the trace of a run.
//! This module does not access files, threads or the window.
//!
//! Source: Liu, Zhou, Wang, Yang, Qiao, *Inference-Time Language Model Alignment via Integrated
//! Value Guidance*, EMNLP 2024 (arXiv 2409.17819).

pub mod aim;
mod candidates;
mod chunk_reader;
pub mod columns;
mod error;
pub mod labels;
pub mod lineage;
mod models;
mod next_token;
mod pair;
mod row;
pub mod sampling;
mod search;
mod selection;
pub mod settings;
pub mod steer;
mod text_extension;
mod text_pair;
mod text_rows;
mod token_guide;
mod token_value;
pub mod trace;
mod values;

pub use candidates::Candidates;
pub use error::GuidanceError;
pub use models::{Models, Prefilled, Prompts};
pub use pair::Pair;
pub use search::{Search, Step};
pub use selection::Scored;
pub use selection::{Selection, select};
pub use token_value::draw;
pub use token_value::{Drawn, RowLogits};
pub use values::{ValueGuide, ValuePrompt};
