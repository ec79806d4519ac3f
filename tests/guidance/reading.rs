//! Reading a given text instead of sampling one.

use ivg_playground::guidance::settings::{Arm, Settings, ValueSource};
use ivg_playground::guidance::trace::ArmTrace;
use ivg_playground::guidance::{GuidanceError, Models, Prefilled, Search};

use crate::support::models;
use crate::text_pairs::{bundled_pair, same_vocabulary};
use crate::{PROMPT, prompts_of, run, small};

fn read(models: &Models, settings: &Settings, text: &str) -> Result<ArmTrace, GuidanceError> {
    let prefilled = Prefilled::new(models, &prompts_of(models, PROMPT)).unwrap();
    let mut search = Search::read(models, &prefilled, settings, text)?;
    while !search.is_done() {
        search.step()?;
    }
    search.finish()
}

/// A text that was generated has the same numbers when it is read.
#[test]
fn reading_a_generated_text_repeats_its_numbers() {
    let plain = Models { vocab_size: 128, ..models() };
    for models in [plain, same_vocabulary(), bundled_pair()] {
        for value_source in [ValueSource::Explicit, ValueSource::Implicit] {
            if models.value.is_none() && value_source == ValueSource::Explicit {
                continue;
            }
            let one = Settings { beams: 1, successors: 1, value_source, beta: 1.5, ..small() };
            let written = run(&models, Arm::Ivg, &one);
            let found = read(&models, &one, &written.text).unwrap();
            assert_eq!(found.text, written.text);
            for (a, b) in found.tokens.iter().zip(&written.tokens) {
                assert_eq!((a.id, &a.text), (b.id, &b.text));
                for (a, b) in [
                    (Some(a.logp_base), Some(b.logp_base)),
                    (a.advantage.filter(|_| b.advantage.is_some()), b.advantage),
                ] {
                    let (a, b) = (a.unwrap_or(0.0), b.unwrap_or(0.0));
                    assert!((a - b).abs() < 2e-3, "{a} {b}");
                }
                assert!(a.advantage.is_some(), "a given token is always scored");
            }
            for (a, b) in found.chunks.iter().zip(&written.chunks) {
                let (a, b) = (a.leader().unwrap(), b.leader().unwrap());
                if !b.ended {
                    assert!((a.value.unwrap() - b.value.unwrap()).abs() < 2e-3);
                }
            }
        }
    }
}

#[test]
fn a_model_without_guides_reads_a_text() {
    let bare = Models { pair: None, value: None, ..models() };
    let found = read(&bare, &small(), " was good").unwrap();
    assert_eq!((found.text.as_str(), found.tokens.len()), (" was good", 9));
    assert!(found.value.is_none() && found.tokens.iter().all(|t| t.advantage.is_none()));
}

#[test]
fn texts_that_do_not_fit_are_refused() {
    let models = models();
    assert!(matches!(read(&models, &small(), ""), Err(GuidanceError::EmptyText)));
    let long = "a".repeat(1000);
    let error = read(&models, &small(), &long).unwrap_err();
    assert!(matches!(error, GuidanceError::TextTooLong { tokens: 1000, .. }), "{error}");
}
