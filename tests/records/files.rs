//! Trace files are written atomically, and their content is checked after reading.

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

/// Applies `change` to a valid trace and returns the error of reading it.
fn rejection(change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::to_value(trace("A film", " was very good")).unwrap();
    change(&mut value);
    read(value.to_string().as_bytes()).unwrap_err().to_string()
}

#[test]
fn a_run_read_from_a_file_equals_the_run_written() {
    let all = Arm::ALL.map(|arm| (arm, " was\ngréât \u{0}\u{202e}映画 fin"));
    let trace = columns("A \"film\"", &all);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.json");
    trace_file::write(&path, &trace).unwrap();
    assert_eq!(trace_file::read(&path).unwrap(), trace);
    assert_eq!(names(dir.path()), ["run.json"]);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\n  \"version\": 2") && text.ends_with("}\n"));
}

#[test]
fn a_run_with_a_megabyte_of_text_is_kept() {
    let trace = trace(&"word ".repeat(200_000), &"très bien ".repeat(400));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.json");
    trace_file::write(&path, &trace).unwrap();
    assert_eq!(trace_file::read(&path).unwrap(), trace);
}

#[test]
fn rejects_a_newer_format_and_names_its_program() {
    let message = rejection(|v| {
        v["version"] = json!(3);
        v["program"] = json!("9.1.0");
        // Keys of a newer format may have any content.
        v["arms"] = json!("elsewhere");
    });
    assert!(message.contains("written by 9.1.0") && message.contains("update"), "{message}");
}

#[test]
fn the_error_for_an_edited_file_names_the_problem_and_its_location() {
    let nowhere = |v: &mut Value| v["arms"][1]["chunks"][1]["candidates"][0]["parent"] = json!(99);
    assert!(rejection(nowhere).contains("column 2 (ivg): chunk 2: candidate 1: its parent is 99"));
    let early = |v: &mut Value| v["arms"][1]["chunks"][0]["candidates"][0]["parent"] = json!(0);
    assert!(rejection(early).contains("its parent is 0, of 0"));
    assert!(rejection(|v| v["arms"][0]["chunks"][0]["leader"] = json!(1)).contains("leader is 1"));
    let none = |v: &mut Value| v["arms"][0]["chunks"][0]["candidates"] = json!([]);
    assert!(rejection(none).contains("0 candidates"));
    let beyond = |v: &mut Value| v["arms"][0]["tokens"][1]["end"] = json!(999);
    assert!(rejection(beyond).contains("column 1 (base): token 2: its bytes"));
    let backwards = |v: &mut Value| v["arms"][0]["tokens"][1]["start"] = json!(13);
    assert!(rejection(backwards).contains("token 2"));
    let other = |v: &mut Value| v["arms"][0]["tokens"][1]["text"] = json!("poor ");
    assert!(rejection(other).contains("does not continue the response"));
    let longer = |v: &mut Value| v["arms"][0]["text"] = json!(" was very good indeed");
    assert!(rejection(longer).contains("belong to no token"));
    assert!(rejection(|v| v["settings"]["beta"] = json!(7)).contains("β is 7"));
    assert!(rejection(|v| v["arms"][1]["settings"]["beams"] = json!(usize::MAX)).contains("W is"));
    assert!(rejection(|v| v["arms"][0]["value"] = json!(1e300)).contains("inf"));
    assert!(rejection(|v| v["arms"][0]["elapsed_ms"] = json!(-1.0)).contains("elapsed_ms"));
    assert!(rejection(|v| v["arms"] = json!([])).contains("0 columns"));
    let many = |v: &mut Value| v["arms"] = json!(vec![v["arms"][0].clone(); 17]);
    assert!(rejection(many).contains("17 columns"));
    assert!(rejection(|v| v["prompt"] = json!(3)).contains("not an IVG trace"));
    assert!(rejection(|v| v["version"] = json!(null)).contains("`version` is missing"));
    assert!(rejection(|v| v["arms"][0]["name"] = json!("x".repeat(9000))).len() < 600);
}

#[test]
fn rejects_files_that_are_not_runs() {
    let message = |content: &[u8]| read(content).unwrap_err().to_string();
    assert!(message(b"").contains("cut short"));
    assert!(message(b"<!DOCTYPE html>").contains("not an IVG trace (invalid JSON)"));
    assert!(message(&[0x7b, 0xff]).contains("byte 1 is not UTF-8"));
    assert!(message(b"{}").contains("`version` is missing"));
    assert!(message(&b"[".repeat(100_000)).contains("not an IVG trace"));
    assert!(message(&b"{\"a\":".repeat(100_000)).contains("run.json"));
    let dir = tempfile::tempdir().unwrap();
    assert!(trace_file::read(dir.path()).unwrap_err().to_string().contains("not a file"));
    let missing = dir.path().join("none.json");
    let message = trace_file::read(&missing).unwrap_err().to_string();
    assert!(message.contains("none.json") && message.contains("check that it exists"));
}

#[test]
fn rejects_a_huge_file_before_reading_it() {
    let (_dir, path) = in_file(b"{");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(trace_file::MAX_BYTES + (1 << 20)).unwrap();
    let message = trace_file::read(&path).unwrap_err().to_string();
    assert!(message.contains("65 MiB") && message.contains("64 MiB at most"), "{message}");
}

#[test]
fn accepts_a_byte_order_mark() {
    let json = trace_file::to_json(&trace("A film", " was")).unwrap();
    assert!(read(format!("\u{feff}{json}").as_bytes()).is_ok());
}

#[test]
fn does_not_write_a_run_that_could_not_be_read_back() {
    let mut broken = trace("A film", " was");
    broken.arms[1].tokens[0].kl_nats = f32::NAN;
    let dir = tempfile::tempdir().unwrap();
    let message = trace_file::write(&dir.path().join("a"), &broken).unwrap_err().to_string();
    assert!(message.contains("column 2 (ivg): token 1: kl_nats is NaN"), "{message}");
    assert!(names(dir.path()).is_empty());
}

#[test]
fn an_error_while_writing_names_the_path() {
    let trace = trace("A film", " was");
    let (_dir, file) = in_file(b"here already");
    let below = file.join("run.json");
    let message = trace_file::write(&below, &trace).unwrap_err().to_string();
    assert!(
        message.contains(&*below.to_string_lossy()) && message.contains("a folder that exists")
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"here already");
}

#[cfg(target_os = "linux")]
#[test]
fn the_error_for_a_full_disk_says_what_to_do() {
    let message = trace_file::write(Path::new("/dev/full"), &trace("A", " b")).unwrap_err();
    assert!(message.to_string().contains("free some space"), "{message}");
}

static VALID: LazyLock<Vec<u8>> = LazyLock::new(|| {
    trace_file::to_json(&trace("A film", " was \"très\" good")).unwrap().into_bytes()
});

/// Asserts that reading `content` fails with an error that names the file, or returns a run that
/// can be written and read again.
fn assert_valid_or_rejected(content: &[u8]) {
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
    fn rejects_a_file_cut_short_anywhere(at in 0..VALID.len()) {
        // The last byte is the final line feed.
        prop_assert!(at == VALID.len() - 1 || read(&VALID[..at]).is_err());
    }

    #[test]
    fn a_file_with_one_wrong_byte_is_valid_or_rejected(at in 0..VALID.len(), flip in 1..=255u8) {
        let mut bytes = VALID.clone();
        bytes[at] ^= flip;
        assert_valid_or_rejected(&bytes);
    }
}
