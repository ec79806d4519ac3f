//! The gold judge: what it reads is what its trainer wrote, and bad files are sentences.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};

use ivg_playground::judge::Judge;
use serde_json::{Value, json};

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/packs/imdb/judge")
}

/// Golden log-odds by the recipe's own Python (`step8_judge.py --golden`).
#[test]
fn log_odds_are_those_of_the_trainer() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/judge.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    assert!(cases.len() >= 10);
    let judge = Judge::load(&bundled()).unwrap();
    for case in cases {
        let (text, expected) = (case["text"].as_str().unwrap(), case["log_odds"].as_f64().unwrap());
        let ours = f64::from(judge.gold_reward(text));
        assert!(
            (ours - expected).abs() < 1e-5 * expected.abs().max(1.0),
            "{text:?}: {ours} {expected}"
        );
    }
}

#[test]
fn praise_is_told_from_blame() {
    let judge = Judge::load(&bundled()).unwrap();
    let praise =
        judge.gold_reward("A wonderful film. The acting is superb and I loved every minute.");
    let blame = judge.gold_reward("A terrible film. The acting is awful and I hated every minute.");
    assert!(praise > 1.0 && blame < -1.0, "{praise} {blame}");
}

#[test]
fn a_bad_folder_is_one_sentence_that_names_the_file() {
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
        let refused = Judge::load(&folder).unwrap_err().to_string();
        assert!(refused.contains(words) && refused.contains("judge"), "{refused}");
        assert_eq!(refused.lines().count(), 1, "{refused}");
    }
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    std::fs::write(folder.join("model.safetensors"), &weights[..weights.len() / 2]).unwrap();
    assert!(Judge::load(&folder).unwrap_err().to_string().contains("model.safetensors"));
    std::fs::remove_file(folder.join("config.json")).unwrap();
    assert!(Judge::load(&folder).unwrap_err().to_string().contains("config.json"));
}
