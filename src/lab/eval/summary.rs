//! Summarises an eval as a table with one row per arm.

use std::collections::{BTreeMap, HashSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;

use super::{EvalArm, Plan, Record};

/// Number of bootstrap resamples.
const RESAMPLES: usize = 10_000;
/// A fixed seed makes the intervals reproducible.
const BOOTSTRAP_SEED: u64 = 20_240_917;

/// The table of an eval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Whether every response of the plan is included.
    pub complete: bool,
    /// Number of responses included.
    pub texts: usize,
    /// Number of prompts in the plan.
    pub prompts: usize,
    /// Number of responses of every arm to every prompt.
    pub seeds: u64,
    /// Name of the pack.
    pub pack: String,
    /// One row per arm, in the order of the plan.
    pub arms: Vec<ArmSummary>,
}

/// The row of one arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmSummary {
    /// Name of the arm on the command line.
    pub name: &'static str,
    /// Label of the arm for display.
    pub label: String,
    /// Number of responses included.
    pub texts: usize,
    /// Mean gold reward. This and the next three fields are `None` without a judge.
    pub gold_mean: Option<f64>,
    /// Lower end of the 95% bootstrap interval of the mean, over prompts.
    pub gold_low: Option<f64>,
    /// Upper end of that interval.
    pub gold_high: Option<f64>,
    /// Share of responses with a gold reward above 0.
    pub share_positive: Option<f64>,
    /// Upper bound on the divergence from the base, in nats per response; the sum of the next two
    /// fields.
    pub kl_nats: f64,
    /// KL(guided ‖ base) summed over the tokens at temperature 1, mean over the responses.
    pub(crate) kl_token_nats: f64,
    /// Upper bound on the divergence that selecting chunks or responses adds.
    pub kl_selection_bound_nats: f64,
    /// Perplexity of all responses together under the base.
    pub base_ppl: f64,
    /// Share of distinct token bigrams among all bigrams of all responses.
    pub distinct2: f64,
    /// Share of distinct token bigrams within a response, mean over the responses.
    pub distinct2_in_text: f64,
    /// Seconds per response.
    pub seconds: f64,
    /// Tokens drawn per response, over all rows.
    pub sampled_tokens: f64,
}

impl Summary {
    /// Summarises `records` of `plan`.
    pub fn new(plan: &Plan, records: &[Record]) -> Self {
        let of_arm =
            |arm: EvalArm| records.iter().filter(move |r| r.arm == arm).collect::<Vec<_>>();
        let arms = plan.arms.iter().map(|&arm| ArmSummary::new(plan, arm, &of_arm(arm)));
        Self {
            complete: records.len() == plan.texts(),
            texts: records.len(),
            prompts: plan.prompts.len(),
            seeds: plan.seeds,
            pack: plan.pack.clone(),
            arms: arms.collect(),
        }
    }

    /// Returns the table as CSV. Fields that are `None` stay empty.
    pub(crate) fn to_csv(&self) -> String {
        let mut csv = csv::Writer::from_writer(Vec::new());
        let header = CSV_COLUMNS.map(str::to_owned).to_vec();
        for row in std::iter::once(header).chain(self.arms.iter().map(ArmSummary::csv_row)) {
            // Writing to memory does not fail.
            let _ = csv.write_record(row);
        }
        let bytes = csv.into_inner().unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }
}

const CSV_COLUMNS: [&str; 14] = [
    "name",
    "texts",
    "gold_mean",
    "gold_low",
    "gold_high",
    "share_positive",
    "kl_nats",
    "kl_token_nats",
    "kl_selection_bound_nats",
    "base_ppl",
    "distinct2",
    "distinct2_in_text",
    "seconds",
    "sampled_tokens",
];

impl ArmSummary {
    fn csv_row(&self) -> Vec<String> {
        let golds = [self.gold_mean, self.gold_low, self.gold_high, self.share_positive];
        let golds = golds.map(|v| v.map(|v| v.to_string()).unwrap_or_default());
        let others = [
            self.kl_nats,
            self.kl_token_nats,
            self.kl_selection_bound_nats,
            self.base_ppl,
            self.distinct2,
            self.distinct2_in_text,
            self.seconds,
            self.sampled_tokens,
        ];
        let names = [self.name.to_string(), self.texts.to_string()];
        names.into_iter().chain(golds).chain(others.map(|v| v.to_string())).collect()
    }

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

/// Returns the 95% percentile interval of the mean, from resampled prompts (Efron, 1979). A prompt
/// is drawn with all its responses, because responses to the same prompt are correlated.
fn bootstrap_interval(golds: &[(usize, f64)]) -> (f64, f64) {
    let mut prompts: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (prompt, gold) in golds {
        let (sum, count) = prompts.entry(*prompt).or_default();
        (*sum, *count) = (*sum + gold, *count + 1.0);
    }
    let prompts: Vec<(f64, f64)> = prompts.into_values().collect();
    let mut rng = ChaCha8Rng::seed_from_u64(BOOTSTRAP_SEED);
    let mut draw = || {
        // Multiply-shift maps 32 random bits to an index with a bias of at most n/2³².
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

/// Returns distinct bigrams over all bigrams of `records` (distinct-2 of Li et al., 2016).
fn distinct_bigrams(records: &[&Record]) -> f64 {
    let all = || records.iter().flat_map(|r| r.token_ids.windows(2));
    let distinct: HashSet<&[u32]> = all().collect();
    let count = all().count();
    if count > 0 { distinct.len() as f64 / count as f64 } else { 0.0 }
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
    fn the_interval_covers_the_mean_over_prompts() {
        // 400 values with mean 0 and deviation 1 have a standard error of 0.05.
        let golds: Vec<(usize, f64)> =
            (0..400).map(|i| (i, if i % 2 == 0 { 1.0 } else { -1.0 })).collect();
        let (low, high) = bootstrap_interval(&golds);
        assert!((low + 0.098).abs() < 0.012 && (high - 0.098).abs() < 0.012, "{low} {high}");
        // With the same values as two responses per prompt, the mean of every prompt is 0.
        let paired: Vec<(usize, f64)> = golds.iter().map(|(i, gold)| (i / 2, *gold)).collect();
        assert_eq!(bootstrap_interval(&paired), (0.0, 0.0));
    }

    #[test]
    fn an_arm_is_summarised() {
        let records: Vec<Record> = [(0, 1.0), (1, 2.0), (2, -3.0), (3, 2.0)]
            .map(|(prompt, gold)| record(EvalArm::Base, prompt, 1, gold))
            .into();
        let summary = Summary::new(&plan(4), &records);
        assert!(summary.complete);
        let arm = &summary.arms[0];
        assert_eq!((arm.gold_mean, arm.share_positive), (Some(0.5), Some(0.75)));
        assert_eq!((arm.kl_nats, arm.kl_token_nats), (3.25, 1.25));
        // 4 responses of 4 tokens, with a log-probability of −10 nats each.
        assert!((arm.base_ppl - 2.5f64.exp()).abs() < 1e-12);
        // Every response has the bigrams (1, 2), (2, 1), (1, 2).
        assert_eq!(arm.distinct2, 2.0 / 12.0);
        assert_eq!(arm.distinct2_in_text, 2.0 / 3.0);
        assert_eq!((arm.seconds, arm.sampled_tokens), (0.5, 8.0));
        let csv = summary.to_csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
    }

    #[test]
    fn without_a_judge_there_is_no_gold_reward() {
        let unjudged = Record { gold_reward: None, ..record(EvalArm::Base, 0, 1, 0.0) };
        let summary = Summary::new(&plan(2), &[unjudged]);
        assert!(!summary.complete);
        assert_eq!((summary.arms[0].gold_mean, summary.arms[0].share_positive), (None, None));
        assert!(summary.to_csv().contains("base,1,,,,,"));
    }
}
