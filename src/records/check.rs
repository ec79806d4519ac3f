//! Checks whether a run can have produced a trace, because the file may have been edited.

use crate::guidance::settings::{Arm, Settings, limits};
use crate::guidance::trace::{ArmTrace, ChunkTrace, TokenTrace, Trace};

/// Maximum number of columns of a run.
pub(super) const MAX_ARMS: usize = 16;

/// Maximum length of a response in bytes: longer than any model's text of the maximum number of
/// tokens.
const MAX_TEXT_BYTES: usize = 512 << 10;

/// Checks the trace. The error says what is wrong, and where.
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
    if arm.text.len() > MAX_TEXT_BYTES {
        return Err(format!(
            "its text has {} KiB; at most {} are allowed",
            arm.text.len() >> 10,
            MAX_TEXT_BYTES >> 10
        ));
    }
    let mut rest = arm.text.as_str();
    for (i, token) in arm.tokens.iter().enumerate() {
        let in_token = |e| format!("token {}: {e}", i + 1);
        check_token(token, arm.text.len()).map_err(in_token)?;
        rest = rest
            .strip_prefix(token.text.as_str())
            .ok_or_else(|| in_token("its text does not continue the response".to_owned()))?;
    }
    if !rest.is_empty() {
        return Err(format!("the last {} bytes of the text belong to no token", rest.len()));
    }
    let mut previous: Option<&ChunkTrace> = None;
    for (i, chunk) in arm.chunks.iter().enumerate() {
        check_chunk(chunk, previous).map_err(|e| format!("chunk {}: {e}", i + 1))?;
        previous = Some(chunk);
    }
    Ok(())
}

/// Checks applied settings. The limits apply to chosen settings. Best-of-N turns these into one
/// chunk for the whole response and W·K successors of one beam.
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
    // A range may end inside a character, because a token may.
    if token.start > token.end || token.end > text_bytes {
        return Err(format!(
            "its bytes {} to {} are outside the text of {text_bytes} bytes",
            token.start, token.end
        ));
    }
    finite("logp_base", Some(token.logp_base))?;
    finite("logp_guided", Some(token.logp_guided))?;
    finite("logp_untuned", token.logp_untuned)?;
    finite("logp_tuned", token.logp_tuned)?;
    finite("advantage", token.advantage)?;
    for advantage in &token.steer_advantages {
        finite("steer_advantages", Some(*advantage))?;
    }
    finite("unguided_mass", token.unguided_mass)?;
    finite("strength_factor", token.strength_factor)?;
    finite("kl_nats", Some(token.kl_nats))?;
    for other in &token.alternatives {
        finite("logp_base of an alternative", Some(other.logp_base))?;
        finite("logp_guided of an alternative", Some(other.logp_guided))?;
    }
    Ok(())
}

fn check_chunk(chunk: &ChunkTrace, previous: Option<&ChunkTrace>) -> Result<(), String> {
    let (count, most) = (chunk.candidates.len(), *limits::ROWS.end());
    if !(1..=most).contains(&count) {
        return Err(format!("it has {count} candidates; there must be 1 to {most}"));
    }
    if chunk.leader >= count {
        return Err(format!("its leader is {}, but it has {count} candidates", chunk.leader));
    }
    let parents = previous.map_or(0, |chunk| chunk.candidates.len());
    for (i, candidate) in chunk.candidates.iter().enumerate() {
        let in_candidate = |e| format!("candidate {}: {e}", i + 1);
        if let Some(parent) = candidate.parent.filter(|&parent| parent >= parents) {
            return Err(in_candidate(format!("its parent is {parent}, of {parents}")));
        }
        if candidate.tokens > *limits::MAX_TOKENS.end() {
            return Err(in_candidate(format!("{} tokens are too many", candidate.tokens)));
        }
        if candidate.text.len() > MAX_TEXT_BYTES {
            let kib = candidate.text.len() >> 10;
            return Err(in_candidate(format!("{kib} KiB of text are too many")));
        }
        finite("value", candidate.value).map_err(in_candidate)?;
    }
    Ok(())
}

fn finite(name: &str, number: Option<f32>) -> Result<(), String> {
    match number {
        Some(number) if !number.is_finite() => {
            Err(format!("{name} is {number}, not a finite number"))
        }
        _ => Ok(()),
    }
}
