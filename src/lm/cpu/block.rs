//! One block of a decoder on the processor.

use super::attention::{Reach, attend};
use super::math::{add, gated, gelu_tanh, layer_norm, norm_heads, rms_norm, rotate, silu};
use super::mixture::Mixture;
use super::model::Batch;
use super::projection::Projection;
use crate::lm::adapter::{Adapter, Target};
use crate::lm::cache::Blocks;
use crate::lm::config::{Activation, LmConfig, NormKind};
use crate::lm::error::Result;
use crate::lm::weights::{self, AttentionWeights, BlockWeights};

/// A block whose maps are packed.
#[derive(Clone)]
pub(super) struct Block {
    attention_norm: Norm,
    /// Queries, keys and values side by side.
    qkv: Projection,
    query_norm: Option<Vec<f32>>,
    key_norm: Option<Vec<f32>>,
    output: Projection,
    attention_output_norm: Option<Norm>,
    mlp_norm: Norm,
    mlp: Mlp,
    mlp_output_norm: Option<Norm>,
}

/// A norm of the residual stream.
#[derive(Clone)]
pub(super) struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    kind: NormKind,
    epsilon: f32,
}

/// The feed-forward block.
#[derive(Clone)]
enum Mlp {
    Dense(Dense),
    Experts(Mixture),
}

/// A feed-forward block that every token passes.
#[derive(Clone)]
pub(super) struct Dense {
    /// Gate and up side by side where there is a gate.
    up: Projection,
    down: Projection,
    gated: bool,
    activation: Activation,
    inside: usize,
}

impl Norm {
    pub fn new(norm: &weights::Norm, config: &LmConfig) -> Result<Self> {
        let weight: Vec<f32> = norm.weight.to_vec1()?;
        let bias = match &norm.bias {
            Some(bias) => bias.to_vec1()?,
            None => vec![0.0; weight.len()],
        };
        Ok(Self { weight, bias, kind: config.norm, epsilon: config.norm_epsilon as f32 })
    }

    /// `[N, width]` → `[N, width]`.
    pub fn apply(&self, x: &[f32]) -> Vec<f32> {
        match self.kind {
            NormKind::Rms => rms_norm(x, &self.weight, self.epsilon),
            NormKind::Layer => layer_norm(x, &self.weight, &self.bias, self.epsilon),
        }
    }
}

impl Dense {
    pub fn gated(weights: &weights::Gated, config: &LmConfig) -> Result<Self> {
        Ok(Self {
            up: Projection::new(&[&weights.gate, &weights.up])?,
            down: Projection::new(&[&weights.down])?,
            gated: true,
            activation: config.activation,
            inside: config.intermediate_size,
        })
    }

    /// `[rows, width]` → `[rows, width]`.
    pub fn apply(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let up = self.up.apply(x, rows);
        let inside = match (self.gated, self.activation) {
            (true, Activation::Silu) => gated(&up, self.inside, silu),
            (true, Activation::GeluTanh) => gated(&up, self.inside, gelu_tanh),
            (false, Activation::Silu) => up.into_iter().map(silu).collect(),
            (false, Activation::GeluTanh) => up.into_iter().map(gelu_tanh).collect(),
        };
        self.down.apply(&inside, rows)
    }

    fn adapted(mut self, layer: usize, adapter: &Adapter) -> Result<Self> {
        let part = |target| adapter.part(layer, target);
        let up_from = if self.gated { self.inside } else { 0 };
        self.up = self.up.changed(0, part(Target::Gate))?.changed(up_from, part(Target::Up))?;
        self.down = self.down.changed(0, part(Target::Down))?;
        Ok(self)
    }
}

impl Block {
    pub fn new(weights: &BlockWeights, config: &LmConfig) -> Result<Self> {
        let AttentionWeights { queries, keys, values, query_norm, key_norm, output } =
            &weights.attention;
        let norm = |norm: &weights::Norm| Norm::new(norm, config);
        let head_norm = |norm: &Option<candle_core::Tensor>| {
            norm.as_ref().map(candle_core::Tensor::to_vec1).transpose()
        };
        let mlp = match &weights.mlp {
            weights::Mlp::Gated(gated) => Mlp::Dense(Dense::gated(gated, config)?),
            weights::Mlp::Plain { up, down } => Mlp::Dense(Dense {
                up: Projection::new(&[up])?,
                down: Projection::new(&[down])?,
                gated: false,
                activation: config.activation,
                inside: config.intermediate_size,
            }),
            weights::Mlp::Experts { router, experts } => {
                Mlp::Experts(Mixture::new(router, experts, config)?)
            }
        };
        Ok(Self {
            attention_norm: norm(&weights.attention_norm)?,
            qkv: Projection::new(&[queries, keys, values])?,
            query_norm: head_norm(query_norm)?,
            key_norm: head_norm(key_norm)?,
            output: Projection::new(&[output])?,
            attention_output_norm: weights.attention_output_norm.as_ref().map(norm).transpose()?,
            mlp_norm: norm(&weights.mlp_norm)?,
            mlp,
            mlp_output_norm: weights.mlp_output_norm.as_ref().map(norm).transpose()?,
        })
    }

    /// The same block with what an adapter adds; the weights are shared.
    pub fn adapted(mut self, layer: usize, adapter: &Adapter, config: &LmConfig) -> Result<Self> {
        let part = |target| adapter.part(layer, target);
        let keys = config.heads * config.head_size;
        let values = keys + config.kv_heads * config.head_size;
        self.qkv = self
            .qkv
            .changed(0, part(Target::Qkv))?
            .changed(0, part(Target::Queries))?
            .changed(keys, part(Target::Keys))?
            .changed(values, part(Target::Values))?;
        self.output = self.output.changed(0, part(Target::Output))?;
        self.mlp = match self.mlp {
            Mlp::Dense(dense) => Mlp::Dense(dense.adapted(layer, adapter)?),
            experts @ Mlp::Experts(_) => experts,
        };
        Ok(self)
    }

    /// `x` is `[N, hidden]`; writes this layer's new keys and values to `cache`.
    pub fn forward(
        &self,
        x: &mut [f32],
        config: &LmConfig,
        cache: &mut Blocks,
        layer: usize,
        batch: &Batch,
    ) -> Result<()> {
        let count = batch.readers.len();
        let mixed = self.attend(&self.attention_norm.apply(x), config, cache, layer, batch)?;
        let mixed = self.output.apply(&mixed, count);
        add_normed(x, mixed, self.attention_output_norm.as_ref());
        let normed = self.mlp_norm.apply(x);
        let inside = match &self.mlp {
            Mlp::Dense(dense) => dense.apply(&normed, count),
            Mlp::Experts(mixture) => mixture.apply(&normed, count),
        };
        add_normed(x, inside, self.mlp_output_norm.as_ref());
        Ok(())
    }

    /// Attention of the normed stream: `[N, hidden]` → `[N, heads · head_size]`.
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
        let mut qkv = self.qkv.apply(x, batch.readers.len());
        if let Some(weight) = &self.query_norm {
            norm_heads(&mut qkv, width, (0, heads), weight, epsilon);
        }
        if let Some(weight) = &self.key_norm {
            norm_heads(&mut qkv, width, (heads, kv_heads), weight, epsilon);
        }
        if let Some(turns) = batch.turns(layer) {
            rotate(&mut qkv, width, turned, &turns.cos, &turns.sin, head_size / 2);
        }
        let keys = heads * head_size..turned * head_size;
        for (reader, line) in batch.readers.iter().zip(qkv.chunks_exact(width)) {
            let (keys, values) = (&line[keys.clone()], &line[keys.end..]);
            cache.write(reader.row, reader.position, layer, keys, values);
        }
        let reach = Reach { window: config.window(layer), scale: config.attention_scale };
        Ok(attend(&qkv, width, &batch.readers, cache, layer, (config, reach)))
    }
}

/// x += y, normed where there is a norm for it.
fn add_normed(x: &mut [f32], y: Vec<f32>, norm: Option<&Norm>) {
    match norm {
        Some(norm) => add(x, &norm.apply(&y)),
        None => add(x, &y),
    }
}
