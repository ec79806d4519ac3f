//! Llama (Touvron et al. 2023, arXiv 2302.13971), and what is named and shaped like it.

use super::super::config::{Biases, LmConfig};
use super::super::error::Result;
use super::super::fields::Fields;
use super::{Architecture, AttentionWeights, BlockWeights, Gated, Mlp, Picker, llama_like};

/// Reads a `config.json`.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = llama_like(Architecture::Llama, fields)?;
    let attention = fields.flag_or("attention_bias", false)?;
    let mlp = fields.flag_or("mlp_bias", false)?;
    config.biases = Biases { qkv: attention, output: attention, mlp };
    Ok(config)
}

/// The weights of one block.
pub(super) fn block(config: &LmConfig, layer: usize, pick: &Picker<'_>) -> Result<BlockWeights> {
    let at = |name: &str| format!("layers.{layer}.{name}");
    Ok(BlockWeights {
        attention_norm: pick.norm(&at("input_layernorm"), false)?,
        attention: attention(config, &at("self_attn"), pick)?,
        attention_output_norm: None,
        mlp_norm: pick.norm(&at("post_attention_layernorm"), false)?,
        mlp: Mlp::Gated(gated(config, &at("mlp"), pick)?),
        mlp_output_norm: None,
    })
}

/// Attention by its usual names.
pub(super) fn attention(
    config: &LmConfig,
    at: &str,
    pick: &Picker<'_>,
) -> Result<AttentionWeights> {
    let (width, size, bias) = (config.hidden_size, config.head_size, config.biases.qkv);
    let (queries, keys) = (config.heads * size, config.kv_heads * size);
    let head_norm = |name: &str| {
        let norm = || pick.head_norm(&format!("{at}.{name}"));
        config.head_norms.then(norm).transpose()
    };
    Ok(AttentionWeights {
        queries: pick.linear(&format!("{at}.q_proj"), queries, width, bias)?,
        keys: pick.linear(&format!("{at}.k_proj"), keys, width, bias)?,
        values: pick.linear(&format!("{at}.v_proj"), keys, width, bias)?,
        query_norm: head_norm("q_norm")?,
        key_norm: head_norm("k_norm")?,
        output: pick.linear(&format!("{at}.o_proj"), width, queries, config.biases.output)?,
    })
}

/// A gated feed-forward block by its usual names.
pub(super) fn gated(config: &LmConfig, at: &str, pick: &Picker<'_>) -> Result<Gated> {
    let (width, inside, bias) = (config.hidden_size, config.intermediate_size, config.biases.mlp);
    Ok(Gated {
        gate: pick.linear(&format!("{at}.gate_proj"), inside, width, bias)?,
        up: pick.linear(&format!("{at}.up_proj"), inside, width, bias)?,
        down: pick.linear(&format!("{at}.down_proj"), width, inside, bias)?,
    })
}
