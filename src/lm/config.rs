//! `config.json` of a Llama-shaped model, checked before anything is allocated.

use std::path::Path;

use candle_transformers::models::llama::{Llama3RopeConfig, LlamaConfig, LlamaEosToks};
use serde_json::Value;

use super::error::{LmError, Result};
use super::weights::read_json;

/// Sizes no model has: a number beyond them is a damaged file, not a big model.
const MAX_VOCAB: usize = 1 << 21;
const MAX_WIDTH: usize = 1 << 17;
const MAX_LAYERS: usize = 1 << 10;
const MAX_CONTEXT: usize = 1 << 24;

/// Shape and constants of one model.
#[derive(Debug, Clone)]
pub struct LmConfig {
    /// Number of token ids.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward block.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_size: usize,
    /// Longest text the model was trained for, prompt and response together, in tokens.
    pub context_tokens: usize,
    /// Added to the mean square in every norm.
    pub norm_epsilon: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// Llama 3's stretching of the rotary frequencies, if any.
    pub rope_scaling: Option<Llama3RopeConfig>,
    /// Whether the output head is the embedding.
    pub tied: bool,
    /// The token that begins a text, if the model has one.
    pub bos: Option<u32>,
    /// The tokens that end a text; may be empty.
    pub eos: Vec<u32>,
}

impl LmConfig {
    /// Reads `config.json` in `dir`.
    ///
    /// # Errors
    /// A sentence naming the field that is missing, impossible or not supported.
    pub fn load(dir: &Path) -> Result<Self> {
        let file = dir.join("config.json");
        Self::from_json(read_json(&file)?, &file)
    }

    /// The configuration in `json`; `file` is used in messages.
    ///
    /// # Errors
    /// As [`LmConfig::load`].
    pub fn from_json(mut json: Value, file: &Path) -> Result<Self> {
        refuse_unsupported(&json, file)?;
        hoist_rope(&mut json, file)?;
        let head_size = json.get("head_dim").and_then(Value::as_u64).map(|n| n as usize);
        let llama: LlamaConfig = serde_json::from_value(json)
            .map_err(|error| field(file, "(any)", format!("cannot be read: {error}")))?;
        let kv_heads = llama.num_key_value_heads();
        let config = Self {
            vocab_size: llama.vocab_size,
            hidden_size: llama.hidden_size,
            intermediate_size: llama.intermediate_size,
            layers: llama.num_hidden_layers,
            heads: llama.num_attention_heads,
            kv_heads,
            head_size: head_size.unwrap_or(llama.hidden_size / llama.num_attention_heads.max(1)),
            context_tokens: llama.max_position_embeddings,
            norm_epsilon: llama.rms_norm_eps,
            rope_theta: llama.rope_theta,
            rope_scaling: llama.rope_scaling,
            tied: llama.tie_word_embeddings.unwrap_or(false),
            bos: llama.bos_token_id,
            eos: match llama.eos_token_id {
                None => Vec::new(),
                Some(LlamaEosToks::Single(id)) => vec![id],
                Some(LlamaEosToks::Multiple(ids)) => ids,
            },
        };
        config.check(file)?;
        Ok(config)
    }

    /// Refuses sizes that cannot be; `file` is used in messages.
    ///
    /// # Errors
    /// [`LmError::Field`] naming the first impossible one.
    pub fn check(&self, file: &Path) -> Result<()> {
        let limits = [
            ("vocab_size", self.vocab_size, MAX_VOCAB),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, MAX_WIDTH),
            ("num_hidden_layers", self.layers, MAX_LAYERS),
            ("num_attention_heads", self.heads, MAX_WIDTH),
            ("num_key_value_heads", self.kv_heads, self.heads),
            ("head_dim", self.head_size, MAX_WIDTH),
            ("max_position_embeddings", self.context_tokens, MAX_CONTEXT),
        ];
        for (name, value, most) in limits {
            if value == 0 || value > most {
                let problem = format!("is {value}, expected 1 to {most}; download the model again");
                return Err(field(file, name, problem));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let problem =
                format!("is {}, which does not divide the {} heads", self.kv_heads, self.heads);
            return Err(field(file, "num_key_value_heads", problem));
        }
        if !self.head_size.is_multiple_of(2) {
            return Err(field(file, "head_dim", format!("is {}, which is odd", self.head_size)));
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 0.0) {
            return Err(field(file, "rope_theta", "is not a positive number".into()));
        }
        if !(self.norm_epsilon.is_finite() && self.norm_epsilon >= 0.0) {
            return Err(field(file, "rms_norm_eps", "is not a positive number".into()));
        }
        Ok(())
    }
}

fn field(file: &Path, field: &str, problem: String) -> LmError {
    LmError::Field { file: file.to_path_buf(), field: field.into(), problem }
}

/// Refuses what the forward pass does not do, before it would be done silently wrong.
fn refuse_unsupported(json: &Value, file: &Path) -> Result<()> {
    let refuse = |what: String, instead: &str| {
        Err(LmError::Unsupported { file: file.to_path_buf(), what, instead: instead.into() })
    };
    match json.get("model_type") {
        Some(Value::String(kind)) if kind == "llama" => {}
        Some(kind) => return refuse(format!("architecture {kind}"), "of model_type \"llama\""),
        None => {
            let problem = "is missing; this is not a model's config.json".into();
            return Err(field(file, "model_type", problem));
        }
    }
    for name in ["attention_bias", "mlp_bias"] {
        if json.get(name).and_then(Value::as_bool).unwrap_or(false) {
            return refuse(format!("'{name}'"), "without biases");
        }
    }
    match json.get("hidden_act").and_then(Value::as_str) {
        None | Some("silu" | "swish") => {}
        Some(other) => return refuse(format!("hidden_act '{other}'"), "with silu"),
    }
    if json.get("quantization_config").is_some_and(|value| !value.is_null()) {
        return refuse("'quantization_config'".into(), "whose weights are f32, f16 or bf16");
    }
    Ok(())
}

/// Brings the rotary settings to where `LlamaConfig` looks for them. Newer writers put
/// everything under `rope_parameters`; reading past it would take the default base in silence.
fn hoist_rope(json: &mut Value, file: &Path) -> Result<()> {
    let Some(map) = json.as_object_mut() else {
        return Err(LmError::Damaged {
            file: file.to_path_buf(),
            problem: "not a JSON object".into(),
        });
    };
    let scaling = match map.remove("rope_parameters") {
        Some(parameters) if !parameters.is_null() => {
            map.remove("rope_scaling");
            if let Some(theta) = parameters.get("rope_theta") {
                map.insert("rope_theta".into(), theta.clone());
            }
            parameters
        }
        _ => map.remove("rope_scaling").unwrap_or(Value::Null),
    };
    if scaling.is_null() {
        return Ok(());
    }
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type")).and_then(Value::as_str);
    match kind {
        None | Some("default") => {}
        Some("llama3") => {
            map.insert("rope_scaling".into(), scaling);
        }
        Some(other) => {
            return Err(LmError::Unsupported {
                file: file.to_path_buf(),
                what: format!("rope scaling '{other}'"),
                instead: "with plain or llama3 rotary positions".into(),
            });
        }
    }
    Ok(())
}
