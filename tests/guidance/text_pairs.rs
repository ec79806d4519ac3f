//! Pairs of another vocabulary, which read the response as text.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use ivg_playground::guidance::settings::{Arm, Settings, ValueSource};
use ivg_playground::guidance::trace::{ArmTrace, StopReason, TokenTrace};
use ivg_playground::guidance::{Models, Pair, Prefilled, Prompts, Search};
use ivg_playground::lm::{Lm, PromptText, Tokenizer, WordEncoder};

use crate::support::{brief_lm, lm, models, tokenizer};
use crate::{PROMPT, ids, logp_rows, prompts_of, run, small};

/// Ids below this one are the end token and ASCII characters.
const ASCII: usize = 128;

/// The tiny byte-level models with the pair read as text. The base writes ASCII only.
fn same_vocabulary() -> Models {
    let words = Some(Arc::new(WordEncoder::new(tokenizer())));
    let pair = Some(Pair { untuned: lm(2), tuned: lm(3), words });
    Models { pair, value: None, vocab_size: ASCII, ..models() }
}

/// The tiny byte-level base with the bundled pair, whose tokens are up to whole words.
fn bundled_pair() -> Models {
    let load = |role: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/packs/imdb").join(role);
        (Lm::load(&folder, &Device::Cpu).unwrap(), Tokenizer::load(&folder).unwrap())
    };
    let ((untuned, tokenizer), (tuned, _)) = (load("untuned"), load("tuned"));
    let words = Some(Arc::new(WordEncoder::new(tokenizer)));
    let pair = Some(Pair { untuned, tuned, words });
    Models { base: brief_lm(1), pair, value: None, vocab_size: ASCII, ..models() }
}

fn settings(seed: u64) -> Settings {
    Settings { seed, beta: 1.5, max_tokens: 24, value_source: ValueSource::Implicit, ..small() }
}

/// Returns log π_tuned − log π_untuned of the text after the prompt, from one pass over the whole
/// text.
fn ratio(models: &Models, text: &str, has_ended: bool) -> f32 {
    let pair = models.pair.as_ref().unwrap();
    let tokenizer = pair.words.as_ref().unwrap().tokenizer();
    let logp = |lm: &Lm, text: &str, has_ended: bool| {
        let mut ids = tokenizer.encode_with_prefix(&format!("{PROMPT}{text}")).unwrap();
        ids.extend(lm.config().eos.first().filter(|_| has_ended));
        let (first, rest) = ids.split_at(1);
        let rows = logp_rows(lm, first, rest);
        rows.iter().zip(rest).map(|(row, &id)| row[id as usize]).sum::<f32>()
    };
    let of = |text: &str, has_ended: bool| {
        logp(&pair.tuned, text, has_ended) - logp(&pair.untuned, text, has_ended)
    };
    of(text, has_ended) - of("", false)
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

/// Returns log of the probability that the text after `prompt` begins with `text`: the sum over all
/// ways to split it into tokens, of which the last may reach beyond it (Hayase et al. 2025, arXiv
/// 2506.14123, without their pruning).
fn exact(lm: &Lm, tokenizer: &Tokenizer, prompt: &[u32], text: &str) -> f64 {
    if text.is_empty() {
        return 0.0;
    }
    let next = logp_rows(lm, prompt, &[0]).remove(0);
    let mut total = 0.0;
    for id in 0..tokenizer.vocab_size() as u32 {
        let bytes = tokenizer.bytes(id);
        let p = f64::from(next[id as usize]).exp();
        if bytes.starts_with(text.as_bytes()) {
            total += p;
        } else if let Some(rest) = text.as_bytes().strip_prefix(bytes).filter(|_| !bytes.is_empty())
        {
            // Prompts and texts are ASCII.
            let rest = std::str::from_utf8(rest).unwrap();
            total += p * exact(lm, tokenizer, &[prompt, &[id]].concat(), rest).exp();
        }
    }
    f64::ln(total)
}

/// Compares the advantage that guides with the exact one. Run with `--nocapture` to print them.
#[test]
fn advantages_are_close_to_the_exact_ones() {
    let models = bundled_pair();
    let pair = models.pair.as_ref().unwrap();
    let tokenizer = pair.words.as_ref().unwrap().tokenizer();
    let cases = [
        ("This film is", " won", "der"),
        ("This film is", " wonder", "ful"),
        ("This film is", " terr", "ible"),
        ("This film is", " terr", "ific"),
        ("The plot was", " bor", "ing"),
        ("The plot was", "", " bor"),
        ("The plot was", "", " brilliant"),
        ("I", "", " loved"),
        ("I", " hat", "ed"),
        ("I would", " recom", "mend"),
        ("The acting is", " aw", "ful"),
        ("The acting is", " great", ","),
        ("The acting is", " great", " and"),
        ("The acting is", " bad", "."),
    ];
    let (mut errors, mut sizes) = (Vec::new(), Vec::new());
    for (prompt, before, added) in cases {
        let ids = tokenizer.encode_with_prefix(prompt).unwrap();
        let exact_ratio = |text: &str| {
            exact(&pair.tuned, tokenizer, &ids, text) - exact(&pair.untuned, tokenizer, &ids, text)
        };
        let fast_ratio = |text: &str| {
            let logp = |lm: &Lm| {
                let all = tokenizer.encode_with_prefix(&format!("{prompt}{text}")).unwrap();
                assert!(all.starts_with(&ids));
                let rows = logp_rows(lm, &ids, &all[ids.len()..]);
                let new = &all[ids.len()..];
                rows.iter().zip(new).map(|(row, &id)| f64::from(row[id as usize])).sum::<f64>()
            };
            logp(&pair.tuned) - logp(&pair.untuned)
        };
        let extended = format!("{before}{added}");
        let expected = exact_ratio(&extended) - exact_ratio(before);
        let found = fast_ratio(&extended) - fast_ratio(before);
        println!("{prompt}{before}|{added}: exact {expected:+.2}, fast {found:+.2}");
        errors.push((found - expected).abs());
        sizes.push(expected.abs());
    }
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    println!("mean |error| {:.2} of mean |advantage| {:.2}", mean(&errors), mean(&sizes));
    assert!(mean(&errors) < 0.5 * mean(&sizes));
}
