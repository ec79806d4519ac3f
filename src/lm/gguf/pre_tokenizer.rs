//! Pre-tokenizers: how byte-level BPE tokenizers split a text before merging. GGUF files name them
//! in `tokenizer.ggml.pre`, as llama.cpp's converter writes it.

use serde_json::{Value, json};

const QWEN2_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Pattern of Mistral's "tekken" tokenizers (Mistral Nemo and later).
const TEKKEN_PATTERN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A pre-tokenizer and the tokenizer settings that belong to it.
pub(super) struct PreTokenizer {
    pub(crate) normalizer: Value,
    /// In the form of `tokenizer.json`.
    pub(crate) split: Value,
    /// Whether a piece that is itself a token is used whole, without merging.
    pub(crate) ignore_merges: bool,
    /// Whether the beginning-of-text token is added if the file does not say: older files leave
    /// this to the reader.
    pub(crate) adds_bos: bool,
}

impl PreTokenizer {
    /// Returns the pre-tokenizer with this name, or `None` if the name is unknown.
    pub(super) fn named(name: &str) -> Option<Self> {
        let plain =
            |split| Self { normalizer: Value::Null, split, ignore_merges: false, adds_bos: false };
        Some(match name {
            "gpt-2" | "phi-2" | "gigachat" | "mpt" | "olmo" | "jais" | "trillion" => {
                plain(byte_level(true))
            }
            "smollm" | "starcoder" | "refact" | "minerva-7b" => {
                let digits = json!({"type": "Digits", "individual_digits": true});
                plain(sequence(&[digits, byte_level(true)]))
            }
            "llama-bpe" | "llama3" | "llama-v3" | "falcon3" | "pixtral" | "midm-2.0" => {
                Self { ignore_merges: true, adds_bos: true, ..plain(by_pattern(LLAMA3_PATTERN)) }
            }
            "smaug-bpe" | "dbrx" => plain(by_pattern(LLAMA3_PATTERN)),
            "tekken" => {
                Self { ignore_merges: true, adds_bos: true, ..plain(by_pattern(TEKKEN_PATTERN)) }
            }
            "qwen2" => {
                Self { normalizer: json!({"type": "NFC"}), ..plain(by_pattern(QWEN2_PATTERN)) }
            }
            "deepseek-r1-qwen" | "kormo" | "megrez" => plain(by_pattern(QWEN2_PATTERN)),
            _ => return None,
        })
    }
}

/// Returns the step that writes bytes as characters. With `use_regex`, it also splits as GPT-2
/// does.
pub(super) fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
           "use_regex": use_regex})
}

fn by_pattern(regex: &str) -> Value {
    let split = json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated",
                       "invert": false});
    sequence(&[split, byte_level(false)])
}

fn sequence(parts: &[Value]) -> Value {
    json!({"type": "Sequence", "pretokenizers": parts})
}
