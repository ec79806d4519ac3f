//! The history has one file per run and limits. It survives unfinished files and a second program.

use std::path::{Path, PathBuf};

use ivg_playground::guidance::settings::Arm;
use ivg_playground::records::history::{Entry, EntryId, History, MAX_ENTRIES, search};
use ivg_playground::records::{RecordError, trace_file};

use crate::sample::{columns, names, trace};

struct Fixture {
    dir: tempfile::TempDir,
    history: History,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(&dir.path().join("runs")).unwrap();
    Fixture { dir, history }
}

impl Fixture {
    fn folder(&self) -> PathBuf {
        self.dir.path().join("runs")
    }

    fn file(&self, id: &EntryId) -> PathBuf {
        self.folder().join(format!("{id}.run"))
    }

    fn add(&mut self, prompt: &str, unix_ms: u64) -> EntryId {
        self.history.add(&trace(prompt, " was very good"), unix_ms).unwrap().id
    }

    fn entries(&self) -> Vec<Entry> {
        let listing = self.history.list().unwrap();
        assert_eq!(listing.notice, None);
        listing.entries
    }

    fn prompts(&self) -> Vec<String> {
        self.entries().into_iter().map(|e| e.prompt).collect()
    }
}

#[test]
fn lists_pinned_runs_first_and_newer_runs_before_older_ones() {
    let mut fixture = fixture();
    let first = fixture.add("one", 1_000);
    fixture.add("two", 2_000);
    fixture.add("three", 3_000);
    assert_eq!(fixture.prompts(), ["three", "two", "one"]);
    fixture.history.set_pinned(&first, true).unwrap();
    assert_eq!(fixture.prompts(), ["one", "three", "two"]);
    fixture.history.set_pinned(&first, false).unwrap();
    assert_eq!(fixture.prompts(), ["three", "two", "one"]);
}

#[test]
fn an_entry_summarises_its_run_and_the_run_loads_unchanged() {
    let mut fixture = fixture();
    let run = columns("A film\n", &Arm::ALL.map(|a| (a, " was\u{0}\u{202e} très bien")));
    let entry = fixture.history.add(&run, 1_700_000_000_123).unwrap();
    assert_eq!(fixture.entries(), std::slice::from_ref(&entry));
    assert!(entry.id.to_string().starts_with("1700000000123-"));
    assert_eq!((entry.prompt.as_str(), entry.pack.as_str()), ("A film", "imdb"));
    let guided = &entry.columns[4];
    assert_eq!((guided.title.as_str(), guided.gold_reward), ("Guided", Some(-2.25)));
    assert_eq!(guided.settings_line, "β 1 · λ ∞ · W 4 · K 4 · L 5");
    assert!(guided.excerpt.ends_with("très bien"));
    assert_eq!(fixture.history.load(&entry.id).unwrap(), run);
}

#[test]
fn the_same_run_at_the_same_time_has_the_same_id() {
    let (mut a, mut b) = (fixture(), fixture());
    assert_eq!(a.add("one", 5), b.add("one", 5));
    assert_ne!(a.add("two", 5), a.add("one", 5));
    assert_eq!(a.entries().len(), 2);
    assert!(a.add("last", u64::MAX) > a.add("one", 1 << 40));
}

#[test]
fn names_are_cleaned_and_can_be_removed() {
    let mut fixture = fixture();
    let id = fixture.add("one", 1);
    fixture.history.rename(&id, "  my\nrun ").unwrap();
    assert_eq!(fixture.entries()[0].title(), "my run");
    fixture.history.rename(&id, &"é".repeat(5000)).unwrap();
    assert_eq!(fixture.entries()[0].title().chars().count(), 121);
    fixture.history.rename(&id, " \t").unwrap();
    assert_eq!(fixture.entries()[0].name, None);
    assert_eq!(fixture.entries()[0].title(), "one");
    assert_eq!(fixture.history.load(&id).unwrap().prompt, "one");
}

#[test]
fn the_last_deletion_can_be_undone_once() {
    let mut fixture = fixture();
    let (first, second) = (fixture.add("one", 1), fixture.add("two", 2));
    fixture.history.rename(&first, "named").unwrap();
    assert!(matches!(fixture.history.undo_delete(), Err(RecordError::NothingDeleted)));
    assert_eq!(fixture.history.delete(&first).unwrap(), "named");
    assert_eq!(fixture.prompts(), ["two"]);
    assert_eq!(fixture.history.undo_delete().unwrap(), first);
    assert_eq!(fixture.prompts(), ["two", "one"]);
    assert_eq!(fixture.entries()[1].name.as_deref(), Some("named"));
    assert!(matches!(fixture.history.undo_delete(), Err(RecordError::NothingDeleted)));
    fixture.history.delete(&first).unwrap();
    assert_eq!(fixture.history.delete(&second).unwrap(), "two");
    assert_eq!(fixture.history.undo_delete().unwrap(), second);
    assert!(!fixture.history.can_undo());
    assert!(matches!(fixture.history.delete(&first), Err(RecordError::Gone)));
    assert_eq!(fixture.prompts(), ["two"]);
}

#[test]
fn a_failed_undo_can_be_tried_again() {
    let mut fixture = fixture();
    let id = fixture.add("one", 1);
    fixture.history.delete(&id).unwrap();
    std::fs::remove_dir(fixture.folder()).unwrap();
    assert!(fixture.history.undo_delete().is_err());
    std::fs::create_dir(fixture.folder()).unwrap();
    fixture.history.undo_delete().unwrap();
    assert_eq!(fixture.prompts(), ["one"]);
}

#[test]
fn the_oldest_unpinned_runs_are_deleted_beyond_the_limit() {
    let mut fixture = fixture();
    let pinned = fixture.add("pinned", 1);
    fixture.history.set_pinned(&pinned, true).unwrap();
    for i in 0..MAX_ENTRIES as u64 + 3 {
        fixture.add(&format!("run {i}"), 10 + i);
    }
    let prompts = fixture.prompts();
    assert_eq!(prompts.len(), MAX_ENTRIES + 1);
    assert_eq!((prompts[0].as_str(), prompts[1].as_str()), ("pinned", "run 202"));
    assert_eq!(prompts.last().unwrap(), "run 3");
    // A run that has just ended is kept even if the clock was set back.
    let odd = fixture.add("odd clock", 2);
    assert!(fixture.history.load(&odd).is_ok());
}

#[test]
fn a_file_that_is_cut_short_is_renamed_and_the_other_runs_stay() {
    for keep in [0, 10, 400, -2, -1isize] {
        let mut fixture = fixture();
        let (bad, good) = (fixture.add("bad", 1), fixture.add("good", 2));
        let file = fixture.file(&bad);
        let bytes = std::fs::read(&file).unwrap();
        let end = if keep < 0 { bytes.len() - keep.unsigned_abs() } else { keep as usize };
        std::fs::write(&file, &bytes[..end]).unwrap();
        let listing = fixture.history.list().unwrap();
        assert_eq!(listing.entries.len(), 1);
        assert_eq!(listing.entries[0].id, good);
        let notice = listing.notice.unwrap();
        assert!(notice.contains(&format!("{bad} is damaged (cut short")), "{notice}");
        assert!(notice.contains(&format!("{bad}.run.damaged")), "{notice}");
        // Reported only once. The file is kept.
        assert_eq!(fixture.prompts(), ["good"]);
        assert_eq!(names(&fixture.folder()), [format!("{bad}.run.damaged"), format!("{good}.run")]);
    }
}

#[test]
fn an_altered_run_is_renamed_when_it_is_opened() {
    let mut fixture = fixture();
    let id = fixture.add("one", 1);
    let file = fixture.file(&id);
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(fixture.prompts(), ["one"]);
    let error = fixture.history.load(&id).unwrap_err();
    assert!(
        matches!(&error, RecordError::Damaged { renamed_to, .. } if renamed_to.exists()),
        "{error}"
    );
    assert!(error.to_string().contains("checksum"));
    assert!(fixture.prompts().is_empty());
    assert!(matches!(fixture.history.load(&id), Err(RecordError::Gone)));
}

#[test]
fn rejects_a_copy_of_a_run_under_another_id() {
    let mut fixture = fixture();
    let id = fixture.add("one", 1);
    std::fs::copy(fixture.file(&id), fixture.folder().join("0000000000009-0123abcd.run")).unwrap();
    std::fs::write(fixture.folder().join("notes.run"), "not ours").unwrap();
    let listing = fixture.history.list().unwrap();
    assert_eq!(listing.entries.len(), 1);
    assert!(listing.notice.unwrap().contains(&format!("its content is that of {id}")));
    assert!(names(&fixture.folder()).contains(&"notes.run".to_owned()));
}

#[test]
fn files_of_a_newer_version_are_not_changed() {
    let mut fixture = fixture();
    let id = fixture.add("one", 1);
    let text = std::fs::read_to_string(fixture.file(&id)).unwrap();
    let text = text.replacen("\"format\":1", "\"format\":2", 1);
    std::fs::write(fixture.file(&id), text.replacen("\"entry\"", "\"what\"", 1)).unwrap();
    let listing = fixture.history.list().unwrap();
    assert!(listing.entries.is_empty());
    assert!(listing.notice.unwrap().contains("1 run was written by a newer version"));
    assert!(matches!(fixture.history.load(&id), Err(RecordError::Newer { .. })));
    assert!(fixture.file(&id).exists());
}

#[test]
fn two_programs_can_share_a_folder() {
    let mut fixture = fixture();
    let mut other = History::open(&fixture.folder()).unwrap();
    let id = fixture.add("one", 1);
    let theirs = other.add(&trace("two", " was"), 2).unwrap().id;
    assert_eq!(fixture.prompts(), ["two", "one"]);
    other.rename(&id, "by the other").unwrap();
    fixture.history.set_pinned(&id, true).unwrap();
    assert_eq!(fixture.entries()[0].name.as_deref(), Some("by the other"));
    other.delete(&id).unwrap();
    assert!(matches!(fixture.history.rename(&id, "mine"), Err(RecordError::Gone)));
    assert!(matches!(fixture.history.load(&id), Err(RecordError::Gone)));
    assert_eq!(fixture.history.delete(&theirs).unwrap(), "two");
    other.undo_delete().unwrap();
    assert_eq!(fixture.prompts(), ["one"]);
}

#[test]
fn the_error_for_a_folder_that_cannot_be_created_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let message = History::open(&file.join("runs")).unwrap_err().to_string();
    assert!(message.contains(&*file.to_string_lossy()) && message.contains("choose"), "{message}");
    assert!(History::open(&file).is_err());
}

#[test]
fn the_entry_of_a_long_run_is_short() {
    let mut fixture = fixture();
    let run = trace(&"word ".repeat(200_000), &"so ".repeat(900));
    let entry = fixture.history.add(&run, 1).unwrap();
    assert!(entry.prompt.len() < 2100 && entry.columns[0].excerpt.len() < 250);
    assert_eq!(fixture.entries().len(), 1);
    assert_eq!(fixture.history.load(&entry.id).unwrap(), run);
}

#[test]
fn search_requires_every_word_and_ignores_case() {
    let mut fixture = fixture();
    let id = fixture.add("The Étude", 1);
    fixture.add("Another film", 2);
    fixture.history.rename(&id, "Monday").unwrap();
    let entries = fixture.entries();
    let found = |text: &str| -> Vec<&str> {
        search(&entries, text).into_iter().map(|e| e.prompt.as_str()).collect()
    };
    assert_eq!(found("étude"), ["The Étude"]);
    assert_eq!(found("MONDAY the"), ["The Étude"]);
    assert_eq!(found("very good"), ["Another film", "The Étude"]);
    assert_eq!(found("λ ∞ another"), ["Another film"]);
    assert_eq!(found("  ").len(), 2);
    assert!(found("monday another").is_empty());
}

#[test]
fn rejects_ids_that_are_paths() {
    for text in ["", "../../etc/passwd", "0000000000001-0123abc/", "0000000000001-0123ABCD"] {
        assert!(EntryId::try_from(text.to_owned()).is_err(), "{text}");
    }
    assert!(EntryId::try_from("0000000000001-0123abcd".to_owned()).is_ok());
}

#[test]
fn the_second_line_of_a_history_file_is_a_trace_file() {
    let mut fixture = fixture();
    let id = fixture.add("one", 1);
    let text = std::fs::read_to_string(fixture.file(&id)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    let copy = fixture.dir.path().join("copy.json");
    std::fs::write(&copy, lines[1]).unwrap();
    assert_eq!(trace_file::read(Path::new(&copy)).unwrap(), fixture.history.load(&id).unwrap());
}
