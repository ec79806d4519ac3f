//! Random corruption of files, and the limits that every case must keep.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::golden;

/// Corrupts `bytes` in a random way at a random position below `limit`.
pub fn corrupt(bytes: &mut Vec<u8>, limit: usize, random: &mut ChaCha8Rng) {
    if bytes.is_empty() {
        return bytes.push(random.random());
    }
    let limit = limit.min(bytes.len());
    let at = random.random_range(0..limit);
    match random.random_range(0..6) {
        0 => bytes[at] ^= 1 << random.random_range(0..8),
        1 => bytes[at] = random.random(),
        2 => {
            let huge =
                [u64::MAX, 1 << 62, 1 << 40, 1 << 33, 0xFFFF_FFFF][random.random_range(0..5)];
            let end = bytes.len().min(at + 8);
            bytes[at..end].copy_from_slice(&huge.to_le_bytes()[..end - at]);
        }
        3 => bytes.truncate(at),
        4 => drop(bytes.remove(at)),
        _ => bytes.insert(at, random.random()),
    }
}

/// Time limit for one fuzzed case.
const MAX_CASE_TIME: Duration = Duration::from_secs(1);
/// Memory limit for one fuzzed case, in KiB.
const MAX_CASE_KIB: u64 = 64 << 10;

/// Held while a test runs, because memory is measured for the whole process.
static ALONE: Mutex<()> = Mutex::new(());

pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the current (`VmRSS`) or peak (`VmHWM`) memory of this process in KiB, or 0 if the
/// system does not report it.
pub fn memory_kib(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// Content of the file written last, to save the case that fails.
static LAST: Mutex<Vec<u8>> = Mutex::new(Vec::new());

pub fn write(file: &Path, bytes: Vec<u8>) {
    std::fs::write(file, &bytes).unwrap();
    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
}

/// Runs `case` `IVG_FUZZ` times, or `default_cases` times, and checks the limits of each. `case`
/// returns the error messages.
pub fn fuzz(seed: u64, default_cases: u64, mut case: impl FnMut(&mut ChaCha8Rng) -> Vec<String>) {
    let _alone = alone();
    let cases = std::env::var("IVG_FUZZ").ok().and_then(|n| n.parse().ok());
    let cases = cases.unwrap_or(default_cases);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for number in 0..cases {
        // Resets the peak on Linux. If that fails, the peak of all cases so far is measured.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let (before, began) = (memory_kib("VmRSS"), Instant::now());
        let errors = case(&mut random);
        let (time, memory) = (began.elapsed(), memory_kib("VmHWM").saturating_sub(before));
        let is_one_line = |message: &String| message.len() < 4000 && !message.contains('\n');
        if time < MAX_CASE_TIME && memory < MAX_CASE_KIB && errors.iter().all(is_one_line) {
            continue;
        }
        let saved = std::env::temp_dir().join(format!("ivg-fuzz-{seed}-{number}"));
        std::fs::write(&saved, &*LAST.lock().unwrap()).unwrap();
        panic!("{}: {time:?}, {memory} KiB more, errors: {errors:?}", saved.display());
    }
}

/// Creates a temporary folder for files that are written many times, in memory if possible.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// Copies the golden model `name` without its weights.
pub fn without_weights(name: &str) -> tempfile::TempDir {
    let dir = scratch();
    for file in std::fs::read_dir(golden(name)).unwrap().flatten() {
        let is_weights = file.path().extension().is_some_and(|e| e == "safetensors" || e == "bin");
        if !is_weights {
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
    }
    dir
}

/// Replaces or removes some parts of a JSON value. Sometimes also corrupts its text.
pub fn corrupt_json(json: &serde_json::Value, random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut json = json.clone();
    for _ in 0..random.random_range(1..4) {
        let depth = random.random_range(1..6);
        alter(&mut json, depth, random);
    }
    let mut bytes = json.to_string().into_bytes();
    if random.random_range(0..4) == 0 {
        let limit = bytes.len();
        corrupt(&mut bytes, limit, random);
    }
    bytes
}

/// Replaces or removes a random part of `json`, at most `depth` levels down.
pub fn alter(json: &mut serde_json::Value, depth: u32, random: &mut ChaCha8Rng) {
    const ODD: [&str; 16] = [
        "null",
        "0",
        "-1",
        "1e300",
        "1e-300",
        "18446744073709551615",
        "4294967296",
        "\"\"",
        "\"x\"",
        "[]",
        "{}",
        "true",
        "[[0]]",
        "\"▁\"",
        "\"BPE\"",
        "\"Sequence\"",
    ];
    let descend = depth > 0 && random.random_range(0..6) > 0;
    match json {
        serde_json::Value::Array(items) if descend && !items.is_empty() => {
            let at = random.random_range(0..items.len());
            alter(&mut items[at], depth - 1, random);
        }
        serde_json::Value::Object(fields) if descend && !fields.is_empty() => {
            let at = random.random_range(0..fields.len());
            let key = fields.keys().nth(at).unwrap().clone();
            if random.random_range(0..20) == 0 {
                fields.remove(&key);
            } else {
                alter(&mut fields[&key], depth - 1, random);
            }
        }
        other => *other = serde_json::from_str(ODD.choose(random).unwrap()).unwrap(),
    }
}

pub fn json_of(file: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}
