//! Qwen 2 and 2.5 (Yang et al. 2024, arXiv 2407.10671): Llama with biases on queries, keys and
//! values.

use super::super::config::{Biases, LmConfig};
use super::super::error::Result;
use super::super::fields::Fields;
use super::{Architecture, llama_like, sliding_layers, windows};

/// Reads a `config.json`.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = shaped(Architecture::Qwen2, fields)?;
    config.biases = Biases { qkv: true, ..Biases::default() };
    Ok(config)
}

/// The configuration of Qwen's shape: where windows are on, only layers from
/// `max_window_layers` up have one.
pub(super) fn shaped(architecture: Architecture, fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = llama_like(architecture, fields)?;
    if fields.flag_or("use_sliding_window", false)?
        && let Some(window_tokens) = fields.optional_size("sliding_window")?
    {
        // `LmConfig::check` has not yet seen how many layers are claimed.
        let layers = config.layers.min(1 << 10);
        let first = fields.size_or("max_window_layers", layers)?;
        let marked = sliding_layers(fields, layers)?;
        let marked = marked.unwrap_or_else(|| (0..layers).map(|layer| layer >= first).collect());
        config.local = windows(window_tokens, marked, None);
    }
    Ok(config)
}
