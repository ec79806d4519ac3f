//! Architectures: one file per family reads its configuration and knows its tensor names. All
//! families run on the same decoder, which [`LmConfig`](super::LmConfig) and
//! [`BlockWeights`](super::weights::BlockWeights) describe.

mod common;
mod config_file;
mod dispatch;
mod gemma3;
mod gguf_config;
mod gpt2;
mod llama;
mod mistral;
mod mixtral;
mod qwen2;
mod qwen3;
mod rope_fields;
mod tensor_lookup;

pub(super) use self::dispatch::block;
pub(super) use self::tensor_lookup::{TensorLookup, outer_names, prefixes};
