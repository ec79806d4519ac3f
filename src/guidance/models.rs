//! The models of a run, and a prompt read by each of them once.

use std::time::Instant;

use candle_core::{IndexOp, Tensor};

use super::GuidanceError;
use super::token_value::RowLogits;
use super::values::{ValueRows, prompt_tokens};
use crate::lm::{Cache, Lm, PromptText, Tokenizer, ValueModel};

/// The implicit value function: a small model before and after preference tuning.
#[derive(Clone)]
pub struct Pair {
    /// Before.
    pub untuned: Lm,
    /// After.
    pub tuned: Lm,
}

/// The explicit value function.
pub struct ValueGuide {
    /// The model.
    pub model: ValueModel,
    /// Its own tokenizer, where it does not read the tokens of the others: then it reads text.
    pub tokenizer: Option<Tokenizer>,
}

/// Which model plays which role. Base, untuned and tuned share one vocabulary.
pub struct Models {
    /// The frozen model that is guided.
    pub base: Lm,
    /// The implicit value function.
    pub pair: Option<Pair>,
    /// The explicit value function.
    pub value: Option<ValueGuide>,
    /// The common vocabulary.
    pub tokenizer: Tokenizer,
    /// How many ids all of them have in common. What the models have beyond it, padding or
    /// tokens of one of them alone, is never drawn and has no share in any probability.
    pub vocab_size: usize,
    /// Texts that end a response and are no part of it.
    pub stops: Vec<String>,
}

impl Models {
    /// Base, untuned, tuned: the models that give logits, in the order used everywhere here.
    pub(super) fn token_models(&self) -> Vec<&Lm> {
        let pair = self.pair.iter().flat_map(|p| [&p.untuned, &p.tuned]);
        std::iter::once(&self.base).chain(pair).collect()
    }

    /// Whether `id` ends a text: the base says so, or the tuned model, which may end turns that
    /// the base has never seen.
    pub(super) fn is_end(&self, id: u32) -> bool {
        let ends = |lm: &Lm| lm.config().eos.contains(&id);
        ends(&self.base) || self.pair.as_ref().is_some_and(|pair| ends(&pair.tuned))
    }

    /// How many of `bytes`, which come after `text`, stand before the first text that ends a
    /// response; none if none ends it.
    pub(super) fn stop(&self, text: &str, bytes: &[u8]) -> Option<usize> {
        let find = |stop: &String| {
            let (stop, text) = (stop.as_bytes(), text.as_bytes());
            // It ends with one of the new bytes and may have begun before them.
            let from = text.len().saturating_sub(stop.len().saturating_sub(1));
            let joined = [&text[from..], bytes].concat();
            let at = joined.windows(stop.len().max(1)).position(|window| window == stop)?;
            Some(at.saturating_sub(text.len() - from))
        };
        self.stops.iter().filter_map(find).min()
    }

    /// How many response tokens fit behind these prompts in every context.
    fn room(&self, prompts: &Prompts) -> Result<usize, GuidanceError> {
        let mut roles = vec![("base", &self.base, prompts.base.len())];
        if let Some(pair) = &self.pair {
            roles.push(("untuned", &pair.untuned, prompts.guides.len()));
            roles.push(("tuned", &pair.tuned, prompts.guides.len()));
        }
        if let Some(value) = &self.value {
            let tokens = prompt_tokens(value, &prompts.value)?.len();
            roles.push(("value", value.model.trunk(), tokens));
        }
        let mut room = usize::MAX;
        for (role, lm, prompt_tokens) in roles {
            let context_tokens = lm.config().context_tokens;
            if prompt_tokens == 0 {
                return Err(GuidanceError::EmptyPrompt);
            }
            if prompt_tokens >= context_tokens {
                return Err(GuidanceError::PromptTooLong { role, prompt_tokens, context_tokens });
            }
            room = room.min(context_tokens - prompt_tokens);
        }
        Ok(room)
    }
}

/// The prompt in tokens, as each role reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    /// For the base.
    pub base: Vec<u32>,
    /// For untuned and tuned.
    pub guides: Vec<u32>,
    /// For the value model.
    pub value: ValuePrompt,
}

impl Prompts {
    /// The prompt of base, untuned or tuned, by their number.
    fn of_role(&self, role: usize) -> &[u32] {
        if role == 0 { &self.base } else { &self.guides }
    }
}

/// The prompt as the value model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValuePrompt {
    /// In the common vocabulary.
    Tokens(Vec<u32>),
    /// As text, for a model with a tokenizer of its own.
    Text(PromptText),
}

/// Which passes give the logits of base, untuned and tuned, and perhaps the states that the value
/// head reads. Roles that are one model reading one prompt share a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Passes {
    /// Per role the pass that serves it.
    of_role: Vec<usize>,
    /// Per pass the role whose model makes it.
    made_by: Vec<usize>,
    /// The pass whose states the value head reads; none where it needs one of its own.
    of_value: Option<usize>,
}

impl Passes {
    fn new(models: &Models, prompts: &Prompts) -> Self {
        let lms = models.token_models();
        let mut passes = Self { of_role: Vec::new(), made_by: Vec::new(), of_value: None };
        for (role, lm) in lms.iter().enumerate() {
            let shares = |&other: &usize| {
                lms[other].is_same(lm) && prompts.of_role(other) == prompts.of_role(role)
            };
            let pass = passes.made_by.iter().position(shares).unwrap_or_else(|| {
                passes.made_by.push(role);
                passes.made_by.len() - 1
            });
            passes.of_role.push(pass);
        }
        passes.of_value = models.value.as_ref().and_then(|value| {
            passes.made_by.iter().position(|&role| {
                let reads = ValuePrompt::Tokens(prompts.of_role(role).to_vec());
                // A head that reads the state before the last token looks back further than a
                // pass goes.
                value.model.tokens_needed() == 1
                    && value.tokenizer.is_none()
                    && value.model.trunk().is_same(lms[role])
                    && prompts.value == reads
            })
        });
        passes
    }
}

/// Logits of the token models for some rows, on the host.
#[derive(Clone)]
pub(super) struct Logits {
    /// One matrix a pass, rows × V, row by row.
    passes: Vec<Vec<f32>>,
    of_role: Vec<usize>,
    vocab_size: usize,
}

impl Logits {
    /// The logits of row `r`.
    pub(super) fn row(&self, r: usize) -> RowLogits<'_> {
        let of = |role: usize| {
            &self.passes[self.of_role[role]][r * self.vocab_size..(r + 1) * self.vocab_size]
        };
        RowLogits { base: of(0), pair: (self.of_role.len() == 3).then(|| (of(1), of(2))) }
    }
}

/// What reading one token more of every row gives.
pub(super) struct Advance {
    /// For the token after it.
    pub logits: Logits,
    /// V of every row up to it; empty where the value model has a pass of its own, or has read it
    /// before.
    pub values: Vec<f32>,
    /// How many forward passes that took.
    pub forward_passes: usize,
}

/// The caches of the token models, one a pass; all hold the same rows in the same order.
pub(super) struct TokenCaches {
    caches: Vec<Cache>,
    passes: Passes,
    /// The states `[rows, hidden]` of the last token, where the value's pass has read it already
    /// and the others have not.
    ahead: Option<Tensor>,
}

impl TokenCaches {
    /// A copy that grows on its own; the prompt stays shared.
    pub(super) fn copy(&self) -> Result<Self, GuidanceError> {
        let caches = self.caches.iter().map(copy_cache).collect::<Result<_, _>>()?;
        Ok(Self { caches, passes: self.passes.clone(), ahead: self.ahead.clone() })
    }

    /// These rows in this order, repeats allowed.
    pub(super) fn fork(&mut self, rows: &[usize]) -> Result<(), GuidanceError> {
        let is_identity = rows.iter().copied().eq(0..self.caches[0].rows());
        if is_identity {
            return Ok(());
        }
        for cache in &mut self.caches {
            *cache = cache.fork(rows)?;
        }
        if let Some(ahead) = &mut self.ahead {
            let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
            *ahead = ahead.index_select(&Tensor::new(rows, ahead.device())?, 0)?;
        }
        Ok(())
    }

    /// Whether one of the passes gives the values.
    pub(super) fn values(&self) -> bool {
        self.passes.of_value.is_some()
    }

    /// Reads one more token of every row with the pass that gives the values, and only with it:
    /// the others follow with [`TokenCaches::advance`], for the rows that are left by then. Gives V
    /// of every row.
    pub(super) fn read_ahead(
        &mut self,
        models: &Models,
        tokens: &[u32],
    ) -> Result<Vec<f32>, GuidanceError> {
        let Some(pass) = self.passes.of_value else { return Ok(Vec::new()) };
        let states = self.read(models, pass, tokens)?;
        let values = last_values(models, &states)?;
        self.ahead = Some(states);
        Ok(values)
    }

    /// Appends one token to every row.
    pub(super) fn advance(
        &mut self,
        models: &Models,
        tokens: &[u32],
    ) -> Result<Advance, GuidanceError> {
        let lms = models.token_models();
        let (mut passes, mut values) = (Vec::with_capacity(self.caches.len()), Vec::new());
        let mut forward_passes = 0;
        for pass in 0..self.caches.len() {
            let gives_values = self.passes.of_value == Some(pass);
            let ahead = self.ahead.take_if(|_| gives_values);
            let states = match ahead {
                Some(states) => states,
                None => {
                    forward_passes += 1;
                    let states = self.read(models, pass, tokens)?;
                    if gives_values {
                        values = last_values(models, &states)?;
                    }
                    states
                }
            };
            passes.push(host_logits(lms[self.passes.made_by[pass]], &states, models.vocab_size)?);
        }
        let of_role = self.passes.of_role.clone();
        let logits = Logits { passes, of_role, vocab_size: models.vocab_size };
        Ok(Advance { logits, values, forward_passes })
    }

    /// One pass over one new token of every row: its states `[rows, hidden]`.
    fn read(
        &mut self,
        models: &Models,
        pass: usize,
        tokens: &[u32],
    ) -> Result<Tensor, GuidanceError> {
        let rows: Vec<&[u32]> = tokens.chunks(1).collect();
        let lm = models.token_models()[self.passes.made_by[pass]];
        Ok(lm.forward(&mut self.caches[pass], &rows)?.i((.., 0))?)
    }
}

/// V of every row, from the states after its last token, `[rows, hidden]`.
fn last_values(models: &Models, states: &Tensor) -> Result<Vec<f32>, GuidanceError> {
    match &models.value {
        Some(guide) => Ok(guide.model.values(states)?),
        None => Ok(Vec::new()),
    }
}

fn copy_cache(cache: &Cache) -> Result<Cache, GuidanceError> {
    Ok(cache.fork(&(0..cache.rows()).collect::<Vec<_>>())?)
}

/// The logits of the first `vocab_size` ids, row by row; all of them are numbers.
fn host_logits(lm: &Lm, hidden: &Tensor, vocab_size: usize) -> Result<Vec<f32>, GuidanceError> {
    let logits = lm.logits(hidden)?;
    let width = logits.dim(1)?;
    let mut all: Vec<f32> = logits.flatten_all()?.to_vec1()?;
    if !all.iter().all(|logit| logit.is_finite()) {
        return Err(GuidanceError::NotANumber);
    }
    if width > vocab_size {
        let mut column = 0;
        all.retain(|_| {
            let keep = column % width < vocab_size;
            column += 1;
            keep
        });
    }
    Ok(all)
}

/// A prompt read once by every model: the start of any number of arms.
pub struct Prefilled {
    pub(super) caches: TokenCaches,
    pub(super) logits: Logits,
    /// V of the prompt alone.
    pub(super) value: Option<f32>,
    /// What the value model has read, where it has a pass of its own.
    pub(super) value_rows: Option<ValueRows>,
    pub(super) value_prompt: ValuePrompt,
    pub(super) room: usize,
    pub(super) forward_passes: usize,
    pub(super) elapsed_ms: f64,
}

impl Prefilled {
    /// Reads `prompts` with every model of `models`.
    ///
    /// # Errors
    /// A prompt without tokens, or one that leaves no room in a model's context.
    pub fn new(models: &Models, prompts: &Prompts) -> Result<Self, GuidanceError> {
        let started = Instant::now();
        let room = models.room(prompts)?;
        let (mut caches, mut logits) = (Vec::new(), Vec::new());
        let lms = models.token_models();
        let passes = Passes::new(models, prompts);
        let (mut value, mut value_rows) = (None, None);
        for (pass, &role) in passes.made_by.iter().enumerate() {
            let (lm, prompt) = (lms[role], prompts.of_role(role));
            let (cache, hidden) = lm.prefill(prompt)?;
            caches.push(cache);
            let last = hidden.narrow(0, prompt.len() - 1, 1)?;
            if let Some(guide) = models.value.as_ref().filter(|_| passes.of_value == Some(pass)) {
                value = guide.model.values(&last)?.first().copied();
            }
            logits.push(host_logits(lm, &last, models.vocab_size)?);
        }
        if let Some(guide) = models.value.as_ref().filter(|_| passes.of_value.is_none()) {
            let (rows, of_prompt) = ValueRows::prefill(guide, &prompts.value)?;
            (value, value_rows) = (Some(of_prompt), Some(rows));
        }
        Ok(Self {
            forward_passes: caches.len() + usize::from(value_rows.is_some()),
            logits: Logits {
                passes: logits,
                of_role: passes.of_role.clone(),
                vocab_size: models.vocab_size,
            },
            caches: TokenCaches { caches, passes, ahead: None },
            value,
            value_rows,
            value_prompt: prompts.value.clone(),
            room,
            elapsed_ms: started.elapsed().as_secs_f64() * 1e3,
        })
    }
}
