//! Benchmark: speed of prefill, of decoding with 1, 4 and 16 rows, and of a full IVG run.

use std::time::Instant;

use serde::Serialize;
use thiserror::Error;

use crate::guidance::settings::{Arm, Settings};
use crate::guidance::{GuidanceError, Prefilled, Search};
use crate::lm::{Lm, LmError};
use crate::packs::device::device_name;
use crate::packs::{Pack, PackError, PromptOptions};

/// Numbers of rows decoded together.
const ROWS: [usize; 3] = [1, 4, 16];
/// Prompt length of the prefill and decoding measurements.
const PROMPT_TOKENS: usize = 128;
/// Tokens decoded per row in one measurement.
const DECODE_TOKENS: usize = 32;

/// An error that ends a benchmark.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The pack failed to load.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A run failed.
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    /// A forward pass failed.
    #[error(transparent)]
    Lm(#[from] LmError),
    /// The tensor library failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// The results of a benchmark. Times and speeds are medians over the repetitions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// Name of the pack.
    pub pack: String,
    /// The device, such as "CPU, 2 threads".
    pub device: String,
    /// Repetitions of each measurement.
    pub repetitions: usize,
    /// Prompt tokens per second of the base.
    pub prefill_tokens_per_second: f64,
    /// Decoding speed of the base alone.
    pub decode: Vec<DecodeSpeed>,
    /// Tokens per second with 16 rows divided by tokens per second with one row.
    pub batch_gain: f64,
    /// A full run with the default settings of the pack.
    pub ivg: IvgSpeed,
}

/// Decoding speed for a number of rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecodeSpeed {
    /// Rows decoded together.
    pub rows: usize,
    /// Tokens per second over all rows.
    pub tokens_per_second: f64,
}

/// Speed of a full run: base, untuned, tuned and value model, with W·K rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IvgSpeed {
    /// Rows decoded together, W·K.
    pub rows: usize,
    /// Maximum number of tokens in the response.
    pub max_tokens: usize,
    /// Seconds from prompt to response.
    pub seconds: f64,
    /// Sampled tokens per second over all rows.
    pub tokens_per_second: f64,
}

/// Runs each measurement `repetitions` times (at least once) and returns the medians.
///
/// # Errors
/// Fails if a model fails.
pub fn bench(pack: &Pack, repetitions: usize) -> Result<BenchReport, BenchError> {
    let repetitions = repetitions.max(1);
    let base = &pack.models.base;
    let prompt = spread_tokens(base, PROMPT_TOKENS);
    let prefill = median(repetitions, || {
        let started = Instant::now();
        base.prefill(&prompt)?;
        Ok(PROMPT_TOKENS as f64 / started.elapsed().as_secs_f64())
    })?;
    let mut decode = Vec::new();
    for rows in ROWS {
        let speed = median(repetitions, || decode_speed(base, &prompt, rows))?;
        decode.push(DecodeSpeed { rows, tokens_per_second: speed });
    }
    let gain = |d: &[DecodeSpeed]| match (d.first(), d.last()) {
        (Some(one), Some(many)) => many.tokens_per_second / one.tokens_per_second,
        _ => 0.0,
    };
    Ok(BenchReport {
        pack: pack.manifest.name.clone(),
        device: device_name(&pack.device),
        repetitions,
        prefill_tokens_per_second: prefill,
        batch_gain: gain(&decode),
        decode,
        ivg: ivg_speed(pack, repetitions)?,
    })
}

/// Returns ids spread over the vocabulary. Their content does not affect the speed.
fn spread_tokens(lm: &Lm, count: usize) -> Vec<u32> {
    let vocab_size = lm.config().vocab_size as u32;
    (0..count as u32).map(|i| (i * 997 + 301) % vocab_size).collect()
}

fn decode_speed(lm: &Lm, prompt: &[u32], rows: usize) -> Result<f64, BenchError> {
    let (cache, _) = lm.prefill(prompt)?;
    let mut cache = cache.fork(&vec![0; rows])?;
    let ids = spread_tokens(lm, rows);
    let started = Instant::now();
    for _ in 0..DECODE_TOKENS {
        let step: Vec<&[u32]> = ids.chunks(1).collect();
        let hidden = lm.forward(&mut cache, &step)?;
        // Copies to the host, as in a real run. Otherwise a GPU could still be computing.
        lm.logits(&hidden.squeeze(1)?)?.flatten_all()?.to_vec1::<f32>()?;
    }
    Ok((rows * DECODE_TOKENS) as f64 / started.elapsed().as_secs_f64())
}

fn ivg_speed(pack: &Pack, repetitions: usize) -> Result<IvgSpeed, BenchError> {
    let settings: Settings = pack.defaults();
    let (has_pair, has_value) = (pack.models.pair.is_some(), pack.models.value.is_some());
    // Without a guide only the base can be measured.
    let arm = if has_pair || has_value { Arm::Ivg } else { Arm::Base };
    let prompts =
        pack.steered_prompts("This film", PromptOptions::default(), &settings.instructions())?;
    let mut sampled = 0;
    let seconds = median(repetitions, || {
        let started = Instant::now();
        let prompt = Prefilled::new(&pack.models, &prompts)?;
        let mut search = Search::new(&pack.models, &prompt, arm, &settings)?;
        while !search.is_done() {
            search.step()?;
        }
        sampled = search.finish()?.sampled_tokens;
        Ok(started.elapsed().as_secs_f64())
    })?;
    Ok(IvgSpeed {
        rows: settings.beams * settings.successors,
        max_tokens: settings.max_tokens,
        seconds,
        tokens_per_second: sampled as f64 / seconds,
    })
}

/// Returns the median of `repetitions` measurements, after one uncounted warm-up.
fn median(
    repetitions: usize,
    mut measure: impl FnMut() -> Result<f64, BenchError>,
) -> Result<f64, BenchError> {
    measure()?;
    let runs: Result<Vec<f64>, _> = (0..repetitions).map(|_| measure()).collect();
    let mut runs = runs?;
    runs.sort_by(f64::total_cmp);
    let middle = runs.len() / 2;
    Ok(if runs.len() % 2 == 1 { runs[middle] } else { (runs[middle - 1] + runs[middle]) / 2.0 })
}
