//! Tiny seeded models and the goldens, for the tests of `lm`.
#![allow(dead_code, missing_docs)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use ivg_playground::lm::{Cache, Lm};

/// A folder of `tests/goldens`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

/// Token ids and the tensor `what` that PyTorch computed for them.
pub fn expected(name: &str, what: &str) -> (Vec<u32>, Tensor) {
    let file = golden(name).join("expected.safetensors");
    let tensors: HashMap<String, Tensor> =
        candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let ids = tensors["ids"].to_vec1::<i64>().unwrap();
    (ids.into_iter().map(|id| id as u32).collect(), tensors[what].clone())
}

pub fn load(name: &str) -> Lm {
    Lm::load(&golden(name), &Device::Cpu).unwrap()
}

/// Largest difference between two tensors of one shape.
pub fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let a = a.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let b = b.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(a.iter().chain(&b).all(|value| value.is_finite()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// Appends to rows and gives row r's own hidden states `[len, hidden]`, without padding.
pub fn step(lm: &Lm, cache: &mut Cache, rows: &[&[u32]]) -> Vec<Tensor> {
    let hidden = lm.forward(cache, rows).unwrap();
    let row = |(index, row): (usize, &&[u32])| {
        hidden.get(index).unwrap().narrow(0, 0, row.len()).unwrap()
    };
    rows.iter().enumerate().map(row).collect()
}

/// Hidden states `[len, hidden]` of one text read at once.
pub fn whole(lm: &Lm, text: &[u32]) -> Tensor {
    lm.prefill(text).unwrap().1
}

/// `n` token ids that differ with `seed`, below 320.
pub fn tokens(seed: u64, n: usize) -> Vec<u32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as u32 % 320
    };
    (0..n).map(|_| next()).collect()
}
