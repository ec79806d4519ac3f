//! A DistilBERT classifier with two labels (Sanh et al. 2019, arXiv 1910.01108), such as the
//! paper's judge `lvwerra/distilbert-imdb`. The encoder is candle's. The head follows
//! `transformers`:
//!
//! ```text
//! logits = W₂ relu(W₁ h_[CLS] + b₁) + b₂,   gold reward = logit(positive) − logit(negative)
//! ```
//!
//! candle's encoder uses the tanh approximation of GELU, the published model the exact form. The
//! golden test (`tests/lab/judge.rs`) therefore allows a difference of 0.02 in the log-odds.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, IndexOp, Module, Tensor};
use candle_nn::{Linear, VarBuilder};
use candle_transformers::models::distilbert::{Config, DistilBertModel};
use serde_json::Value;
use tokenizers::Tokenizer;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;

use super::error::JudgeError;
use crate::lm::{LmError, MAX_JSON_BYTES, Weights, encode, read_text, read_tokenizer};

/// The judge. Clones share the weights.
#[derive(Clone)]
pub(super) struct DistilBert(Arc<Inner>);

struct Inner {
    tokenizer: Tokenizer,
    encoder: DistilBertModel,
    /// `[hidden, hidden]`
    first: Linear,
    /// `[2, hidden]`
    second: Linear,
    /// Index of the positive label, a row of `second`.
    positive: usize,
    context_tokens: usize,
}

impl fmt::Debug for DistilBert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DistilBert")
    }
}

impl DistilBert {
    /// Loads weights and tokenizer from `folder`. `json` is the content of its `config.json`.
    ///
    /// # Errors
    /// Fails if a field or file is missing, the number of labels is not two, or the weights have
    /// another shape.
    pub(super) fn load(folder: &Path, json: &Value) -> Result<Self, JudgeError> {
        let invalid = |file: &str, reason| JudgeError::Invalid { file: folder.join(file), reason };
        let config: Config = serde_json::from_value(json.clone())
            .map_err(|e| invalid("config.json", e.to_string()))?;
        let labels = json.get("id2label").and_then(Value::as_object);
        if labels.is_some_and(|labels| labels.len() != 2) {
            let reason = "field 'id2label' must name two labels, a negative and a positive one";
            return Err(invalid("config.json", reason.to_owned()));
        }
        let heads = json.get("n_heads").and_then(Value::as_u64).unwrap_or(0) as usize;
        if heads == 0 || !config.dim.is_multiple_of(heads) {
            let reason =
                format!("field 'n_heads' is {heads}, which does not divide {}", config.dim);
            return Err(invalid("config.json", reason));
        }
        let context = json.get("max_position_embeddings").and_then(Value::as_u64).unwrap_or(0);
        if context < 3 {
            let reason = "field 'max_position_embeddings' must be at least 3";
            return Err(invalid("config.json", reason.to_owned()));
        }
        let mut tokenizer = tokenizer(folder)?;
        // Padding and truncation settings in the file are for training batches.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| invalid("tokenizer.json", e.to_string()))?;
        let weights = Weights::load(folder, &Device::Cpu)?;
        let linear = |name: &str, outputs: usize| -> Result<Linear, LmError> {
            let weight = weights.get(&format!("{name}.weight"), &[outputs, config.dim])?;
            Ok(Linear::new(weight, Some(weights.get(&format!("{name}.bias"), &[outputs])?)))
        };
        let (first, second) = (linear("pre_classifier", config.dim)?, linear("classifier", 2)?);
        let tensors =
            VarBuilder::from_tensors(weights.with_prefix("distilbert.")?, DType::F32, &Device::Cpu);
        let encoder = DistilBertModel::load(tensors.pp("distilbert"), &config).map_err(|e| {
            // The message may contain a backtrace after the first line.
            let message = e.to_string();
            let first_line = message.lines().next().unwrap_or_default();
            invalid(
                "config.json",
                format!("the weights do not match this configuration: {first_line}"),
            )
        })?;
        let inner = Inner {
            tokenizer,
            encoder,
            first,
            second,
            positive: positive(labels),
            context_tokens: context as usize,
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Returns log p(positive) − log p(negative) of `text`. Text beyond the context is not read.
    ///
    /// # Errors
    /// Fails if the tokenizer or the tensor library fails.
    pub(super) fn log_odds(&self, text: &str) -> Result<f32, JudgeError> {
        let judge = &self.0;
        let failed = |e: String| LmError::Call(format!("the judge's tokenizer: {e}"));
        let encoded = encode(&judge.tokenizer, text, true).map_err(failed)?;
        let mut ids = encoded.get_ids().to_vec();
        if ids.len() > judge.context_tokens {
            // Keeps the last token, the separator.
            let separator = ids.last().copied();
            ids.truncate(judge.context_tokens - 1);
            ids.extend(separator);
        }
        let logits = judge.logits(ids).map_err(LmError::from)?;
        Ok(logits[judge.positive] - logits[1 - judge.positive])
    }
}

impl Inner {
    fn logits(&self, ids: Vec<u32>) -> candle_core::Result<[f32; 2]> {
        let count = ids.len();
        let ids = Tensor::from_vec(ids, (1, count), &Device::Cpu)?;
        // A mask of zeros attends to every token.
        let mask = ids.zeros_like()?.to_dtype(DType::U8)?.reshape((1, 1, 1, count))?;
        let states = self.encoder.forward(&ids, &mask)?;
        let pooled = self.first.forward(&states.i((.., 0))?)?.relu()?;
        let logits: Vec<f32> = self.second.forward(&pooled)?.i(0)?.to_vec1()?;
        Ok([logits[0], logits[1]])
    }
}

/// Loads `tokenizer.json`, or `vocab.txt` of older models as BERT's lower-case WordPiece.
fn tokenizer(folder: &Path) -> Result<Tokenizer, JudgeError> {
    let invalid = |file: &str, e: tokenizers::Error| JudgeError::Invalid {
        file: folder.join(file),
        reason: e.to_string(),
    };
    let vocab = folder.join("vocab.txt");
    if folder.join("tokenizer.json").is_file() || !vocab.is_file() {
        let file = "tokenizer.json";
        let text = read_text(&folder.join(file), MAX_JSON_BYTES)?;
        let json = serde_json::from_str(&text).map_err(|e| invalid(file, e.into()))?;
        let tokenizer = read_tokenizer(&json, text.as_bytes());
        let tokenizer = tokenizer.map_err(|e| invalid(file, e.into()));
        return tokenizer.map(|(mut tokenizer, _)| {
            // Control tokens written in the text are read as text.
            tokenizer.set_encode_special_tokens(true);
            tokenizer
        });
    }
    let model = WordPiece::from_file(&vocab.to_string_lossy()).build();
    let mut tokenizer = Tokenizer::new(model.map_err(|e| invalid("vocab.txt", e))?);
    let id = |token: &str| {
        let missing = || invalid("vocab.txt", format!("token {token} is missing").into());
        Ok::<_, JudgeError>((token.to_owned(), tokenizer.token_to_id(token).ok_or_else(missing)?))
    };
    let ends = BertProcessing::new(id("[SEP]")?, id("[CLS]")?);
    let normalised = tokenizer.with_normalizer(Some(BertNormalizer::default()));
    normalised.map_err(|e| invalid("vocab.txt", e))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(ends));
    Ok(tokenizer)
}

/// Returns the index of the label whose name starts with "pos", or 1 if there is none.
fn positive(labels: Option<&serde_json::Map<String, Value>>) -> usize {
    let is_positive =
        |name: &Value| name.as_str().is_some_and(|name| name.to_lowercase().starts_with("pos"));
    let found = labels.and_then(|labels| labels.iter().find(|(_, name)| is_positive(name)));
    found.and_then(|(id, _)| id.parse().ok()).filter(|&id: &usize| id < 2).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_the_positive_label_by_its_name() {
        let find = |labels: Value| positive(labels.as_object());
        assert_eq!(find(json!({"0": "NEGATIVE", "1": "POSITIVE"})), 1);
        assert_eq!(find(json!({"0": "pos", "1": "neg"})), 0);
        assert_eq!(find(json!({"0": "LABEL_0", "1": "LABEL_1"})), 1);
        assert_eq!(positive(None), 1);
    }
}
