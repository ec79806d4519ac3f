//! GPT-2 (Radford et al. 2019): learned positions, layer norms, biases in all linear layers, and
//! matrices stored transposed, `[in, out]`.

use super::common::{activation, inverse_root};
use super::tensor_lookup::TensorLookup;
use crate::lm::config::{Activation, Architecture, Biases, LmConfig, NormKind, Positions};
use crate::lm::error::Result;
use crate::lm::fields::Fields;
use crate::lm::weights::{AttentionWeights, BlockWeights, Mlp};

/// Reads a `config.json`.
pub(super) fn config(fields: &Fields<'_>) -> Result<LmConfig> {
    for name in ["scale_attn_by_inverse_layer_idx", "add_cross_attention"] {
        if fields.flag_or(name, false)? {
            return Err(fields.unsupported(format!("'{name}'"), "without it"));
        }
    }
    if !fields.flag_or("scale_attn_weights", true)? {
        return Err(fields.unsupported("'scale_attn_weights' off".into(), "with it on"));
    }
    let (width, heads) = (fields.size("n_embd")?, fields.size("n_head")?);
    let head_size = width / heads.max(1);
    if head_size * heads != width {
        let problem = format!("is {heads}, which does not divide n_embd {width}");
        return Err(fields.wrong("n_head", problem));
    }
    Ok(LmConfig {
        architecture: Architecture::Gpt2,
        vocab_size: fields.size("vocab_size")?,
        hidden_size: width,
        intermediate_size: fields.size_or("n_inner", width.saturating_mul(4))?,
        layers: fields.size("n_layer")?,
        heads,
        kv_heads: heads,
        head_size,
        context_tokens: fields.size("n_positions")?,
        norm: NormKind::Layer,
        norm_epsilon: fields.optional_number("layer_norm_epsilon")?.unwrap_or(1e-5),
        positions: Positions::Learned,
        local: None,
        activation: activation(fields, "activation_function", Activation::GeluTanh)?,
        experts: None,
        biases: Biases { qkv: true, output: true, mlp: true },
        head_norms: false,
        embedding_scale: 1.0,
        attention_scale: inverse_root(head_size),
        tied: fields.flag_or("tie_word_embeddings", true)?,
        eos: fields.ids("eos_token_id")?,
    })
}

/// Returns the name of Llama's field `name` in GPT-2's files.
pub(super) fn field_name(name: &str) -> &str {
    match name {
        "hidden_size" => "n_embd",
        "intermediate_size" => "n_inner",
        "num_hidden_layers" => "n_layer",
        "num_attention_heads" => "n_head",
        "max_position_embeddings" => "n_positions",
        "rms_norm_eps" => "layer_norm_epsilon",
        other => other,
    }
}

/// Looks up the weights of one block.
pub(super) fn block(
    config: &LmConfig,
    layer: usize,
    lookup: &TensorLookup<'_>,
) -> Result<BlockWeights> {
    let at = |name: &str| format!("h.{layer}.{name}");
    let (width, intermediate) = (config.hidden_size, config.intermediate_size);
    let [queries, keys, values] = lookup.transposed_thirds(&at("attn.c_attn"), width)?;
    Ok(BlockWeights {
        attention_norm: lookup.norm(&at("ln_1"), true)?,
        attention: AttentionWeights {
            queries,
            keys,
            values,
            query_norm: None,
            key_norm: None,
            output: lookup.transposed(&at("attn.c_proj"), width, width)?,
        },
        attention_output_norm: None,
        mlp_norm: lookup.norm(&at("ln_2"), true)?,
        mlp: Mlp::Plain {
            up: lookup.transposed(&at("mlp.c_fc"), intermediate, width)?,
            down: lookup.transposed(&at("mlp.c_proj"), width, intermediate)?,
        },
        mlp_output_norm: None,
    })
}
