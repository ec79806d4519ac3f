//! Converts the configuration of a GGUF file to the form of a `config.json`, so that one reader
//! handles both.

use serde_json::{Map, Value, json};

use crate::lm::config::{Biases, LmConfig, Positions, RopeScaling};
use crate::lm::error::{Result, invalid};
use crate::lm::gguf::{GgufFile, Meta, end_tokens};

impl GgufFile {
    /// Reads the model's configuration.
    ///
    /// # Errors
    /// Same as [`LmConfig::load`].
    pub fn config(&self) -> Result<LmConfig> {
        read(self)
    }
}

/// Supported architectures; completes "choose a model …".
const SUPPORTED_ARCHITECTURES: &str = "of architecture llama, qwen2, qwen3 or gemma3";

/// Pairs of a `config.json` field and the GGUF entry that holds its value.
const FIELDS: [(&str, &str); 13] = [
    ("hidden_size", "embedding_length"),
    ("intermediate_size", "feed_forward_length"),
    ("num_hidden_layers", "block_count"),
    ("num_attention_heads", "attention.head_count"),
    ("num_key_value_heads", "attention.head_count_kv"),
    ("head_dim", "attention.key_length"),
    ("max_position_embeddings", "context_length"),
    ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
    ("rope_theta", "rope.freq_base"),
    ("rope_local_base_freq", "rope.freq_base_swa"),
    ("sliding_window", "attention.sliding_window"),
    ("num_local_experts", "expert_count"),
    ("num_experts_per_tok", "expert_used_count"),
];

/// Entries that change the computation and that this program does not support. They must be absent,
/// 0 or false.
const UNSUPPORTED_ENTRIES: [&str; 14] = [
    "attention.clamp_kqv",
    "attention.max_alibi_bias",
    "attention.scale",
    "attention.temperature_scale",
    "attn_logit_softcapping",
    "embedding_scale",
    "expert_group_count",
    "expert_shared_count",
    "final_logit_softcapping",
    "interleave_moe_layer_step",
    "leading_dense_block_count",
    "logit_scale",
    "residual_scale",
    "use_parallel_residual",
];

fn read(gguf: &GgufFile) -> Result<LmConfig> {
    let name = gguf.text("general.architecture");
    let name = name.ok_or_else(|| gguf.missing("general.architecture"))?;
    let has = |key: &str| gguf.integer(&format!("{name}.{key}")).unwrap_or(0) > 0;
    let model_type = match name {
        "llama" if has("expert_count") => "mixtral",
        "llama" if has("attention.sliding_window") => "mistral",
        "llama" => "llama",
        "qwen2" => "qwen2",
        "qwen3" => "qwen3",
        "gemma3" => "gemma3_text",
        other => {
            let feature = format!("architecture '{other}'");
            return Err(gguf.unsupported(feature, SUPPORTED_ARCHITECTURES));
        }
    };
    let mut config = LmConfig::from_json(&config_json(gguf, name, model_type)?, gguf.file())?;
    check_unsupported(gguf, name, config.head_size)?;
    config.biases = biases(gguf);
    // Llama 3 files store the divisors of the rotary frequencies as a tensor.
    if gguf.tensors().contains_key("rope_freqs.weight")
        && let Positions::Rotary(rotary) = &mut config.positions
    {
        rotary.scaling = RopeScaling::Divided(divisors(gguf, config.head_size)?);
    }
    Ok(config)
}

fn divisors(gguf: &GgufFile, head_size: usize) -> Result<Vec<f32>> {
    let tensors = crate::lm::weights::Weights::gguf(gguf, &candle_core::Device::Cpu);
    Ok(tensors.get("rope_freqs.weight", &[head_size / 2])?.to_vec1()?)
}

/// Returns which linear layers have a bias in the file.
fn biases(gguf: &GgufFile) -> Biases {
    let has = |names: &[&str]| {
        names.iter().any(|name| gguf.tensors().contains_key(&format!("blk.0.{name}.bias")))
    };
    Biases {
        qkv: has(&["attn_q", "attn_k", "attn_v"]),
        output: has(&["attn_output"]),
        mlp: has(&["ffn_gate", "ffn_up", "ffn_down"]),
    }
}

/// Rejects settings that change the logits and that this program does not support.
fn check_unsupported(gguf: &GgufFile, name: &str, head_size: usize) -> Result<()> {
    let entry = |key: &str| gguf.get(&format!("{name}.{key}"));
    let is_set = |value: &Meta| match value {
        Meta::Flag(flag) => *flag,
        Meta::Numbers(numbers) => numbers.iter().any(|number| *number != 0.0),
        other => other.number() != Some(0.0),
    };
    if let Some(key) = UNSUPPORTED_ENTRIES.into_iter().find(|key| entry(key).is_some_and(is_set)) {
        return Err(gguf.unsupported(format!("the setting '{name}.{key}'"), "without it"));
    }
    if gguf.flag(&format!("{name}.attention.causal")) == Some(false) {
        let feature = "non-causal attention".to_owned();
        return Err(gguf.unsupported(feature, "with causal attention"));
    }
    for key in ["rope.dimension_count", "attention.value_length"] {
        let found = entry(key).and_then(Meta::same_for_all);
        if let Some(found) = found.filter(|found| *found != head_size as f64) {
            let feature = format!("'{name}.{key}' {found} with a head size of {head_size}");
            return Err(gguf.unsupported(feature, "in which both are equal"));
        }
    }
    Ok(())
}

fn config_json(gguf: &GgufFile, name: &str, model_type: &str) -> Result<Value> {
    let entry = |key: &str| gguf.get(&format!("{name}.{key}"));
    let mut json = Map::new();
    json.insert("model_type".into(), json!(model_type));
    for (field, key) in FIELDS {
        let Some(value) = entry(key) else { continue };
        let number = match value {
            Meta::Whole(n) => json!(n),
            Meta::Number(n) => json!(n),
            // One entry per layer, as in pruned models.
            Meta::Numbers(_) => match value.same_for_all().map(|n| Meta::Number(n).integer()) {
                Some(Some(n)) => json!(n),
                _ => {
                    let feature = format!("'{name}.{key}' with different values per layer");
                    return Err(gguf.unsupported(feature, "whose layers have equal sizes"));
                }
            },
            other => {
                let problem = format!("the entry '{name}.{key}' is {other:?}, not a number");
                return Err(invalid(gguf.file(), problem));
            }
        };
        json.insert(field.into(), number);
    }
    rope_scaling(gguf, name, &mut json);
    sliding_layers(entry("attention.sliding_window_pattern"), &mut json);
    let tokens = gguf.texts("tokenizer.ggml.tokens").unwrap_or(&[]);
    let rows = gguf.tensors().get("token_embd.weight").and_then(|entry| entry.shape.first());
    json.insert("vocab_size".into(), json!(rows.copied().unwrap_or(tokens.len())));
    let tied = !gguf.tensors().contains_key("output.weight");
    json.insert("tie_word_embeddings".into(), json!(tied));
    json.insert("eos_token_id".into(), json!(end_tokens(gguf, tokens)));
    gemma_scale(&mut json, model_type);
    Ok(Value::Object(json))
}

/// Converts the scaling of rotary positions. Files of 2023 use the key `rope.scale_linear`.
fn rope_scaling(gguf: &GgufFile, name: &str, json: &mut Map<String, Value>) {
    let number = |key: &str| gguf.get(&format!("{name}.{key}")).and_then(Meta::number);
    let kind = gguf.text(&format!("{name}.rope.scaling.type"));
    let factor = number("rope.scaling.factor").or_else(|| number("rope.scale_linear"));
    let is_scaled = factor.is_some_and(|factor| factor != 0.0 && factor != 1.0);
    let kind = kind.unwrap_or(if is_scaled { "linear" } else { "none" });
    // Unsupported kinds are passed on even without a factor, so that the error names them.
    if kind != "none" && (is_scaled || kind != "linear") {
        json.insert("rope_scaling".into(), json!({"rope_type": kind, "factor": factor}));
    }
}

/// Converts which layers have a window. The entry is either n, if every n-th layer has no window,
/// or one flag per layer.
fn sliding_layers(pattern: Option<&Meta>, json: &mut Map<String, Value>) {
    match pattern {
        Some(Meta::Numbers(flags)) => {
            let kind =
                |flag: &f64| if *flag == 0.0 { "full_attention" } else { "sliding_attention" };
            json.insert("layer_types".into(), json!(flags.iter().map(kind).collect::<Vec<_>>()));
        }
        Some(pattern) => {
            json.insert("sliding_window_pattern".into(), json!(pattern.integer()));
        }
        None => {}
    }
}

/// Adds the query scale of Gemma 3, which GGUF files do not contain: the head size, or in the model
/// with 62 layers the hidden size divided by the number of heads.
fn gemma_scale(json: &mut Map<String, Value>, model_type: &str) {
    if model_type != "gemma3_text" {
        return;
    }
    let size = |name: &str| json.get(name).and_then(Value::as_u64).unwrap_or(0);
    let scalar = if size("num_hidden_layers") == 62 {
        size("hidden_size") / size("num_attention_heads").max(1)
    } else {
        size("head_dim")
    };
    if scalar > 0 {
        json.insert("query_pre_attn_scalar".into(), json!(scalar));
    }
}
