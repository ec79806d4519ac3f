//! The program contains the bundled packs and unpacks them once, so it runs without its source
//! tree.
#![cfg(feature = "embed-packs")]

use std::fs;
use std::process::Command;

#[test]
fn a_copied_program_generates_with_its_embedded_packs() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("ivg-playground");
    fs::copy(env!("CARGO_BIN_EXE_ivg-playground"), &program).unwrap();
    let run = |arguments: &[&str]| {
        let out = Command::new(&program)
            .args(arguments)
            .current_dir(folder.path())
            .env("IVG_ASSETS", "embedded")
            .env("HOME", folder.path())
            .env("LOCALAPPDATA", folder.path())
            .env("XDG_CACHE_HOME", folder.path().join("cache"))
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let listed = run(&["models", "list"]);
    for pack in ["imdb", "smollm2", "paper-sentiment-large"] {
        assert!(listed.contains(pack), "{listed}");
    }
    let text = run(&["generate", "--prompt", "This film", "--max-tokens", "5"]);
    assert!(text.contains("This film"), "{text}");
    if cfg!(target_os = "linux") {
        let cache = folder.path().join("cache/ivg-playground");
        let unpacked: Vec<_> = fs::read_dir(&cache).unwrap().flatten().collect();
        assert_eq!(unpacked.len(), 1, "unpacked once");
        assert!(!unpacked[0].path().join("imdb/recipe").exists(), "without training scripts");
    }
}
