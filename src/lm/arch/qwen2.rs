//! Qwen 2 and 2.5 (Yang et al. 2024, arXiv 2407.10671): Llama with biases on queries, keys and
//! values.

use super::common::{llama_like, local, sliding_layers};
use crate::lm::config::{Architecture, Biases, LmConfig};
use crate::lm::error::Result;
use crate::lm::fields::Fields;

/// Reads a `config.json`.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = qwen2_like(Architecture::Qwen2, fields)?;
    config.biases = Biases { qkv: true, ..Biases::default() };
    Ok(config)
}

/// Reads the configuration of a Qwen-like model. If windows are on, only the layers from
/// `max_window_layers` on have one.
pub(super) fn qwen2_like(architecture: Architecture, fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = llama_like(architecture, fields)?;
    if fields.flag_or("use_sliding_window", false)?
        && let Some(window_tokens) = fields.optional_size("sliding_window")?
    {
        // `LmConfig::check` has not checked the number of layers yet.
        let layers = config.layers.min(1 << 10);
        let first = fields.size_or("max_window_layers", layers)?;
        let has_window = sliding_layers(fields, layers)?
            .unwrap_or_else(|| (0..layers).map(|layer| layer >= first).collect());
        config.local = local(window_tokens, has_window, None);
    }
    Ok(config)
}
