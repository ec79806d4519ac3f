//! Opens the configuration and weights of a model.

use std::path::Path;

use candle_core::Device;

use super::config::LmConfig;
use super::error::Result;
use super::gguf::GgufFile;
use super::precision::Precision;
use super::weights::Weights;

/// Opens the configuration and weights of a Hugging Face folder or a GGUF file. The default
/// precision is f32 for a folder and Q8_0 for a GGUF file.
///
/// # Errors
/// Same as [`super::Lm::load`].
pub(super) fn open(
    path: &Path,
    precision: Option<Precision>,
    device: &Device,
) -> Result<(LmConfig, Weights)> {
    if GgufFile::is_gguf(path) {
        let gguf = GgufFile::open(path)?;
        let weights = Weights::gguf(&gguf, device);
        return Ok((gguf.config()?, weights.with_precision(precision.unwrap_or(Precision::Q8_0))));
    }
    let config = LmConfig::load(path)?;
    Ok((config, Weights::load(path, device)?.with_precision(precision.unwrap_or_default())))
}
