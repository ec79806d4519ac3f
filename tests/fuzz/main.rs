//! Corrupted model files of every kind. Each is read, or rejected with an error that names the
//! file. There must be no panic, no hang and no more memory than the size of the file justifies.
//!
//! The tests whose names begin with `fuzzed` run a few hundred cases each. With `IVG_FUZZ=1000000`
//! each runs a million.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../lm/support.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use candle_core::Device;
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

/// Corrupts `bytes` in a random way at a random position below `limit`.
fn corrupt(bytes: &mut Vec<u8>, limit: usize, random: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        return bytes.push(random.random());
    }
    let limit = limit.min(bytes.len());
    let at = random.random_range(0..limit);
    match random.random_range(0..6) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => bytes[at] = random.random(),
        2 => {
            let huge =
                [u64::MAX, 1 << 62, 1 << 40, 1 << 33, 0xFFFF_FFFF][random.random_range(0..5)];
            let end = bytes.len().min(at + 8);
            bytes[at..end].copy_from_slice(&huge.to_le_bytes()[..end - at]);
        }
        3 => bytes.truncate(at),
        4 => drop(bytes.remove(at)),
        _ => bytes.insert(at, random.random()),
    }
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

/// Time limit for one fuzzed case.
const MAX_CASE_TIME: Duration = Duration::from_secs(1);
/// Memory limit for one fuzzed case, in KiB.
const MAX_CASE_KIB: u64 = 64 << 10;

/// Held while a test runs, because memory is measured for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the current (`VmRSS`) or peak (`VmHWM`) memory of this process in KiB, or 0 if the
/// system does not report it.
fn memory_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// Content of the file written last, to save the case that fails.
static LAST: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn write(file: &Path, bytes: Vec<u8>) {
    std::fs::write(file, &bytes).unwrap();
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
}

/// Runs `case` `IVG_FUZZ` times, or `default_cases` times, and checks the limits of each. `case`
/// returns the error messages.
fn fuzz(seed: u64, default_cases: u64, mut case: impl FnMut(&mut ChaCha8Rng) -> Vec<String>) {
    let _alone = alone();
    let cases = std::env::var("IVG_FUZZ").ok().and_then(|n| n.parse().ok());
    let cases = cases.unwrap_or(default_cases);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for number in 0..cases {
        // Resets the peak on Linux. If that fails, the peak of all cases so far is measured.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let (before, began) = (memory_kib("VmRSS"), Instant::now());
        let errors = case(&mut random);
        let (time, memory) = (began.elapsed(), memory_kib("VmHWM").saturating_sub(before));
        let is_one_line = |message: &String| message.len() < 4000 && !message.contains('\n');
        if time < MAX_CASE_TIME && memory < MAX_CASE_KIB && errors.iter().all(is_one_line) {
            continue;
        }
        let saved = std::env::temp_dir().join(format!("ivg-fuzz-{seed}-{number}"));
        std::fs::write(&saved, &*LAST.lock().unwrap()).unwrap();
        panic!("{}: {time:?}, {memory} KiB more, errors: {errors:?}", saved.display());
    }
}

/// Creates a temporary folder for files that are written many times, in memory if possible.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// Copies the golden model `name` without its weights.
fn without_weights(name: &str) -> tempfile::TempDir {
    let dir = scratch();
    for file in std::fs::read_dir(golden(name)).unwrap().flatten() {
        let is_weights = file.path().extension().is_some_and(|e| e == "safetensors" || e == "bin");
        if !is_weights {
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
    }
    dir
}

/// Replaces or removes some parts of a JSON value. Sometimes also corrupts its text.
fn corrupt_json(json: &serde_json::Value, random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut json = json.clone();
    for _ in 0..random.random_range(1..4) {
        let depth = random.random_range(1..6);
        alter(&mut json, depth, random);
    }
    let mut bytes = json.to_string().into_bytes();
    if random.random_range(0..4) == 0 {
        let limit = bytes.len();
        corrupt(&mut bytes, limit, random);
    }
    bytes
}

/// Replaces or removes a random part of `json`, at most `depth` levels down.
fn alter(json: &mut serde_json::Value, depth: u32, random: &mut ChaCha8Rng) {
    const ODD: [&str; 16] = [
        "null",
        "0",
        "-1",
        "1e300",
        "1e-300",
        "18446744073709551615",
        "4294967296",
        "\"\"",
        "\"x\"",
        "[]",
        "{}",
        "true",
        "[[0]]",
        "\"▁\"",
        "\"BPE\"",
        "\"Sequence\"",
    ];
    let descend = depth > 0 && random.random_range(0..6) > 0;
    match json {
        serde_json::Value::Array(items) if descend && !items.is_empty() => {
            let at = random.random_range(0..items.len());
            alter(&mut items[at], depth - 1, random);
        }
        serde_json::Value::Object(fields) if descend && !fields.is_empty() => {
            let at = random.random_range(0..fields.len());
            let key = fields.keys().nth(at).unwrap().clone();
            if random.random_range(0..20) == 0 {
                fields.remove(&key);
            } else {
                alter(&mut fields[&key], depth - 1, random);
            }
        }
        other => *other = serde_json::from_str(ODD.choose(random).unwrap()).unwrap(),
    }
}

fn json_of(file: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
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
