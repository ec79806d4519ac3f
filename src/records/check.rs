//! Whether a trace is one that a run can have made: a file may have been edited by hand.

use crate::guidance::settings::{Arm, Settings, limits};
use crate::guidance::trace::{ArmTrace, ChunkTrace, TokenTrace, Trace};

/// Columns of one run, at most.
pub(super) const MAX_ARMS: usize = 16;

/// Longest text that any model writes in as many tokens as there may be.
const MAX_TEXT: usize = 512 << 10;

/// What is wrong with `trace`, and where.
pub(super) fn check(trace: &Trace) -> Result<(), String> {
    trace.settings.validate().map_err(|e| e.to_string())?;
    if !(1..=MAX_ARMS).contains(&trace.arms.len()) {
        return Err(format!("it has {} columns; there must be 1 to {MAX_ARMS}", trace.arms.len()));
    }
    for (i, arm) in trace.arms.iter().enumerate() {
        check_arm(arm).map_err(|e| format!("column {} ({}): {e}", i + 1, arm.name))?;
    }
    Ok(())
}

fn check_arm(arm: &ArmTrace) -> Result<(), String> {
    check_applied(arm.name, &arm.settings)?;
    finite("value", arm.value)?;
    finite("gold_reward", arm.gold_reward)?;
    if !arm.elapsed_ms.is_finite() || arm.elapsed_ms < 0.0 {
        return Err(format!("elapsed_ms is {}", arm.elapsed_ms));
    }
    let most = *limits::MAX_TOKENS.end();
    if arm.tokens.len() > most || arm.chunks.len() > most {
        return Err(format!("it has more than {most} tokens or chunks"));
    }
    if arm.text.len() > MAX_TEXT {
        return Err(format!(
            "its text has {} KiB; {} are the most",
            arm.text.len() >> 10,
            MAX_TEXT >> 10
        ));
    }
    let mut rest = arm.text.as_str();
    for (i, token) in arm.tokens.iter().enumerate() {
        let place = |e| format!("token {}: {e}", i + 1);
        check_token(token, arm.text.len()).map_err(place)?;
        rest = rest
            .strip_prefix(token.text.as_str())
            .ok_or_else(|| place("its text is not the next of the response".to_owned()))?;
    }
    if !rest.is_empty() {
        return Err(format!("the last {} bytes of the text belong to no token", rest.len()));
    }
    let mut before: Option<&ChunkTrace> = None;
    for (i, chunk) in arm.chunks.iter().enumerate() {
        check_chunk(chunk, before).map_err(|e| format!("chunk {}: {e}", i + 1))?;
        before = Some(chunk);
    }
    Ok(())
}

/// Limits hold for what a person chose. Best-of-n then makes one chunk of the whole response and
/// W·K successors of one beam.
fn check_applied(arm: Arm, applied: &Settings) -> Result<(), String> {
    let mut chosen = applied.clone();
    if arm == Arm::BestOfN {
        let fits = limits::ROWS.contains(&applied.successors)
            && limits::MAX_TOKENS.contains(&applied.chunk_tokens);
        if !fits {
            return Err(format!(
                "{} rows of {} tokens are out of range",
                applied.successors, applied.chunk_tokens
            ));
        }
        (chosen.successors, chosen.chunk_tokens) = (1, 1);
    }
    chosen.validate().map_err(|e| e.to_string())
}

fn check_token(token: &TokenTrace, text_bytes: usize) -> Result<(), String> {
    // A range may end inside a character, as its token does.
    if token.start > token.end || token.end > text_bytes {
        return Err(format!(
            "its bytes {} to {} are not inside the text of {text_bytes}",
            token.start, token.end
        ));
    }
    finite("logp_base", Some(token.logp_base))?;
    finite("logp_guided", Some(token.logp_guided))?;
    finite("logp_untuned", token.logp_untuned)?;
    finite("logp_tuned", token.logp_tuned)?;
    finite("advantage", token.advantage)?;
    finite("kl_nats", Some(token.kl_nats))?;
    for other in &token.alternatives {
        finite("logp_base of an alternative", Some(other.logp_base))?;
        finite("logp_guided of an alternative", Some(other.logp_guided))?;
    }
    Ok(())
}

fn check_chunk(chunk: &ChunkTrace, before: Option<&ChunkTrace>) -> Result<(), String> {
    let (count, most) = (chunk.candidates.len(), *limits::ROWS.end());
    if !(1..=most).contains(&count) {
        return Err(format!("it has {count} candidates; there must be 1 to {most}"));
    }
    if chunk.leader >= count {
        return Err(format!("its leader is {}, and it has {count} candidates", chunk.leader));
    }
    let parents = before.map_or(0, |chunk| chunk.candidates.len());
    for (i, candidate) in chunk.candidates.iter().enumerate() {
        let place = |e| format!("candidate {}: {e}", i + 1);
        if let Some(parent) = candidate.parent.filter(|&parent| parent >= parents) {
            return Err(place(format!("its parent is {parent}, of {parents}")));
        }
        if candidate.tokens > *limits::MAX_TOKENS.end() {
            return Err(place(format!("{} tokens are too many", candidate.tokens)));
        }
        if candidate.text.len() > MAX_TEXT {
            return Err(place(format!("{} KiB of text are too many", candidate.text.len() >> 10)));
        }
        finite("value", candidate.value).map_err(place)?;
    }
    Ok(())
}

fn finite(name: &str, number: Option<f32>) -> Result<(), String> {
    match number {
        Some(number) if !number.is_finite() => Err(format!("{name} is {number}, not a number")),
        _ => Ok(()),
    }
}
