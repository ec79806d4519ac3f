//! A linear judge over hashed word n-grams. With B as the set of distinct buckets of a text,
//!
//! ```text
//! gold reward = log p(positive) − log p(negative) = bias + Σ_{b ∈ B} w_b / |B|^p
//! ```
//!
//! All steps are defined on bytes, so that this module and the trainer in the pack's recipe split
//! words in the same way.

use std::collections::HashSet;
use std::path::Path;

use candle_core::Device;
use serde::Deserialize;
use serde_json::Value;

use super::error::JudgeError;
use crate::lm::{LmError, Weights};

/// Maximum number of consecutive words in an n-gram.
const MAX_NGRAMS: usize = 5;
/// Maximum number of buckets; limits the weights to 64 MB.
const MAX_BUCKETS: usize = 1 << 24;

#[derive(Debug, Clone)]
pub(super) struct Ngrams {
    config: Config,
    /// `[buckets]`
    weights: Vec<f32>,
}

/// The content of `config.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    kind: Kind,
    /// Maximum number of words in an n-gram.
    ngrams: usize,
    /// Punctuation marks that count as words. All others only separate words.
    punctuation: String,
    /// Number of buckets, a power of two.
    buckets: usize,
    /// The exponent p in the formula of this module.
    length_power: f64,
    bias: f64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum Kind {
    #[serde(rename = "hashed-ngrams")]
    HashedNgrams,
}

impl Ngrams {
    /// Loads the weights from `folder`. `config` is the content of its `config.json`.
    ///
    /// # Errors
    /// Fails if a field is missing, unknown or out of range, or the weights have another shape.
    pub(super) fn load(folder: &Path, config: Value) -> Result<Self, JudgeError> {
        let invalid = |reason| JudgeError::Invalid { file: folder.join("config.json"), reason };
        let config: Config = serde_json::from_value(config).map_err(|e| invalid(e.to_string()))?;
        config.check().map_err(invalid)?;
        let weights = Weights::load(folder, &Device::Cpu)?.get("weights", &[config.buckets])?;
        let weights = weights.to_vec1().map_err(LmError::from)?;
        Ok(Self { config, weights })
    }

    /// Returns log p(positive) − log p(negative). For an empty text this is the bias.
    pub(super) fn log_odds(&self, text: &str) -> f32 {
        let mut buckets: Vec<usize> = self.buckets(text).into_iter().collect();
        // A fixed order makes the floating-point sum reproducible.
        buckets.sort_unstable();
        let sum: f64 = buckets.iter().map(|&b| f64::from(self.weights[b])).sum();
        let size = (buckets.len().max(1) as f64).powf(self.config.length_power);
        (self.config.bias + sum / size) as f32
    }

    /// Returns the distinct buckets of the n-grams of `text`.
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
            return Err(format!("field 'ngrams' must be 1 to {MAX_NGRAMS}"));
        }
        if !self.buckets.is_power_of_two() || self.buckets > MAX_BUCKETS {
            return Err(format!("field 'buckets' must be a power of two up to {MAX_BUCKETS}"));
        }
        if !(0.0..=1.0).contains(&self.length_power) || !self.bias.is_finite() {
            let reason = "field 'length_power' must be 0 to 1 and field 'bias' a finite number";
            return Err(reason.to_owned());
        }
        Ok(())
    }
}

/// Splits a text into words. A word is a run of ASCII letters, digits, apostrophes and non-ASCII
/// characters, or a single byte of `punctuation`. Only A to Z are converted to lower case.
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

/// The 64-bit FNV-1a hash (Fowler, Noll and Vo). It is simple to reimplement in the trainer.
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

    /// Returns the bucket of the hash. `buckets` is a power of two.
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
    fn words_are_lower_case_and_punctuation_marks_are_words() {
        assert_eq!(
            split("I LOVED it!! Didn\u{2019}t you?"),
            ["i", "loved", "it", "!", "!", "didn't", "you", "?"]
        );
        assert_eq!(split("Élan—vital, 映画🎬"), ["Élan—vital", "映画🎬"]);
        assert!(split(" \n,.").is_empty());
    }

    #[test]
    fn the_hash_matches_the_published_test_vectors() {
        let hash = |bytes| {
            let mut hash = Fnv::new();
            hash.write(bytes);
            hash.0
        };
        // From the test vectors of the authors.
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
