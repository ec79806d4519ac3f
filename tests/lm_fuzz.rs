//! Damaged model files of every kind: refused in a sentence that names the file, or read; never a
//! panic, a hang or memory that the file cannot account for.
#![allow(clippy::unwrap_used, missing_docs)]

mod lm_support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use candle_core::Device;
use ivg_playground::lm::{ChatTemplate, GgufFile, Lm, Tokenizer, ValueModel};
use lm_support::golden;
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
