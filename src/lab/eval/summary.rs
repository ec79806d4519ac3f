//! The table of an eval.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;

use super::{EvalArm, Plan, Record};

/// Resamplings of the bootstrap.
const RESAMPLES: usize = 10_000;
/// Its random draws are the same for every table.
const BOOTSTRAP_SEED: u64 = 20_240_917;

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Whether every text of the plan is in.
    pub complete: bool,
    /// Texts that are in.
    pub texts: usize,
    /// Prompts of the plan.
    pub prompts: usize,
    /// Responses of every arm to every prompt.
    pub seeds: u64,
    /// Name of the pack.
    pub pack: String,
    /// One entry an arm, in the plan's order.
    pub arms: Vec<ArmSummary>,
}

/// One arm's line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmSummary {
    /// Name, as on the command line.
    pub name: &'static str,
    /// For people.
    pub label: String,
    /// Texts that are in.
    pub texts: usize,
    /// Mean gold reward; none without a judge, as the next three.
    pub gold_mean: Option<f64>,
    /// Lower end of its 95% bootstrap interval, over prompts.
    pub gold_low: Option<f64>,
    /// Upper end.
    pub gold_high: Option<f64>,
    /// Share of texts with a gold reward above 0.
    pub share_positive: Option<f64>,
    /// Most that the divergence from the base can be, nats a response: the sum of the next two.
    pub kl_nats: f64,
    /// KL(guided ‖ base) over the tokens, at temperature 1.
    pub kl_token_nats: f64,
    /// Most that choosing between chunks or responses can add.
    pub kl_selection_bound_nats: f64,
    /// Perplexity of all texts together under the base.
    pub base_ppl: f64,
    /// Share of different token bigrams among those of all texts together.
    pub distinct2: f64,
    /// Share of different token bigrams within a text, mean over the texts.
    pub distinct2_in_text: f64,
    /// Seconds a response.
    pub seconds: f64,
    /// Tokens drawn a response, over all rows.
    pub sampled_tokens: f64,
}

impl Summary {
    /// The table of these texts.
    pub fn new(plan: &Plan, records: &[Record]) -> Self {
        let of = |arm: EvalArm| records.iter().filter(move |r| r.arm == arm).collect::<Vec<_>>();
        let arms = plan.arms.iter().map(|&arm| ArmSummary::new(plan, arm, &of(arm)));
        Self {
            complete: records.len() == plan.texts(),
            texts: records.len(),
            prompts: plan.prompts.len(),
            seeds: plan.seeds,
            pack: plan.pack.clone(),
            arms: arms.collect(),
        }
    }

    /// The table for spreadsheets; what is not known is empty.
    pub fn to_csv(&self) -> String {
        let mut csv = "name,texts,gold_mean,gold_low,gold_high,share_positive,kl_nats,\
                       kl_token_nats,kl_selection_bound_nats,base_ppl,distinct2,\
                       distinct2_in_text,seconds,sampled_tokens\n"
            .to_owned();
        let number = |v: Option<f64>| v.map(|v| v.to_string()).unwrap_or_default();
        for a in &self.arms {
            let golds = [a.gold_mean, a.gold_low, a.gold_high, a.share_positive].map(number);
            let others = [
                a.kl_nats,
                a.kl_token_nats,
                a.kl_selection_bound_nats,
                a.base_ppl,
                a.distinct2,
                a.distinct2_in_text,
                a.seconds,
                a.sampled_tokens,
            ];
            let others = others.map(|v| v.to_string());
            // A String takes whatever is written to it.
            let _ =
                writeln!(csv, "{},{},{},{}", a.name, a.texts, golds.join(","), others.join(","));
        }
        csv
    }
}

impl ArmSummary {
    fn new(plan: &Plan, arm: EvalArm, records: &[&Record]) -> Self {
        let mean = |value: &dyn Fn(&Record) -> f64| {
            records.iter().map(|r| value(r)).sum::<f64>() / records.len().max(1) as f64
        };
        let golds: Option<Vec<(usize, f64)>> = records
            .iter()
            .map(|r| Some((r.prompt_index, f64::from(r.gold_reward?))))
            .collect::<Option<_>>()
            .filter(|golds: &Vec<_>| !golds.is_empty());
        let interval = golds.as_deref().map(bootstrap_interval);
        let tokens: usize = records.iter().map(|r| r.token_ids.len()).sum();
        let logp: f64 = records.iter().map(|r| r.logp_base).sum();
        let kl_token_nats = mean(&|r| f64::from(r.kl_token_nats));
        let kl_selection_bound_nats = mean(&|r| f64::from(r.kl_selection_bound_nats));
        Self {
            name: arm.name(),
            label: arm.label(&plan.settings),
            texts: records.len(),
            gold_mean: golds.as_ref().map(|_| mean(&|r| r.gold_reward.unwrap_or(0.0).into())),
            gold_low: interval.map(|(low, _)| low),
            gold_high: interval.map(|(_, high)| high),
            share_positive: golds.as_ref().map(|golds| {
                golds.iter().filter(|(_, gold)| *gold > 0.0).count() as f64 / golds.len() as f64
            }),
            kl_nats: kl_token_nats + kl_selection_bound_nats,
            kl_token_nats,
            kl_selection_bound_nats,
            base_ppl: if tokens > 0 { (-logp / tokens as f64).exp() } else { 0.0 },
            distinct2: distinct_bigrams(records),
            distinct2_in_text: mean(&|r| distinct_bigrams(&[r])),
            seconds: mean(&|r| r.elapsed_ms / 1e3),
            sampled_tokens: mean(&|r| r.sampled_tokens as f64),
        }
    }
}

/// The 95% percentile interval of the mean, from resampled prompts (Efron, 1979). A prompt is
/// drawn with all its responses: they resemble each other more than those of two prompts.
fn bootstrap_interval(golds: &[(usize, f64)]) -> (f64, f64) {
    let mut prompts: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (prompt, gold) in golds {
        let (sum, count) = prompts.entry(*prompt).or_default();
        (*sum, *count) = (*sum + gold, *count + 1.0);
    }
    let prompts: Vec<(f64, f64)> = prompts.into_values().collect();
    let mut rng = ChaCha8Rng::seed_from_u64(BOOTSTRAP_SEED);
    let mut draw = || {
        // Multiply and shift: no division, and no more uneven than one part in 2³²/n.
        let index = (u64::from(rng.next_u32()) * prompts.len() as u64) >> 32;
        prompts[index as usize]
    };
    let mut resampled_mean = || {
        let drawn = (0..prompts.len()).map(|_| draw());
        let (sum, count) = drawn.fold((0.0, 0.0), |(s, n), (sum, count)| (s + sum, n + count));
        sum / count
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resampled_mean()).collect();
    means.sort_by(f64::total_cmp);
    (means[RESAMPLES * 25 / 1000], means[RESAMPLES * 975 / 1000 - 1])
}

/// Different bigrams over all bigrams (distinct-2 of Li et al., 2016), pooled over the texts.
fn distinct_bigrams(records: &[&Record]) -> f64 {
    let all = || records.iter().flat_map(|r| r.token_ids.windows(2));
    let different: HashSet<&[u32]> = all().collect();
    let count = all().count();
    if count > 0 { different.len() as f64 / count as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;
    use crate::guidance::settings::Settings;

    fn plan(prompts: usize) -> Plan {
        Plan {
            local_time: None,
            program: "test".into(),
            pack: "test".into(),
            weights_crc32: 1,
            settings: Settings::default(),
            arms: vec![EvalArm::Base],
            seeds: 1,
            prompts: (0..prompts).map(|i| format!("prompt {i}")).collect(),
        }
    }

    #[test]
    fn the_interval_is_that_of_the_mean() {
        // 400 values of mean 0 and deviation 1: the standard error is 0.05.
        let golds: Vec<(usize, f64)> =
            (0..400).map(|i| (i, if i % 2 == 0 { 1.0 } else { -1.0 })).collect();
        let (low, high) = bootstrap_interval(&golds);
        assert!((low + 0.098).abs() < 0.012 && (high - 0.098).abs() < 0.012, "{low} {high}");
        // The same values as pairs of one prompt: every prompt's mean is 0.
        let paired: Vec<(usize, f64)> = golds.iter().map(|(i, gold)| (i / 2, *gold)).collect();
        assert_eq!(bootstrap_interval(&paired), (0.0, 0.0));
    }

    #[test]
    fn an_arm_is_summed_up() {
        let records: Vec<Record> = [(0, 1.0), (1, 2.0), (2, -3.0), (3, 2.0)]
            .map(|(prompt, gold)| record(EvalArm::Base, prompt, 1, gold))
            .into();
        let summary = Summary::new(&plan(4), &records);
        assert!(summary.complete);
        let arm = &summary.arms[0];
        assert_eq!((arm.gold_mean, arm.share_positive), (Some(0.5), Some(0.75)));
        assert_eq!((arm.kl_nats, arm.kl_token_nats), (3.25, 1.25));
        // 4 texts of 4 tokens, −10 nats each.
        assert!((arm.base_ppl - 2.5f64.exp()).abs() < 1e-12);
        // (1, 2), (2, 1), (1, 2) in every text.
        assert_eq!(arm.distinct2, 2.0 / 12.0);
        assert_eq!(arm.distinct2_in_text, 2.0 / 3.0);
        assert_eq!((arm.seconds, arm.sampled_tokens), (0.5, 8.0));
        let csv = summary.to_csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
    }

    #[test]
    fn without_a_judge_there_is_no_gold() {
        let unjudged = Record { gold_reward: None, ..record(EvalArm::Base, 0, 1, 0.0) };
        let summary = Summary::new(&plan(2), &[unjudged]);
        assert!(!summary.complete);
        assert_eq!((summary.arms[0].gold_mean, summary.arms[0].share_positive), (None, None));
        assert!(summary.to_csv().contains("base,1,,,,,"));
    }
}
