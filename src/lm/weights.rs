//! Weight files: safetensors read into memory, checked, and widened to f32.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::config::LmConfig;
use super::error::{LmError, Result};

/// Named tensors of one model, all f32, and where they came from.
pub struct Weights {
    file: PathBuf,
    tensors: HashMap<String, Tensor>,
    /// Tensors that are there but not of a float type that can be used: name and type.
    other: HashMap<String, String>,
}

impl Weights {
    /// Reads `model.safetensors` of `dir`, or the shards of `model.safetensors.index.json`.
    ///
    /// # Errors
    /// A sentence naming the file when it is missing, cut short, not safetensors, or holds a
    /// value that is no number.
    pub fn load(dir: &Path, device: &Device) -> Result<Self> {
        let single = dir.join("model.safetensors");
        let index = dir.join("model.safetensors.index.json");
        let mut weights =
            Self { file: single.clone(), tensors: HashMap::new(), other: HashMap::new() };
        if single.exists() || !index.exists() {
            weights.read_file(&single, device)?;
        } else {
            weights.file = index.clone();
            for shard in shard_names(&index)? {
                weights.read_file(&dir.join(shard), device)?;
            }
        }
        Ok(weights)
    }

    /// Tensors already in memory; they are converted to f32.
    ///
    /// # Errors
    /// When a conversion fails.
    pub fn from_tensors(tensors: HashMap<String, Tensor>, device: &Device) -> Result<Self> {
        let mut converted = HashMap::with_capacity(tensors.len());
        for (name, tensor) in tensors {
            let tensor = tensor.to_device(device)?.to_dtype(candle_core::DType::F32)?;
            converted.insert(name, tensor.contiguous()?);
        }
        Ok(Self { file: PathBuf::from("memory"), tensors: converted, other: HashMap::new() })
    }

    /// The file the tensors came from, for messages.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether a tensor of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The tensor `name`, which must have `shape`.
    ///
    /// # Errors
    /// [`LmError::MissingTensor`], [`LmError::Shape`], or [`LmError::Unsupported`] for a tensor
    /// that is stored as something else than f32, f16 or bf16.
    pub fn get(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        if let Some(dtype) = self.other.get(name) {
            return Err(LmError::Unsupported {
                file: self.file.clone(),
                what: format!("tensor '{name}' of type {dtype}"),
                instead: "whose weights are f32, f16 or bf16".into(),
            });
        }
        let tensor = self.tensors.get(name).ok_or_else(|| LmError::MissingTensor {
            file: self.file.clone(),
            tensor: name.into(),
        })?;
        if tensor.dims() != shape {
            return Err(LmError::Shape {
                file: self.file.clone(),
                tensor: name.into(),
                found: tensor.dims().to_vec(),
                expected: shape.to_vec(),
            });
        }
        Ok(tensor.clone())
    }

    fn read_file(&mut self, file: &Path, device: &Device) -> Result<()> {
        let bytes = std::fs::read(file)
            .map_err(|source| LmError::Read { file: file.to_path_buf(), source })?;
        // `deserialize` checks that the header lies inside the file and that the tensors cover
        // exactly the rest of it, so no size below can exceed what was just read.
        let parsed = SafeTensors::deserialize(&bytes)
            .map_err(|error| damaged(file, format!("not a complete safetensors file ({error})")))?;
        for (name, view) in parsed.iter() {
            let Some(values) = to_f32(&view) else {
                self.other.insert(name.to_string(), format!("{:?}", view.dtype()));
                continue;
            };
            if values.iter().any(|value| !value.is_finite()) {
                return Err(damaged(
                    file,
                    format!("tensor '{name}' holds a value that is no number"),
                ));
            }
            let tensor = Tensor::from_vec(values, view.shape(), device)?;
            self.tensors.insert(name.to_string(), tensor);
        }
        Ok(())
    }
}

/// The tensors of a Llama-shaped model, their shapes checked.
pub(super) struct ModelWeights {
    /// `[vocab, hidden]`
    pub embedding: Tensor,
    pub blocks: Vec<BlockWeights>,
    /// `[hidden]`
    pub norm: Tensor,
    /// `[vocab, hidden]`; none where it is the embedding, or where there is no such head.
    pub head: Option<Tensor>,
    /// Number of values in all.
    pub parameters: usize,
}

/// The tensors of one block: norms `[hidden]`, maps `[out, in]`.
pub(super) struct BlockWeights {
    pub attention_norm: Tensor,
    pub queries: Tensor,
    pub keys: Tensor,
    pub values: Tensor,
    pub output: Tensor,
    pub mlp_norm: Tensor,
    pub gate: Tensor,
    pub up: Tensor,
    pub down: Tensor,
}

impl ModelWeights {
    /// Picks the tensors that `config` asks for.
    ///
    /// # Errors
    /// As [`Weights::get`].
    pub fn new(config: &LmConfig, weights: &Weights) -> Result<Self> {
        let mut parameters = 0;
        let mut get = |name: &str, shape: &[usize]| {
            parameters += shape.iter().product::<usize>();
            weights.get(&format!("{name}.weight"), shape)
        };
        let width = config.hidden_size;
        let table = [config.vocab_size, width];
        let embedding = get("model.embed_tokens", &table)?;
        let has_head = !config.tied && weights.contains("lm_head.weight");
        let head = if has_head { Some(get("lm_head", &table)?) } else { None };
        let mut blocks = Vec::new();
        for layer in 0..config.layers {
            blocks.push(BlockWeights::new(config, layer, &mut get)?);
        }
        let norm = get("model.norm", &[width])?;
        Ok(Self { embedding, blocks, norm, head, parameters })
    }
}

impl BlockWeights {
    fn new(
        config: &LmConfig,
        layer: usize,
        get: &mut impl FnMut(&str, &[usize]) -> Result<Tensor>,
    ) -> Result<Self> {
        let (width, inside) = (config.hidden_size, config.intermediate_size);
        let queries = config.heads * config.head_size;
        let keys = config.kv_heads * config.head_size;
        let mut get =
            |name: &str, shape: &[usize]| get(&format!("model.layers.{layer}.{name}"), shape);
        Ok(Self {
            attention_norm: get("input_layernorm", &[width])?,
            queries: get("self_attn.q_proj", &[queries, width])?,
            keys: get("self_attn.k_proj", &[keys, width])?,
            values: get("self_attn.v_proj", &[keys, width])?,
            output: get("self_attn.o_proj", &[width, queries])?,
            mlp_norm: get("post_attention_layernorm", &[width])?,
            gate: get("mlp.gate_proj", &[inside, width])?,
            up: get("mlp.up_proj", &[inside, width])?,
            down: get("mlp.down_proj", &[width, inside])?,
        })
    }
}

fn damaged(file: &Path, problem: String) -> LmError {
    LmError::Damaged { file: file.to_path_buf(), problem }
}

/// The values of a float tensor as f32; none for other types.
fn to_f32(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let data = view.data();
    let half_words = |convert: fn(u16) -> f32| {
        data.chunks_exact(2).map(|b| convert(u16::from_le_bytes([b[0], b[1]]))).collect()
    };
    match view.dtype() {
        Dtype::F32 => {
            let words = data.chunks_exact(4);
            Some(words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        }
        Dtype::F16 => Some(half_words(|bits| half::f16::from_bits(bits).to_f32())),
        Dtype::BF16 => Some(half_words(|bits| half::bf16::from_bits(bits).to_f32())),
        _ => None,
    }
}

/// File names of the shards an index lists, each once, in order.
fn shard_names(index: &Path) -> Result<Vec<String>> {
    let json = read_json(index)?;
    let map =
        json.get("weight_map").and_then(|map| map.as_object()).ok_or_else(|| LmError::Field {
            file: index.to_path_buf(),
            field: "weight_map".into(),
            problem: "is missing; download the model again".into(),
        })?;
    let mut names: Vec<String> =
        map.values().filter_map(|name| name.as_str()).map(str::to_string).collect();
    names.sort();
    names.dedup();
    // An index comes from the network: it may not name files outside its folder.
    if let Some(bad) = names.iter().find(|name| name.contains(['/', '\\'])) {
        return Err(damaged(index, format!("shard '{bad}' lies outside the folder")));
    }
    Ok(names)
}

/// Reads a JSON file.
///
/// # Errors
/// [`LmError::Read`] or [`LmError::Damaged`].
pub(super) fn read_json(file: &Path) -> Result<serde_json::Value> {
    let bytes =
        std::fs::read(file).map_err(|source| LmError::Read { file: file.to_path_buf(), source })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| damaged(file, format!("not valid JSON ({error})")))
}
