//! The value model's reading of the rows: only what is new of each, in the tokens of its own
//! vocabulary.

use candle_core::{IndexOp, Tensor};

use super::{GuidanceError, ValueGuide, ValuePrompt};
use crate::lm::{Cache, ValueModel};

/// What the value model has read, row by row.
pub(super) struct ValueRows {
    cache: Cache,
    /// Per row the tokens that `cache` holds.
    read: Vec<Vec<u32>>,
}

impl ValueRows {
    /// Reads the prompt: one row, and the value of the prompt alone.
    pub fn prefill(guide: &ValueGuide, prompt: &ValuePrompt) -> Result<(Self, f32), GuidanceError> {
        let tokens = prompt_tokens(guide, prompt)?;
        // What all rows share cannot be cut back: the last tokens are read once more where the
        // head or another tokenizer asks for it.
        let needed = guide.model.tokens_needed();
        let shared = match prompt {
            ValuePrompt::Tokens(_) => tokens.len() + 1 - needed.min(tokens.len()),
            ValuePrompt::Text(_) => 1,
        };
        let (Some(shared), Some(rest)) = (tokens.get(..shared), tokens.get(shared..)) else {
            return Err(GuidanceError::EmptyPrompt);
        };
        let trunk = guide.model.trunk();
        let (mut cache, mut hidden) = trunk.prefill(shared)?;
        if !rest.is_empty() {
            let more = trunk.forward(&mut cache, &[rest])?.squeeze(0)?;
            hidden = Tensor::cat(&[hidden, more], 0)?;
        }
        // A head that needs two tokens has no opinion of one.
        let has_value = tokens.len() >= needed;
        let value = if has_value { guide.model.value(&hidden, &tokens)? } else { 0.0 };
        Ok((Self { cache, read: vec![tokens] }, value))
    }

    /// These rows in this order, repeats allowed; what they hold stays shared.
    pub fn fork(&self, rows: &[usize]) -> Result<Self, GuidanceError> {
        let cache = self.cache.fork(rows)?;
        let read = rows.iter().filter_map(|&row| self.read.get(row)).cloned().collect();
        Ok(Self { cache, read })
    }

    /// A copy that grows on its own.
    pub fn copy(&self) -> Result<Self, GuidanceError> {
        self.fork(&(0..self.read.len()).collect::<Vec<_>>())
    }

    /// Reads what each row's response has grown by and values it. `new` are the tokens that came
    /// since the last call, `responses` the whole responses as text; which of the two is used
    /// depends on whose tokenizer the value model reads.
    pub fn values(
        &mut self,
        guide: &ValueGuide,
        prompt: &ValuePrompt,
        new: &[Vec<u32>],
        responses: &[&str],
    ) -> Result<Vec<f32>, GuidanceError> {
        let whole = match (prompt, &guide.tokenizer) {
            (ValuePrompt::Text(prompt), Some(tokenizer)) => responses
                .iter()
                .map(|response| Ok(tokenizer.encode_prompt(&prompt.clone().then_plain(response))?))
                .collect::<Result<Vec<Vec<u32>>, GuidanceError>>()?,
            _ => self.read.iter().zip(new).map(|(read, new)| [&read[..], new].concat()).collect(),
        };
        self.read_on(&guide.model, whole)
    }

    /// Makes every row hold `whole[r]`, reusing the longest beginning that it holds already, and
    /// values it.
    fn read_on(
        &mut self,
        model: &ValueModel,
        whole: Vec<Vec<u32>>,
    ) -> Result<Vec<f32>, GuidanceError> {
        let mut starts = Vec::with_capacity(whole.len());
        for (row, (read, whole)) in self.read.iter().zip(&whole).enumerate() {
            let common = read.iter().zip(whole).take_while(|(a, b)| a == b).count();
            let start = common.min(whole.len().saturating_sub(model.tokens_needed()));
            if start < self.cache.prompt_tokens() {
                return Err(GuidanceError::ValueRetokenized);
            }
            self.cache.truncate(row, start)?;
            starts.push(start);
        }
        let new: Vec<&[u32]> = whole.iter().zip(&starts).map(|(ids, &from)| &ids[from..]).collect();
        let hidden = model.trunk().forward(&mut self.cache, &new)?;
        let mut values = Vec::with_capacity(new.len());
        for (row, new) in new.iter().enumerate() {
            values.push(model.value(&hidden.i((row, ..new.len()))?, new)?);
        }
        self.read = whole;
        Ok(values)
    }
}

/// The prompt in the value model's own tokens.
pub(super) fn prompt_tokens(
    guide: &ValueGuide,
    prompt: &ValuePrompt,
) -> Result<Vec<u32>, GuidanceError> {
    match (prompt, &guide.tokenizer) {
        (ValuePrompt::Tokens(tokens), _) => Ok(tokens.clone()),
        (ValuePrompt::Text(text), Some(tokenizer)) => Ok(tokenizer.encode_prompt(text)?),
        // `Pack::prompts` gives text only where there is a tokenizer for it.
        (ValuePrompt::Text(_), None) => Err(GuidanceError::EmptyPrompt),
    }
}
