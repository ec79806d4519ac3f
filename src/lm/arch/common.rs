//! Helpers that most families share to read a `config.json`.

use crate::lm::config::{
    Activation, Architecture, Biases, LmConfig, Local, NormKind, Positions, Rotary,
};
use crate::lm::error::Result;
use crate::lm::fields::Fields;

/// Supported model types; completes "choose a model …".
pub(super) const SUPPORTED_MODELS: &str =
    "of model_type gpt2, llama, mistral, mixtral, qwen2, qwen3 or gemma3_text";

/// Reads the configuration of a Llama-like model. The caller overrides the fields that differ.
pub(super) fn llama_like(architecture: Architecture, fields: &Fields<'_>) -> Result<LmConfig> {
    let (hidden_size, heads) = (fields.size("hidden_size")?, fields.size("num_attention_heads")?);
    let head_size = fields.size_or("head_dim", hidden_size / heads.max(1))?;
    Ok(LmConfig {
        architecture,
        vocab_size: fields.size("vocab_size")?,
        hidden_size,
        intermediate_size: fields.size("intermediate_size")?,
        layers: fields.size("num_hidden_layers")?,
        heads,
        kv_heads: fields.size_or("num_key_value_heads", heads)?,
        head_size,
        context_tokens: match architecture {
            // Default of transformers; the files of Llama 1 omit the field.
            Architecture::Llama => fields.size_or("max_position_embeddings", 2048)?,
            _ => fields.size("max_position_embeddings")?,
        },
        norm: NormKind::Rms,
        norm_epsilon: fields.number("rms_norm_eps")?,
        positions: Positions::Rotary(Rotary::from_fields(fields, 10_000.0)?),
        local: None,
        activation: activation(fields, "hidden_act", Activation::Silu)?,
        experts: None,
        biases: Biases::default(),
        head_norms: false,
        embedding_scale: 1.0,
        attention_scale: inverse_root(head_size),
        tied: fields.flag_or("tie_word_embeddings", false)?,
        eos: fields.ids("eos_token_id")?,
    })
}

/// Returns 1/√size, the factor of scaled dot-product attention (Vaswani et al. 2017,
/// arXiv 1706.03762).
pub(super) fn inverse_root(size: usize) -> f32 {
    1.0 / (size.max(1) as f32).sqrt()
}

/// Reads an activation from the field `name`.
pub(super) fn activation(
    fields: &Fields<'_>,
    name: &str,
    default: Activation,
) -> Result<Activation> {
    match fields.text(name)? {
        None => Ok(default),
        Some("silu" | "swish") => Ok(Activation::Silu),
        Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Ok(Activation::GeluTanh),
        Some(other) => {
            Err(fields.unsupported(format!("{name} '{other}'"), "with silu or gelu_pytorch_tanh"))
        }
    }
}

/// For each layer, returns whether `layer_types` marks it as sliding. Returns `None` if the field
/// is missing.
pub(super) fn sliding_layers(fields: &Fields<'_>, layers: usize) -> Result<Option<Vec<bool>>> {
    let Some(list) = fields.get("layer_types") else { return Ok(None) };
    let kinds: Option<Vec<bool>> = list.as_array().and_then(|list| {
        let kind = |kind: &serde_json::Value| match kind.as_str() {
            Some("sliding_attention") => Some(true),
            Some("full_attention") => Some(false),
            _ => None,
        };
        list.iter().map(kind).collect()
    });
    match kinds {
        Some(kinds) if kinds.len() == layers => Ok(Some(kinds)),
        Some(kinds) => {
            let problem = format!("lists {} layers of a model with {layers}", kinds.len());
            Err(fields.wrong("layer_types", problem))
        }
        None => {
            let feature = "a layer type other than full_attention and sliding_attention";
            Err(fields.unsupported(feature.into(), SUPPORTED_MODELS))
        }
    }
}

/// Returns the sliding-window settings of a model, or `None` if no layer has a window.
pub(super) fn local(
    window_tokens: usize,
    layers: Vec<bool>,
    rotary: Option<Rotary>,
) -> Option<Local> {
    layers.contains(&true).then_some(Local { window_tokens, layers, rotary })
}
