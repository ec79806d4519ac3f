use std::path::{Path, PathBuf};

use candle_core::Device;

use super::*;
use crate::lm::{PromptText, Tokenizer};

fn folder(role: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/packs/imdb").join(role)
}

/// Returns the bundled tokenizer without merges.
fn byte_tokenizer() -> Tokenizer {
    let file = folder("untuned").join("tokenizer.json");
    let mut json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).expect("valid")).expect("valid");
    json["model"]["merges"] = serde_json::json!([]);
    Tokenizer::from_bytes(json.to_string().as_bytes(), &file).expect("valid")
}

/// A prompt, the response so far, and the text that a candidate adds.
const CASES: [(&str, &str, &str); 16] = [
    ("This film is", " won", "der"),
    ("This film is", " wonder", "ful"),
    ("This film is", " terr", "ible"),
    ("This film is", " terr", "ific"),
    ("The plot was", " bor", "ing"),
    ("The plot was", "", " bor"),
    ("The plot was", "", " brilliant"),
    ("I", "", " loved"),
    ("I", " hat", "ed"),
    ("I would", " recom", "mend"),
    ("The acting is", " aw", "ful"),
    ("The acting is", " great", ","),
    ("The acting is", " great", " and"),
    ("The acting is", " bad", "."),
    ("It was wonder", "", "ful"),
    ("It was wonder", "ful", " and"),
];

/// Returns log p of every next token after `ids`.
fn next(lm: &Lm, ids: &[u32]) -> Vec<f32> {
    let (_, hidden) = lm.prefill(ids).expect("valid");
    let last = hidden.narrow(0, ids.len() - 1, 1).expect("valid");
    let scores = scores(lm, &last, lm.config().vocab_size, &[(None, true)]).expect("valid");
    scores[0].all.as_ref().expect("wanted").to_vec()
}

/// Returns the probability that the text after `ids` begins with `text`: the sum over all ways to
/// split it into tokens, of which the last may reach beyond it (Hayase et al. 2025, arXiv
/// 2506.14123, with all covers). Leaves out beginnings whose probability, starting from
/// `probability`, is below 10⁻⁷.
fn exact(lm: &Lm, tokenizer: &Tokenizer, ids: &[u32], text: &[u8], probability: f64) -> f64 {
    if text.is_empty() {
        return 1.0;
    }
    let next = next(lm, ids);
    let mut total = 0.0;
    for id in 0..tokenizer.vocab_size() as u32 {
        let bytes = tokenizer.bytes(id);
        let p = f64::from(next[id as usize]).exp();
        if bytes.starts_with(text) {
            total += p;
        } else if let Some(rest) = text.strip_prefix(bytes).filter(|rest| {
            // Guards against endless recursion by tokens without bytes.
            rest.len() < text.len() && p * probability > 1e-7
        }) {
            total += p * exact(lm, tokenizer, &[ids, &[id]].concat(), rest, p * probability);
        }
    }
    total
}

/// The base of this test writes one token per byte. Run with `--nocapture` to see the numbers.
#[test]
fn advantages_are_close_to_the_exact_sum_over_all_splits() {
    let own = Tokenizer::load(&folder("untuned")).expect("valid");
    let words = Arc::new(GuideWords::new(own, Arc::new(byte_tokenizer())));
    let tokenizer = words.own().tokenizer();
    let halves =
        ["untuned", "tuned"].map(|role| Lm::load(&folder(role), &Device::Cpu).expect("valid"));
    let (mut errors, mut sizes) = (Vec::new(), Vec::new());
    for (prompt, before, added) in CASES {
        let prompt_ids = tokenizer.encode_with_prefix(prompt).expect("valid");
        let (last, fixed) = prompt_ids.split_last().expect("valid");
        let mut advantages = [0.0, 0.0];
        for (lm, sign) in halves.iter().zip([-1.0, 1.0]) {
            let encoder = ResponseEncoder::new(Arc::clone(words.own()), PromptText::plain(prompt))
                .expect("valid");
            let mut rows =
                TextRows::prefill(lm, Arc::clone(&words), Arc::new(encoder)).expect("valid");
            rows.read(lm, &[before]).expect("valid");
            let found = rows.extensions(lm, &[before], &[vec![added]]).expect("valid");
            advantages[0] += sign * f64::from(found[0][0]);
            let of = |response: &str| {
                let text = [tokenizer.bytes(*last), response.as_bytes()].concat();
                exact(lm, tokenizer, fixed, &text, 1.0).ln()
            };
            advantages[1] += sign * (of(&format!("{before}{added}")) - of(before));
        }
        let [found, expected] = advantages;
        println!("{prompt}{before}|{added}: {found:+.3}, exact {expected:+.3}");
        errors.push((found - expected).abs());
        sizes.push(expected.abs());
    }
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    println!("mean |error| {:.3}, mean |advantage| {:.3}", mean(&errors), mean(&sizes));
    assert!(mean(&errors) < 0.05 * mean(&sizes));
}
