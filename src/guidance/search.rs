//! The search decodes rows together, chunk by chunk, and keeps the rows with the highest value.
//!
//! Every arm uses this implementation with different settings (see [`Arm::apply`]). The search is a
//! state machine that advances one token at a time, so that the caller can interleave arms and stop
//! between any two forward passes.

use std::time::Instant;

use rayon::prelude::*;

use super::GuidanceError;
use super::candidates::Candidates;
use super::chunk_reader::ChunkReader;
use super::models::{Advance, Logits, Models, Prefilled, TokenCaches};
use super::row::Row;
use super::sampling::{Purpose, RowKey, uniform};
use super::selection::{Scored, Selection, select};
use super::settings::{Arm, Settings, ValueSource, limits};
use super::token_guide::TokenGuide;
use super::token_value::{RowLogits, draw, observe};
use super::trace::{ArmTrace, Candidate, ChunkTrace, StopReason, TokenTrace};
use crate::lm::LmError;

/// The result of one [`Search::step`].
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The new token of the leading row; `None` if that row has ended within the chunk.
    pub token: Option<TokenTrace>,
    /// The chunk that this token completed, and all response tokens of the leading survivor.
    pub chunk: Option<(ChunkTrace, Vec<TokenTrace>)>,
}

/// The decoding of one arm, in progress.
///
/// ```
/// use ivg_playground::guidance::settings::{Arm, Settings};
/// use ivg_playground::guidance::{Prefilled, Search};
/// use ivg_playground::packs::{DeviceChoice, Pack, PackSource, PromptOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pack = Pack::load(&PackSource::default(), DeviceChoice::Cpu, &mut |_, _| {})?;
/// let prompts = pack.prompts("This film", PromptOptions::default())?;
/// let prefilled = Prefilled::new(&pack.models, &prompts)?;
/// let settings = Settings { max_tokens: 10, ..pack.defaults() };
/// let mut search = Search::new(&pack.models, &prefilled, Arm::Ivg, &settings)?;
/// while !search.is_done() {
///     if let Some((chunk, _)) = search.step()?.chunk {
///         assert_eq!(chunk.candidates.len(), settings.beams * settings.successors);
///     }
/// }
/// assert_eq!(search.finish()?.chunks.len(), 2);
/// # Ok(())
/// # }
/// ```
pub struct Search<'m> {
    models: &'m Models,
    arm: Arm,
    settings: Settings,
    /// Maximum number of response tokens: `max_tokens`, or less if a context is shorter.
    budget: usize,
    /// The candidates of the chunk in progress. Between chunks, the survivors.
    rows: Vec<Row>,
    /// Indices into `rows` of the rows still decoding, in the row order of the caches.
    live: Vec<usize>,
    caches: TokenCaches,
    /// Logits for the next token of each cache row, if already computed.
    logits: Option<Logits>,
    /// The guide of the tokens that scores candidates, with the rows of the caches.
    guide: Option<TokenGuide>,
    /// The rows of the guide that values chunks: the candidates that the last chunk extended.
    reader: Option<ChunkReader>,
    /// Number of response tokens of every live row.
    position: usize,
    chunks: Vec<ChunkTrace>,
    /// Index into `rows` of the row that is shown to the user.
    leader: usize,
    sampled_tokens: usize,
    forward_passes: usize,
    elapsed_ms: f64,
    is_done: bool,
    /// The response, if it is read instead of sampled.
    given: Vec<u32>,
}

impl<'m> Search<'m> {
    /// Starts an arm with the chosen settings from a prefilled prompt.
    ///
    /// # Errors
    /// Fails if a setting is out of range or the arm needs a guide that the models do not include.
    pub fn new(
        models: &'m Models,
        prompt: &Prefilled,
        arm: Arm,
        chosen: &Settings,
    ) -> Result<Self, GuidanceError> {
        chosen.validate()?;
        let settings = arm.apply(chosen);
        if let Some(missing) =
            arm.missing_guide(chosen, models.pair.is_some(), models.value.is_some())
        {
            return Err(missing.into());
        }
        if settings.active_steers().count() != prompt.steers {
            return Err(GuidanceError::OtherInstructions);
        }
        Ok(Self {
            models,
            arm,
            budget: settings.max_tokens.min(prompt.room),
            // The prompt is a single survivor. Its W·K copies are the first candidates.
            rows: vec![Row::root(prompt.value)],
            live: vec![0],
            caches: prompt.caches.copy()?,
            guide: TokenGuide::new(models, prompt, &settings)?,
            logits: Some(prompt.logits.clone()),
            reader: ChunkReader::new(prompt, settings.value_source)?,
            position: 0,
            chunks: Vec::new(),
            leader: 0,
            sampled_tokens: 0,
            forward_passes: prompt.forward_passes,
            elapsed_ms: prompt.elapsed_ms,
            is_done: false,
            given: Vec::new(),
            settings,
        })
    }

    /// Starts reading `text` as the response to a prefilled prompt. Nothing is sampled: each step
    /// reads one token of the text, and the trace has its numbers under the chosen settings, with a
    /// single row.
    ///
    /// # Errors
    /// Fails if the text is empty or longer than a context, or a setting is out of range.
    pub fn read(
        models: &'m Models,
        prompt: &Prefilled,
        chosen: &Settings,
        text: &str,
    ) -> Result<Self, GuidanceError> {
        let given = models.tokenizer.encode_continuation(text)?;
        let (tokens, room) = (given.len(), prompt.room.min(*limits::MAX_TOKENS.end()));
        if tokens == 0 {
            return Err(GuidanceError::EmptyText);
        }
        if tokens > room {
            return Err(GuidanceError::TextTooLong { tokens, room });
        }
        let single = Settings { beams: 1, successors: 1, max_tokens: tokens, ..chosen.clone() };
        if let Some(&token) = given.iter().find(|&&id| id as usize >= models.vocab_size) {
            let vocab_size = models.vocab_size;
            return Err(LmError::Token { token, vocab_size }.into());
        }
        let has_guide = models.pair.is_some()
            || models.value.is_some()
            || chosen.active_steers().next().is_some();
        let arm = if has_guide { Arm::Ivg } else { Arm::Base };
        Ok(Self { given, ..Self::new(models, prompt, arm, &single)? })
    }

    /// Returns whether the response is complete.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Returns the number of tokens drawn so far, over all rows.
    pub fn sampled_tokens(&self) -> usize {
        self.sampled_tokens
    }

    /// Returns the time spent so far in prefill and [`Search::step`], in milliseconds.
    pub fn elapsed_ms(&self) -> f64 {
        self.elapsed_ms
    }

    /// Draws one token for every live row. Selects the survivors if that completes a chunk.
    ///
    /// # Errors
    /// Fails if a model fails. Do not step the search again after an error.
    pub fn step(&mut self) -> Result<Step, GuidanceError> {
        let started = Instant::now();
        let logits = self.next_logits()?;
        let candidates = self.candidates(&logits)?;
        let starts_chunk = self.position.is_multiple_of(self.settings.chunk_tokens);
        let sources = if starts_chunk { self.branch() } else { (0..self.live.len()).collect() };
        self.draw_tokens(&logits, &candidates, &sources);
        self.retire_ended(starts_chunk.then_some(sources))?;
        self.limit_to_texts()?;
        let token =
            self.rows[self.leader].last_token_of_step(self.position, &self.models.tokenizer);
        let chunk_is_full = self.position.is_multiple_of(self.settings.chunk_tokens);
        let is_over = self.live.is_empty() || self.position >= self.budget;
        let chunk = if chunk_is_full || is_over { Some(self.close_chunk()?) } else { None };
        self.is_done = self.live.is_empty() || self.position >= self.budget;
        self.elapsed_ms += started.elapsed().as_secs_f64() * 1e3;
        Ok(Step { token, chunk })
    }

    /// Returns the trace. If the search is not done, it was stopped: the incomplete chunk is then
    /// valued and selected, so that the response is the best of the current candidates.
    ///
    /// # Errors
    /// Fails if a value model fails.
    pub fn finish(mut self) -> Result<ArmTrace, GuidanceError> {
        let was_stopped = !self.is_done;
        let is_mid_chunk = !self.position.is_multiple_of(self.settings.chunk_tokens);
        if was_stopped && is_mid_chunk {
            let started = Instant::now();
            self.close_chunk()?;
            self.elapsed_ms += started.elapsed().as_secs_f64() * 1e3;
        }
        let row = &self.rows[self.leader];
        let stop_reason = if was_stopped {
            StopReason::Stopped
        } else if row.ended {
            StopReason::EndOfText
        } else if self.budget < self.settings.max_tokens {
            StopReason::ContextFull
        } else {
            StopReason::MaxTokens
        };
        let (text, tokens) = row.clone().into_text_and_tokens(&self.models.tokenizer);
        Ok(ArmTrace {
            name: self.arm,
            text,
            value: row.value,
            // Set by the caller, which has the judge.
            gold_reward: None,
            tokens,
            chunks: self.chunks,
            sampled_tokens: self.sampled_tokens,
            forward_passes: self.forward_passes,
            // Rounded to microseconds; more digits would be noise.
            elapsed_ms: (self.elapsed_ms * 1e3).round() / 1e3,
            stop_reason,
            settings: self.settings,
        })
    }

    /// Returns the logits for the next token of every cache row.
    fn next_logits(&mut self) -> Result<Logits, GuidanceError> {
        if let Some(logits) = self.logits.take() {
            return Ok(logits);
        }
        let last = self.last_ids();
        let Advance { logits, values, forward_passes } = self.caches.advance(self.models, &last)?;
        self.forward_passes += forward_passes;
        self.set_values(values);
        Ok(logits)
    }

    /// Returns the scored candidates of every cache row; empty if no guide scores candidates.
    fn candidates(&mut self, logits: &Logits) -> Result<Vec<Candidates>, GuidanceError> {
        let rows: Vec<&Row> = self.live.iter().map(|&i| &self.rows[i]).collect();
        let Some(guide) = &mut self.guide else { return Ok(Vec::new()) };
        let base: Vec<&[f32]> = (0..rows.len()).map(|row| logits.row(row).base).collect();
        // The guide reads the drawn tokens, then the candidates.
        self.forward_passes += guide.passes();
        guide.candidates(self.models, &rows, &base, self.given.get(self.position).copied())
    }

    /// Ends the search if a guide that reads text has almost no room left in its context.
    fn limit_to_texts(&mut self) -> Result<(), GuidanceError> {
        let rows: Vec<&Row> = self.live.iter().map(|&i| &self.rows[i]).collect();
        let reader = self.reader.as_ref().map(|reader| reader.is_full(self.models, &rows));
        let guide = self.guide.as_ref().map(|guide| guide.is_full(self.models, &rows));
        if guide.transpose()? == Some(true) || reader.transpose()? == Some(true) {
            self.budget = self.budget.min(self.position);
        }
        Ok(())
    }

    fn last_ids(&self) -> Vec<u32> {
        self.live.iter().map(|&i| self.rows[i].last_id()).collect()
    }

    /// Sets the explicit values of the live rows, given in the order of `live`.
    fn set_values(&mut self, values: Vec<f32>) {
        for (&i, value) in self.live.iter().zip(values) {
            self.rows[i].explicit_value = Some(value);
        }
    }

    /// Replaces the survivors by the candidates of a new chunk. An ended survivor becomes one
    /// candidate, a live survivor K candidates, the prompt W·K candidates. Returns the cache row
    /// that each new live row continues.
    fn branch(&mut self) -> Vec<usize> {
        let (w, k) = (self.settings.beams, self.settings.successors);
        let is_first = self.chunks.is_empty();
        let mut rows = Vec::with_capacity(w * k);
        let (mut live, mut sources) = (Vec::new(), Vec::new());
        let mut leader = 0;
        for (slot, survivor) in self.rows.iter().enumerate() {
            let source = self.live.iter().position(|&i| i == slot);
            let keys: Vec<RowKey> = match source {
                None => vec![RowKey { beam: slot as u32, successor: 0 }],
                Some(_) if is_first => grid(0..w, k),
                Some(_) => grid(slot..slot + 1, k),
            };
            if slot == self.leader {
                leader = rows.len();
            }
            for key in keys {
                if let Some(source) = source {
                    live.push(rows.len());
                    sources.push(source);
                }
                rows.push(survivor.branch(key, (!is_first).then_some(survivor.candidate)));
            }
        }
        (self.rows, self.live, self.leader) = (rows, live, leader);
        sources
    }

    /// Draws the next token of every live row from the logits of its source row.
    fn draw_tokens(&mut self, logits: &Logits, candidates: &[Candidates], sources: &[usize]) {
        let (settings, rows, position) = (&self.settings, &self.rows, self.position);
        let given = self.given.get(position).copied();
        let drawn: Vec<_> = self
            .live
            .par_iter()
            .zip(sources)
            .map(|(&i, &source)| {
                let u = uniform(settings.seed, Purpose::Token, rows[i].key, position);
                let row = RowLogits {
                    candidates: candidates.get(source),
                    kl_left_nats: settings.kl_budget_nats - rows[i].kl_nats(),
                    ..logits.row(source)
                };
                match given {
                    Some(id) => observe(&row, settings, id),
                    None => draw(&row, settings, u),
                }
            })
            .collect();
        let models = self.models;
        for (&i, drawn) in self.live.iter().zip(drawn) {
            let id = drawn.id;
            let bytes = models.tokenizer.bytes(id);
            let row = &mut self.rows[i];
            match models.stop(row.text(), bytes).filter(|_| given.is_none()) {
                Some(kept) => row.push_last(drawn, &bytes[..kept]),
                None => row.push(drawn, bytes, models.is_end(id)),
            }
        }
        self.sampled_tokens += self.live.len();
        self.position += 1;
    }

    /// Removes the rows that have just ended from `live` and from the caches. `sources` maps live
    /// rows to cache rows while the caches still hold the survivors of the last chunk.
    fn retire_ended(&mut self, sources: Option<Vec<usize>>) -> Result<(), GuidanceError> {
        let kept: Vec<usize> =
            (0..self.live.len()).filter(|&j| !self.rows[self.live[j]].ended).collect();
        // A cache cannot have zero rows. Without live rows it is not used again.
        if !kept.is_empty() {
            let rows: Vec<usize> = match sources {
                Some(sources) => kept.iter().map(|&j| sources[j]).collect(),
                None => kept.clone(),
            };
            self.fork_caches(&rows)?;
        }
        self.live = kept.iter().map(|&j| self.live[j]).collect();
        Ok(())
    }

    fn fork_caches(&mut self, rows: &[usize]) -> Result<(), GuidanceError> {
        self.caches.fork(rows)?;
        if let Some(guide) = &mut self.guide {
            guide.fork(rows)?;
        }
        Ok(())
    }

    /// Values every candidate, selects the survivors and drops the other rows.
    fn close_chunk(&mut self) -> Result<(ChunkTrace, Vec<TokenTrace>), GuidanceError> {
        self.value_from_shared_pass()?;
        let value_rows = self.value_candidates()?;
        let selection = self.select();
        let candidates = self.rows.iter().enumerate().map(|(i, row)| Candidate {
            text: row.chunk_text().to_owned(),
            parent: row.parent,
            value: row.value,
            survived: selection.survivors.contains(&i),
            ended: row.ended,
            tokens: row.tokens(),
        });
        let chunk = ChunkTrace {
            end_token: self.position,
            candidates: candidates.collect(),
            leader: selection.best,
            selection_kl_nats: Some(selection.kl_nats),
        };
        self.keep(&selection, &value_rows)?;
        self.chunks.push(chunk.clone());
        let (_, lead) = self.rows[self.leader].clone().into_text_and_tokens(&self.models.tokenizer);
        Ok((chunk, lead))
    }

    /// If the value head shares a pass with another role, reads the last token of the live rows in
    /// that pass. Ended rows keep the value computed when their last text was read.
    fn value_from_shared_pass(&mut self) -> Result<(), GuidanceError> {
        let is_explicit = self.settings.value_source == ValueSource::Explicit;
        if is_explicit && self.caches.has_value_pass() && !self.live.is_empty() {
            let values = self.caches.read_ahead(self.models, &self.last_ids())?;
            self.forward_passes += 1;
            self.set_values(values);
        }
        Ok(())
    }

    /// Reads the new text of the chunk and sets the value of every row. A row
    /// without new text keeps its value. Returns the indices of the rows that the
    /// reader holds.
    fn value_candidates(&mut self) -> Result<Vec<usize>, GuidanceError> {
        let must_read =
            |row: &Row| self.reader.as_ref().is_some_and(|reader| reader.must_read(row));
        let extended: Vec<usize> =
            (0..self.rows.len()).filter(|&i| must_read(&self.rows[i])).collect();
        if let Some(reader) = self.reader.as_ref().filter(|_| !extended.is_empty()) {
            let sources: Vec<usize> =
                extended.iter().map(|&i| self.rows[i].value_source_row).collect();
            let mut reader = reader.fork(&sources)?;
            let rows = self.rows.iter_mut().enumerate();
            let rows = rows.filter(|(i, _)| extended.contains(i)).map(|(_, row)| row);
            self.forward_passes += reader.read(self.models, &mut rows.collect::<Vec<_>>())?;
            self.reader = Some(reader);
        }
        for row in &mut self.rows {
            row.value = match self.settings.value_source {
                ValueSource::Explicit => row.explicit_value,
                ValueSource::Implicit => row.implicit_value(),
            };
        }
        Ok(extended)
    }

    fn select(&self) -> Selection {
        let scored: Vec<Scored> = self
            .rows
            .iter()
            // Only a search of a single row can have no value; `new` refuses the others.
            .map(|row| Scored { key: row.key, value: row.value.unwrap_or(0.0) })
            .collect();
        let (s, chunk) = (&self.settings, self.chunks.len());
        select(&scored, s.lambda, s.beams, s.seed, chunk).unwrap_or(Selection {
            survivors: Vec::new(),
            best: 0,
            kl_nats: 0.0,
        })
    }

    /// Reduces rows and caches to the survivors.
    fn keep(&mut self, selection: &Selection, value_rows: &[usize]) -> Result<(), GuidanceError> {
        let (mut rows, mut live) = (Vec::new(), Vec::new());
        let (mut cache_rows, mut value_cache_rows) = (Vec::new(), Vec::new());
        for &i in &selection.survivors {
            if i == selection.best {
                self.leader = rows.len();
            }
            let mut row = self.rows[i].clone();
            row.candidate = i;
            if let Some(j) = self.live.iter().position(|&l| l == i) {
                live.push(rows.len());
                cache_rows.push(j);
                row.value_source_row = value_cache_rows.len();
                value_cache_rows.extend(value_rows.iter().position(|&v| v == i));
            }
            rows.push(row);
        }
        if !live.is_empty() {
            self.fork_caches(&cache_rows)?;
            if let Some(reader) = &mut self.reader {
                *reader = reader.fork(&value_cache_rows)?;
            }
        }
        (self.rows, self.live) = (rows, live);
        Ok(())
    }
}

fn grid(beams: std::ops::Range<usize>, successors: usize) -> Vec<RowKey> {
    let key = |b: usize, k: usize| RowKey { beam: b as u32, successor: k as u32 };
    beams.flat_map(|b| (0..successors).map(move |k| key(b, k))).collect()
}
