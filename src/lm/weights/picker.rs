//! Picks the tensors of a decoder out of a model's weights.

use std::cell::Cell;

use candle_core::Tensor;

use super::{BlockWeights, Linear, Matrix, Norm, Outer, Weights};
use crate::lm::arch::{self, Architecture};
use crate::lm::config::{LmConfig, Positions};
use crate::lm::error::Result;

/// The output head, by the name that it has in every family.
const HEAD: &str = "lm_head.weight";
/// What older files store of a block beside its weights.
const BUFFERS: [&str; 3] = ["rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias"];

/// Finds tensors by their names inside the decoder and counts what it gave.
pub(in crate::lm) struct Picker<'a> {
    config: &'a LmConfig,
    weights: &'a Weights,
    /// What the decoder's names begin with in these weights.
    prefix: &'static str,
    parameters: Cell<usize>,
}

impl<'a> Picker<'a> {
    /// A picker of the decoder that `config` describes.
    pub fn new(config: &'a LmConfig, weights: &'a Weights) -> Self {
        let prefixes = arch::prefixes(config.architecture);
        let (embedding, _, _) = arch::outer_names(config.architecture);
        let here =
            |prefix: &&&'static str| weights.contains(&format!("{prefix}{embedding}.weight"));
        // Without an embedding the usual prefix makes the message.
        let prefix = prefixes.iter().find(here).unwrap_or(&prefixes[0]);
        Self { config, weights, prefix, parameters: Cell::new(0) }
    }

    /// Values picked so far.
    pub fn parameters(&self) -> usize {
        self.parameters.get()
    }

    /// The weights of one block.
    ///
    /// # Errors
    /// A tensor that is missing, damaged or of another shape.
    pub fn block(&self, layer: usize) -> Result<BlockWeights> {
        arch::block(self.config, layer, self)
    }

    /// What surrounds the blocks.
    ///
    /// # Errors
    /// As [`Picker::block`].
    pub fn outer(&self) -> Result<Outer> {
        let config = self.config;
        let (embedding, positions, norm) = arch::outer_names(config.architecture);
        let (vocab, width) = (config.vocab_size, config.hidden_size);
        let learned = config.positions == Positions::Learned;
        let places = [config.context_tokens, width];
        let position_table = || self.tensor(&format!("{positions}.weight"), &places);
        let table = format!("{embedding}.weight");
        let has_head = self.weights.contains(HEAD)
            && !(config.tied && self.is_copy(&format!("{}{table}", self.prefix))?);
        let head = || {
            self.count(vocab * width);
            self.weights.matrix(HEAD, vocab, width)
        };
        Ok(Outer {
            embedding: self.matrix(&table, vocab, width)?,
            positions: learned.then(position_table).transpose()?,
            norm: self.norm(norm, config.architecture == Architecture::Gpt2)?,
            head: has_head.then(head).transpose()?,
        })
    }

    /// Whether the head in the file equals the embedding. One that differs is the model's own,
    /// whatever the configuration says, as transformers 5 has it: merging an adapter that trained
    /// the head makes such files.
    fn is_copy(&self, embedding: &str) -> Result<bool> {
        let table = [self.config.vocab_size, self.config.hidden_size];
        self.weights.are_equal(HEAD, embedding, &table)
    }

    /// The tensors of the decoder's blocks that were not picked, sorted.
    pub fn left_out(&self) -> Vec<String> {
        let is_block = |name: &String| {
            if self.weights.is_gguf() {
                // Beside the language model there may be one that reads pictures.
                return name != "rope_freqs.weight"
                    && !["v.", "mm.", "a."].iter().any(|start| name.starts_with(start));
            }
            let lists = ["layers.", "h."].map(|list| format!("{}{list}", self.prefix));
            let is_buffer =
                BUFFERS.iter().any(|end| name.ends_with(end)) || !self.weights.is_float(name);
            !is_buffer && lists.iter().any(|list| name.starts_with(list.as_str()))
        };
        self.weights.unused().into_iter().filter(is_block).collect()
    }

    /// A map `[outputs, inputs]` and its bias.
    pub fn linear(&self, name: &str, outputs: usize, inputs: usize, bias: bool) -> Result<Linear> {
        let matrix = self.matrix(&format!("{name}.weight"), outputs, inputs)?;
        let shift = || self.tensor(&format!("{name}.bias"), &[outputs]);
        Ok(Linear { matrix, bias: bias.then(shift).transpose()? })
    }

    /// A map that is kept as `[inputs, outputs]`, and its bias.
    pub fn transposed(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
        let kept = self.on_host(&format!("{name}.weight"), &[inputs, outputs])?;
        let matrix = self.weights.hold(kept.t()?.contiguous()?)?;
        Ok(Linear { matrix, bias: Some(self.tensor(&format!("{name}.bias"), &[outputs])?) })
    }

    /// Three maps `[width, width]` that are kept side by side as `[width, 3·width]`.
    pub fn transposed_thirds(&self, name: &str, width: usize) -> Result<[Linear; 3]> {
        let kept = self.on_host(&format!("{name}.weight"), &[width, 3 * width])?.t()?;
        let shift = self.tensor(&format!("{name}.bias"), &[3 * width])?;
        let third = |index: usize| -> Result<Linear> {
            let matrix = self.weights.hold(kept.narrow(0, index * width, width)?.contiguous()?)?;
            let bias = shift.narrow(0, index * width, width)?.contiguous()?;
            Ok(Linear { matrix, bias: Some(bias) })
        };
        Ok([third(0)?, third(1)?, third(2)?])
    }

    /// A norm of the residual stream.
    pub fn norm(&self, name: &str, bias: bool) -> Result<Norm> {
        let width = [self.config.hidden_size];
        let shift = || self.tensor(&format!("{name}.bias"), &width);
        Ok(Norm { weight: self.norm_weight(name, &width)?, bias: bias.then(shift).transpose()? })
    }

    /// The norm of a head's queries or keys, `[head_size]`.
    pub fn head_norm(&self, name: &str) -> Result<Tensor> {
        self.norm_weight(name, &[self.config.head_size])
    }

    /// Gemma keeps the weights of its norms less one.
    fn norm_weight(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let weight = self.tensor(&format!("{name}.weight"), shape)?;
        let less_one = self.config.architecture == Architecture::Gemma3;
        Ok(if less_one && !self.weights.is_gguf() { (weight + 1.0)? } else { weight })
    }

    /// A tensor of any shape, f32.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.count(shape.iter().product());
        self.weights.get(&format!("{}{name}", self.prefix), shape)
    }

    fn on_host(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.count(shape.iter().product());
        self.weights.on_host(&format!("{}{name}", self.prefix), shape)
    }

    fn matrix(&self, name: &str, outputs: usize, inputs: usize) -> Result<Matrix> {
        self.count(outputs * inputs);
        self.weights.matrix(&format!("{}{name}", self.prefix), outputs, inputs)
    }

    fn count(&self, values: usize) {
        self.parameters.set(self.parameters.get() + values);
    }
}
