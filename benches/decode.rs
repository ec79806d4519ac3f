//! Speed of the CPU kernels on the bundled models, in tokens:
//!
//! ```console
//! cargo bench --bench decode
//! ```

use std::hint::black_box;
use std::path::Path;

use candle_core::Device;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ivg_playground::lm::{Lm, Precision};

const PROMPT_TOKENS: u32 = 128;

fn base(precision: Precision) -> Lm {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/packs/imdb/base");
    Lm::load_as(&folder, Some(precision), &Device::Cpu).expect("the bundled model")
}

fn prefill(c: &mut Criterion) {
    let prompt: Vec<u32> = (0..PROMPT_TOKENS).collect();
    let mut group = c.benchmark_group("prefill");
    group.throughput(Throughput::Elements(prompt.len() as u64));
    for precision in [Precision::F32, Precision::Q8_0] {
        let lm = base(precision);
        group.bench_function(BenchmarkId::from_parameter(format!("{precision:?}")), |b| {
            b.iter(|| black_box(lm.prefill(&prompt).expect("a forward pass")));
        });
    }
    group.finish();
}

/// One step of decoding: a forward pass over one new token per row, and its logits.
fn decode(c: &mut Criterion) {
    let prompt: Vec<u32> = (0..PROMPT_TOKENS).collect();
    for precision in [Precision::F32, Precision::Q8_0] {
        let lm = base(precision);
        let mut group = c.benchmark_group(format!("decode {precision:?}"));
        for rows in [1, 4, 16] {
            let (prompt_cache, _) = lm.prefill(&prompt).expect("a forward pass");
            let tokens = vec![[7u32]; rows];
            let tokens: Vec<&[u32]> = tokens.iter().map(|row| row.as_slice()).collect();
            group.throughput(Throughput::Elements(rows as u64));
            group.bench_function(BenchmarkId::new("rows", rows), |b| {
                b.iter_batched(
                    || prompt_cache.fork(&vec![0; rows]).expect("rows of the prompt"),
                    |mut cache| {
                        let hidden = lm.forward(&mut cache, &tokens).expect("a forward pass");
                        lm.logits(&hidden.squeeze(1).expect("one token")).expect("logits")
                    },
                    criterion::BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

criterion_group!(benches, prefill, decode);
criterion_main!(benches);
