//! Low-rank adapters (Hu et al. 2021, arXiv 2106.09685) in the folders that PEFT writes:
//! `adapter_config.json` and `adapter_model.safetensors` or, before PEFT 0.7, `adapter_model.bin`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;

use super::arch;
use super::config::LmConfig;
use super::error::{LmError, Result};
use super::fields::Fields;
use super::model_files::open;
use super::weights::{LowRank, Weights, invalid, read_json};

/// A map of a block that an adapter may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Target {
    Queries,
    Keys,
    Values,
    /// All three, as GPT-2 keeps them.
    Qkv,
    Output,
    Gate,
    Up,
    Down,
}

/// What an adapter adds to the maps of a model.
pub(super) struct Adapter {
    parts: HashMap<(usize, Target), LowRank>,
}

/// The most that an adapter may be multiplied by: real ones stay below 100.
const MAX_SCALE: f64 = 1e4;

/// What PEFT sets where an adapter is more than a product added to a map: other ranks or scales for
/// some maps, whole layers or tokens trained, activation from some token on, other products.
const KINDS: [&str; 12] = [
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

/// Ways of initialising an adapter that leave the base's weights as they are. Others, such as
/// "pissa" and "olora", move a part of the base's weights into the adapter, and PEFT does so again
/// whenever it loads one.
const INITIALISATIONS: [&str; 4] = ["gaussian", "eva", "orthogonal", "true"];

/// Tensors of the base that PEFT may copy beside the adapter, by the end of their names.
const COPIES: [&str; 3] = ["embed_tokens.weight", "lm_head.weight", "wte.weight"];

/// What PEFT's names begin with.
const PREFIX: &str = "base_model.model.";

impl Adapter {
    /// Loads an adapter for a model of shape `config`, whose own files are at `base`.
    ///
    /// # Errors
    /// A sentence naming the file and the setting that is not supported, or the tensor that is
    /// missing, of another shape, or not one of this model.
    pub fn load(dir: &Path, config: &LmConfig, base: Option<&Path>) -> Result<Self> {
        let file = dir.join("adapter_config.json");
        let json = read_json(&file)?;
        let (rank, scale) = rank_and_scale(&Fields::new(&json, &file)?)?;
        let weights = Weights::adapter(dir)?;
        let mut parts = HashMap::new();
        let mut names = weights.names();
        names.sort_unstable();
        for name in names {
            let Some(stem) = name.strip_suffix(".lora_A.weight") else {
                if COPIES.iter().any(|end| name.ends_with(end)) {
                    check_copy(&weights, name, base)?;
                } else {
                    check_half(&weights, name)?;
                }
                continue;
            };
            let place = place(stem).filter(|(layer, _)| *layer < config.layers);
            let (layer, target) = place.ok_or_else(|| unknown(&weights, name))?;
            let (outputs, inputs) = target.dims(config);
            let up = weights.get(&format!("{stem}.lora_B.weight"), &[outputs, rank])?;
            let down = weights.get(name, &[rank, inputs])?;
            let part = LowRank { down: Arc::new(down), up: Arc::new((up * scale)?) };
            parts.insert((layer, target), part);
        }
        if parts.is_empty() {
            let problem = "holds no adapter: nothing in it changes the model".to_owned();
            return Err(invalid(weights.file(), problem));
        }
        Ok(Self { parts })
    }

    /// What is added to a map of `layer`.
    pub fn part(&self, layer: usize, target: Target) -> Option<&LowRank> {
        self.parts.get(&(layer, target))
    }

    /// Number of weights.
    pub fn parameters(&self) -> usize {
        let of = |part: &LowRank| part.down.elem_count() + part.up.elem_count();
        self.parts.values().map(of).sum()
    }
}

/// Whether the folder `dir` holds an adapter for the model at `base`, which has this shape.
///
/// # Errors
/// A sentence naming the file and the setting that is not supported, or the tensor that is missing,
/// of another shape, or not one of such a model.
pub fn check_adapter(dir: &Path, config: &LmConfig, base: &Path) -> Result<()> {
    Adapter::load(dir, config, Some(base)).map(drop)
}

impl Target {
    fn dims(self, config: &LmConfig) -> (usize, usize) {
        let (width, inside) = (config.hidden_size, config.intermediate_size);
        let (queries, keys) = (config.heads * config.head_size, config.kv_heads * config.head_size);
        match self {
            Self::Queries => (queries, width),
            Self::Keys | Self::Values => (keys, width),
            Self::Qkv => (queries + 2 * keys, width),
            Self::Output => (width, queries),
            Self::Gate | Self::Up => (inside, width),
            Self::Down => (width, inside),
        }
    }
}

/// r, and α / r, or α / √r where the adapter is rank-stabilised (arXiv 2312.03732).
fn rank_and_scale(fields: &Fields<'_>) -> Result<(usize, f64)> {
    let refuse = |what: &str| {
        Err(fields.unsupported(format!("an adapter with '{what}'"), "with plain LoRA"))
    };
    match fields.text("peft_type")? {
        Some("LORA") => {}
        other => return refuse(other.unwrap_or("no peft_type")),
    }
    for name in ["use_dora", "lora_bias", "use_qalora"] {
        if fields.flag_or(name, false)? {
            return refuse(name);
        }
    }
    let is_unset = |value: &serde_json::Value| match value {
        serde_json::Value::Array(list) => list.is_empty(),
        serde_json::Value::Object(fields) => fields.is_empty(),
        other => *other == serde_json::Value::Bool(false),
    };
    if let Some(name) =
        KINDS.into_iter().find(|name| fields.get(name).is_some_and(|v| !is_unset(v)))
    {
        return refuse(name);
    }
    let start = fields.get("init_lora_weights").and_then(|value| value.as_str());
    let is_plain = |start: &str| INITIALISATIONS.contains(&start.to_lowercase().as_str());
    if let Some(start) = start.filter(|start| !is_plain(start)) {
        return refuse(&format!("init_lora_weights = {start}"));
    }
    if fields.text("bias")?.is_some_and(|bias| bias != "none") {
        return refuse("bias");
    }
    let (rank, alpha) = (fields.size("r")?, fields.number("lora_alpha")?);
    if rank == 0 {
        return Err(fields.wrong("r", "is 0, so the adapter changes nothing".into()));
    }
    let stabilised = fields.flag_or("use_rslora", false)?;
    let by = if stabilised { (rank as f64).sqrt() } else { rank as f64 };
    let scale = alpha / by;
    if scale.is_nan() || scale.abs() > MAX_SCALE {
        let problem = format!("is {alpha}, which makes a scale beyond {MAX_SCALE}");
        return Err(fields.wrong("lora_alpha", problem));
    }
    Ok((rank, scale))
}

/// Layer and map of a name such as `base_model.model.model.layers.3.self_attn.q_proj`.
fn place(stem: &str) -> Option<(usize, Target)> {
    let name = stem.strip_prefix(PREFIX)?;
    let at = ["layers.", "h."].iter().find_map(|list| {
        let at = name.find(list)?;
        let whole = at == 0 || name[..at].ends_with('.');
        whole.then_some(at + list.len())
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

/// Whether `name` is the second half of a part, whose first half is there, too.
fn check_half(weights: &Weights, name: &str) -> Result<()> {
    let stem = name.strip_suffix(".lora_B.weight").ok_or_else(|| unknown(weights, name))?;
    let tensor = format!("{stem}.lora_A.weight");
    if weights.contains(&tensor) {
        return Ok(());
    }
    Err(LmError::MissingTensor { file: weights.file().to_path_buf(), tensor })
}

/// Refuses a tensor beside the adapter that is not the base's own once more: PEFT saves embedding
/// and head whole when the vocabulary was touched, whether or not they changed.
fn check_copy(weights: &Weights, name: &str, base: Option<&Path>) -> Result<()> {
    let differs = |what: &str| {
        let problem = format!(
            "holds the whole tensor '{name}', {what}; only adapters of attention and feed-forward \
             maps are supported: merge this one into its model with merge_and_unload() in PEFT"
        );
        invalid(weights.file(), problem)
    };
    let Some(base) = base else { return Err(differs("which cannot be compared with the model's")) };
    let (config, held) = open(base, None, &Device::Cpu)?;
    let own = name.strip_prefix(PREFIX).unwrap_or(name);
    let (embedding, _, _) = arch::outer_names(config.architecture);
    // The model's files may have another prefix, and a tied head is the embedding.
    let is_head = own.ends_with("lm_head.weight");
    let tables = arch::prefixes(config.architecture);
    let tables = tables.iter().map(|prefix| format!("{prefix}{embedding}.weight"));
    let mut names = is_head.then(|| own.to_owned()).into_iter().chain(tables);
    let found = names.find(|name| held.contains(name));
    let shape = weights.shape(name).unwrap_or_default();
    let Some(found) = found.filter(|found| held.shape(found).as_ref() == Some(&shape)) else {
        return Err(differs("which has no counterpart of its shape in the model"));
    };
    let values = |weights: &Weights, name: &str| -> Result<Vec<f32>> {
        Ok(weights.get(name, &shape)?.flatten_all()?.to_vec1()?)
    };
    let (copy, model) = (values(weights, name)?, values(&held, &found)?);
    // PEFT may save the copy in another type than the model's.
    let forms: [fn(f32) -> f32; 3] =
        [|x| x, |x| half::f16::from_f32(x).to_f32(), |x| half::bf16::from_f32(x).to_f32()];
    let equals = |form: &fn(f32) -> f32| copy.iter().zip(&model).all(|(a, b)| *a == form(*b));
    if forms.iter().any(equals) {
        return Ok(());
    }
    let is_gguf = held.is_gguf();
    Err(differs(if is_gguf {
        "which cannot be compared with a quantised model's"
    } else {
        "which is not the model's own"
    }))
}

fn unknown(weights: &Weights, name: &str) -> LmError {
    LmError::Unsupported {
        file: weights.file().to_path_buf(),
        what: format!("the adapter's tensor '{name}'"),
        instead: "whose adapter changes attention and feed-forward maps of this very model".into(),
    }
}
