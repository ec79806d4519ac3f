//! One block of a decoder in tensor operations.

use candle_core::{D, Tensor};
use candle_nn::ops::rms_norm;

use super::attention::{Batch, attend};
use super::linear::Linear;
use crate::lm::adapter::{Adapter, Target};
use crate::lm::cache::Tails;
use crate::lm::config::{Activation, LmConfig, NormKind};
use crate::lm::error::Result;
use crate::lm::routing::shares;
use crate::lm::weights::{self, AttentionWeights, BlockWeights, Gated};

/// A block as tensors on one device.
#[derive(Clone)]
pub(super) struct Block {
    attention_norm: Norm,
    /// Queries, keys and values side by side.
    qkv: Linear,
    query_norm: Option<Tensor>,
    key_norm: Option<Tensor>,
    output: Linear,
    attention_output_norm: Option<Norm>,
    mlp_norm: Norm,
    mlp: Mlp,
    mlp_output_norm: Option<Norm>,
}

/// A norm of the residual stream.
#[derive(Clone)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Option<Tensor>,
    kind: NormKind,
    epsilon: f64,
}

#[derive(Clone)]
enum Mlp {
    Dense(Dense),
    Experts { router: Linear, experts: Vec<Dense>, per_token: usize },
}

/// A feed-forward block that every token passes.
#[derive(Clone)]
struct Dense {
    /// Gate and up side by side where there is a gate.
    up: Linear,
    down: Linear,
    gated: bool,
    activation: Activation,
    inside: usize,
}

/// Cosines and sines of one set of frequencies, each `[rows, tokens, head_size / 2]`.
pub(super) struct Turns {
    pub cos: Tensor,
    pub sin: Tensor,
}

impl Norm {
    pub fn new(norm: &weights::Norm, config: &LmConfig) -> Self {
        let weights::Norm { weight, bias } = norm.clone();
        Self { weight, bias, kind: config.norm, epsilon: config.norm_epsilon }
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self.kind {
            NormKind::Rms => Ok(rms_norm(x, &self.weight, self.epsilon as f32)?),
            NormKind::Layer => {
                let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
                let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
                let scaled = centred.broadcast_div(&(variance + self.epsilon)?.sqrt()?)?;
                let weighted = scaled.broadcast_mul(&self.weight)?;
                Ok(match &self.bias {
                    Some(bias) => weighted.broadcast_add(bias)?,
                    None => weighted,
                })
            }
        }
    }
}

impl Dense {
    fn gated(weights: &Gated, config: &LmConfig) -> Result<Self> {
        Ok(Self {
            up: Linear::new(&[&weights.gate, &weights.up])?,
            down: Linear::new(&[&weights.down])?,
            gated: true,
            activation: config.activation,
            inside: config.intermediate_size,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let up = self.up.forward(x)?;
        let bend = |x: &Tensor| match self.activation {
            Activation::Silu => x.silu(),
            Activation::GeluTanh => x.gelu(),
        };
        let inside = if self.gated {
            let gate = bend(&up.narrow(1, 0, self.inside)?.contiguous()?)?;
            (gate * up.narrow(1, self.inside, self.inside)?)?
        } else {
            bend(&up)?
        };
        self.down.forward(&inside)
    }

    fn adapted(mut self, layer: usize, adapter: &Adapter) -> Result<Self> {
        let part = |target| adapter.part(layer, target);
        let (from, outputs) =
            if self.gated { (self.inside, 2 * self.inside) } else { (0, self.inside) };
        self.up = self.up.changed((0, outputs), part(Target::Gate))?;
        self.up = self.up.changed((from, outputs), part(Target::Up))?;
        if let Some(down) = part(Target::Down) {
            self.down = self.down.changed((0, down.up.dim(0)?), Some(down))?;
        }
        Ok(self)
    }
}

impl Block {
    pub fn new(weights: BlockWeights, config: &LmConfig) -> Result<Self> {
        let AttentionWeights { queries, keys, values, query_norm, key_norm, output } =
            weights.attention;
        let norm = |norm: &weights::Norm| Norm::new(norm, config);
        let mlp = match &weights.mlp {
            weights::Mlp::Gated(gated) => Mlp::Dense(Dense::gated(gated, config)?),
            weights::Mlp::Plain { up, down } => Mlp::Dense(Dense {
                up: Linear::new(&[up])?,
                down: Linear::new(&[down])?,
                gated: false,
                activation: config.activation,
                inside: config.intermediate_size,
            }),
            weights::Mlp::Experts { router, experts } => Mlp::Experts {
                router: Linear::new(&[router])?,
                experts: experts.iter().map(|e| Dense::gated(e, config)).collect::<Result<_>>()?,
                per_token: config.experts.map_or(1, |experts| experts.per_token),
            },
        };
        Ok(Self {
            attention_norm: norm(&weights.attention_norm),
            qkv: Linear::new(&[&queries, &keys, &values])?,
            query_norm,
            key_norm,
            output: Linear::new(&[&output])?,
            attention_output_norm: weights.attention_output_norm.as_ref().map(norm),
            mlp_norm: norm(&weights.mlp_norm),
            mlp,
            mlp_output_norm: weights.mlp_output_norm.as_ref().map(norm),
        })
    }

    /// The same block with what an adapter adds; the weights are shared.
    pub fn adapted(mut self, layer: usize, adapter: &Adapter, config: &LmConfig) -> Result<Self> {
        let part = |target| adapter.part(layer, target);
        let keys = config.heads * config.head_size;
        let values = keys + config.kv_heads * config.head_size;
        let all = values + config.kv_heads * config.head_size;
        self.qkv = self
            .qkv
            .changed((0, all), part(Target::Qkv))?
            .changed((0, all), part(Target::Queries))?
            .changed((keys, all), part(Target::Keys))?
            .changed((values, all), part(Target::Values))?;
        self.output = self.output.changed((0, config.hidden_size), part(Target::Output))?;
        self.mlp = match self.mlp {
            Mlp::Dense(dense) => Mlp::Dense(dense.adapted(layer, adapter)?),
            experts @ Mlp::Experts { .. } => experts,
        };
        Ok(self)
    }

    /// `[N, hidden]` → `[N, hidden]`; writes this layer's new keys and values to `cache`.
    pub fn forward(
        &self,
        x: &Tensor,
        config: &LmConfig,
        cache: &mut Tails,
        layer: usize,
        (turns, batch): (Option<&Turns>, &Batch),
    ) -> Result<Tensor> {
        let (rows, tokens, size) = (cache.rows(), batch.tokens, config.head_size);
        let (heads, kv_heads) = (config.heads, config.kv_heads);
        let qkv = self.qkv.forward(&self.attention_norm.forward(x)?)?;
        let qkv = qkv.reshape((rows, tokens, heads + 2 * kv_heads, size))?.transpose(1, 2)?;
        let normed = |part: Tensor, norm: &Option<Tensor>| match norm {
            Some(weight) => rms_norm(&part, weight, config.norm_epsilon as f32),
            None => Ok(part),
        };
        let turned = |part: Tensor| match turns {
            Some(Turns { cos, sin }) => candle_nn::rotary_emb::rope(&part, cos, sin),
            None => Ok(part),
        };
        let queries = qkv.narrow(1, 0, heads)?.contiguous()?;
        let queries = turned(normed(queries, &self.query_norm)?)?;
        let keys = qkv.narrow(1, heads, kv_heads)?.contiguous()?;
        let keys = turned(normed(keys, &self.key_norm)?)?;
        let values = qkv.narrow(1, heads + kv_heads, kv_heads)?.contiguous()?;
        cache.write(layer, &keys, &values)?;
        let mixed = attend(&queries, cache, layer, batch, config)?;
        let mixed = self.output.forward(&mixed.reshape((rows * tokens, heads * size))?)?;
        let x = (x + normed_output(mixed, &self.attention_output_norm)?)?;
        let inside = self.mlp.forward(&self.mlp_norm.forward(&x)?)?;
        Ok((x + normed_output(inside, &self.mlp_output_norm)?)?)
    }
}

fn normed_output(y: Tensor, norm: &Option<Norm>) -> Result<Tensor> {
    norm.as_ref().map_or_else(|| Ok(y.clone()), |norm| norm.forward(&y))
}

impl Mlp {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (router, experts, per_token) = match self {
            Self::Dense(dense) => return dense.forward(x),
            Self::Experts { router, experts, per_token } => (router, experts, *per_token),
        };
        let scores = candle_nn::ops::softmax_last_dim(&router.forward(x)?)?;
        let scores: Vec<f32> = scores.flatten_all()?.to_vec1()?;
        let mut out = x.zeros_like()?;
        for (expert, share) in experts.iter().zip(shares(&scores, experts.len(), per_token)) {
            let count = share.rows.len();
            if count == 0 {
                continue;
            }
            let rows: Vec<u32> = share.rows.iter().map(|&row| row as u32).collect();
            let rows = Tensor::from_vec(rows, count, x.device())?;
            let weights = Tensor::from_vec(share.weights, (count, 1), x.device())?;
            let inside = expert.forward(&x.index_select(&rows, 0)?)?.broadcast_mul(&weights)?;
            out = out.index_add(&rows, &inside, 0)?;
        }
        Ok(out)
    }
}
