//! The weights of a decoder, independent of the names in its files.

use std::sync::Arc;

use candle_core::Tensor;

use super::matrix::Matrix;

/// A linear map y = x Wᵀ + b.
#[derive(Clone)]
pub(in crate::lm) struct Linear {
    /// `[out, in]`
    pub(crate) matrix: Matrix,
    /// `[out]`
    pub(crate) bias: Option<Tensor>,
}

/// The low-rank change that an adapter adds to a map: y += up (down x). `up` includes the scale.
#[derive(Clone)]
pub(in crate::lm) struct LowRank {
    /// `[rank, in]`
    pub(crate) down: Arc<Tensor>,
    /// `[out, rank]`
    pub(crate) up: Arc<Tensor>,
}

/// Weight and bias of a norm, each `[width]`.
#[derive(Clone)]
pub(in crate::lm) struct Norm {
    pub(crate) weight: Tensor,
    pub(crate) bias: Option<Tensor>,
}

/// The weights outside the blocks.
pub(in crate::lm) struct OuterWeights {
    /// `[vocab, hidden]`
    pub(crate) embedding: Matrix,
    /// Learned position embeddings `[context, hidden]`.
    pub(crate) positions: Option<Tensor>,
    pub(crate) norm: Norm,
    /// `[vocab, hidden]`; `None` if the head is the embedding or the model has no head.
    pub(crate) head: Option<Matrix>,
}

/// The weights of one block.
pub(in crate::lm) struct BlockWeights {
    pub(crate) attention_norm: Norm,
    pub(crate) attention: AttentionWeights,
    pub(crate) attention_output_norm: Option<Norm>,
    pub(crate) mlp_norm: Norm,
    pub(crate) mlp: Mlp,
    pub(crate) mlp_output_norm: Option<Norm>,
}

/// The weights of attention.
pub(in crate::lm) struct AttentionWeights {
    pub(crate) queries: Linear,
    pub(crate) keys: Linear,
    pub(crate) values: Linear,
    /// `[head_size]`
    pub(crate) query_norm: Option<Tensor>,
    /// `[head_size]`
    pub(crate) key_norm: Option<Tensor>,
    pub(crate) output: Linear,
}

/// The feed-forward network of a block.
pub(in crate::lm) enum Mlp {
    /// down(activation(gate x) · up x)
    Gated(Gated),
    /// down(activation(up x))
    Plain { up: Linear, down: Linear },
    /// A mixture of gated networks; the router selects some of them for every token.
    Experts { router: Linear, experts: Vec<Gated> },
}

/// A gated feed-forward network.
pub(in crate::lm) struct Gated {
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}
