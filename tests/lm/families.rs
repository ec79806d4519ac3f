//! Every architecture, adapter, value head and file format compared with PyTorch transformers.

use std::path::Path;

use crate::support::{difference, expected, golden, load, tokenized};
use candle_core::{Device, Tensor};
use ivg_playground::lm::{
    Architecture, GgufFile, Lm, LmConfig, Precision, Tokenizer, ValueModel, Weights,
};

const FAMILIES: [(&str, Architecture); 6] = [
    ("gpt2", Architecture::Gpt2),
    ("mistral", Architecture::Mistral),
    ("mixtral", Architecture::Mixtral),
    ("qwen2", Architecture::Qwen2),
    ("qwen3", Architecture::Qwen3),
    ("gemma3", Architecture::Gemma3),
];

/// Loads the model for candle's operations, which other devices than the CPU use.
fn portable(name: &str) -> Lm {
    let config = LmConfig::load(&golden(name)).unwrap();
    let weights = Weights::load(&golden(name), &Device::Cpu).unwrap();
    Lm::portable(config, &weights, &Device::Cpu).unwrap()
}

/// Returns the logits of the text read in one pass, and of the text read four tokens at a time next
/// to another row.
fn both_ways(lm: &Lm, ids: &[u32]) -> [Tensor; 2] {
    let (_, hidden) = lm.prefill(ids).unwrap();
    let whole = lm.logits(&hidden).unwrap();
    let (cache, hidden) = lm.prefill(&ids[..3]).unwrap();
    let mut parts = vec![hidden];
    let mut cache = cache.fork(&[0, 0]).unwrap();
    for (index, new) in ids[3..].chunks(4).enumerate() {
        let hidden = lm.forward(&mut cache, &[&[7, 9][..index % 3], new]).unwrap();
        let own = hidden.get(1).unwrap().narrow(0, 0, new.len()).unwrap();
        parts.push(own);
    }
    [whole, lm.logits(&Tensor::cat(&parts, 0).unwrap()).unwrap()]
}

/// Returns the root mean square of the difference, relative to that of `expected`.
fn relative_error(logits: &Tensor, expected: &Tensor) -> f32 {
    let square = |tensor: &Tensor| -> f32 {
        tensor.sqr().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap()
    };
    (square(&(logits - expected).unwrap()) / square(expected)).sqrt()
}

#[test]
fn architectures_match_pytorch_on_both_engines() {
    for (name, architecture) in FAMILIES {
        let (ids, expected) = expected(name, "logits");
        for (engine, lm) in [("own", load(name)), ("portable", portable(name))] {
            assert_eq!(lm.config().architecture, architecture);
            for (way, logits) in both_ways(&lm, &ids).iter().enumerate() {
                let error = difference(logits, &expected);
                assert!(error < 1e-4, "{name}, {engine}, way {way}: {error}");
            }
        }
    }
}

/// The text is four times as long as the window, so the logits differ without it.
#[test]
fn sliding_windows_change_the_logits() {
    for name in ["mistral", "qwen2", "gemma3"] {
        let (ids, expected) = expected(name, "logits");
        let mut config = LmConfig::load(&golden(name)).unwrap();
        config.local = None;
        let weights = Weights::load(&golden(name), &Device::Cpu).unwrap();
        let lm = Lm::from_weights(config, &weights, &Device::Cpu).unwrap();
        assert!(difference(&both_ways(&lm, &ids)[0], &expected) > 1e-2, "{name}");
    }
}

#[test]
fn adapters_match_peft_and_do_not_change_their_model() {
    for name in ["tied", "gpt2"] {
        let folder = format!("{name}-lora");
        let (ids, adapted) = expected(&folder, "logits");
        let (plain_ids, plain) = expected(name, "logits");
        for lm in [load(name), portable(name)] {
            let tuned = lm.with_adapter(&golden(&folder)).unwrap();
            assert!(tuned.parameters() > lm.parameters());
            for logits in both_ways(&tuned, &ids) {
                assert!(difference(&logits, &adapted) < 1e-4, "{name}");
            }
            assert!(difference(&both_ways(&lm, &plain_ids)[0], &plain) < 1e-4, "{name}");
        }
    }
}

#[test]
fn an_adapted_model_rejects_a_cache_of_its_base() {
    let lm = load("tied");
    let tuned = lm.with_adapter(&golden("tied-lora")).unwrap();
    let (mut cache, _) = lm.prefill(&[1, 2, 3]).unwrap();
    assert!(tuned.forward(&mut cache, &[&[4]]).is_err());
    assert!(lm.is_same(&lm.clone()) && !lm.is_same(&tuned));
}

#[test]
fn rejects_adapters_of_another_model_or_kind() {
    let error_of = |result: ivg_playground::lm::Result<Lm>| result.err().unwrap().to_string();
    let other = error_of(load("gpt2").with_adapter(&golden("tied-lora")));
    assert!(other.contains("adapter_model.safetensors") && other.contains("shape"), "{other}");
    let cases = [
        ("use_dora", "true", "use_dora"),
        ("r", "0", "'r'"),
        ("lora_alpha", "null", "lora_alpha"),
        ("peft_type", "\"IA3\"", "IA3"),
        ("modules_to_save", "[\"lm_head\"]", "modules_to_save"),
        ("bias", "\"all\"", "bias"),
    ];
    for (field, value, word) in cases {
        let dir = tempfile::tempdir().unwrap();
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            std::fs::copy(golden("tied-lora").join(file), dir.path().join(file)).unwrap();
        }
        let file = dir.path().join("adapter_config.json");
        let mut json: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        json[field] = serde_json::from_str(value).unwrap();
        std::fs::write(&file, json.to_string()).unwrap();
        let message = error_of(load("tied").with_adapter(dir.path()));
        assert!(message.contains("adapter_config.json") && message.contains(word), "{message}");
    }
}

#[test]
fn value_heads_match_pytorch() {
    for (name, needed) in [("trl-head", 1), ("next-token-head", 2)] {
        let model = ValueModel::load(&golden(name), &Device::Cpu).unwrap();
        assert_eq!(model.tokens_needed(), needed);
        let (ids, values) = expected(name, "values");
        let (_, hidden) = model.trunk().prefill(&ids).unwrap();
        for (n, expected) in (needed..).zip(values.to_vec1::<f32>().unwrap()) {
            let value = model.value(&hidden.narrow(0, 0, n).unwrap(), &ids[..n]).unwrap();
            assert!((value - expected).abs() < 1e-4, "{name}, {n} tokens: {value} {expected}");
        }
        assert!(model.value(&hidden.narrow(0, 0, 1).unwrap(), &ids[..2]).is_err());
        // The same head on a trunk that is already loaded.
        let shared = ValueModel::on_trunk(&load("gpt2"), &golden(name)).unwrap();
        assert_eq!(shared.value(&hidden, &ids).unwrap(), model.value(&hidden, &ids).unwrap());
    }
}

/// Older models, such as many GPT-2 models on the hub, have neither safetensors nor a
/// `tokenizer.json`.
#[test]
fn models_with_pickle_weights_and_vocab_json_match_pytorch() {
    let (ids, logits) = expected("first-form", "logits");
    let lm = load("first-form");
    assert!(difference(&both_ways(&lm, &ids)[0], &logits) < 1e-4);
    let tokenizer = Tokenizer::load(&golden("first-form")).unwrap();
    let beside = Tokenizer::load(&golden("tokenizer")).unwrap();
    // The last token is added by tokenizer.json and missing here.
    assert_eq!(tokenizer.common_vocabulary(&beside), Ok(beside.vocab_size() - 1));
    let text = "The movie, naïve café\n\n 日本語 👍🏽<|endoftext|>";
    assert_eq!(tokenizer.encode(text).unwrap(), beside.encode(text).unwrap());
}

#[test]
fn damaged_pickles_are_read_or_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let copy = |file: &str| {
        std::fs::copy(golden("first-form").join(file), dir.path().join(file)).unwrap();
    };
    copy("config.json");
    copy("pytorch_model.bin");
    let bin = dir.path().join("pytorch_model.bin");
    let whole = std::fs::read(&bin).unwrap();
    let mut damaged: Vec<Vec<u8>> = [0, 10, 1000, whole.len() / 2, whole.len() - 1]
        .map(|length| whole[..length].to_vec())
        .into();
    damaged.push(b"not a pickle at all".to_vec());
    // One byte in the pickle program, at every seventh position.
    damaged.extend((60..400).step_by(7).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        bytes
    }));
    for bytes in damaged {
        std::fs::write(&bin, bytes).unwrap();
        if let Err(error) = Lm::load(dir.path(), &Device::Cpu) {
            let message = error.to_string();
            assert!(message.contains("pytorch_model.bin"), "{message}");
        }
    }
}

const KINDS: [&str; 6] = ["f16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"];

#[test]
fn gguf_files_match_their_weights_in_pytorch() {
    for kind in KINDS {
        let file = golden("quantised").join(format!("{kind}.gguf"));
        let tensors =
            candle_core::safetensors::load(file.with_extension("safetensors"), &Device::Cpu);
        let tensors = tensors.unwrap();
        let ids: Vec<u32> =
            tensors["ids"].to_vec1::<i64>().unwrap().into_iter().map(|id| id as u32).collect();
        let exact = Lm::load_as(&file, Some(Precision::F32), &Device::Cpu).unwrap();
        assert_eq!(exact.config().eos, [0]);
        for logits in both_ways(&exact, &ids) {
            let error = difference(&logits, &tensors["logits"]);
            assert!(error < 1e-4, "{kind}: {error}");
        }
        // In memory the weights are Q8_0 blocks. Other types are requantised, which rounds more.
        let config = GgufFile::open(&file).unwrap().config().unwrap();
        assert_eq!(config, *exact.config());
        let held = Lm::load(&file, &Device::Cpu).unwrap();
        for logits in both_ways(&held, &ids) {
            let error = relative_error(&logits, &tensors["logits"]);
            let limit = if kind == "q8_0" { 1e-3 } else { 0.1 };
            assert!(error > 0.0 && error < limit, "{kind}: {error}");
        }
    }
}

#[test]
fn q8_0_weights_are_close_to_f32() {
    for (name, _) in FAMILIES {
        let (ids, expected) = expected(name, "logits");
        let lm = Lm::load_as(&golden(name), Some(Precision::Q8_0), &Device::Cpu).unwrap();
        // At a near tie, the router may select another expert.
        let limit = if lm.config().experts.is_some() { 0.3 } else { 0.1 };
        for logits in both_ways(&lm, &ids) {
            let error = relative_error(&logits, &expected);
            assert!(error > 0.0 && error < limit, "{name}: {error}");
        }
    }
}

#[test]
fn the_tokenizer_in_a_gguf_file_equals_its_tokenizer_json() {
    let file = golden("quantised").join("q8_0.gguf");
    let (inside, beside) =
        (Tokenizer::load(&file).unwrap(), Tokenizer::load(&golden("tokenizer")).unwrap());
    assert_eq!(inside.common_vocabulary(&beside), Ok(beside.vocab_size()));
    for text in ["The movie, naïve café\n\n 日本語 👍🏽 <note> 1,000.50", "", "  two  spaces"]
    {
        assert_eq!(inside.encode(text).unwrap(), beside.encode(text).unwrap());
    }
    assert!(inside.is_special(0));
    assert!(GgufFile::open(&file).unwrap().chat_template().unwrap().contains("messages"));
}

#[test]
fn sentencepiece_ids_match_python_and_decode_to_the_text() {
    let tokenizer = Tokenizer::load(&golden("pieces")).unwrap();
    for (text, expected) in tokenized("pieces") {
        let ids = tokenizer.encode(&text).unwrap();
        assert_eq!(ids, expected, "{text:?}");
        // Encoding adds a space before the text.
        let decoded = tokenizer.decode(&ids);
        assert_eq!(decoded.strip_prefix(' ').unwrap_or(&decoded), text);
    }
    assert_eq!(tokenizer.prefix(), [1]);
    assert_eq!(tokenizer.bytes(3 + 10), b"\n");
    assert!(Tokenizer::load(&golden("tokenizer")).unwrap().prefix().is_empty());
}

/// The bundled bf16 models are compared with transformers in f32.
#[test]
fn bundled_models_match_pytorch() {
    let pack = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/packs/imdb");
    let golden = |role: &str| {
        let file = golden("bundled").join(format!("{role}.safetensors"));
        candle_core::safetensors::load(file, &Device::Cpu).unwrap()
    };
    for role in ["base", "untuned", "tuned"] {
        let expected = golden(role);
        let ids = expected["ids"].to_vec1::<i64>().unwrap();
        let ids: Vec<u32> = ids.into_iter().map(|id| id as u32).collect();
        let lm = Lm::load(&pack.join(role), &Device::Cpu).unwrap();
        let logits = both_ways(&lm, &ids);
        for logits in logits {
            let last = logits.narrow(0, ids.len() - 3, 3).unwrap();
            let error = difference(&last, &expected["logits"]);
            assert!(error < 1e-3, "{role}: {error}");
        }
        let tokenizer = Tokenizer::load(&pack.join(role)).unwrap();
        assert_eq!(tokenizer.encode_with_prefix(&tokenizer.decode(&ids)).unwrap(), ids);
    }
    let expected = golden("value");
    let ids = expected["ids"].to_vec1::<i64>().unwrap();
    let ids: Vec<u32> = ids.into_iter().map(|id| id as u32).collect();
    let value = ValueModel::load(&pack.join("value"), &Device::Cpu).unwrap();
    let (_, hidden) = value.trunk().prefill(&ids).unwrap();
    let values = expected["values"].to_vec1::<f32>().unwrap();
    for (n, expected) in (ids.len() - 2..=ids.len()).zip(values) {
        let ours = value.value(&hidden.narrow(0, 0, n).unwrap(), &ids[..n]).unwrap();
        assert!((ours - expected).abs() < 1e-3, "{n} tokens: {ours} {expected}");
    }
}
