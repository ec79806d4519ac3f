//! A linear judge over hashed word n-grams. With B the set of distinct buckets of a text,
//!
//! ```text
//! gold reward = log p(positive) − log p(negative) = bias + Σ_{b ∈ B} w_b / |B|^p
//! ```
//!
//! Everything is defined on bytes, so that the trainer (the pack's recipe) and this reader
//! cannot disagree about what a letter is.

use std::collections::HashSet;
use std::path::Path;

use candle_core::Device;
use serde::Deserialize;
use serde_json::Value;

use super::JudgeError;
use crate::lm::{LmError, Weights};

/// Most consecutive words hashed together.
const MAX_NGRAMS: usize = 5;
/// Most buckets: a file of 64 MB.
const MAX_BUCKETS: usize = 1 << 24;

/// The judge.
#[derive(Debug, Clone)]
pub(super) struct Ngrams {
    config: Config,
    /// `[buckets]`
    weights: Vec<f32>,
}

/// `config.json` of a judge.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    kind: Kind,
    /// Up to how many consecutive words make a feature.
    ngrams: usize,
    /// Marks that are words of their own; all others only separate.
    punctuation: String,
    /// A power of two.
    buckets: usize,
    /// p of the formula.
    length_power: f64,
    bias: f64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Kind {
    #[serde(rename = "hashed-ngrams")]
    HashedNgrams,
}

impl Ngrams {
    /// Reads the weights of `folder`, whose `config.json` says `config`.
    ///
    /// # Errors
    /// A field that is missing, unknown or out of range; weights of another shape.
    pub fn load(folder: &Path, config: Value) -> Result<Self, JudgeError> {
        let invalid = |reason| JudgeError::Invalid { file: folder.join("config.json"), reason };
        let config: Config = serde_json::from_value(config).map_err(|e| invalid(e.to_string()))?;
        config.check().map_err(invalid)?;
        let weights = Weights::load(folder, &Device::Cpu)?.get("weights", &[config.buckets])?;
        let weights = weights.to_vec1().map_err(LmError::from)?;
        Ok(Self { config, weights })
    }

    /// log p(positive) − log p(negative). Of an empty text, the bias.
    pub fn log_odds(&self, text: &str) -> f32 {
        let mut buckets: Vec<usize> = self.buckets(text).into_iter().collect();
        // A fixed order: the same text gives the same sum to the last bit.
        buckets.sort_unstable();
        let sum: f64 = buckets.iter().map(|&b| f64::from(self.weights[b])).sum();
        let size = (buckets.len().max(1) as f64).powf(self.config.length_power);
        (self.config.bias + sum / size) as f32
    }

    /// The distinct buckets of a text's n-grams.
    fn buckets(&self, text: &str) -> HashSet<usize> {
        let words = words(text, self.config.punctuation.as_bytes());
        let mut buckets = HashSet::new();
        for start in 0..words.len() {
            let mut hash = Fnv::new();
            for (index, word) in words[start..].iter().take(self.config.ngrams).enumerate() {
                if index > 0 {
                    hash.write(b" ");
                }
                hash.write(word);
                buckets.insert(hash.bucket(self.config.buckets));
            }
        }
        buckets
    }
}

impl Config {
    fn check(&self) -> Result<(), String> {
        let Kind::HashedNgrams = self.kind;
        if !(1..=MAX_NGRAMS).contains(&self.ngrams) {
            return Err(format!("ngrams must be 1 to {MAX_NGRAMS}"));
        }
        if !self.buckets.is_power_of_two() || self.buckets > MAX_BUCKETS {
            return Err(format!("buckets must be a power of two up to {MAX_BUCKETS}"));
        }
        if !(0.0..=1.0).contains(&self.length_power) || !self.bias.is_finite() {
            return Err("length_power must be 0 to 1, and bias a number".to_owned());
        }
        Ok(())
    }
}

/// Words of a text in lower case (A to Z only): runs of letters, digits, apostrophes and all that
/// is not ASCII; and each byte of `punctuation`.
fn words(text: &str, punctuation: &[u8]) -> Vec<Vec<u8>> {
    let text = text.replace('\u{2019}', "'").to_ascii_lowercase();
    let mut words = Vec::new();
    let mut word = Vec::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'\'' || !byte.is_ascii() {
            word.push(byte);
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if punctuation.contains(&byte) {
            words.push(vec![byte]);
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// FNV-1a, 64 bits (Fowler, Noll and Vo): simple enough to be written twice alike.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// Its place among `buckets`, a power of two.
    fn bucket(&self, buckets: usize) -> usize {
        ((self.0 ^ (self.0 >> 32)) & (buckets as u64 - 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<String> {
        let words = words(text, b"!?");
        words.into_iter().map(|w| String::from_utf8(w).expect("whole characters")).collect()
    }

    #[test]
    fn words_are_lower_case_and_punctuation_is_its_own_word() {
        assert_eq!(
            split("I LOVED it!! Didn\u{2019}t you?"),
            ["i", "loved", "it", "!", "!", "didn't", "you", "?"]
        );
        assert_eq!(split("Élan—vital, 映画🎬"), ["Élan—vital", "映画🎬"]);
        assert!(split(" \n,.").is_empty());
    }

    #[test]
    fn the_hash_is_the_published_one() {
        let hash = |bytes| {
            let mut hash = Fnv::new();
            hash.write(bytes);
            hash.0
        };
        // Of the authors' test vectors.
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
