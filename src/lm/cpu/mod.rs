//! The forward pass on the processor, in kernels of our own over plain slices of f32.
//!
//! candle's tensors hold the cache and carry results in and out; between them a decoding step
//! is a few dozen small products, for which one allocation and one copy an operation would
//! cost more than the arithmetic. `portable` computes the same with candle's operations.

mod attention;
mod block;
mod bytes;
mod floats;
mod math;
mod matmul;
mod mixture;
mod model;
mod projection;

pub(super) use math::dot;
pub(crate) use math::exp;
pub(super) use model::Model;
