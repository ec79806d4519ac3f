//! A judged response, and its line in `texts.jsonl`.

use serde::{Deserialize, Serialize};

use super::EvalArm;
use crate::guidance::trace::{ArmTrace, StopReason};

/// The response of one arm to one prompt at one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The arm that generated the response.
    pub arm: EvalArm,
    /// Index of the prompt in the plan.
    pub prompt_index: usize,
    /// The prompt as typed.
    pub prompt: String,
    /// Number of the repetition, from 1 to the plan's `seeds`.
    pub seed: u64,
    /// The sampling seed. `generate --seed` with this seed reproduces the text.
    pub sampling_seed: u64,
    /// The response, without the prompt.
    pub text: String,
    /// Gold reward of prompt and response; `None` without a judge.
    pub gold_reward: Option<f32>,
    /// V(x, y) of the response; `None` if the pack has no model for it.
    pub value: Option<f32>,
    /// KL(guided ‖ base) summed over the tokens, in nats.
    pub(crate) kl_token_nats: f32,
    /// [`ArmTrace::kl_selection_bound_nats`].
    pub kl_selection_bound_nats: f32,
    /// Σ log π_base over the tokens, in nats.
    pub logp_base: f64,
    /// Vocabulary ids of the response.
    pub(crate) token_ids: Vec<u32>,
    /// Tokens drawn over all rows.
    pub sampled_tokens: usize,
    /// Batched forward passes of all models.
    pub forward_passes: usize,
    /// Time spent on the response, in milliseconds.
    pub elapsed_ms: f64,
    /// Why decoding ended.
    pub stop_reason: StopReason,
}

/// Separates the content of a line from its checksum.
const CHECK: &str = ",\"crc32\":\"";

impl Record {
    pub(super) fn new(
        arm: EvalArm,
        prompt_index: usize,
        prompt: &str,
        seed: u64,
        trace: &ArmTrace,
    ) -> Self {
        Self {
            arm,
            prompt_index,
            prompt: prompt.to_owned(),
            seed,
            sampling_seed: trace.settings.seed,
            text: trace.text.clone(),
            gold_reward: trace.gold_reward,
            value: trace.value,
            kl_token_nats: trace.kl_nats(),
            kl_selection_bound_nats: trace.kl_selection_bound_nats(),
            logp_base: trace.tokens.iter().map(|t| f64::from(t.logp_base)).sum(),
            token_ids: trace.tokens.iter().map(|t| t.id).collect(),
            sampled_tokens: trace.sampled_tokens,
            forward_passes: trace.forward_passes,
            elapsed_ms: trace.elapsed_ms,
            stop_reason: trace.stop_reason,
        }
    }

    /// Returns arm, prompt index and seed, which identify the response within its plan.
    pub fn key(&self) -> (EvalArm, usize, u64) {
        (self.arm, self.prompt_index, self.seed)
    }

    /// Returns the record as a line of JSON. The last key is a checksum of the others.
    pub(super) fn to_line(&self) -> serde_json::Result<String> {
        let json = serde_json::to_string(self)?;
        let open = json.strip_suffix('}').unwrap_or(&json);
        Ok(format!("{open}{CHECK}{:08x}\"}}\n", crc32fast::hash(json.as_bytes())))
    }

    /// Parses a line. Returns `None` if the line does not match its checksum.
    pub(super) fn from_line(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?;
        let (open, check) = line.rsplit_once(CHECK)?;
        let check = u32::from_str_radix(check.strip_suffix("\"}")?, 16).ok()?;
        let json = format!("{open}}}");
        (crc32fast::hash(json.as_bytes()) == check).then(|| serde_json::from_str(&json).ok())?
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn record(arm: EvalArm, prompt_index: usize, seed: u64, gold: f32) -> Record {
        Record {
            arm,
            prompt_index,
            prompt: format!("prompt {prompt_index}"),
            seed,
            sampling_seed: seed,
            text: " was \"fine\",\n\u{1f3ac} he said".into(),
            gold_reward: Some(gold),
            value: None,
            kl_token_nats: 1.25,
            kl_selection_bound_nats: 2.0,
            logp_base: -10.0,
            token_ids: vec![1, 2, 1, 2],
            sampled_tokens: 8,
            forward_passes: 9,
            elapsed_ms: 500.0,
            stop_reason: StopReason::MaxTokens,
        }
    }

    #[test]
    fn a_line_round_trips() {
        let record = record(EvalArm::ChunkImplicit, 3, 2, -0.1);
        let line = record.to_line().expect("writable");
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(Record::from_line(line.trim_end().as_bytes()), Some(record));
        let value: serde_json::Value = serde_json::from_str(&line).expect("plain JSON");
        assert_eq!(value["arm"], "chunk-implicit");
        assert_eq!(value["seed"], 2);
    }

    #[test]
    fn rejects_a_line_with_a_changed_byte() {
        let line = record(EvalArm::Base, 0, 1, 2.5).to_line().expect("writable");
        let line = line.trim_end().as_bytes();
        for index in 0..line.len() {
            let mut damaged = line.to_vec();
            damaged[index] ^= 1;
            assert_eq!(Record::from_line(&damaged), None, "byte {index}");
            assert_eq!(Record::from_line(&line[..index]), None, "cut at {index}");
        }
    }
}
