//! Pairs of another vocabulary, which read the response as text.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use ivg_playground::guidance::settings::{Arm, Settings, ValueSource};
use ivg_playground::guidance::trace::{ArmTrace, StopReason, TokenTrace};
use ivg_playground::guidance::{Models, Pair, Prefilled, Prompts, Search};
use ivg_playground::lm::{GuideWords, Lm, PromptText, Tokenizer};

use crate::support::{brief_lm, lm, models, tokenizer};
use crate::{PROMPT, ids, logp_rows, prompts_of, run, small};

/// Ids below this one are the end token and ASCII characters.
const ASCII: usize = 128;

/// The tiny byte-level models with the pair read as text. The base writes ASCII only.
pub(crate) fn same_vocabulary() -> Models {
    let words = Some(Arc::new(GuideWords::new(tokenizer(), tokenizer().into())));
    let pair = Some(Pair { untuned: lm(2), tuned: lm(3), words });
    Models { pair, value: None, vocab_size: ASCII, ..models() }
}

/// The tiny byte-level base with the bundled pair, whose tokens are up to whole words.
pub(crate) fn bundled_pair() -> Models {
    let load = |role: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/packs/imdb").join(role);
        (Lm::load(&folder, &Device::Cpu).unwrap(), Tokenizer::load(&folder).unwrap())
    };
    let ((untuned, tokenizer), (tuned, _)) = (load("untuned"), load("tuned"));
    let words = Some(Arc::new(GuideWords::new(tokenizer, crate::support::tokenizer().into())));
    let pair = Some(Pair { untuned, tuned, words });
    Models { base: brief_lm(1), pair, value: None, vocab_size: ASCII, ..models() }
}

fn settings(seed: u64) -> Settings {
    Settings { seed, beta: 1.5, max_tokens: 24, value_source: ValueSource::Implicit, ..small() }
}

/// Returns log π_tuned − log π_untuned of the text after the prompt, without caches.
fn ratio(models: &Models, text: &str, has_ended: bool) -> f32 {
    let pair = models.pair.as_ref().unwrap();
    let tokenizer = pair.words.as_ref().unwrap().own().tokenizer();
    let of = |text: &str, has_ended: bool| {
        let logp = |lm: &Lm| logp_of_text(lm, tokenizer, text, has_ended);
        logp(&pair.tuned) - logp(&pair.untuned)
    };
    of(text, has_ended) - of("", false)
}

/// Returns log p of all token sequences that begin with prompt and text: the tokens of the text up
/// to its last word, then some of the tokens of that word, then a token that begins with the rest.
/// If the text has ended, it has only its own tokens.
fn logp_of_text(lm: &Lm, tokenizer: &Tokenizer, text: &str, has_ended: bool) -> f32 {
    let encode = |text: &str| tokenizer.encode_with_prefix(&format!("{PROMPT}{text}")).unwrap();
    let ids = encode(text);
    let (first, rest) = ids.split_at(1);
    let rows = logp_rows(lm, first, &[rest, &[lm.config().eos[0]]].concat());
    let sum = |tokens: usize| -> f32 {
        rows.iter().zip(&rest[..tokens - 1]).map(|(row, &id)| row[id as usize]).sum()
    };
    if has_ended {
        return sum(ids.len()) + rows[ids.len() - 1][lm.config().eos[0] as usize];
    }
    let mut starts = text.match_indices(' ').map(|(at, _)| at);
    let after_word = |at: &usize| text[..*at].ends_with(|c: char| !c.is_whitespace());
    let word = starts.rfind(after_word).unwrap_or(0);
    let settled = if word > 0 { encode(&text[..word]).len() } else { 1 };
    let mut logps = Vec::new();
    for kept in settled..ids.len() {
        let left = tokenizer.decode(&ids[kept..]);
        for last in 0..tokenizer.vocab_size() as u32 {
            let cover = [&ids[..kept], &[last]].concat();
            let begins = tokenizer.bytes(last).starts_with(left.as_bytes());
            // A cover must be how the guide writes its text, unless it continues the prompt's word.
            let continues = word == 0 && !text.starts_with(' ');
            if begins
                && (continues
                    || tokenizer.encode_with_prefix(&tokenizer.decode(&cover)).unwrap() == cover)
            {
                logps.push(sum(kept) + rows[kept - 1][last as usize]);
            }
        }
    }
    let max = logps.iter().copied().fold(f32::MIN, f32::max);
    max + logps.iter().map(|logp| (logp - max).exp()).sum::<f32>().ln()
}

fn has_ended(trace: &ArmTrace) -> bool {
    trace.stop_reason == StopReason::EndOfText
}

/// Checks that the guided log-probabilities of the ten likeliest tokens follow the rule: the base's
/// plus β times the advantage for candidates, up to one constant, and the base's for all others.
fn check_distribution(token: &TokenTrace, advantage: impl Fn(u32) -> f32, beta: f32) {
    let shifts: Vec<f32> = token
        .alternatives
        .iter()
        .filter(|a| (a.logp_guided - a.logp_base).abs() > 1e-5)
        .map(|a| a.logp_guided - a.logp_base - beta * advantage(a.id))
        .collect();
    for shift in &shifts {
        assert!((shift - shifts[0]).abs() < 2e-3, "{shifts:?}");
    }
}

#[test]
fn a_pair_of_the_same_vocabulary_read_as_text_equals_the_direct_method() {
    let models = same_vocabulary();
    let prompt: Vec<u32> = prompts_of(&models, PROMPT).untuned;
    let pair = models.pair.as_ref().unwrap();
    let mut checked = 0;
    for seed in 0..6 {
        let settings = settings(seed);
        let trace = run(&models, Arm::Token, &settings);
        let drawn = ids(&trace);
        let (untuned, tuned) =
            (logp_rows(&pair.untuned, &prompt, &drawn), logp_rows(&pair.tuned, &prompt, &drawn));
        for (t, token) in trace.tokens.iter().enumerate() {
            let expected = |id: u32| tuned[t][id as usize] - untuned[t][id as usize];
            if let Some(advantage) = token.advantage {
                assert!((advantage - expected(token.id)).abs() < 1e-3);
                checked += 1;
            }
            check_distribution(token, expected, settings.beta);
        }
    }
    assert!(checked > 50, "{checked}");
}

#[test]
fn advantages_are_differences_of_whole_texts() {
    let models = bundled_pair();
    let mut ended = 0;
    for seed in 0..6 {
        let trace = run(&models, Arm::Token, &settings(seed));
        let mut before = 0.0;
        for token in &trace.tokens {
            let is_end = token.id == 0;
            let after = ratio(&models, &trace.text[..token.end], is_end);
            if let Some(advantage) = token.advantage {
                assert!((advantage - (after - before)).abs() < 2e-3, "{:?}", trace.text);
                ended += usize::from(is_end);
            } else {
                assert!(token.unguided_mass.unwrap() > 0.0);
            }
            before = after;
        }
        let expected = ratio(&models, &trace.text, has_ended(&trace));
        assert!((trace.value.unwrap() - expected).abs() < 2e-3);
    }
    assert!(ended > 0, "no text ended");
}

#[test]
fn unguided_tokens_keep_their_probability() {
    let models = same_vocabulary();
    let settings = Settings { beta: 2.5, ..settings(3) };
    let trace = run(&models, Arm::Token, &settings);
    for token in &trace.tokens {
        let unguided = token.unguided_mass.unwrap();
        assert!((0.0..1.0).contains(&unguided));
        if token.advantage.is_none() {
            assert!((token.logp_guided - token.logp_base).abs() < 1e-5);
            assert!(token.logp_base.exp() <= unguided + 1e-5);
        }
    }
    assert!(trace.tokens.iter().any(|token| token.kl_nats > 0.01), "nothing was guided");
}

#[test]
fn chunk_values_are_those_of_the_whole_text() {
    for models in [same_vocabulary(), bundled_pair()] {
        for (beams, chunk_tokens) in [(1, 1), (1, 3), (3, 4)] {
            for arm in [Arm::Chunk, Arm::Ivg, Arm::BestOfN, Arm::Base] {
                let settings = Settings { beams, chunk_tokens, ..settings(5) };
                let trace = run(&models, arm, &settings);
                let expected = ratio(&models, &trace.text, has_ended(&trace));
                assert!((trace.value.unwrap() - expected).abs() < 2e-3, "{arm}");
            }
        }
    }
}

#[test]
fn strength_zero_equals_the_base() {
    let models = bundled_pair();
    let alone = Models { pair: None, ..bundled_pair() };
    for seed in 0..4 {
        let off = Settings { beta: 0.0, ..settings(seed) };
        let explicit = Settings { value_source: ValueSource::Explicit, ..off.clone() };
        let expected = run(&alone, Arm::Base, &explicit);
        for settings in [&off, &explicit] {
            let trace = run(&models, Arm::Token, settings);
            assert_eq!((ids(&trace), &trace.text), (ids(&expected), &expected.text));
            assert_eq!(trace.kl_nats(), 0.0);
            assert!(trace.tokens.iter().all(|token| token.unguided_mass.is_none()));
        }
    }
}

#[test]
fn half_the_strength_twice_is_the_strength_once() {
    // Two pairs cannot be loaded at once; twice the log-ratio at half the strength is the same.
    let models = same_vocabulary();
    let one = run(&models, Arm::Token, &settings(1));
    let reversed = Models {
        pair: models.pair.as_ref().map(|pair| Pair {
            untuned: pair.tuned.clone(),
            tuned: pair.untuned.clone(),
            words: pair.words.clone(),
        }),
        ..same_vocabulary()
    };
    let other = run(&reversed, Arm::Token, &Settings { beta: -1.5, ..settings(1) });
    assert_eq!(one.text, other.text, "a reversed pair at −β is the pair at β");
}

#[test]
fn rows_of_a_search_are_independent_of_their_number() {
    let models = bundled_pair();
    let settings = Settings { lambda: 0.0, chunk_tokens: 30, ..settings(2) };
    let few = run(&models, Arm::Ivg, &Settings { beams: 1, successors: 2, ..settings.clone() });
    let many = run(&models, Arm::Ivg, &Settings { beams: 1, successors: 5, ..settings });
    let texts = |trace: &ArmTrace| {
        trace.chunks[0].candidates.iter().take(2).map(|c| c.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&few), texts(&many));
}

/// The pair reads about as many tokens as the base and has the same context.
#[test]
fn a_full_context_of_the_pair_ends_the_text() {
    let models = same_vocabulary();
    let long = Settings { max_tokens: 200, ..settings(0) };
    let trace = run(&models, Arm::Token, &long);
    let pair = models.pair.as_ref().unwrap();
    let context = pair.tuned.config().context_tokens;
    assert!(trace.tokens.len() < context, "{} of {context}", trace.tokens.len());
    if trace.tokens.last().is_some_and(|token| token.id != 0) {
        assert_eq!(trace.stop_reason, StopReason::ContextFull);
    }
}

#[test]
fn the_halves_may_read_different_prompts() {
    let models = bundled_pair();
    let text = [PromptText::plain("A bad film"), PromptText::plain(PROMPT)];
    let prompts = Prompts { pair_text: Some(text), ..prompts_of(&models, PROMPT) };
    let prefilled = Prefilled::new(&models, &prompts).unwrap();
    let mut search = Search::new(&models, &prefilled, Arm::Token, &settings(1)).unwrap();
    while !search.is_done() {
        search.step().unwrap();
    }
    let other = search.finish().unwrap();
    assert!(other.value.unwrap().is_finite());
    assert_ne!(other.value, run(&models, Arm::Token, &settings(1)).value);
}
