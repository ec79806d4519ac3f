//! Reads the tensors of a GGUF file under their Hugging Face names.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::{Device, Tensor};

use super::matrix::Quantised;
use crate::lm::error::{LmError, Result, not_finite, unsupported_dtype};
use crate::lm::gguf::{Entry, GgufFile, TensorType, dequantise_iq4_nl, dequantise_iq4_xs};
use crate::lm::precision::BLOCK_BYTES;

pub(super) struct Tensors {
    /// The file, or all parts of a split file in order.
    parts: Vec<PathBuf>,
    entries: HashMap<String, Entry>,
    /// Numbers of query heads and key heads in files of GGUF's architecture `llama`, which store
    /// the rows of each head in another order.
    interleaved_heads: Option<(usize, usize)>,
    is_gemma: bool,
}

/// Where a tensor lies in the file and how to read it.
struct Location<'a> {
    entry: &'a Entry,
    /// Index of the expert in a tensor that holds all experts of a layer.
    expert: Option<usize>,
    /// Number of heads whose rows must be reordered.
    heads: Option<usize>,
}

impl Tensors {
    pub(super) fn new(gguf: &GgufFile) -> Self {
        let architecture = gguf.architecture();
        let interleaved_heads = (architecture == "llama").then(|| gguf.heads());
        Self {
            parts: gguf.parts().to_vec(),
            entries: gguf.tensors().clone(),
            interleaved_heads,
            is_gemma: architecture == "gemma3",
        }
    }

    /// Returns the GGUF names of all tensors.
    pub(super) fn names(&self) -> Vec<&str> {
        self.entries.keys().map(String::as_str).collect()
    }

    /// Returns the shape of the tensor with this Hugging Face name, or `None` if it does not exist.
    pub(super) fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let location = self.locate(name)?;
        let skip = usize::from(location.expert.is_some());
        Some(location.entry.shape[skip..].to_vec())
    }

    /// Reads a tensor as f32. Returns `None` if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the tensor is not a float type, the file cannot be read, or a value is
    /// NaN or infinite.
    pub(super) fn read(&self, name: &str) -> Result<Option<Tensor>> {
        let (Some(location), Some(shape)) = (self.locate(name), self.shape(name)) else {
            return Ok(None);
        };
        self.check(name)?;
        let data = self.data(&location)?;
        let full = match location.entry.kind {
            TensorType::Candle(dtype) => {
                let quantised = qtensor_from_ggml(dtype, &data, shape, &Device::Cpu)?;
                quantised.dequantize(&Device::Cpu)?
            }
            TensorType::Iq4Nl => Tensor::from_vec(dequantise_iq4_nl(&data), shape, &Device::Cpu)?,
            TensorType::Iq4Xs => Tensor::from_vec(dequantise_iq4_xs(&data), shape, &Device::Cpu)?,
            // Rejected by `check` above.
            TensorType::Plain(..) => return Ok(None),
        };
        let finite = full.flatten_all()?.to_vec1::<f32>()?.iter().all(|value| value.is_finite());
        if !finite {
            return Err(not_finite(self.file(location.entry), name));
        }
        Ok(Some(full))
    }

    /// Checks that a tensor is stored in a type that [`Tensors::read`] supports.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        match self.locate(name).map(|location| location.entry) {
            Some(entry @ Entry { kind: TensorType::Plain(kind, _), .. }) => {
                Err(unsupported_dtype(self.file(entry), name, kind))
            }
            _ => Ok(()),
        }
    }

    /// Returns the GGUF name of the tensor with this Hugging Face name.
    pub(crate) fn gguf_name(&self, name: &str) -> Option<String> {
        let entry: *const Entry = self.locate(name)?.entry;
        self.entries.iter().find(|(_, e)| std::ptr::eq(*e, entry)).map(|(name, _)| name.clone())
    }

    /// Returns the path of the part that holds a tensor.
    fn file(&self, entry: &Entry) -> &Path {
        self.parts.get(entry.part).map_or(Path::new(""), PathBuf::as_path)
    }

    /// Returns a matrix that the file stores in Q8_0, without conversion. Returns `None` if the
    /// file stores it in another type.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or a scale is NaN or infinite.
    pub(super) fn quantised(
        &self,
        name: &str,
        outputs: usize,
        inputs: usize,
        device: &Device,
    ) -> Result<Option<Quantised>> {
        let is_q8_0 =
            |location: &Location<'_>| location.entry.kind == TensorType::Candle(GgmlDType::Q8_0);
        let Some(location) = self.locate(name).filter(is_q8_0) else {
            return Ok(None);
        };
        let data = self.data(&location)?;
        let scale = |block: &[u8]| half::f16::from_le_bytes([block[0], block[1]]);
        if !data.chunks_exact(BLOCK_BYTES).all(|block| scale(block).is_finite()) {
            return Err(not_finite(self.file(location.entry), name));
        }
        Quantised::from_blocks(data, outputs, inputs, device).map(Some)
    }

    /// Reads the bytes of a tensor, with its rows in Hugging Face's order.
    fn data(&self, location: &Location<'_>) -> Result<Vec<u8>> {
        let entry = location.entry;
        let slices =
            if location.expert.is_some() { entry.shape.first().copied().unwrap_or(1) } else { 1 };
        let bytes = entry.bytes / slices.max(1);
        let start = entry.start + (bytes * location.expert.unwrap_or(0)) as u64;
        let mut data = vec![0; bytes];
        let file = self.file(entry);
        let read = |data: &mut [u8]| {
            let mut handle = File::open(file)?;
            handle.seek(SeekFrom::Start(start))?;
            handle.read_exact(data)
        };
        read(&mut data).map_err(|source| LmError::Read { file: file.to_path_buf(), source })?;
        Ok(match location.heads {
            Some(heads) => deinterleave(&data, heads, entry.shape.first().copied().unwrap_or(0)),
            None => data,
        })
    }

    /// Finds the tensor with this Hugging Face name.
    fn locate(&self, name: &str) -> Option<Location<'_>> {
        let (stem, kind) = name.rsplit_once('.')?;
        let Some(rest) = stem.strip_prefix("model.layers.") else {
            let outer = match stem {
                "model.embed_tokens" => "token_embd",
                "model.norm" => "output_norm",
                "lm_head" => "output",
                "rope_freqs" => "rope_freqs",
                _ => return None,
            };
            let entry = self.entries.get(&format!("{outer}.{kind}"))?;
            return Some(Location { entry, expert: None, heads: None });
        };
        let (layer, part) = rest.split_once('.')?;
        let find = |name: &str| self.entries.get(&format!("blk.{layer}.{name}.{kind}"));
        if let Some((expert, map)) = expert(part) {
            let merged = find(&format!("{map}_exps"));
            // Files from before April 2024 store one tensor per expert.
            let separate = || find(&format!("{map}.{expert}"));
            let location = |entry, expert| Location { entry, expert, heads: None };
            return match merged {
                Some(entry) if expert < *entry.shape.first().unwrap_or(&0) => {
                    Some(location(entry, Some(expert)))
                }
                Some(_) => None,
                None => separate().map(|entry| location(entry, None)),
            };
        }
        let heads = self.interleaved_heads.and_then(|(queries, keys)| match part {
            "self_attn.q_proj" => Some(queries),
            "self_attn.k_proj" => Some(keys),
            _ => None,
        });
        Some(Location { entry: find(self.gguf_part(part)?)?, expert: None, heads })
    }

    fn gguf_part(&self, part: &str) -> Option<&'static str> {
        Some(match part {
            "input_layernorm" => "attn_norm",
            "self_attn.q_proj" => "attn_q",
            "self_attn.k_proj" => "attn_k",
            "self_attn.v_proj" => "attn_v",
            "self_attn.o_proj" => "attn_output",
            "self_attn.q_norm" => "attn_q_norm",
            "self_attn.k_norm" => "attn_k_norm",
            "post_attention_layernorm" if self.is_gemma => "post_attention_norm",
            "post_attention_layernorm" | "pre_feedforward_layernorm" => "ffn_norm",
            "post_feedforward_layernorm" => "post_ffw_norm",
            "mlp.gate_proj" => "ffn_gate",
            "mlp.up_proj" => "ffn_up",
            "mlp.down_proj" => "ffn_down",
            "block_sparse_moe.gate" => "ffn_gate_inp",
            _ => return None,
        })
    }
}

/// Returns an expert's index and the GGUF name of its matrix.
fn expert(part: &str) -> Option<(usize, &'static str)> {
    let (expert, map) = part.strip_prefix("block_sparse_moe.experts.")?.split_once('.')?;
    let map = match map {
        "w1" => "ffn_gate",
        "w2" => "ffn_down",
        "w3" => "ffn_up",
        _ => return None,
    };
    Some((expert.parse().ok()?, map))
}

/// Returns the rows in Hugging Face's order. Files of GGUF's architecture `llama` interleave the
/// two halves of every head.
fn deinterleave(data: &[u8], heads: usize, rows: usize) -> Vec<u8> {
    let half = rows / heads.max(1) / 2;
    if half == 0 || rows != 2 * half * heads {
        return data.to_vec();
    }
    let row_bytes = data.len() / rows;
    let mut ordered = Vec::with_capacity(data.len());
    for head in 0..heads {
        for side in 0..2 {
            for index in 0..half {
                let row = head * 2 * half + 2 * index + side;
                ordered.extend_from_slice(&data[row * row_bytes..][..row_bytes]);
            }
        }
    }
    ordered
}
