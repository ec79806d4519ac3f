//! Value models: a decoder trunk with a value head on its hidden states.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::config::LmConfig;
use super::cpu::dot;
use super::decoder::Lm;
use super::error::{LmError, Result};
use super::model_files::open;
use super::precision::Precision;
use super::weights::Weights;

/// A decoder trunk with a value head: one value per position, for the text up to that position.
#[derive(Clone)]
pub struct ValueModel {
    trunk: Lm,
    head: Head,
}

#[derive(Clone)]
enum Head {
    /// V(y≤t) = w·h_t + b, `w` `[hidden]`.
    State { weight: Arc<[f32]>, bias: f32 },
    /// V(y≤t) = w[y_t]·h_{t−1}, `w` `[vocab, hidden]`. One pass values every next token, as in the
    /// checkpoints of Liu et al. 2024 (arXiv 2409.17819).
    NextToken { weight: Arc<[f32]> },
}

/// Names of TRL's value head in its checkpoints.
const TRL_HEADS: [&str; 2] = ["v_head.summary", "pretrained_model.v_head.summary"];

impl ValueModel {
    /// Loads a value model from a folder. Its `model.safetensors` must contain one of these heads:
    ///
    /// * `score.weight` `[1, hidden]`: `...ForSequenceClassification` with one label.
    /// * `v_head.summary.weight` `[1, hidden]` and `.bias` `[1]`: TRL.
    /// * `score_head.weight` `[vocab, hidden]`: the checkpoints of Liu et al. 2024.
    ///
    /// # Errors
    /// Same as [`Lm::load`]; also if the folder has no such head or the head has the wrong shape.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        Self::load_as(dir, None, device)
    }

    /// Loads a value model as [`ValueModel::load`] does, with the trunk in the given precision.
    /// `None` selects f32 for a folder and Q8_0 for a GGUF file.
    ///
    /// # Errors
    /// Same as [`ValueModel::load`].
    pub fn load_as(path: &Path, precision: Option<Precision>, device: &Device) -> Result<Self> {
        let (config, weights) = open(path, precision, device)?;
        Self::from_weights(config, &weights, device)
    }

    /// Builds a value model from opened weights.
    ///
    /// # Errors
    /// Same as [`ValueModel::load`].
    pub fn from_weights(config: LmConfig, weights: &Weights, device: &Device) -> Result<Self> {
        let head = Head::find(&config, weights)?;
        Ok(Self { trunk: Lm::from_weights(config, weights, device)?, head })
    }

    /// Loads only a head, by the names listed in [`ValueModel::load`], and puts it on a loaded
    /// trunk. The trunk is shared, not copied.
    ///
    /// # Errors
    /// Fails if the folder has no such head or the head has the wrong shape.
    pub fn on_trunk(trunk: &Lm, dir: &Path) -> Result<Self> {
        let head = Head::find(trunk.config(), &Weights::load(dir, &Device::Cpu)?)?;
        Ok(Self { trunk: trunk.clone(), head })
    }

    /// Checks that a folder contains a head, by the names listed in [`ValueModel::load`], that
    /// fits a trunk of this configuration.
    ///
    /// # Errors
    /// Fails if the folder has no such head or the head has the wrong shape.
    pub(crate) fn check_head(config: &LmConfig, dir: &Path) -> Result<()> {
        Head::find(config, &Weights::load(dir, &Device::Cpu)?).map(drop)
    }

    /// Returns the trunk. Its [`Lm::prefill`] and [`Lm::forward`] return the hidden states.
    pub fn trunk(&self) -> &Lm {
        &self.trunk
    }

    /// Returns the number of last tokens whose hidden states [`ValueModel::value`] needs: 1, or 2
    /// for a head that reads the hidden state before the last token.
    pub fn tokens_needed(&self) -> usize {
        match self.head {
            Head::State { .. } => 1,
            Head::NextToken { .. } => 2,
        }
    }

    /// Returns whether one pass values every next token, see [`ValueModel::next_values`].
    pub fn values_next_tokens(&self) -> bool {
        matches!(self.head, Head::NextToken { .. })
    }

    /// Returns V of every next token, `[rows][vocab]`, from the hidden states after the last tokens,
    /// `[rows, hidden]`. Returns `None` if the head does not value next tokens.
    ///
    /// # Errors
    /// Fails if the shape is wrong.
    pub fn next_values(&self, states: &Tensor) -> Result<Option<Vec<Vec<f32>>>> {
        let Head::NextToken { weight } = &self.head else { return Ok(None) };
        self.check_states(states)?;
        let width = self.trunk.config().hidden_size;
        let rows: Vec<Vec<f32>> = states.to_vec2()?;
        let of = |state: &Vec<f32>| weight.chunks_exact(width).map(|w| dot(state, w)).collect();
        Ok(Some(rows.par_iter().map(of).collect()))
    }

    /// Returns the value of each text from the hidden states after their last tokens,
    /// `[rows, hidden]`. The head must need only one token.
    ///
    /// # Errors
    /// Fails if the shape is wrong, or the head needs more than one token.
    pub fn values(&self, states: &Tensor) -> Result<Vec<f32>> {
        let Head::State { weight, bias } = &self.head else {
            return Err(LmError::Call(
                "this value head needs the hidden states of the last two tokens".to_owned(),
            ));
        };
        self.check_states(states)?;
        let rows: Vec<Vec<f32>> = states.to_vec2()?;
        Ok(rows.iter().map(|state| dot(state, weight) + bias).collect())
    }

    fn check_states(&self, states: &Tensor) -> Result<()> {
        let width = self.trunk.config().hidden_size;
        match states.dims() {
            [_, found] if *found == width => Ok(()),
            other => {
                Err(LmError::Call(format!("expected hidden states [rows, {width}], got {other:?}")))
            }
        }
    }

    /// Returns the value of a text from its last T `tokens` and their hidden states,
    /// `[T, hidden]`.
    ///
    /// # Errors
    /// Fails if the shape is wrong, or T is smaller than [`ValueModel::tokens_needed`].
    pub fn value(&self, hidden: &Tensor, tokens: &[u32]) -> Result<f32> {
        let width = self.trunk.config().hidden_size;
        let needed = self.tokens_needed();
        if hidden.dims() != [tokens.len(), width] || tokens.len() < needed {
            let problem = format!(
                "expected hidden states [{}, {width}] of at least {needed} tokens, got {:?}",
                tokens.len(),
                hidden.dims()
            );
            return Err(LmError::Call(problem));
        }
        let state = hidden.get(tokens.len() - needed)?.to_vec1::<f32>()?;
        match &self.head {
            Head::State { weight, bias } => Ok(dot(&state, weight) + bias),
            Head::NextToken { weight } => {
                let last = tokens.last().copied().unwrap_or(0) as usize;
                let row = weight.get(last * width..(last + 1) * width);
                let row = row.ok_or(LmError::Token {
                    token: last as u32,
                    vocab_size: weight.len() / width.max(1),
                })?;
                Ok(dot(&state, row))
            }
        }
    }
}

impl Head {
    fn find(config: &LmConfig, weights: &Weights) -> Result<Self> {
        let one_row = [1, config.hidden_size];
        let host = |tensor: Tensor| -> Result<Arc<[f32]>> {
            Ok(tensor.flatten_all()?.to_vec1::<f32>()?.into())
        };
        for name in TRL_HEADS {
            if weights.contains(&format!("{name}.weight")) {
                let weight = host(weights.get(&format!("{name}.weight"), &one_row)?)?;
                let bias = weights.get(&format!("{name}.bias"), &[1])?.to_vec1::<f32>()?;
                return Ok(Self::State { weight, bias: bias.first().copied().unwrap_or(0.0) });
            }
        }
        if weights.contains("score_head.weight") {
            let table = [config.vocab_size, config.hidden_size];
            return Ok(Self::NextToken {
                weight: host(weights.get("score_head.weight", &table)?)?,
            });
        }
        Ok(Self::State { weight: host(weights.get("score.weight", &one_row)?)?, bias: 0.0 })
    }
}
