//! The method on tiny models with random weights: the special cases, and every number of the trace
//! compared with a recomputation without caches.
#![allow(clippy::unwrap_used, missing_docs)]

mod limits;
mod reading;
mod steers;
#[path = "../support/mod.rs"]
mod support;
mod text_pairs;
mod token_values;
mod values;

use ivg_playground::guidance::settings::{Arm, Settings, ValueSource};
use ivg_playground::guidance::trace::{ArmTrace, StopReason};
use ivg_playground::guidance::{
    GuidanceError, Models, Pair, Prefilled, Prompts, Search, ValuePrompt,
};
use ivg_playground::lm::{Lm, PromptText, TextStream};
use proptest::prelude::*;
use support::{CONTEXT, brief_models, lm, models, value_guide};

const PROMPT: &str = "A film";

fn prompts_of(models: &Models, prompt: &str) -> Prompts {
    let ids: Vec<u32> =
        std::iter::once(0).chain(models.tokenizer.encode(prompt).unwrap()).collect();
    let reads_text = models.value.as_ref().is_some_and(|guide| guide.words.is_some());
    let value = if reads_text {
        ValuePrompt::Text(PromptText::control(prompt))
    } else {
        ValuePrompt::Tokens(ids.clone())
    };
    let text = models.pair.as_ref().filter(|pair| pair.words.is_some());
    let pair_text = text.map(|_| [PromptText::plain(prompt), PromptText::plain(prompt)]);
    // The base reads another prompt than the guides and the value model.
    Prompts {
        base: [&[65, 66][..], &ids].concat(),
        untuned: ids.clone(),
        tuned: ids,
        pair_text,
        value,
        steers: Vec::new(),
    }
}

fn run(models: &Models, arm: Arm, settings: &Settings) -> ArmTrace {
    let prefilled = Prefilled::new(models, &prompts_of(models, PROMPT)).unwrap();
    let mut search = Search::new(models, &prefilled, arm, settings).unwrap();
    while !search.is_done() {
        search.step().unwrap();
    }
    search.finish().unwrap()
}

fn small() -> Settings {
    Settings {
        max_tokens: 14,
        temperature: 1.0,
        beams: 3,
        successors: 2,
        chunk_tokens: 4,
        ..Settings::default()
    }
}

fn ids(trace: &ArmTrace) -> Vec<u32> {
    trace.tokens.iter().map(|t| t.id).collect()
}

/// Returns the log-softmax row of every token of `response` after `prompt`, from one pass over the
/// whole text.
fn logp_rows(lm: &Lm, prompt: &[u32], response: &[u32]) -> Vec<Vec<f32>> {
    let text: Vec<u32> = prompt.iter().chain(response).copied().collect();
    let (_, hidden) = lm.prefill(&text).unwrap();
    let rows = hidden.narrow(0, prompt.len() - 1, response.len()).unwrap();
    let logits = lm.logits(&rows).unwrap();
    candle_nn::ops::log_softmax(&logits, 1).unwrap().to_vec2().unwrap()
}

/// Returns V of prompt and response. The end token is not part of the text.
fn value_from_scratch(models: &Models, response: &[u32]) -> f32 {
    let guide = models.value.as_ref().unwrap();
    let ended = response.ends_with(&[support::EOS]);
    let response = response.strip_suffix(&[support::EOS]).unwrap_or(response);
    let text: Vec<u32> = match (prompts_of(models, PROMPT).value, &guide.words) {
        (ValuePrompt::Tokens(prompt), _) => prompt.iter().chain(response).copied().collect(),
        (ValuePrompt::Text(prompt), words) => {
            // An incomplete character is not part of the text.
            let mut stream = TextStream::new();
            for &id in response {
                stream.push(models.tokenizer.bytes(id));
            }
            if ended {
                stream.finish();
            }
            let whole = prompt.clone().then_plain(stream.text());
            words.as_ref().unwrap().tokenizer().encode_prompt(&whole).unwrap()
        }
    };
    let (_, hidden) = guide.model.trunk().prefill(&text).unwrap();
    guide.model.value(&hidden, &text).unwrap()
}

/// Returns the text of a candidate and its ancestors.
fn beam_text(trace: &ArmTrace, chunk: usize, candidate: usize) -> String {
    let c = &trace.chunks[chunk].candidates[candidate];
    match c.parent {
        Some(parent) => beam_text(trace, chunk - 1, parent) + &c.text,
        None => c.text.clone(),
    }
}

#[test]
fn ivg_with_beta_zero_and_one_row_equals_the_base() {
    let models = models();
    for seed in 0..8 {
        let settings = Settings { seed, ..small() };
        let base = run(&models, Arm::Base, &settings);
        let off = Settings { beta: 0.0, beams: 1, successors: 1, ..settings };
        let ivg = run(&models, Arm::Ivg, &off);
        assert_eq!((ids(&ivg), &ivg.text), (ids(&base), &base.text));
        assert_eq!(base.kl_nats(), 0.0);
        assert!(base.tokens.iter().all(|t| t.logp_base == t.logp_guided));
        assert!(base.tokens.iter().all(|t| t.advantage.is_some()));
    }
}

#[test]
fn beta_one_on_the_untuned_model_equals_the_tuned_model() {
    let pair = Pair { untuned: lm(2), tuned: lm(3), words: None };
    let guided = Models { base: lm(2), pair: Some(pair), ..models() };
    let tuned = Models { base: lm(3), pair: None, ..models() };
    // The bases must read the guides' prompt for this comparison.
    let prompts = prompts_of(&guided, PROMPT);
    let prompts = Prompts { base: prompts.untuned.clone(), ..prompts };
    let decode = |models: &Models, arm, seed| {
        let settings = Settings { beta: 1.0, seed, ..small() };
        let prefilled = Prefilled::new(models, &prompts).unwrap();
        let mut search = Search::new(models, &prefilled, arm, &settings).unwrap();
        while !search.is_done() {
            search.step().unwrap();
        }
        search.finish().unwrap()
    };
    for seed in 0..8 {
        let a = decode(&guided, Arm::Token, seed);
        let b = decode(&tuned, Arm::Base, seed);
        assert_eq!(ids(&a), ids(&b));
        for (a, b) in a.tokens.iter().zip(&b.tokens) {
            assert!((a.logp_guided - b.logp_base).abs() < 1e-4);
        }
    }
}

#[test]
fn best_of_n_equals_chunk_guidance_with_one_beam_and_whole_responses() {
    let models = models();
    let settings = small();
    let best = run(&models, Arm::BestOfN, &settings);
    let n = settings.beams * settings.successors;
    let as_search = Settings {
        beams: 1,
        successors: n,
        chunk_tokens: settings.max_tokens,
        lambda: f32::INFINITY,
        ..settings.clone()
    };
    let search = run(&models, Arm::Chunk, &as_search);
    assert_eq!((ids(&best), best.value), (ids(&search), search.value));
    assert_eq!(best.chunks.len(), 1);
    let values: Vec<f32> = best.chunks[0].candidates.iter().map(|c| c.value.unwrap()).collect();
    assert_eq!(values.len(), n);
    assert_eq!(best.value, values.iter().copied().reduce(f32::max));
    assert!(best.tokens.iter().all(|t| t.kl_nats == 0.0));
    // Its first sample is the base's response for this seed.
    assert_eq!(best.chunks[0].candidates[0].text, run(&models, Arm::Base, &settings).text);
}

#[test]
fn every_number_of_a_token_equals_that_of_a_pass_without_a_cache() {
    let models = models();
    let pair = models.pair.as_ref().unwrap();
    let prompts = prompts_of(&models, PROMPT);
    for (arm, beta) in [(Arm::Base, 1.0), (Arm::Token, -1.5), (Arm::Ivg, 0.7), (Arm::Chunk, 1.0)] {
        let settings = Settings { beta, seed: 11, ..small() };
        let trace = run(&models, arm, &settings);
        let response = ids(&trace);
        assert!(response.len() > 5);
        let base = logp_rows(&models.base, &prompts.base, &response);
        let untuned = logp_rows(&pair.untuned, &prompts.untuned, &response);
        let tuned = logp_rows(&pair.tuned, &prompts.tuned, &response);
        let beta = trace.settings.beta;
        for (i, token) in trace.tokens.iter().enumerate() {
            let y = token.id as usize;
            let guided: Vec<f64> = (0..base[i].len())
                .map(|v| f64::from(base[i][v] + beta * (tuned[i][v] - untuned[i][v])))
                .collect();
            let lse = guided.iter().map(|z| z.exp()).sum::<f64>().ln();
            let kl: f64 = guided
                .iter()
                .zip(&base[i])
                .map(|(z, b)| (z - lse).exp() * (z - lse - f64::from(*b)))
                .sum();
            assert!((token.logp_base - base[i][y]).abs() < 1e-4);
            assert!((f64::from(token.logp_guided) - (guided[y] - lse)).abs() < 1e-4);
            let advantage = tuned[i][y] - untuned[i][y];
            assert!((token.advantage.unwrap() - advantage).abs() < 2e-4);
            assert!((f64::from(token.kl_nats) - kl).abs() < 2e-4);
        }
    }
}

#[test]
fn every_value_equals_that_of_a_pass_without_a_cache() {
    let models = models();
    let trace = run(&models, Arm::Ivg, &small());
    assert!((trace.value.unwrap() - value_from_scratch(&models, &ids(&trace))).abs() < 1e-4);
    // The base arm also has a value at every chunk.
    let base = run(&models, Arm::Base, &small());
    assert_eq!(base.chunks.iter().map(|c| c.end_token).collect::<Vec<_>>(), [4, 8, 12, 14]);
    for chunk in &base.chunks {
        let prefix = &ids(&base)[..chunk.end_token];
        let value = chunk.candidates[0].value.unwrap();
        assert!((value - value_from_scratch(&models, prefix)).abs() < 1e-4);
    }
}

#[test]
fn the_implicit_value_is_the_sum_of_advantages() {
    let models = Models { value: None, ..models() };
    let settings = Settings { value_source: ValueSource::Implicit, ..small() };
    let trace = run(&models, Arm::Chunk, &settings);
    let sum: f32 = trace.tokens.iter().filter_map(|t| t.advantage).sum();
    assert!((trace.value.unwrap() - sum).abs() < 1e-4);
    let last = trace.chunks.last().unwrap();
    let best = last.candidates.iter().filter_map(|c| c.value).fold(f32::MIN, f32::max);
    assert_eq!(trace.value, Some(best));
}

#[test]
fn the_search_keeps_the_candidates_with_the_highest_values() {
    let models = models();
    for seed in 0..6 {
        let trace = run(&models, Arm::Ivg, &Settings { seed, ..small() });
        let width = trace.settings.beams;
        for (i, chunk) in trace.chunks.iter().enumerate() {
            let survivors = chunk.candidates.iter().filter(|c| c.survived);
            let lowest_kept = survivors.clone().filter_map(|c| c.value).fold(f32::MAX, f32::min);
            assert_eq!(survivors.count(), width);
            for c in &chunk.candidates {
                assert!(c.survived || c.value.unwrap() <= lowest_kept);
                match c.parent {
                    Some(p) => assert!(trace.chunks[i - 1].candidates[p].survived),
                    None => assert_eq!(i, 0),
                }
            }
        }
        let last = trace.chunks.len() - 1;
        let leader = trace.chunks[last].leader;
        assert_eq!(trace.chunks[last].leader().unwrap().value, trace.value);
        let whole: String = trace.tokens.iter().map(|t| t.text.as_str()).collect();
        assert_eq!(whole, trace.text);
        // A character that is split between chunks belongs to the chunk that completes it. So the
        // text may differ from its beam only by an incomplete character at its end.
        assert!(trace.text.starts_with(&beam_text(&trace, last, leader)));
    }
}

#[test]
fn with_a_finite_lambda_the_response_and_its_value_belong_to_one_row() {
    let models = models();
    let mut noisy = 0;
    for seed in 0..12 {
        let trace = run(&models, Arm::Ivg, &Settings { lambda: 0.5, seed, ..small() });
        let last = trace.chunks.last().unwrap();
        let leader = last.leader().unwrap();
        assert!(leader.survived);
        assert_eq!(leader.value, trace.value);
        assert!((trace.value.unwrap() - value_from_scratch(&models, &ids(&trace))).abs() < 1e-4);
        noisy += usize::from(last.candidates.iter().any(|c| c.value > leader.value));
    }
    assert!(noisy > 0, "the noise never selected a row other than the best");
}

#[test]
fn lambda_zero_ignores_the_value_model() {
    let with = |value| Models { value: Some(value_guide(value)), ..models() };
    for seed in 0..6 {
        let settings = Settings { lambda: 0.0, seed, ..small() };
        let a = run(&with(4), Arm::Chunk, &settings);
        let b = run(&with(5), Arm::Chunk, &settings);
        assert_eq!(ids(&a), ids(&b));
        assert_ne!(a.value, b.value);
    }
}

#[test]
fn the_kl_bound_of_chunk_selection_grows_with_lambda() {
    let models = models();
    let bound = |lambda, beams| {
        let settings = Settings { lambda, beams, ..small() };
        run(&models, Arm::Chunk, &settings).kl_selection_bound_nats()
    };
    assert_eq!(bound(0.0, 3), 0.0);
    assert!(0.0 < bound(0.3, 3) && bound(0.3, 3) < bound(2.0, 3));
    // The maximum is log W + T log K with T = 4 chunks.
    let maximum = 3f32.ln() + 4.0 * 2f32.ln();
    assert!((bound(f32::INFINITY, 3) - maximum).abs() < 1e-5);
    assert!(bound(100.0, 3) <= maximum);
    // Best of two, four times.
    assert!((bound(f32::INFINITY, 1) - 4.0 * (2f32.ln() - 0.5)).abs() < 1e-5);
}

#[test]
fn ended_rows_stay_unchanged_and_have_one_successor() {
    let models = brief_models();
    let (mut ended_and_kept, mut ended_answers) = (0, 0);
    for seed in 0..12 {
        let trace = run(&models, Arm::Ivg, &Settings { seed, max_tokens: 24, ..small() });
        let k = trace.settings.successors;
        let mut drawn = 0;
        for (i, chunk) in trace.chunks.iter().enumerate() {
            for c in &chunk.candidates {
                let before = c.parent.map(|p| &trace.chunks[i - 1].candidates[p]);
                let new_tokens = c.tokens - before.map_or(0, |b| b.tokens);
                drawn += new_tokens;
                match before {
                    Some(b) if b.ended => {
                        ended_and_kept += 1;
                        assert!(c.ended && c.text.is_empty() && new_tokens == 0);
                        assert_eq!(c.value, b.value);
                    }
                    _ => assert!(new_tokens > 0),
                }
            }
            if i > 0 {
                let previous = &trace.chunks[i - 1].candidates;
                for (p, b) in previous.iter().enumerate().filter(|(_, b)| b.survived) {
                    let children = chunk.candidates.iter().filter(|c| c.parent == Some(p)).count();
                    assert_eq!(children, if b.ended { 1 } else { k });
                }
            }
        }
        assert_eq!(drawn, trace.sampled_tokens);
        assert!((trace.value.unwrap() - value_from_scratch(&models, &ids(&trace))).abs() < 1e-4);
        if trace.stop_reason == StopReason::EndOfText {
            ended_answers += 1;
            assert_eq!(trace.tokens.last().unwrap().id, support::EOS);
            assert!(trace.tokens.last().unwrap().text.is_empty());
        } else {
            assert_eq!(trace.stop_reason, StopReason::MaxTokens);
            assert_eq!(trace.tokens.len(), 24);
        }
    }
    assert!(ended_and_kept > 0 && ended_answers > 0, "no response of this test has ended");
}

#[test]
fn the_prompt_is_prefilled_once_and_every_step_is_one_pass_per_model() {
    let models = models();
    for max_tokens in [4, 8, 40] {
        let trace = run(&models, Arm::Ivg, &Settings { max_tokens, ..small() });
        assert_eq!(trace.stop_reason, StopReason::MaxTokens);
        // Four prefills, one pass of three models for every token but the last, and one pass of the
        // value model for every chunk.
        assert_eq!(trace.forward_passes, 4 + 3 * (max_tokens - 1) + max_tokens.div_ceil(4));
        assert_eq!(trace.sampled_tokens, 6 * max_tokens);
    }
}

#[test]
fn a_stop_keeps_the_best_row_so_far() {
    let models = models();
    let prefilled = Prefilled::new(&models, &prompts_of(&models, PROMPT)).unwrap();
    for steps in [0, 1, 4, 6] {
        let mut search = Search::new(&models, &prefilled, Arm::Ivg, &small()).unwrap();
        for _ in 0..steps {
            search.step().unwrap();
        }
        let trace = search.finish().unwrap();
        assert_eq!(trace.stop_reason, StopReason::Stopped);
        assert_eq!(trace.tokens.len(), steps);
        if steps > 0 {
            let value = value_from_scratch(&models, &ids(&trace));
            assert!((trace.value.unwrap() - value).abs() < 1e-4);
        }
    }
}

#[test]
fn a_full_context_has_its_own_stop_reason() {
    let models = models();
    let trace = run(&models, Arm::Ivg, &Settings { max_tokens: 500, ..small() });
    let prompt = prompts_of(&models, PROMPT).base.len();
    assert_eq!(trace.stop_reason, StopReason::ContextFull);
    assert_eq!(trace.tokens.len(), CONTEXT - prompt);
}

#[test]
fn streamed_tokens_follow_the_leader_and_equal_the_final_tokens() {
    let models = models();
    let prefilled = Prefilled::new(&models, &prompts_of(&models, PROMPT)).unwrap();
    for (beams, successors) in [(1, 1), (3, 2), (4, 1), (2, 4)] {
        let settings = Settings { beams, successors, ..small() };
        let mut search = Search::new(&models, &prefilled, Arm::Ivg, &settings).unwrap();
        let (mut shown, mut provisional) = (Vec::new(), String::new());
        let mut leader = None;
        while !search.is_done() {
            let step = search.step().unwrap();
            if let Some(token) = step.token {
                provisional += &token.text;
                shown.push(token);
            }
            if let Some((chunk, lead)) = step.chunk {
                // The provisional text is that of the leader's first successor.
                let followed = chunk.candidates.iter().find(|c| c.parent == leader).unwrap();
                assert_eq!(provisional, followed.text);
                leader = Some(chunk.leader);
                provisional.clear();
                shown = lead;
            }
        }
        assert_eq!(shown, search.finish().unwrap().tokens);
    }
}

#[test]
fn error_messages_say_what_to_do() {
    let models = models();
    let prompts = prompts_of(&models, PROMPT);
    let long = "x".repeat(CONTEXT);
    let too_long = Prefilled::new(&models, &prompts_of(&models, &long)).err().unwrap();
    assert!(matches!(too_long, GuidanceError::PromptTooLong { role: "base", .. }));
    assert!(too_long.to_string().contains("shorten the prompt"));

    let error_of = |models: &Models, arm, settings: &Settings| {
        let prefilled = Prefilled::new(models, &prompts).unwrap();
        Search::new(models, &prefilled, arm, settings).err().map(|e| e.to_string()).unwrap()
    };
    for (settings, word) in [
        (Settings { beta: f32::NAN, ..small() }, "β is NaN"),
        (Settings { beta: 3.5, ..small() }, "-3 to 3"),
        (Settings { lambda: -1.0, ..small() }, "or inf"),
        (Settings { temperature: f32::INFINITY, ..small() }, "temperature"),
        (Settings { beams: 16, successors: 16, ..small() }, "W·K is 256"),
        (Settings { beams: 0, ..small() }, "beams W"),
        (Settings { top_p: 0.0, ..small() }, "top-p"),
    ] {
        let message = error_of(&models, Arm::Ivg, &settings);
        assert!(message.contains(word), "{message}");
    }
    let no_pair = Models { pair: None, ..support::models() };
    assert!(error_of(&no_pair, Arm::Token, &small()).contains("tuned/untuned pair"));
    let no_value = Models { value: None, ..support::models() };
    assert!(error_of(&no_value, Arm::Chunk, &small()).contains("no value model"));
    // The base arm needs neither.
    let bare = Models { pair: None, value: None, ..support::models() };
    let trace = run(&bare, Arm::Base, &small());
    assert!(trace.value.is_none() && trace.tokens.iter().all(|t| t.advantage.is_none()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn more_rows_do_not_change_earlier_samples(seed: u64, w in 1usize..4, k in 1usize..4) {
        let models = models();
        let first_chunk = |beams, successors| {
            let settings = Settings { seed, beams, successors, max_tokens: 4, ..small() };
            run(&models, Arm::Ivg, &settings).chunks[0].candidates.clone()
        };
        let (few, wide, deep) = (first_chunk(w, k), first_chunk(w + 2, k), first_chunk(w, k + 2));
        for beam in 0..w {
            for successor in 0..k {
                let text = &few[beam * k + successor].text;
                prop_assert_eq!(text, &wide[beam * k + successor].text);
                prop_assert_eq!(text, &deep[beam * (k + 2) + successor].text);
            }
        }
        // The same holds for whole responses, in best-of-N.
        let of_n = |n| {
            let settings = Settings { seed, beams: 1, successors: n, max_tokens: 10, ..small() };
            run(&models, Arm::BestOfN, &settings).chunks[0].candidates.clone()
        };
        for (a, b) in of_n(k).iter().zip(&of_n(k + 3)) {
            prop_assert_eq!(&a.text, &b.text);
        }
    }

    #[test]
    fn the_tokens_make_up_the_text_in_order(seed: u64) {
        let models = models();
        let trace = run(&models, Arm::Token, &Settings { seed, max_tokens: 40, ..small() });
        let pieces: String = trace.tokens.iter().map(|t| t.text.as_str()).collect();
        prop_assert_eq!(&pieces, &trace.text);
        let bytes: Vec<u8> =
            trace.tokens.iter().flat_map(|t| models.tokenizer.bytes(t.id)).copied().collect();
        prop_assert_eq!(&trace.text, &String::from_utf8_lossy(&bytes));
        let mut end = 0;
        for token in &trace.tokens {
            prop_assert!(token.start >= end && token.start <= token.end);
            end = token.end;
        }
        prop_assert!(end <= trace.text.len());
    }
}
