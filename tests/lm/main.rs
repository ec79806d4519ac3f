//! Language models compared with PyTorch transformers, and damaged files.
#![allow(clippy::unwrap_used, missing_docs)]

mod cache;
mod chat;
mod families;
mod files;
mod golden;
mod real_models;
mod support;
mod text;
