//! Trace files: written whole, and believed only after a look.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ivg_playground::guidance::settings::Arm;
use ivg_playground::guidance::trace::Trace;
use ivg_playground::records::{RecordError, trace_file};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::sample::{columns, names, trace};

fn in_file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.json");
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

fn read(content: &[u8]) -> Result<Trace, RecordError> {
    let (_dir, path) = in_file(content);
    trace_file::read(&path)
}

/// Why a good file with one change is refused.
fn refused(change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::to_value(trace("A film", " was very good")).unwrap();
    change(&mut value);
    read(value.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_run_is_the_same_after_a_file() {
    let all = Arm::ALL.map(|arm| (arm, " was\ngréât \u{0}\u{202e}映画 fin"));
    let trace = columns("A \"film\"", &all);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.json");
    trace_file::write(&path, &trace).unwrap();
    assert_eq!(trace_file::read(&path).unwrap(), trace);
    assert_eq!(names(dir.path()), ["run.json"]);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\n  \"version\": 1") && text.ends_with("}\n"));
}

#[test]
fn a_megabyte_of_text_is_kept() {
    let trace = trace(&"word ".repeat(200_000), &"très bien ".repeat(400));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.json");
    trace_file::write(&path, &trace).unwrap();
    assert_eq!(trace_file::read(&path).unwrap(), trace);
}

#[test]
fn the_future_is_refused_by_name() {
    let words = refused(|v| {
        v["version"] = json!(2);
        v["program"] = json!("9.1.0");
        // What it means is not known here.
        v["arms"] = json!("elsewhere");
    });
    assert!(words.contains("written by 9.1.0") && words.contains("update"), "{words}");
}

#[test]
fn a_file_by_hand_is_refused_with_what_is_wrong_in_it() {
    let nowhere = |v: &mut Value| v["arms"][1]["chunks"][1]["candidates"][0]["parent"] = json!(99);
    assert!(refused(nowhere).contains("column 2 (ivg): chunk 2: candidate 1: its parent is 99"));
    let early = |v: &mut Value| v["arms"][1]["chunks"][0]["candidates"][0]["parent"] = json!(0);
    assert!(refused(early).contains("its parent is 0, of 0"));
    assert!(refused(|v| v["arms"][0]["chunks"][0]["leader"] = json!(1)).contains("leader is 1"));
    let none = |v: &mut Value| v["arms"][0]["chunks"][0]["candidates"] = json!([]);
    assert!(refused(none).contains("0 candidates"));
    let beyond = |v: &mut Value| v["arms"][0]["tokens"][1]["end"] = json!(999);
    assert!(refused(beyond).contains("column 1 (base): token 2: its bytes"));
    let backwards = |v: &mut Value| v["arms"][0]["tokens"][1]["start"] = json!(13);
    assert!(refused(backwards).contains("token 2"));
    let other = |v: &mut Value| v["arms"][0]["tokens"][1]["text"] = json!("poor ");
    assert!(refused(other).contains("not the next"));
    let longer = |v: &mut Value| v["arms"][0]["text"] = json!(" was very good indeed");
    assert!(refused(longer).contains("belong to no token"));
    assert!(refused(|v| v["settings"]["beta"] = json!(7)).contains("β is 7"));
    assert!(refused(|v| v["arms"][1]["settings"]["beams"] = json!(usize::MAX)).contains("W is"));
    assert!(refused(|v| v["arms"][0]["value"] = json!(1e300)).contains("inf"));
    assert!(refused(|v| v["arms"][0]["elapsed_ms"] = json!(-1.0)).contains("elapsed_ms"));
    assert!(refused(|v| v["arms"] = json!([])).contains("0 columns"));
    let many = |v: &mut Value| v["arms"] = json!(vec![v["arms"][0].clone(); 17]);
    assert!(refused(many).contains("17 columns"));
    assert!(refused(|v| v["prompt"] = json!(3)).contains("its JSON is wrong"));
    assert!(refused(|v| v["version"] = json!(null)).contains("which version"));
    assert!(refused(|v| v["arms"][0]["name"] = json!("x".repeat(9000))).len() < 600);
}

#[test]
fn what_is_no_run_at_all_is_refused() {
    let words = |content: &[u8]| read(content).unwrap_err().to_string();
    assert!(words(b"").contains("cut off"));
    assert!(words(b"<!DOCTYPE html>").contains("JSON is wrong"));
    assert!(words(&[0x7b, 0xff]).contains("byte 1 is no text"));
    assert!(words(b"{}").contains("which version"));
    assert!(words(&b"[".repeat(100_000)).contains("JSON is wrong"));
    assert!(words(&b"{\"a\":".repeat(100_000)).contains("run.json"));
    let dir = tempfile::tempdir().unwrap();
    assert!(trace_file::read(dir.path()).unwrap_err().to_string().contains("not a file"));
    let missing = dir.path().join("none.json");
    let words = trace_file::read(&missing).unwrap_err().to_string();
    assert!(words.contains("none.json") && words.contains("check that it is there"));
}

#[test]
fn a_huge_file_is_refused_before_it_is_read() {
    let (_dir, path) = in_file(b"{");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(trace_file::MAX_BYTES + (1 << 20)).unwrap();
    let words = trace_file::read(&path).unwrap_err().to_string();
    assert!(words.contains("65 MiB") && words.contains("64 MiB at most"), "{words}");
}

#[test]
fn a_mark_at_the_beginning_is_no_fault() {
    let json = trace_file::to_json(&trace("A film", " was")).unwrap();
    assert!(read(format!("\u{feff}{json}").as_bytes()).is_ok());
}

#[test]
fn a_run_that_could_not_be_read_again_is_not_written() {
    let mut broken = trace("A film", " was");
    broken.arms[1].tokens[0].kl_nats = f32::NAN;
    let dir = tempfile::tempdir().unwrap();
    let words = trace_file::write(&dir.path().join("a"), &broken).unwrap_err().to_string();
    assert!(words.contains("column 2 (ivg): token 1: kl_nats is NaN"), "{words}");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let trace = trace("A film", " was");
    let (_dir, file) = in_file(b"here already");
    let below = file.join("run.json");
    let words = trace_file::write(&below, &trace).unwrap_err().to_string();
    assert!(words.contains(&*below.to_string_lossy()) && words.contains("a folder that exists"));
    assert_eq!(std::fs::read(&file).unwrap(), b"here already");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_sentence() {
    let words = trace_file::write(Path::new("/dev/full"), &trace("A", " b")).unwrap_err();
    assert!(words.to_string().contains("free some space"), "{words}");
}

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    trace_file::to_json(&trace("A film", " was \"très\" good")).unwrap().into_bytes()
});

/// Valid, or a sentence; and what is valid can be written and read again.
fn holds(content: &[u8]) {
    match read(content) {
        Ok(trace) => {
            let again = trace_file::to_json(&trace).unwrap();
            assert_eq!(read(again.as_bytes()).unwrap(), trace);
        }
        Err(e) => assert!(e.to_string().contains("run.json"), "{e}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_file_cut_anywhere_is_refused(at in 0..GOOD.len()) {
        // The last byte is the end of the line.
        prop_assert!(at == GOOD.len() - 1 || read(&GOOD[..at]).is_err());
    }

    #[test]
    fn a_file_with_one_wrong_byte_is_valid_or_refused(at in 0..GOOD.len(), with in 1..=255u8) {
        let mut bytes = GOOD.clone();
        bytes[at] ^= with;
        holds(&bytes);
    }
}
