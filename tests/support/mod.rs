//! Tiny models with random weights from a seed, created in memory.
#![allow(clippy::unwrap_used, dead_code)]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use ivg_playground::guidance::{Models, Pair, ValueGuide};
use ivg_playground::lm::{Lm, LmConfig, Tokenizer, ValueModel, Weights};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;

pub const EOS: u32 = 0;
/// One token for every byte, and the end token.
pub const VOCAB: usize = 257;
pub const CONTEXT: usize = 96;
const HIDDEN: usize = 32;
const INSIDE: usize = 48;
const LAYERS: usize = 2;

pub fn config() -> LmConfig {
    LmConfig::from_json(&config_json(), Path::new("test")).unwrap()
}

pub fn config_json() -> serde_json::Value {
    json!({
        "model_type": "llama", "vocab_size": VOCAB, "hidden_size": HIDDEN,
        "intermediate_size": INSIDE, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": false, "bos_token_id": 0, "eos_token_id": 0,
    })
}

/// Returns random weights. `sharpness` scales the output head: large values give confident models.
fn tensors(seed: u64, sharpness: f32) -> HashMap<String, Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut tensor = |shape: &[usize], scale: f32| {
        let n = shape.iter().product();
        let unit = |r: u32| (r as f32 / u32::MAX as f32 - 0.5) * 3.4;
        let values: Vec<f32> = (0..n).map(|_| unit(rng.next_u32()) * scale).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    };
    let mut all = HashMap::new();
    all.insert("model.embed_tokens.weight".to_owned(), tensor(&[VOCAB, HIDDEN], 1.0));
    all.insert("lm_head.weight".to_owned(), tensor(&[VOCAB, HIDDEN], 0.2 * sharpness));
    all.insert("score.weight".to_owned(), tensor(&[1, HIDDEN], 0.3));
    let ones = Tensor::ones(HIDDEN, candle_core::DType::F32, &Device::Cpu).unwrap();
    all.insert("model.norm.weight".to_owned(), ones.clone());
    let shapes = [
        ("self_attn.q_proj", [HIDDEN, HIDDEN]),
        ("self_attn.k_proj", [HIDDEN / 2, HIDDEN]),
        ("self_attn.v_proj", [HIDDEN / 2, HIDDEN]),
        ("self_attn.o_proj", [HIDDEN, HIDDEN]),
        ("mlp.gate_proj", [INSIDE, HIDDEN]),
        ("mlp.up_proj", [INSIDE, HIDDEN]),
        ("mlp.down_proj", [HIDDEN, INSIDE]),
    ];
    for layer in 0..LAYERS {
        for (name, shape) in shapes {
            all.insert(format!("model.layers.{layer}.{name}.weight"), tensor(&shape, 0.25));
        }
        for name in ["input_layernorm", "post_attention_layernorm"] {
            all.insert(format!("model.layers.{layer}.{name}.weight"), ones.clone());
        }
    }
    all
}

pub fn lm(seed: u64) -> Lm {
    Lm::from_tensors(config(), tensors(seed, 3.0), &Device::Cpu).unwrap()
}

/// Returns a model that ends its texts soon, because the head's row of the end token is scaled up.
pub fn brief_lm(seed: u64) -> Lm {
    let mut tensors = tensors(seed, 1.0);
    let head = tensors["lm_head.weight"].to_vec2::<f32>().unwrap();
    // The other logits are near zero and that of the end token varies widely, so about one token in
    // a few is the end token, depending on the context.
    let head: Vec<Vec<f32>> = head
        .into_iter()
        .enumerate()
        .map(|(i, row)| row.into_iter().map(|w| if i == 0 { w * 8.0 } else { w }).collect())
        .collect();
    tensors.insert("lm_head.weight".to_owned(), Tensor::new(head, &Device::Cpu).unwrap());
    Lm::from_tensors(config(), tensors, &Device::Cpu).unwrap()
}

pub fn value_model(seed: u64) -> ValueModel {
    let weights = Weights::from_tensors(tensors(seed, 1.0), &Device::Cpu).unwrap();
    ValueModel::from_weights(config(), &weights, &Device::Cpu).unwrap()
}

/// Returns a value model that reads the token ids of the base.
pub fn value_guide(seed: u64) -> ValueGuide {
    ValueGuide { model: value_model(seed), words: None }
}

/// Returns the `tokenizer.json` of a byte-level BPE without merges.
pub fn tokenizer_json() -> String {
    let mut vocab = serde_json::Map::new();
    vocab.insert("<|endoftext|>".to_owned(), json!(EOS));
    let mut next = 0x100;
    for byte in 0..=255u32 {
        let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if printable { byte } else { next };
        next += u32::from(!printable);
        vocab.insert(char::from_u32(code).unwrap().to_string(), json!(byte + 1));
    }
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                       "use_regex": true});
    let special = json!({"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let begin = json!({
        "type": "TemplateProcessing", "single": [special, text], "pair": [special, text, text],
        "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [EOS],
                                             "tokens": ["<|endoftext|>"]}},
    });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "post_processor": begin, "pre_tokenizer": level, "decoder": level,
        "added_tokens": [{"id": EOS, "content": "<|endoftext|>", "single_word": false,
                          "lstrip": false, "rstrip": false, "normalized": false,
                          "special": true}],
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
                  "continuing_subword_prefix": null, "end_of_word_suffix": null,
                  "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []},
    })
    .to_string()
}

pub fn tokenizer() -> Tokenizer {
    Tokenizer::from_bytes(tokenizer_json().as_bytes(), Path::new("test")).unwrap()
}

pub fn models() -> Models {
    Models {
        base: lm(1),
        pair: Some(Pair { untuned: lm(2), tuned: lm(3), words: None }),
        value: Some(value_guide(4)),
        tokenizer: Arc::new(tokenizer()),
        vocab_size: VOCAB,
        stops: Vec::new(),
    }
}

pub fn brief_models() -> Models {
    Models { base: brief_lm(1), ..models() }
}

/// Writes the models of [`models`] as a pack folder.
pub fn write_pack(dir: &Path) {
    for (role, seed, sharpness) in
        [("base", 1, 3.0), ("untuned", 2, 3.0), ("tuned", 3, 3.0), ("value", 4, 1.0)]
    {
        write_model(&dir.join(role), tensors(seed, sharpness));
    }
    std::fs::write(dir.join("pack.toml"), PACK_TOML).unwrap();
}

pub const PACK_TOML: &str = r#"
name = "tiny"
description = "random weights"
examples = ["A film", "B"]
base = { path = "base", template = "AB{prompt}" }
untuned = { path = "untuned" }
tuned = { path = "tuned" }
value = { path = "value" }
[defaults]
max_tokens = 12
"#;

fn write_model(dir: &Path, tensors: HashMap<String, Tensor>) {
    std::fs::create_dir_all(dir).unwrap();
    candle_core::safetensors::save(&tensors, dir.join("model.safetensors")).unwrap();
    std::fs::write(dir.join("tokenizer.json"), tokenizer_json()).unwrap();
    std::fs::write(dir.join("config.json"), config_json().to_string()).unwrap();
}

/// Adds a judge with arbitrary weights to a pack of [`write_pack`].
pub fn write_judge(dir: &Path) {
    let folder = dir.join("judge");
    std::fs::create_dir_all(&folder).unwrap();
    let config = json!({"kind": "hashed-ngrams", "ngrams": 1, "punctuation": "!?", "buckets": 16,
                        "length_power": 0.5, "bias": -0.25});
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let weights: Vec<f32> = (0..16).map(|i| (i as f32 - 7.0) / 4.0).collect();
    let weights = Tensor::from_vec(weights, 16, &Device::Cpu).unwrap();
    let tensors = HashMap::from([("weights".to_owned(), weights)]);
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
    let toml = PACK_TOML.replace("[defaults]", "judge = { path = \"judge\" }\n[defaults]");
    std::fs::write(dir.join("pack.toml"), toml).unwrap();
}
