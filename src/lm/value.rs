//! Models that value text: a trunk and a linear head on its hidden states.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::config::LmConfig;
use super::cpu::dot;
use super::error::{LmError, Result};
use super::llama::Lm;
use super::weights::Weights;

/// A trunk with a head that gives one number a position: the value of the text up to there.
#[derive(Clone)]
pub struct ValueModel {
    trunk: Lm,
    /// `[hidden]`
    head: Arc<[f32]>,
    bias: f32,
}

impl ValueModel {
    /// Loads a folder whose `model.safetensors` holds `score.weight` `[1, hidden]` (a
    /// `LlamaForSequenceClassification` with one label) or TRL's `v_head.summary.weight` and
    /// `.bias`.
    ///
    /// # Errors
    /// As [`Lm::load`], and a sentence when there is no such head.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        let config = LmConfig::load(dir)?;
        Self::from_weights(config, &Weights::load(dir, device)?, device)
    }

    /// A value model from weights already read.
    ///
    /// # Errors
    /// As [`ValueModel::load`].
    pub fn from_weights(config: LmConfig, weights: &Weights, device: &Device) -> Result<Self> {
        let shape = [1, config.hidden_size];
        let (head, bias) = if weights.contains("v_head.summary.weight") {
            let head = weights.get("v_head.summary.weight", &shape)?;
            let bias = weights.get("v_head.summary.bias", &[1])?.to_vec1::<f32>()?;
            (head, bias.first().copied().unwrap_or(0.0))
        } else if weights.contains("score_head.weight") {
            return Err(LmError::Unsupported {
                file: weights.file().to_path_buf(),
                what: "a value head 'score_head.weight' over the vocabulary".into(),
                instead: "with a head 'score.weight' of one row".into(),
            });
        } else {
            (weights.get("score.weight", &shape)?, 0.0)
        };
        let head = head.flatten_all()?.to_vec1::<f32>()?.into();
        Ok(Self { trunk: Lm::from_weights(config, weights, device)?, head, bias })
    }

    /// The model under the head; its [`Lm::prefill`] and [`Lm::forward`] give hidden states.
    pub fn trunk(&self) -> &Lm {
        &self.trunk
    }

    /// The value of the text up to each of these hidden states `[N, hidden]`.
    ///
    /// # Errors
    /// When the shape is another.
    pub fn values(&self, hidden: &Tensor) -> Result<Vec<f32>> {
        let width = self.head.len();
        if hidden.rank() != 2 || hidden.dim(1)? != width {
            let problem = format!("hidden states {:?} given, [N, {width}] needed", hidden.dims());
            return Err(LmError::Call(problem));
        }
        let hidden = hidden.flatten_all()?.to_vec1::<f32>()?;
        Ok(hidden.chunks_exact(width).map(|row| dot(row, &self.head) + self.bias).collect())
    }
}
