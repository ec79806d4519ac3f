//! The forward pass on the CPU, with custom kernels over f32 slices.
//!
//! A decoding step consists of a few dozen small products. With candle, one allocation and one copy
//! per operation would cost more than the arithmetic, so candle tensors are used only for the
//! weights at load time and for inputs and results. `portable` computes the same with candle's
//! operations.

mod attention;
mod batch;
mod block;
mod dense_f32;
mod feed_forward;
mod math;
mod matmul;
mod mixture;
mod model;
mod projection;
mod q8_0;
mod tensor;

pub(super) use math::dot;

pub(super) use model::Model;
