//! Token guidance by the value model, and the nine cells of the paper.

use std::sync::Arc;

use candle_core::Device;
use ivg_playground::guidance::settings::{Arm, Settings, ValueSource};
use ivg_playground::guidance::trace::{ArmTrace, TokenTrace};
use ivg_playground::guidance::{Models, ValueGuide};
use ivg_playground::lm::{Tokenizer, ValueModel, WordEncoder};

use crate::support::models;
use crate::{ids, prompts_of, run, small, value_from_scratch};

fn golden(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

/// Returns the tiny models with a value model from the goldens: one that reads the base's tokens,
/// or text.
fn with_value(name: &str, reads_text: bool) -> Models {
    let model = ValueModel::load(&golden(name), &Device::Cpu).unwrap();
    let tokenizer = Tokenizer::load(&golden("tokenizer")).unwrap();
    let words = reads_text.then(|| Arc::new(WordEncoder::new(tokenizer)));
    Models { value: Some(ValueGuide { model, words }), ..models() }
}

fn explicit(seed: u64) -> Settings {
    Settings { seed, beta: 1.5, token_source: ValueSource::Explicit, max_tokens: 8, ..small() }
}

/// Checks that guided and base log-probabilities of the likeliest tokens differ by β times their
/// values, up to one constant, for all tokens that were candidates.
fn check(token: &TokenTrace, beta: f32, value: impl Fn(u32) -> Option<f32>) -> usize {
    let shift = |a: &ivg_playground::guidance::trace::Alternative| {
        let is_guided = (a.logp_guided - a.logp_base).abs() > 1e-6;
        Some(a.logp_guided - a.logp_base - beta * value(a.id).filter(|_| is_guided)?)
    };
    let shifts: Vec<f32> = token.alternatives.iter().filter_map(shift).collect();
    for found in &shifts {
        assert!((found - shifts[0]).abs() < 2e-3, "{shifts:?}");
    }
    shifts.len()
}

#[test]
fn tokens_are_guided_by_the_value_of_the_extended_response() {
    let cases = [("next-token-head", false), ("next-token-head", true), ("value", true)];
    let goldens = cases.map(|(name, reads_text)| with_value(name, reads_text));
    for models in goldens.into_iter().chain([models()]) {
        let mut compared = 0;
        for seed in 0..2 {
            let settings = explicit(seed);
            let trace = run(&models, Arm::Token, &settings);
            assert!(trace.kl_nats() > 0.0);
            let drawn = ids(&trace);
            for (t, token) in trace.tokens.iter().enumerate() {
                // The value model reads no end token and no incomplete character.
                let value = |id: u32| {
                    let is_text = models.tokenizer.bytes(id).is_ascii() && id != 0;
                    let before = drawn[..t].iter().all(|id| models.tokenizer.bytes(*id).is_ascii());
                    let extended = [&drawn[..t], &[id]].concat();
                    (is_text && before).then(|| value_from_scratch(&models, &extended))
                };
                compared += check(token, settings.beta, value);
            }
        }
        assert!(compared > 8, "{compared}");
    }
}

#[test]
fn strength_zero_equals_the_base() {
    let models = models();
    for seed in 0..4 {
        let off = Settings { beta: 0.0, ..explicit(seed) };
        let (token, base) = (run(&models, Arm::Token, &off), run(&models, Arm::Base, &off));
        assert_eq!((ids(&token), &token.text), (ids(&base), &base.text));
    }
}

/// {implicit, explicit, none} at tokens × {implicit, explicit, none} at chunks.
#[test]
fn all_nine_cells_of_the_paper_decode() {
    let models = models();
    let sources = [Some(ValueSource::Implicit), Some(ValueSource::Explicit), None];
    let mut texts: Vec<String> = Vec::new();
    for token in sources {
        for chunk in sources {
            let settings = Settings {
                beta: if token.is_some() { 1.5 } else { 0.0 },
                token_source: token.unwrap_or(ValueSource::Implicit),
                lambda: if chunk.is_some() { f32::INFINITY } else { 0.0 },
                value_source: chunk.unwrap_or(ValueSource::Explicit),
                seed: 3,
                ..small()
            };
            let trace: ArmTrace = run(&models, Arm::Ivg, &settings);
            assert_eq!(trace.kl_nats() > 0.0, token.is_some());
            assert!(trace.value.unwrap().is_finite());
            let advantages = trace.tokens.iter().filter(|token| token.advantage.is_some());
            assert!(advantages.count() > 0);
            // The implicit value is that of the pair, whatever guides the tokens.
            if settings.value_source == ValueSource::Implicit {
                let prompt = prompts_of(&models, crate::PROMPT).untuned;
                let pair = models.pair.as_ref().unwrap();
                let drawn = ids(&trace);
                let logp = |lm| -> f32 {
                    let rows = crate::logp_rows(lm, &prompt, &drawn);
                    rows.iter().zip(&drawn).map(|(row, &id)| row[id as usize]).sum()
                };
                let expected = logp(&pair.tuned) - logp(&pair.untuned);
                assert!((trace.value.unwrap() - expected).abs() < 2e-3);
            }
            texts.push(trace.text);
        }
    }
    texts.sort();
    texts.dedup();
    assert!(texts.len() >= 7, "the cells differ: {texts:?}");
}
