//! Mistral (Jiang et al. 2023, arXiv 2310.06825): Llama with a sliding window.

use super::super::config::LmConfig;
use super::super::error::Result;
use super::super::fields::Fields;
use super::{Architecture, llama_like, windows};

/// Reads a `config.json`. The window is null where all is seen, as in version 0.2 and later.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    shaped(Architecture::Mistral, fields)
}

/// The configuration of Mistral's shape.
pub(super) fn shaped(architecture: Architecture, fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = llama_like(architecture, fields)?;
    if let Some(window_tokens) = fields.optional_size("sliding_window")? {
        // `LmConfig::check` has not yet seen how many layers are claimed.
        let layers = vec![true; config.layers.min(1 << 10)];
        config.local = windows(window_tokens, layers, None);
    }
    Ok(config)
}
