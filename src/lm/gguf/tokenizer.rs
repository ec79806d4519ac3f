//! The tokenizer of a GGUF file in the form of a `tokenizer.json`, so that one reader serves both.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::GgufFile;
use crate::lm::error::Result;
use crate::lm::weights::damaged;

/// How Qwen 2 splits texts before merging.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How Llama 3 does.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Longest piece of which merges are made: beyond it the file is damaged.
const MAX_PIECE: usize = 512;

/// GGUF's kinds of tokens.
const UNKNOWN: f64 = 2.0;
const CONTROL: f64 = 3.0;
const USER_DEFINED: f64 = 4.0;

/// The tokenizer of `gguf`.
///
/// # Errors
/// A kind that is not supported, a part that is missing.
pub(super) fn json(gguf: &GgufFile) -> Result<Value> {
    let tokens = gguf.texts("tokenizer.ggml.tokens");
    let tokens = tokens.ok_or_else(|| gguf.missing("tokenizer.ggml.tokens"))?;
    let mut vocab = serde_json::Map::new();
    for (id, token) in tokens.iter().enumerate() {
        if vocab.insert(token.clone(), json!(id)).is_some() {
            return Err(damaged(gguf.file(), format!("token {token:?} is there twice")));
        }
    }
    let kind = gguf.text("tokenizer.ggml.model").unwrap_or("");
    let parts = match kind {
        "gpt2" => byte_level(gguf)?,
        "llama" => sentence_pieces(gguf, tokens)?,
        other => {
            let instead = "with a byte-level BPE or a SentencePiece BPE tokenizer";
            return Err(gguf.unsupported(format!("a tokenizer of kind '{other}'"), instead));
        }
    };
    let add_bos = gguf.flag("tokenizer.ggml.add_bos_token").unwrap_or(kind == "llama");
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added(gguf, tokens),
        "normalizer": parts.normalizer,
        "pre_tokenizer": parts.pre_tokenizer,
        "post_processor": if add_bos { begin_with_bos(gguf, tokens)? } else { Value::Null },
        "decoder": parts.decoder,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": parts.unknown,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": parts.byte_fallback,
            "byte_fallback": parts.byte_fallback,
            "ignore_merges": parts.ignore_merges,
            "vocab": vocab,
            "merges": parts.merges,
        },
    }))
}

/// What differs between kinds.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    unknown: Value,
    byte_fallback: bool,
    ignore_merges: bool,
    merges: Value,
}

fn byte_level(gguf: &GgufFile) -> Result<Parts> {
    let bytes = |use_regex: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex});
    let split = |regex: &str| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false},
            bytes(false),
        ]})
    };
    let pre = gguf.text("tokenizer.ggml.pre").unwrap_or("gpt-2");
    let (normalizer, pre_tokenizer, ignore_merges) = match pre {
        "gpt-2" => (Value::Null, bytes(true), false),
        "smollm" => {
            let digits = json!({"type": "Digits", "individual_digits": true});
            let both = json!({"type": "Sequence", "pretokenizers": [digits, bytes(true)]});
            (Value::Null, both, false)
        }
        "llama-bpe" | "llama3" | "llama-v3" => (Value::Null, split(LLAMA3), true),
        "qwen2" => (json!({"type": "NFC"}), split(QWEN2), false),
        other => {
            // Another way of splitting would give other ids in silence.
            let what = format!("a tokenizer that splits texts as '{other}'");
            let instead = "that splits as gpt-2, smollm, llama-bpe or qwen2, or its safetensors";
            return Err(gguf.unsupported(what, instead));
        }
    };
    let merges = gguf.texts("tokenizer.ggml.merges");
    let merges = merges.ok_or_else(|| gguf.missing("tokenizer.ggml.merges"))?;
    Ok(Parts {
        normalizer,
        pre_tokenizer,
        decoder: bytes(true),
        unknown: Value::Null,
        byte_fallback: false,
        ignore_merges,
        merges: json!(merges),
    })
}

fn sentence_pieces(gguf: &GgufFile, tokens: &[String]) -> Result<Parts> {
    let scores = gguf.numbers("tokenizer.ggml.scores").filter(|s| s.len() == tokens.len());
    let scores = scores.ok_or_else(|| gguf.missing("tokenizer.ggml.scores"))?;
    let replace = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
    let prefixed = gguf.flag("tokenizer.ggml.add_space_prefix").unwrap_or(true);
    let normalizer = if prefixed {
        let prepend = json!({"type": "Prepend", "prepend": "▁"});
        json!({"type": "Sequence", "normalizers": [prepend, replace]})
    } else {
        replace
    };
    let kinds = gguf.numbers("tokenizer.ggml.token_type").unwrap_or(&[]);
    let unknown = kinds.iter().position(|kind| *kind == UNKNOWN).and_then(|id| tokens.get(id));
    Ok(Parts {
        normalizer,
        pre_tokenizer: Value::Null,
        decoder: json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
        ]}),
        unknown: json!(unknown),
        byte_fallback: true,
        ignore_merges: false,
        merges: merges_by_score(tokens, scores),
    })
}

/// The merges that make every piece of two others, best score first: SentencePiece keeps scores
/// where BPE keeps merges. The order among equals is that of transformers' converter.
fn merges_by_score(tokens: &[String], scores: &[f64]) -> Value {
    let ids: HashMap<&str, usize> =
        tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
    let mut merges: Vec<(f64, usize, usize, &str, &str)> = Vec::new();
    for (token, &score) in tokens.iter().zip(scores).filter(|(token, _)| token.len() <= MAX_PIECE) {
        let length = token.chars().count();
        let mut own = Vec::new();
        for (index, (at, _)) in token.char_indices().enumerate().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(l), Some(r)) = (ids.get(left), ids.get(right)) {
                own.push(((*l, *r), (score, index, length - index, left, right)));
            }
        }
        own.sort_by_key(|(ids, _)| *ids);
        merges.extend(own.into_iter().map(|(_, merge)| merge));
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((b.1, b.2).cmp(&(a.1, a.2))));
    let pairs = merges.into_iter().map(|(_, _, _, left, right)| json!([left, right]));
    Value::Array(pairs.collect())
}

/// Tokens that are found in a text before anything is merged.
fn added(gguf: &GgufFile, tokens: &[String]) -> Vec<Value> {
    let kinds = gguf.numbers("tokenizer.ggml.token_type").unwrap_or(&[]);
    let one = |(id, (token, kind)): (usize, (&String, &f64))| {
        let special = [UNKNOWN, CONTROL].contains(kind);
        (special || *kind == USER_DEFINED).then(|| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": special,
            })
        })
    };
    tokens.iter().zip(kinds).enumerate().filter_map(one).collect()
}

/// Puts the token that begins a text before it.
fn begin_with_bos(gguf: &GgufFile, tokens: &[String]) -> Result<Value> {
    let key = "tokenizer.ggml.bos_token_id";
    let id = gguf.whole(key).ok_or_else(|| gguf.missing(key))?;
    let token = usize::try_from(id).ok().and_then(|id| tokens.get(id));
    let token =
        token.ok_or_else(|| damaged(gguf.file(), format!("'{key}' is {id}, which is no token")))?;
    let bos = json!({"SpecialToken": {"id": token, "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let second = json!({"Sequence": {"id": "B", "type_id": 0}});
    let mut special = serde_json::Map::new();
    special.insert(token.clone(), json!({"id": token, "ids": [id], "tokens": [token]}));
    Ok(json!({
        "type": "TemplateProcessing",
        "single": [bos, text],
        "pair": [bos, text, second],
        "special_tokens": special,
    }))
}
