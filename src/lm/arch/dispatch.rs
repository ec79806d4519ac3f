//! Selects the family that reads a configuration and knows the tensor names.

use super::common::SUPPORTED_MODELS;
use super::tensor_lookup::TensorLookup;
use super::{gemma3, gpt2, llama, mistral, mixtral, qwen2, qwen3};
use crate::lm::config::{Architecture, LmConfig};
use crate::lm::error::Result;
use crate::lm::fields::Fields;
use crate::lm::weights::BlockWeights;

/// Reads a `config.json` with the reader of its `model_type`.
///
/// # Errors
/// Same as [`LmConfig::load`].
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    if fields.get("quantization_config").is_some() {
        let instead = "whose weights are f32, f16 or bf16, or a GGUF file";
        return Err(fields.unsupported("'quantization_config'".into(), instead));
    }
    match fields.text("model_type")? {
        Some("gpt2") => gpt2::config(fields),
        Some("llama") => llama::config(fields),
        Some("mistral") => mistral::config(fields),
        Some("mixtral") => mixtral::config(fields),
        Some("qwen2") => qwen2::config(fields),
        Some("qwen3") => qwen3::config(fields),
        Some("gemma3_text") => gemma3::config(fields),
        Some(other) => Err(fields.unsupported(format!("architecture '{other}'"), SUPPORTED_MODELS)),
        None => {
            let problem = "is missing; this is not a model's config.json".into();
            Err(fields.wrong("model_type", problem))
        }
    }
}

/// Returns the name that the files of `architecture` use for Llama's field `name`.
pub(super) fn field_name(architecture: Architecture, name: &str) -> &str {
    match architecture {
        Architecture::Gpt2 => gpt2::field_name(name),
        _ => name,
    }
}

/// Looks up the weights of one block.
///
/// # Errors
/// Fails if a tensor is missing or has the wrong shape.
pub(in crate::lm) fn block(
    config: &LmConfig,
    layer: usize,
    lookup: &TensorLookup<'_>,
) -> Result<BlockWeights> {
    match config.architecture {
        Architecture::Gpt2 => gpt2::block(config, layer, lookup),
        Architecture::Mixtral => mixtral::block(config, layer, lookup),
        Architecture::Gemma3 => gemma3::block(config, layer, lookup),
        _ => llama::block(config, layer, lookup),
    }
}
