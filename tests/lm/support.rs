//! Tiny models with random weights and access to the goldens, for the tests of `lm`.
#![allow(dead_code, missing_docs)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use ivg_playground::lm::{Cache, Lm, LmConfig};

/// Returns a folder of `tests/goldens`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

/// Returns token ids and the tensor `what` that PyTorch computed for them.
pub fn expected(name: &str, what: &str) -> (Vec<u32>, Tensor) {
    let file = golden(name).join("expected.safetensors");
    let tensors: HashMap<String, Tensor> =
        candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let ids = tensors["ids"].to_vec1::<i64>().unwrap();
    (ids.into_iter().map(|id| id as u32).collect(), tensors[what].clone())
}

/// Returns texts and their ids in Python's tokenizer.
pub fn tokenized(name: &str) -> Vec<(String, Vec<u32>)> {
    let json = std::fs::read(golden(name).join("expected.json")).unwrap();
    let cases: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let case = |case: &serde_json::Value| {
        let text = case["text"].as_str().unwrap().to_owned();
        (text, serde_json::from_value(case["ids"].clone()).unwrap())
    };
    cases.as_array().unwrap().iter().map(case).collect()
}

pub fn load(name: &str) -> Lm {
    Lm::load(&golden(name), &Device::Cpu).unwrap()
}

/// Returns the largest absolute difference between two tensors of the same shape.
pub fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let a = a.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let b = b.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(a.iter().chain(&b).all(|value| value.is_finite()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Appends tokens to every row. Returns the hidden states `[len, hidden]` of each row, without
/// padding.
pub fn step(lm: &Lm, cache: &mut Cache, rows: &[&[u32]]) -> Vec<Tensor> {
    let hidden = lm.forward(cache, rows).unwrap();
    let row = |(index, row): (usize, &&[u32])| {
        hidden.get(index).unwrap().narrow(0, 0, row.len()).unwrap()
    };
    rows.iter().enumerate().map(row).collect()
}

/// Returns the hidden states `[len, hidden]` of a text read in one pass.
pub fn whole(lm: &Lm, text: &[u32]) -> Tensor {
    lm.prefill(text).unwrap().1
}

/// Returns `n` pseudorandom token ids below 320.
pub fn tokens(seed: u64, n: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as u32 % 320
    };
    (0..n).map(|_| next()).collect()
}

/// Returns a random model of two layers with six query heads, two key/value heads and head size 40.
pub fn random_model() -> (LmConfig, HashMap<String, Tensor>) {
    let json = serde_json::json!({
        "model_type": "llama", "vocab_size": 333, "hidden_size": 50, "intermediate_size": 70,
        "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2,
        "head_dim": 40, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
        "tie_word_embeddings": false,
    });
    let config = LmConfig::from_json(&json, Path::new("random")).unwrap();
    let mut shapes = vec![
        ("model.embed_tokens".to_string(), vec![333, 50]),
        ("lm_head".to_string(), vec![333, 50]),
        ("model.norm".to_string(), vec![50]),
    ];
    for layer in 0..2 {
        for (name, shape) in [
            ("input_layernorm", vec![50]),
            ("self_attn.q_proj", vec![240, 50]),
            ("self_attn.k_proj", vec![80, 50]),
            ("self_attn.v_proj", vec![80, 50]),
            ("self_attn.o_proj", vec![50, 240]),
            ("post_attention_layernorm", vec![50]),
            ("mlp.gate_proj", vec![70, 50]),
            ("mlp.up_proj", vec![70, 50]),
            ("mlp.down_proj", vec![50, 70]),
        ] {
            shapes.push((format!("model.layers.{layer}.{name}"), shape));
        }
    }
    let mut tensors = HashMap::new();
    for (seed, (name, shape)) in shapes.into_iter().enumerate() {
        let ids = tokens(seed as u64 + 1, shape.iter().product());
        // Uniform in ±1.2 · √(3 / inputs). The weights of a norm are centred at 1.
        let scale = 1.2 * (3.0 / *shape.last().unwrap() as f32).sqrt();
        let uniform = |id: u32| (id as f32 / 160.0 - 1.0) * scale;
        let norm = shape.len() == 1;
        let values: Vec<f32> =
            ids.into_iter().map(|id| if norm { 1.0 + uniform(id) } else { uniform(id) }).collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        tensors.insert(format!("{name}.weight"), tensor);
    }
    (config, tensors)
}
