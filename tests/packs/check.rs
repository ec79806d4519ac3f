//! Checks and sizes of packs without loading them, compared with the result of loading.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use candle_core::quantized::gguf_file;
use candle_core::{DType, Device, Tensor};
use ivg_playground::packs::check::{Finding, Verdict, check};
use ivg_playground::packs::hub::{Hub, HubSettings};
use ivg_playground::packs::survey::{HubLookup, Presence, Survey};
use ivg_playground::packs::{DeviceChoice, Pack, PackSource, Source};

use crate::support;

/// A hub without network access and cache.
fn hub() -> Hub {
    Hub::new(HubSettings { is_offline: true, ..HubSettings::default() })
}

fn findings(dir: &Path) -> Vec<Finding> {
    check(&PackSource::Folder(dir.to_owned()), &hub(), &|| false)
}

fn faults(dir: &Path) -> Vec<String> {
    let all = findings(dir).into_iter();
    all.filter(|finding| finding.verdict == Verdict::Fault).map(|finding| finding.text).collect()
}

fn load(dir: &Path) -> Result<(), String> {
    let source = PackSource::Folder(dir.to_owned());
    let pack = Pack::load_from(&source, DeviceChoice::Cpu, &hub(), &|| false, &mut |_| {});
    pack.map(drop).map_err(|e| e.to_string())
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

fn change_tensors(folder: &Path, change: impl FnOnce(&mut HashMap<String, Tensor>)) {
    let file = folder.join("model.safetensors");
    let mut tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, file).unwrap();
}

fn good() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    support::write_judge(dir.path());
    dir
}

#[test]
fn a_good_pack_has_no_faults() {
    let dir = good();
    let findings = findings(dir.path());
    assert!(findings.iter().all(|f| f.verdict != Verdict::Fault), "{findings:?}");
    let texts: Vec<&str> = findings.iter().map(|f| f.text.as_str()).collect();
    for words in [
        "licence: none is named",
        "base: configuration, 2 layers of 32, context 96 tokens",
        "tuned: tokenizer, 257 tokens",
        "value: the base's vocabulary",
        "judge: loads",
    ] {
        assert!(texts.iter().any(|text| text.contains(words)), "'{words}' is not in {texts:#?}");
    }
    assert!(load(dir.path()).is_ok());
}

/// Each message names the role and the file. Loading fails in every case.
#[test]
fn faults_are_found_without_loading() {
    type Damage = fn(&Path);
    let cases: [(Damage, &[&str]); 16] = [
        (
            |d| fs::remove_file(d.join("value/config.json")).unwrap(),
            &["value", "no config.json", "trunk"],
        ),
        (
            |d| {
                let whole = Tensor::zeros(32, DType::I64, &Device::Cpu).unwrap();
                change_tensors(&d.join("value"), |t| {
                    drop(t.insert("model.norm.weight".into(), whole))
                });
            },
            &["value", "model.norm.weight", "I64"],
        ),
        (
            |d| {
                change_tensors(&d.join("base"), |t| {
                    drop(t.remove("model.layers.1.input_layernorm.weight"))
                })
            },
            &["base", "model.safetensors", "layers.1.input_layernorm.weight"],
        ),
        (
            |d| {
                let narrow = Tensor::zeros((7, 32), DType::F32, &Device::Cpu).unwrap();
                let name = "model.layers.0.self_attn.q_proj.weight";
                change_tensors(&d.join("tuned"), |t| drop(t.insert(name.into(), narrow)));
            },
            &["tuned", "q_proj.weight", "[7, 32]"],
        ),
        (
            |d| change_tensors(&d.join("base"), |t| drop(t.remove("lm_head.weight"))),
            &["base", "no output head"],
        ),
        (|d| fs::remove_file(d.join("tuned/config.json")).unwrap(), &["tuned", "config.json"]),
        (|d| fs::remove_file(d.join("base/tokenizer.json")).unwrap(), &["base", "tokenizer.json"]),
        (
            |d| fs::remove_file(d.join("value/model.safetensors")).unwrap(),
            &["value", "model.safetensors", "complete"],
        ),
        (
            |d| {
                let file = d.join("base/model.safetensors");
                let bytes = fs::read(&file).unwrap();
                fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
            },
            &["base", "model.safetensors", "download it again"],
        ),
        (
            |d| edit(&d.join("untuned/tokenizer.json"), "\"a\":98", "\"aa\":98"),
            &["tuned and untuned have different vocabularies"],
        ),
        (|d| fs::remove_file(d.join("judge/config.json")).unwrap(), &["judge", "config.json"]),
        (|d| edit(&d.join("pack.toml"), "name", "nmae"), &["pack.toml", "nmae"]),
        (|d| fs::remove_dir_all(d.join("untuned")).unwrap(), &["untuned", "does not exist"]),
        (
            |d| edit(&d.join("pack.toml"), "path = \"value\"", "folder = \"/no/where\""),
            &["value", "/no/where", "correct the path in pack.toml"],
        ),
        (
            |d| edit(&d.join("pack.toml"), "path = \"value\"", "path = \"value\", chat = true"),
            &["value", "no chat template", "leave out chat"],
        ),
        (
            |d| {
                edit(&d.join("pack.toml"), "path = \"base\",", "path = \"base.gguf\",");
                fs::write(d.join("base.gguf"), "GGUF").unwrap();
            },
            &["base", "base.gguf"],
        ),
    ];
    for (damage, words) in cases {
        let dir = good();
        damage(dir.path());
        let faults = faults(dir.path());
        let is_named = |fault: &&String| words.iter().all(|word| fault.contains(word));
        assert!(faults.iter().any(|fault| is_named(&fault)), "{words:?} is not in {faults:#?}");
        assert!(faults.iter().all(|fault| !fault.contains('\n')));
        assert!(load(dir.path()).is_err(), "{words:?}");
    }
}

/// Such a token is never drawn, so responses would only end at the maximum length.
#[test]
fn notes_an_end_token_beyond_the_vocabulary() {
    let dir = good();
    edit(&dir.path().join("base/config.json"), "\"eos_token_id\":0", "\"eos_token_id\":999");
    let is_it = |f: &Finding| f.verdict == Verdict::Note && f.text.contains("eos_token_id 999");
    assert!(findings(dir.path()).iter().any(is_it));
}

/// Reading a pipe would wait for its writer.
#[cfg(unix)]
#[test]
fn notes_eval_prompts_that_cannot_be_read() {
    let dir = good();
    edit(&dir.path().join("pack.toml"), "description", "eval_prompts = \"prompts\"\ndescription");
    let pipe = dir.path().join("prompts");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let findings = findings(dir.path());
    let note = findings.iter().find(|finding| finding.text.starts_with("eval_prompts"));
    let is_expected =
        |f: &Finding| f.verdict == Verdict::Note && f.text.contains("is not a regular file");
    assert!(note.is_some_and(is_expected));
}

/// Returns the size of a tensor in Q8_0: 34 bytes for 32 weights, with rows padded to whole blocks.
/// Tensors other than matrices stay f32.
fn q8_0_bytes(shape: &[usize]) -> usize {
    match shape {
        [rows, columns] => rows * columns.div_ceil(32) * 34,
        other => 4 * other.iter().product::<usize>(),
    }
}

#[test]
fn the_survey_has_the_sizes_of_the_files_and_of_the_weights_in_memory() {
    let dir = good();
    edit(&dir.path().join("pack.toml"), "\"untuned\"", "\"untuned\", precision = \"q8_0\"");
    let source = PackSource::Folder(dir.path().to_owned());
    let survey = Survey::new(&source, &mut HubLookup::new(&hub(), true, &|| false)).unwrap();
    let roles: Vec<&str> = survey.models.iter().map(|model| model.role).collect();
    assert_eq!(roles, ["base", "untuned", "tuned", "value", "judge"]);
    let base = &survey.models[0];
    let parameters = base.parameters.unwrap();
    assert_eq!((base.presence, base.held_bytes), (Presence::Here, Some(parameters * 4)));
    let bytes = ["config.json", "model.safetensors", "tokenizer.json"]
        .map(|name| fs::metadata(dir.path().join("base").join(name)).unwrap().len());
    assert_eq!(base.file_bytes, Some(bytes.iter().sum()));
    // The tuned model has the same precision as the untuned one.
    let file = dir.path().join("untuned/model.safetensors");
    let tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let held: usize = tensors.values().map(|tensor| q8_0_bytes(tensor.dims())).sum();
    assert_eq!(survey.models[1].held_bytes, Some(held as u64));
    assert_eq!(survey.models[2].held_bytes, survey.models[1].held_bytes);
    assert_eq!((survey.missing_bytes(), survey.models[4].parameters), (Some(0), Some(16)));
    fs::remove_file(dir.path().join("base/model.safetensors")).unwrap();
    let survey = Survey::new(&source, &mut HubLookup::new(&hub(), true, &|| false)).unwrap();
    assert_eq!(survey.models[0].presence, Presence::Broken);
    assert!(survey.models[0].problem.as_ref().unwrap().contains("model.safetensors"));
    assert_eq!(survey.held_bytes(), None);
}

/// The weights are held in 8 bits unless the pack sets another precision.
#[test]
fn the_header_of_a_gguf_file_determines_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/quantised/q4_0.gguf");
    let survey = |precision: &str| {
        let toml =
            format!("name = \"x\"\ndescription = \"\"\n[base]\nfolder = \"{file}\"\n{precision}");
        fs::write(dir.path().join("pack.toml"), toml).unwrap();
        let source = PackSource::Folder(dir.path().to_owned());
        Survey::new(&source, &mut HubLookup::new(&hub(), false, &|| false))
            .unwrap()
            .models
            .remove(0)
    };
    let (held, f32) = (survey(""), survey("precision = \"f32\""));
    let source = PackSource::Folder(dir.path().to_owned());
    let pack = Pack::load_from(&source, DeviceChoice::Cpu, &hub(), &|| false, &mut |_| {}).unwrap();
    let parameters = pack.sizes()[0].1 as u64;
    assert_eq!(held.parameters, Some(parameters));
    let content = gguf_file::Content::read(&mut fs::File::open(file).unwrap()).unwrap();
    let infos = content.tensor_infos.values();
    let bytes: usize = infos.map(|info| q8_0_bytes(info.shape.dims())).sum();
    assert_eq!((held.held_bytes, f32.held_bytes), (Some(bytes as u64), Some(parameters * 4)));
    assert_eq!(held.file_bytes, Some(fs::metadata(file).unwrap().len()));
}

#[test]
fn bundled_packs_are_found_by_name() {
    let bundled = PackSource::bundled();
    // The packs with bundled files come first.
    let first = [PackSource::default(), PackSource::Bundled("smollm2".into())];
    assert_eq!(bundled[..2], first);
    assert_eq!(PackSource::parse(Path::new("imdb")), PackSource::default());
    let folder = PackSource::Folder("/some/imdb".into());
    assert_eq!(PackSource::parse(Path::new("/some/imdb")), folder);
    for pack in bundled {
        let (folder, manifest) = pack.open().unwrap();
        assert!(folder.ends_with(&manifest.name), "{} in {}", manifest.name, folder.display());
        // Packs with bundled files must name a licence. The hub names those of its models.
        let has_files =
            manifest.roles().any(|(_, role)| matches!(role.source, Some(Source::Pack(_))));
        assert!(manifest.licence.is_some() || !has_files, "{}", manifest.name);
    }
}

fn ivg(args: &[&str]) -> (Option<i32>, String, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_ivg-playground")).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code(), text(out.stdout), text(out.stderr))
}

#[test]
fn the_bundled_pack_is_listed_and_has_no_faults() {
    let (status, list, _) = ivg(&["models", "list"]);
    assert_eq!(status, Some(0));
    assert!(
        list.starts_with("imdb · for research and teaching") && list.contains("pack: base"),
        "{list}"
    );
    let (status, lines, error) = ivg(&["models", "check"]);
    assert_eq!((status, error.as_str()), (Some(0), ""));
    assert!(lines.lines().count() > 12 && !lines.contains("fault"), "{lines}");
    let (status, text, _) = ivg(&["models", "download"]);
    assert_eq!((status, text.as_str()), (Some(0), "imdb: nothing to download\n"));
}

#[test]
fn text_from_files_cannot_control_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let toml =
        "name = \"x\"\ndescription = \"\"\n[base]\nfolder = \"/x\\u001b[31m\\nfake: line\"\n";
    fs::write(dir.path().join("pack.toml"), toml).unwrap();
    let pack = dir.path().to_str().unwrap();
    for args in [["models", "list", "--pack", pack], ["models", "check", "--pack", pack]] {
        let (_, lines, error) = ivg(&args);
        assert!(lines.contains("fake: line"), "{lines}");
        assert!(!lines.lines().any(|line| line.starts_with("fake")), "{lines}");
        assert!(!lines.contains('\u{1b}') && !error.contains('\u{1b}'));
    }
    let (_, _, error) = ivg(&["generate", "--prompt", "a", "--pack", pack]);
    assert!(error.contains("fake: line") && !error.contains('\u{1b}'), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn checking_a_faulty_pack_prints_one_line_per_finding_and_exits_with_two() {
    let dir = good();
    fs::remove_file(dir.path().join("tuned/config.json")).unwrap();
    fs::remove_file(dir.path().join("value/tokenizer.json")).unwrap();
    let (status, lines, error) = ivg(&["models", "check", "--pack", dir.path().to_str().unwrap()]);
    assert_eq!(status, Some(2));
    assert_eq!(lines.lines().filter(|line| line.starts_with("fault ")).count(), 2, "{lines}");
    assert_eq!(error.lines().count(), 1);
    assert!(error.contains("2 faults"), "{error}");
    let (status, lines, error) = ivg(&["models", "check", "--pack", "/no/where"]);
    assert_eq!((status, lines.lines().count(), error.lines().count()), (Some(2), 1, 1));
    assert!(lines.contains("pack.toml"), "{lines}");
}
