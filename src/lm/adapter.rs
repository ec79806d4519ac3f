//! Low-rank adapters (LoRA; Hu et al. 2021, arXiv 2106.09685) in PEFT's folder format:
//! `adapter_config.json` and `adapter_model.safetensors`, or `adapter_model.bin` before PEFT 0.7.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;

use super::arch;
use super::config::LmConfig;
use super::error::{LmError, Result, invalid};
use super::fields::Fields;
use super::json_file::read_json;
use super::model_files::open;
use super::weights::{LowRank, Weights};

/// A linear layer of a block that an adapter can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Queries,
    Keys,
    Values,
    /// Queries, keys and values in one matrix, as in GPT-2.
    Qkv,
    Output,
    Gate,
    Up,
    Down,
}

/// The low-rank updates of one adapter.
pub(super) struct Adapter {
    parts: HashMap<(usize, Target), LowRank>,
}

/// Maximum scale of an adapter; real adapters stay below 100.
const MAX_SCALE: f64 = 1e4;

/// Fields of `adapter_config.json` that change an adapter beyond plain LoRA: different ranks or
/// scales for some layers, fully trained layers or tokens, activation from a given token on, or
/// other products.
const UNSUPPORTED_FIELDS: [&str; 12] = [
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "arrow_config",
    "use_bdlora",
    "kasa_config",
    "monteclora_config",
    "velora_config",
];

/// Values of `init_lora_weights` that do not change the weights of the base model. Other methods,
/// such as "pissa" and "olora", move a part of the base weights into the adapter, and PEFT repeats
/// this each time it loads the adapter.
const SUPPORTED_INITIALISATIONS: [&str; 4] = ["gaussian", "eva", "orthogonal", "true"];

/// Name endings of base model tensors that PEFT may save with the adapter.
const COPIED_TENSORS: [&str; 3] = ["embed_tokens.weight", "lm_head.weight", "wte.weight"];

/// Prefix of the tensor names that PEFT writes.
const PREFIX: &str = "base_model.model.";

impl Adapter {
    /// Loads an adapter for a model with the configuration `config`. `base` is the path of the
    /// model's own files, if known.
    ///
    /// # Errors
    /// The error names the file and the unsupported setting, or the tensor that is missing, has the
    /// wrong shape or does not belong to this model.
    pub(super) fn load(dir: &Path, config: &LmConfig, base: Option<&Path>) -> Result<Self> {
        let file = dir.join("adapter_config.json");
        let json = read_json(&file)?;
        let (rank, scale) = rank_and_scale(&Fields::new(&json, &file)?)?;
        let weights = Weights::adapter(dir)?;
        let mut parts = HashMap::new();
        let mut names = weights.names();
        names.sort_unstable();
        for name in names {
            let Some(stem) = name.strip_suffix(".lora_A.weight") else {
                if COPIED_TENSORS.iter().any(|end| name.ends_with(end)) {
                    check_copy(&weights, name, base)?;
                } else {
                    check_lora_b(&weights, name)?;
                }
                continue;
            };
            let target = parse_target(stem).filter(|(layer, _)| *layer < config.layers);
            let (layer, target) = target.ok_or_else(|| unknown_tensor(&weights, name))?;
            let (outputs, inputs) = target.dims(config);
            let up = weights.get(&format!("{stem}.lora_B.weight"), &[outputs, rank])?;
            let down = weights.get(name, &[rank, inputs])?;
            let part = LowRank { down: Arc::new(down), up: Arc::new((up * scale)?) };
            parts.insert((layer, target), part);
        }
        if parts.is_empty() {
            let problem = "contains no LoRA weights".to_owned();
            return Err(invalid(weights.file(), problem));
        }
        Ok(Self { parts })
    }

    /// Returns the update of one linear layer of block `layer`, or `None` if it is unchanged.
    pub(super) fn update(&self, layer: usize, target: Target) -> Option<&LowRank> {
        self.parts.get(&(layer, target))
    }

    /// Returns the number of weights.
    pub(super) fn parameters(&self) -> usize {
        let count = |part: &LowRank| part.down.elem_count() + part.up.elem_count();
        self.parts.values().map(count).sum()
    }
}

/// Checks that the folder `dir` contains an adapter for the model at `base` with the configuration
/// `config`.
///
/// # Errors
/// The error names the file and the unsupported setting, or the tensor that is missing, has the
/// wrong shape or does not belong to the model.
pub fn check_adapter(dir: &Path, config: &LmConfig, base: &Path) -> Result<()> {
    Adapter::load(dir, config, Some(base)).map(drop)
}

impl Target {
    /// Returns the outputs and inputs of the layer.
    fn dims(self, config: &LmConfig) -> (usize, usize) {
        let (width, intermediate) = (config.hidden_size, config.intermediate_size);
        let (queries, keys) = (config.heads * config.head_size, config.kv_heads * config.head_size);
        match self {
            Self::Queries => (queries, width),
            Self::Keys | Self::Values => (keys, width),
            Self::Qkv => (queries + 2 * keys, width),
            Self::Output => (width, queries),
            Self::Gate | Self::Up => (intermediate, width),
            Self::Down => (width, intermediate),
        }
    }
}

/// Returns the rank r and the scale: α / r, or α / √r if the adapter is rank-stabilised
/// (arXiv 2312.03732).
fn rank_and_scale(fields: &Fields<'_>) -> Result<(usize, f64)> {
    let unsupported = |setting: &str| {
        Err(fields.unsupported(format!("an adapter with '{setting}'"), "with plain LoRA"))
    };
    match fields.text("peft_type")? {
        Some("LORA") => {}
        other => return unsupported(other.unwrap_or("no peft_type")),
    }
    for name in ["use_dora", "lora_bias", "use_qalora"] {
        if fields.flag_or(name, false)? {
            return unsupported(name);
        }
    }
    let is_unset = |value: &serde_json::Value| match value {
        serde_json::Value::Array(list) => list.is_empty(),
        serde_json::Value::Object(fields) => fields.is_empty(),
        other => *other == serde_json::Value::Bool(false),
    };
    if let Some(name) =
        UNSUPPORTED_FIELDS.into_iter().find(|name| fields.get(name).is_some_and(|v| !is_unset(v)))
    {
        return unsupported(name);
    }
    let method = fields.get("init_lora_weights").and_then(|value| value.as_str());
    let is_supported =
        |method: &str| SUPPORTED_INITIALISATIONS.contains(&method.to_lowercase().as_str());
    if let Some(method) = method.filter(|method| !is_supported(method)) {
        return unsupported(&format!("init_lora_weights = {method}"));
    }
    if fields.text("bias")?.is_some_and(|bias| bias != "none") {
        return unsupported("bias");
    }
    let (rank, alpha) = (fields.size("r")?, fields.number("lora_alpha")?);
    if rank == 0 {
        return Err(fields.wrong("r", "is 0, so the adapter changes nothing".into()));
    }
    let is_stabilised = fields.flag_or("use_rslora", false)?;
    let divisor = if is_stabilised { (rank as f64).sqrt() } else { rank as f64 };
    let scale = alpha / divisor;
    if scale.is_nan() || scale.abs() > MAX_SCALE {
        let problem = format!("is {alpha}, so the scale is larger than {MAX_SCALE}");
        return Err(fields.wrong("lora_alpha", problem));
    }
    Ok((rank, scale))
}

/// Parses the block and the linear layer from a name such as
/// `base_model.model.model.layers.3.self_attn.q_proj`.
fn parse_target(stem: &str) -> Option<(usize, Target)> {
    let name = stem.strip_prefix(PREFIX)?;
    let at = ["layers.", "h."].iter().find_map(|list| {
        let at = name.find(list)?;
        let is_whole_word = at == 0 || name[..at].ends_with('.');
        is_whole_word.then_some(at + list.len())
    })?;
    let (layer, part) = name[at..].split_once('.')?;
    let target = match part {
        "self_attn.q_proj" => Target::Queries,
        "self_attn.k_proj" => Target::Keys,
        "self_attn.v_proj" => Target::Values,
        "attn.c_attn" => Target::Qkv,
        "self_attn.o_proj" | "attn.c_proj" => Target::Output,
        "mlp.gate_proj" => Target::Gate,
        "mlp.up_proj" | "mlp.c_fc" => Target::Up,
        "mlp.down_proj" | "mlp.c_proj" => Target::Down,
        _ => return None,
    };
    Some((layer.parse().ok()?, target))
}

/// Checks that `name` is a `lora_B` tensor whose `lora_A` tensor is present.
fn check_lora_b(weights: &Weights, name: &str) -> Result<()> {
    let stem = name.strip_suffix(".lora_B.weight").ok_or_else(|| unknown_tensor(weights, name))?;
    let tensor = format!("{stem}.lora_A.weight");
    if weights.contains(&tensor) {
        return Ok(());
    }
    Err(LmError::MissingTensor { file: weights.file().to_path_buf(), tensor })
}

/// Rejects a copied tensor that differs from the tensor of the base model. PEFT saves the whole
/// embedding and head if the vocabulary was changed, even if their values are the same.
fn check_copy(weights: &Weights, name: &str, base: Option<&Path>) -> Result<()> {
    let error = |reason: &str| {
        let problem = format!(
            "contains the whole tensor '{name}', {reason}; only adapters of attention and \
             feed-forward layers are supported: merge this adapter into its model with \
             merge_and_unload() in PEFT"
        );
        invalid(weights.file(), problem)
    };
    let Some(base) = base else { return Err(error("which cannot be compared with the model's")) };
    let (config, base_weights) = open(base, None, &Device::Cpu)?;
    let base_name = name.strip_prefix(PREFIX).unwrap_or(name);
    let (embedding, _, _) = arch::outer_names(config.architecture);
    // The prefix may differ in the model's files. A tied head is compared with the embedding.
    let is_head = base_name.ends_with("lm_head.weight");
    let tables = arch::prefixes(config.architecture);
    let tables = tables.iter().map(|prefix| format!("{prefix}{embedding}.weight"));
    let mut names = is_head.then(|| base_name.to_owned()).into_iter().chain(tables);
    let found = names.find(|name| base_weights.contains(name));
    let shape = weights.shape(name).unwrap_or_default();
    let has_shape = |found: &String| base_weights.shape(found).as_ref() == Some(&shape);
    let Some(found) = found.filter(has_shape) else {
        return Err(error("for which the model has no tensor of the same shape"));
    };
    let values = |weights: &Weights, name: &str| -> Result<Vec<f32>> {
        Ok(weights.get(name, &shape)?.flatten_all()?.to_vec1()?)
    };
    let (copy, model) = (values(weights, name)?, values(&base_weights, &found)?);
    // PEFT may save the copy in a different float type than the model.
    let roundings: [fn(f32) -> f32; 3] =
        [|x| x, |x| half::f16::from_f32(x).to_f32(), |x| half::bf16::from_f32(x).to_f32()];
    let equals = |round: &fn(f32) -> f32| copy.iter().zip(&model).all(|(a, b)| *a == round(*b));
    if roundings.iter().any(equals) {
        return Ok(());
    }
    let is_gguf = base_weights.is_gguf();
    Err(error(if is_gguf {
        "which cannot be compared with a quantised model's"
    } else {
        "which is not the model's own"
    }))
}

fn unknown_tensor(weights: &Weights, name: &str) -> LmError {
    LmError::Unsupported {
        file: weights.file().to_path_buf(),
        feature: format!("the adapter's tensor '{name}'"),
        instead: "whose adapter changes only attention and feed-forward layers of this model"
            .into(),
    }
}
