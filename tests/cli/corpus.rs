//! Model files as other programs write them, created by `tests/goldens/corpus.py`. For each case,
//! the results of `models check` and `generate` must agree with those of the Python libraries.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ivg_playground::packs::{DeviceChoice, Manifest, Pack, PackSource, PromptOptions};
use serde::Deserialize;
use serde_json::Value;

/// A case of `expected.json`.
#[derive(Deserialize)]
struct Case {
    name: String,
    about: String,
    check: String,
    says: Vec<String>,
    prompt: Option<String>,
    prompt_ids: Option<Vec<u32>>,
    ids: Option<Vec<u32>>,
    text: Option<String>,
    end: Option<u32>,
    tuned_ids: Option<Vec<u32>>,
    tuned_text: Option<String>,
    eval_prompts: Option<Vec<String>>,
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn cases() -> Vec<Case> {
    let json = std::fs::read(corpus().join("expected.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// Runs the program and returns its standard output and standard error.
fn program(args: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ivg-playground"));
    // The cases run in parallel, and more threads do not speed up small models.
    let output = command.args(args).env("RAYON_NUM_THREADS", "1").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Returns the worst verdict of `models check`, and its output.
fn check(pack: &str) -> (&'static str, String) {
    let (out, err) = program(&["models", "check", "--pack", pack]);
    let has = |verdict: &str| out.lines().any(|line| line.starts_with(verdict));
    let worst = ["fault", "note"].into_iter().find(|verdict| has(verdict)).unwrap_or("ok");
    assert!(!err.contains("panicked") && !err.contains("skipping"), "{err}");
    (worst, out)
}

/// Generates eight greedy tokens. Returns their ids, the text and the stop reason.
fn generate(pack: &str, prompt: &str, arm: &str) -> (Vec<u32>, String, String) {
    let (out, err) = program(&[
        "generate",
        "--pack",
        pack,
        "--prompt",
        prompt,
        "--arm",
        arm,
        "--max-tokens",
        "8",
        "--temperature",
        "0",
        "--json",
        "-",
    ]);
    let trace: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{err}"));
    let arm = &trace["arms"][0];
    let tokens = arm["tokens"].as_array().unwrap().iter();
    let ids = tokens.map(|token| token["id"].as_u64().unwrap() as u32).collect();
    let text = |key: &str| arm[key].as_str().unwrap().to_owned();
    (ids, text("text"), text("stop_reason"))
}

/// Runs a case and returns the differences from its expected results.
fn problems(case: &Case) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expect = |what: &str, found: String, expected: String| {
        if found != expected {
            problems.push(format!("{what} is {found}, expected {expected}"));
        }
    };
    let folder = corpus().join(&case.name);
    let pack = folder.to_str().unwrap();
    let (worst, output) = check(pack);
    expect("the verdict", worst.to_owned(), case.check.clone());
    for part in &case.says {
        let contains = output.contains(part);
        expect(&format!("{part:?} in the output"), contains.to_string(), "true".into());
    }
    let damaged = ["damaged", "download it again"].iter().any(|words| output.contains(words));
    expect("'damaged' in the output", damaged.to_string(), "false".into());
    if let (Some(prompt), Some(expected)) = (&case.prompt, &case.prompt_ids) {
        let source = PackSource::Folder(folder.clone());
        let loaded = Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {}).unwrap();
        let read = loaded.prompts(prompt, PromptOptions::default()).unwrap();
        expect("the prompt", format!("{:?}", read.base), format!("{expected:?}"));
    }
    let arms = [("base", &case.ids, &case.text), ("token", &case.tuned_ids, &case.tuned_text)];
    for (arm, ids, text) in arms {
        let (Some(ids), Some(text), Some(prompt)) = (ids, text, &case.prompt) else { continue };
        let (found, written, reason) = generate(pack, prompt, arm);
        let found: Vec<u32> = found.into_iter().filter(|id| Some(*id) != case.end).collect();
        expect(&format!("arm {arm}"), format!("{found:?}"), format!("{ids:?}"));
        expect(&format!("the text of {arm}"), written, text.clone());
        if arm == "base" {
            let ended = reason == "end_of_text";
            expect("an end of the text", ended.to_string(), case.end.is_some().to_string());
        }
    }
    if let Some(expected) = &case.eval_prompts {
        let manifest = Manifest::read(&folder).unwrap();
        let (_, text) = manifest.read_eval_prompts(&folder).unwrap();
        let lines: Vec<String> = text.unwrap().lines().map(str::to_owned).collect();
        expect("eval_prompts", format!("{lines:?}"), format!("{expected:?}"));
    }
    problems
}

#[test]
fn every_case_agrees_with_the_python_libraries() {
    let (cases, next, failed) = (cases(), AtomicUsize::new(0), Mutex::new(Vec::new()));
    assert!(cases.len() > 150, "{}", cases.len());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let problems = problems(case);
                    if !problems.is_empty() {
                        let report =
                            format!("{} ({}):\n  {}", case.name, case.about, problems.join("\n  "));
                        failed.lock().unwrap().push(report);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn every_case_has_one_folder() {
    let mut names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
    names.sort();
    let entries = std::fs::read_dir(corpus()).unwrap().map(|entry| entry.unwrap());
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut folders: Vec<String> =
        folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    folders.sort();
    assert_eq!(names, folders);
}
