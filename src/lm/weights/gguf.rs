//! The tensors of a GGUF file under the names of Hugging Face's files.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::{Device, Tensor};

use super::{Quantised, no_float, not_finite};
use crate::lm::error::{LmError, Result};
use crate::lm::gguf::{Entry, GgufFile, TensorType, dequantise_iq4_nl, dequantise_iq4_xs};

/// A GGUF file's tensors and how they are to be read.
pub(super) struct Tensors {
    /// The file, or the parts of a split one.
    parts: Vec<PathBuf>,
    entries: HashMap<String, Entry>,
    /// Heads of queries and of keys, in files that keep the rows of a head in another order:
    /// those of GGUF's architecture llama.
    reordered: Option<(usize, usize)>,
    gemma: bool,
}

/// Where a tensor is, and what must be done to its rows.
struct Place<'a> {
    entry: &'a Entry,
    /// Which slice of a tensor that holds those of all experts.
    expert: Option<usize>,
    /// Heads whose rows are to be brought back into order.
    heads: Option<usize>,
}

impl Tensors {
    /// The tensors of `gguf`.
    pub fn new(gguf: &GgufFile) -> Self {
        let architecture = gguf.architecture();
        let reordered = (architecture == "llama").then(|| gguf.heads());
        Self {
            parts: gguf.parts().to_vec(),
            entries: gguf.tensors().clone(),
            reordered,
            gemma: architecture == "gemma3",
        }
    }

    /// The names of the file.
    pub fn names(&self) -> Vec<&str> {
        self.entries.keys().map(String::as_str).collect()
    }

    /// The shape of a tensor by its Hugging Face name.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let place = self.place(name)?;
        let skip = usize::from(place.expert.is_some());
        Some(place.entry.shape[skip..].to_vec())
    }

    /// Reads a tensor as f32.
    ///
    /// # Errors
    /// A file that can no longer be read; values that are no numbers.
    pub fn read(&self, name: &str) -> Result<Option<Tensor>> {
        let (Some(place), Some(shape)) = (self.place(name), self.shape(name)) else {
            return Ok(None);
        };
        self.check(name)?;
        let data = self.data(&place)?;
        let full = match place.entry.kind {
            TensorType::Candle(dtype) => {
                let quantised = qtensor_from_ggml(dtype, &data, shape, &Device::Cpu)?;
                quantised.dequantize(&Device::Cpu)?
            }
            TensorType::Iq4Nl => Tensor::from_vec(dequantise_iq4_nl(&data), shape, &Device::Cpu)?,
            TensorType::Iq4Xs => Tensor::from_vec(dequantise_iq4_xs(&data), shape, &Device::Cpu)?,
            // `check` has refused it.
            TensorType::Plain(..) => return Ok(None),
        };
        let finite = full.flatten_all()?.to_vec1::<f32>()?.iter().all(|value| value.is_finite());
        if !finite {
            return Err(not_finite(self.file(place.entry), name));
        }
        Ok(Some(full))
    }

    /// Refuses a tensor that [`Tensors::read`] would refuse for how it is stored.
    pub fn check(&self, name: &str) -> Result<()> {
        match self.place(name).map(|place| place.entry) {
            Some(entry @ Entry { kind: TensorType::Plain(kind, _), .. }) => {
                Err(no_float(self.file(entry), name, kind))
            }
            _ => Ok(()),
        }
    }

    /// The file's own name of the tensor with this Hugging Face name.
    pub fn own_name(&self, name: &str) -> Option<String> {
        let entry: *const Entry = self.place(name)?.entry;
        self.entries.iter().find(|(_, e)| std::ptr::eq(*e, entry)).map(|(name, _)| name.clone())
    }

    /// The part that holds a tensor.
    fn file(&self, entry: &Entry) -> &Path {
        self.parts.get(entry.part).map_or(Path::new(""), PathBuf::as_path)
    }

    /// A matrix that the file already holds as Q8_0, as it is; none where it holds another kind.
    ///
    /// # Errors
    /// A file that can no longer be read; scales that are no numbers.
    pub fn quantised(
        &self,
        name: &str,
        outputs: usize,
        inputs: usize,
        device: &Device,
    ) -> Result<Option<Quantised>> {
        let is_q8_0 = |place: &Place<'_>| place.entry.kind == TensorType::Candle(GgmlDType::Q8_0);
        let Some(place) = self.place(name).filter(is_q8_0) else {
            return Ok(None);
        };
        let data = self.data(&place)?;
        let scale = |block: &[u8]| half::f16::from_le_bytes([block[0], block[1]]);
        if !data.chunks_exact(super::matrix::BLOCK_BYTES).all(|block| scale(block).is_finite()) {
            return Err(not_finite(self.file(place.entry), name));
        }
        Quantised::from_blocks(data, outputs, inputs, device).map(Some)
    }

    /// The bytes of a tensor, rows in order.
    fn data(&self, place: &Place<'_>) -> Result<Vec<u8>> {
        let entry = place.entry;
        let slices =
            if place.expert.is_some() { entry.shape.first().copied().unwrap_or(1) } else { 1 };
        let bytes = entry.bytes / slices.max(1);
        let start = entry.start + (bytes * place.expert.unwrap_or(0)) as u64;
        let mut data = vec![0; bytes];
        let file = self.file(entry);
        let read = |data: &mut [u8]| {
            let mut handle = File::open(file)?;
            handle.seek(SeekFrom::Start(start))?;
            handle.read_exact(data)
        };
        read(&mut data).map_err(|source| LmError::Read { file: file.to_path_buf(), source })?;
        Ok(match place.heads {
            Some(heads) => in_order(&data, heads, entry.shape.first().copied().unwrap_or(0)),
            None => data,
        })
    }

    /// Where the tensor with this Hugging Face name is.
    fn place(&self, name: &str) -> Option<Place<'_>> {
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
            return Some(Place { entry, expert: None, heads: None });
        };
        let (layer, part) = rest.split_once('.')?;
        let find = |name: &str| self.entries.get(&format!("blk.{layer}.{name}.{kind}"));
        if let Some((expert, map)) = expert(part) {
            let merged = find(&format!("{map}_exps"));
            // Files from before April 2024 keep one tensor an expert.
            let own = || find(&format!("{map}.{expert}"));
            let place = |entry, expert| Place { entry, expert, heads: None };
            return match merged {
                Some(entry) if expert < *entry.shape.first().unwrap_or(&0) => {
                    Some(place(entry, Some(expert)))
                }
                Some(_) => None,
                None => own().map(|entry| place(entry, None)),
            };
        }
        let heads = self.reordered.and_then(|(queries, keys)| match part {
            "self_attn.q_proj" => Some(queries),
            "self_attn.k_proj" => Some(keys),
            _ => None,
        });
        Some(Place { entry: find(self.part(part)?)?, expert: None, heads })
    }

    fn part(&self, part: &str) -> Option<&'static str> {
        Some(match part {
            "input_layernorm" => "attn_norm",
            "self_attn.q_proj" => "attn_q",
            "self_attn.k_proj" => "attn_k",
            "self_attn.v_proj" => "attn_v",
            "self_attn.o_proj" => "attn_output",
            "self_attn.q_norm" => "attn_q_norm",
            "self_attn.k_norm" => "attn_k_norm",
            "post_attention_layernorm" if self.gemma => "post_attention_norm",
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

/// Number and map of an expert's tensor.
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

/// Rows in Hugging Face's order: files of GGUF's llama keep the two halves of every head
/// interleaved.
fn in_order(data: &[u8], heads: usize, rows: usize) -> Vec<u8> {
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
