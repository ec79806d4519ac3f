//! The key/value cache. Rows that share a prompt, grow unevenly, fork or are truncated must have
//! the same hidden states as the text of each row read in one pass.

use crate::support::{difference, golden, load, random_model, step, tokens, whole};
use candle_core::Device;
use ivg_playground::lm::{Cache, Lm, LmConfig, LmError, Weights};

const MODELS: [&str; 3] = ["tied", "untied", "wide"];
const TOLERANCE: f32 = 1e-5;

/// Returns the hidden states of `text` from position `from` on, read in one pass.
fn alone(lm: &Lm, text: &[u32], from: usize) -> candle_core::Tensor {
    whole(lm, text).narrow(0, from, text.len() - from).unwrap()
}

fn prompt_and_fork(lm: &Lm, prompt: &[u32], rows: usize) -> Cache {
    lm.prefill(prompt).unwrap().0.fork(&vec![0; rows]).unwrap()
}

#[test]
fn rows_of_different_lengths_equal_each_row_alone() {
    for name in MODELS {
        let lm = load(name);
        let prompt = tokens(1, 7);
        let mut cache = prompt_and_fork(&lm, &prompt, 4);
        let mut texts = vec![prompt.clone(); 4];
        // Tokens per row in three steps. A row may get no token in a step.
        for (round, lens) in [[3, 1, 0, 5], [0, 4, 2, 1], [1, 0, 6, 0]].iter().enumerate() {
            let new: Vec<Vec<u32>> =
                lens.iter().enumerate().map(|(r, &n)| tokens((10 * round + r) as u64, n)).collect();
            let rows: Vec<&[u32]> = new.iter().map(Vec::as_slice).collect();
            let hidden = step(&lm, &mut cache, &rows);
            for (row, text) in texts.iter_mut().enumerate() {
                let from = text.len();
                text.extend(&new[row]);
                assert_eq!(cache.len(row), text.len());
                if !new[row].is_empty() {
                    assert!(
                        difference(&hidden[row], &alone(&lm, text, from)) < TOLERANCE,
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_fork_that_continues_equals_the_whole_text() {
    for name in MODELS {
        let lm = load(name);
        let prompt = tokens(2, 5);
        let mut cache = prompt_and_fork(&lm, &prompt, 3);
        let tails: Vec<Vec<u32>> = (0..3).map(|row| tokens(20 + row, 2 + row as usize)).collect();
        let rows: Vec<&[u32]> = tails.iter().map(Vec::as_slice).collect();
        step(&lm, &mut cache, &rows);
        // Rows in another order, repeated, and without row 1.
        let order = [2, 0, 2, 2];
        let mut fork = cache.fork(&order).unwrap();
        assert_eq!(fork.rows(), 4);
        let more: Vec<Vec<u32>> = (0..4).map(|row| tokens(30 + row, 3)).collect();
        let rows: Vec<&[u32]> = more.iter().map(Vec::as_slice).collect();
        let hidden = step(&lm, &mut fork, &rows);
        for (row, &from) in order.iter().enumerate() {
            let text = [&prompt[..], &tails[from], &more[row]].concat();
            assert_eq!(fork.len(row), text.len());
            let expected = alone(&lm, &text, text.len() - 3);
            assert!(difference(&hidden[row], &expected) < TOLERANCE, "{name} row {row}");
        }
        // The original cache is unchanged.
        let hidden = step(&lm, &mut cache, &[&more[0], &more[1], &more[2]]);
        for row in 0..3 {
            let text = [&prompt[..], &tails[row], &more[row]].concat();
            let expected = alone(&lm, &text, text.len() - 3);
            assert!(difference(&hidden[row], &expected) < TOLERANCE, "{name} row {row}");
        }
    }
}

#[test]
fn forks_of_the_same_cache_are_independent() {
    let lm = load("tied");
    let prompt = tokens(3, 4);
    let (cache, _) = lm.prefill(&prompt).unwrap();
    let (mut a, mut b) = (cache.fork(&[0]).unwrap(), cache.fork(&[0]).unwrap());
    let (x, y) = (tokens(4, 3), tokens(5, 3));
    step(&lm, &mut a, &[&x]);
    step(&lm, &mut b, &[&y]);
    let after = step(&lm, &mut a, &[&[1]]);
    let text = [&prompt[..], &x, &[1]].concat();
    assert!(difference(&after[0], &alone(&lm, &text, text.len() - 1)) < TOLERANCE);
}

#[test]
fn a_truncated_row_continues_from_the_shorter_text() {
    for name in MODELS {
        let lm = load(name);
        let prompt = tokens(6, 6);
        let mut cache = prompt_and_fork(&lm, &prompt, 3);
        let tails: Vec<Vec<u32>> = (0..3).map(|row| tokens(40 + row, 8)).collect();
        let rows: Vec<&[u32]> = tails.iter().map(Vec::as_slice).collect();
        step(&lm, &mut cache, &rows);
        for (row, keep) in [(0, 8), (1, 3), (2, 0)] {
            cache.truncate(row, 6 + keep).unwrap();
        }
        let more = tokens(50, 4);
        let hidden = step(&lm, &mut cache, &[&more, &more, &more]);
        for (row, keep) in [(0, 8), (1, 3), (2, 0)] {
            let text = [&prompt[..], &tails[row][..keep], &more].concat();
            assert_eq!(cache.len(row), text.len());
            let expected = alone(&lm, &text, text.len() - 4);
            assert!(difference(&hidden[row], &expected) < TOLERANCE, "{name} row {row}");
        }
    }
}

#[test]
fn growing_beyond_the_capacity_keeps_earlier_tokens() {
    let lm = load("untied");
    let prompt = tokens(7, 3);
    let (mut cache, _) = lm.prefill(&prompt).unwrap();
    let mut text = prompt.clone();
    for part in 0..6 {
        let new = tokens(60 + part, 10);
        let from = text.len();
        text.extend(&new);
        let hidden = step(&lm, &mut cache, &[&new]);
        assert!(difference(&hidden[0], &alone(&lm, &text, from)) < TOLERANCE);
    }
    assert_eq!(cache.len(0), 63);
}

/// Returns the golden models and a random one, each with our kernels and with candle's operations.
/// The sizes of the random model are not multiples of the kernels' registers.
fn both_engines() -> Vec<(&'static str, Lm, Lm)> {
    let mut pairs = Vec::new();
    for name in MODELS {
        let weights = Weights::load(&golden(name), &Device::Cpu).unwrap();
        let config = LmConfig::load(&golden(name)).unwrap();
        pairs.push((name, load(name), Lm::portable(config, &weights, &Device::Cpu).unwrap()));
    }
    let (config, tensors) = random_model();
    let weights = Weights::from_tensors(tensors.clone(), &Device::Cpu).unwrap();
    let portable = Lm::portable(config.clone(), &weights, &Device::Cpu).unwrap();
    pairs.push(("random", Lm::from_tensors(config, tensors, &Device::Cpu).unwrap(), portable));
    pairs
}

#[test]
fn the_cpu_kernels_equal_candle_operations() {
    for (name, lm, portable) in both_engines() {
        let prompt = tokens(8, 30);
        // 3, 5 and 17 rows use different tile shapes.
        for rows in [1, 2, 3, 5, 17] {
            let mut ours = prompt_and_fork(&lm, &prompt, rows);
            let mut theirs = prompt_and_fork(&portable, &prompt, rows);
            for round in 0..4 {
                let new: Vec<Vec<u32>> = (0..rows)
                    .map(|row| tokens((round * 99 + row) as u64, (row + round) % 4))
                    .collect();
                let new: Vec<&[u32]> = new.iter().map(Vec::as_slice).collect();
                let a = step(&lm, &mut ours, &new);
                let b = step(&portable, &mut theirs, &new);
                for (a, b) in a.iter().zip(&b).filter(|(a, _)| a.elem_count() > 0) {
                    assert!(difference(a, b) < 5e-5, "{name} rows {rows}");
                    let (a, b) = (lm.logits(a).unwrap(), portable.logits(b).unwrap());
                    assert!(difference(&a, &b) < 1e-4, "{name} rows {rows}");
                }
                if round == 1 {
                    let order: Vec<usize> = (0..rows).rev().collect();
                    ours = ours.fork(&order).unwrap();
                    theirs = theirs.fork(&order).unwrap();
                }
            }
        }
    }
}

#[test]
fn invalid_calls_are_rejected_and_change_nothing() {
    let lm = load("tied");
    let prompt = tokens(9, 4);
    let (cache, _) = lm.prefill(&prompt).unwrap();
    let mut cache = cache.fork(&[0, 0]).unwrap();
    step(&lm, &mut cache, &[&[1, 2], &[3]]);
    assert!(matches!(lm.prefill(&[]), Err(LmError::EmptyPrompt)));
    assert!(matches!(lm.prefill(&[320]), Err(LmError::Token { token: 320, vocab_size: 320 })));
    assert!(matches!(lm.prefill(&[1; 65]), Err(LmError::ContextFull { needed: 65, .. })));
    assert!(matches!(
        lm.forward(&mut cache, &[&[1; 59], &[1]]),
        Err(LmError::ContextFull { needed: 65, context_tokens: 64 })
    ));
    assert!(matches!(lm.forward(&mut cache, &[&[1], &[999]]), Err(LmError::Token { .. })));
    assert!(matches!(lm.forward(&mut cache, &[&[1]]), Err(LmError::Call(_))));
    // A cache belongs to one model, and to its clones. Another model of the same shape may have
    // other weights.
    for other in [load("untied"), load("tied")] {
        assert!(matches!(other.forward(&mut cache, &[&[1], &[1]]), Err(LmError::Call(_))));
    }
    assert!(lm.clone().forward(&mut cache, &[&[], &[]]).is_ok());
    assert!(matches!(cache.fork(&[0, 2]), Err(LmError::Call(_))));
    for (row, len) in [(2, 5), (0, 7), (0, 3)] {
        assert!(matches!(cache.truncate(row, len), Err(LmError::Call(_))), "{row} {len}");
    }
    assert_eq!((cache.len(0), cache.len(1)), (6, 5));
    let hidden = step(&lm, &mut cache, &[&[5], &[6]]);
    let text = [&prompt[..], &[1, 2, 5]].concat();
    assert!(difference(&hidden[0], &alone(&lm, &text, 6)) < TOLERANCE);
}

#[test]
fn empty_steps_and_empty_forks_are_allowed() {
    let lm = load("tied");
    let (mut cache, _) = lm.prefill(&tokens(11, 4)).unwrap();
    assert_eq!(lm.forward(&mut cache, &[&[]]).unwrap().dims(), [1, 0, 32]);
    let mut none = cache.fork(&[]).unwrap();
    assert_eq!(none.rows(), 0);
    assert_eq!(lm.forward(&mut none, &[]).unwrap().dims(), [0, 0, 32]);
    assert_eq!(cache.len(0), 4);
    assert_eq!(cache.prompt_tokens(), 4);
}

/// Reads several prompts with one model, together and apart.
#[test]
fn caches_of_different_prompts_are_read_together() {
    let lm = load("tied");
    let prompts: [&[u32]; 3] = [&[1, 2, 3], &[9; 20], &[7]];
    let rows_of = [vec![0, 0], vec![0], vec![0, 0, 0]];
    let caches = || -> Vec<Cache> {
        let each = prompts.iter().zip(&rows_of);
        each.map(|(prompt, rows)| lm.prefill(prompt).unwrap().0.fork(rows).unwrap()).collect()
    };
    let (mut together, mut apart) = (caches(), caches());
    for token in [4u32, 11, 30] {
        let tokens = [token, token + 1, token + 2];
        let rows: Vec<Vec<&[u32]>> = rows_of
            .iter()
            .map(|rows| (0..rows.len()).map(|row| &tokens[row..=row]).collect())
            .collect();
        let mut borrowed: Vec<&mut Cache> = together.iter_mut().collect();
        let (hidden, passes) = lm.forward_together(&mut borrowed, &rows).unwrap();
        assert_eq!(passes, 1);
        for ((cache, rows), hidden) in apart.iter_mut().zip(&rows).zip(hidden) {
            let expected = lm.forward(cache, rows).unwrap();
            let values =
                |t: candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(hidden), values(expected));
        }
    }
    for (a, b) in together.iter().zip(&apart) {
        assert_eq!(
            (a.rows(), a.len(0), a.prompt_tokens()),
            (b.rows(), b.len(0), b.prompt_tokens())
        );
    }
    // A token that does not exist leaves all caches as they were.
    let rows: Vec<Vec<&[u32]>> = rows_of.iter().map(|rows| vec![&[9999][..]; rows.len()]).collect();
    let mut borrowed: Vec<&mut Cache> = together.iter_mut().collect();
    assert!(lm.forward_together(&mut borrowed, &rows).is_err());
    for (a, b) in together.iter().zip(&apart) {
        assert_eq!((a.rows(), a.len(0)), (b.rows(), b.len(0)));
    }
}
