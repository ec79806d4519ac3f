//! Damaged and mismatched packs: a sentence that names file and cure, never a panic.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::fs;
use std::path::Path;

use ivg_playground::guidance::ValuePrompt;
use ivg_playground::lm::PromptText;
use ivg_playground::packs::{DeviceChoice, Pack, PackSource, Reading};

fn load(dir: &Path) -> Result<Pack, String> {
    let source = PackSource::Folder(dir.to_owned());
    Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {}).map_err(|e| e.to_string())
}

/// Writes a good pack, spoils it, and gives the message.
fn spoiled(spoil: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    assert!(load(dir.path()).is_ok());
    spoil(dir.path());
    let message = load(dir.path()).err().expect("a damaged pack was loaded");
    assert!(!message.contains('\n'), "{message}");
    message
}

fn assert_says(message: &str, words: &[&str]) {
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
        let message = spoiled(|d| fs::remove_file(d.join("tuned").join(file)).unwrap());
        assert_says(&message, &["tuned", file, "complete"]);
    }
    let message = spoiled(|d| fs::remove_file(d.join("pack.toml")).unwrap());
    assert_says(&message, &["pack.toml", "check that the pack folder is complete"]);
}

#[test]
fn truncated_weights_are_refused() {
    for keep in [0, 4, 8, 100, 30_000] {
        let message = spoiled(|d| {
            let file = d.join("value/model.safetensors");
            let bytes = fs::read(&file).unwrap();
            fs::write(file, &bytes[..keep]).unwrap();
        });
        assert_says(&message, &["value", "model.safetensors", "download it again"]);
    }
}

#[test]
fn a_header_that_promises_too_much_is_refused() {
    let message = spoiled(|d| {
        let file = d.join("base/model.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        bytes[..8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
        fs::write(file, bytes).unwrap();
    });
    assert_says(&message, &["base", "model.safetensors"]);
}

#[test]
fn wrong_shapes_are_named() {
    let message = spoiled(|d| {
        edit(&d.join("untuned/config.json"), "\"vocab_size\":257", "\"vocab_size\":300")
    });
    assert_says(&message, &["untuned", "model.embed_tokens.weight", "[257, 32]", "[300, 32]"]);
}

#[test]
fn another_vocabulary_is_refused_with_the_first_difference() {
    for role in ["untuned", "tuned"] {
        let message = spoiled(|dir| swap_two_tokens(&dir.join(role)));
        assert_says(&message, &[role, "different vocabularies", "token 98"]);
    }
}

/// The tokens of two letters change places: the same size, another meaning.
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

/// The value model need not share the vocabulary: it reads the response as text.
#[test]
fn a_value_model_of_another_vocabulary_reads_text() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let pack = load(dir.path()).unwrap();
    assert!(matches!(
        pack.prompts("Hi", Reading::default()).unwrap().value,
        ValuePrompt::Tokens(_)
    ));
    swap_two_tokens(&dir.path().join("value"));
    let pack = load(dir.path()).unwrap();
    assert_eq!(
        pack.prompts("Hi", Reading::default()).unwrap().value,
        ValuePrompt::Text(PromptText::plain("Hi"))
    );
}

#[test]
fn manifests_are_checked() {
    let toml = |from: &'static str, to: &'static str| {
        spoiled(move |d| edit(&d.join("pack.toml"), from, to))
    };
    assert_says(&toml("name = \"tiny\"", "nmae = \"tiny\""), &["pack.toml", "nmae"]);
    assert_says(&toml("path = \"value\"", "path = \"../value\""), &["value.path", "inside"]);
    assert_says(&toml("path = \"value\"", "path = \"/etc\""), &["value.path", "inside"]);
    assert_says(&toml("\ntuned = { path = \"tuned\" }", ""), &["both or neither"]);
    let both = "path = \"value\", hub = \"a/b\"";
    assert_says(
        &toml("path = \"value\"", both),
        &["value.path, bundled, folder and hub", "name one of them"],
    );
    assert_says(&toml("path = \"value\"", "hub = \"../b\""), &["value.hub", "owner/model"]);
    assert_says(&toml("AB{prompt}", "AB"), &["base.template", "{prompt}"]);
    assert_says(&toml("max_tokens = 12", "max_tokens = 0"), &["defaults", "length is 0"]);
    assert_says(&toml("max_tokens = 12", "max_tokenz = 1"), &["pack.toml", "max_tokenz"]);
}

#[test]
fn a_bundled_pack_that_is_not_there_says_where_it_was_sought() {
    let source = PackSource::Bundled("nothing".into());
    let message = Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {})
        .err()
        .map(|e| e.to_string())
        .unwrap();
    assert_says(&message, &["'nothing'", "looked in", "--pack"]);
}

#[test]
fn roles_may_be_left_out() {
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
    let prompts = pack.prompts("A film", Reading::default()).unwrap();
    assert!(prompts.guides.is_empty());
    assert_eq!(prompts.value, ValuePrompt::Tokens(Vec::new()));
}

#[test]
fn every_role_reads_its_own_template_after_the_beginning_of_text() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let pack = load(dir.path()).unwrap();
    let prompts = pack.prompts("Hi", Reading::default()).unwrap();
    let byte = |c: u8| u32::from(c) + 1;
    assert_eq!(prompts.base, [0, byte(b'A'), byte(b'B'), byte(b'H'), byte(b'i')]);
    assert_eq!(prompts.guides, [0, byte(b'H'), byte(b'i')]);
    assert_eq!(prompts.value, ValuePrompt::Tokens(prompts.guides));
}

/// Control tokens that are typed are text to every role, unless they are asked for.
#[test]
fn typed_control_tokens_are_recognised_on_request_only() {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    let pack = load(dir.path()).unwrap();
    let control = pack.models.tokenizer.controls()[0].clone();
    let typed = format!("Hi{control}");
    let read = |special_tokens| {
        let reading = Reading { special_tokens, ..Reading::default() };
        pack.prompts(&typed, reading).unwrap()
    };
    let count = |ids: &[u32]| ids.iter().filter(|id| **id == support::EOS).count();
    let (plain, special) = (read(false), read(true));
    // Each begins with the token once.
    assert_eq!((count(&plain.base), count(&plain.guides)), (1, 1));
    assert_eq!((count(&special.base), count(&special.guides)), (2, 2));
    assert_eq!(plain.value, ValuePrompt::Tokens(plain.guides));
    assert_eq!(special.value, ValuePrompt::Tokens(special.guides));
}
