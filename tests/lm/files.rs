//! Bad files are rejected with an error that names the file and the problem.

use std::path::Path;

use crate::support::golden;
use candle_core::Device;
use ivg_playground::lm::{Lm, Positions, Tokenizer, ValueModel};
use serde_json::{Value, json};

/// Copies the folder of a golden model, so that a test can change it.
fn copy(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(golden(name)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    dir
}

fn edit(dir: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = dir.join(file);
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    std::fs::write(path, json.to_string()).unwrap();
}

/// Returns the error of loading `dir`, which must fail.
fn error_of(dir: &Path) -> String {
    Lm::load(dir, &Device::Cpu).err().expect("the folder is rejected").to_string()
}

fn assert_contains(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn missing_files_are_named() {
    let dir = copy("tied");
    std::fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    assert_contains(&error_of(dir.path()), &["model.safetensors", "no such file", "complete"]);
    std::fs::remove_file(dir.path().join("config.json")).unwrap();
    assert_contains(&error_of(dir.path()), &["config.json", "complete"]);
    assert_contains(&error_of(Path::new("/nowhere/at/all")), &["/nowhere/at/all"]);
}

#[test]
fn missing_or_impossible_sizes_are_named() {
    let fields = [
        "hidden_size",
        "intermediate_size",
        "vocab_size",
        "num_hidden_layers",
        "num_attention_heads",
        "rms_norm_eps",
        "model_type",
    ];
    for field in fields {
        let dir = copy("tied");
        edit(dir.path(), "config.json", |json| {
            json.as_object_mut().unwrap().remove(field);
        });
        assert_contains(&error_of(dir.path()), &["config.json", field]);
    }
    for field in fields[..5].iter().chain(&["max_position_embeddings"]) {
        for absurd in [json!(0), json!(1_u64 << 60), json!(-4), json!("many"), json!(u64::MAX)] {
            let dir = copy("tied");
            edit(dir.path(), "config.json", |json| json[field] = absurd.clone());
            let message = error_of(dir.path());
            assert_contains(&message, &["config.json"]);
        }
    }
    let dir = copy("tied");
    edit(dir.path(), "config.json", |json| json["num_key_value_heads"] = json!(3));
    assert_contains(&error_of(dir.path()), &["config.json", "num_key_value_heads"]);
    let dir = copy("tied");
    edit(dir.path(), "config.json", |json| json["head_dim"] = json!(7));
    assert_contains(&error_of(dir.path()), &["config.json", "head_dim"]);
}

#[test]
fn rejects_configurations_that_are_not_supported() {
    let cases = [
        ("model_type", json!("mamba"), "mamba"),
        ("hidden_act", json!("gelu"), "gelu"),
        ("rope_parameters", json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}), "yarn"),
        ("quantization_config", json!({"bits": 4}), "quantization_config"),
    ];
    for (field, value, words) in cases {
        let dir = copy("tied");
        edit(dir.path(), "config.json", |json| json[field] = value);
        assert_contains(&error_of(dir.path()), &["config.json", words, "not supported"]);
    }
    let dir = copy("tied");
    edit(dir.path(), "config.json", |json| {
        json.as_object_mut().unwrap().remove("rope_parameters");
        json["rope_scaling"] = json!({"type": "dynamic", "factor": 2.0});
    });
    assert_contains(&error_of(dir.path()), &["config.json", "dynamic", "not supported"]);
}

#[test]
fn reads_rope_theta_of_older_configurations() {
    let dir = copy("untied");
    edit(dir.path(), "config.json", |json| {
        json.as_object_mut().unwrap().remove("rope_parameters");
        json["rope_theta"] = json!(500_000.0);
        json["rope_scaling"] = Value::Null;
    });
    let lm = Lm::load(dir.path(), &Device::Cpu).unwrap();
    let Positions::Rotary(rotary) = &lm.config().positions else { panic!("learned") };
    assert_eq!(rotary.theta, 500_000.0);
}

#[test]
fn rejects_damaged_weights() {
    let whole = std::fs::read(golden("tied").join("model.safetensors")).unwrap();
    let dir = copy("tied");
    let file = dir.path().join("model.safetensors");
    let mut damaged: Vec<Vec<u8>> =
        [0, 4, 8, 100, whole.len() / 2, whole.len() - 1].map(|n| whole[..n].to_vec()).into();
    // Headers that claim to be longer than the file, and one that is not JSON.
    for claim in [whole.len() as u64, u64::MAX, 1 << 40] {
        damaged.push([&claim.to_le_bytes(), &whole[8..]].concat());
    }
    let mut not_json = whole.clone();
    not_json[8..40].fill(0xFF);
    damaged.push(not_json);
    damaged.push([&whole[..], b"more"].concat());
    damaged.push(b"<!DOCTYPE html><html>not found</html>".to_vec());
    for bytes in damaged {
        std::fs::write(&file, &bytes).unwrap();
        assert_contains(&error_of(dir.path()), &["model.safetensors", "download"]);
    }
    let mut not_numbers = whole.clone();
    let end = not_numbers.len();
    not_numbers[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&file, not_numbers).unwrap();
    assert_contains(
        &error_of(dir.path()),
        &["model.safetensors", "not a finite number", "checksum"],
    );
}

#[test]
fn rejects_weights_of_another_model() {
    let dir = copy("tied");
    edit(dir.path(), "config.json", |json| json["intermediate_size"] = json!(64));
    let name = "model.layers.0.mlp.gate_proj.weight";
    assert_contains(
        &error_of(dir.path()),
        &[name, "[48, 32]", "[64, 32]", "belongs to another model"],
    );
    let dir = copy("tied");
    edit(dir.path(), "config.json", |json| json["num_hidden_layers"] = json!(3));
    assert_contains(&error_of(dir.path()), &["model.layers.2.input_layernorm.weight", "missing"]);
    let language_model = ValueModel::load(&golden("tied"), &Device::Cpu).err().unwrap();
    assert_contains(&language_model.to_string(), &["score.weight", "missing"]);
}

#[test]
fn a_model_without_an_output_head_has_no_logits() {
    let dir = copy("value");
    edit(dir.path(), "config.json", |json| json["tie_word_embeddings"] = json!(false));
    let value = ValueModel::load(dir.path(), &Device::Cpu).unwrap();
    let (_, hidden) = value.trunk().prefill(&[1, 2, 3]).unwrap();
    assert!(value.value(&hidden, &[1, 2, 3]).unwrap().is_finite());
    let message = value.trunk().logits(&hidden).err().unwrap().to_string();
    assert_contains(&message, &["head"]);
}

#[test]
fn sharded_weights_load_from_their_own_folder_only() {
    let dir = copy("tied");
    std::fs::rename(dir.path().join("model.safetensors"), dir.path().join("a.safetensors"))
        .unwrap();
    let index = dir.path().join("model.safetensors.index.json");
    std::fs::write(&index, json!({"weight_map": {"x": "a.safetensors"}}).to_string()).unwrap();
    assert!(Lm::load(dir.path(), &Device::Cpu).is_ok());
    std::fs::write(&index, json!({"weight_map": {"x": "../a.safetensors"}}).to_string()).unwrap();
    assert_contains(&error_of(dir.path()), &["index.json", "outside"]);
}

#[test]
fn tensors_that_two_shards_define_are_named() {
    for (model, name) in [("tied", "model.safetensors"), ("first-form", "pytorch_model.bin")] {
        let dir = copy(model);
        std::fs::copy(dir.path().join(name), dir.path().join("a")).unwrap();
        std::fs::rename(dir.path().join(name), dir.path().join("b")).unwrap();
        let index = json!({"weight_map": {"x": "a", "y": "b"}}).to_string();
        std::fs::write(dir.path().join(format!("{name}.index.json")), index).unwrap();
        assert_contains(&error_of(dir.path()), &["another file of this model", "tensor"]);
    }
}

#[test]
fn json_of_another_shape_is_not_called_damaged() {
    for json in ["[]", "3", "\"text\"", "null"] {
        let dir = copy("tied");
        std::fs::write(dir.path().join("config.json"), json).unwrap();
        let message = error_of(dir.path());
        assert_contains(&message, &["config.json", "not a JSON object"]);
        assert!(!message.contains("damaged"), "{message}");
    }
}

/// Returns the error of a tokenizer with one change, which must not load.
fn tokenizer_error(change: impl FnOnce(&mut Value)) -> String {
    let dir = copy("tokenizer");
    edit(dir.path(), "tokenizer.json", change);
    Tokenizer::load(dir.path()).err().expect("the tokenizer is rejected").to_string()
}

#[test]
fn rejects_bad_tokenizers() {
    let dir = copy("tokenizer");
    let file = dir.path().join("tokenizer.json");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let message = Tokenizer::load(dir.path()).err().unwrap().to_string();
    assert_contains(&message, &["tokenizer.json", "download"]);
    std::fs::remove_file(&file).unwrap();
    let message = Tokenizer::load(dir.path()).err().unwrap().to_string();
    assert_contains(&message, &["tokenizer.json", "complete"]);
    let message = tokenizer_error(|json| json["model"]["type"] = json!("WordPiece"));
    assert_contains(&message, &["tokenizer.json", "WordPiece", "not supported"]);
    let message = tokenizer_error(|json| {
        json["pre_tokenizer"] = json!({"type": "Whitespace"});
        json["decoder"] = Value::Null;
    });
    assert_contains(&message, &["tokenizer.json", "byte-level"]);
    let message = tokenizer_error(|json| json["model"]["vocab"]["zzz"] = json!(4_000_000_000_u32));
    assert_contains(&message, &["tokenizer.json", "4000000000"]);
    let message = tokenizer_error(|json| json["model"]["vocab"]["日本"] = json!(400));
    assert_contains(&message, &["tokenizer.json", "byte alphabet"]);
}

/// Includes files at which the `tokenizers` library panics, and a normalizer that expands a word to
/// gigabytes.
#[test]
fn rejects_inconsistent_or_expanding_tokenizers() {
    let normalizer = |normalizer: Value| {
        let message = tokenizer_error(|json| json["normalizer"] = normalizer);
        assert_contains(&message, &["tokenizer.json", "normalizer"]);
    };
    let replace = |pattern: Value, content: &str| {
        let kind = "Replace";
        json!({"type": kind, "pattern": pattern, "content": content})
    };
    let tenfold = vec![replace(json!({"String": "a"}), "aaaaaaaaaa"); 10];
    normalizer(json!({"type": "Sequence", "normalizers": tenfold}));
    normalizer(json!({"type": "Prepend", "prepend": "x".repeat(5_000_000)}));
    normalizer(json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}));
    normalizer(replace(json!({"String": ""}), "a"));
    normalizer(replace(json!({"Regex": ""}), "a"));
    let changes: [fn(&mut Value); 7] = [
        |json| json["normalizer"] = json!({"type": "Prepend", "prepend": ""}),
        |json| {
            json["post_processor"] = json!({"type": "TemplateProcessing", "special_tokens": {},
            "single": [], "pair": []})
        },
        |json| {
            json["post_processor"] = json!({"type": "RobertaProcessing", "sep": ["a", 99999],
            "cls": ["b", 4_000_000_000_u32], "trim_offsets": true, "add_prefix_space": false})
        },
        |json| {
            let part = json!({"Sequence": {"id": "A", "type_id": 0}});
            json["post_processor"] = json!({"type": "TemplateProcessing", "special_tokens": {},
                "single": vec![part; 1000], "pair": []});
        },
        |json| {
            json["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
            {"type": "FixedLength", "length": 0}]})
        },
        |json| {
            json["post_processor"] = json!({"type": "TemplateProcessing", "special_tokens": {},
            "single": [{"SpecialToken": {"id": "<none>", "type_id": 0}}], "pair": []})
        },
        |json| json["model"]["continuing_subword_prefix"] = json!("x".repeat(100)),
    ];
    for change in changes {
        assert_contains(&tokenizer_error(change), &["tokenizer.json", "not a tokenizer"]);
    }
}

#[test]
fn ignores_truncation_set_in_the_tokenizer_file() {
    let dir = copy("tokenizer");
    edit(dir.path(), "tokenizer.json", |json| {
        json["truncation"] =
            json!({"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0});
    });
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    let text = "a text that is longer than three tokens";
    assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()), text);
}

#[test]
fn the_first_difference_between_two_vocabularies_is_named() {
    let load = |change: &dyn Fn(&mut Value)| {
        let dir = copy("tokenizer");
        edit(dir.path(), "tokenizer.json", |json| change(json));
        Tokenizer::load(dir.path()).unwrap()
    };
    let ours = load(&|_| {});
    assert_eq!(ours.common_vocabulary(&load(&|_| {})), Ok(ours.vocab_size()));
    let renamed = load(&|json| {
        json["added_tokens"][0]["content"] = json!("<|end|>");
        let vocab = json["model"]["vocab"].as_object_mut().unwrap();
        let id = vocab.remove("<|endoftext|>").unwrap();
        vocab.insert("<|end|>".into(), id);
    });
    let message = ours.common_vocabulary(&renamed).unwrap_err();
    assert_contains(&message, &["token 0", "<|endoftext|>", "<|end|>"]);
    let merges = load(&|json| json["model"]["merges"].as_array_mut().unwrap().swap(0, 1));
    assert_contains(&ours.common_vocabulary(&merges).unwrap_err(), &["merge 0"]);
    // Tokens that only one of the two has at the end are not a difference. They are excluded.
    let fewer = load(&|json| {
        json["added_tokens"].as_array_mut().unwrap().pop();
    });
    assert_eq!(ours.common_vocabulary(&fewer), Ok(ours.vocab_size() - 1));
    assert_eq!(fewer.common_vocabulary(&ours), Ok(ours.vocab_size() - 1));
    // The `special` flag only affects how a token is decoded.
    let ordinary = load(&|json| json["added_tokens"][0]["special"] = json!(false));
    assert_eq!(ours.common_vocabulary(&ordinary), Ok(ours.vocab_size()));
}

/// Some patterns take exponential time on some texts. The regex engine then gives up.
#[test]
fn a_pattern_that_takes_too_long_is_an_error() {
    let dir = copy("tokenizer");
    edit(dir.path(), "tokenizer.json", |tokenizer| {
        let endless = json!({"type": "Split", "pattern": {"Regex": "(?:x+x+)+y"},
                             "behavior": "Isolated", "invert": false});
        let before = tokenizer["pre_tokenizer"].take();
        tokenizer["pre_tokenizer"] =
            json!({"type": "Sequence", "pretokenizers": [endless, before]});
    });
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    assert!(tokenizer.encode("A film").is_ok());
    let message = tokenizer.encode(&"x".repeat(60)).unwrap_err().to_string();
    assert_contains(&message, &["takes too long on this text"]);
    // The tokenizer still works.
    assert!(tokenizer.encode("A film").is_ok());
}

/// Does not wait for a writer of a pipe, and does not read gigabytes of a file that should be
/// small.
#[cfg(unix)]
#[test]
fn rejects_pipes_and_huge_files_without_reading_them() {
    let pipe = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let endless = |path: &Path| {
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(20 << 30).unwrap();
    };
    for (file, damage, words) in [
        ("config.json", &pipe as &dyn Fn(&Path), "is not a regular file"),
        ("model.safetensors", &pipe, "is not a regular file"),
        ("config.json", &endless, "is longer than"),
    ] {
        let dir = copy("gpt2");
        damage(&dir.path().join(file));
        assert_contains(&error_of(dir.path()), &[file, words]);
    }
    for (damage, words) in
        [(&pipe as &dyn Fn(&Path), "is not a regular file"), (&endless, "is longer than")]
    {
        let dir = copy("tokenizer");
        damage(&dir.path().join("tokenizer.json"));
        let message = Tokenizer::load(dir.path()).err().unwrap().to_string();
        assert_contains(&message, &["tokenizer.json", words]);
    }
}
