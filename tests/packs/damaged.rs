//! Damaged and inconsistent packs: the error names the file and a remedy.

use std::fs;
use std::path::Path;

use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::{Prefilled, Search, ValuePrompt};
use ivg_playground::lm::PromptText;
use ivg_playground::packs::{DeviceChoice, Pack, PackSource, PromptOptions};

use crate::support;

fn load(dir: &Path) -> Result<Pack, String> {
    let source = PackSource::Folder(dir.to_owned());
    Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {}).map_err(|e| e.to_string())
}

/// Writes a good pack, damages it, and returns the error of loading it.
fn error_after(damage: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    assert!(load(dir.path()).is_ok());
    damage(dir.path());
    let message = load(dir.path()).err().expect("loading a damaged pack fails");
    assert!(!message.contains('\n'), "{message}");
    message
}

fn assert_contains(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "'{word}' is not in: {message}");
    }
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from));
    fs::write(file, text.replace(from, to)).unwrap();
}

#[test]
fn missing_files_are_named() {
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let message = error_after(|d| fs::remove_file(d.join("tuned").join(file)).unwrap());
        assert_contains(&message, &["tuned", file, "complete"]);
    }
    let message = error_after(|d| fs::remove_file(d.join("pack.toml")).unwrap());
    assert_contains(&message, &["pack.toml", "check that the pack folder is complete"]);
}

#[test]
fn rejects_truncated_weights() {
    for keep in [0, 4, 8, 100, 30_000] {
        let message = error_after(|d| {
            let file = d.join("value/model.safetensors");
            let bytes = fs::read(&file).unwrap();
            fs::write(file, &bytes[..keep]).unwrap();
        });
        assert_contains(&message, &["value", "model.safetensors", "download it again"]);
    }
}

#[test]
fn rejects_a_header_longer_than_the_file() {
    let message = error_after(|d| {
        let file = d.join("base/model.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        bytes[..8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
        fs::write(file, bytes).unwrap();
    });
    assert_contains(&message, &["base", "model.safetensors"]);
}

#[test]
fn wrong_shapes_are_named() {
    let message = error_after(|d| {
        edit(&d.join("untuned/config.json"), "\"vocab_size\":257", "\"vocab_size\":300")
    });
    assert_contains(&message, &["untuned", "model.embed_tokens.weight", "[257, 32]", "[300, 32]"]);
}

#[test]
fn rejects_a_pair_of_two_vocabularies_and_names_the_first_difference() {
    for role in ["untuned", "tuned"] {
        let message = error_after(|dir| swap_two_tokens(&dir.join(role)));
        let expected = "tuned and untuned have different vocabularies";
        assert_contains(&message, &[expected, "token 98"]);
    }
}

#[test]
fn a_pair_with_another_vocabulary_reads_text() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    for role in ["untuned", "tuned"] {
        swap_two_tokens(&dir.path().join(role));
    }
    let manifest = fs::read_to_string(dir.path().join("pack.toml")).unwrap();
    let trunk = manifest.replace("path = \"value\"", "path = \"value\", trunk = \"tuned\"");
    assert_ne!(manifest, trunk);
    fs::write(dir.path().join("pack.toml"), trunk).unwrap();
    let pack = load(dir.path()).unwrap();
    let prompts = pack.prompts("Hi", PromptOptions::default()).unwrap();
    assert_eq!(prompts.value, ValuePrompt::Text(PromptText::plain("Hi")), "the trunk reads text");
    let text = PromptText::plain("Hi");
    assert_eq!(prompts.pair_text, Some([text.clone(), text]));
    assert!(prompts.untuned.is_empty() && prompts.tuned.is_empty());
    assert!(pack.models.pair.as_ref().is_some_and(|pair| pair.words.is_some()));
    let prefilled = Prefilled::new(&pack.models, &prompts).unwrap();
    let settings = Settings { beams: 1, successors: 1, max_tokens: 6, ..pack.defaults() };
    let mut search = Search::new(&pack.models, &prefilled, Arm::Token, &settings).unwrap();
    while !search.is_done() {
        search.step().unwrap();
    }
    let trace = search.finish().unwrap();
    assert!(trace.tokens.iter().all(|token| token.unguided_mass.is_some()));
}

/// Swaps the ids of two letters, which changes the vocabulary but not its size.
fn swap_two_tokens(role: &Path) {
    let file = role.join("tokenizer.json");
    let text = fs::read_to_string(&file).unwrap();
    let (a, b) = (format!("\"a\":{}", 0x61 + 1), format!("\"b\":{}", 0x62 + 1));
    let swapped = text
        .replace(&a, &format!("\"a\":{}", 0x62 + 1))
        .replace(&b, &format!("\"b\":{}", 0x61 + 1));
    assert_ne!(text, swapped);
    fs::write(file, swapped).unwrap();
}

#[test]
fn a_value_model_with_another_vocabulary_reads_text() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let pack = load(dir.path()).unwrap();
    assert!(matches!(
        pack.prompts("Hi", PromptOptions::default()).unwrap().value,
        ValuePrompt::Tokens(_)
    ));
    swap_two_tokens(&dir.path().join("value"));
    let pack = load(dir.path()).unwrap();
    assert_eq!(
        pack.prompts("Hi", PromptOptions::default()).unwrap().value,
        ValuePrompt::Text(PromptText::plain("Hi"))
    );
}

#[test]
fn manifest_errors_name_the_field() {
    let toml = |from: &'static str, to: &'static str| {
        error_after(move |d| edit(&d.join("pack.toml"), from, to))
    };
    assert_contains(&toml("name = \"tiny\"", "nmae = \"tiny\""), &["pack.toml", "nmae"]);
    assert_contains(&toml("path = \"value\"", "path = \"../value\""), &["value.path", "inside"]);
    assert_contains(&toml("path = \"value\"", "path = \"/etc\""), &["value.path", "inside"]);
    assert_contains(&toml("\ntuned = { path = \"tuned\" }", ""), &["both or neither"]);
    let both = "path = \"value\", hub = \"a/b\"";
    assert_contains(
        &toml("path = \"value\"", both),
        &["value.path, bundled, folder and hub", "write only one of them"],
    );
    assert_contains(&toml("path = \"value\"", "hub = \"../b\""), &["value.hub", "owner/model"]);
    assert_contains(&toml("AB{prompt}", "AB"), &["base.template", "{prompt}"]);
    assert_contains(&toml("max_tokens = 12", "max_tokens = 0"), &["defaults", "length is 0"]);
    assert_contains(&toml("max_tokens = 12", "max_tokenz = 1"), &["pack.toml", "max_tokenz"]);
}

#[test]
fn the_error_for_an_unknown_bundled_pack_names_the_folders_searched() {
    let source = PackSource::Bundled("nothing".into());
    let message = Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {})
        .err()
        .map(|e| e.to_string())
        .unwrap();
    assert_contains(&message, &["'nothing'", "looked in", "--pack"]);
}

#[test]
fn all_roles_but_the_base_are_optional() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    fs::write(
        dir.path().join("pack.toml"),
        "name = \"bare\"\ndescription = \"\"\nbase = { path = \"base\" }\n",
    )
    .unwrap();
    let pack = load(dir.path()).unwrap();
    assert!(pack.models.pair.is_none() && pack.models.value.is_none());
    assert_eq!(pack.sizes().len(), 1);
    let prompts = pack.prompts("A film", PromptOptions::default()).unwrap();
    assert!(prompts.untuned.is_empty());
    assert_eq!(prompts.value, ValuePrompt::Tokens(Vec::new()));
}

#[test]
fn every_role_reads_the_beginning_token_and_its_own_template() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let pack = load(dir.path()).unwrap();
    let prompts = pack.prompts("Hi", PromptOptions::default()).unwrap();
    let byte = |c: u8| u32::from(c) + 1;
    assert_eq!(prompts.base, [0, byte(b'A'), byte(b'B'), byte(b'H'), byte(b'i')]);
    assert_eq!(prompts.untuned, [0, byte(b'H'), byte(b'i')]);
    assert_eq!(prompts.value, ValuePrompt::Tokens(prompts.untuned));
}

#[test]
fn typed_control_tokens_are_recognised_only_on_request() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let pack = load(dir.path()).unwrap();
    let control = pack.models.tokenizer.controls()[0].clone();
    let typed = format!("Hi{control}");
    let read = |special_tokens| {
        let options = PromptOptions { special_tokens, ..PromptOptions::default() };
        pack.prompts(&typed, options).unwrap()
    };
    let count = |ids: &[u32]| ids.iter().filter(|id| **id == support::EOS).count();
    let (plain, special) = (read(false), read(true));
    // One control token begins each prompt.
    assert_eq!((count(&plain.base), count(&plain.untuned)), (1, 1));
    assert_eq!((count(&special.base), count(&special.untuned)), (2, 2));
    assert_eq!(plain.value, ValuePrompt::Tokens(plain.untuned));
    assert_eq!(special.value, ValuePrompt::Tokens(special.untuned));
}
