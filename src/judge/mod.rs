//! The gold judge classifies a finished text as positive or negative. It is used only to measure,
//! never to guide, so it has another architecture than the guides and was trained on other labels.
//!
//! * `ngrams`: a linear model over hashed word n-grams, used by the bundled pack.
//! * `distilbert`: a published classifier with two labels, used by the paper.

mod distilbert;
mod error;
mod ngrams;

use std::path::Path;

use serde_json::Value;

use self::distilbert::DistilBert;
pub use self::error::JudgeError;
use self::ngrams::Ngrams;
use crate::lm::read_text;

/// Maximum size of `config.json`, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A judge of finished text.
#[derive(Debug, Clone)]
pub struct Judge(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Ngrams(Ngrams),
    DistilBert(DistilBert),
}

impl Judge {
    /// Loads a judge from `folder`. Field `model_type` of `config.json` selects the kind of judge.
    ///
    /// # Errors
    /// Fails if a file is missing or damaged, the kind is unknown, or the shape of the weights does
    /// not match the configuration.
    pub fn load(folder: &Path) -> Result<Self, JudgeError> {
        let file = folder.join("config.json");
        let config = read_config(&file)?;
        let kind = match config.get("model_type").and_then(Value::as_str) {
            Some("distilbert") => Kind::DistilBert(DistilBert::load(folder, &config)?),
            Some(other) => {
                let reason = format!(
                    "field 'model_type': '{other}' is not known; choose a DistilBERT classifier \
                     with two labels"
                );
                return Err(JudgeError::Invalid { file, reason });
            }
            None => Kind::Ngrams(Ngrams::load(folder, config)?),
        };
        Ok(Self(kind))
    }

    /// Returns the gold reward of `text`, which is prompt and response together: log p(positive) −
    /// log p(negative), natural logarithm.
    ///
    /// # Errors
    /// Fails if the tokenizer or the tensor library fails.
    pub fn gold_reward(&self, text: &str) -> Result<f32, JudgeError> {
        match &self.0 {
            Kind::Ngrams(judge) => Ok(judge.log_odds(text)),
            Kind::DistilBert(judge) => judge.log_odds(text),
        }
    }
}

fn read_config(file: &Path) -> Result<Value, JudgeError> {
    let text = read_text(file, MAX_BYTES)?;
    serde_json::from_str(&text)
        .map_err(|e| JudgeError::Invalid { file: file.to_owned(), reason: e.to_string() })
}
