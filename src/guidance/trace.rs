//! The record of a run. The window, the command line, the saved files and the tests all read their
//! numbers from it.

use serde::{Deserialize, Serialize};

use super::aim::Aim;
use super::settings::{Arm, Column, Settings, ValueSource};
use crate::format::counted;
use crate::local_time::LocalTime;

/// Version of the file format. It increases when the meaning of a key changes.
pub const TRACE_VERSION: u32 = 2;

/// Returns the version of a trace with these settings and columns: the lowest whose programs can
/// read it. Version 2 adds steers, the arm [`Arm::PromptOnly`], token guidance by the value
/// model, the KL budget and the plausibility mask.
pub(crate) fn trace_version(settings: &Settings, columns: &[Column]) -> u32 {
    let has_new = |settings: &Settings| {
        let limits = [settings.kl_budget_nats, settings.mask_nats];
        settings.token_source == ValueSource::Explicit
            || !settings.steers.is_empty()
            || limits.iter().any(|limit| limit.is_finite())
    };
    let is_new = |column: &Column| {
        column.arm == Arm::PromptOnly || column.pinned.as_ref().is_some_and(has_new)
    };
    if !has_new(settings) && !columns.iter().any(is_new) { 1 } else { TRACE_VERSION }
}

/// A finished or stopped run of one prompt through one or more arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Version of the file format, at most [`TRACE_VERSION`].
    pub version: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// Name of the model pack.
    pub pack: String,
    /// What the guides of the pack steer towards; `None` if the pack does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aim: Option<Aim>,
    /// The random seed.
    pub seed: u64,
    /// The prompt as typed.
    pub prompt: String,
    /// Time passed to the chat templates; `None` if no template uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_time: Option<LocalTime>,
    /// The settings chosen for the run. The settings that each arm decoded with are in `arms`.
    pub settings: Settings,
    /// One trace per arm, in the order of the request.
    pub arms: Vec<ArmTrace>,
}

/// The result of one arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmTrace {
    /// The arm.
    pub name: Arm,
    /// The settings that the arm decoded with.
    pub settings: Settings,
    /// The response, without the prompt.
    pub text: String,
    /// V(x, y) of `text` under `settings.value_source`; `None` if the pack has no model for it.
    pub value: Option<f32>,
    /// Gold reward of prompt and text, log p(positive) − log p(negative); `None` without a judge.
    #[serde(default)]
    pub gold_reward: Option<f32>,
    /// The tokens of `text`.
    pub tokens: Vec<TokenTrace>,
    /// One entry per chunk, in the order they were decoded.
    pub chunks: Vec<ChunkTrace>,
    /// Tokens drawn over all rows, including rows that were dropped.
    pub sampled_tokens: usize,
    /// Batched forward passes of all models, including prefill. Arms of one run share the prefill;
    /// each arm counts it.
    pub forward_passes: usize,
    /// Time spent in this arm, including prefill, in milliseconds.
    pub elapsed_ms: f64,
    /// Why decoding ended.
    pub stop_reason: StopReason,
}

impl ArmTrace {
    /// Returns KL(guided ‖ base) summed over the tokens of the response, in nats.
    pub fn kl_nats(&self) -> f32 {
        self.tokens.iter().map(|t| t.kl_nats).sum()
    }

    /// Returns an upper bound on the divergence that chunk selection adds to that of the tokens,
    /// in nats.
    ///
    /// Over T chunks there are W·K^T lines of descent, and a response can arise from any of them.
    /// The search therefore assigns it at most W·K^T times the probability of plain decoding, and
    /// the divergence is at most log W + T log K. If only the best of K survives (W = 1, λ = ∞),
    /// the bound is T (log K − (K − 1)/K) (Beirami et al., arXiv 2401.01879, for one chunk; Mudgal
    /// et al., arXiv 2310.17022, for many).
    ///
    /// For a finite λ the bound is lower. The response is a function of the candidates and of the
    /// choices among them. By the data processing inequality its divergence is at most that of
    /// these choices from random choices, which is the mean over runs of the sum of
    /// `selection_kl_nats`. A single run yields one sample of that sum, capped at the bound above.
    /// The result is an estimate; it is biased low if the cap applies in some runs only. Random
    /// choices do not change the distribution of the tokens while no response ends before the
    /// others.
    pub fn kl_selection_bound_nats(&self) -> f32 {
        let (beams, successors) = (self.settings.beams as f32, self.settings.successors as f32);
        let chunks = self.chunks.len() as f32;
        if beams * successors == 1.0 {
            0.0
        } else if beams == 1.0 && self.settings.lambda == f32::INFINITY {
            chunks * (successors.ln() - (successors - 1.0) / successors)
        } else {
            let descents = beams.ln() + chunks * successors.ln();
            let choices: Option<f32> = self.chunks.iter().map(|c| c.selection_kl_nats).sum();
            let is_soft = self.settings.lambda.is_finite();
            choices.filter(|_| is_soft).map_or(descents, |choices| choices.min(descents))
        }
    }

    /// Returns the perplexity of the response under the base, or `None` for an empty response.
    pub fn base_perplexity(&self) -> Option<f32> {
        if self.tokens.is_empty() {
            return None;
        }
        let sum: f32 = self.tokens.iter().map(|t| t.logp_base).sum();
        Some((-sum / self.tokens.len() as f32).exp())
    }

    /// Returns the tokens drawn per second of `elapsed_ms`, over all rows.
    pub fn tokens_per_second(&self) -> f64 {
        if self.elapsed_ms > 0.0 { self.sampled_tokens as f64 * 1e3 / self.elapsed_ms } else { 0.0 }
    }
}

/// One token of a response. Log-probabilities are natural logarithms of the models' own
/// distributions, before temperature, top-k and top-p.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenTrace {
    /// Vocabulary id.
    pub id: u32,
    /// The text that this token added, in whole characters. It may be empty if the token ends
    /// inside a character; the character then belongs to the token that completes it.
    pub text: String,
    /// Start of this token's bytes in the response text.
    pub start: usize,
    /// End of this token's bytes in the response text (exclusive).
    pub end: usize,
    /// log π_base(y).
    pub logp_base: f32,
    /// log π_guided(y).
    pub logp_guided: f32,
    /// log π_untuned(y); `None` without a pair of the base's vocabulary.
    #[serde(default)]
    pub logp_untuned: Option<f32>,
    /// log π_tuned(y); `None` without a pair of the base's vocabulary.
    #[serde(default)]
    pub logp_tuned: Option<f32>,
    /// By how much the guides prefer this token, summed over them: log π_tuned(y) − log π_untuned(y) of
    /// a pair and of steers, V(y) minus its mean of a value model. `None` without a guide, or if a
    /// guide that scores candidates did not score this token and there is no steer.
    pub advantage: Option<f32>,
    /// The advantage of each steer alone, in the order of [`Settings::active_steers`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steer_advantages: Vec<f32>,
    /// KL(π_guided ‖ π_base) at this position, in nats.
    pub kl_nats: f32,
    /// Probability under the base of the tokens that were not candidates of a guide which scores
    /// candidates: a pair of another vocabulary, or a value model. `None` without such a guide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unguided_mass: Option<f32>,
    /// The factor by which the KL budget lowered the strength of all guides; `None` if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strength_factor: Option<f32>,
    /// The ten likeliest tokens at this position after guidance, likeliest first, then those of the
    /// ten likeliest before guidance that are not among them.
    #[serde(default)]
    pub alternatives: Vec<Alternative>,
}

/// A likely token at the position of a drawn one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// Vocabulary id.
    pub id: u32,
    /// Its text, or the name of a special token. Invalid bytes are replaced by U+FFFD.
    pub text: String,
    /// log π_base.
    pub logp_base: f32,
    /// log π_guided.
    pub logp_guided: f32,
}

/// One chunk of the search, with every candidate that was compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkTrace {
    /// Response length of the longest candidate at the end of this chunk, in tokens.
    pub end_token: usize,
    /// All candidates, in row order.
    pub candidates: Vec<Candidate>,
    /// Index of the survivor that the selection ranks first. It is the response if the search ends
    /// here. With a finite λ the ranking includes noise, so another candidate may have a higher
    /// value.
    pub leader: usize,
    /// Divergence of the choice from a random one, in nats; `None` in files of older versions.
    #[serde(default)]
    pub selection_kl_nats: Option<f32>,
}

/// One partial response at the end of a chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The text that this chunk added. Follow `parent` for the text before it.
    pub text: String,
    /// Index of the parent candidate in the previous chunk; `None` in the first chunk.
    pub parent: Option<usize>,
    /// V(x, y≤t); `None` if the pack has no model for it.
    pub value: Option<f32>,
    /// Whether the selection kept it.
    pub survived: bool,
    /// Whether the response has ended.
    pub ended: bool,
    /// Response tokens so far.
    pub tokens: usize,
}

impl ChunkTrace {
    /// Returns the candidate at index `leader`.
    pub fn leader(&self) -> Option<&Candidate> {
        self.candidates.get(self.leader)
    }
}

/// Why the decoding of an arm ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model ended the text.
    EndOfText,
    /// The budget of new tokens is spent.
    MaxTokens,
    /// A model's context is full.
    ContextFull,
    /// The user stopped the run.
    Stopped,
}

impl StopReason {
    /// Returns why a response of this many tokens ended.
    pub fn describe(self, tokens: usize) -> String {
        let tokens = counted(tokens, "token");
        match self {
            StopReason::EndOfText => format!("Ended after {tokens}"),
            StopReason::MaxTokens => format!("Stopped at {tokens}"),
            StopReason::ContextFull => format!("Context full at {tokens}"),
            StopReason::Stopped => format!("Stopped by you at {tokens}"),
        }
    }
}
