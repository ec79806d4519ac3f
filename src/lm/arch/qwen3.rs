//! Qwen 3 (Yang et al. 2025, arXiv 2505.09388): Llama with normalised queries and keys.

use super::qwen2::qwen2_like;
use crate::lm::config::{Architecture, Biases, LmConfig};
use crate::lm::error::Result;
use crate::lm::fields::Fields;

/// Reads a `config.json`.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = qwen2_like(Architecture::Qwen3, fields)?;
    let attention = fields.flag_or("attention_bias", false)?;
    config.biases = Biases { qkv: attention, output: attention, mlp: false };
    config.head_norms = true;
    Ok(config)
}
