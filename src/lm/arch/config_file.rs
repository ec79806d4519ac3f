//! Reads the configuration of a model and checks it before weights are allocated.

use std::path::Path;

use serde_json::Value;

use super::dispatch;
use crate::lm::config::{LmConfig, RopeScaling, Rotary};
use crate::lm::error::{LmError, Result};
use crate::lm::fields::Fields;
use crate::lm::gguf::GgufFile;
use crate::lm::json_file::read_json;

// No real model exceeds these sizes; a larger number means a damaged file.
const MAX_VOCAB: usize = 1 << 21;
const MAX_WIDTH: usize = 1 << 17;
const MAX_LAYERS: usize = 1 << 10;
const MAX_CONTEXT: usize = 1 << 24;
const MAX_EXPERTS: usize = 1 << 10;

impl LmConfig {
    /// Loads the configuration of the folder or GGUF file `path`. In a folder, it reads
    /// `config.json` and adds the end-of-text tokens of `generation_config.json`, if present: chat
    /// models end a turn with a token that `config.json` omits.
    ///
    /// # Errors
    /// The error names the field that is missing, impossible or not supported.
    pub fn load(path: &Path) -> Result<Self> {
        if GgufFile::is_gguf(path) {
            return GgufFile::open(path)?.config();
        }
        let file = path.join("config.json");
        let mut config = Self::from_json(&read_json(&file)?, &file)?;
        let file = path.join("generation_config.json");
        if file.is_file() {
            let json = read_json(&file)?;
            for id in Fields::new(&json, &file)?.ids("eos_token_id")? {
                if !config.eos.contains(&id) {
                    config.eos.push(id);
                }
            }
        }
        Ok(config)
    }

    /// Reads the configuration from `json`; `file` is used in messages.
    ///
    /// # Errors
    /// Same as [`LmConfig::load`].
    pub fn from_json(json: &Value, file: &Path) -> Result<Self> {
        let config = dispatch::config(&Fields::new(json, file)?)?;
        config.check(file)?;
        Ok(config)
    }

    /// Checks that all sizes and constants are possible; `file` is used in messages.
    ///
    /// # Errors
    /// [`LmError::Field`] that names the first impossible field, as the architecture's own
    /// `config.json` calls it.
    pub fn check(&self, file: &Path) -> Result<()> {
        let limits = [
            ("vocab_size", self.vocab_size, MAX_VOCAB),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, MAX_WIDTH),
            ("num_hidden_layers", self.layers, MAX_LAYERS),
            ("num_attention_heads", self.heads, MAX_WIDTH),
            ("num_key_value_heads", self.kv_heads, self.heads),
            ("head_dim", self.head_size, MAX_WIDTH),
            ("max_position_embeddings", self.context_tokens, MAX_CONTEXT),
            ("sliding_window", self.local.as_ref().map_or(1, |l| l.window_tokens), MAX_CONTEXT),
            ("num_local_experts", self.experts.map_or(1, |e| e.count), MAX_EXPERTS),
            (
                "num_experts_per_tok",
                self.experts.map_or(1, |e| e.per_token),
                self.experts.map_or(1, |e| e.count),
            ),
        ];
        for (name, value, max) in limits {
            if value == 0 || value > max {
                let problem = format!("is {value}, expected 1 to {max}");
                return Err(self.field_error(file, name, problem));
            }
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            let problem =
                format!("is {}, which does not divide the {} heads", self.kv_heads, self.heads);
            return Err(self.field_error(file, "num_key_value_heads", problem));
        }
        if !self.head_size.is_multiple_of(2) {
            let problem = format!("is {}, which is odd", self.head_size);
            return Err(self.field_error(file, "head_dim", problem));
        }
        if !(self.norm_epsilon.is_finite() && self.norm_epsilon >= 0.0) {
            return Err(self.field_error(file, "rms_norm_eps", "is negative or not finite".into()));
        }
        if !(self.attention_scale.is_finite() && self.attention_scale > 0.0) {
            let problem = "is not a positive number".into();
            return Err(self.field_error(file, "query_pre_attn_scalar", problem));
        }
        (0..self.layers).filter_map(|layer| self.rotary(layer)).try_for_each(|r| r.check(file))
    }

    /// Returns the error for a field, with the name that this architecture's files use.
    fn field_error(&self, file: &Path, name: &str, problem: String) -> LmError {
        let name = dispatch::field_name(self.architecture, name);
        LmError::Field { file: file.to_path_buf(), field: name.into(), problem }
    }
}

impl Rotary {
    fn check(&self, file: &Path) -> Result<()> {
        let wrong = |field: &str| LmError::Field {
            file: file.to_path_buf(),
            field: field.into(),
            problem: "is not a positive number".into(),
        };
        let is_positive = |x: f32| x.is_finite() && x > 0.0;
        if !is_positive(self.theta) {
            return Err(wrong("rope_theta"));
        }
        let is_valid = match &self.scaling {
            RopeScaling::None => true,
            RopeScaling::Linear(factor) => is_positive(*factor),
            RopeScaling::Divided(divisors) => divisors.iter().copied().all(is_positive),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_context_tokens,
            } => {
                [*factor, *low_freq_factor, *high_freq_factor, *original_context_tokens]
                    .into_iter()
                    .all(is_positive)
                    && low_freq_factor < high_freq_factor
            }
        };
        if is_valid { Ok(()) } else { Err(wrong("rope_scaling")) }
    }
}
