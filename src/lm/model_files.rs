//! From a model's place to its configuration and weights.

use std::path::Path;

use candle_core::Device;

use super::config::LmConfig;
use super::error::Result;
use super::gguf::GgufFile;
use super::weights::{Precision, Weights};

/// Configuration and weights of a Hugging Face folder or a GGUF file.
///
/// # Errors
/// As [`super::Lm::load`].
pub(super) fn open(
    path: &Path,
    precision: Option<Precision>,
    device: &Device,
) -> Result<(LmConfig, Weights)> {
    if GgufFile::is_one(path) {
        let gguf = GgufFile::open(path)?;
        let weights = Weights::gguf(&gguf, device);
        return Ok((gguf.config()?, weights.held_as(precision.unwrap_or(Precision::Q8_0))));
    }
    let config = LmConfig::load(path)?;
    Ok((config, Weights::load(path, device)?.held_as(precision.unwrap_or_default())))
}
