//! The alphabets in which files write the tokens of a BPE.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;

use crate::lm::error::{LmError, Result};

/// The alphabet of a BPE's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// GPT-2's: one character per byte.
    Bytes,
    /// SentencePiece's: text with ▁ for a space, and `<0x0A>` for a byte that no piece contains.
    Pieces,
}

impl Alphabet {
    /// Returns the alphabet of a `tokenizer.json`. A model without a type counts as BPE if it has
    /// merges: the tokenizers library wrote no type before version 0.9.
    ///
    /// # Errors
    /// Returns [`LmError::Unsupported`] for all other kinds, because they have no bytes per id.
    pub(super) fn of(json: &Value, file: &Path) -> Result<Self> {
        let model = &json["model"];
        let untyped = if model["merges"].is_array() { "BPE" } else { "none" };
        let kind = model["type"].as_str().unwrap_or(untyped);
        let byte_level = ["decoder", "pre_tokenizer"].iter().any(|part| is_byte_level(&json[part]));
        match (kind, byte_level, model["byte_fallback"].as_bool()) {
            ("BPE", true, _) => Ok(Self::Bytes),
            ("BPE", false, Some(true)) => Ok(Self::Pieces),
            _ => Err(LmError::Unsupported {
                file: file.to_path_buf(),
                feature: format!("a tokenizer of type {kind} that is not byte-level"),
                instead: "with a byte-level BPE tokenizer, such as GPT-2's, Llama 3's or \
                          SmolLM2's, or a SentencePiece BPE tokenizer with byte fallback, such as \
                          Llama 2's or Gemma's"
                    .into(),
            }),
        }
    }

    /// Returns the bytes of a token, or `None` if it is not written in this alphabet.
    pub(super) fn bytes(self, token: &str) -> Option<Vec<u8>> {
        match self {
            Self::Bytes => token.chars().map(|c| CHARACTERS.get(&c).copied()).collect(),
            Self::Pieces => {
                let hex = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
                let byte = hex.filter(|hex| hex.len() == 2);
                match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                    Some(byte) => Some(vec![byte]),
                    None => Some(token.replace('▁', " ").into_bytes()),
                }
            }
        }
    }

    /// Returns a token in the spelling of `tokenizer.json`, which writes ▁ for a space. GGUF files
    /// write tokens of several spaces with plain spaces.
    pub(crate) fn spelled(self, token: &str) -> String {
        match self {
            Self::Bytes => token.to_owned(),
            Self::Pieces => token.replace(' ', "▁"),
        }
    }
}

fn is_byte_level(part: &Value) -> bool {
    let inside = ["pretokenizers", "decoders"];
    part["type"] == "ByteLevel"
        || inside.iter().filter_map(|name| part[name].as_array()).flatten().any(is_byte_level)
}

/// GPT-2's map from characters to bytes. Printable bytes are their own characters; the other bytes
/// have the characters from U+0100 on.
static CHARACTERS: LazyLock<HashMap<char, u8>> = LazyLock::new(|| {
    let mut next = 0x100;
    let mut map = HashMap::with_capacity(256);
    for byte in 0..=255u8 {
        let is_printable = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let code = if is_printable { u32::from(byte) } else { next };
        next += u32::from(!is_printable);
        map.extend(char::from_u32(code).map(|c| (c, byte)));
    }
    map
});
