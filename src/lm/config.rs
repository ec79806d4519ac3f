//! Shape and constants of a model, checked before anything is allocated.

use std::path::Path;

use serde_json::Value;

use super::arch::{self, Architecture};
use super::error::{LmError, Result};
use super::fields::Fields;
use super::gguf::GgufFile;
use super::weights::read_json;

/// Sizes no model has: a number beyond them is a damaged file, not a big model.
const MAX_VOCAB: usize = 1 << 21;
const MAX_WIDTH: usize = 1 << 17;
const MAX_LAYERS: usize = 1 << 10;
const MAX_CONTEXT: usize = 1 << 24;
const MAX_EXPERTS: usize = 1 << 10;

/// Shape and constants of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct LmConfig {
    /// The family, which names the tensors.
    pub architecture: Architecture,
    /// Rows of the embedding: token ids, and padding beyond them in some models.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward block.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_size: usize,
    /// Longest text the model was trained for, prompt and response together, in tokens.
    pub context_tokens: usize,
    /// How the residual stream is normalised.
    pub norm: NormKind,
    /// Added to the variance (or the mean square) in every norm.
    pub norm_epsilon: f64,
    /// How positions are told apart.
    pub positions: Positions,
    /// Layers that see only the last few tokens, if any do.
    pub local: Option<Local>,
    /// What bends the feed-forward block.
    pub activation: Activation,
    /// The sparse mixture of feed-forward blocks, if there is one.
    pub experts: Option<Experts>,
    /// Which maps add a bias.
    pub biases: Biases,
    /// Whether queries and keys are normed, head by head.
    pub head_norms: bool,
    /// What the embedding is multiplied by.
    pub embedding_scale: f32,
    /// What the products of queries and keys are multiplied by.
    pub attention_scale: f32,
    /// Whether the output head is the embedding.
    pub tied: bool,
    /// The tokens that end a text; may be empty.
    pub eos: Vec<u32>,
}

/// How the residual stream is normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Divided by the root of the mean square (Zhang and Sennrich 2019, arXiv 1910.07467).
    Rms,
    /// Centred, divided by the standard deviation, shifted (Ba et al. 2016, arXiv 1607.06450).
    Layer,
}

/// What bends the feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x·σ(x).
    Silu,
    /// GELU by its tanh formula (Hendrycks and Gimpel 2016, arXiv 1606.08415).
    GeluTanh,
}

/// How positions are told apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// A learned vector a position is added to the embedding.
    Learned,
    /// Queries and keys are rotated.
    Rotary(Rotary),
}

/// Rotary positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Base of the frequencies.
    pub theta: f32,
    /// How the frequencies are stretched.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched for texts longer than those of the first training.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All are divided by this.
    Linear(f32),
    /// Llama 3's way: the slow ones are divided, the fast ones kept.
    Llama3 {
        /// What the slow ones are divided by.
        factor: f32,
        /// Turns in the original context below which a frequency is slow.
        low_freq_factor: f32,
        /// Turns above which it is fast.
        high_freq_factor: f32,
        /// The original context, in tokens.
        original_context_tokens: f32,
    },
    /// Each is divided by a number of its own, `head_size / 2` of them: as GGUF files of
    /// Llama 3 have it.
    Divided(Vec<f32>),
}

/// Layers that see only the last few tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Local {
    /// Tokens seen, the reading one included.
    pub window_tokens: usize,
    /// Which layers, one entry a layer.
    pub layers: Vec<bool>,
    /// Their own rotation, where it is another.
    pub rotary: Option<Rotary>,
}

/// A sparse mixture of feed-forward blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// Blocks there are.
    pub count: usize,
    /// Blocks a token passes through.
    pub per_token: usize,
}

/// Which maps add a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// The output of attention.
    pub output: bool,
    /// The feed-forward block.
    pub mlp: bool,
}

impl LmConfig {
    /// Reads `config.json` in the folder `path`, and the end tokens of `generation_config.json` where there
    /// is one: models for conversations end a turn with a token that `config.json` leaves out. Or
    /// reads the configuration inside the GGUF file `path`.
    ///
    /// # Errors
    /// A sentence naming the field that is missing, impossible or not supported.
    pub fn load(path: &Path) -> Result<Self> {
        if GgufFile::is_one(path) {
            return GgufFile::open(path)?.config();
        }
        let file = path.join("config.json");
        let mut config = Self::from_json(&read_json(&file)?, &file)?;
        let file = path.join("generation_config.json");
        if file.is_file() {
            let json = read_json(&file)?;
            for id in Fields::new(&json, &file)?.ids("eos_token_id")? {
                if !config.eos.contains(&id) {
                    config.eos.push(id);
                }
            }
        }
        Ok(config)
    }

    /// The configuration in `json`; `file` is used in messages.
    ///
    /// # Errors
    /// As [`LmConfig::load`].
    pub fn from_json(json: &Value, file: &Path) -> Result<Self> {
        let config = arch::config(&Fields::new(json, file)?)?;
        config.check(file)?;
        Ok(config)
    }

    /// The rotation of `layer`; none for learned positions.
    pub fn rotary(&self, layer: usize) -> Option<&Rotary> {
        let own = self.local.as_ref().filter(|_| self.window(layer).is_some());
        match (own.and_then(|local| local.rotary.as_ref()), &self.positions) {
            (Some(rotary), _) | (None, Positions::Rotary(rotary)) => Some(rotary),
            (None, Positions::Learned) => None,
        }
    }

    /// How many tokens `layer` sees, the reading one included; none where it sees all.
    pub fn window(&self, layer: usize) -> Option<usize> {
        let local = self.local.as_ref()?;
        local.layers.get(layer)?.then_some(local.window_tokens)
    }

    /// Refuses sizes that cannot be; `file` is used in messages.
    ///
    /// # Errors
    /// [`LmError::Field`] naming the first impossible one, as the architecture's own
    /// configuration calls it.
    pub fn check(&self, file: &Path) -> Result<()> {
        let limits = [
            ("vocab_size", self.vocab_size, MAX_VOCAB),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, MAX_WIDTH),
            ("num_hidden_layers", self.layers, MAX_LAYERS),
            ("num_attention_heads", self.heads, MAX_WIDTH),
            ("num_key_value_heads", self.kv_heads, self.heads),
            ("head_dim", self.head_size, MAX_WIDTH),
            ("max_position_embeddings", self.context_tokens, MAX_CONTEXT),
            ("sliding_window", self.local.as_ref().map_or(1, |l| l.window_tokens), MAX_CONTEXT),
            ("num_local_experts", self.experts.map_or(1, |e| e.count), MAX_EXPERTS),
            (
                "num_experts_per_tok",
                self.experts.map_or(1, |e| e.per_token),
                self.experts.map_or(1, |e| e.count),
            ),
        ];
        for (name, value, most) in limits {
            if value == 0 || value > most {
                let problem = format!("is {value}, expected 1 to {most}");
                return Err(self.field(file, name, problem));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let problem =
                format!("is {}, which does not divide the {} heads", self.kv_heads, self.heads);
            return Err(self.field(file, "num_key_value_heads", problem));
        }
        if !self.head_size.is_multiple_of(2) {
            let problem = format!("is {}, which is odd", self.head_size);
            return Err(self.field(file, "head_dim", problem));
        }
        if !(self.norm_epsilon.is_finite() && self.norm_epsilon >= 0.0) {
            return Err(self.field(file, "rms_norm_eps", "is not a positive number".into()));
        }
        if !(self.attention_scale.is_finite() && self.attention_scale > 0.0) {
            let problem = "is not a positive number".into();
            return Err(self.field(file, "query_pre_attn_scalar", problem));
        }
        (0..self.layers).filter_map(|layer| self.rotary(layer)).try_for_each(|r| r.check(file))
    }

    /// An error about a field, under the name that this architecture's files give it.
    fn field(&self, file: &Path, name: &str, problem: String) -> LmError {
        let name = arch::field_name(self.architecture, name);
        LmError::Field { file: file.to_path_buf(), field: name.into(), problem }
    }
}

impl Rotary {
    fn check(&self, file: &Path) -> Result<()> {
        let wrong = |field: &str| LmError::Field {
            file: file.to_path_buf(),
            field: field.into(),
            problem: "is not a positive number".into(),
        };
        let positive = |x: f32| x.is_finite() && x > 0.0;
        if !positive(self.theta) {
            return Err(wrong("rope_theta"));
        }
        let good = match &self.scaling {
            RopeScaling::None => true,
            RopeScaling::Linear(factor) => positive(*factor),
            RopeScaling::Divided(divisors) => divisors.iter().copied().all(positive),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context_tokens,
            } => {
                [*factor, *low_freq_factor, *high_freq_factor, *original_context_tokens]
                    .into_iter()
                    .all(positive)
                    && low_freq_factor < high_freq_factor
            }
        };
        if good { Ok(()) } else { Err(wrong("rope_scaling")) }
    }

    /// The rotary settings of a `config.json`: under `rope_parameters` in newer files, in
    /// `rope_theta` and `rope_scaling` in older ones.
    ///
    /// # Errors
    /// A kind of scaling that is not supported, a number that is none.
    pub(super) fn from_fields(fields: &Fields<'_>, default_theta: f32) -> Result<Self> {
        let newer = fields.object("rope_parameters")?;
        let theta = match newer {
            Some(newer) => newer.optional_number("rope_theta")?,
            None => None,
        };
        let theta = match theta {
            Some(theta) => Some(theta),
            None => fields.optional_number("rope_theta")?,
        };
        let scaling = match newer {
            Some(newer) => Some(newer),
            None => fields.object("rope_scaling")?,
        };
        let scaling = scaling.map_or(Ok(RopeScaling::None), |s| RopeScaling::from_fields(&s))?;
        Ok(Self { theta: theta.map_or(default_theta, |theta| theta as f32), scaling })
    }
}

impl RopeScaling {
    /// The scaling that a `rope_scaling` or `rope_parameters` object asks for.
    ///
    /// # Errors
    /// A kind that is not supported, a number that is missing.
    pub(super) fn from_fields(fields: &Fields<'_>) -> Result<Self> {
        let kind = fields.text("rope_type")?;
        let kind = kind.map_or_else(|| fields.text("type"), |kind| Ok(Some(kind)))?;
        match kind {
            None | Some("default") => Ok(Self::None),
            Some("linear") => Ok(Self::Linear(fields.number("factor")? as f32)),
            Some("llama3") => Ok(Self::Llama3 {
                factor: fields.number("factor")? as f32,
                low_freq_factor: fields.number("low_freq_factor")? as f32,
                high_freq_factor: fields.number("high_freq_factor")? as f32,
                original_context_tokens: fields.number("original_max_position_embeddings")? as f32,
            }),
            Some(other) => Err(fields.unsupported(
                format!("rope scaling '{other}'"),
                "with plain, linear or llama3 rotary positions",
            )),
        }
    }
}
