//! The gold judge: tells praise from blame in finished text. It never guides, it only measures,
//! so it is of another family than the guides and learned from other labels.
//!
//! * `ngrams`: a linear model over hashed words, as the bundled pack has it.
//! * `distilbert`: a published classifier of two labels, as the paper has it.

mod distilbert;
mod ngrams;

use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use self::distilbert::DistilBert;
use self::ngrams::Ngrams;
use crate::lm::{LmError, read_text};

/// Longest `config.json` that is read.
const MAX_BYTES: u64 = 1 << 20;

/// Why a judge does not load, or cannot judge.
#[derive(Debug, Error)]
pub enum JudgeError {
    /// A file that cannot be read.
    #[error("cannot read {}: {source}; check that the judge's folder is complete", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that says something wrong.
    #[error("{}: {reason}", .file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Weights that are missing, damaged or of another shape.
    #[error(transparent)]
    Weights(#[from] LmError),
}

/// A judge of finished text.
#[derive(Debug, Clone)]
pub struct Judge(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Ngrams(Ngrams),
    DistilBert(DistilBert),
}

impl Judge {
    /// Reads a judge's folder: `config.json` says of which kind it is.
    ///
    /// # Errors
    /// A file that is missing or damaged, a kind of judge that is not known, weights of another
    /// shape than the configuration says.
    pub fn load(folder: &Path) -> Result<Self, JudgeError> {
        let file = folder.join("config.json");
        let config = read_config(&file)?;
        let kind = match config.get("model_type").and_then(Value::as_str) {
            Some("distilbert") => Kind::DistilBert(DistilBert::load(folder, &config)?),
            Some(other) => {
                let reason = format!(
                    "a judge of the family '{other}' is not known; choose a DistilBERT classifier \
                     of two labels"
                );
                return Err(JudgeError::Invalid { file, reason });
            }
            None => Kind::Ngrams(Ngrams::load(folder, config)?),
        };
        Ok(Self(kind))
    }

    /// The gold reward of a text, prompt and response together: log p(positive) − log
    /// p(negative), natural logarithm.
    ///
    /// # Errors
    /// What the tensor library reports.
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
