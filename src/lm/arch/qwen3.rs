//! Qwen 3 (Yang et al. 2025, arXiv 2505.09388): Llama with normed queries and keys.

use super::super::config::{Biases, LmConfig};
use super::super::error::Result;
use super::super::fields::Fields;
use super::{Architecture, qwen2};

/// Reads a `config.json`.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = qwen2::shaped(Architecture::Qwen3, fields)?;
    let attention = fields.flag_or("attention_bias", false)?;
    config.biases = Biases { qkv: attention, output: attention, mlp: false };
    config.head_norms = true;
    Ok(config)
}
