//! Models that value text: a trunk and a head on its hidden states.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};

use super::config::LmConfig;
use super::cpu::dot;
use super::decoder::Lm;
use super::error::{LmError, Result};
use super::model_files::open;
use super::weights::{Precision, Weights};

/// A trunk with a head that gives one number a position: the value of the text up to there.
#[derive(Clone)]
pub struct ValueModel {
    trunk: Lm,
    head: Head,
}

/// Where the value is read off.
#[derive(Clone)]
enum Head {
    /// V(y≤t) = w·h_t + b, `w` `[hidden]`.
    State { weight: Arc<[f32]>, bias: f32 },
    /// V(y≤t) = w[y_t]·h_{t−1}, `w` `[vocab, hidden]`: one pass values every next token, as the
    /// checkpoints of Liu et al. 2024 (arXiv 2409.17819) do.
    NextToken { weight: Arc<[f32]> },
}

/// TRL's head, at the names it has been kept under.
const TRL_HEADS: [&str; 2] = ["v_head.summary", "pretrained_model.v_head.summary"];

impl ValueModel {
    /// Loads a folder whose `model.safetensors` holds one of
    ///
    /// * `score.weight` `[1, hidden]`, as `...ForSequenceClassification` with one label has it,
    /// * `v_head.summary.weight` `[1, hidden]` and `.bias` `[1]`, as TRL has it,
    /// * `score_head.weight` `[vocab, hidden]`, as the paper's checkpoints have it.
    ///
    /// # Errors
    /// As [`Lm::load`], and a sentence when there is no such head or it is of another shape.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        Self::load_as(dir, None, device)
    }

    /// As [`ValueModel::load`], the trunk held as `precision` says, where it says something.
    ///
    /// # Errors
    /// As [`ValueModel::load`].
    pub fn load_as(path: &Path, precision: Option<Precision>, device: &Device) -> Result<Self> {
        let (config, weights) = open(path, precision, device)?;
        Self::from_weights(config, &weights, device)
    }

    /// A value model from weights already read.
    ///
    /// # Errors
    /// As [`ValueModel::load`].
    pub fn from_weights(config: LmConfig, weights: &Weights, device: &Device) -> Result<Self> {
        let head = Head::find(&config, weights)?;
        Ok(Self { trunk: Lm::from_weights(config, weights, device)?, head })
    }

    /// A head, as [`ValueModel::load`] finds it in a folder's `model.safetensors`, on a trunk
    /// that is loaded already. The trunk is shared, not copied.
    ///
    /// # Errors
    /// When the folder has no such head or it is of another shape.
    pub fn on_trunk(trunk: &Lm, dir: &Path) -> Result<Self> {
        let head = Head::find(trunk.config(), &Weights::load(dir, &Device::Cpu)?)?;
        Ok(Self { trunk: trunk.clone(), head })
    }

    /// Whether a folder holds a head, as [`ValueModel::load`] finds it, for a trunk of this shape.
    ///
    /// # Errors
    /// When the folder has no such head or it is of another shape.
    pub fn check_head(config: &LmConfig, dir: &Path) -> Result<()> {
        Head::find(config, &Weights::load(dir, &Device::Cpu)?).map(drop)
    }

    /// The model under the head; its [`Lm::prefill`] and [`Lm::forward`] give hidden states.
    pub fn trunk(&self) -> &Lm {
        &self.trunk
    }

    /// How many of a text's last tokens must be read together to value it: 1, or 2 for a head
    /// that reads the state before the last token.
    pub fn tokens_needed(&self) -> usize {
        match self.head {
            Head::State { .. } => 1,
            Head::NextToken { .. } => 2,
        }
    }

    /// The values of texts from the states after their last tokens, `[rows, hidden]`, for a head
    /// that needs one token alone.
    ///
    /// # Errors
    /// When the shape is another, or the head needs more.
    pub fn values(&self, states: &Tensor) -> Result<Vec<f32>> {
        let Head::State { weight, bias } = &self.head else {
            return Err(LmError::Call("a head of next tokens needs the last two".to_owned()));
        };
        let width = self.trunk.config().hidden_size;
        match states.dims() {
            [_, found] if *found == width => {}
            other => {
                let problem = format!("states {other:?} given, rows of width {width} needed");
                return Err(LmError::Call(problem));
            }
        }
        let rows: Vec<Vec<f32>> = states.to_vec2()?;
        Ok(rows.iter().map(|state| dot(state, weight) + bias).collect())
    }

    /// The value of a text from the hidden states of its last tokens, `[T, hidden]`, and those
    /// tokens, T of them.
    ///
    /// # Errors
    /// When the shape is another, or there are fewer than [`ValueModel::tokens_needed`].
    pub fn value(&self, hidden: &Tensor, tokens: &[u32]) -> Result<f32> {
        let width = self.trunk.config().hidden_size;
        let needed = self.tokens_needed();
        if hidden.dims() != [tokens.len(), width] || tokens.len() < needed {
            let problem = format!(
                "hidden states {:?} of {} tokens given, {needed} tokens or more of width {width} \
                 needed",
                hidden.dims(),
                tokens.len()
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
