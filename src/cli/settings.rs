//! The flags that stand for [`Settings`].

use clap::{Args, ValueEnum};
use ivg_playground::guidance::settings::{Settings, ValueSource};

/// Overrides of the pack's default settings, of which `[defaults]` of its `pack.toml` may say some.
#[derive(Args, Default)]
#[command(allow_negative_numbers = true)]
pub struct SettingArgs {
    /// Token guidance strength β, -3 to 3 [default: the pack's, as of all below; else 1]
    #[arg(long)]
    beta: Option<f32>,
    /// Chunk guidance strength λ, 0 to 100 or inf (the paper's hard selection) [else inf]
    #[arg(long)]
    lambda: Option<f32>,
    /// Beams kept after every chunk, W, 1 to 16; W·K is 64 at most [else 4]
    #[arg(long)]
    w: Option<usize>,
    /// Successors per beam, K, 1 to 16 [else 4]
    #[arg(long)]
    k: Option<usize>,
    /// Tokens per chunk, L, 1 to 128 [else 5]
    #[arg(long)]
    l: Option<usize>,
    /// New tokens per response, 1 to 2048 [else 50]
    #[arg(long)]
    max_tokens: Option<usize>,
    /// Sampling temperature, 0 to 2; 0 is greedy [else 0.7]
    #[arg(long)]
    temperature: Option<f32>,
    /// Keep the likeliest tokens up to this mass, 0.01 to 1; 1 is off [else 1]
    #[arg(long)]
    top_p: Option<f32>,
    /// Keep only the k likeliest tokens, 0 to 1000; 0 is off [else 0]
    #[arg(long)]
    top_k: Option<usize>,
    /// Key of every random draw [else 1]
    #[arg(long)]
    seed: Option<u64>,
    /// Recognise control tokens written out in the prompt, such as <|im_end|>; without this they are read as text
    #[arg(long)]
    special: bool,
    /// What ranks partial responses [else explicit]
    #[arg(long, value_enum)]
    value: Option<Value>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Value {
    /// The value model
    Explicit,
    /// The advantage of tuned over untuned, summed over the response
    Implicit,
}

impl SettingArgs {
    /// `defaults` with what was given on the command line.
    pub fn over(&self, defaults: Settings) -> Settings {
        let value_source = self.value.map(|v| match v {
            Value::Explicit => ValueSource::Explicit,
            Value::Implicit => ValueSource::Implicit,
        });
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
            value_source: value_source.unwrap_or(defaults.value_source),
            special_tokens: self.special || defaults.special_tokens,
        }
    }
}
