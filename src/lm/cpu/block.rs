//! The forward pass of a block on the CPU.

use candle_core::Tensor;

use super::attention::{AttentionParams, attend};
use super::batch::Batch;
use super::math::{add, layer_norm, norm_heads, rms_norm, rotate};
use super::projection::{Projection, Weight};
use crate::lm::cache::Blocks;
use crate::lm::config::{LmConfig, NormKind};
use crate::lm::error::Result;
use crate::lm::parts::{Block, Kernel, Mlp};
use crate::lm::weights::{self, LowRank, Matrix};

/// Weights packed for the CPU's kernels.
#[derive(Clone)]
pub(super) struct PackedWeights;

impl Kernel for PackedWeights {
    type Weight = Weight;
    type Linear = Projection;
    type Norm = Norm;
    type Table = std::sync::Arc<[f32]>;

    fn weight(matrix: Matrix) -> Result<Weight> {
        Weight::new(&matrix)
    }

    fn linear(parts: &[&weights::Linear]) -> Result<Projection> {
        Projection::new(parts)
    }

    fn norm(norm: &weights::Norm, config: &LmConfig) -> Result<Norm> {
        let weight: Vec<f32> = norm.weight.to_vec1()?;
        let bias = match &norm.bias {
            Some(bias) => bias.to_vec1()?,
            None => vec![0.0; weight.len()],
        };
        Ok(Norm { weight, bias, kind: config.norm, epsilon: config.norm_epsilon as f32 })
    }

    fn table(tensor: &Tensor) -> Result<Self::Table> {
        Ok(tensor.flatten_all()?.to_vec1::<f32>()?.into())
    }

    fn update(linear: Projection, first: usize, update: &LowRank) -> Result<Projection> {
        linear.with_update(first, update)
    }
}

/// A norm of the residual stream.
#[derive(Clone)]
pub(super) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    kind: NormKind,
    epsilon: f32,
}

impl Norm {
    /// Applies the norm: `[N, width]` → `[N, width]`.
    pub(super) fn apply(&self, x: &[f32]) -> Vec<f32> {
        match self.kind {
            NormKind::Rms => rms_norm(x, &self.weight, self.epsilon),
            NormKind::Layer => layer_norm(x, &self.weight, &self.bias, self.epsilon),
        }
    }
}

impl Block<PackedWeights> {
    /// Runs the block on `x`, `[N, hidden]`, in place. Writes this layer's new keys and values to
    /// `cache`.
    pub(crate) fn forward(
        &self,
        x: &mut [f32],
        config: &LmConfig,
        cache: &mut Blocks,
        layer: usize,
        batch: &Batch,
    ) -> Result<()> {
        let count = batch.new_tokens.len();
        let mixed = self.attend(&self.attention_norm.apply(x), config, cache, layer, batch)?;
        let mixed = self.output.apply(&mixed, count);
        add_normed(x, mixed, self.attention_output_norm.as_ref());
        let normed = self.mlp_norm.apply(x);
        let inside = match &self.mlp {
            Mlp::Dense(dense) => dense.apply(&normed, count),
            Mlp::Experts(experts) => experts.apply(&normed, count),
        };
        add_normed(x, inside, self.mlp_output_norm.as_ref());
        Ok(())
    }

    /// Computes attention of the normed residual stream: `[N, hidden]` → `[N, heads · head_size]`.
    fn attend(
        &self,
        x: &[f32],
        config: &LmConfig,
        cache: &mut Blocks,
        layer: usize,
        batch: &Batch,
    ) -> Result<Vec<f32>> {
        let LmConfig { heads, kv_heads, head_size, .. } = *config;
        let (turned, epsilon) = (heads + kv_heads, config.norm_epsilon as f32);
        let width = (turned + kv_heads) * head_size;
        let mut qkv = self.qkv.apply(x, batch.new_tokens.len());
        if let Some(weight) = &self.query_norm {
            norm_heads(&mut qkv, width, (0, heads), weight, epsilon);
        }
        if let Some(weight) = &self.key_norm {
            norm_heads(&mut qkv, width, (heads, kv_heads), weight, epsilon);
        }
        if let Some(angles) = batch.angles(layer) {
            rotate(&mut qkv, width, turned, &angles.cos, &angles.sin, head_size / 2);
        }
        let keys = heads * head_size..turned * head_size;
        for (token, line) in batch.new_tokens.iter().zip(qkv.chunks_exact(width)) {
            let (keys, values) = (&line[keys.clone()], &line[keys.end..]);
            cache.write(token.row, token.position, layer, keys, values);
        }
        let reach = AttentionParams { window: config.window(layer), scale: config.attention_scale };
        Ok(attend(&qkv, width, &batch.new_tokens, cache, layer, (config, reach)))
    }
}

/// Computes x += y, or x += norm(y) if there is a norm.
fn add_normed(x: &mut [f32], y: Vec<f32>, norm: Option<&Norm>) {
    match norm {
        Some(norm) => add(x, &norm.apply(&y)),
        None => add(x, &y),
    }
}
