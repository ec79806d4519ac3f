//! Tensor types of GGUF files, with the numbers, names and block sizes of ggml's `enum ggml_type`.

use candle_core::quantized::GgmlDType;

/// How the values of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lm) enum TensorType {
    /// A type that candle dequantises.
    Candle(GgmlDType),
    /// Blocks of 32 weights: an f16 scale, and a 4-bit index into a table of 16 values per weight.
    Iq4Nl,
    /// Blocks of 256 weights: an f16 scale, eight 6-bit scales, and indices as in [`Self::Iq4Nl`].
    Iq4Xs,
    /// Integers or f64, which are not read as weights: name, and bytes per value.
    Plain(&'static str, usize),
}

/// Table that the indices of IQ4_NL and IQ4_XS refer to (ggml's `kvalues_iq4nl`).
const IQ4_VALUES: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Bytes per block of IQ4_NL and of IQ4_XS.
const IQ4_NL_BYTES: usize = 18;
const IQ4_XS_BYTES: usize = 136;

impl TensorType {
    /// Returns the type that has this number in GGUF.
    ///
    /// # Errors
    /// Returns the name of an unsupported type, or the number of an unknown one.
    pub(crate) fn from_number(number: u32) -> Result<Self, String> {
        Ok(match number {
            0 => Self::Candle(GgmlDType::F32),
            1 => Self::Candle(GgmlDType::F16),
            2 => Self::Candle(GgmlDType::Q4_0),
            3 => Self::Candle(GgmlDType::Q4_1),
            6 => Self::Candle(GgmlDType::Q5_0),
            7 => Self::Candle(GgmlDType::Q5_1),
            8 => Self::Candle(GgmlDType::Q8_0),
            10 => Self::Candle(GgmlDType::Q2K),
            11 => Self::Candle(GgmlDType::Q3K),
            12 => Self::Candle(GgmlDType::Q4K),
            13 => Self::Candle(GgmlDType::Q5K),
            14 => Self::Candle(GgmlDType::Q6K),
            20 => Self::Iq4Nl,
            23 => Self::Iq4Xs,
            24 => Self::Plain("I8", 1),
            25 => Self::Plain("I16", 2),
            26 => Self::Plain("I32", 4),
            27 => Self::Plain("I64", 8),
            28 => Self::Plain("F64", 8),
            30 => Self::Candle(GgmlDType::BF16),
            other => return Err(unsupported_name(other)),
        })
    }

    /// Returns the number of values per block.
    pub(crate) fn block_size(self) -> usize {
        match self {
            Self::Candle(dtype) => dtype.block_size(),
            Self::Iq4Nl => 32,
            Self::Iq4Xs => 256,
            Self::Plain(..) => 1,
        }
    }

    /// Returns the bytes per block.
    pub(crate) fn block_bytes(self) -> usize {
        match self {
            Self::Candle(dtype) => dtype.type_size(),
            Self::Iq4Nl => IQ4_NL_BYTES,
            Self::Iq4Xs => IQ4_XS_BYTES,
            Self::Plain(_, bytes) => bytes,
        }
    }
}

fn unsupported_name(number: u32) -> String {
    let name = match number {
        4 => "Q4_2",
        5 => "Q4_3",
        9 => "Q8_1",
        15 => "Q8_K",
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        21 => "IQ3_S",
        22 => "IQ2_S",
        29 => "IQ1_M",
        31 => "Q4_0_4_4",
        32 => "Q4_0_4_8",
        33 => "Q4_0_8_8",
        34 => "TQ1_0",
        35 => "TQ2_0",
        36 => "IQ4_NL_4_4",
        37 => "IQ4_NL_4_8",
        38 => "IQ4_NL_8_8",
        39 => "MXFP4",
        40 => "NVFP4",
        other => return format!("number {other}"),
    };
    name.to_owned()
}

/// Dequantises IQ4_NL blocks.
pub(in crate::lm) fn dequantise_iq4_nl(data: &[u8]) -> Vec<f32> {
    let mut values = Vec::with_capacity(data.len() / IQ4_NL_BYTES * 32);
    for block in data.chunks_exact(IQ4_NL_BYTES) {
        push_iq4(&mut values, half_at(block, 0), &block[2..]);
    }
    values
}

/// Dequantises IQ4_XS blocks. Every 32 weights have a 6-bit scale with an offset of 32: its low 4
/// bits lie in bytes 4 to 7, its high 2 bits in bytes 2 and 3.
pub(in crate::lm) fn dequantise_iq4_xs(data: &[u8]) -> Vec<f32> {
    let mut values = Vec::with_capacity(data.len() / IQ4_XS_BYTES * 256);
    for block in data.chunks_exact(IQ4_XS_BYTES) {
        let high = u16::from_le_bytes([block[2], block[3]]);
        for (index, indices) in block[8..].chunks_exact(16).enumerate() {
            let low = (block[4 + index / 2] >> (4 * (index % 2))) & 0xF;
            let scale = i32::from(low) | i32::from((high >> (2 * index)) & 3) << 4;
            push_iq4(&mut values, half_at(block, 0) * (scale - 32) as f32, indices);
        }
    }
    values
}

fn half_at(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Appends 32 weights from 16 bytes: first the low halves of all bytes, then the high halves.
fn push_iq4(values: &mut Vec<f32>, scale: f32, indices: &[u8]) {
    let value = |index: u8| scale * f32::from(IQ4_VALUES[usize::from(index & 0xF)]);
    values.extend(indices.iter().map(|byte| value(*byte)));
    values.extend(indices.iter().map(|byte| value(byte >> 4)));
}
