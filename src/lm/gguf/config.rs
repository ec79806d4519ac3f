//! The configuration of a GGUF file, brought into the form of a `config.json` so that one reader
//! serves both.

use serde_json::{Value, json};

use super::{GgufFile, Meta};
use crate::lm::config::{LmConfig, Positions, RopeScaling};
use crate::lm::error::Result;

/// Architectures by GGUF's names.
const INSTEAD: &str = "of architecture llama, qwen2, qwen3 or gemma3";

/// Reads the configuration.
///
/// # Errors
/// As [`LmConfig::load`].
pub(super) fn read(gguf: &GgufFile) -> Result<LmConfig> {
    let name = gguf.text("general.architecture");
    let name = name.ok_or_else(|| gguf.missing("general.architecture"))?;
    let experts = gguf.whole(&format!("{name}.expert_count")).unwrap_or(0) > 0;
    let model_type = match (name, experts) {
        ("llama", false) => "llama",
        ("llama", true) => "mixtral",
        ("qwen2", _) => "qwen2",
        ("qwen3", _) => "qwen3",
        ("gemma3", _) => "gemma3_text",
        (other, _) => return Err(gguf.unsupported(format!("architecture '{other}'"), INSTEAD)),
    };
    let mut config = LmConfig::from_json(&config_json(gguf, name, model_type)?, gguf.file())?;
    // Llama 3 files carry what their rotation is divided by as a tensor.
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

fn config_json(gguf: &GgufFile, name: &str, model_type: &str) -> Result<Value> {
    let of_model = |key: &str| gguf.get(&format!("{name}.{key}"));
    let mut json = serde_json::Map::new();
    json.insert("model_type".into(), json!(model_type));
    let entries = [
        ("hidden_size", "embedding_length"),
        ("intermediate_size", "feed_forward_length"),
        ("num_hidden_layers", "block_count"),
        ("num_attention_heads", "attention.head_count"),
        ("num_key_value_heads", "attention.head_count_kv"),
        ("head_dim", "attention.key_length"),
        ("max_position_embeddings", "context_length"),
        ("rms_norm_eps", "attention.layer_norm_rms_epsilon"),
        ("rope_theta", "rope.freq_base"),
        ("sliding_window", "attention.sliding_window"),
        ("num_local_experts", "expert_count"),
        ("num_experts_per_tok", "expert_used_count"),
    ];
    for (field, key) in entries {
        let value = match of_model(key) {
            Some(Meta::Whole(n)) => json!(n),
            Some(Meta::Number(n)) => json!(n),
            Some(_) => return Err(gguf.missing(&format!("{name}.{key}"))),
            None => continue,
        };
        json.insert(field.into(), value);
    }
    if let Some(factor) = of_model("rope.scaling.factor").and_then(Meta::number) {
        let kind = gguf.text(&format!("{name}.rope.scaling.type")).unwrap_or("linear");
        if kind != "none" {
            json.insert("rope_scaling".into(), json!({"rope_type": kind, "factor": factor}));
        }
    }
    let tokens = gguf.texts("tokenizer.ggml.tokens").map_or(0, <[String]>::len);
    let rows = gguf.tensors().get("token_embd.weight").and_then(|entry| entry.shape.first());
    json.insert("vocab_size".into(), json!(rows.copied().unwrap_or(tokens)));
    let tied = !gguf.tensors().contains_key("output.weight");
    json.insert("tie_word_embeddings".into(), json!(tied));
    let eos = ["eos_token_id", "eot_token_id"]
        .iter()
        .filter_map(|key| gguf.whole(&format!("tokenizer.ggml.{key}")));
    json.insert("eos_token_id".into(), json!(eos.collect::<Vec<_>>()));
    gemma_scale(&mut json, model_type);
    Ok(Value::Object(json))
}

/// Gemma 3's files do not hold what queries are scaled by: the size of a head, but in the model
/// of 62 layers the width divided by the heads.
fn gemma_scale(json: &mut serde_json::Map<String, Value>, model_type: &str) {
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
