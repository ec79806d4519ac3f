//! The KL budget and the plausibility mask.

use ivg_playground::guidance::settings::{Arm, Settings};

use crate::support::models;
use crate::{ids, run, small};

fn strong(seed: u64) -> Settings {
    Settings { seed, beta: 2.5, ..small() }
}

#[test]
fn the_divergence_of_a_response_stays_within_the_budget() {
    let models = models();
    let mut lowered = 0;
    for seed in 0..4 {
        for arm in [Arm::Token, Arm::Ivg] {
            let free = run(&models, arm, &strong(seed));
            let budget = free.kl_nats() / 3.0;
            let settings = Settings { kl_budget_nats: budget, ..strong(seed) };
            let limited = run(&models, arm, &settings);
            assert!(limited.kl_nats() <= budget + 1e-3, "{} of {budget}", limited.kl_nats());
            assert!(limited.kl_nats() > 0.9 * budget, "{} of {budget}", limited.kl_nats());
            lowered += limited.tokens.iter().filter(|t| t.strength_factor.is_some()).count();
            let ample = Settings { kl_budget_nats: 1000.0, ..strong(seed) };
            let ample = run(&models, arm, &ample);
            assert_eq!((ids(&ample), &ample.text), (ids(&free), &free.text));
            assert!(ample.tokens.iter().all(|t| t.strength_factor.is_none()));
        }
    }
    assert!(lowered > 20, "{lowered}");
}

#[test]
fn a_budget_of_zero_equals_the_base() {
    let models = models();
    for seed in 0..4 {
        let none = Settings { kl_budget_nats: 0.0, mask_nats: 1.0, ..strong(seed) };
        let (token, base) = (run(&models, Arm::Token, &none), run(&models, Arm::Base, &none));
        assert_eq!((ids(&token), &token.text), (ids(&base), &base.text));
        assert_eq!(token.kl_nats(), 0.0);
    }
}

#[test]
fn masked_tokens_are_never_drawn() {
    let models = models();
    let mut excluded = 0;
    for seed in 0..4 {
        let free = run(&models, Arm::Token, &strong(seed));
        let masked = run(&models, Arm::Token, &Settings { mask_nats: 2.0, ..strong(seed) });
        let drop = |trace: &ivg_playground::guidance::trace::ArmTrace| -> Vec<f32> {
            let best = |t: &ivg_playground::guidance::trace::TokenTrace| {
                t.alternatives.iter().map(|a| a.logp_base).fold(f32::MIN, f32::max)
            };
            trace.tokens.iter().map(|t| best(t) - t.logp_base).collect()
        };
        assert!(drop(&masked).iter().all(|nats| *nats <= 2.0 + 1e-5));
        excluded += drop(&free).iter().filter(|nats| **nats > 2.0).count();
    }
    assert!(excluded > 5, "the mask had nothing to exclude: {excluded}");
}

#[test]
fn arms_without_token_guidance_ignore_the_limits() {
    let limited = Settings { kl_budget_nats: 1.0, mask_nats: 1.0, ..small() };
    for arm in [Arm::Base, Arm::BestOfN, Arm::Chunk, Arm::PromptOnly] {
        let applied = arm.apply(&limited);
        assert_eq!((applied.kl_budget_nats, applied.mask_nats), (f32::INFINITY, f32::INFINITY));
    }
    for (kl_budget_nats, mask_nats) in [(-1.0, 1.0), (f32::NAN, 1.0), (1.0, -0.5), (1.0, 21.0)] {
        assert!(Settings { kl_budget_nats, mask_nats, ..small() }.validate().is_err());
    }
}
