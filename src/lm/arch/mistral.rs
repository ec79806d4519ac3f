//! Mistral (Jiang et al. 2023, arXiv 2310.06825): Llama with a sliding window.

use super::common::{llama_like, local};
use crate::lm::config::{Architecture, LmConfig};
use crate::lm::error::Result;
use crate::lm::fields::Fields;

/// Reads a `config.json`. Without a window (version 0.2 and later), `sliding_window` is null.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    mistral_like(Architecture::Mistral, fields)
}

/// Reads the configuration of a Mistral-like model.
pub(super) fn mistral_like(architecture: Architecture, fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = llama_like(architecture, fields)?;
    if let Some(window_tokens) = fields.optional_size("sliding_window")? {
        // `LmConfig::check` has not checked the number of layers yet.
        let layers = vec![true; config.layers.min(1 << 10)];
        config.local = local(window_tokens, layers, None);
    }
    Ok(config)
}
