//! What a run reports. The window draws it, the command line prints it, files hold it,
//! tests assert on it: a number has one source.

use serde::{Deserialize, Serialize};

use super::settings::{Arm, Settings};
use crate::local_time::LocalTime;

/// Version of the file format, raised when a key changes its meaning.
pub const TRACE_VERSION: u32 = 1;

/// A finished or stopped run of one prompt through one or more arms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// [`TRACE_VERSION`] of the writer.
    pub version: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// Name of the model pack.
    pub pack: String,
    /// The random seed.
    pub seed: u64,
    /// The prompt as typed.
    pub prompt: String,
    /// The time that chat templates were told; none where no template asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_time: Option<LocalTime>,
    /// The settings as chosen; each arm holds what it really used.
    pub settings: Settings,
    /// One report per arm, in the order asked for.
    pub arms: Vec<ArmTrace>,
}

/// What one arm produced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmTrace {
    /// Which arm.
    pub name: Arm,
    /// What it decoded with.
    pub settings: Settings,
    /// The response, without the prompt.
    pub text: String,
    /// V(x, y) of `text` under `settings.value_source`; none if the pack cannot give one.
    pub value: Option<f32>,
    /// Gold reward of prompt and text, log p(positive) − log p(negative); none without a judge.
    #[serde(default)]
    pub gold_reward: Option<f32>,
    /// The tokens of `text`.
    pub tokens: Vec<TokenTrace>,
    /// One entry per chunk, in time order.
    pub chunks: Vec<ChunkTrace>,
    /// Tokens drawn over all rows, kept or not.
    pub sampled_tokens: usize,
    /// Batched forward passes of all models together, reading the prompt included (arms of one
    /// run share that reading; each counts it, as it would alone).
    pub forward_passes: usize,
    /// Time spent in this arm, in milliseconds, reading the prompt included.
    pub elapsed_ms: f64,
    /// Why it ended.
    pub stop_reason: StopReason,
}

impl ArmTrace {
    /// KL(guided ‖ base) summed over the tokens of the response, in nats.
    pub fn kl_nats(&self) -> f32 {
        self.tokens.iter().map(|t| t.kl_nats).sum()
    }

    /// The most that choosing between candidates can add to the divergence of the tokens, in nats.
    ///
    /// A response can come about in W·K^T ways, one for each line of descent over T chunks, so
    /// the search gives it at most W·K^T times the probability that plain decoding would: the
    /// divergence is at most log W + T log K. Where the best of K alone survives it is at most
    /// T (log K − (K − 1)/K) (Beirami et al., arXiv 2401.01879, for one chunk; Mudgal et al.,
    /// arXiv 2310.17022, for many).
    ///
    /// A finite λ costs less: the response is a function of the candidates and of the choices
    /// among them, so its divergence is at most that of the choices from random ones (the data
    /// processing inequality), which is the mean over runs of the sum of `selection_kl_nats`. A
    /// single run gives one draw of that sum, cut off at the bound above: an estimate, and one that
    /// errs low on average where some runs are cut off and others are not. Random choices leave
    /// the tokens' distribution as it is while no response ends before the others.
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

    /// Perplexity of the response under the base; none for an empty response.
    pub fn base_perplexity(&self) -> Option<f32> {
        if self.tokens.is_empty() {
            return None;
        }
        let sum: f32 = self.tokens.iter().map(|t| t.logp_base).sum();
        Some((-sum / self.tokens.len() as f32).exp())
    }

    /// Tokens drawn per second of this arm's own time, over all rows.
    pub fn tokens_per_second(&self) -> f64 {
        if self.elapsed_ms > 0.0 { self.sampled_tokens as f64 * 1e3 / self.elapsed_ms } else { 0.0 }
    }
}

/// One token of a response. Log-probabilities are natural logarithms of the models' own
/// distributions: before temperature, top-k and top-p.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenTrace {
    /// Vocabulary id.
    pub id: u32,
    /// The text this token added: whole characters only, so it may be empty for a token that
    /// ends inside a character (the token that completes it carries it).
    pub text: String,
    /// Byte range of this token's own bytes in the response's text.
    pub start: usize,
    /// End of that range.
    pub end: usize,
    /// log π_base(y).
    pub logp_base: f32,
    /// log π_guided(y).
    pub logp_guided: f32,
    /// log π_untuned(y); none without a tuned/untuned pair.
    #[serde(default)]
    pub logp_untuned: Option<f32>,
    /// log π_tuned(y); none without a tuned/untuned pair.
    #[serde(default)]
    pub logp_tuned: Option<f32>,
    /// log π_tuned(y) − log π_untuned(y); none without a tuned/untuned pair.
    pub advantage: Option<f32>,
    /// KL(π_guided ‖ π_base) at this place, in nats.
    pub kl_nats: f32,
    /// The ten likeliest tokens at this place after guidance, likeliest first, then those of the
    /// ten before guidance that are not among them.
    #[serde(default)]
    pub alternatives: Vec<Alternative>,
}

/// A token that might have stood in another's place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// Vocabulary id.
    pub id: u32,
    /// Its text; what is no whole character is replaced.
    pub text: String,
    /// log π_base.
    pub logp_base: f32,
    /// log π_guided.
    pub logp_guided: f32,
}

/// One round of the search: every candidate that was compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkTrace {
    /// Response length of the longest candidate at the end of this chunk, in tokens.
    pub end_token: usize,
    /// All candidates, in row order.
    pub candidates: Vec<Candidate>,
    /// Index of the survivor that the selection ranks first: the answer, should the search end
    /// here. With a finite λ its noise counts, so it need not have the highest value.
    pub leader: usize,
    /// How far the choice was from a random one, in nats; none in files of older versions.
    #[serde(default)]
    pub selection_kl_nats: Option<f32>,
}

/// One partial response at the end of a chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The text this chunk added (the whole beam: follow `parent`).
    pub text: String,
    /// Index of the candidate of the previous chunk that this one continues; none in the first.
    pub parent: Option<usize>,
    /// V(x, y≤t); none if the pack cannot give one.
    pub value: Option<f32>,
    /// Whether it was kept.
    pub survived: bool,
    /// Whether it has ended (end of text).
    pub ended: bool,
    /// Response tokens so far.
    pub tokens: usize,
}

impl ChunkTrace {
    /// The candidate a reader would be answered with, had the search ended here.
    pub fn leader(&self) -> Option<&Candidate> {
        self.candidates.get(self.leader)
    }
}

/// Why an arm ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model ended the text.
    EndOfText,
    /// The budget of new tokens is spent.
    MaxTokens,
    /// A model's context is full.
    ContextFull,
    /// A person stopped it.
    Stopped,
}

impl StopReason {
    /// For the status line.
    pub fn label(self) -> &'static str {
        match self {
            StopReason::EndOfText => "end of text",
            StopReason::MaxTokens => "length reached",
            StopReason::ContextFull => "context full",
            StopReason::Stopped => "stopped",
        }
    }
}
