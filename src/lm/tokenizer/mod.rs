//! BPE tokenizers, byte-level or SentencePiece's: text to ids, and the exact bytes of every id.

mod careful;
mod growth;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokenizers::Tokenizer as Inner;

pub(crate) use self::careful::{encode, read};
use super::error::{LmError, Result};
use super::gguf::GgufFile;
use super::weights::{MAX_JSON_BYTES, read_json};
use crate::text::read_text;

/// More ids than any vocabulary has: beyond it the file is damaged.
const MAX_VOCAB: u32 = 1 << 21;

/// A BPE tokenizer that has bytes for every id.
pub struct Tokenizer {
    inner: Inner,
    /// What the file puts before a text, such as a token that begins it.
    prefix: Vec<u32>,
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
    /// Loads `tokenizer.json`, given the file or the folder that holds it, the tokenizer inside a
    /// GGUF file, or a folder's `vocab.json` and `merges.txt` as GPT-2 has them. Truncation and padding that the file may ask for are switched off.
    ///
    /// # Errors
    /// A sentence when the file is missing, damaged or of another kind.
    pub fn load(path: &Path) -> Result<Self> {
        if GgufFile::is_named_so(path) {
            return Self::from_gguf(&GgufFile::open(path)?);
        }
        let file = if path.is_dir() { path.join("tokenizer.json") } else { path.to_path_buf() };
        let (vocab, merges) = (path.join("vocab.json"), path.join("merges.txt"));
        if !file.exists() && vocab.is_file() && merges.is_file() {
            return Self::from_vocab_and_merges(&vocab, &merges);
        }
        let text = read_text(&file, MAX_JSON_BYTES);
        let text = text.map_err(|source| LmError::Read { file: file.clone(), source })?;
        Self::from_bytes(text.as_bytes(), &file)
    }

    /// GPT-2's tokenizer in its first form.
    fn from_vocab_and_merges(vocab: &Path, merges: &Path) -> Result<Self> {
        let file = vocab.to_path_buf();
        let vocab = read_json(vocab)?;
        let text = read_text(merges, MAX_JSON_BYTES)
            .map_err(|source| LmError::Read { file: merges.to_path_buf(), source })?;
        let lines = text.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
        let end = "<|endoftext|>";
        let added = vocab.get(end).map(|id| {
            json!({"id": id, "content": end, "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        });
        let added: Vec<Value> = added.into_iter().collect();
        let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                           "use_regex": true});
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
            "normalizer": null, "pre_tokenizer": level, "post_processor": null, "decoder": level,
            "model": {"type": "BPE", "dropout": null, "unk_token": null,
                      "continuing_subword_prefix": null, "end_of_word_suffix": null,
                      "fuse_unk": false, "byte_fallback": false, "vocab": vocab,
                      "merges": lines.collect::<Vec<_>>()},
        });
        Self::from_json(&json, json.to_string().as_bytes(), &file)
    }

    /// The tokenizer inside a GGUF file.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn from_gguf(gguf: &GgufFile) -> Result<Self> {
        let json = gguf.tokenizer_json()?;
        Self::from_json(&json, json.to_string().as_bytes(), gguf.file())
    }

    /// From the content of a `tokenizer.json`; `file` is used in messages.
    ///
    /// # Errors
    /// As [`Tokenizer::load`].
    pub fn from_bytes(content: &[u8], file: &Path) -> Result<Self> {
        let json: Value = serde_json::from_slice(content)
            .map_err(|error| damaged(file, format!("not valid JSON ({error})")))?;
        Self::from_json(&json, content, file)
    }

    /// From a `tokenizer.json` and its text.
    fn from_json(json: &Value, content: &[u8], file: &Path) -> Result<Self> {
        let alphabet = Alphabet::of(json, file)?;
        let read = careful::read(json, content).map_err(|problem| damaged(file, problem));
        let (inner, prefix) = read?;
        let added = added_tokens(&inner);
        let mut vocab = inner.get_vocab(false);
        vocab.extend(added.iter().map(|token| (token.content.clone(), token.id)));
        let highest = vocab.values().max().copied();
        if let Some(id) = highest.filter(|id| *id >= MAX_VOCAB) {
            return Err(damaged(file, format!("it names token id {id}")));
        }
        let mut tokens = vec![None; highest.map_or(0, |id| id as usize + 1)];
        for (token, id) in vocab {
            tokens[id as usize] = Some(token);
        }
        let bytes = byte_table(&tokens, &added, alphabet, file)?;
        Ok(Self { inner, prefix, bytes, tokens, merges: merges(json), added })
    }

    /// What stands before every text that a model of this tokenizer was trained on: the token
    /// that begins a text, or nothing.
    pub fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// The ids of `text`. No special token is put before or after it; one written out in the
    /// text itself becomes its id.
    ///
    /// # Errors
    /// [`LmError::Encode`] when the tokenizer has no token for a part of it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = careful::encode(&self.inner, text, false).map_err(LmError::Encode)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The ids of a whole text: what stands before every text, unless it is written out in this
    /// one already, as chat templates do.
    ///
    /// # Errors
    /// As [`Tokenizer::encode`].
    pub fn encode_whole(&self, text: &str) -> Result<Vec<u32>> {
        let ids = self.encode(text)?;
        if ids.starts_with(&self.prefix) {
            return Ok(ids);
        }
        Ok([&self.prefix[..], &ids].concat())
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

    /// How many ids both have in common: all of the shorter one, which must mean the same in
    /// both and come from the same texts. Past them one of the two may add tokens of its own,
    /// such as padding, which guidance then leaves out.
    ///
    /// # Errors
    /// The first difference in words: a token, a merge or an added token.
    pub fn common_vocabulary(&self, other: &Self) -> std::result::Result<usize, String> {
        let common = self.tokens.len().min(other.tokens.len());
        for (id, (ours, theirs)) in self.tokens.iter().zip(&other.tokens).enumerate() {
            if ours != theirs {
                let (ours, theirs) = (shown(ours), shown(theirs));
                return Err(format!("token {id} is {ours} in one and {theirs} in the other"));
            }
        }
        for index in 0..self.merges.len().max(other.merges.len()) {
            let (ours, theirs) = (self.merges.get(index), other.merges.get(index));
            if ours != theirs {
                let (ours, theirs) = (shown(&ours.cloned()), shown(&theirs.cloned()));
                return Err(format!("merge {index} is {ours} in one and {theirs} in the other"));
            }
        }
        let within = |of: &Self| -> Vec<Added> {
            of.added.iter().filter(|token| (token.id as usize) < common).cloned().collect()
        };
        let (ours, theirs) = (within(self), within(other));
        for index in 0..ours.len().max(theirs.len()) {
            let (ours, theirs) = (ours.get(index), theirs.get(index));
            if ours != theirs {
                let (ours, theirs) = (described(ours), described(theirs));
                return Err(format!("one adds {ours} where the other adds {theirs}"));
            }
        }
        let longer = if self.tokens.len() > common { self } else { other };
        match longer.tokens.iter().enumerate().skip(common).find(|(id, token)| {
            token.is_some() && !longer.added.iter().any(|added| added.id as usize == *id)
        }) {
            Some((id, token)) => {
                Err(format!("token {id} is {} in one and absent in the other", shown(token)))
            }
            None => Ok(common),
        }
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

/// How the tokens of a BPE are written.
#[derive(Clone, Copy)]
enum Alphabet {
    /// GPT-2's: one character a byte.
    Bytes,
    /// SentencePiece's: text with ▁ for a space, and `<0x0A>` for a byte that is in no piece.
    Pieces,
}

impl Alphabet {
    /// Refuses all other kinds: they have no bytes per id.
    fn of(json: &Value, file: &Path) -> Result<Self> {
        let kind = json["model"]["type"].as_str().unwrap_or("none");
        let byte_level = ["decoder", "pre_tokenizer"].iter().any(|part| is_byte_level(&json[part]));
        match (kind, byte_level, json["model"]["byte_fallback"].as_bool()) {
            ("BPE", true, _) => Ok(Self::Bytes),
            ("BPE", false, Some(true)) => Ok(Self::Pieces),
            _ => Err(LmError::Unsupported {
                file: file.to_path_buf(),
                what: format!("a tokenizer of type {kind} that is not byte-level"),
                instead: "with a byte-level BPE tokenizer, such as GPT-2's, Llama 3's or \
                          SmolLM2's, or SentencePiece's with bytes to fall back on, such as Llama \
                          2's or Gemma's"
                    .into(),
            }),
        }
    }

    /// The bytes of a token; none if it is not written in this alphabet.
    fn bytes(self, token: &str, characters: &HashMap<char, u8>) -> Option<Vec<u8>> {
        match self {
            Self::Bytes => token.chars().map(|c| characters.get(&c).copied()).collect(),
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

/// The bytes of every id. Ordinary added tokens stand for themselves, special ones for nothing.
fn byte_table(
    tokens: &[Option<String>],
    added: &[Added],
    alphabet: Alphabet,
    file: &Path,
) -> Result<Vec<Box<[u8]>>> {
    let characters = characters();
    let is_added: HashSet<usize> = added.iter().map(|token| token.id as usize).collect();
    let mut table = vec![Box::<[u8]>::default(); tokens.len()];
    for (id, token) in tokens.iter().enumerate() {
        let Some(token) = token else { continue };
        if is_added.contains(&id) {
            continue;
        }
        let bytes = alphabet.bytes(token, &characters).ok_or_else(|| {
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
fn characters() -> HashMap<char, u8> {
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
