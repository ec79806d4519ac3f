//! The history: a file a run, bounded, and safe from half-written files and from a second program.

use std::path::{Path, PathBuf};

use ivg_playground::guidance::settings::Arm;
use ivg_playground::records::history::{Entry, EntryId, History, MOST_ENTRIES, search};
use ivg_playground::records::{RecordError, trace_file};

use crate::sample::{columns, names, trace};

struct Room {
    dir: tempfile::TempDir,
    history: History,
}

fn room() -> Room {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(&dir.path().join("runs")).unwrap();
    Room { dir, history }
}

impl Room {
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
fn runs_come_newest_first_with_the_pinned_above() {
    let mut room = room();
    let first = room.add("one", 1_000);
    room.add("two", 2_000);
    room.add("three", 3_000);
    assert_eq!(room.prompts(), ["three", "two", "one"]);
    room.history.set_pinned(&first, true).unwrap();
    assert_eq!(room.prompts(), ["one", "three", "two"]);
    room.history.set_pinned(&first, false).unwrap();
    assert_eq!(room.prompts(), ["three", "two", "one"]);
}

#[test]
fn an_entry_says_what_the_run_was_and_the_run_comes_back_whole() {
    let mut room = room();
    let run = columns("A film\n", &Arm::ALL.map(|a| (a, " was\u{0}\u{202e} très bien")));
    let entry = room.history.add(&run, 1_700_000_000_123).unwrap();
    assert_eq!(room.entries(), std::slice::from_ref(&entry));
    assert!(entry.id.to_string().starts_with("1700000000123-"));
    assert_eq!((entry.prompt.as_str(), entry.pack.as_str()), ("A film", "imdb"));
    let guided = &entry.columns[4];
    assert_eq!((guided.title.as_str(), guided.gold_reward), ("Guided", Some(-2.25)));
    assert_eq!(guided.settings_line, "β 1 · λ ∞ · W 4 · K 4 · L 5");
    assert!(guided.excerpt.ends_with("très bien"));
    assert_eq!(room.history.load(&entry.id).unwrap(), run);
}

#[test]
fn ids_are_the_same_for_the_same_run_at_the_same_time() {
    let (mut a, mut b) = (room(), room());
    assert_eq!(a.add("one", 5), b.add("one", 5));
    assert_ne!(a.add("two", 5), a.add("one", 5));
    assert_eq!(a.entries().len(), 2);
    assert!(a.add("last", u64::MAX) > a.add("one", 1 << 40));
}

#[test]
fn names_are_cleaned_and_can_be_taken_away() {
    let mut room = room();
    let id = room.add("one", 1);
    room.history.rename(&id, "  my\nrun ").unwrap();
    assert_eq!(room.entries()[0].title(), "my run");
    room.history.rename(&id, &"é".repeat(5000)).unwrap();
    assert_eq!(room.entries()[0].title().chars().count(), 121);
    room.history.rename(&id, " \t").unwrap();
    assert_eq!(room.entries()[0].name, None);
    assert_eq!(room.entries()[0].title(), "one");
    assert_eq!(room.history.load(&id).unwrap().prompt, "one");
}

#[test]
fn the_last_deletion_can_be_undone_once() {
    let mut room = room();
    let (first, second) = (room.add("one", 1), room.add("two", 2));
    room.history.rename(&first, "named").unwrap();
    assert!(matches!(room.history.undo_delete(), Err(RecordError::NothingDeleted)));
    assert_eq!(room.history.delete(&first).unwrap(), "named");
    assert_eq!(room.prompts(), ["two"]);
    assert_eq!(room.history.undo_delete().unwrap(), first);
    assert_eq!(room.prompts(), ["two", "one"]);
    assert_eq!(room.entries()[1].name.as_deref(), Some("named"));
    assert!(matches!(room.history.undo_delete(), Err(RecordError::NothingDeleted)));
    room.history.delete(&first).unwrap();
    assert_eq!(room.history.delete(&second).unwrap(), "two");
    assert_eq!(room.history.undo_delete().unwrap(), second);
    assert!(!room.history.can_undo());
    assert!(matches!(room.history.delete(&first), Err(RecordError::Gone)));
    assert_eq!(room.prompts(), ["two"]);
}

#[test]
fn a_deletion_that_cannot_be_undone_now_can_be_later() {
    let mut room = room();
    let id = room.add("one", 1);
    room.history.delete(&id).unwrap();
    std::fs::remove_dir(room.folder()).unwrap();
    assert!(room.history.undo_delete().is_err());
    std::fs::create_dir(room.folder()).unwrap();
    room.history.undo_delete().unwrap();
    assert_eq!(room.prompts(), ["one"]);
}

#[test]
fn the_oldest_go_but_never_what_is_pinned() {
    let mut room = room();
    let pinned = room.add("pinned", 1);
    room.history.set_pinned(&pinned, true).unwrap();
    for i in 0..MOST_ENTRIES as u64 + 3 {
        room.add(&format!("run {i}"), 10 + i);
    }
    let prompts = room.prompts();
    assert_eq!(prompts.len(), MOST_ENTRIES + 1);
    assert_eq!((prompts[0].as_str(), prompts[1].as_str()), ("pinned", "run 202"));
    assert_eq!(prompts.last().unwrap(), "run 3");
    // A clock that was set back does not lose the run that has just ended.
    let odd = room.add("odd clock", 2);
    assert!(room.history.load(&odd).is_ok());
}

#[test]
fn a_file_cut_off_is_set_aside_and_the_others_stay() {
    for keep in [0, 10, 400, -2, -1isize] {
        let mut room = room();
        let (bad, good) = (room.add("bad", 1), room.add("good", 2));
        let file = room.file(&bad);
        let bytes = std::fs::read(&file).unwrap();
        let end = if keep < 0 { bytes.len() - keep.unsigned_abs() } else { keep as usize };
        std::fs::write(&file, &bytes[..end]).unwrap();
        let listing = room.history.list().unwrap();
        assert_eq!(listing.entries.len(), 1);
        assert_eq!(listing.entries[0].id, good);
        let notice = listing.notice.unwrap();
        assert!(notice.contains(&format!("{bad} is damaged (cut off")), "{notice}");
        assert!(notice.contains(&format!("{bad}.run.damaged")), "{notice}");
        // Told once, kept for whoever can read it.
        assert_eq!(room.prompts(), ["good"]);
        assert_eq!(names(&room.folder()), [format!("{bad}.run.damaged"), format!("{good}.run")]);
    }
}

#[test]
fn a_run_that_was_altered_is_set_aside_when_it_is_opened() {
    let mut room = room();
    let id = room.add("one", 1);
    let file = room.file(&id);
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(room.prompts(), ["one"]);
    let error = room.history.load(&id).unwrap_err();
    assert!(matches!(&error, RecordError::Damaged { aside, .. } if aside.exists()), "{error}");
    assert!(error.to_string().contains("checksum"));
    assert!(room.prompts().is_empty());
    assert!(matches!(room.history.load(&id), Err(RecordError::Gone)));
}

#[test]
fn a_file_under_another_name_is_not_believed() {
    let mut room = room();
    let id = room.add("one", 1);
    std::fs::copy(room.file(&id), room.folder().join("0000000000009-0123abcd.run")).unwrap();
    std::fs::write(room.folder().join("notes.run"), "not ours").unwrap();
    let listing = room.history.list().unwrap();
    assert_eq!(listing.entries.len(), 1);
    assert!(listing.notice.unwrap().contains(&format!("it says that it is {id}")));
    assert!(names(&room.folder()).contains(&"notes.run".to_owned()));
}

#[test]
fn runs_of_a_newer_program_are_left_alone() {
    let mut room = room();
    let id = room.add("one", 1);
    let text = std::fs::read_to_string(room.file(&id)).unwrap();
    let text = text.replacen("\"format\":1", "\"format\":2", 1);
    std::fs::write(room.file(&id), text.replacen("\"entry\"", "\"what\"", 1)).unwrap();
    let listing = room.history.list().unwrap();
    assert!(listing.entries.is_empty());
    assert!(listing.notice.unwrap().contains("1 run is of a newer version"));
    assert!(matches!(room.history.load(&id), Err(RecordError::Newer { .. })));
    assert!(room.file(&id).exists());
}

#[test]
fn two_programs_share_a_folder() {
    let mut room = room();
    let mut other = History::open(&room.folder()).unwrap();
    let id = room.add("one", 1);
    let theirs = other.add(&trace("two", " was"), 2).unwrap().id;
    assert_eq!(room.prompts(), ["two", "one"]);
    other.rename(&id, "by the other").unwrap();
    room.history.set_pinned(&id, true).unwrap();
    assert_eq!(room.entries()[0].name.as_deref(), Some("by the other"));
    other.delete(&id).unwrap();
    assert!(matches!(room.history.rename(&id, "mine"), Err(RecordError::Gone)));
    assert!(matches!(room.history.load(&id), Err(RecordError::Gone)));
    assert_eq!(room.history.delete(&theirs).unwrap(), "two");
    other.undo_delete().unwrap();
    assert_eq!(room.prompts(), ["one"]);
}

#[test]
fn a_folder_that_cannot_be_is_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let words = History::open(&file.join("runs")).unwrap_err().to_string();
    assert!(words.contains(&*file.to_string_lossy()) && words.contains("choose"), "{words}");
    assert!(History::open(&file).is_err());
}

#[test]
fn a_long_run_is_listed_shortly() {
    let mut room = room();
    let run = trace(&"word ".repeat(200_000), &"so ".repeat(900));
    let entry = room.history.add(&run, 1).unwrap();
    assert!(entry.prompt.len() < 2100 && entry.columns[0].excerpt.len() < 250);
    assert_eq!(room.entries().len(), 1);
    assert_eq!(room.history.load(&entry.id).unwrap(), run);
}

#[test]
fn a_search_finds_every_word_in_any_case() {
    let mut room = room();
    let id = room.add("The Étude", 1);
    room.add("Another film", 2);
    room.history.rename(&id, "Monday").unwrap();
    let entries = room.entries();
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
fn an_id_is_never_a_path() {
    for text in ["", "../../etc/passwd", "0000000000001-0123abc/", "0000000000001-0123ABCD"] {
        assert!(EntryId::try_from(text.to_owned()).is_err(), "{text}");
    }
    assert!(EntryId::try_from("0000000000001-0123abcd".to_owned()).is_ok());
}

#[test]
fn a_run_of_the_history_is_an_ordinary_trace_on_its_second_line() {
    let mut room = room();
    let id = room.add("one", 1);
    let text = std::fs::read_to_string(room.file(&id)).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2);
    let copy = room.dir.path().join("copy.json");
    std::fs::write(&copy, lines[1]).unwrap();
    assert_eq!(trace_file::read(Path::new(&copy)).unwrap(), room.history.load(&id).unwrap());
}
