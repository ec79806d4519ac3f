//! Logits, values and token ids compared with PyTorch transformers and with the Llama of
//! candle-transformers.

use crate::support::{difference, expected, golden, load, tokenized};
use candle_core::{D, DType, Device, Tensor};
use candle_transformers::models::llama as stock;
use ivg_playground::lm::{Positions, PromptText, Tokenizer, ValueModel};

/// Asserts that the logits are within 1e-4 of PyTorch in f32, for the whole text in one pass and
/// token by token.
fn assert_matches_pytorch(name: &str) {
    let lm = load(name);
    let (ids, expected) = expected(name, "logits");
    let (_, hidden) = lm.prefill(&ids).unwrap();
    let logits = lm.logits(&hidden).unwrap();
    assert_eq!(logits.dtype(), DType::F32);
    assert!(difference(&logits, &expected) < 1e-4, "whole");

    let (mut cache, hidden) = lm.prefill(&ids[..3]).unwrap();
    let mut parts = vec![hidden];
    for &id in &ids[3..] {
        parts.push(lm.forward(&mut cache, &[&[id]]).unwrap().squeeze(0).unwrap());
    }
    let logits = lm.logits(&Tensor::cat(&parts, 0).unwrap()).unwrap();
    assert!(difference(&logits, &expected) < 1e-4, "token by token");
}

#[test]
fn tied_model_matches_pytorch() {
    assert_matches_pytorch("tied");
}

#[test]
fn untied_model_with_one_kv_head_matches_pytorch() {
    assert_matches_pytorch("untied");
}

#[test]
fn wide_heads_and_llama3_rotation_match_pytorch() {
    assert_matches_pytorch("wide");
}

#[test]
fn bf16_folder_matches_pytorch() {
    assert_matches_pytorch("bf16");
}

#[test]
fn reads_configurations_of_new_and_old_transformers() {
    let untied = load("untied");
    let Positions::Rotary(rotary) = &untied.config().positions else { panic!("learned") };
    assert_eq!(rotary.theta, 500_000.0);
    assert_eq!(untied.config().eos, [0, 7]);
    assert_eq!(untied.config().kv_heads, 1);
    assert_eq!(untied.config().layers, 3);
    // 320·32 + 2·(32·32·2 + 32·16·2 + 32·48·3 + 64) + 32
    assert_eq!(load("tied").parameters(), 10_240 + 2 * (2_048 + 1_024 + 4_608 + 64) + 32);
}

#[test]
fn values_match_pytorch() {
    let model = ValueModel::load(&golden("value"), &Device::Cpu).unwrap();
    let (ids, expected) = expected("value", "values");
    let (_, hidden) = model.trunk().prefill(&ids).unwrap();
    for (n, expected) in (1..).zip(expected.to_vec1::<f32>().unwrap()) {
        let value = model.value(&hidden.narrow(0, 0, n).unwrap(), &ids[..n]).unwrap();
        assert!((value - expected).abs() < 1e-4, "{value} {expected}");
    }
}

/// The Llama of candle-transformers is an independent implementation.
#[test]
fn logits_match_candle_transformers() {
    let lm = load("tied");
    let json = std::fs::read(golden("tied").join("config.json")).unwrap();
    let config: stock::LlamaConfig = serde_json::from_slice(&json).unwrap();
    let config = config.into_config(false);
    let file = golden("tied").join("model.safetensors");
    let tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let builder = candle_nn::VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    let model = stock::Llama::load(builder, &config).unwrap();
    let (ids, _) = expected("tied", "logits");
    for end in [1, 2, 17, ids.len()] {
        let mut cache = stock::Cache::new(true, DType::F32, &config, &Device::Cpu).unwrap();
        let input = Tensor::new(&ids[..end], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let theirs = model.forward(&input, 0, &mut cache).unwrap();
        let (_, hidden) = lm.prefill(&ids[..end]).unwrap();
        let ours = lm.logits(&hidden.narrow(0, end - 1, 1).unwrap()).unwrap();
        assert!(difference(&ours, &theirs) < 1e-4);
        let same = ours.argmax(D::Minus1).unwrap().to_vec1::<u32>().unwrap();
        assert_eq!(same, theirs.argmax(D::Minus1).unwrap().to_vec1::<u32>().unwrap());
    }
}

#[test]
fn token_ids_match_python_and_decode_to_the_text() {
    let tokenizer = Tokenizer::load(&golden("tokenizer")).unwrap();
    for (text, expected) in tokenized("tokenizer") {
        let ids = tokenizer.encode_prompt(&PromptText::control(text.as_str())).unwrap();
        assert_eq!(ids, expected, "{text:?}");
        // Special tokens decode to nothing, other added tokens to their own text.
        assert_eq!(tokenizer.decode(&ids), text.replace("<|endoftext|>", ""));
    }
    let note = tokenizer.id("<note>").unwrap();
    assert_eq!(tokenizer.vocab_size(), note as usize + 1);
    assert_eq!(tokenizer.id("<|endoftext|>"), Some(0));
    assert!(tokenizer.is_special(0) && !tokenizer.is_special(note));
    assert_eq!(tokenizer.bytes(0), b"");
    assert_eq!(tokenizer.bytes(note), b"<note>");
    assert_eq!(tokenizer.bytes(9_999), b"");
}
