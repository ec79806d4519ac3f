//! Gemma 3 for text (Gemma Team 2025, arXiv 2503.19786): windows on five layers of six, normed
//! queries and keys, normed outputs, norms whose weights are kept less one.

use super::super::config::{Activation, LmConfig, RopeScaling, Rotary};
use super::super::error::Result;
use super::super::fields::Fields;
use super::{
    Architecture, BlockWeights, Mlp, Picker, activation, inverse_root, llama, llama_like,
    sliding_layers, windows,
};

/// Of this many layers the last sees all tokens, where the file does not say.
const PATTERN: usize = 6;
/// Tokens of a window, where the file does not say.
const WINDOW: usize = 4096;

/// Reads a `config.json`.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    for name in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if fields.get(name).is_some() {
            return Err(fields.unsupported(format!("'{name}'"), "of Gemma 3, which has none"));
        }
    }
    let mut config = llama_like(Architecture::Gemma3, fields)?;
    // What the file leaves out is not what Llama takes it for.
    config.head_size = fields.size_or("head_dim", 256)?;
    config.tied = fields.flag_or("tie_word_embeddings", true)?;
    config.activation = activation(fields, "hidden_activation", Activation::GeluTanh)?;
    config.attention_scale = inverse_root(fields.size_or("query_pre_attn_scalar", 256)?);
    config.embedding_scale = (config.hidden_size as f32).sqrt();
    config.head_norms = true;
    let (everywhere, within) = rotations(fields)?;
    config.positions = super::Positions::Rotary(everywhere);
    // `LmConfig::check` has not yet seen how many layers are claimed.
    let layers = config.layers.min(1 << 10);
    let pattern = fields.size_or("sliding_window_pattern", PATTERN)?.max(1);
    let marked = sliding_layers(fields, layers)?
        .unwrap_or_else(|| (0..layers).map(|layer| !(layer + 1).is_multiple_of(pattern)).collect());
    config.local = windows(fields.size_or("sliding_window", WINDOW)?, marked, Some(within));
    Ok(config)
}

/// The rotations of layers that see everything, and of those with a window.
fn rotations(fields: &Fields<'_>) -> Result<(Rotary, Rotary)> {
    if let Some(both) = fields.object("rope_parameters")?
        && let (Some(full), Some(sliding)) =
            (both.object("full_attention")?, both.object("sliding_attention")?)
    {
        let rotary = |of: &Fields<'_>, default: f64| -> Result<Rotary> {
            let theta = of.optional_number("rope_theta")?.unwrap_or(default) as f32;
            Ok(Rotary { theta, scaling: RopeScaling::from_fields(of)? })
        };
        return Ok((rotary(&full, 1e6)?, rotary(&sliding, 1e4)?));
    }
    let theta = fields.optional_number("rope_local_base_freq")?.unwrap_or(1e4) as f32;
    let within = Rotary { theta, scaling: RopeScaling::None };
    Ok((Rotary::from_fields(fields, 1e6)?, within))
}

/// The weights of one block.
pub(super) fn block(config: &LmConfig, layer: usize, pick: &Picker<'_>) -> Result<BlockWeights> {
    let at = |name: &str| format!("layers.{layer}.{name}");
    Ok(BlockWeights {
        attention_norm: pick.norm(&at("input_layernorm"), false)?,
        attention: llama::attention(config, &at("self_attn"), pick)?,
        attention_output_norm: Some(pick.norm(&at("post_attention_layernorm"), false)?),
        mlp_norm: pick.norm(&at("pre_feedforward_layernorm"), false)?,
        mlp: Mlp::Gated(llama::gated(config, &at("mlp"), pick)?),
        mlp_output_norm: Some(pick.norm(&at("post_feedforward_layernorm"), false)?),
    })
}
