//! Value models with another vocabulary or a next-token head, models that share a pass, stop
//! sequences, and vocabularies that are only partly shared.

use std::sync::Arc;

use candle_core::Device;
use ivg_playground::guidance::settings::{Arm, Settings, ValueSource};
use ivg_playground::guidance::trace::StopReason;
use ivg_playground::guidance::{Models, Pair, Prefilled, Search, ValueGuide};
use ivg_playground::lm::{Lm, Tokenizer, ValueModel, WordEncoder};

use crate::support::{brief_lm, lm, models, value_guide};
use crate::{PROMPT, ids, prompts_of, run, small, value_from_scratch};

/// Loads a value model with another vocabulary from the goldens.
fn text_value_model(name: &str) -> ValueGuide {
    let goldens = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let model = ValueModel::load(&goldens.join(name), &Device::Cpu).unwrap();
    let tokenizer = Tokenizer::load(&goldens.join("tokenizer")).unwrap();
    ValueGuide { model, words: Some(Arc::new(WordEncoder::new(tokenizer))) }
}

/// New text may change the last tokens of the text before it, because of merges.
#[test]
fn values_with_another_vocabulary_equal_those_of_the_whole_text() {
    for name in ["value", "trl-head", "next-token-head"] {
        let models = Models { value: Some(text_value_model(name)), ..models() };
        for (beams, chunk_tokens) in [(1, 1), (1, 3), (3, 2)] {
            let settings = Settings { beams, chunk_tokens, max_tokens: 12, ..small() };
            let trace = run(&models, Arm::Chunk, &settings);
            let expected = value_from_scratch(&models, &ids(&trace));
            assert!((trace.value.unwrap() - expected).abs() < 1e-4, "{name}");
        }
    }
}

/// This head reads the hidden state before the last token. Its model shares the base's vocabulary.
#[test]
fn a_next_token_head_values_chunks_of_one_token() {
    let guide = ValueGuide { words: None, ..text_value_model("next-token-head") };
    let models = Models { value: Some(guide), ..models() };
    for chunk_tokens in [1, 4] {
        let settings = Settings { chunk_tokens, max_tokens: 9, ..small() };
        let trace = run(&models, Arm::Chunk, &settings);
        let expected = value_from_scratch(&models, &ids(&trace));
        assert!((trace.value.unwrap() - expected).abs() < 1e-4);
    }
}

/// If the base is also the untuned model and reads the same prompt, two passes replace three, with
/// the same numbers.
#[test]
fn roles_with_the_same_model_and_prompt_share_a_pass() {
    let base = lm(1);
    let pair = |untuned: Lm| Some(Pair { untuned, tuned: lm(3), words: None });
    let shared = Models { base: base.clone(), pair: pair(base), ..models() };
    let apart = Models { base: lm(1), pair: pair(lm(1)), ..models() };
    let settings = small();
    let of = |models: &Models, same_prompt: bool| {
        let mut prompts = prompts_of(models, PROMPT);
        if same_prompt {
            prompts.base = prompts.untuned.clone();
        }
        let prefilled = Prefilled::new(models, &prompts).unwrap();
        let mut search = Search::new(models, &prefilled, Arm::Ivg, &settings).unwrap();
        while !search.is_done() {
            search.step().unwrap();
        }
        search.finish().unwrap()
    };
    let (together, alone) = (of(&shared, true), of(&apart, true));
    assert_eq!(ids(&together), ids(&alone));
    assert_eq!(together.tokens, alone.tokens);
    assert!(together.forward_passes < alone.forward_passes);
    // With different prompts, both roles are rows of one pass. Only the prompts are read apart.
    let (together, alone) = (of(&shared, false), of(&apart, false));
    assert_eq!(together.tokens, alone.tokens);
    assert!(together.forward_passes < alone.forward_passes);
}

/// The head reads the hidden states of the untuned model's pass. The numbers equal those of a
/// separate value model.
#[test]
fn a_value_head_on_the_untuned_model_shares_its_pass() {
    let apart = |base: Lm| {
        let untuned = value_guide(4).model.trunk().clone();
        Models { base, pair: Some(Pair { untuned, tuned: lm(3), words: None }), ..models() }
    };
    let together = |base: Lm| {
        let models = apart(base);
        let model = models.value.as_ref().unwrap().model.clone();
        let untuned = model.trunk().clone();
        let tuned = lm(3);
        Models { pair: Some(Pair { untuned, tuned, words: None }), ..models }
    };
    let mut ended = 0;
    for base in [lm(1), brief_lm(1)] {
        for (arm, beams, successors, chunk_tokens, seed) in
            [(Arm::Base, 1, 1, 4, 1), (Arm::Ivg, 3, 2, 4, 2), (Arm::Chunk, 2, 3, 1, 3)]
        {
            let max_tokens = 13;
            let settings =
                Settings { beams, successors, chunk_tokens, seed, max_tokens, ..small() };
            let shared = run(&together(base.clone()), arm, &settings);
            let alone = run(&apart(base.clone()), arm, &settings);
            assert_eq!(ids(&shared), ids(&alone));
            assert!(shared.forward_passes < alone.forward_passes);
            assert!((shared.value.unwrap() - alone.value.unwrap()).abs() < 1e-5);
            assert_eq!(shared.chunks.len(), alone.chunks.len());
            for (a, b) in shared.chunks.iter().zip(&alone.chunks) {
                assert_eq!((a.leader, a.end_token), (b.leader, b.end_token));
                for (a, b) in a.candidates.iter().zip(&b.candidates) {
                    ended += usize::from(a.ended);
                    assert_eq!((&a.text, a.survived), (&b.text, b.survived));
                    assert!((a.value.unwrap() - b.value.unwrap()).abs() < 1e-5);
                }
            }
        }
    }
    assert!(ended > 0, "no candidate ended inside a chunk");
}

/// Covers stops in the middle of a chunk, stop sequences, and implicit values, which do not use the
/// head.
#[test]
fn a_shared_pass_has_the_same_numbers_wherever_a_run_ends() {
    let stops = vec!["e".to_owned()];
    let apart = || {
        let untuned = value_guide(4).model.trunk().clone();
        let pair = Some(Pair { untuned, tuned: lm(3), words: None });
        Models { pair, stops: stops.clone(), ..models() }
    };
    let together = || {
        let models = apart();
        let untuned = models.value.as_ref().unwrap().model.trunk().clone();
        Models { pair: Some(Pair { untuned, tuned: lm(3), words: None }), ..models }
    };
    let implicit = Settings { value_source: ValueSource::Implicit, ..small() };
    for (arm, settings) in
        [(Arm::Ivg, small()), (Arm::BestOfN, small()), (Arm::Ivg, implicit), (Arm::Base, small())]
    {
        for steps in [1, 4, 6, 14] {
            let run = |models: &Models| {
                let prefilled = Prefilled::new(models, &prompts_of(models, PROMPT)).unwrap();
                let mut search = Search::new(models, &prefilled, arm, &settings).unwrap();
                for _ in 0..steps {
                    if !search.is_done() {
                        search.step().unwrap();
                    }
                }
                search.finish().unwrap()
            };
            let (shared, alone) = (run(&together()), run(&apart()));
            assert_eq!(ids(&shared), ids(&alone), "{arm} {steps}");
            assert_eq!(shared.stop_reason, alone.stop_reason);
            assert!((shared.value.unwrap() - alone.value.unwrap()).abs() < 1e-5, "{arm} {steps}");
        }
    }
}

#[test]
fn a_response_ends_before_the_stop_sequence() {
    let settings = Settings { max_tokens: 40, temperature: 1.5, ..small() };
    let whole = run(&models(), Arm::Base, &settings);
    // The stop sequence is two characters from the middle of the base's response.
    let text: Vec<char> = whole.text.chars().collect();
    let at = (4..text.len() - 1).find(|&at| text[at].is_ascii() && text[at + 1].is_ascii());
    let at = at.expect("some plain text");
    let stop: String = text[at..=at + 1].iter().collect();
    let before: String = text.iter().collect::<String>();
    let before = &before[..before.find(&stop).unwrap()];
    let stopping = Models { stops: vec!["never".into(), stop.clone()], ..models() };
    let stopped = run(&stopping, Arm::Base, &settings);
    assert_eq!(stopped.stop_reason, StopReason::EndOfText);
    assert!(stopped.tokens.len() < whole.tokens.len());
    // The first character of the stop sequence may have been emitted before it was recognised.
    assert_eq!(stopped.text.strip_suffix(&stop[..1]).unwrap_or(&stopped.text), before);
    assert!(!stopped.text.contains(&stop));
    // The same holds for every row of a search.
    let searched = run(&stopping, Arm::Ivg, &settings);
    assert!(!searched.text.contains(&stop));
}

#[test]
fn ids_beyond_the_shared_vocabulary_are_never_drawn() {
    let whole = models();
    let narrow = Models { vocab_size: 100, ..models() };
    let settings = Settings { max_tokens: 20, ..small() };
    assert!(ids(&run(&whole, Arm::Base, &settings)).iter().any(|&id| id >= 100));
    for arm in [Arm::Base, Arm::Token, Arm::Ivg] {
        let trace = run(&narrow, arm, &settings);
        assert!(trace.tokens.iter().all(|token| token.id < 100));
        // The excluded ids have no probability.
        assert!(trace.tokens.iter().all(|token| token.logp_base <= 0.0));
        assert!(trace.tokens.iter().flat_map(|t| &t.alternatives).all(|other| other.id < 100));
    }
}
