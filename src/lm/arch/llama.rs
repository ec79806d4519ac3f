//! Llama (Touvron et al. 2023, arXiv 2302.13971), and tensors with Llama's names and shapes.

use super::common::llama_like;
use super::tensor_lookup::TensorLookup;
use crate::lm::config::{Architecture, Biases, LmConfig};
use crate::lm::error::Result;
use crate::lm::fields::Fields;
use crate::lm::weights::{AttentionWeights, BlockWeights, Gated, Mlp};

/// Reads a `config.json`.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = llama_like(Architecture::Llama, fields)?;
    let attention = fields.flag_or("attention_bias", false)?;
    let mlp = fields.flag_or("mlp_bias", false)?;
    config.biases = Biases { qkv: attention, output: attention, mlp };
    Ok(config)
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
        attention: attention(config, &at("self_attn"), lookup)?,
        attention_output_norm: None,
        mlp_norm: lookup.norm(&at("post_attention_layernorm"), false)?,
        mlp: Mlp::Gated(gated(config, &at("mlp"), lookup)?),
        mlp_output_norm: None,
    })
}

/// Looks up the attention weights at `at` by Llama's names.
pub(super) fn attention(
    config: &LmConfig,
    at: &str,
    lookup: &TensorLookup<'_>,
) -> Result<AttentionWeights> {
    let (width, size, bias) = (config.hidden_size, config.head_size, config.biases.qkv);
    let (queries, keys) = (config.heads * size, config.kv_heads * size);
    let head_norm = |name: &str| {
        let norm = || lookup.head_norm(&format!("{at}.{name}"));
        config.head_norms.then(norm).transpose()
    };
    Ok(AttentionWeights {
        queries: lookup.linear(&format!("{at}.q_proj"), queries, width, bias)?,
        keys: lookup.linear(&format!("{at}.k_proj"), keys, width, bias)?,
        values: lookup.linear(&format!("{at}.v_proj"), keys, width, bias)?,
        query_norm: head_norm("q_norm")?,
        key_norm: head_norm("k_norm")?,
        output: lookup.linear(&format!("{at}.o_proj"), width, queries, config.biases.output)?,
    })
}

/// Looks up the gated feed-forward weights at `at` by Llama's names.
pub(super) fn gated(config: &LmConfig, at: &str, lookup: &TensorLookup<'_>) -> Result<Gated> {
    let (width, bias) = (config.hidden_size, config.biases.mlp);
    let intermediate = config.intermediate_size;
    Ok(Gated {
        gate: lookup.linear(&format!("{at}.gate_proj"), intermediate, width, bias)?,
        up: lookup.linear(&format!("{at}.up_proj"), intermediate, width, bias)?,
        down: lookup.linear(&format!("{at}.down_proj"), width, intermediate, bias)?,
    })
}
