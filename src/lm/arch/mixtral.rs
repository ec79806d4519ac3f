//! Mixtral (Jiang et al. 2024, arXiv 2401.04088): Mistral with a sparse mixture of experts.

use super::llama;
use super::mistral::mistral_like;
use super::tensor_lookup::TensorLookup;
use crate::lm::config::{Architecture, Experts, LmConfig};
use crate::lm::error::Result;
use crate::lm::fields::Fields;
use crate::lm::weights::{BlockWeights, Gated, Mlp};

/// Reads a `config.json`.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = mistral_like(Architecture::Mixtral, fields)?;
    config.experts = Some(Experts {
        count: fields.size("num_local_experts")?,
        per_token: fields.size("num_experts_per_tok")?,
    });
    Ok(config)
}

/// Looks up the weights of one block.
pub(super) fn block(
    config: &LmConfig,
    layer: usize,
    lookup: &TensorLookup<'_>,
) -> Result<BlockWeights> {
    let at = |name: &str| format!("layers.{layer}.{name}");
    let (width, intermediate) = (config.hidden_size, config.intermediate_size);
    let count = config.experts.map_or(0, |experts| experts.count);
    let expert = |index: usize| -> Result<Gated> {
        let at = |name: &str| at(&format!("block_sparse_moe.experts.{index}.{name}"));
        Ok(Gated {
            gate: lookup.linear(&at("w1"), intermediate, width, false)?,
            up: lookup.linear(&at("w3"), intermediate, width, false)?,
            down: lookup.linear(&at("w2"), width, intermediate, false)?,
        })
    };
    Ok(BlockWeights {
        attention_norm: lookup.norm(&at("input_layernorm"), false)?,
        attention: llama::attention(config, &at("self_attn"), lookup)?,
        attention_output_norm: None,
        mlp_norm: lookup.norm(&at("post_attention_layernorm"), false)?,
        mlp: Mlp::Experts {
            router: lookup.linear(&at("block_sparse_moe.gate"), count, width, false)?,
            experts: (0..count).map(expert).collect::<Result<_>>()?,
        },
        mlp_output_norm: None,
    })
}
