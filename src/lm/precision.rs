//! Precision of a model's matrices in memory, and the memory that they take.

/// Precision of a model's matrices in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Four bytes per weight: exact, for small models and golden tests.
    #[default]
    F32,
    /// Blocks of 32 weights with one scale (GGUF's Q8_0): about a quarter of the memory, and faster
    /// if decoding is limited by memory bandwidth.
    Q8_0,
}

/// Weights per Q8_0 block.
pub(in crate::lm) const BLOCK: usize = 32;

/// Bytes per Q8_0 block: an f16 scale, then one signed byte per weight.
pub(in crate::lm) const BLOCK_BYTES: usize = 34;

/// Returns the bytes that a tensor of this shape takes in the given precision. In Q8_0, rows are
/// padded to whole blocks, and tensors other than matrices stay f32. Saturates on overflow.
pub(in crate::lm) fn held_bytes(shape: &[usize], precision: Precision) -> u64 {
    let product = |sides: &[usize]| {
        sides.iter().fold(1_u64, |product, &side| product.saturating_mul(side as u64))
    };
    match (precision, shape) {
        (Precision::Q8_0, [outputs, inputs]) => {
            let blocks = inputs.div_ceil(BLOCK);
            product(&[*outputs, blocks, BLOCK_BYTES])
        }
        // GGUF files store the matrices of all experts in one tensor.
        (Precision::Q8_0, [experts, outputs, inputs]) => {
            product(&[*experts, *outputs, inputs.div_ceil(BLOCK), BLOCK_BYTES])
        }
        _ => product(shape).saturating_mul(4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_matrices_are_counted_in_blocks() {
        let held = |shape: &[usize]| held_bytes(shape, Precision::Q8_0);
        assert_eq!((held(&[3, 64]), held(&[3, 33]), held(&[2, 3, 64])), (204, 204, 408));
        assert_eq!((held(&[64]), held_bytes(&[3, 64], Precision::F32)), (256, 768));
    }
}
