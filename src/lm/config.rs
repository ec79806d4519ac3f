//! Configuration of a model: its dimensions and constants.

/// A model family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// GPT-2: learned positions, layer norms and biases.
    Gpt2,
    /// Llama 1 to 3, SmolLM2 and Tulu 2.
    Llama,
    /// Mistral: Llama with a sliding window.
    Mistral,
    /// Mixtral: Mistral with a sparse mixture of experts.
    Mixtral,
    /// Qwen 2 and 2.5: Llama with biases on queries, keys and values.
    Qwen2,
    /// Qwen 3: Llama with normalised queries and keys.
    Qwen3,
    /// Gemma 3 for text: normalised outputs, and sliding windows in most layers.
    Gemma3,
}

/// Dimensions and constants of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct LmConfig {
    /// Model family; determines the tensor names.
    pub architecture: Architecture,
    /// Rows of the embedding: one per token id, plus padding in some models.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Intermediate width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head.
    pub(crate) head_size: usize,
    /// Maximum text length that the model was trained for, prompt and response together, in tokens.
    pub context_tokens: usize,
    /// Normalisation of the residual stream.
    pub norm: NormKind,
    /// Added to the variance (or the mean square) in each norm.
    pub(crate) norm_epsilon: f64,
    /// Position encoding.
    pub positions: Positions,
    /// Layers with a sliding window, if any.
    pub local: Option<Local>,
    /// Activation of the feed-forward layers.
    pub activation: Activation,
    /// Sparse mixture of experts, if the model uses one.
    pub experts: Option<Experts>,
    /// Linear layers with a bias.
    pub(crate) biases: Biases,
    /// Whether the queries and keys of each head are normalised.
    pub(crate) head_norms: bool,
    /// Factor applied to the token embeddings.
    pub(crate) embedding_scale: f32,
    /// Factor applied to the products of queries and keys.
    pub(crate) attention_scale: f32,
    /// Whether the output head shares the weights of the embedding.
    pub tied: bool,
    /// End-of-text tokens; may be empty.
    pub eos: Vec<u32>,
}

/// Normalisation of the residual stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// RMS norm: divides by the root mean square (Zhang and Sennrich 2019, arXiv 1910.07467).
    Rms,
    /// Layer norm: centres, divides by the standard deviation and shifts (Ba et al. 2016,
    /// arXiv 1607.06450).
    Layer,
}

/// Activation of the feed-forward layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// SiLU: x·σ(x).
    Silu,
    /// GELU with the tanh approximation (Hendrycks and Gimpel 2016, arXiv 1606.08415).
    GeluTanh,
}

/// Position encoding.
#[derive(Debug, Clone, PartialEq)]
pub enum Positions {
    /// A learned vector per position is added to the token embedding.
    Learned,
    /// Queries and keys are rotated by an angle that depends on the position.
    Rotary(Rotary),
}

/// Parameters of rotary position embeddings.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Base θ of the frequencies.
    pub theta: f32,
    /// Scaling of the frequencies.
    pub(crate) scaling: RopeScaling,
}

/// Scaling of rotary frequencies for texts longer than those of the original training.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RopeScaling {
    /// No scaling.
    None,
    /// All frequencies are divided by this factor.
    Linear(f32),
    /// Llama 3's scaling: low frequencies are divided, high frequencies are kept, and those between
    /// are interpolated.
    Llama3 {
        /// Divisor of the low frequencies.
        factor: f32,
        /// A frequency with fewer rotations than this in the original context is low.
        low_freq_factor: f32,
        /// A frequency with more rotations than this in the original context is high.
        high_freq_factor: f32,
        /// Length of the original context, in tokens.
        original_context_tokens: f32,
    },
    /// One divisor per frequency, `head_size / 2` values, as in GGUF files of Llama 3.
    Divided(Vec<f32>),
}

/// Layers with a sliding window: each token attends only to the last few tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Local {
    /// Window size in tokens, including the current token.
    pub(crate) window_tokens: usize,
    /// For each layer of the model, whether it has the window.
    pub layers: Vec<bool>,
    /// Rotary parameters of these layers, if they differ from those of the other layers.
    pub rotary: Option<Rotary>,
}

/// A sparse mixture of experts. Each expert is a feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Experts {
    /// Number of experts.
    pub count: usize,
    /// Number of experts that process each token.
    pub(crate) per_token: usize,
}

/// Linear layers with a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Biases {
    /// Query, key and value projections.
    pub(crate) qkv: bool,
    /// Output projection of attention.
    pub(crate) output: bool,
    /// Feed-forward layers.
    pub(crate) mlp: bool,
}

impl LmConfig {
    /// Returns the rotary parameters of `layer`, or `None` for learned positions.
    pub fn rotary(&self, layer: usize) -> Option<&Rotary> {
        let local = self.local.as_ref().filter(|_| self.window(layer).is_some());
        match (local.and_then(|local| local.rotary.as_ref()), &self.positions) {
            (Some(rotary), _) | (None, Positions::Rotary(rotary)) => Some(rotary),
            (None, Positions::Learned) => None,
        }
    }

    /// Returns the window of `layer` in tokens, including the current token, or `None` if the layer
    /// attends to all tokens.
    pub fn window(&self, layer: usize) -> Option<usize> {
        let local = self.local.as_ref()?;
        local.layers.get(layer)?.then_some(local.window_tokens)
    }
}
