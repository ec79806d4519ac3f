//! The models of a run, their caches, and the prefill of a prompt.

use std::sync::Arc;
use std::time::Instant;

use candle_core::{IndexOp, Tensor};

use super::error::GuidanceError;
use super::pair::Pair;
use super::text_pair::{TEXT_MARGIN, TextPair};
use super::token_value::RowLogits;
use super::values::{ValueGuide, ValuePrompt, ValueRows, prompt_tokens};
use crate::lm::{Cache, Lm, PromptText, Tokenizer};

/// The models by role.
pub struct Models {
    /// The frozen language model being guided.
    pub base: Lm,
    /// The implicit value function.
    pub pair: Option<Pair>,
    /// The explicit value function.
    pub value: Option<ValueGuide>,
    /// The tokenizer of the base.
    pub tokenizer: Arc<Tokenizer>,
    /// Number of ids that the base and the guides of its vocabulary share. Ids beyond it, such as
    /// padding or tokens of one model only, are excluded from every distribution and never drawn.
    pub vocab_size: usize,
    /// Stop sequences; not included in the response.
    pub stops: Vec<String>,
}

impl Models {
    /// Returns the pair if it has the base's vocabulary.
    fn token_pair(&self) -> Option<&Pair> {
        self.pair.as_ref().filter(|pair| pair.words.is_none())
    }

    /// Returns the pair if it reads the response as text.
    pub(super) fn text_pair(&self) -> Option<&Pair> {
        self.pair.as_ref().filter(|pair| pair.words.is_some())
    }

    /// Returns the model of a token role; see [`Prompts::token_roles`].
    fn token_model(&self, role: usize) -> &Lm {
        match (self.token_pair(), role) {
            (Some(pair), 1) => &pair.untuned,
            (Some(pair), 2) => &pair.tuned,
            _ => &self.base,
        }
    }

    /// Checks whether `id` is an end token of the base or of the tuned model. The tuned model may
    /// have end-of-turn tokens that the base does not use.
    pub(super) fn is_end(&self, id: u32) -> bool {
        let ends = |lm: &Lm| lm.config().eos.contains(&id);
        ends(&self.base) || self.token_pair().is_some_and(|pair| ends(&pair.tuned))
    }

    /// Finds the first stop sequence that `bytes` complete after `text`. Returns how many of
    /// `bytes` come before it, or `None` if there is no stop sequence.
    pub(super) fn stop(&self, text: &str, bytes: &[u8]) -> Option<usize> {
        let find = |stop: &String| {
            let (stop, text) = (stop.as_bytes(), text.as_bytes());
            // The stop sequence ends in the new bytes but may start in `text`.
            let from = text.len().saturating_sub(stop.len().saturating_sub(1));
            let joined = [&text[from..], bytes].concat();
            let at = joined.windows(stop.len().max(1)).position(|window| window == stop)?;
            Some(at.saturating_sub(text.len() - from))
        };
        self.stops.iter().filter_map(find).min()
    }

    /// Returns how many response tokens fit after these prompts in the context of every model.
    fn room(&self, prompts: &Prompts) -> Result<usize, GuidanceError> {
        let token_roles = prompts.token_roles(self);
        let mut roles: Vec<(&str, &Lm, usize, bool)> =
            token_roles.iter().map(|role| (role.name, role.lm, role.prompt.len(), false)).collect();
        if let Some(value) = &self.value {
            let tokens = prompt_tokens(value, &prompts.value)?;
            roles.push(("value", value.model.trunk(), tokens, value.words.is_some()));
        }
        if let (Some(pair), Some(text)) = (self.text_pair(), &prompts.pair_text) {
            for (name, lm, prompt) in
                [("untuned", &pair.untuned, &text[0]), ("tuned", &pair.tuned, &text[1])]
            {
                let ids =
                    pair.words.as_ref().map(|words| words.own().tokenizer().encode_prompt(prompt));
                let tokens = ids.transpose()?.map_or(0, |ids| ids.len());
                roles.push((name, lm, tokens, true));
            }
        }
        let mut room = usize::MAX;
        for (role, lm, prompt_tokens, reads_text) in roles {
            let context_tokens = lm.config().context_tokens;
            if prompt_tokens == 0 {
                return Err(GuidanceError::EmptyPrompt);
            }
            let needed = if reads_text { prompt_tokens + TEXT_MARGIN } else { prompt_tokens };
            if needed >= context_tokens {
                return Err(GuidanceError::PromptTooLong { role, prompt_tokens, context_tokens });
            }
            // The number of tokens of a text that is not written yet is unknown; the search stops
            // when such a context is full.
            if !reads_text {
                room = room.min(context_tokens - prompt_tokens);
            }
        }
        Ok(room)
    }
}

/// The prompt as each role reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    /// Tokens for the base.
    pub base: Vec<u32>,
    /// Tokens for untuned; empty without a pair of the base's vocabulary.
    pub untuned: Vec<u32>,
    /// Tokens for tuned; empty without a pair of the base's vocabulary.
    pub tuned: Vec<u32>,
    /// Text for untuned and tuned, if they have another vocabulary.
    pub pair_text: Option<[PromptText; 2]>,
    /// Tokens or text for the value model.
    pub value: ValuePrompt,
    /// Tokens for the base with the instruction away from which, and with that towards which each
    /// steer goes.
    pub steers: Vec<[Vec<u32>; 2]>,
}

/// A model with logits, and the prompt that it reads.
struct TokenRole<'a> {
    name: &'static str,
    lm: &'a Lm,
    prompt: &'a [u32],
}

impl Prompts {
    /// Returns the roles with logits: base, untuned and tuned if there is a pair, and the two
    /// halves of each steer.
    fn token_roles<'a>(&'a self, models: &'a Models) -> Vec<TokenRole<'a>> {
        let mut prompts = vec![("base", self.base.as_slice())];
        if models.token_pair().is_some() {
            prompts.extend([("untuned", self.untuned.as_slice()), ("tuned", &self.tuned)]);
        }
        prompts.extend(self.steers.iter().flatten().map(|prompt| ("steered", prompt.as_slice())));
        let role =
            |(index, (name, prompt))| TokenRole { name, lm: models.token_model(index), prompt };
        prompts.into_iter().enumerate().map(role).collect()
    }
}

/// Assigns the roles of [`Prompts::token_roles`] to forward passes. Roles with the same model and the
/// same prompt share a pass. The value head can reuse the hidden states of such a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Passes {
    /// The pass of each role.
    pass_of_role: Vec<usize>,
    /// The role whose model runs each pass.
    role_of_pass: Vec<usize>,
    /// The pass whose states the value head reads; `None` if the value model needs a separate pass.
    value_pass: Option<usize>,
}

impl Passes {
    fn new(models: &Models, prompts: &Prompts) -> Self {
        let roles = prompts.token_roles(models);
        let mut passes =
            Self { pass_of_role: Vec::new(), role_of_pass: Vec::new(), value_pass: None };
        for (index, role) in roles.iter().enumerate() {
            let shares = |&other: &usize| {
                roles[other].lm.is_same(role.lm) && roles[other].prompt == role.prompt
            };
            let pass = passes.role_of_pass.iter().position(shares).unwrap_or_else(|| {
                passes.role_of_pass.push(index);
                passes.role_of_pass.len() - 1
            });
            passes.pass_of_role.push(pass);
        }
        passes.value_pass = models.value.as_ref().and_then(|value| {
            passes.role_of_pass.iter().position(|&role| {
                let role_prompt = ValuePrompt::Tokens(roles[role].prompt.to_vec());
                // A pass returns the state of the last token only, so a head that needs two
                // tokens cannot share it.
                value.model.tokens_needed() == 1
                    && value.words.is_none()
                    && value.model.trunk().is_same(roles[role].lm)
                    && prompts.value == role_prompt
            })
        });
        passes
    }
}

/// Logits of the token models for all rows, on the host.
#[derive(Clone)]
pub(super) struct Logits {
    /// One row-major matrix per pass, rows × V.
    passes: Vec<Vec<f32>>,
    pass_of_role: Vec<usize>,
    has_pair: bool,
    vocab_size: usize,
}

impl Logits {
    /// Returns the logits of row `r`.
    pub(super) fn row(&self, r: usize) -> RowLogits<'_> {
        let of = |role: usize| {
            &self.passes[self.pass_of_role[role]][r * self.vocab_size..(r + 1) * self.vocab_size]
        };
        let first = if self.has_pair { 3 } else { 1 };
        let steers = (first..self.pass_of_role.len()).step_by(2);
        RowLogits {
            base: of(0),
            pair: self.has_pair.then(|| (of(1), of(2))),
            candidates: None,
            kl_left_nats: f32::INFINITY,
            steers: steers.map(|role| (of(role), of(role + 1))).collect(),
        }
    }
}

/// The result of appending one token to every row.
pub(super) struct Advance {
    /// Logits for the next token.
    pub(crate) logits: Logits,
    /// V of every row including the new token. Empty if the value model has a separate pass or has
    /// read the token before.
    pub(crate) values: Vec<f32>,
    pub(crate) forward_passes: usize,
}

/// The caches of the token models, one per pass. All hold the same rows in the same order.
pub(super) struct TokenCaches {
    caches: Vec<Cache>,
    passes: Passes,
    /// Hidden states of the last token, `[rows, hidden]`, if the value pass has read it and the
    /// other passes have not.
    ahead: Option<Tensor>,
}

impl TokenCaches {
    /// Returns an independent copy; the prompt stays shared.
    pub(super) fn copy(&self) -> Result<Self, GuidanceError> {
        let caches = self.caches.iter().map(copy_cache).collect::<Result<_, _>>()?;
        Ok(Self { caches, passes: self.passes.clone(), ahead: self.ahead.clone() })
    }

    /// Replaces the rows by the given rows in the given order. Rows may repeat.
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

    /// Returns a copy of the cache whose pass the value head shares, with its prompt only.
    pub(super) fn value_cache(&self) -> Result<Option<Cache>, GuidanceError> {
        self.passes.value_pass.map(|pass| copy_cache(&self.caches[pass])).transpose()
    }

    /// Checks whether the value head shares one of the passes.
    pub(super) fn has_value_pass(&self) -> bool {
        self.passes.value_pass.is_some()
    }

    /// Appends one token to every row in the value pass only, and returns V of every row. The other
    /// passes follow in [`TokenCaches::advance`], for the rows that remain by then.
    pub(super) fn read_ahead(
        &mut self,
        models: &Models,
        tokens: &[u32],
    ) -> Result<Vec<f32>, GuidanceError> {
        let Some(pass) = self.passes.value_pass else { return Ok(Vec::new()) };
        let states = self.read(models, pass, tokens)?;
        let values = last_values(models, &states)?;
        self.ahead = Some(states);
        Ok(values)
    }

    /// Appends one token to every row in every pass.
    pub(super) fn advance(
        &mut self,
        models: &Models,
        tokens: &[u32],
    ) -> Result<Advance, GuidanceError> {
        let mut states: Vec<Option<Tensor>> = vec![None; self.caches.len()];
        if let (Some(pass), Some(ahead)) = (self.passes.value_pass, self.ahead.take()) {
            states[pass] = Some(ahead);
        }
        let (mut values, mut forward_passes) = (Vec::new(), 0);
        let lm = |pass: usize| models.token_model(self.passes.role_of_pass[pass]);
        for first in 0..states.len() {
            // Passes of one model with different prompts are read together.
            let is_due = |pass: &usize| states[*pass].is_none() && lm(*pass).is_same(lm(first));
            let together: Vec<usize> = (first..states.len()).filter(is_due).collect();
            if states[first].is_some() {
                continue;
            }
            let caches = self.caches.iter_mut().enumerate();
            let caches = caches.filter(|(pass, _)| together.contains(pass));
            let mut caches: Vec<&mut Cache> = caches.map(|(_, cache)| cache).collect();
            let rows: Vec<&[u32]> = tokens.chunks(1).collect();
            let (read, passes) =
                lm(first).forward_together(&mut caches, &vec![rows; together.len()])?;
            forward_passes += passes;
            for (pass, hidden) in together.into_iter().zip(read) {
                let hidden = hidden.i((.., 0))?;
                if self.passes.value_pass == Some(pass) {
                    values = last_values(models, &hidden)?;
                }
                states[pass] = Some(hidden);
            }
        }
        let states: Vec<Tensor> = states.into_iter().flatten().collect();
        let passes = self.logits_of(models, &states)?;
        let pass_of_role = self.passes.pass_of_role.clone();
        let (has_pair, vocab_size) = (models.token_pair().is_some(), models.vocab_size);
        let logits = Logits { passes, pass_of_role, has_pair, vocab_size };
        Ok(Advance { logits, values, forward_passes })
    }

    /// Returns the logits of each pass from its hidden states. The passes of one model share one
    /// product with its head.
    fn logits_of(
        &self,
        models: &Models,
        states: &[Tensor],
    ) -> Result<Vec<Vec<f32>>, GuidanceError> {
        let lm = |pass: usize| models.token_model(self.passes.role_of_pass[pass]);
        let mut logits: Vec<Vec<f32>> = vec![Vec::new(); states.len()];
        for first in 0..states.len() {
            if !logits[first].is_empty() {
                continue;
            }
            let together: Vec<usize> =
                (first..states.len()).filter(|&pass| lm(pass).is_same(lm(first))).collect();
            let own: Vec<&Tensor> = together.iter().map(|&pass| &states[pass]).collect();
            let all = host_logits(lm(first), &Tensor::cat(&own, 0)?, models.vocab_size)?;
            let each = all.chunks_exact(all.len() / together.len());
            for (pass, own) in together.into_iter().zip(each) {
                logits[pass] = own.to_vec();
            }
        }
        Ok(logits)
    }

    /// Runs one pass over one new token of every row. Returns the hidden states `[rows, hidden]`.
    fn read(
        &mut self,
        models: &Models,
        pass: usize,
        tokens: &[u32],
    ) -> Result<Tensor, GuidanceError> {
        let rows: Vec<&[u32]> = tokens.chunks(1).collect();
        let lm = models.token_model(self.passes.role_of_pass[pass]);
        Ok(lm.forward(&mut self.caches[pass], &rows)?.i((.., 0))?)
    }
}

/// Returns V of every row from the hidden states of its last token, `[rows, hidden]`.
fn last_values(models: &Models, states: &Tensor) -> Result<Vec<f32>, GuidanceError> {
    match &models.value {
        Some(guide) => Ok(guide.model.values(states)?),
        None => Ok(Vec::new()),
    }
}

fn copy_cache(cache: &Cache) -> Result<Cache, GuidanceError> {
    Ok(cache.fork(&(0..cache.rows()).collect::<Vec<_>>())?)
}

/// Returns the logits of the first `vocab_size` ids, row by row. Fails if a logit is not finite.
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

/// A prompt read once by every model. Any number of arms can start from it.
pub struct Prefilled {
    pub(super) caches: TokenCaches,
    pub(super) logits: Logits,
    /// V of the prompt alone.
    pub(super) value: Option<f32>,
    /// The rows of the value model, if it has a separate pass.
    pub(super) value_rows: Option<ValueRows>,
    pub(super) value_prompt: ValuePrompt,
    /// The row of a pair of another vocabulary.
    pub(super) text_pair: Option<TextPair>,
    /// Number of steers.
    pub(super) steers: usize,
    /// Response tokens that fit in the context of every model.
    pub(super) room: usize,
    pub(super) forward_passes: usize,
    pub(super) elapsed_ms: f64,
}

impl Prefilled {
    /// Reads `prompts` with every model of `models`.
    ///
    /// # Errors
    /// Fails if the prompt has no tokens, leaves no room in a model's context, or a model fails.
    pub fn new(models: &Models, prompts: &Prompts) -> Result<Self, GuidanceError> {
        let started = Instant::now();
        let room = models.room(prompts)?;
        let (mut caches, mut logits) = (Vec::new(), Vec::new());
        let roles = prompts.token_roles(models);
        let passes = Passes::new(models, prompts);
        let (mut value, mut value_rows) = (None, None);
        for (pass, &role) in passes.role_of_pass.iter().enumerate() {
            let (lm, prompt) = (roles[role].lm, roles[role].prompt);
            let (cache, hidden) = lm.prefill(prompt)?;
            caches.push(cache);
            let last = hidden.narrow(0, prompt.len() - 1, 1)?;
            if let Some(guide) = models.value.as_ref().filter(|_| passes.value_pass == Some(pass)) {
                value = guide.model.values(&last)?.first().copied();
            }
            logits.push(host_logits(lm, &last, models.vocab_size)?);
        }
        if let Some(guide) = models.value.as_ref().filter(|_| passes.value_pass.is_none()) {
            let (rows, prompt_value) = ValueRows::prefill(guide, &prompts.value)?;
            (value, value_rows) = (Some(prompt_value), Some(rows));
        }
        let text_pair = models.text_pair().and_then(|pair| {
            let (words, text) = (pair.words.as_ref()?, prompts.pair_text.as_ref()?);
            Some(TextPair::prefill(pair, words, text))
        });
        let text_pair = text_pair.transpose()?;
        Ok(Self {
            forward_passes: caches.len()
                + usize::from(value_rows.is_some())
                + 4 * usize::from(text_pair.is_some()),
            logits: Logits {
                passes: logits,
                pass_of_role: passes.pass_of_role.clone(),
                has_pair: models.token_pair().is_some(),
                vocab_size: models.vocab_size,
            },
            caches: TokenCaches { caches, passes, ahead: None },
            text_pair,
            value_prompt: prompts.value.clone(),
            value,
            value_rows,
            steers: prompts.steers.len(),
            room,
            elapsed_ms: started.elapsed().as_secs_f64() * 1e3,
        })
    }
}
