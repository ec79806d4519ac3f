//! The forward pass of a block in tensor operations.

use candle_core::{D, Tensor};
use candle_nn::ops::rms_norm;

use super::attention::{Batch, attend};
use super::linear::{Linear, Weight};
use crate::lm::cache::Tails;
use crate::lm::config::{Activation, LmConfig, NormKind};
use crate::lm::error::Result;
use crate::lm::parts::{Block, Dense, Experts, Kernel, Mlp};
use crate::lm::routing::shares;
use crate::lm::weights::{self, LowRank, Matrix};

/// Weights as tensors on one device.
#[derive(Clone)]
pub(super) struct Tensors;

impl Kernel for Tensors {
    type Weight = Weight;
    type Linear = Linear;
    type Norm = Norm;
    type Table = Tensor;

    fn weight(matrix: Matrix) -> Result<Weight> {
        Weight::new(&matrix)
    }

    fn linear(parts: &[&weights::Linear]) -> Result<Linear> {
        Linear::new(parts)
    }

    fn norm(norm: &weights::Norm, config: &LmConfig) -> Result<Norm> {
        let weights::Norm { weight, bias } = norm.clone();
        Ok(Norm { weight, bias, kind: config.norm, epsilon: config.norm_epsilon })
    }

    fn table(tensor: &Tensor) -> Result<Tensor> {
        Ok(tensor.clone())
    }

    fn update(linear: Linear, first: usize, update: &LowRank) -> Result<Linear> {
        linear.with_update(first, update)
    }
}

/// A norm of the residual stream.
#[derive(Clone)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Option<Tensor>,
    kind: NormKind,
    epsilon: f64,
}

/// Cosines and sines of one set of frequencies, each `[rows, tokens, head_size / 2]`.
pub(super) struct RotaryAngles {
    pub(crate) cos: Tensor,
    pub(crate) sin: Tensor,
}

impl Norm {
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
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

impl Dense<Tensors> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let up = self.up.forward(x)?;
        let activate = |x: &Tensor| match self.activation {
            Activation::Silu => x.silu(),
            Activation::GeluTanh => x.gelu(),
        };
        let inside = if self.is_gated {
            let gate = activate(&up.narrow(1, 0, self.inside)?.contiguous()?)?;
            (gate * up.narrow(1, self.inside, self.inside)?)?
        } else {
            activate(&up)?
        };
        self.down.forward(&inside)
    }
}

impl Block<Tensors> {
    /// Runs the block: `[N, hidden]` → `[N, hidden]`. Writes this layer's new keys and values to
    /// `cache`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        config: &LmConfig,
        cache: &mut Tails,
        layer: usize,
        (angles, batch): (Option<&RotaryAngles>, &Batch),
    ) -> Result<Tensor> {
        let (rows, tokens, size) = (cache.rows(), batch.tokens, config.head_size);
        let (heads, kv_heads) = (config.heads, config.kv_heads);
        let qkv = self.qkv.forward(&self.attention_norm.forward(x)?)?;
        let qkv = qkv.reshape((rows, tokens, heads + 2 * kv_heads, size))?.transpose(1, 2)?;
        let normed = |part: Tensor, norm: &Option<Tensor>| match norm {
            Some(weight) => rms_norm(&part, weight, config.norm_epsilon as f32),
            None => Ok(part),
        };
        let turned = |part: Tensor| match angles {
            Some(RotaryAngles { cos, sin }) => candle_nn::rotary_emb::rope(&part, cos, sin),
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

impl Mlp<Tensors> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(dense) => dense.forward(x),
            Self::Experts(experts) => experts.forward(x),
        }
    }
}

impl Experts<Tensors> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let scores = candle_nn::ops::softmax_last_dim(&self.router.forward(x)?)?;
        let scores: Vec<f32> = scores.flatten_all()?.to_vec1()?;
        let shares = shares(&scores, self.experts.len(), self.per_token);
        let mut out = x.zeros_like()?;
        for (expert, share) in self.experts.iter().zip(shares) {
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
