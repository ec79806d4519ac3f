//! The flags for the decoding [`Settings`].

use clap::{Args, ValueEnum};
use ivg_playground::guidance::settings::{Settings, ValueSource};
use ivg_playground::guidance::steer::Steer;

/// Flags that override the pack's default settings.
#[derive(Args, Default)]
#[command(allow_negative_numbers = true)]
pub struct SettingArgs {
    /// Token guidance strength β, -3 to 3; 0 is off [default: from the pack, else 1]
    #[arg(long)]
    beta: Option<f32>,
    /// Chunk guidance strength λ, 0 to 100, or inf for the paper's hard selection; 0 is off
    /// [default: from the pack, else inf]
    #[arg(long)]
    lambda: Option<f32>,
    /// Beams kept after each chunk, W, 1 to 16; W·K is at most 64 [default: from the pack, else 4]
    #[arg(long)]
    w: Option<usize>,
    /// Successors per beam, K, 1 to 16 [default: from the pack, else 4]
    #[arg(long)]
    k: Option<usize>,
    /// Tokens per chunk, L, 1 to 128 [default: from the pack, else 5]
    #[arg(long)]
    l: Option<usize>,
    /// Maximum new tokens per response, 1 to 2048 [default: from the pack, else 50]
    #[arg(long)]
    max_tokens: Option<usize>,
    /// Sampling temperature, 0 to 2; 0 is greedy [default: from the pack, else 0.7]
    #[arg(long)]
    temperature: Option<f32>,
    /// Sample from the most likely tokens up to this probability mass, 0.01 to 1; 1 is off
    /// [default: from the pack, else 1]
    #[arg(long)]
    top_p: Option<f32>,
    /// Sample from the k most likely tokens, 0 to 1000; 0 is off [default: from the pack, else 0]
    #[arg(long)]
    top_k: Option<usize>,
    /// Random seed [default: from the pack, else 1]
    #[arg(long)]
    seed: Option<u64>,
    /// Recognise control tokens in the prompt, such as <|im_end|>, instead of reading them as text
    #[arg(long)]
    special: bool,
    /// Value that ranks partial responses [default: from the pack, else explicit]
    #[arg(long, value_enum)]
    value: Option<Value>,
    /// Guide of the tokens with strength β: the tuned/untuned pair (implicit) or the value model
    /// (explicit) [default: from the pack, else implicit]
    #[arg(long, value_enum)]
    tokens: Option<Value>,
    /// Divergence from the base that the tokens of a response may add up to, in nats, 0 to 1000;
    /// lowers β where needed; inf is off [default: from the pack, else inf]
    #[arg(long, value_name = "NATS")]
    kl_budget: Option<f32>,
    /// Let guidance choose only tokens at most this far below the base's likeliest, in nats, 0 to
    /// 20; inf is off [default: from the pack, else inf]
    #[arg(long, value_name = "NATS")]
    mask: Option<f32>,
    /// Instruction to steer towards, such as "Answer in one sentence."
    #[arg(long, value_name = "TEXT")]
    steer: Option<String>,
    /// Instruction to steer away from [default: the plain prompt]
    #[arg(long, value_name = "TEXT")]
    away: Option<String>,
    /// Strength of the steer, -3 to 3; 1 equals the instruction alone [default: 1.5]
    #[arg(long)]
    steer_beta: Option<f32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Value {
    /// The value model
    Explicit,
    /// The advantage of tuned over untuned, summed over the response
    Implicit,
}

impl SettingArgs {
    /// Returns `defaults` with the given flags applied.
    pub fn apply_to(&self, defaults: Settings) -> Settings {
        let source = |value: Value| match value {
            Value::Explicit => ValueSource::Explicit,
            Value::Implicit => ValueSource::Implicit,
        };
        Settings {
            beta: self.beta.unwrap_or(defaults.beta),
            lambda: self.lambda.unwrap_or(defaults.lambda),
            beams: self.w.unwrap_or(defaults.beams),
            successors: self.k.unwrap_or(defaults.successors),
            chunk_tokens: self.l.unwrap_or(defaults.chunk_tokens),
            max_tokens: self.max_tokens.unwrap_or(defaults.max_tokens),
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_k: self.top_k.unwrap_or(defaults.top_k),
            top_p: self.top_p.unwrap_or(defaults.top_p),
            seed: self.seed.unwrap_or(defaults.seed),
            value_source: self.value.map_or(defaults.value_source, source),
            token_source: self.tokens.map_or(defaults.token_source, source),
            kl_budget_nats: self.kl_budget.unwrap_or(defaults.kl_budget_nats),
            mask_nats: self.mask.unwrap_or(defaults.mask_nats),
            special_tokens: self.special || defaults.special_tokens,
            steers: self.steers(defaults.steers),
        }
    }

    fn steers(&self, defaults: Vec<Steer>) -> Vec<Steer> {
        if self.steer.is_none() && self.away.is_none() {
            return defaults;
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (towards, away) = (text(&self.steer), text(&self.away));
        let beta = self.steer_beta.unwrap_or(Steer::default().beta);
        vec![Steer { towards, away, beta }]
    }
}
