//! Mixtral (Jiang et al. 2024, arXiv 2401.04088): Mistral with a sparse mixture of experts.

use super::super::config::{Experts, LmConfig};
use super::super::error::Result;
use super::super::fields::Fields;
use super::{Architecture, BlockWeights, Gated, Mlp, Picker, llama, mistral};

/// Reads a `config.json`.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    let mut config = mistral::shaped(Architecture::Mixtral, fields)?;
    config.experts = Some(Experts {
        count: fields.size("num_local_experts")?,
        per_token: fields.size("num_experts_per_tok")?,
    });
    Ok(config)
}

/// The weights of one block.
pub(super) fn block(config: &LmConfig, layer: usize, pick: &Picker<'_>) -> Result<BlockWeights> {
    let at = |name: &str| format!("layers.{layer}.{name}");
    let (width, inside) = (config.hidden_size, config.intermediate_size);
    let count = config.experts.map_or(0, |experts| experts.count);
    let expert = |index: usize| -> Result<Gated> {
        let at = |name: &str| at(&format!("block_sparse_moe.experts.{index}.{name}"));
        Ok(Gated {
            gate: pick.linear(&at("w1"), inside, width, false)?,
            up: pick.linear(&at("w3"), inside, width, false)?,
            down: pick.linear(&at("w2"), width, inside, false)?,
        })
    };
    Ok(BlockWeights {
        attention_norm: pick.norm(&at("input_layernorm"), false)?,
        attention: llama::attention(config, &at("self_attn"), pick)?,
        attention_output_norm: None,
        mlp_norm: pick.norm(&at("post_attention_layernorm"), false)?,
        mlp: Mlp::Experts {
            router: pick.linear(&at("block_sparse_moe.gate"), count, width, false)?,
            experts: (0..count).map(expert).collect::<Result<_>>()?,
        },
        mlp_output_norm: None,
    })
}
