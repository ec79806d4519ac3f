//! Altered model files of every kind: refused in a sentence that names the file, or read; never a
//! panic, a hang or memory that the file cannot account for. `IVG_FUZZ=1000000` runs that many
//! cases of each of the tests whose names begin with `fuzzed`, instead of a few hundred.
#![allow(clippy::unwrap_used, missing_docs)]

mod lm_support;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use candle_core::Device;
use ivg_playground::lm::{
    ChatTemplate, GgufFile, Lm, LmConfig, Tokenizer, ValueModel, check_adapter,
};
use lm_support::golden;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Longest that one damaged file may take: the whole ones take some milliseconds.
const MOST: Duration = Duration::from_secs(5);

/// Reads `path` in every way; gives what was said where something was refused.
fn read_all(path: &Path) -> Vec<String> {
    let began = Instant::now();
    let mut said = Vec::new();
    said.extend(Lm::load(path, &Device::Cpu).err().map(|e| e.to_string()));
    said.extend(ValueModel::load(path, &Device::Cpu).err().map(|e| e.to_string()));
    said.extend(Tokenizer::load(path).err().map(|e| e.to_string()));
    match ChatTemplate::load(path) {
        Ok(Some(template)) => said.extend(template.render(None, "Hi").err().map(|e| e.to_string())),
        Ok(None) => {}
        Err(error) => said.push(error.to_string()),
    }
    assert!(began.elapsed() < MOST, "{:?}", began.elapsed());
    said
}

/// One of many ways to spoil some bytes below `limit`.
fn spoil(bytes: &mut Vec<u8>, limit: usize, random: &mut ChaCha8Rng) {
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
fn spoilt_gguf_headers_do_no_harm() {
    let _alone = alone();
    let whole = std::fs::read(golden("quantised").join("q8_0.gguf")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.gguf");
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut refused = 0;
    for _ in 0..600 {
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(1..4) {
            spoil(&mut bytes, 6000, &mut random);
        }
        std::fs::write(&file, &bytes).unwrap();
        let said = read_all(&file);
        assert!(said.iter().all(|s| s.contains("model.gguf") && !s.contains('\n')), "{said:?}");
        // One always is: the file has no value head.
        refused += usize::from(said.len() > 1);
    }
    assert!(refused > 300, "{refused}");
}

#[test]
fn absurd_gguf_headers_are_refused() {
    let _alone = alone();
    let file_of = |bytes: &[u8]| -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.gguf");
        std::fs::write(&file, bytes).unwrap();
        (dir, file)
    };
    let refusal = |bytes: &[u8]| {
        let (_dir, file) = file_of(bytes);
        GgufFile::open(&file).err().expect("must be refused").to_string()
    };
    let text = |s: &str| [&(s.len() as u64).to_le_bytes()[..], s.as_bytes()].concat();
    let header = |tensors: u64, entries: u64| {
        [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &tensors.to_le_bytes(), &entries.to_le_bytes()]
            .concat()
    };
    assert!(refusal(b"").contains("model.gguf"));
    assert!(refusal(b"GGML, as it was called").contains("begin with GGUF"));
    assert!(refusal(&header(u64::MAX, 0)).contains("claimed"));
    assert!(refusal(&header(0, u64::MAX)).contains("claimed"));
    // An array that claims more than there is.
    let array = [
        header(0, 1),
        text("tokenizer.ggml.tokens"),
        9_u32.to_le_bytes().to_vec(),
        8_u32.to_le_bytes().to_vec(),
        (1_u64 << 50).to_le_bytes().to_vec(),
    ];
    assert!(refusal(&array.concat()).contains("claimed"));
    // An alignment of nothing; a shape that overflows; two tensors in one place.
    let alignment =
        [header(0, 1), text("general.alignment"), 4_u32.to_le_bytes().to_vec(), vec![0; 4]];
    assert!(refusal(&alignment.concat()).contains("general.alignment"));
    let tensor = |name: &str, dims: &[u64], offset: u64| {
        let mut bytes = text(name);
        bytes.extend((dims.len() as u32).to_le_bytes());
        dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes
    };
    let wide = [header(1, 0), tensor("a", &[1 << 40, 1 << 40], 0)].concat();
    assert!(refusal(&wide).contains("impossible shape"));
    let past = [header(1, 0), tensor("a", &[1 << 20], 0), vec![0; 64]].concat();
    assert!(refusal(&past).contains("past the end"));
    let twins = [header(2, 0), tensor("a", &[8], 0), tensor("b", &[8], 0), vec![0; 96]].concat();
    assert!(refusal(&twins).contains("overlap"));
}

#[test]
fn spoilt_safetensors_headers_do_no_harm() {
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
            spoil(&mut bytes, 3000, &mut random);
            std::fs::write(&file, &bytes).unwrap();
            let said = read_all(dir.path());
            assert!(
                said.iter().all(|s| s.contains(weights) || s.contains("tokenizer.json")),
                "{said:?}"
            );
        }
    }
}

#[test]
fn spoilt_configurations_do_no_harm() {
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
                assert!(began.elapsed() < MOST, "{name} {field} {value}");
            }
        }
    }
}

/// Longest that one fuzzed case may take, and most memory.
const MOST_A_CASE: Duration = Duration::from_secs(1);
const MOST_KIB: u64 = 64 << 10;

/// One test at a time: the memory of a process is measured as a whole.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The memory that this process holds (`VmRSS`) or has held at most (`VmHWM`), in KiB; 0 where the
/// system does not say.
fn memory_kib(of: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(':'));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// What was written last: the case that failed, where one does.
static LAST: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn write(file: &Path, bytes: Vec<u8>) {
    std::fs::write(file, &bytes).unwrap();
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
}

/// Runs `case` many times and holds each to the limits. `case` gives what was said.
fn fuzz(seed: u64, few: u64, mut case: impl FnMut(&mut ChaCha8Rng) -> Vec<String>) {
    let _alone = alone();
    let cases = std::env::var("IVG_FUZZ").ok().and_then(|n| n.parse().ok()).unwrap_or(few);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for number in 0..cases {
        // Makes Linux count the peak anew; where it cannot, the peak of all cases counts.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let (before, began) = (memory_kib("VmRSS"), Instant::now());
        let said = case(&mut random);
        let (took, held) = (began.elapsed(), memory_kib("VmHWM").saturating_sub(before));
        let is_sentence = |message: &String| message.len() < 4000 && !message.contains('\n');
        if took < MOST_A_CASE && held < MOST_KIB && said.iter().all(is_sentence) {
            continue;
        }
        let kept = std::env::temp_dir().join(format!("ivg-fuzz-{seed}-{number}"));
        std::fs::write(&kept, &*LAST.lock().unwrap()).unwrap();
        panic!("{}: {took:?}, {held} KiB more, said {said:?}", kept.display());
    }
}

/// A folder that tests write to many times: in memory where the system offers that.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// A copy of the golden model `name` without its weights.
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

/// Replaces or removes a few things in a JSON value, and sometimes alters its text.
fn spoil_json(json: &serde_json::Value, random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut json = json.clone();
    for _ in 0..random.random_range(1..4) {
        let depth = random.random_range(1..6);
        alter(&mut json, depth, random);
    }
    let mut bytes = json.to_string().into_bytes();
    if random.random_range(0..4) == 0 {
        let limit = bytes.len();
        spoil(&mut bytes, limit, random);
    }
    bytes
}

/// Replaces or removes something in `json`, at most `depth` levels down.
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
    let goes_on = depth > 0 && random.random_range(0..6) > 0;
    match json {
        serde_json::Value::Array(items) if goes_on && !items.is_empty() => {
            let at = random.random_range(0..items.len());
            alter(&mut items[at], depth - 1, random);
        }
        serde_json::Value::Object(fields) if goes_on && !fields.is_empty() => {
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
fn fuzzed_tokenizers_are_read_or_refused() {
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
        write(&dir.path().join("tokenizer.json"), spoil_json(whole, random));
        match Tokenizer::load(dir.path()) {
            Err(error) => vec![error.to_string()],
            Ok(tokenizer) => match tokenizer.encode_whole(&text) {
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
fn fuzzed_configurations_are_read_or_refused() {
    let dirs = ["gpt2", "mixtral", "gemma3", "qwen2", "wide"].map(|name| {
        let dir = without_weights(name);
        let whole = json_of(&dir.path().join("config.json"));
        (dir, whole)
    });
    fuzz(12, 2000, |random| {
        let (dir, whole) = dirs.choose(random).unwrap();
        write(&dir.path().join("config.json"), spoil_json(whole, random));
        LmConfig::load(dir.path()).err().map(|e| e.to_string()).into_iter().collect()
    });
}

#[test]
fn fuzzed_gguf_files_are_read_or_refused() {
    let whole = std::fs::read(golden("quantised").join("q8_0.gguf")).unwrap();
    let dir = scratch();
    let file = dir.path().join("model.gguf");
    fuzz(13, 600, |random| {
        let mut bytes = whole.clone();
        for _ in 0..random.random_range(1..4) {
            spoil(&mut bytes, 6000, random);
        }
        write(&file, bytes);
        let gguf = match GgufFile::open(&file) {
            Ok(gguf) => gguf,
            Err(error) => return vec![error.to_string()],
        };
        let mut said = Vec::new();
        said.extend(gguf.config().err().map(|e| e.to_string()));
        said.extend(Tokenizer::from_gguf(&gguf).err().map(|e| e.to_string()));
        said.extend(Lm::check(&file, true).err().map(|e| e.to_string()));
        said
    });
}

#[test]
fn fuzzed_pickles_are_read_or_refused() {
    let dir = without_weights("first-form");
    let file = dir.path().join("pytorch_model.bin");
    let whole = std::fs::read(golden("first-form").join("pytorch_model.bin")).unwrap();
    fuzz(14, 400, |random| {
        let mut bytes = whole.clone();
        spoil(&mut bytes, 5000, random);
        write(&file, bytes);
        Lm::check(dir.path(), true).err().map(|e| e.to_string()).into_iter().collect()
    });
}

#[test]
fn fuzzed_adapters_are_read_or_refused() {
    let base = golden("tied");
    let dir = scratch();
    let adapter = golden("tied-lora");
    let config = json_of(&adapter.join("adapter_config.json"));
    let weights = std::fs::read(adapter.join("adapter_model.safetensors")).unwrap();
    let model = LmConfig::load(&base).unwrap();
    fuzz(15, 600, |random| {
        let mut bytes = weights.clone();
        if random.random_range(0..2) == 0 {
            spoil(&mut bytes, 1500, random);
        }
        write(&dir.path().join("adapter_model.safetensors"), bytes);
        let config = spoil_json(&config, random);
        write(&dir.path().join("adapter_config.json"), config);
        let checked = check_adapter(dir.path(), &model, &base);
        checked.err().map(|e| e.to_string()).into_iter().collect()
    });
}

#[test]
fn fuzzed_templates_are_rendered_or_refused() {
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
        let made = ChatTemplate::load(dir.path())
            .and_then(|template| template.map_or(Ok(String::new()), |t| t.render(None, "Hi")));
        made.err().map(|e| e.to_string()).into_iter().collect()
    });
}
