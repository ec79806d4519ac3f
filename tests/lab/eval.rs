//! `eval`: the plan, the records, resuming after an interruption, and the command line.

use std::cell::Cell;
use std::path::Path;
use std::process::{Command, Output};

use ivg_playground::guidance::settings::Settings;
use ivg_playground::guidance::steer::Steer;
use ivg_playground::lab::eval::{self, EvalArm, EvalError, Plan, Record, Store, Summary};
use ivg_playground::packs::{DeviceChoice, Pack, PackSource};
use serde_json::Value;

use crate::support;

fn tiny(dir: &Path, judged: bool) -> Pack {
    support::write_pack(dir);
    if judged {
        support::write_judge(dir);
    }
    Pack::load(&PackSource::Folder(dir.to_owned()), DeviceChoice::Cpu, &mut |_, _| {}).unwrap()
}

fn plan(pack: &Pack) -> Plan {
    let settings = Settings {
        beams: 2,
        successors: 2,
        chunk_tokens: 3,
        max_tokens: 6,
        ..pack.manifest.defaults.clone()
    };
    let prompts = vec!["This".to_owned(), "A film".to_owned()];
    let arms = EvalArm::ALL.into_iter().filter(|arm| arm.is_possible(pack, &settings)).collect();
    Plan::new(pack, settings, arms, 2, prompts).unwrap()
}

/// Generates the texts that are missing in `done`, at most `limit`.
fn run(pack: &Pack, plan: &Plan, done: &[Record], limit: usize) -> Vec<Record> {
    let mut records = Vec::new();
    let count = Cell::new(0);
    eval::run(pack, plan, done, &|| count.get() >= limit, &mut |record| {
        count.set(count.get() + 1);
        records.push(record);
        Ok(())
    })
    .unwrap();
    records
}

/// Returns the sorted records without times, which differ between runs.
fn timeless(records: &[Record]) -> Vec<Record> {
    let mut records = records.to_vec();
    records.iter_mut().for_each(|r| r.elapsed_ms = 0.0);
    records.sort_by_key(|r| (r.prompt_index, r.seed, r.arm.name()));
    records
}

/// The arm needs an instruction, and reads it whatever the strength of the steer.
#[test]
fn prompting_alone_is_an_arm_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let pack = tiny(dir.path(), true);
    let plain = plan(&pack);
    assert!(!plain.arms.contains(&EvalArm::PromptOnly));
    let steers = vec![Steer { towards: "Rhyme".into(), ..Steer::default() }];
    let arms = vec![EvalArm::Base, EvalArm::PromptOnly];
    let run_with = |steers: Vec<Steer>| {
        let settings = Settings { steers, ..plain.settings.clone() };
        let plan = Plan::new(&pack, settings, arms.clone(), 1, plain.prompts.clone()).unwrap();
        run(&pack, &plan, &[], usize::MAX)
    };
    let records = run_with(steers.clone());
    let stronger = run_with(vec![Steer { beta: -3.0, ..steers[0].clone() }]);
    let texts = |records: &[Record], arm| -> Vec<String> {
        records.iter().filter(|r| r.arm == arm).map(|r| r.text.clone()).collect()
    };
    let prompted = texts(&records, EvalArm::PromptOnly);
    assert_eq!(prompted, texts(&stronger, EvalArm::PromptOnly));
    assert_ne!(prompted, texts(&records, EvalArm::Base));
}

#[test]
fn every_text_of_the_plan_is_generated_once_and_judged() {
    let dir = tempfile::tempdir().unwrap();
    let pack = tiny(dir.path(), true);
    let plan = plan(&pack);
    let records = run(&pack, &plan, &[], usize::MAX);
    assert_eq!(records.len(), 2 * 2 * 6);
    assert!(records.iter().all(|r| plan.contains(r)));
    for record in &records {
        let gold = pack.gold_reward(&record.prompt, &record.text);
        assert!(gold.is_some() && record.gold_reward == gold);
    }
    // No two prompts share a sampling seed.
    let seed = |prompt, seed| {
        let found = records.iter().find(|r| r.prompt_index == prompt && r.seed == seed);
        found.unwrap().sampling_seed
    };
    let mut seeds = vec![seed(0, 1), seed(0, 2), seed(1, 1), seed(1, 2)];
    seeds.dedup();
    assert_eq!(seeds.len(), 4);
    let summary = Summary::new(&plan, &records);
    assert!(summary.complete);
    let kl = |arm: EvalArm| summary.arms.iter().find(|a| a.name == arm.name()).unwrap().kl_nats;
    assert_eq!(kl(EvalArm::Base), 0.0);
    // Best of 4: log 4 − 3/4. Two chunks with W = K = 2: log 2 + 2 log 2.
    assert!((kl(EvalArm::BestOfN) - (4f64.ln() - 0.75)).abs() < 1e-5);
    assert!((kl(EvalArm::Chunk) - 3.0 * 2f64.ln()).abs() < 1e-5);
    assert!(kl(EvalArm::Token) > 0.0 && kl(EvalArm::Ivg) > kl(EvalArm::Chunk));
}

#[test]
fn a_resumed_eval_has_the_same_records_as_an_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let pack = tiny(&dir.path().join("pack"), true);
    let plan = plan(&pack);
    let whole = run(&pack, &plan, &[], usize::MAX);

    let out = dir.path().join("out");
    let mut store = Store::create(&out, &plan).unwrap();
    for record in run(&pack, &plan, &[], 7) {
        store.append(&record).unwrap();
    }
    let resumed = Store::resume(&out, &plan).unwrap();
    assert_eq!((resumed.records.len(), resumed.dropped), (7, 0));
    let mut all = resumed.records;
    all.extend(run(&pack, &plan, &all, usize::MAX));
    assert_eq!(timeless(&all), timeless(&whole));
}

#[test]
fn damaged_and_repeated_lines_are_dropped_and_generated_again() {
    let dir = tempfile::tempdir().unwrap();
    let pack = tiny(&dir.path().join("pack"), true);
    let plan = plan(&pack);
    let out = dir.path().join("out");
    let mut store = Store::create(&out, &plan).unwrap();
    let whole = run(&pack, &plan, &[], usize::MAX);
    whole.iter().for_each(|record| store.append(record).unwrap());

    let file = out.join("texts.jsonl");
    let mut bytes = std::fs::read(&file).unwrap();
    // Changes one digit, cuts the last line off and repeats another line.
    let digit = bytes.iter().position(|b| b.is_ascii_digit()).unwrap();
    bytes[digit] = if bytes[digit] == b'1' { b'2' } else { b'1' };
    let lines: Vec<Vec<u8>> = bytes.split_inclusive(|&b| b == b'\n').map(Vec::from).collect();
    bytes.truncate(bytes.len() - 9);
    bytes.push(b'\n');
    bytes.extend(&lines[4]);
    std::fs::write(&file, bytes).unwrap();

    let resumed = Store::resume(&out, &plan).unwrap();
    assert_eq!((resumed.records.len(), resumed.dropped), (whole.len() - 2, 3));
    // Resuming has removed the damaged lines from the file.
    let again = Store::resume(&out, &plan).unwrap();
    assert_eq!((again.records.len(), again.dropped), (whole.len() - 2, 0));
    let mut all = resumed.records;
    all.extend(run(&pack, &plan, &all, usize::MAX));
    assert_eq!(timeless(&all), timeless(&whole));
}

#[test]
fn rejects_a_folder_of_another_plan_and_names_the_difference() {
    let dir = tempfile::tempdir().unwrap();
    let pack = tiny(&dir.path().join("pack"), true);
    let plan = plan(&pack);
    let out = dir.path().join("out");
    Store::create(&out, &plan).unwrap();
    assert!(matches!(Store::create(&out, &plan), Err(EvalError::Exists { .. })));

    let mut others = vec![plan.clone(); 5];
    others[0].settings.beta = 0.5;
    others[1].seeds = 3;
    others[2].prompts[1] = "Another".into();
    others[3].weights_crc32 ^= 1;
    others[4].arms.pop();
    let words = [
        "beta: 1.0 in the folder, 0.5 in this run",
        "seeds: 2",
        "prompts: \"A film\"",
        "weights",
        "6 arms",
    ];
    for (other, words) in others.iter().zip(words) {
        for error in [Store::create(&out, other).err(), Store::resume(&out, other).err()] {
            let message = error.unwrap().to_string();
            assert!(message.contains(words), "{message}");
            assert!(message.contains(out.to_str().unwrap()), "{message}");
        }
    }

    std::fs::write(out.join("plan.json"), "{").unwrap();
    assert!(matches!(Store::resume(&out, &plan), Err(EvalError::Damaged { .. })));
    std::fs::remove_file(out.join("plan.json")).unwrap();
    assert!(matches!(Store::resume(&out, &plan), Err(EvalError::Damaged { .. })));
}

fn ivg(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ivg-playground")).args(args).output().unwrap()
}

#[test]
fn the_command_prints_the_table_writes_the_files_and_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let (pack, out) = (dir.path().join("pack"), dir.path().join("out"));
    tiny(&pack, true);
    let prompts = dir.path().join("prompts.txt");
    std::fs::write(&prompts, "One\n\nTwo\r\nThree\n").unwrap();
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let (pack, prompts, out_arg) = (path(&pack), path(&prompts), path(&out));
    let args = ["eval", "--pack", &pack, "--prompt-file", &prompts, "--prompts", "2", "--seeds"];
    let args = [&args[..], &["1", "--out", &out_arg, "--arm", "ivg", "--arm", "base"]].concat();

    let first = ivg(&args);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let table = String::from_utf8(first.stdout).unwrap();
    assert!(table.contains("base") && table.contains("IVG"), "{table}");
    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    let summary: Value = serde_json::from_str(&read("summary.json")).unwrap();
    let arms = summary["arms"].as_array().unwrap();
    assert_eq!(
        arms.iter().map(|a| a["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["base", "ivg"]
    );
    for arm in arms {
        for key in [
            "gold_mean",
            "gold_low",
            "gold_high",
            "share_positive",
            "kl_nats",
            "base_ppl",
            "distinct2",
            "distinct2_in_text",
            "seconds",
            "sampled_tokens",
        ] {
            assert!(arm[key].is_number(), "{key}");
        }
    }
    assert_eq!(read("summary.csv").lines().count(), 3);
    let texts: Vec<Value> =
        read("texts.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(texts.len(), 4);
    assert_eq!(texts[3]["prompt"], "Two");
    assert!(texts.iter().all(|t| t["seed"] == 1 && t["text"].is_string()));

    let error_of = |args: &[&str]| {
        let out = ivg(args);
        assert_eq!(out.status.code(), Some(2));
        String::from_utf8(out.stderr).unwrap()
    };
    assert!(error_of(&args).contains("--resume"));
    let other = [&args[..], &["--resume", "--beta", "-1"]].concat();
    assert!(error_of(&other).contains("beta"));
    let before = read("texts.jsonl");
    let again = ivg(&[&args[..], &["--resume"]].concat());
    assert!(again.status.success());
    assert_eq!(read("texts.jsonl"), before);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), table);
}

#[test]
fn evaluates_a_pack_without_a_judge_by_the_other_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let (pack, out) = (dir.path().join("pack"), dir.path().join("out"));
    tiny(&pack, false);
    let prompts = dir.path().join("prompts.txt");
    std::fs::write(&prompts, "One\n").unwrap();
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let ran = ivg(&[
        "eval",
        "--pack",
        &path(&pack),
        "--prompt-file",
        &path(&prompts),
        "--seeds",
        "1",
        "--arm",
        "token",
        "--out",
        &path(&out),
    ]);
    assert!(ran.status.success());
    assert!(String::from_utf8_lossy(&ran.stdout).contains("no judge"));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("no judge"));
    let summary = std::fs::read_to_string(out.join("summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert!(summary["arms"][0]["gold_mean"].is_null());
    assert!(summary["arms"][0]["base_ppl"].as_f64().unwrap() > 1.0);
}

#[test]
fn command_errors_are_one_line() {
    let dir = tempfile::tempdir().unwrap();
    tiny(dir.path(), true);
    let pack = dir.path().to_str().unwrap();
    let empty = dir.path().join("empty.txt");
    std::fs::write(&empty, "\n \n").unwrap();
    let long = dir.path().join("long.txt");
    std::fs::write(&long, "word ".repeat(100)).unwrap();
    #[cfg(unix)]
    {
        let out = ivg(&["eval", "--pack", pack, "--prompt-file", "/dev/zero"]);
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.code() == Some(2) && text.contains("longer than"), "{text}");
    }
    for (args, words) in [
        (vec![], "--prompt-file"),
        (vec!["--prompt-file", empty.to_str().unwrap()], "contains no prompts"),
        (vec!["--prompt-file", "nowhere.txt"], "nowhere.txt"),
        (vec!["--prompt-file", long.to_str().unwrap()], "prompt 1"),
        (vec!["--resume"], "--out"),
        (vec!["--arm", "nothing"], "unknown arm"),
        (vec!["--seeds", "0"], "--seeds"),
        (vec!["--prompts", "0"], "--prompts"),
        (vec!["--seed", "3", "--seeds", "2"], "--seed"),
        (vec!["--beta", "nan"], "guidance β"),
    ] {
        let out = ivg(&[&["eval", "--pack", pack], &args[..]].concat());
        assert_eq!(out.status.code(), Some(2), "{args:?}");
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(words), "{text}");
    }
}
