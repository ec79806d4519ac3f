//! Looks up the tensors of a decoder in a model's weights.

use std::cell::Cell;

use candle_core::Tensor;

use crate::lm::config::{Architecture, LmConfig, Positions};
use crate::lm::error::Result;
use crate::lm::weights::{Linear, Matrix, Norm, OuterWeights, Weights};

/// Name of the output head in all families.
const HEAD: &str = "lm_head.weight";
/// Name endings of buffers that older files store with a block's weights.
const BUFFERS: [&str; 3] = ["rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias"];

/// Looks up tensors by their names within the decoder, and counts the values that it returned.
pub(in crate::lm) struct TensorLookup<'a> {
    config: &'a LmConfig,
    weights: &'a Weights,
    /// Prefix of the decoder's tensor names in these weights.
    prefix: &'static str,
    parameters: Cell<usize>,
}

impl<'a> TensorLookup<'a> {
    /// Creates a lookup for the decoder that `config` describes.
    pub(crate) fn new(config: &'a LmConfig, weights: &'a Weights) -> Self {
        let prefixes = prefixes(config.architecture);
        let (embedding, _, _) = outer_names(config.architecture);
        let has_embedding =
            |prefix: &&&'static str| weights.contains(&format!("{prefix}{embedding}.weight"));
        // Without an embedding, the error message uses the most common prefix.
        let prefix = prefixes.iter().find(has_embedding).unwrap_or(&prefixes[0]);
        Self { config, weights, prefix, parameters: Cell::new(0) }
    }

    /// Returns the number of values looked up so far.
    pub(crate) fn parameters(&self) -> usize {
        self.parameters.get()
    }

    /// Looks up the weights outside the blocks: embedding, positions, final norm and head.
    ///
    /// # Errors
    /// Fails if a tensor is missing or has the wrong shape.
    pub(crate) fn outer(&self) -> Result<OuterWeights> {
        let config = self.config;
        let (embedding, positions, norm) = outer_names(config.architecture);
        let (vocab, width) = (config.vocab_size, config.hidden_size);
        let is_learned = config.positions == Positions::Learned;
        let position_shape = [config.context_tokens, width];
        let position_table = || self.tensor(&format!("{positions}.weight"), &position_shape);
        let table = format!("{embedding}.weight");
        let has_head = self.weights.contains(HEAD)
            && !(config.tied && self.head_equals(&format!("{}{table}", self.prefix))?);
        let head = || {
            self.count(vocab * width);
            self.weights.matrix(HEAD, vocab, width)
        };
        Ok(OuterWeights {
            embedding: self.matrix(&table, vocab, width)?,
            positions: is_learned.then(position_table).transpose()?,
            norm: self.norm(norm, config.architecture == Architecture::Gpt2)?,
            head: has_head.then(head).transpose()?,
        })
    }

    /// Returns whether the head in the file equals the embedding. A head that differs is used even
    /// if the configuration ties it to the embedding, as in transformers 5. Merging an adapter that
    /// trained the head creates such files.
    fn head_equals(&self, embedding: &str) -> Result<bool> {
        let table = [self.config.vocab_size, self.config.hidden_size];
        self.weights.are_equal(HEAD, embedding, &table)
    }

    /// Returns the names of the decoder's block tensors that were not looked up, sorted.
    pub(crate) fn unused_block_tensors(&self) -> Vec<String> {
        let is_block = |name: &String| {
            if self.weights.is_gguf() {
                // The file may also contain a vision or audio encoder.
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

    /// Looks up a linear layer stored as `[outputs, inputs]`, with its bias if `bias`.
    pub(crate) fn linear(
        &self,
        name: &str,
        outputs: usize,
        inputs: usize,
        bias: bool,
    ) -> Result<Linear> {
        let matrix = self.matrix(&format!("{name}.weight"), outputs, inputs)?;
        let load_bias = || self.tensor(&format!("{name}.bias"), &[outputs]);
        Ok(Linear { matrix, bias: bias.then(load_bias).transpose()? })
    }

    /// Looks up a linear layer stored as `[inputs, outputs]`, with its bias.
    pub(crate) fn transposed(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear> {
        let stored = self.on_host(&format!("{name}.weight"), &[inputs, outputs])?;
        let matrix = self.weights.hold(stored.t()?.contiguous()?)?;
        Ok(Linear { matrix, bias: Some(self.tensor(&format!("{name}.bias"), &[outputs])?) })
    }

    /// Looks up three linear layers `[width, width]` stored side by side as `[width, 3·width]`,
    /// with their biases.
    pub(crate) fn transposed_thirds(&self, name: &str, width: usize) -> Result<[Linear; 3]> {
        let stored = self.on_host(&format!("{name}.weight"), &[width, 3 * width])?.t()?;
        let biases = self.tensor(&format!("{name}.bias"), &[3 * width])?;
        let third = |index: usize| -> Result<Linear> {
            let matrix =
                self.weights.hold(stored.narrow(0, index * width, width)?.contiguous()?)?;
            let bias = biases.narrow(0, index * width, width)?.contiguous()?;
            Ok(Linear { matrix, bias: Some(bias) })
        };
        Ok([third(0)?, third(1)?, third(2)?])
    }

    /// Looks up a norm of the residual stream.
    pub(crate) fn norm(&self, name: &str, bias: bool) -> Result<Norm> {
        let width = [self.config.hidden_size];
        let load_bias = || self.tensor(&format!("{name}.bias"), &width);
        let weight = self.norm_weight(name, &width)?;
        Ok(Norm { weight, bias: bias.then(load_bias).transpose()? })
    }

    /// Looks up the norm of a head's queries or keys, `[head_size]`.
    pub(crate) fn head_norm(&self, name: &str) -> Result<Tensor> {
        self.norm_weight(name, &[self.config.head_size])
    }

    /// Looks up a norm weight w. Gemma's safetensors store w − 1; GGUF files store w.
    fn norm_weight(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let weight = self.tensor(&format!("{name}.weight"), shape)?;
        let is_gemma = self.config.architecture == Architecture::Gemma3;
        Ok(if is_gemma && !self.weights.is_gguf() { (weight + 1.0)? } else { weight })
    }

    /// Looks up a tensor of the given shape as f32.
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

/// Returns the possible prefixes of the decoder's tensor names, most common first.
pub(in crate::lm) fn prefixes(architecture: Architecture) -> &'static [&'static str] {
    match architecture {
        Architecture::Gpt2 => &["transformer.", "", "model.", "base_model."],
        _ => &["model.", "", "transformer.", "model.model.", "base_model."],
    }
}

/// Returns the names of the embedding, the learned positions and the final norm, without prefix.
pub(in crate::lm) fn outer_names(
    architecture: Architecture,
) -> (&'static str, &'static str, &'static str) {
    match architecture {
        Architecture::Gpt2 => ("wte", "wpe", "ln_f"),
        _ => ("embed_tokens", "", "norm"),
    }
}
