//! Gemma 3 for text (Gemma Team 2025, arXiv 2503.19786): sliding windows in five of six layers,
//! normalised queries and keys, normalised outputs, and norm weights stored as w − 1.

use super::common::{activation, inverse_root, llama_like, local, sliding_layers};
use super::llama;
use super::tensor_lookup::TensorLookup;
use crate::lm::config::{Activation, Architecture, LmConfig, Positions, RopeScaling, Rotary};
use crate::lm::error::Result;
use crate::lm::fields::Fields;
use crate::lm::weights::{BlockWeights, Mlp};

/// Default period of layers without a window: every sixth layer attends to all tokens.
const DEFAULT_PATTERN: usize = 6;
/// Default window size in tokens.
const DEFAULT_WINDOW: usize = 4096;

/// Reads a `config.json`.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    for name in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if fields.get(name).is_some() {
            return Err(fields.unsupported(format!("'{name}'"), "of Gemma 3, which has none"));
        }
    }
    let mut config = llama_like(Architecture::Gemma3, fields)?;
    // Defaults that differ from Llama's.
    config.head_size = fields.size_or("head_dim", 256)?;
    config.tied = fields.flag_or("tie_word_embeddings", true)?;
    config.activation = activation(fields, "hidden_activation", Activation::GeluTanh)?;
    config.attention_scale = inverse_root(fields.size_or("query_pre_attn_scalar", 256)?);
    config.embedding_scale = (config.hidden_size as f32).sqrt();
    config.head_norms = true;
    let (full, sliding) = rotaries(fields)?;
    config.positions = Positions::Rotary(full);
    // `LmConfig::check` has not checked the number of layers yet.
    let layers = config.layers.min(1 << 10);
    let pattern = fields.size_or("sliding_window_pattern", DEFAULT_PATTERN)?.max(1);
    let has_window = sliding_layers(fields, layers)?
        .unwrap_or_else(|| (0..layers).map(|layer| !(layer + 1).is_multiple_of(pattern)).collect());
    let window = fields.size_or("sliding_window", DEFAULT_WINDOW)?;
    config.local = local(window, has_window, Some(sliding));
    Ok(config)
}

/// Reads the rotary parameters of layers without and with a window.
fn rotaries(fields: &Fields<'_>) -> Result<(Rotary, Rotary)> {
    if let Some(both) = fields.object("rope_parameters")?
        && let (Some(full), Some(sliding)) =
            (both.object("full_attention")?, both.object("sliding_attention")?)
    {
        let rotary = |fields: &Fields<'_>, default: f64| -> Result<Rotary> {
            let theta = fields.optional_number("rope_theta")?.unwrap_or(default) as f32;
            Ok(Rotary { theta, scaling: RopeScaling::from_fields(fields)? })
        };
        return Ok((rotary(&full, 1e6)?, rotary(&sliding, 1e4)?));
    }
    let theta = fields.optional_number("rope_local_base_freq")?.unwrap_or(1e4) as f32;
    let sliding = Rotary { theta, scaling: RopeScaling::None };
    Ok((Rotary::from_fields(fields, 1e6)?, sliding))
}

/// Looks up the weights of one block.
pub(super) fn block(
    config: &LmConfig,
    layer: usize,
    lookup: &TensorLookup<'_>,
) -> Result<BlockWeights> {
    let at = |name: &str| format!("layers.{layer}.{name}");
    Ok(BlockWeights {
        attention_norm: lookup.norm(&at("input_layernorm"), false)?,
        attention: llama::attention(config, &at("self_attn"), lookup)?,
        attention_output_norm: Some(lookup.norm(&at("post_attention_layernorm"), false)?),
        mlp_norm: lookup.norm(&at("pre_feedforward_layernorm"), false)?,
        mlp: Mlp::Gated(llama::gated(config, &at("mlp"), lookup)?),
        mlp_output_norm: Some(lookup.norm(&at("post_feedforward_layernorm"), false)?),
    })
}
