//! The program on the bundled pack.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn ivg(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ivg-playground"));
    // The result must not depend on the machine's display.
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").args(args).output().unwrap()
}

fn trace(args: &[&str]) -> Value {
    let out = ivg(&[&["generate", "--json", "-"], args].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Runs the program with invalid arguments and returns its error message.
fn error_of(args: &[&str]) -> String {
    let out = ivg(args);
    assert_eq!(out.status.code(), Some(2), "{args:?}");
    assert!(out.stdout.is_empty());
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn the_flags_of_a_steer_reach_the_guide_and_the_prompt() {
    let short =
        ["--prompt", "This film", "--max-tokens", "4", "--arm", "token", "--arm", "prompt-only"];
    let steer = ["--steer", "A rave.", "--away", "A rant.", "--steer-beta", "2"];
    let steered = trace(&[&short[..], &steer].concat());
    assert_eq!(steered["version"], 2);
    let expected = serde_json::json!([{"towards": "A rave.", "away": "A rant.", "beta": 2.0}]);
    assert_eq!(steered["settings"]["steers"], expected);
    let arms = steered["arms"].as_array().unwrap();
    let advantages = |arm: &Value| arm["tokens"][0]["steer_advantages"].as_array().unwrap().len();
    assert!(arms.iter().all(|arm| advantages(arm) == 1));
    assert!(
        error_of(&["generate", "--prompt", "A", "--arm", "prompt-only"]).contains("instruction")
    );
    assert_eq!(trace(&short[..6])["version"], 1, "no steer");
}

#[test]
fn the_trace_has_every_documented_key() {
    let arms = ["base", "best-of-n", "token", "chunk", "ivg"];
    let flags: Vec<&str> = arms.iter().flat_map(|a| ["--arm", a]).collect();
    let short = ["--prompt", "This film", "--max-tokens", "12", "--seed", "3"];
    let trace = trace(&[&short, &flags[..]].concat());
    assert_eq!((&trace["seed"], &trace["prompt"]), (&3.into(), &"This film".into()));
    let reports = trace["arms"].as_array().unwrap();
    assert_eq!(reports.iter().map(|a| a["name"].as_str().unwrap()).collect::<Vec<_>>(), arms);
    for arm in reports {
        let tokens = arm["tokens"].as_array().unwrap();
        assert!(arm["value"].is_f64() && arm["elapsed_ms"].is_f64());
        assert!(arm["sampled_tokens"].as_u64().unwrap() >= tokens.len() as u64);
        assert!(arm["forward_passes"].as_u64().unwrap() > 4);
        assert!(arm["stop_reason"].is_string());
        let text: String = tokens.iter().map(|t| t["text"].as_str().unwrap()).collect();
        assert_eq!(arm["text"], text.as_str());
        for token in tokens {
            for key in ["id", "logp_base", "logp_guided", "advantage", "kl_nats"] {
                assert!(token[key].is_number(), "{key}");
            }
        }
        for candidate in arm["chunks"].as_array().unwrap().iter().flat_map(candidates) {
            assert!(candidate["text"].is_string() && candidate["value"].is_f64());
            assert!(candidate["survived"].is_boolean());
            assert!(candidate["parent"].is_null() || candidate["parent"].is_u64());
        }
    }
    let rows = |i: usize| candidates(&reports[i]["chunks"][0]).len();
    assert_eq!([0, 1, 2, 3, 4].map(rows), [1, 16, 1, 16, 16]);
}

fn candidates(chunk: &Value) -> &Vec<Value> {
    chunk["candidates"].as_array().unwrap()
}

#[test]
fn the_text_depends_on_the_seed_and_is_reproducible() {
    let text = |seed| trace(&["--prompt", "The plot", "--seed", seed])["arms"][1]["text"].clone();
    assert_eq!(text("5"), text("5"));
    assert_ne!(text("5"), text("6"));
}

#[test]
fn generate_prints_the_texts_and_writes_the_trace() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("trace.json");
    let path = file.to_str().unwrap();
    let out = ivg(&["generate", "--prompt", "I saw", "--max-tokens", "8", "--json", path]);
    assert!(out.status.success());
    // Escape sequences in a text must not reach the terminal.
    let escaped = ivg(&["generate", "--prompt", "I\u{1b}[31m saw", "--max-tokens", "2"]).stdout;
    let escaped = String::from_utf8(escaped).unwrap();
    assert!(escaped.contains("I␛[31m saw") && !escaped.contains('\u{1b}'), "{escaped}");
    let text = String::from_utf8(out.stdout).unwrap();
    let trace: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    for arm in trace["arms"].as_array().unwrap() {
        assert!(text.contains(&format!("I saw{}", arm["text"].as_str().unwrap())));
        let value = format!("value {:+.2}", arm["value"].as_f64().unwrap()).replace('-', "−");
        assert!(text.contains(&value), "{value}: {text}");
    }
}

#[test]
fn errors_are_one_line_with_exit_status_two() {
    let generate = |args: &[&'static str]| error_of(&[&["generate"], args].concat());
    assert!(generate(&["--prompt", "  "]).contains("prompt is empty"));
    assert!(generate(&["--prompt", "x", "--beta", "nan"]).contains("β is NaN"));
    assert!(generate(&["--prompt", "x", "--beta", "-7"]).contains("-3 to 3"));
    assert!(generate(&["--prompt", "x", "--lambda", "-1"]).contains("λ is -1"));
    assert!(generate(&["--prompt", "x", "--temperature", "inf"]).contains("temperature"));
    assert!(generate(&["--prompt", "x", "--w", "9", "--k", "9"]).contains("W·K is 81"));
    assert!(generate(&["--prompt", "x", "--arm", "both"]).contains("best-of-n"));
    let nowhere = generate(&["--prompt", "x", "--pack", "/nowhere"]);
    assert!(nowhere.contains("pack.toml") && nowhere.contains("models list"), "{nowhere}");
    assert!(generate(&["--prompt", "x", "--json", "/nowhere/f"]).contains("/nowhere/f"));
    // The output file is checked before the pack is loaded.
    let early = generate(&["--prompt", "x", "--json", "/nowhere/f", "--pack", "/nowhere"]);
    assert!(early.contains("/nowhere/f"), "{early}");
    assert!(generate(&["--prompt", "x", "--json", "/"]).contains("is a folder"));
    assert!(generate(&[]).contains("--prompt"));
    assert!(error_of(&["bench", "--repetitions", "0"]).contains("repetitions"));
    let long = "word ".repeat(3000);
    assert!(error_of(&["generate", "--prompt", &long]).contains("shorten the prompt"));
}

/// Programs such as `head` close the pipe early.
#[cfg(unix)]
#[test]
fn a_closed_output_pipe_causes_no_panic() {
    for args in [&["models", "list", "--offline"][..], &["models", "check"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ivg-playground"));
        let out = command.args(args).stdout(writer).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{args:?} {out:?}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ivg-playground"));
    let status = command.args(["models", "check", "--pack", "/none"]).stderr(writer).output();
    assert_eq!(status.unwrap().status.code(), Some(2));
}

/// `--pack` names the `pack.toml` here, which is the same as naming its folder.
#[test]
fn a_pack_runs_with_the_arms_of_its_roles() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pack.toml");
    let roles = [("", 1), ("value = { bundled = \"imdb/value\" }", 2), (PAIR, 2)];
    for (more, arms) in roles {
        let base = "name = \"x\"\ndescription = \"\"\nbase = { bundled = \"imdb/base\" }";
        std::fs::write(&file, format!("{base}\n{more}\n")).unwrap();
        let pack = ["--pack", file.to_str().unwrap()];
        let run = ["--prompt", "This film", "--max-tokens", "6"];
        let trace = trace(&[pack, [run[0], run[1]], [run[2], run[3]]].concat());
        assert_eq!(trace["arms"].as_array().unwrap().len(), arms, "{more}");
        // An arm whose guide is missing from the pack is an error.
        let arms_of = |arm| error_of(&["generate", pack[0], pack[1], run[0], run[1], "--arm", arm]);
        if !more.contains("tuned") {
            assert!(arms_of("token").contains("no tuned/untuned pair"));
        }
        if more.is_empty() {
            assert!(
                ["best-of-n", "chunk", "ivg"].iter().all(|a| arms_of(a).contains("no value model"))
            );
        }
        let bench = ["bench", "--repetitions", "1", "--json", "-", "--pack", pack[1]];
        assert!(arms == 2 || ivg(&bench).status.success());
    }
}

const PAIR: &str = "untuned = { bundled = \"imdb/untuned\" }\ntuned = { bundled = \"imdb/tuned\" }";

#[cfg(feature = "window")]
#[test]
fn without_a_display_the_error_suggests_the_command_line() {
    assert!(error_of(&[]).contains("ivg-playground generate --prompt"));
}

#[test]
fn bench_reports_every_speed() {
    let out = ivg(&["bench", "--repetitions", "1", "--json", "-"]);
    assert!(out.status.success());
    let report: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(report["prefill_tokens_per_second"].as_f64().unwrap() > 0.0);
    let rows: Vec<u64> =
        report["decode"].as_array().unwrap().iter().map(|d| d["rows"].as_u64().unwrap()).collect();
    assert_eq!(rows, [1, 4, 16]);
    assert!(report["ivg"]["tokens_per_second"].as_f64().unwrap() > 0.0);
}

/// The trace records `--special`, and the time if the chat template uses it.
#[test]
fn the_trace_records_how_the_prompt_was_read() {
    let pack = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/chat-template-text");
    let run = |prompt: &str, more: &[&str]| {
        let flags = ["--pack", pack, "--prompt", prompt, "--arm", "base", "--max-tokens", "2"];
        trace(&[&flags, more].concat())
    };
    let (plain, special) = (run("Hi", &[]), run("Hi", &["--special"]));
    assert_eq!(special["settings"]["special_tokens"], true);
    assert!(plain["settings"].get("special_tokens").is_none());
    // This template does not use the time.
    assert!(plain.get("local_time").is_none());
    let dir = tempfile::tempdir().unwrap();
    copy(Path::new(pack), dir.path());
    let template = "{{ strftime_now('%Y') }}{% for m in messages %}{{ m.content }}{% endfor %}";
    std::fs::write(dir.path().join("m/chat_template.jinja"), template).unwrap();
    let pack = dir.path().to_str().unwrap();
    let dated = |more: &[&str]| {
        let flags = ["--pack", pack, "--prompt", "Hi", "--arm", "base", "--max-tokens", "6"];
        trace(&[&flags, more].concat())
    };
    let first = dated(&["--local-time", "1999-12-31T23:59:59"]);
    assert_eq!(first["local_time"], "1999-12-31T23:59:59");
    assert_eq!(
        first["arms"][0]["tokens"],
        dated(&["--local-time", "1999-01-01"])["arms"][0]["tokens"]
    );
    let today = dated(&[]);
    assert!(today["local_time"].as_str().unwrap() > "2026");
    let message = error_of(&["generate", "--prompt", "Hi", "--local-time", "yesterday"]);
    assert!(message.contains("2026-11-27T12:00:00"), "{message}");
}

/// Copies a folder recursively.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn score_reads_a_text_and_prints_its_values() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let score = |text: &str, more: &[&str]| -> Value {
        let path = file("text.txt", text.as_bytes());
        let args = ["score", "--prompt", "This film", "--text", &path, "--json"];
        let out = ivg(&[&args[..], more].concat());
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let good = score(" is wonderful. I loved every minute of it.", &[]);
    let bad = score(" is awful. I hated every minute of it.", &[]);
    let of = |scored: &Value, key: &str| scored[key].as_f64().unwrap();
    assert!(of(&good, "value") > of(&bad, "value") + 1.0);
    assert!(of(&good, "gold_reward") > of(&bad, "gold_reward") + 1.0);
    let advantage = |scored: &Value| -> f64 {
        let tokens = scored["tokens"].as_array().unwrap();
        tokens.iter().map(|token| token["advantage"].as_f64().unwrap()).sum()
    };
    assert!(advantage(&good) > advantage(&bad) + 1.0);
    let ended = score(" is fine.\r\n", &[]);
    assert_eq!(ended["text"], " is fine.", "the final line break is left out");
    let path = file("text.txt", b" is fine.");
    let table = ivg(&["score", "--prompt", "This film", "--text", &path]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("perplexity") && table.contains(" is fine."), "{table}");
    for (text, expected) in [
        (b"".to_vec(), "the text is empty"),
        (vec![b'a'; 1 << 20], "has 1048576 bytes"),
        (b"good film ".repeat(2000), "there is room for"),
        (vec![0xFF, 0xFE, 0x00], "UTF-8"),
    ] {
        let path = file("text.txt", &text);
        let message = error_of(&["score", "--prompt", "This film", "--text", &path]);
        assert!(message.contains(expected), "{message}");
    }
}
