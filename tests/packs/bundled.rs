//! The default bundled pack: its sizes and the effect of its guides.

use std::path::{Path, PathBuf};

use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::ArmTrace;
use ivg_playground::guidance::{Prefilled, Search};
use ivg_playground::packs::{DeviceChoice, Pack, PackSource, PromptOptions};

fn pack() -> Pack {
    Pack::load(&PackSource::default(), DeviceChoice::Cpu, &mut |_, _| {}).unwrap()
}

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

fn run(pack: &Pack, prompt: &str, arm: Arm, settings: &Settings) -> ArmTrace {
    let prompt =
        Prefilled::new(&pack.models, &pack.prompts(prompt, PromptOptions::default()).unwrap())
            .unwrap();
    let mut search = Search::new(&pack.models, &prompt, arm, settings).unwrap();
    while !search.is_done() {
        search.step().unwrap();
    }
    search.finish().unwrap()
}

/// Returns the mean of `metric` over the pack's example prompts and two seeds.
fn mean(pack: &Pack, arm: Arm, settings: &Settings, metric: impl Fn(&ArmTrace) -> f32) -> f32 {
    let mut values = Vec::new();
    for prompt in &pack.manifest.examples {
        for seed in 1..=2 {
            let settings = Settings { seed, ..settings.clone() };
            values.push(metric(&run(pack, prompt, arm, &settings)));
        }
    }
    values.iter().sum::<f32>() / values.len() as f32
}

fn value(trace: &ArmTrace) -> f32 {
    trace.value.unwrap()
}

#[test]
fn the_bundled_pack_is_small_and_its_base_is_larger_than_its_guides() {
    let mut all = Vec::new();
    files(&PackSource::default().folder().unwrap(), &mut all);
    let bytes: u64 = all.iter().map(|f| f.metadata().unwrap().len()).sum();
    assert!(bytes <= 48_000_000, "{bytes} bytes");
    let pack = pack();
    let sizes = pack.sizes();
    assert_eq!(
        sizes.iter().map(|s| s.0).collect::<Vec<_>>(),
        ["base", "untuned", "tuned", "value"]
    );
    for (role, parameters) in &sizes[1..] {
        assert!(sizes[0].1 >= 3 * parameters, "{role} has {parameters} parameters");
    }
    // Multiples of 256 suit the fast kernels.
    let config = pack.models.base.config();
    assert!([config.hidden_size, config.intermediate_size].iter().all(|s| s % 256 == 0));
}

#[test]
fn guidance_raises_the_value_and_a_negative_beta_lowers_it() {
    let pack = pack();
    let at = |beta| Settings { beta, ..pack.manifest.defaults.clone() };
    let base = mean(&pack, Arm::Base, &at(0.0), value);
    let token = mean(&pack, Arm::Token, &at(1.0), value);
    let against = mean(&pack, Arm::Token, &at(-1.0), value);
    let chunk = mean(&pack, Arm::Chunk, &at(0.0), value);
    assert!(against < base - 0.5, "β −1: {against}, base: {base}");
    assert!(token > base + 0.5, "β 1: {token}, base: {base}");
    // The search maximises this value, so it must raise it.
    assert!(chunk > base + 0.5, "chunk: {chunk}, base: {base}");
}

#[test]
fn chunk_guidance_also_raises_the_implicit_value() {
    // The pair was trained independently of the value model.
    let pack = pack();
    let settings = pack.manifest.defaults.clone();
    let advantage = |t: &ArmTrace| t.tokens.iter().filter_map(|t| t.advantage).sum::<f32>();
    let base = mean(&pack, Arm::Base, &settings, advantage);
    let chunk = mean(&pack, Arm::Chunk, &settings, advantage);
    assert!(chunk > base, "chunk: {chunk}, base: {base}");
}
