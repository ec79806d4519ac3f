//! How byte-level tokenizers split a text before merging, by the names that llama.cpp's converter
//! writes into `tokenizer.ggml.pre`.

use serde_json::{Value, json};

/// Qwen 2's split.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Llama 3's split.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The split of Mistral's "tekken" tokenizers (Mistral Nemo and later).
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// A way of splitting, and what goes with it.
pub(super) struct PreTokenizer {
    pub normalizer: Value,
    /// As a `tokenizer.json` writes it.
    pub split: Value,
    /// Whether a piece that is a token is taken whole, without merging.
    pub ignore_merges: bool,
    /// Whether the token that begins a text is put before it where the file does not say: older
    /// files leave that to their reader.
    pub adds_bos: bool,
}

impl PreTokenizer {
    /// The one with this name; none for a name that this program does not know.
    pub fn named(name: &str) -> Option<Self> {
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
                Self { ignore_merges: true, adds_bos: true, ..plain(by_pattern(LLAMA3)) }
            }
            "smaug-bpe" | "dbrx" => plain(by_pattern(LLAMA3)),
            "tekken" => Self { ignore_merges: true, adds_bos: true, ..plain(by_pattern(TEKKEN)) },
            "qwen2" => Self { normalizer: json!({"type": "NFC"}), ..plain(by_pattern(QWEN2)) },
            "deepseek-r1-qwen" | "kormo" | "megrez" => plain(by_pattern(QWEN2)),
            _ => return None,
        })
    }
}

/// Bytes as characters, split as GPT-2 does where `use_regex`.
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
