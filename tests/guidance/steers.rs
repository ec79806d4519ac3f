//! Guides made from sentences: the base reads its prompt with and without an instruction.

use ivg_playground::guidance::settings::{Arm, Settings, ValueSource};
use ivg_playground::guidance::steer::Steer;
use ivg_playground::guidance::trace::ArmTrace;
use ivg_playground::guidance::{GuidanceError, Models, Prefilled, Prompts, Search};

use crate::support::models;
use crate::{PROMPT, ids, logp_rows, prompts_of, small};

/// The tokens of a prompt with an instruction before it.
fn told(models: &Models, instruction: &str) -> Vec<u32> {
    let instruction = models.tokenizer.encode(instruction).unwrap();
    [&instruction[..], &prompts_of(models, PROMPT).base].concat()
}

/// Returns the prompts of a run with these steers, given as (away, towards).
fn steered_prompts(models: &Models, steers: &[(&str, &str)]) -> Prompts {
    let steers = steers.iter().map(|(away, towards)| [told(models, away), told(models, towards)]);
    Prompts { steers: steers.collect(), ..prompts_of(models, PROMPT) }
}

fn steer(away: &str, towards: &str, beta: f32) -> Steer {
    Steer { towards: towards.into(), away: away.into(), beta }
}

fn decode(models: &Models, prompts: &Prompts, arm: Arm, settings: &Settings) -> ArmTrace {
    let prefilled = Prefilled::new(models, prompts).unwrap();
    let mut search = Search::new(models, &prefilled, arm, settings).unwrap();
    while !search.is_done() {
        search.step().unwrap();
    }
    search.finish().unwrap()
}

fn without_pair() -> Models {
    Models { pair: None, ..models() }
}

#[test]
fn strength_one_from_the_plain_prompt_equals_the_instruction_in_the_prompt() {
    let models = without_pair();
    let steered = steered_prompts(&models, &[("", "Rhyme")]);
    let prompted = Prompts { base: told(&models, "Rhyme"), ..prompts_of(&models, PROMPT) };
    for seed in 0..8 {
        let plain = Settings { seed, ..small() };
        let settings = Settings { steers: vec![steer("", "Rhyme", 1.0)], ..plain.clone() };
        let expected = decode(&models, &prompted, Arm::Base, &plain);
        let guided = decode(&models, &steered, Arm::Token, &settings);
        assert_eq!((ids(&guided), &guided.text), (ids(&expected), &expected.text));
        for (token, expected) in guided.tokens.iter().zip(&expected.tokens) {
            assert_eq!(token.logp_guided, expected.logp_base);
        }
        let told = decode(&models, &steered, Arm::PromptOnly, &settings);
        assert_eq!(told.text, expected.text, "the arm ignores the strength");
        let stronger = Settings { steers: vec![steer("", "Rhyme", 2.5)], ..plain };
        assert_eq!(decode(&models, &steered, Arm::PromptOnly, &stronger).text, expected.text);
    }
}

#[test]
fn strength_zero_equals_the_base() {
    let models = models();
    let prompts = steered_prompts(&models, &[("Rant", "Rhyme")]);
    for seed in 0..8 {
        let plain = Settings { seed, beta: 0.0, ..small() };
        let off = Settings { steers: vec![steer("Rant", "Rhyme", 0.0)], ..plain.clone() };
        let base = decode(&models, &prompts_of(&models, PROMPT), Arm::Base, &plain);
        for arm in [Arm::Token, Arm::Base] {
            let steered = decode(&models, &prompts, arm, &off);
            assert_eq!((ids(&steered), &steered.text), (ids(&base), &base.text));
            assert_eq!(steered.kl_nats(), 0.0);
            assert!(steered.tokens.iter().all(|token| token.steer_advantages.len() == 1));
        }
    }
}

#[test]
fn a_steer_acts_together_with_the_pair() {
    let models = models();
    let prompts = steered_prompts(&models, &[("Rant", "Rhyme"), ("", "Be brief")]);
    let steers = vec![steer("Rant", "Rhyme", 0.7), steer("", "Be brief", -0.4)];
    let settings = Settings { beta: 0.5, steers, ..small() };
    let trace = decode(&models, &prompts, Arm::Token, &settings);
    let response = ids(&trace);
    let pair = models.pair.as_ref().unwrap();
    let base = logp_rows(&models.base, &prompts.base, &response);
    let halves = |lm, prompt: &[u32]| logp_rows(lm, prompt, &response);
    let differences = [
        (0.5, halves(&pair.untuned, &prompts.untuned), halves(&pair.tuned, &prompts.tuned)),
        (
            0.7,
            halves(&models.base, &prompts.steers[0][0]),
            halves(&models.base, &prompts.steers[0][1]),
        ),
        (-0.4, base.clone(), halves(&models.base, &prompts.steers[1][1])),
    ];
    for (position, token) in trace.tokens.iter().enumerate() {
        let id = token.id as usize;
        let guided: Vec<f32> = (0..base[position].len())
            .map(|id| {
                let pulls = differences.iter().map(|(beta, away, towards)| {
                    beta * (towards[position][id] - away[position][id])
                });
                base[position][id] + pulls.sum::<f32>()
            })
            .collect();
        let total = guided.iter().map(|z| z.exp()).sum::<f32>().ln();
        assert!((token.logp_guided - (guided[id] - total)).abs() < 1e-3);
        let own: Vec<f32> = differences
            .iter()
            .map(|(_, away, towards)| towards[position][id] - away[position][id])
            .collect();
        for (found, expected) in token.steer_advantages.iter().zip(&own[1..]) {
            assert!((found - expected).abs() < 1e-3);
        }
        let sum: f32 = own.iter().sum();
        assert!((token.advantage.unwrap() - sum).abs() < 1e-3, "the sum over all guides");
    }
}

#[test]
fn summed_advantages_of_steers_rank_chunks() {
    let models = Models { value: None, ..without_pair() };
    let prompts = steered_prompts(&models, &[("", "Rhyme")]);
    let settings = Settings {
        value_source: ValueSource::Implicit,
        steers: vec![steer("", "Rhyme", 1.0)],
        ..small()
    };
    for arm in [Arm::Chunk, Arm::Ivg] {
        let trace = decode(&models, &prompts, arm, &settings);
        let sum: f32 = trace.tokens.iter().filter_map(|token| token.advantage).sum();
        assert!((trace.value.unwrap() - sum).abs() < 1e-3);
        let chunk = &trace.chunks[0];
        let values = || chunk.candidates.iter().map(|c| c.value.unwrap());
        assert_eq!(chunk.leader().unwrap().value, values().reduce(f32::max));
    }
}

#[test]
fn a_plain_prompt_costs_no_pass_of_its_own() {
    let models = without_pair();
    let passes = |steers: &[(&str, &str)]| {
        let settings = Settings {
            steers: steers.iter().map(|(away, towards)| steer(away, towards, 1.0)).collect(),
            max_tokens: 4,
            ..small()
        };
        let trace = decode(&models, &steered_prompts(&models, steers), Arm::Base, &settings);
        trace.forward_passes
    };
    let plain = passes(&[]);
    let one = passes(&[("", "Rhyme")]) - plain;
    assert_eq!(passes(&[("", "Rhyme"), ("", "Be brief")]) - plain, 2 * one);
    assert_eq!(passes(&[("Rant", "Rhyme")]) - plain, 2 * one);
    assert_eq!(passes(&[("", "Rhyme"), ("", "Rhyme")]) - plain, one, "equal prompts are read once");
}

#[test]
fn settings_must_have_the_instructions_that_were_read() {
    let models = without_pair();
    let settings = Settings { steers: vec![steer("", "Rhyme", 1.0)], ..small() };
    let read = |steers: &[(&str, &str)]| {
        Prefilled::new(&models, &steered_prompts(&models, steers)).unwrap()
    };
    let error = |arm, read: &Prefilled, settings: &Settings| {
        Search::new(&models, read, arm, settings).err().unwrap()
    };
    let found = error(Arm::Token, &read(&[]), &settings);
    assert!(matches!(found, GuidanceError::OtherInstructions));
    let found = error(Arm::PromptOnly, &read(&[]), &small());
    assert!(matches!(found, GuidanceError::NoInstruction));
    let empty = Settings { steers: vec![steer(" ", "", 1.0)], ..small() };
    assert!(Search::new(&models, &read(&[]), Arm::Chunk, &empty).is_ok(), "it is ignored");
}

#[test]
fn a_steer_outside_its_limits_is_rejected() {
    for (steers, words) in [
        (vec![steer("", "Rhyme", 3.5)], "strength of a steer is 3.5"),
        (vec![steer("", "Rhyme", f32::NAN)], "strength of a steer is NaN"),
        (vec![steer("", &"a".repeat(2001), 1.0)], "characters of an instruction is 2001"),
        (vec![Steer::default(); 4], "number of steers is 4"),
    ] {
        let error = Settings { steers, ..small() }.validate().unwrap_err();
        assert!(error.to_string().starts_with(words), "{error}");
    }
}
