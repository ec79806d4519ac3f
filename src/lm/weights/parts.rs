//! What a decoder is made of, whatever its files call it.

use std::sync::Arc;

use candle_core::Tensor;

use super::Matrix;

/// y = x Wᵀ + b, and a low-rank change of it if an adapter adds one.
#[derive(Clone)]
pub(in crate::lm) struct Linear {
    /// `[out, in]`
    pub matrix: Matrix,
    /// `[out]`
    pub bias: Option<Tensor>,
}

/// What an adapter adds to a map: y += up (down x), the scale multiplied into `up`.
#[derive(Clone)]
pub(in crate::lm) struct LowRank {
    /// `[rank, in]`
    pub down: Arc<Tensor>,
    /// `[out, rank]`
    pub up: Arc<Tensor>,
}

/// A norm's weight and shift, each `[width]`.
#[derive(Clone)]
pub(in crate::lm) struct Norm {
    pub weight: Tensor,
    pub bias: Option<Tensor>,
}

/// What surrounds the blocks.
pub(in crate::lm) struct Outer {
    /// `[vocab, hidden]`
    pub embedding: Matrix,
    /// `[context, hidden]`, for learned positions.
    pub positions: Option<Tensor>,
    pub norm: Norm,
    /// `[vocab, hidden]`; none where it is the embedding, or where there is no such head.
    pub head: Option<Matrix>,
}

/// One block.
pub(in crate::lm) struct BlockWeights {
    pub attention_norm: Norm,
    pub attention: AttentionWeights,
    pub attention_output_norm: Option<Norm>,
    pub mlp_norm: Norm,
    pub mlp: Mlp,
    pub mlp_output_norm: Option<Norm>,
}

/// The maps of attention.
pub(in crate::lm) struct AttentionWeights {
    pub queries: Linear,
    pub keys: Linear,
    pub values: Linear,
    /// `[head_size]`
    pub query_norm: Option<Tensor>,
    /// `[head_size]`
    pub key_norm: Option<Tensor>,
    pub output: Linear,
}

/// The feed-forward block.
pub(in crate::lm) enum Mlp {
    /// down(activation(gate x) · up x)
    Gated(Gated),
    /// down(activation(up x))
    Plain { up: Linear, down: Linear },
    /// Some of many gated blocks, as the router chooses for every token.
    Experts { router: Linear, experts: Vec<Gated> },
}

/// A gated feed-forward block.
pub(in crate::lm) struct Gated {
    pub gate: Linear,
    pub up: Linear,
    pub down: Linear,
}
