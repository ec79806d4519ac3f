//! Corrupted model files of every kind. Each is read, or rejected with an error that names the
//! file. There must be no panic, no hang and no more memory than the size of the file justifies.
//!
//! The tests whose names begin with `fuzzed` run a few hundred cases each. With `IVG_FUZZ=1000000`
//! each runs a million.
#![allow(clippy::unwrap_used, missing_docs)]

mod harness;
#[path = "../lm/support.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::Device;
use harness::{alone, corrupt, corrupt_json, fuzz, json_of, scratch, without_weights, write};
use ivg_playground::lm::{
    ChatTemplate, GgufFile, Lm, LmConfig, Tokenizer, ValueModel, check_adapter,
};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::golden;

/// Time limit for one corrupted file. An intact file takes a few milliseconds.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Loads `path` as a model, a value model, a tokenizer and a chat template. Returns the errors.
fn read_all(path: &Path) -> Vec<String> {
    let began = Instant::now();
    let mut errors = Vec::new();
    errors.extend(Lm::load(path, &Device::Cpu).err().map(|e| e.to_string()));
    errors.extend(ValueModel::load(path, &Device::Cpu).err().map(|e| e.to_string()));
    errors.extend(Tokenizer::load(path).err().map(|e| e.to_string()));
    match ChatTemplate::load(path) {
        Ok(Some(template)) => {
            errors.extend(template.render(None, "Hi").err().map(|e| e.to_string()));
        }
        Ok(None) => {}
        Err(error) => errors.push(error.to_string()),
    }
    assert!(began.elapsed() < MAX_TIME, "{:?}", began.elapsed());
    errors
}

#[test]
fn corrupted_gguf_headers_are_read_or_rejected() {
    let _alone = alone();
    let whole = std::fs::read(golden("quantised").join("q8_0.gguf")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.gguf");
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut rejected = 0;
    for _ in 0..600 {
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(1..4) {
            corrupt(&mut bytes, 6000, &mut random);
        }
        std::fs::write(&file, &bytes).unwrap();
        let errors = read_all(&file);
        let is_valid = |message: &String| message.contains("model.gguf") && !message.contains('\n');
        assert!(errors.iter().all(is_valid), "{errors:?}");
        // The intact file has one error: it has no value head.
        rejected += usize::from(errors.len() > 1);
    }
    assert!(rejected > 300, "{rejected}");
}

#[test]
fn rejects_impossible_gguf_headers() {
    let _alone = alone();
    let file_of = |bytes: &[u8]| -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.gguf");
        std::fs::write(&file, bytes).unwrap();
        (dir, file)
    };
    let error_of = |bytes: &[u8]| {
        let (_dir, file) = file_of(bytes);
        GgufFile::open(&file).err().expect("the file is rejected").to_string()
    };
    let text = |s: &str| [&(s.len() as u64).to_le_bytes()[..], s.as_bytes()].concat();
    let header = |tensors: u64, entries: u64| {
        [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &tensors.to_le_bytes(), &entries.to_le_bytes()]
            .concat()
    };
    assert!(error_of(b"").contains("model.gguf"));
    assert!(error_of(b"GGML, as it was called").contains("begin with GGUF"));
    assert!(error_of(&header(u64::MAX, 0)).contains("claimed"));
    assert!(error_of(&header(0, u64::MAX)).contains("claimed"));
    // An array that claims to be longer than the file.
    let array = [
        header(0, 1),
        text("tokenizer.ggml.tokens"),
        9_u32.to_le_bytes().to_vec(),
        8_u32.to_le_bytes().to_vec(),
        (1_u64 << 50).to_le_bytes().to_vec(),
    ];
    assert!(error_of(&array.concat()).contains("claimed"));
    // An alignment of zero, a shape that overflows, a tensor past the end, and overlapping tensors.
    let alignment =
        [header(0, 1), text("general.alignment"), 4_u32.to_le_bytes().to_vec(), vec![0; 4]];
    assert!(error_of(&alignment.concat()).contains("general.alignment"));
    let tensor = |name: &str, dims: &[u64], offset: u64| {
        let mut bytes = text(name);
        bytes.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes
    };
    let wide = [header(1, 0), tensor("a", &[1 << 40, 1 << 40], 0)].concat();
    assert!(error_of(&wide).contains("impossible shape"));
    let past = [header(1, 0), tensor("a", &[1 << 20], 0), vec![0; 64]].concat();
    assert!(error_of(&past).contains("past the end"));
    let overlapping =
        [header(2, 0), tensor("a", &[8], 0), tensor("b", &[8], 0), vec![0; 96]].concat();
    assert!(error_of(&overlapping).contains("overlap"));
    // Forms of a newer version are not called damaged.
    let unknown = [header(0, 1), text("a.key"), 99_u32.to_le_bytes().to_vec(), vec![0; 8]].concat();
    let deep = [header(1, 0), tensor("a", &[2, 2, 2, 2, 2], 0), vec![0; 128]].concat();
    for (bytes, part) in [(unknown, "metadata type 99"), (deep, "5 dimensions")] {
        let message = error_of(&bytes);
        assert!(message.contains(part) && message.contains("not supported"), "{message}");
    }
}

#[test]
fn corrupted_safetensors_and_pickles_are_read_or_rejected() {
    let _alone = alone();
    for (name, weights) in [("tied", "model.safetensors"), ("first-form", "pytorch_model.bin")] {
        let dir = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(golden(name)).unwrap().flatten() {
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
        let file = dir.path().join(weights);
        let whole = std::fs::read(&file).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..400 {
            let mut bytes = whole.clone();
            corrupt(&mut bytes, 3000, &mut random);
            std::fs::write(&file, &bytes).unwrap();
            let errors = read_all(dir.path());
            assert!(
                errors.iter().all(|e| e.contains(weights) || e.contains("tokenizer.json")),
                "{errors:?}"
            );
        }
    }
}

#[test]
fn configurations_with_odd_values_are_read_or_rejected() {
    let _alone = alone();
    for name in ["gpt2", "mixtral", "gemma3", "qwen2"] {
        let dir = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(golden(name)).unwrap().flatten() {
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
        let file = dir.path().join("config.json");
        let whole: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let odd = ["null", "0", "-1", "1e300", "18446744073709551615", "\"x\"", "[]", "{}", "true"];
        for field in whole.as_object().unwrap().keys() {
            for value in odd {
                let mut json = whole.clone();
                json[field] = serde_json::from_str(value).unwrap();
                std::fs::write(&file, json.to_string()).unwrap();
                let began = Instant::now();
                if let Err(error) = Lm::load(dir.path(), &Device::Cpu) {
                    let message = error.to_string();
                    assert!(
                        message.contains(".json") || message.contains("safetensors"),
                        "{message}"
                    );
                }
                assert!(began.elapsed() < MAX_TIME, "{name} {field} {value}");
            }
        }
    }
}

#[test]
fn fuzzed_tokenizers_are_read_or_rejected() {
    let dirs = ["tokenizer", "pieces"].map(|name| {
        let dir = scratch();
        let file = golden(name).join("tokenizer.json");
        let config =
            r#"{"tokenizer_class": "LlamaTokenizer", "add_bos_token": true, "bos_token": "a"}"#;
        std::fs::write(dir.path().join("tokenizer_config.json"), config).unwrap();
        (dir, json_of(&file))
    });
    let text = "Hello <|endoftext|> 日本語 \u{fffd} 12345   x".repeat(4);
    fuzz(11, 400, |random| {
        let (dir, whole) = dirs.choose(random).unwrap();
        write(&dir.path().join("tokenizer.json"), corrupt_json(whole, random));
        match Tokenizer::load(dir.path()) {
            Err(error) => vec![error.to_string()],
            Ok(tokenizer) => match tokenizer.encode_with_prefix(&text) {
                Err(error) => vec![error.to_string()],
                Ok(ids) => {
                    tokenizer.decode(&ids);
                    tokenizer.common_vocabulary(&tokenizer).err().into_iter().collect()
                }
            },
        }
    });
}

#[test]
fn fuzzed_configurations_are_read_or_rejected() {
    let dirs = ["gpt2", "mixtral", "gemma3", "qwen2", "wide"].map(|name| {
        let dir = without_weights(name);
        let whole = json_of(&dir.path().join("config.json"));
        (dir, whole)
    });
    fuzz(12, 2000, |random| {
        let (dir, whole) = dirs.choose(random).unwrap();
        write(&dir.path().join("config.json"), corrupt_json(whole, random));
        LmConfig::load(dir.path()).err().map(|e| e.to_string()).into_iter().collect()
    });
}

#[test]
fn fuzzed_gguf_files_are_read_or_rejected() {
    let whole = std::fs::read(golden("quantised").join("q8_0.gguf")).unwrap();
    let dir = scratch();
    let file = dir.path().join("model.gguf");
    fuzz(13, 600, |random| {
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(1..4) {
            corrupt(&mut bytes, 6000, random);
        }
        write(&file, bytes);
        let gguf = match GgufFile::open(&file) {
            Ok(gguf) => gguf,
            Err(error) => return vec![error.to_string()],
        };
        let mut errors = Vec::new();
        errors.extend(gguf.config().err().map(|e| e.to_string()));
        errors.extend(Tokenizer::from_gguf(&gguf).err().map(|e| e.to_string()));
        errors.extend(Lm::check(&file, true).err().map(|e| e.to_string()));
        errors
    });
}

#[test]
fn fuzzed_pickles_are_read_or_rejected() {
    let dir = without_weights("first-form");
    let file = dir.path().join("pytorch_model.bin");
    let whole = std::fs::read(golden("first-form").join("pytorch_model.bin")).unwrap();
    fuzz(14, 400, |random| {
        let mut bytes = whole.clone();
        corrupt(&mut bytes, 5000, random);
        write(&file, bytes);
        Lm::check(dir.path(), true).err().map(|e| e.to_string()).into_iter().collect()
    });
}

#[test]
fn fuzzed_adapters_are_read_or_rejected() {
    let base = golden("tied");
    let dir = scratch();
    let adapter = golden("tied-lora");
    let config = json_of(&adapter.join("adapter_config.json"));
    let weights = std::fs::read(adapter.join("adapter_model.safetensors")).unwrap();
    let model = LmConfig::load(&base).unwrap();
    fuzz(15, 600, |random| {
        let mut bytes = weights.clone();
        if random.random_range(0..2) == 0 {
            corrupt(&mut bytes, 1500, random);
        }
        write(&dir.path().join("adapter_model.safetensors"), bytes);
        let config = corrupt_json(&config, random);
        write(&dir.path().join("adapter_config.json"), config);
        let checked = check_adapter(dir.path(), &model, &base);
        checked.err().map(|e| e.to_string()).into_iter().collect()
    });
}

#[test]
fn fuzzed_templates_are_rendered_or_rejected() {
    let templates = ["chatml", "inst", "turns", "think", "marked", "dated"];
    let sources: Vec<String> = templates
        .iter()
        .map(|name| json_of(&golden("templates").join(name).join("tokenizer_config.json")))
        .map(|config| config["chat_template"].as_str().unwrap().to_owned())
        .collect();
    let parts = [
        "{%",
        "%}",
        "{{",
        "}}",
        "{%-",
        "-%}",
        "{#",
        "#}",
        "namespace()",
        " ns.x ",
        "messages",
        "|",
        "~",
        "*",
        "for",
        "in",
        "if",
        "else",
        "set",
        "macro",
        "endmacro",
        "endfor",
        "endif",
        "call",
        "[",
        "]",
        "(",
        ")",
        "range(99999999)",
        "'a'",
        "loop",
        "recursive",
        "raw",
        "endraw",
        "1",
        "generation",
        "endgeneration",
        "tojson",
        "indent(99999999)",
        "strftime_now('%Q')",
        ",",
        ".format(",
        "join",
        "batch(1)",
        "=",
        "ns",
        "\r\n",
    ];
    let dir = scratch();
    let file = dir.path().join("chat_template.jinja");
    fuzz(16, 600, |random| {
        let mut source = sources.choose(random).unwrap().clone();
        for _ in 0..random.random_range(1..5) {
            let mut at = random.random_range(0..=source.len());
            while !source.is_char_boundary(at) {
                at -= 1;
            }
            match random.random_range(0..3) {
                0 => source.insert_str(at, parts.choose(random).unwrap()),
                1 => source.truncate(at),
                _ => {
                    let other = sources.choose(random).unwrap();
                    source.insert_str(at, &other[other.find("{%").unwrap_or(0)..]);
                }
            }
        }
        write(&file, source.into_bytes());
        let rendered = ChatTemplate::load(dir.path())
            .and_then(|template| template.map_or(Ok(String::new()), |t| t.render(None, "Hi")));
        rendered.err().map(|e| e.to_string()).into_iter().collect()
    });
}
