//! Byte-level BPE tokenizers: text to ids, and the exact bytes of every id.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::Tokenizer as Inner;

use super::error::{LmError, Result};

/// More ids than any vocabulary has: beyond it the file is damaged.
const MAX_VOCAB: u32 = 1 << 21;

/// A byte-level BPE tokenizer.
pub struct Tokenizer {
    inner: Inner,
    /// The bytes of every id; none for special tokens and ids without a token.
    bytes: Vec<Box<[u8]>>,
    /// The token of every id as the file writes it; none for ids without one.
    tokens: Vec<Option<String>>,
    merges: Vec<String>,
    added: Vec<Added>,
}

/// A token outside the BPE, as `added_tokens` lists it.
#[derive(Debug, Clone, PartialEq)]
struct Added {
    id: u32,
    content: String,
    special: bool,
}

impl Tokenizer {
    /// Loads `tokenizer.json`, given the file or the folder that holds it. Truncation and
    /// padding that the file may ask for are switched off.
    ///
    /// # Errors
    /// A sentence when the file is missing, damaged or not a byte-level BPE.
    pub fn load(path: &Path) -> Result<Self> {
        let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_path_buf() };
        let bytes =
            std::fs::read(&file).map_err(|source| LmError::Read { file: file.clone(), source })?;
        Self::from_bytes(&bytes, &file)
    }

    /// From the content of a `tokenizer.json`; `file` is used in messages.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn from_bytes(content: &[u8], file: &Path) -> Result<Self> {
        let json: Value = serde_json::from_slice(content)
            .map_err(|error| damaged(file, format!("not valid JSON ({error})")))?;
        check_kind(&json, file)?;
        let mut inner = Inner::from_bytes(content)
            .map_err(|error| damaged(file, format!("not a tokenizer ({error})")))?;
        inner.with_truncation(None).map_err(|error| damaged(file, error.to_string()))?;
        inner.with_padding(None);
        let added = added_tokens(&inner);
        let mut vocab = inner.get_vocab(false);
        vocab.extend(added.iter().map(|token| (token.content.clone(), token.id)));
        let size = vocab.values().max().map_or(0, |&id| id.saturating_add(1));
        if size > MAX_VOCAB {
            return Err(damaged(file, format!("it names token id {}", size - 1)));
        }
        let mut tokens = vec![None; size as usize];
        for (token, id) in vocab {
            tokens[id as usize] = Some(token);
        }
        let bytes = byte_table(&tokens, &added, file)?;
        Ok(Self { inner, bytes, tokens, merges: merges(&json), added })
    }

    /// The ids of `text`. No special token is put before or after it; one written out in the
    /// text itself becomes its id.
    ///
    /// # Errors
    /// [`LmError::Encode`] when the tokenizer has no token for a part of it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|error| LmError::Encode(error.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The bytes that `id` adds to a text; none for special tokens and unknown ids.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
    }

    /// One token for people to read: its text, invalid bytes as U+FFFD, or the name of a special
    /// token.
    pub fn piece(&self, id: u32) -> String {
        match self.bytes(id) {
            [] => self.inner.id_to_token(id).unwrap_or_default(),
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    /// The text of these ids, invalid bytes as U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let bytes: Vec<u8> = ids.iter().flat_map(|&id| self.bytes(id)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether `id` is a special token, such as the end of text.
    pub fn is_special(&self, id: u32) -> bool {
        self.added.iter().any(|token| token.id == id && token.special)
    }

    /// The id of a token by its content as the file writes it, such as `<|endoftext|>`.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// One more than the highest id.
    pub fn vocab_size(&self) -> usize {
        self.bytes.len()
    }

    /// Whether both give every text the same ids and every id the same meaning.
    ///
    /// # Errors
    /// The first difference in words: a token, a merge or an added token.
    pub fn same_vocabulary(&self, other: &Self) -> std::result::Result<(), String> {
        let empty = None;
        for id in 0..self.tokens.len().max(other.tokens.len()) {
            let ours = self.tokens.get(id).unwrap_or(&empty);
            let theirs = other.tokens.get(id).unwrap_or(&empty);
            if ours != theirs {
                return Err(format!(
                    "token {id} is {} in one and {} in the other",
                    shown(ours),
                    shown(theirs)
                ));
            }
        }
        for index in 0..self.merges.len().max(other.merges.len()) {
            let (ours, theirs) = (self.merges.get(index), other.merges.get(index));
            if ours != theirs {
                let (ours, theirs) = (shown(&ours.cloned()), shown(&theirs.cloned()));
                return Err(format!("merge {index} is {ours} in one and {theirs} in the other"));
            }
        }
        for index in 0..self.added.len().max(other.added.len()) {
            let (ours, theirs) = (self.added.get(index), other.added.get(index));
            if ours != theirs {
                let (ours, theirs) = (described(ours), described(theirs));
                return Err(format!("one adds {ours} where the other adds {theirs}"));
            }
        }
        Ok(())
    }
}

fn shown(token: &Option<String>) -> String {
    token.as_ref().map_or("absent".into(), |token| format!("{token:?}"))
}

fn described(added: Option<&Added>) -> String {
    added.map_or("nothing".into(), |token| {
        let kind = if token.special { "special" } else { "ordinary" };
        format!("the {kind} token {:?} as {}", token.content, token.id)
    })
}

fn damaged(file: &Path, problem: String) -> LmError {
    LmError::Damaged { file: PathBuf::from(file), problem }
}

/// Refuses all but byte-level BPE: other kinds have no bytes per id.
fn check_kind(json: &Value, file: &Path) -> Result<()> {
    let kind = json["model"]["type"].as_str().unwrap_or("none");
    let byte_level = ["decoder", "pre_tokenizer"].iter().any(|part| is_byte_level(&json[part]));
    if kind != "BPE" || !byte_level {
        return Err(LmError::Unsupported {
            file: file.to_path_buf(),
            what: format!("a tokenizer of type {kind} that is not byte-level"),
            instead: "with a byte-level BPE tokenizer, such as GPT-2's, Llama 3's or SmolLM2's"
                .into(),
        });
    }
    Ok(())
}

fn is_byte_level(part: &Value) -> bool {
    let inside = ["pretokenizers", "decoders"];
    part["type"] == "ByteLevel"
        || inside.iter().filter_map(|name| part[name].as_array()).flatten().any(is_byte_level)
}

/// Merges in order, each written "left right"; files hold them as strings or as pairs.
fn merges(json: &Value) -> Vec<String> {
    let merges = json["model"]["merges"].as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |merge: &Value| match merge {
        Value::String(pair) => pair.clone(),
        Value::Array(pair) => pair.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    merges.iter().map(one).collect()
}

fn added_tokens(inner: &Inner) -> Vec<Added> {
    let mut added: Vec<Added> = inner
        .get_added_tokens_decoder()
        .into_iter()
        .map(|(id, token)| Added { id, content: token.content, special: token.special })
        .collect();
    added.sort_by_key(|token| token.id);
    added
}

/// The bytes of every id. BPE tokens are written in GPT-2's alphabet, one character a byte;
/// ordinary added tokens stand for themselves, special ones for nothing.
fn byte_table(tokens: &[Option<String>], added: &[Added], file: &Path) -> Result<Vec<Box<[u8]>>> {
    let alphabet = alphabet();
    let mut table = vec![Box::<[u8]>::default(); tokens.len()];
    for (id, token) in tokens.iter().enumerate() {
        let Some(token) = token else { continue };
        if added.iter().any(|added| added.id as usize == id) {
            continue;
        }
        let bytes: Option<Vec<u8>> = token.chars().map(|c| alphabet.get(&c).copied()).collect();
        let bytes = bytes.ok_or_else(|| {
            damaged(file, format!("token {id} ({token:?}) is not written in the byte alphabet"))
        })?;
        table[id] = bytes.into();
    }
    for token in added.iter().filter(|token| !token.special) {
        table[token.id as usize] = token.content.as_bytes().into();
    }
    Ok(table)
}

/// GPT-2's map from characters to bytes: printable bytes stand for themselves, the others for
/// the characters from U+0100 on.
fn alphabet() -> HashMap<char, u8> {
    let mut next = 0x100;
    let mut map = HashMap::with_capacity(256);
    for byte in 0..=255u8 {
        let itself = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let code = if itself { u32::from(byte) } else { next };
        next += u32::from(!itself);
        map.extend(char::from_u32(code).map(|c| (c, byte)));
    }
    map
}
