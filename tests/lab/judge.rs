//! The gold judge agrees with its training code, and bad files are reported.

use std::path::{Path, PathBuf};

use ivg_playground::judge::Judge;
use serde_json::{Value, json};

use crate::support;

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/packs/imdb/judge")
}

/// The golden log-odds are computed by the Python code of the recipe (`step8_judge.py --golden`).
#[test]
fn the_bundled_judge_agrees_with_its_training_code() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/judge.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    assert!(cases.len() >= 10);
    let judge = Judge::load(&bundled()).unwrap();
    for case in cases {
        let (text, expected) = (case["text"].as_str().unwrap(), case["log_odds"].as_f64().unwrap());
        let ours = f64::from(judge.gold_reward(text).unwrap());
        assert!(
            (ours - expected).abs() < 1e-5 * expected.abs().max(1.0),
            "{text:?}: {ours} {expected}"
        );
    }
}

/// The golden log-odds are computed with PyTorch `transformers`. The tolerance is needed because
/// this encoder uses the tanh form of GELU instead of the exact one.
#[test]
fn distilbert_agrees_with_pytorch() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/distilbert");
    let cases = std::fs::read(folder.join("expected.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    let judge = Judge::load(&folder).unwrap();
    for case in &cases {
        let (text, expected) = (case["text"].as_str().unwrap(), case["log_odds"].as_f64().unwrap());
        let ours = f64::from(judge.gold_reward(text).unwrap());
        assert!((ours - expected).abs() < 2e-2, "{text:?}: {ours} {expected}");
    }
    let spread = |f: fn(f64, f64) -> f64| {
        cases.iter().map(|case| case["log_odds"].as_f64().unwrap()).reduce(f).unwrap()
    };
    assert!(
        spread(f64::max) - spread(f64::min) > 0.2,
        "the expected values differ by more than the tolerance"
    );
}

#[test]
fn rejects_a_bad_distilbert() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/distilbert");
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(from.join(name), dir.path().join(name)).unwrap();
    }
    assert!(Judge::load(dir.path()).is_ok());
    let file = dir.path().join("config.json");
    let config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for (key, value, words) in [
        ("model_type", json!("bert"), "'bert' is not known"),
        ("n_heads", json!(0), "n_heads"),
        ("n_heads", json!(5), "n_heads"),
        ("dim", json!(1u64 << 50), "pre_classifier"),
        ("n_layers", json!(3), "layer.2"),
        ("activation", json!("swish"), "swish"),
        ("max_position_embeddings", json!(1), "max_position_embeddings"),
        ("id2label", json!({"0": "a", "1": "b", "2": "c"}), "two labels"),
        ("vocab_size", json!(1u64 << 40), "word_embeddings"),
    ] {
        let mut bad = config.clone();
        bad[key] = value;
        std::fs::write(&file, bad.to_string()).unwrap();
        let message = Judge::load(dir.path()).unwrap_err().to_string();
        assert!(message.contains(words), "{key}: {message}");
    }
    std::fs::write(&file, config.to_string()).unwrap();
    let text = "The movie was great!";
    let before = Judge::load(dir.path()).unwrap().gold_reward(text).unwrap();
    // Older models have a vocab.txt with one word per line.
    let tokenizer = dir.path().join("tokenizer.json");
    let saved: Value = serde_json::from_slice(&std::fs::read(&tokenizer).unwrap()).unwrap();
    let vocab = saved["model"]["vocab"].as_object().unwrap();
    let mut words: Vec<(&String, u64)> =
        vocab.iter().map(|(word, id)| (word, id.as_u64().unwrap())).collect();
    words.sort_by_key(|(_, id)| *id);
    let lines: String = words.iter().map(|(word, _)| format!("{word}\n")).collect();
    std::fs::remove_file(&tokenizer).unwrap();
    let list = dir.path().join("vocab.txt");
    std::fs::write(&list, lines.replace("[SEP]", "[END]")).unwrap();
    let message = Judge::load(dir.path()).unwrap_err().to_string();
    assert!(message.contains("vocab.txt") && message.contains("[SEP]"), "{message}");
    std::fs::write(&list, lines).unwrap();
    assert_eq!(Judge::load(dir.path()).unwrap().gold_reward(text).unwrap(), before);
    std::fs::remove_file(&list).unwrap();
    let message = Judge::load(dir.path()).unwrap_err().to_string();
    assert!(message.contains("tokenizer.json"), "{message}");
}

#[test]
fn scores_praise_above_criticism() {
    let judge = Judge::load(&bundled()).unwrap();
    let reward = |text: &str| judge.gold_reward(text).unwrap();
    let praise = reward("A wonderful film. The acting is superb and I loved every minute.");
    let criticism = reward("A terrible film. The acting is awful and I hated every minute.");
    assert!(praise > 1.0 && criticism < -1.0, "{praise} {criticism}");
}

#[test]
fn the_error_for_a_bad_folder_is_one_line_and_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    support::write_judge(dir.path());
    let folder = dir.path().join("judge");
    assert!(Judge::load(&folder).is_ok());
    let config: Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    for (key, value, words) in [
        ("kind", json!("oracle"), "oracle"),
        ("ngrams", json!(0), "ngrams"),
        ("ngrams", json!(1_000_000), "ngrams"),
        ("buckets", json!(17), "buckets"),
        ("buckets", json!(1u64 << 40), "buckets"),
        ("buckets", json!(32), "weights"),
        ("length_power", json!(-1.0), "length_power"),
        ("bias", json!(null), "config.json"),
        ("extra", json!(1), "extra"),
    ] {
        let mut bad = config.clone();
        bad[key] = value;
        std::fs::write(folder.join("config.json"), bad.to_string()).unwrap();
        let message = Judge::load(&folder).unwrap_err().to_string();
        assert!(message.contains(words) && message.contains("judge"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    std::fs::write(folder.join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    assert!(Judge::load(&folder).unwrap_err().to_string().contains("model.safetensors"));
    std::fs::remove_file(folder.join("config.json")).unwrap();
    assert!(Judge::load(&folder).unwrap_err().to_string().contains("config.json"));
}
