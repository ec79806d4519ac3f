//! Handmade traces that look like the traces of a search.

use std::path::Path;

use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::{
    Alternative, ArmTrace, Candidate, ChunkTrace, StopReason, TRACE_VERSION, TokenTrace, Trace,
};

/// Returns a run with an unguided and a guided column that both generated `text`.
pub fn trace(prompt: &str, text: &str) -> Trace {
    columns(prompt, &[(Arm::Base, text), (Arm::Ivg, text)])
}

/// Returns a run with one column for each arm and text.
pub fn columns(prompt: &str, arms: &[(Arm, &str)]) -> Trace {
    let settings = Settings::default();
    Trace {
        local_time: None,
        version: TRACE_VERSION,
        program: "0.1.0".into(),
        pack: "imdb".into(),
        aim: None,
        seed: settings.seed,
        prompt: prompt.into(),
        arms: arms.iter().map(|(arm, text)| report(*arm, &settings, text)).collect(),
        settings,
    }
}

fn report(arm: Arm, chosen: &Settings, text: &str) -> ArmTrace {
    let applied = arm.apply(chosen);
    let tokens = tokens(text);
    ArmTrace {
        name: arm,
        text: text.into(),
        value: Some(1.5),
        gold_reward: Some(-2.25),
        chunks: chunks(&applied, tokens.len()),
        sampled_tokens: tokens.len() * 16,
        tokens,
        forward_passes: 40,
        elapsed_ms: 1234.567,
        stop_reason: StopReason::MaxTokens,
        settings: applied,
    }
}

/// Splits `text` into one token per word, cut after each space.
pub fn tokens(text: &str) -> Vec<TokenTrace> {
    let mut tokens: Vec<TokenTrace> = Vec::new();
    let mut start = 0;
    for piece in text.split_inclusive(' ') {
        let i = tokens.len() as f32;
        tokens.push(TokenTrace {
            id: tokens.len() as u32,
            text: piece.into(),
            start,
            end: start + piece.len(),
            logp_base: -1.1 - i / 7.0,
            logp_guided: -0.9,
            logp_untuned: Some(-2.0),
            logp_tuned: Some(-1.3),
            advantage: Some(i.sin() * 1.2),
            steer_advantages: Vec::new(),
            unguided_mass: None,
            strength_factor: None,
            kl_nats: 0.125,
            alternatives: vec![Alternative {
                id: 3,
                text: " other".into(),
                logp_base: -3.3,
                logp_guided: -4.7,
            }],
        });
        start += piece.len();
    }
    tokens
}

/// Returns two chunks of W·K candidates, of which the first W survive.
fn chunks(settings: &Settings, length: usize) -> Vec<ChunkTrace> {
    let rows = settings.beams * settings.successors;
    let chunk = |t: usize| ChunkTrace {
        end_token: (t + 1) * length / 2,
        candidates: (0..rows)
            .map(|i| Candidate {
                text: " a".into(),
                parent: (t > 0).then_some(i / settings.successors),
                value: Some(t as f32 - i as f32 / 3.0),
                survived: i < settings.beams,
                ended: false,
                tokens: (t + 1) * length / 2,
            })
            .collect(),
        selection_kl_nats: None,
        leader: 0,
    };
    (0..2).map(chunk).collect()
}

/// Returns the sorted names of the files in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
