//! Architectures: one file each says how its configuration reads and what its tensors are called.
//! What they compute is one decoder, described by [`LmConfig`] and [`BlockWeights`].

mod gemma3;
mod gpt2;
mod llama;
mod mistral;
mod mixtral;
mod qwen2;
mod qwen3;

use super::config::{Activation, Biases, LmConfig, Local, NormKind, Positions, Rotary};
use super::error::Result;
use super::fields::Fields;
use super::weights::{AttentionWeights, BlockWeights, Gated, Mlp, Picker};

/// A family of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// GPT-2: learned positions, layer norms, biases.
    Gpt2,
    /// Llama 1 to 3, SmolLM2, Tulu 2.
    Llama,
    /// Mistral: Llama with a sliding window.
    Mistral,
    /// Mixtral: Mistral with a sparse mixture of experts.
    Mixtral,
    /// Qwen 2 and 2.5: Llama with biases on queries, keys and values.
    Qwen2,
    /// Qwen 3: Llama with normed queries and keys.
    Qwen3,
    /// Gemma 3 for text: normed outputs, windows on most layers.
    Gemma3,
}

/// What a sentence about another architecture offers instead.
const INSTEAD: &str = "of model_type gpt2, llama, mistral, mixtral, qwen2, qwen3 or gemma3_text";

/// Reads a `config.json`.
///
/// # Errors
/// As [`LmConfig::load`].
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
        Some(other) => Err(fields.unsupported(format!("architecture '{other}'"), INSTEAD)),
        None => {
            let problem = "is missing; this is not a model's config.json".into();
            Err(fields.wrong("model_type", problem))
        }
    }
}

/// How the files of `architecture` call what Llama's call `name`.
pub(super) fn field_name(architecture: Architecture, name: &str) -> &str {
    match architecture {
        Architecture::Gpt2 => gpt2::field_name(name),
        _ => name,
    }
}

/// Where the tensors of the decoder may be found: what their names begin with, most usual first.
pub(super) fn prefixes(architecture: Architecture) -> &'static [&'static str] {
    match architecture {
        Architecture::Gpt2 => &["transformer.", "", "model.", "base_model."],
        _ => &["model.", "", "transformer.", "model.model.", "base_model."],
    }
}

/// Names of the embedding, the learned positions and the last norm, without prefix.
pub(super) fn outer_names(
    architecture: Architecture,
) -> (&'static str, &'static str, &'static str) {
    match architecture {
        Architecture::Gpt2 => ("wte", "wpe", "ln_f"),
        _ => ("embed_tokens", "", "norm"),
    }
}

/// The weights of one block.
///
/// # Errors
/// A tensor that is missing or of another shape.
pub(super) fn block(config: &LmConfig, layer: usize, pick: &Picker<'_>) -> Result<BlockWeights> {
    match config.architecture {
        Architecture::Gpt2 => gpt2::block(config, layer, pick),
        Architecture::Mixtral => mixtral::block(config, layer, pick),
        Architecture::Gemma3 => gemma3::block(config, layer, pick),
        _ => llama::block(config, layer, pick),
    }
}

/// The configuration of a Llama-shaped model: what most families share. What differs the
/// caller sets.
fn llama_like(architecture: Architecture, fields: &Fields<'_>) -> Result<LmConfig> {
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
            // As transformers has it for the first Llama's files.
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

/// 1/√size, as scaled dot-product attention has it (Vaswani et al. 2017, arXiv 1706.03762).
fn inverse_root(size: usize) -> f32 {
    1.0 / (size.max(1) as f32).sqrt()
}

fn activation(fields: &Fields<'_>, name: &str, default: Activation) -> Result<Activation> {
    match fields.text(name)? {
        None => Ok(default),
        Some("silu" | "swish") => Ok(Activation::Silu),
        Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Ok(Activation::GeluTanh),
        Some(other) => {
            Err(fields.unsupported(format!("{name} '{other}'"), "with silu or gelu_pytorch_tanh"))
        }
    }
}

/// The layers that `layer_types` marks as sliding, if the file says so.
fn sliding_layers(fields: &Fields<'_>, layers: usize) -> Result<Option<Vec<bool>>> {
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
            let problem = format!("names {} layers of {layers}", kinds.len());
            Err(fields.wrong("layer_types", problem))
        }
        None => {
            let what = "a layer type other than full_attention and sliding_attention";
            Err(fields.unsupported(what.into(), INSTEAD))
        }
    }
}

/// The windows of a model, none where no layer has one.
fn windows(window_tokens: usize, layers: Vec<bool>, rotary: Option<Rotary>) -> Option<Local> {
    layers.contains(&true).then_some(Local { window_tokens, layers, rotary })
}
