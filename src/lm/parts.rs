//! The parts of a decoder as an engine holds them: construction and adapters, the same for every
//! engine. The forward passes are the engines' own.

use std::sync::Arc;

use candle_core::Tensor;

use super::adapter::{Adapter, Target};
use super::arch::{self, TensorLookup};
use super::config::{Activation, LmConfig};
use super::error::Result;
use super::rope::RotaryFrequencies;
use super::weights::{self, AttentionWeights, BlockWeights, Gated, LowRank, Matrix, OuterWeights};

/// How an engine holds weights.
pub(super) trait Kernel: Clone {
    /// A matrix `[out, in]`.
    type Weight: Clone;
    /// Linear layers with the same inputs; their outputs are concatenated.
    type Linear: Clone;
    /// A norm of the residual stream.
    type Norm: Clone;
    /// A tensor of floats.
    type Table: Clone;

    fn weight(matrix: Matrix) -> Result<Self::Weight>;
    fn linear(parts: &[&weights::Linear]) -> Result<Self::Linear>;
    fn norm(norm: &weights::Norm, config: &LmConfig) -> Result<Self::Norm>;
    fn table(tensor: &Tensor) -> Result<Self::Table>;

    /// Adds an adapter's update to the outputs from `first` on.
    fn update(linear: Self::Linear, first: usize, update: &LowRank) -> Result<Self::Linear>;
}

/// A decoder. Clones share the weights.
#[derive(Clone)]
pub(super) struct Parts<K: Kernel> {
    pub(crate) config: LmConfig,
    pub(crate) embedding: K::Weight,
    /// `[context, hidden]`, for learned positions.
    pub(crate) positions: Option<K::Table>,
    pub(crate) blocks: Vec<Block<K>>,
    pub(crate) norm: K::Norm,
    /// `None` without a language-model head.
    pub(crate) head: Option<K::Weight>,
    pub(crate) ropes: Option<Arc<RotaryFrequencies>>,
}

/// One block of a decoder.
#[derive(Clone)]
pub(super) struct Block<K: Kernel> {
    pub(crate) attention_norm: K::Norm,
    /// Queries, keys and values.
    pub(crate) qkv: K::Linear,
    pub(crate) query_norm: Option<K::Table>,
    pub(crate) key_norm: Option<K::Table>,
    pub(crate) output: K::Linear,
    pub(crate) attention_output_norm: Option<K::Norm>,
    pub(crate) mlp_norm: K::Norm,
    pub(crate) mlp: Mlp<K>,
    pub(crate) mlp_output_norm: Option<K::Norm>,
}

/// The feed-forward network of a block.
#[derive(Clone)]
pub(super) enum Mlp<K: Kernel> {
    Dense(Dense<K>),
    Experts(Experts<K>),
}

/// A feed-forward network, with or without a gate.
#[derive(Clone)]
pub(super) struct Dense<K: Kernel> {
    /// The up projection; with a gate, the gate's outputs come first.
    pub(crate) up: K::Linear,
    pub(crate) down: K::Linear,
    pub(crate) is_gated: bool,
    pub(crate) activation: Activation,
    /// Width between the projections.
    pub(crate) inside: usize,
}

/// A router and its experts. Each token is processed by `per_token` experts.
#[derive(Clone)]
pub(super) struct Experts<K: Kernel> {
    pub(crate) router: K::Linear,
    pub(crate) experts: Vec<Dense<K>>,
    pub(crate) per_token: usize,
}

impl<K: Kernel> Parts<K> {
    /// Reads a decoder.
    ///
    /// # Errors
    /// Fails if a tensor is missing, damaged or of the wrong shape.
    pub(super) fn new(config: &LmConfig, lookup: &TensorLookup<'_>) -> Result<Self> {
        // The largest matrices come first, while memory holds nothing else. Each is freed before
        // the next is read.
        let OuterWeights { embedding, positions, norm, head } = lookup.outer()?;
        let embedding = K::weight(embedding)?;
        let head = head.map(K::weight).transpose()?;
        let block = |layer| Block::new(&arch::block(config, layer, lookup)?, config);
        Ok(Self {
            config: config.clone(),
            head: head.or_else(|| config.tied.then(|| embedding.clone())),
            embedding,
            positions: positions.as_ref().map(K::table).transpose()?,
            blocks: (0..config.layers).map(block).collect::<Result<_>>()?,
            norm: K::norm(&norm, config)?,
            ropes: RotaryFrequencies::new(config).map(Arc::new),
        })
    }

    /// Returns this decoder with an adapter applied. The weights are shared.
    ///
    /// # Errors
    /// Fails if an update does not fit this decoder.
    pub(super) fn adapted(&self, adapter: &Adapter) -> Result<Self> {
        let blocks = self.blocks.iter().cloned().enumerate();
        let blocks = blocks.map(|(layer, block)| block.adapted(layer, adapter, &self.config));
        Ok(Self { blocks: blocks.collect::<Result<_>>()?, ..self.clone() })
    }
}

impl<K: Kernel> Block<K> {
    fn new(weights: &BlockWeights, config: &LmConfig) -> Result<Self> {
        let AttentionWeights { queries, keys, values, query_norm, key_norm, output } =
            &weights.attention;
        let norm = |norm: &weights::Norm| K::norm(norm, config);
        let mlp = match &weights.mlp {
            weights::Mlp::Gated(gated) => Mlp::Dense(Dense::gated(gated, config)?),
            weights::Mlp::Plain { up, down } => Mlp::Dense(Dense::plain(up, down, config)?),
            weights::Mlp::Experts { router, experts } => Mlp::Experts(Experts {
                router: K::linear(&[router])?,
                experts: experts.iter().map(|e| Dense::gated(e, config)).collect::<Result<_>>()?,
                per_token: config.experts.map_or(1, |experts| experts.per_token),
            }),
        };
        Ok(Self {
            attention_norm: norm(&weights.attention_norm)?,
            qkv: K::linear(&[queries, keys, values])?,
            query_norm: query_norm.as_ref().map(K::table).transpose()?,
            key_norm: key_norm.as_ref().map(K::table).transpose()?,
            output: K::linear(&[output])?,
            attention_output_norm: weights.attention_output_norm.as_ref().map(norm).transpose()?,
            mlp_norm: norm(&weights.mlp_norm)?,
            mlp,
            mlp_output_norm: weights.mlp_output_norm.as_ref().map(norm).transpose()?,
        })
    }

    fn adapted(mut self, layer: usize, adapter: &Adapter, config: &LmConfig) -> Result<Self> {
        let keys = config.heads * config.head_size;
        let values = keys + config.kv_heads * config.head_size;
        let qkv = [
            (0, Target::Qkv),
            (0, Target::Queries),
            (keys, Target::Keys),
            (values, Target::Values),
        ];
        self.qkv = updated::<K>(self.qkv, layer, adapter, qkv)?;
        self.output = updated::<K>(self.output, layer, adapter, [(0, Target::Output)])?;
        self.mlp = match self.mlp {
            Mlp::Dense(dense) => Mlp::Dense(dense.adapted(layer, adapter)?),
            experts @ Mlp::Experts(_) => experts,
        };
        Ok(self)
    }
}

impl<K: Kernel> Dense<K> {
    fn gated(weights: &Gated, config: &LmConfig) -> Result<Self> {
        Ok(Self {
            up: K::linear(&[&weights.gate, &weights.up])?,
            down: K::linear(&[&weights.down])?,
            is_gated: true,
            activation: config.activation,
            inside: config.intermediate_size,
        })
    }

    fn plain(up: &weights::Linear, down: &weights::Linear, config: &LmConfig) -> Result<Self> {
        Ok(Self {
            up: K::linear(&[up])?,
            down: K::linear(&[down])?,
            is_gated: false,
            activation: config.activation,
            inside: config.intermediate_size,
        })
    }

    fn adapted(mut self, layer: usize, adapter: &Adapter) -> Result<Self> {
        let up = if self.is_gated { self.inside } else { 0 };
        self.up = updated::<K>(self.up, layer, adapter, [(0, Target::Gate), (up, Target::Up)])?;
        self.down = updated::<K>(self.down, layer, adapter, [(0, Target::Down)])?;
        Ok(self)
    }
}

/// Adds the updates of `targets`, each to the outputs from its first one on.
fn updated<K: Kernel>(
    linear: K::Linear,
    layer: usize,
    adapter: &Adapter,
    targets: impl IntoIterator<Item = (usize, Target)>,
) -> Result<K::Linear> {
    targets.into_iter().try_fold(linear, |linear, (first, target)| {
        match adapter.update(layer, target) {
            Some(update) => K::update(linear, first, update),
            None => Ok(linear),
        }
    })
}
