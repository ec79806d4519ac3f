//! The configuration of a GGUF file, brought into the form of a `config.json` so that one reader
//! serves both.

use serde_json::{Map, Value, json};

use super::{GgufFile, Meta};
use crate::lm::config::{Biases, LmConfig, Positions, RopeScaling};
use crate::lm::error::Result;

/// Completes "choose a model" where the architecture is another.
const INSTEAD: &str = "of architecture llama, qwen2, qwen3 or gemma3";

/// Fields of a `config.json`, and the entries of a GGUF file that hold them.
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

/// Entries that change what a model computes and that this program does not apply: they must be
/// absent, 0 or off.
const UNREAD: [&str; 14] = [
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

/// Tokens that end a turn or a text, known by their names where a file names no other: those that
/// llama.cpp looks for.
const END_TOKENS: [&str; 12] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];

/// Reads the configuration.
///
/// # Errors
/// As [`LmConfig::load`].
pub(super) fn read(gguf: &GgufFile) -> Result<LmConfig> {
    let name = gguf.text("general.architecture");
    let name = name.ok_or_else(|| gguf.missing("general.architecture"))?;
    let has = |key: &str| gguf.whole(&format!("{name}.{key}")).unwrap_or(0) > 0;
    let model_type = match name {
        "llama" if has("expert_count") => "mixtral",
        "llama" if has("attention.sliding_window") => "mistral",
        "llama" => "llama",
        "qwen2" => "qwen2",
        "qwen3" => "qwen3",
        "gemma3" => "gemma3_text",
        other => return Err(gguf.unsupported(format!("architecture '{other}'"), INSTEAD)),
    };
    let mut config = LmConfig::from_json(&config_json(gguf, name, model_type)?, gguf.file())?;
    check_unread(gguf, name, config.head_size)?;
    config.biases = biases(gguf);
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

/// Which maps add a bias: those for which the file has one.
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

/// Refuses settings that would change the logits but that this reader does not apply.
fn check_unread(gguf: &GgufFile, name: &str, head_size: usize) -> Result<()> {
    let of_model = |key: &str| gguf.get(&format!("{name}.{key}"));
    let is_set = |value: &Meta| match value {
        Meta::Flag(flag) => *flag,
        Meta::Numbers(numbers) => numbers.iter().any(|number| *number != 0.0),
        other => other.number() != Some(0.0),
    };
    if let Some(key) = UNREAD.into_iter().find(|key| of_model(key).is_some_and(is_set)) {
        return Err(gguf.unsupported(format!("the setting '{name}.{key}'"), "without it"));
    }
    if gguf.flag(&format!("{name}.attention.causal")) == Some(false) {
        let what = "attention to later tokens".to_owned();
        return Err(gguf.unsupported(what, "that reads from left to right"));
    }
    for key in ["rope.dimension_count", "attention.value_length"] {
        let found = of_model(key).and_then(Meta::same_for_all);
        if let Some(found) = found.filter(|found| *found != head_size as f64) {
            let what = format!("'{name}.{key}' {found} with heads of {head_size}");
            return Err(gguf.unsupported(what, "in which both are the same"));
        }
    }
    Ok(())
}

fn config_json(gguf: &GgufFile, name: &str, model_type: &str) -> Result<Value> {
    let of_model = |key: &str| gguf.get(&format!("{name}.{key}"));
    let mut json = Map::new();
    json.insert("model_type".into(), json!(model_type));
    for (field, key) in FIELDS {
        let Some(value) = of_model(key) else { continue };
        let number = match value {
            Meta::Whole(n) => json!(n),
            Meta::Number(n) => json!(n),
            // One entry a layer, as pruned models have it.
            Meta::Numbers(_) => match value.same_for_all().map(|n| Meta::Number(n).whole()) {
                Some(Some(n)) => json!(n),
                _ => {
                    let what = format!("'{name}.{key}' with other numbers for other layers");
                    return Err(gguf.unsupported(what, "whose layers are all alike"));
                }
            },
            other => {
                let problem = format!("the entry '{name}.{key}' is {other:?}, not a number");
                return Err(crate::lm::weights::invalid(gguf.file(), problem));
            }
        };
        json.insert(field.into(), number);
    }
    rope_scaling(gguf, name, &mut json);
    sliding_layers(of_model("attention.sliding_window_pattern"), &mut json);
    let tokens = gguf.texts("tokenizer.ggml.tokens").unwrap_or(&[]);
    let rows = gguf.tensors().get("token_embd.weight").and_then(|entry| entry.shape.first());
    json.insert("vocab_size".into(), json!(rows.copied().unwrap_or(tokens.len())));
    let tied = !gguf.tensors().contains_key("output.weight");
    json.insert("tie_word_embeddings".into(), json!(tied));
    json.insert("eos_token_id".into(), json!(end_tokens(gguf, tokens)));
    gemma_scale(&mut json, model_type);
    Ok(Value::Object(json))
}

/// The stretching of rotary positions; `rope.scale_linear` is its key in files of 2023.
fn rope_scaling(gguf: &GgufFile, name: &str, json: &mut Map<String, Value>) {
    let number = |key: &str| gguf.get(&format!("{name}.{key}")).and_then(Meta::number);
    let kind = gguf.text(&format!("{name}.rope.scaling.type"));
    let factor = number("rope.scaling.factor").or_else(|| number("rope.scale_linear"));
    let is_stretched = factor.is_some_and(|factor| factor != 0.0 && factor != 1.0);
    let kind = kind.unwrap_or(if is_stretched { "linear" } else { "none" });
    // A kind that is not supported is refused by name, whether or not there is a factor.
    if kind != "none" && (is_stretched || kind != "linear") {
        json.insert("rope_scaling".into(), json!({"rope_type": kind, "factor": factor}));
    }
}

/// Which layers have a window: every n-th has none, or one flag a layer.
fn sliding_layers(pattern: Option<&Meta>, json: &mut Map<String, Value>) {
    match pattern {
        Some(Meta::Numbers(flags)) => {
            let kind =
                |flag: &f64| if *flag == 0.0 { "full_attention" } else { "sliding_attention" };
            json.insert("layer_types".into(), json!(flags.iter().map(kind).collect::<Vec<_>>()));
        }
        Some(pattern) => {
            json.insert("sliding_window_pattern".into(), json!(pattern.whole()));
        }
        None => {}
    }
}

/// The tokens that end a text: those that the file names, and those known by their names.
pub(super) fn end_tokens(gguf: &GgufFile, tokens: &[String]) -> Vec<u64> {
    let keys = ["eos_token_id", "eot_token_id", "eom_token_id"];
    let named = keys.iter().filter_map(|key| gguf.whole(&format!("tokenizer.ggml.{key}")));
    let mut ends: Vec<u64> = named.collect();
    for (id, token) in tokens.iter().enumerate() {
        if END_TOKENS.contains(&token.as_str()) && !ends.contains(&(id as u64)) {
            ends.push(id as u64);
        }
    }
    ends.retain(|id| u32::try_from(*id).is_ok());
    ends
}

/// Gemma 3's files do not hold what queries are scaled by: the size of a head, but in the model
/// of 62 layers the width divided by the heads.
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
