//! Converts the tokenizer of a GGUF file to the form of `tokenizer.json`, so that one reader serves
//! both.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::GgufFile;
use super::pre_tokenizer::{PreTokenizer, byte_level};
use crate::lm::error::{Result, invalid};

/// Maximum bytes of a piece that merges are derived for. Longer pieces occur in damaged files only.
const MAX_PIECE: usize = 512;

/// GGUF's token types.
const UNKNOWN: f64 = 2.0;
const CONTROL: f64 = 3.0;
const USER_DEFINED: f64 = 4.0;
const UNUSED: f64 = 5.0;

/// SentencePiece's id of the beginning-of-text token, used if the file does not name one.
const DEFAULT_BOS: u64 = 1;

impl GgufFile {
    /// Returns the tokenizer in the form of `tokenizer.json`.
    ///
    /// # Errors
    /// Returns an error if the kind of tokenizer is not supported or a part of it is missing.
    pub fn tokenizer_json(&self) -> Result<Value> {
        tokenizer_json(self)
    }
}

fn tokenizer_json(gguf: &GgufFile) -> Result<Value> {
    let tokens = gguf.texts("tokenizer.ggml.tokens");
    let tokens = tokens.ok_or_else(|| gguf.missing("tokenizer.ggml.tokens"))?;
    let kinds = gguf.numbers("tokenizer.ggml.token_type").unwrap_or(&[]);
    let mut vocab = serde_json::Map::new();
    for (id, token) in tokens.iter().enumerate() {
        if is_padding(id, token, kinds.get(id)) {
            continue;
        }
        if vocab.insert(token.clone(), json!(id)).is_some() {
            let problem = format!(
                "token {token:?} is in the vocabulary twice; take another GGUF file of this model"
            );
            return Err(invalid(gguf.file(), problem));
        }
    }
    let kind = gguf.text("tokenizer.ggml.model").unwrap_or("");
    let parts = match kind {
        "gpt2" => byte_level_parts(gguf)?,
        "llama" => sentencepiece_parts(gguf, tokens)?,
        other => {
            let instead = "with a byte-level BPE or a SentencePiece BPE tokenizer";
            return Err(gguf.unsupported(format!("a tokenizer of kind '{other}'"), instead));
        }
    };
    let add_bos = gguf.flag("tokenizer.ggml.add_bos_token").unwrap_or(parts.adds_bos);
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(gguf, tokens),
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

/// The parts that differ between kinds of tokenizers.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    decoder: Value,
    unknown: Value,
    byte_fallback: bool,
    ignore_merges: bool,
    /// Whether the beginning-of-text token is added if the file does not say.
    adds_bos: bool,
    merges: Value,
}

/// Returns whether a token only pads the vocabulary to the number of embedding rows. llama.cpp's
/// converter names such tokens `[PAD{id}]`. Empty tokens also count as padding.
fn is_padding(id: usize, token: &str, kind: Option<&f64>) -> bool {
    let is_unused = kind == Some(&UNUSED) && token == format!("[PAD{id}]");
    is_unused || token.is_empty()
}

fn byte_level_parts(gguf: &GgufFile) -> Result<Parts> {
    let key = "tokenizer.ggml.pre";
    // A wrong pre-tokenizer would silently produce wrong ids.
    let name = gguf.text(key).ok_or_else(|| {
        let problem = format!(
            "the entry '{key}' is missing, so the pre-tokenizer is unknown (llama.cpp wrote such \
             files before May 2024); take a newer GGUF file of this model, or its safetensors"
        );
        invalid(gguf.file(), problem)
    })?;
    let pre = PreTokenizer::named(name).ok_or_else(|| {
        let feature = format!("the pre-tokenizer '{name}'");
        let instead =
            "with the pre-tokenizer gpt-2, smollm, llama-bpe, tekken or qwen2, or its safetensors";
        gguf.unsupported(feature, instead)
    })?;
    let merges = gguf.texts("tokenizer.ggml.merges");
    let merges = merges.ok_or_else(|| gguf.missing("tokenizer.ggml.merges"))?;
    Ok(Parts {
        normalizer: pre.normalizer,
        pre_tokenizer: pre.split,
        decoder: byte_level(true),
        unknown: Value::Null,
        byte_fallback: false,
        ignore_merges: pre.ignore_merges,
        adds_bos: pre.adds_bos,
        merges: json!(merges),
    })
}

fn sentencepiece_parts(gguf: &GgufFile, tokens: &[String]) -> Result<Parts> {
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
        adds_bos: true,
        merges: merges_by_score(tokens, scores, kinds),
    })
}

/// Returns every merge of two pieces into a third, best score first: SentencePiece stores scores
/// where BPE stores merges. Merges of equal score are in the order of transformers' converter.
fn merges_by_score(tokens: &[String], scores: &[f64], kinds: &[f64]) -> Value {
    let pieces = || {
        let all = tokens.iter().enumerate();
        all.filter(|(id, token)| !is_padding(*id, token, kinds.get(*id)))
    };
    let ids: HashMap<&str, usize> = pieces().map(|(id, token)| (token.as_str(), id)).collect();
    let mut merges: Vec<(f64, usize, usize, &str, &str)> = Vec::new();
    for (id, token) in pieces().filter(|(_, token)| token.len() <= MAX_PIECE) {
        let score = scores[id];
        let length = token.chars().count();
        let mut merges_of_token = Vec::new();
        for (index, (at, _)) in token.char_indices().enumerate().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(l), Some(r)) = (ids.get(left), ids.get(right)) {
                merges_of_token.push(((*l, *r), (score, index, length - index, left, right)));
            }
        }
        merges_of_token.sort_by_key(|(ids, _)| *ids);
        merges.extend(merges_of_token.into_iter().map(|(_, merge)| merge));
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then((b.1, b.2).cmp(&(a.1, a.2))));
    let pairs = merges.into_iter().map(|(_, _, _, left, right)| json!([left, right]));
    Value::Array(pairs.collect())
}

/// Returns the tokens that are matched in a text before merging.
fn added_tokens(gguf: &GgufFile, tokens: &[String]) -> Vec<Value> {
    let kinds = gguf.numbers("tokenizer.ggml.token_type").unwrap_or(&[]);
    // llama.cpp treats end tokens as control tokens, whatever their type.
    let ends = end_tokens(gguf, tokens);
    let one = |(id, (token, kind)): (usize, (&String, &f64))| {
        let special = [UNKNOWN, CONTROL].contains(kind) || ends.contains(&(id as u64));
        (special || *kind == USER_DEFINED).then(|| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": special,
            })
        })
    };
    tokens.iter().zip(kinds).enumerate().filter_map(one).collect()
}

/// Returns a post-processor that adds the beginning-of-text token.
fn begin_with_bos(gguf: &GgufFile, tokens: &[String]) -> Result<Value> {
    let key = "tokenizer.ggml.bos_token_id";
    let is_sentencepiece = gguf.text("tokenizer.ggml.model") == Some("llama");
    let id = gguf.integer(key).or(is_sentencepiece.then_some(DEFAULT_BOS));
    let id = id.ok_or_else(|| gguf.missing(key))?;
    let token = usize::try_from(id).ok().and_then(|id| tokens.get(id));
    let token = token.ok_or_else(|| {
        invalid(gguf.file(), format!("'{key}' is {id}, which is not in the vocabulary"))
    })?;
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

/// Names of tokens that end a turn or a text; llama.cpp looks for the same names.
const END_TOKENS: [&str; 12] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];

/// Returns the ids of the tokens that end a text: those that the file declares and those with a
/// name in [`END_TOKENS`].
pub(in crate::lm) fn end_tokens(gguf: &GgufFile, tokens: &[String]) -> Vec<u64> {
    let keys = ["eos_token_id", "eot_token_id", "eom_token_id"];
    let named = keys.iter().filter_map(|key| gguf.integer(&format!("tokenizer.ggml.{key}")));
    let mut ends: Vec<u64> = named.collect();
    for (id, token) in tokens.iter().enumerate() {
        if END_TOKENS.contains(&token.as_str()) && !ends.contains(&(id as u64)) {
            ends.push(id as u64);
        }
    }
    ends.retain(|id| u32::try_from(*id).is_ok());
    ends
}
