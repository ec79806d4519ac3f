//! Kinds of packs: adapters, `.gguf` files, 8-bit weights, chat templates, and roles that share a
//! model.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use ivg_playground::guidance::ValuePrompt;
use ivg_playground::guidance::steer::Instructions;
use ivg_playground::lm::Lm;
use ivg_playground::packs::check::{Finding, Verdict, check};
use ivg_playground::packs::hub::{Hub, HubSettings};
use ivg_playground::packs::survey::{HubLookup, Kind, Survey};
use ivg_playground::packs::{DeviceChoice, Pack, PackSource, PromptOptions};
use ivg_playground::worker::protocol::no_gpu_support;

use crate::support;

const GGUF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/quantised/q8_0.gguf");

fn load(dir: &Path, roles: &str) -> Result<Pack, String> {
    fs::write(dir.join("pack.toml"), format!("name = \"x\"\ndescription = \"\"\n{roles}")).unwrap();
    let source = PackSource::Folder(dir.to_owned());
    Pack::load(&source, DeviceChoice::Cpu, &mut |_, _| {}).map_err(|e| e.to_string())
}

fn folders() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    support::write_pack(dir.path());
    dir
}

/// Returns the logits after three tokens.
fn logits(lm: &Lm) -> Vec<f32> {
    let (_, hidden) = lm.prefill(&[3, 50, 7]).unwrap();
    let last = hidden.narrow(0, 2, 1).unwrap();
    lm.logits(&last).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn offline() -> Hub {
    Hub::new(HubSettings { is_offline: true, ..HubSettings::default() })
}

/// Writes a LoRA adapter of rank 2 for the query projection of the first layer.
fn write_adapter(dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let config = r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}"#;
    fs::write(dir.join("adapter_config.json"), config).unwrap();
    let name = "base_model.model.model.layers.0.self_attn.q_proj";
    let ramp = |shape: &[usize]| {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|i| (i % 7) as f32 / 7.0 - 0.4).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    };
    let tensors = HashMap::from([
        (format!("{name}.lora_A.weight"), ramp(&[2, 32])),
        (format!("{name}.lora_B.weight"), ramp(&[32, 2])),
    ]);
    candle_core::safetensors::save(&tensors, dir.join("adapter_model.safetensors")).unwrap();
}

#[test]
fn tuned_can_be_an_adapter_for_the_untuned_model() {
    let dir = folders();
    write_adapter(&dir.path().join("lora"));
    let roles = "base.path = \"base\"\nuntuned.path = \"untuned\"\n\
                 tuned.adapter.path = \"lora\"\nvalue.path = \"value\"";
    let pack = load(dir.path(), roles).unwrap();
    let pair = pack.models.pair.as_ref().unwrap();
    let untuned = Lm::load(&dir.path().join("untuned"), &Device::Cpu).unwrap();
    let adapted = untuned.with_adapter(&dir.path().join("lora")).unwrap();
    assert_eq!(logits(&pair.untuned), logits(&untuned));
    assert_eq!(logits(&pair.tuned), logits(&adapted));
    assert!(largest_difference(&logits(&pair.tuned), &logits(&pair.untuned)) > 0.01);
    assert_eq!(pair.tuned.parameters(), untuned.parameters() + 2 * 2 * 32);
    // Another adapter changes the fingerprint.
    let before = pack.fingerprint().unwrap();
    let config = dir.path().join("lora/adapter_config.json");
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("4", "8")).unwrap();
    assert_ne!(load(dir.path(), roles).unwrap().fingerprint().unwrap(), before);
    fs::remove_file(dir.path().join("lora/adapter_model.safetensors")).unwrap();
    let message = load(dir.path(), roles).err().unwrap();
    assert!(message.contains("tuned model") && message.contains("adapter_model"), "{message}");
}

#[test]
fn every_role_can_have_an_adapter() {
    let dir = folders();
    write_adapter(&dir.path().join("lora"));
    let roles = "base = { path = \"base\", adapter = { path = \"lora\" } }\n\
                 value = { path = \"value\", adapter = { path = \"lora\" } }";
    let pack = load(dir.path(), roles).unwrap();
    let plain = load(dir.path(), "base.path = \"base\"\nvalue.path = \"value\"").unwrap();
    assert!(largest_difference(&logits(&pack.models.base), &logits(&plain.models.base)) > 0.01);
    let trunk = |pack: &Pack| logits(pack.models.value.as_ref().unwrap().model.trunk());
    assert!(largest_difference(&trunk(&pack), &trunk(&plain)) > 0.01);
}

#[test]
fn roles_with_the_same_files_share_a_model() {
    let dir = folders();
    let roles = "base.path = \"base\"\nuntuned.path = \"base\"\ntuned.path = \"tuned\"";
    let pack = load(dir.path(), roles).unwrap();
    let pair = pack.models.pair.as_ref().unwrap();
    assert!(pack.models.base.is_same(&pair.untuned) && !pack.models.base.is_same(&pair.tuned));
    // With another precision it is another model.
    let roles = "base.path = \"base\"\nuntuned = { path = \"base\", precision = \"q8_0\" }\n\
                 tuned.path = \"tuned\"";
    let pack = load(dir.path(), roles).unwrap();
    assert!(!pack.models.base.is_same(&pack.models.pair.as_ref().unwrap().untuned));
}

/// A value head in its own folder uses the untuned model as its trunk, without a second copy.
#[test]
fn a_value_head_can_use_the_model_of_another_role() {
    let dir = folders();
    let whole = dir.path().join("value/model.safetensors");
    let tensors = candle_core::safetensors::load(&whole, &Device::Cpu).unwrap();
    let head = HashMap::from([("score.weight".to_owned(), tensors["score.weight"].clone())]);
    fs::create_dir(dir.path().join("head")).unwrap();
    let file = dir.path().join("head/model.safetensors");
    candle_core::safetensors::save(&head, &file).unwrap();
    let roles = |value: &str| {
        format!(
            "base.path = \"base\"\nuntuned.path = \"value\"\ntuned.path = \"value\"\n\
             value = {value}"
        )
    };
    let pack = load(dir.path(), &roles("{ path = \"head\", trunk = \"untuned\" }")).unwrap();
    let separate = load(dir.path(), &roles("{ path = \"value\" }")).unwrap();
    let guide = pack.models.value.as_ref().unwrap();
    assert!(guide.words.is_none());
    assert!(guide.model.trunk().is_same(&pack.models.pair.as_ref().unwrap().untuned));
    let value = |pack: &Pack| {
        let model = &pack.models.value.as_ref().unwrap().model;
        let (_, hidden) = model.trunk().prefill(&[3, 50, 7]).unwrap();
        model.value(&hidden, &[3, 50, 7]).unwrap()
    };
    assert_eq!(value(&pack), value(&separate));
    // A whole value model with the same files as another role also shares its model.
    let trunk = separate.models.value.as_ref().unwrap().model.trunk();
    assert!(trunk.is_same(&separate.models.pair.as_ref().unwrap().untuned));
    // The survey counts no model twice.
    let source = PackSource::Folder(dir.path().to_owned());
    pack.manifest.write(dir.path()).unwrap();
    let hub = offline();
    let survey = Survey::new(&source, &mut HubLookup::new(&hub, false, &|| false)).unwrap();
    let rows: Vec<_> = survey.models.iter().map(|m| (m.role, m.kind, m.same_as)).collect();
    let expected = [
        ("base", Kind::Model, None),
        ("untuned", Kind::Model, None),
        ("tuned", Kind::Model, Some("untuned")),
        ("value", Kind::Head, None),
    ];
    assert_eq!(rows, expected);
    let of = |role: usize| survey.models[role].held_bytes.unwrap();
    assert_eq!(survey.held_bytes(), Some(of(0) + of(1) + of(3)));
    assert_eq!(survey.models[3].parameters, Some(32));
    let findings = check(&source, &hub, &|| false);
    assert!(findings.iter().all(|f| f.verdict != Verdict::Fault), "{findings:?}");
    let head = findings.iter().any(|f| f.text.starts_with("value: head, "));
    let once = findings.iter().any(|f| f.text.ends_with("held once for several roles"));
    assert!(head && once, "{findings:?}");
    // A head of another width is an error.
    let wide = Tensor::zeros((1, 33), candle_core::DType::F32, &Device::Cpu).unwrap();
    let head = HashMap::from([("score.weight".to_owned(), wide)]);
    candle_core::safetensors::save(&head, &file).unwrap();
    let message = load(dir.path(), &roles("{ path = \"head\", trunk = \"untuned\" }"));
    let message = message.err().unwrap();
    assert!(message.contains("value model") && message.contains("score.weight"), "{message}");
    // The check reports it without loading, and also an adapter of another shape.
    let faults = || -> Vec<String> {
        let all = check(&source, &hub, &|| false).into_iter();
        all.filter(|f| f.verdict == Verdict::Fault).map(|f| f.text).collect()
    };
    assert!(faults().iter().any(|f| f.starts_with("value: ") && f.contains("score.weight")));
    write_adapter(&dir.path().join("lora"));
    fs::write(
        dir.path().join("pack.toml"),
        "name = \"x\"\ndescription = \"\"\nbase = { path = \"base\", adapter = { path = \"lora\" } }",
    )
    .unwrap();
    assert_eq!(faults(), Vec::<String>::new());
    let file = dir.path().join("lora/adapter_model.safetensors");
    let mut tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    let name = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight".to_owned();
    tensors.insert(name, Tensor::zeros((31, 2), candle_core::DType::F32, &Device::Cpu).unwrap());
    candle_core::safetensors::save(&tensors, &file).unwrap();
    let faults = faults();
    assert!(faults.iter().any(|f| f.starts_with("base: ") && f.contains("lora_B")), "{faults:?}");
}

/// Template and precision change the generated texts, as the weights do.
#[test]
fn template_and_precision_change_the_fingerprint() {
    let dir = folders();
    let fingerprint = |base: &str| {
        load(dir.path(), &format!("base = {{ path = \"base\"{base} }}")).unwrap().fingerprint()
    };
    let plain = fingerprint("").unwrap();
    assert_eq!(fingerprint("").unwrap(), plain);
    assert_ne!(fingerprint(", template = \"Review: {prompt}\"").unwrap(), plain);
    assert_ne!(fingerprint(", precision = \"q8_0\"").unwrap(), plain);
}

#[test]
fn a_pack_can_use_parts_of_a_bundled_pack() {
    let dir = folders();
    let roles = "base.path = \"base\"\njudge.bundled = \"imdb/judge\"";
    let pack = load(dir.path(), roles).unwrap();
    assert!(pack.gold_reward("A wonderful", " film, moving and superb").unwrap() > 0.0);
    let missing = load(dir.path(), "base.path = \"base\"\njudge.bundled = \"imdb/none\"");
    let missing = missing.err().unwrap();
    assert!(
        missing.contains("imdb/none") && missing.contains("is not part of a bundled pack"),
        "{missing}"
    );
}

#[test]
fn weights_can_be_held_in_eight_bits() {
    let dir = folders();
    let exact = load(dir.path(), "base = { path = \"base\", precision = \"f32\" }").unwrap();
    let q8_0 = load(dir.path(), "base = { path = \"base\", precision = \"q8_0\" }").unwrap();
    let error = largest_difference(&logits(&exact.models.base), &logits(&q8_0.models.base));
    let largest = logits(&exact.models.base).iter().fold(0.0, |max: f32, x| max.max(x.abs()));
    assert!(error > 0.0 && error < 0.1 * largest, "{error} of {largest}");
}

#[test]
fn a_gguf_file_contains_model_and_tokenizer() {
    let dir = tempfile::tempdir().unwrap();
    let pack = load(dir.path(), &format!("base.folder = \"{GGUF}\"")).unwrap();
    let alone = Lm::load(Path::new(GGUF), &Device::Cpu).unwrap();
    assert_eq!(logits(&pack.models.base), logits(&alone));
    let tokenizer = &pack.models.tokenizer;
    let prompts = pack.prompts("the movie", PromptOptions::default()).unwrap();
    let ids = tokenizer.encode("the movie").unwrap();
    assert_eq!(prompts.base, [tokenizer.prefix(), &ids].concat());
    // The file can also be inside the pack.
    fs::copy(GGUF, dir.path().join("own.gguf")).unwrap();
    let own = load(dir.path(), "base.path = \"own.gguf\"").unwrap();
    assert_eq!(own.fingerprint().unwrap(), pack.fingerprint().unwrap());
}

/// The template of the golden file writes `<role>content` for every message.
#[test]
fn a_chat_prompt_uses_the_model_s_template() {
    let dir = tempfile::tempdir().unwrap();
    let text = |chat: &str| {
        let pack = load(dir.path(), &format!("[base]\nfolder = \"{GGUF}\"\nchat = true\n{chat}"));
        let pack = pack.unwrap();
        pack.models.tokenizer.decode(&pack.prompts("Hi", PromptOptions::default()).unwrap().base)
    };
    assert_eq!(text(""), "<user>Hi");
    assert_eq!(text("system = \"Be brief.\""), "<system>Be brief.<user>Hi");
}

/// The instruction of a steer follows the system prompt, stands at its place in a template, or
/// before the whole prompt.
#[test]
fn an_instruction_has_its_place_in_every_kind_of_prompt() {
    let dir = tempfile::tempdir().unwrap();
    let text = |base: &str| {
        let pack = load(dir.path(), &format!("[base]\nfolder = \"{GGUF}\"\n{base}")).unwrap();
        let steers = [Instructions { towards: "Rhyme.".into(), away: String::new() }];
        let prompts = pack.steered_prompts("Hi", PromptOptions::default(), &steers).unwrap();
        let [away, towards] = &prompts.steers[0];
        assert_eq!(*away, prompts.base, "no instruction");
        (pack.models.tokenizer.decode(towards), pack.reads_instructions())
    };
    let system = "chat = true\nsystem = \"Be kind.\"";
    assert_eq!(text("chat = true"), ("<system>Rhyme.<user>Hi".into(), true));
    assert_eq!(text(system), ("<system>Be kind.\nRhyme.<user>Hi".into(), true));
    let template = "template = \"[Be kind.{instruction}] {prompt}\"";
    assert_eq!(text(template), ("[Be kind. Rhyme.] Hi".into(), true));
    assert_eq!(text("template = \"> {prompt}\""), ("Rhyme.\n\n> Hi".into(), false));
    assert_eq!(text(""), ("Rhyme.\n\nHi".into(), false));
}

/// The halves of a pair may be one model that reads two prompts.
#[test]
fn a_pair_of_prompts_is_one_model_with_two_system_prompts() {
    let dir = tempfile::tempdir().unwrap();
    let half = |role: &str, system: &str| {
        format!("[{role}]\nfolder = \"{GGUF}\"\nchat = true\nsystem = \"{system}\"\n")
    };
    let roles = half("base", "Be.") + &half("untuned", "Be rude.") + &half("tuned", "Be kind.");
    let pack = load(dir.path(), &roles).unwrap();
    let prompts = pack.prompts("Hi", PromptOptions::default()).unwrap();
    let text = |ids: &[u32]| pack.models.tokenizer.decode(ids);
    assert_eq!(text(&prompts.untuned), "<system>Be rude.<user>Hi");
    assert_eq!(text(&prompts.tuned), "<system>Be kind.<user>Hi");
    let pair = pack.models.pair.as_ref().unwrap();
    assert!(pair.untuned.is_same(&pair.tuned) && pair.tuned.is_same(&pack.models.base));
}

/// The template writes the beginning token itself.
#[test]
fn the_beginning_token_is_not_doubled() {
    let dir = folders();
    for role in ["base", "value"] {
        let config = r#"{"bos_token": "<|endoftext|>",
            "chat_template": "{{ bos_token }}[{{ messages[0].content }}]"}"#;
        fs::write(dir.path().join(role).join("tokenizer_config.json"), config).unwrap();
    }
    let roles =
        "base = { path = \"base\", chat = true }\nvalue = { path = \"value\", chat = true }";
    let pack = load(dir.path(), roles).unwrap();
    let byte = |c: u8| u32::from(c) + 1;
    let ids = vec![0, byte(b'['), byte(b'H'), byte(b'i'), byte(b']')];
    let prompts = pack.prompts("Hi", PromptOptions::default()).unwrap();
    assert_eq!(prompts.base, ids);
    assert_eq!(prompts.value, ValuePrompt::Tokens(ids));
}

#[test]
fn the_error_for_a_chat_template_names_the_problem() {
    let dir = folders();
    let roles = "base = { path = \"base\", chat = true, system = \"S\" }";
    let message = load(dir.path(), roles).err().unwrap();
    assert!(message.contains("base") && message.contains("no chat template"), "{message}");
    let template = dir.path().join("base/chat_template.jinja");
    fs::write(&template, "{{ raise_exception('no system prompt, please') }}").unwrap();
    let message = load(dir.path(), roles).err().unwrap();
    assert!(message.contains("no system prompt, please"), "{message}");
    fs::write(&template, "Hi! {{ bos_token }}").unwrap();
    let message = load(dir.path(), roles).err().unwrap();
    assert!(message.contains("omits the user message"), "{message}");
    fs::write(&template, "{% if %}").unwrap();
    let message = load(dir.path(), roles).err().unwrap();
    assert!(message.contains("chat_template.jinja"), "{message}");
}

#[test]
fn rejects_incomplete_and_unsupported_adapters() {
    let dir = folders();
    let lora = dir.path().join("lora");
    let roles = "base.path = \"base\"\nuntuned.path = \"untuned\"\ntuned.adapter.path = \"lora\"";
    let file = lora.join("adapter_model.safetensors");
    let config = |from: &str, to: &str| {
        let file = lora.join("adapter_config.json");
        fs::write(&file, fs::read_to_string(&file).unwrap().replace(from, to)).unwrap();
    };
    type Damage<'a> = &'a dyn Fn();
    let second: Damage<'_> = &|| {
        let mut tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
        let name = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight";
        tensors.insert(
            name.into(),
            Tensor::zeros((32, 2), candle_core::DType::F32, &Device::Cpu).unwrap(),
        );
        candle_core::safetensors::save(&tensors, &file).unwrap();
    };
    let kind: Damage<'_> = &|| config("\"r\": 2", "\"r\": 2, \"alora_invocation_tokens\": [1]");
    let cases: [(Damage<'_>, &str); 4] = [
        (kind, "an adapter with 'alora_invocation_tokens'"),
        (second, "layers.1.self_attn.q_proj.lora_A.weight' is missing"),
        (&|| config("\"r\": 2", "\"r\": 4"), "requires [32, 4]"),
        (&|| config("\"lora_alpha\": 4", "\"lora_alpha\": 1e38"), "'lora_alpha' is 1"),
    ];
    for (damage, words) in cases {
        write_adapter(&lora);
        load(dir.path(), roles).unwrap();
        damage();
        let message = load(dir.path(), roles).err().unwrap();
        assert!(message.contains("tuned model") && message.contains(words), "{message}");
        let source = PackSource::Folder(dir.path().to_owned());
        let hub = offline();
        let faults = check(&source, &hub, &|| false);
        assert!(faults.iter().any(|f| f.verdict == Verdict::Fault && f.text.contains(words)));
    }
}

/// Some tokenizers have an added token for which the model has no embedding.
#[test]
fn a_tokenizer_can_have_more_tokens_than_the_model() {
    let dir = folders();
    let file = dir.path().join("base/tokenizer.json");
    let text = fs::read_to_string(&file).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut added = json["added_tokens"][0].clone();
    (added["id"], added["content"]) = (support::VOCAB.into(), "[PAD]".into());
    json["added_tokens"].as_array_mut().unwrap().push(added);
    fs::write(&file, json.to_string()).unwrap();
    let pair = "\nuntuned.path = \"untuned\"\ntuned.path = \"tuned\"";
    for more in ["", pair] {
        let pack = load(dir.path(), &format!("base.path = \"base\"{more}")).unwrap();
        assert_eq!(pack.models.vocab_size, support::VOCAB);
        let prompts = pack.prompts("ab", PromptOptions::default()).unwrap();
        assert!(ivg_playground::guidance::Prefilled::new(&pack.models, &prompts).is_ok());
    }
    let source = PackSource::Folder(dir.path().to_owned());
    let found = check(&source, &offline(), &|| false);
    let noted =
        |f: &Finding| f.verdict == Verdict::Note && f.text.contains("the first 257 of them");
    assert!(found.iter().any(noted), "{found:?}");
}

/// The file is sparse, and its weights exceed the memory of any machine.
#[cfg(target_os = "linux")]
#[test]
fn rejects_a_model_too_large_for_the_memory_before_reading_it() {
    let dir = folders();
    let rows: u64 = 1 << 19;
    let header = format!(
        r#"{{"model.embed_tokens.weight":{{"dtype":"F16","shape":[{rows},{rows}],"data_offsets":[0,{}]}}}}"#,
        2 * rows * rows
    );
    let path = dir.path().join("base/model.safetensors");
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend(header.as_bytes());
    fs::write(&path, &content).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(content.len() as u64 + 2 * rows * rows).unwrap();
    let message = load(dir.path(), "base.path = \"base\"").err().unwrap();
    assert!(message.starts_with("base model: its weights take 1.1 TB"), "{message}");
    let source = PackSource::Folder(dir.path().to_owned());
    let found = check(&source, &offline(), &|| false);
    let verdict = if no_gpu_support().is_some() { Verdict::Fault } else { Verdict::Note };
    let is_expected = |f: &Finding| f.verdict == verdict && f.text.contains("take 1.1 TB");
    assert!(found.iter().any(is_expected), "{found:?}");
}

/// The template builds a list of 10¹² items with a few instructions.
#[test]
fn stops_a_template_that_takes_too_long() {
    let dir = folders();
    let endless = "{% set n = namespace(l=[1, 1]) %}{% for i in range(40) %}\
                   {% set n.l = n.l + n.l %}{% endfor %}{{ n.l | length }}";
    fs::write(dir.path().join("base/chat_template.jinja"), endless).unwrap();
    let message = load(dir.path(), "base = { path = \"base\", chat = true }").err().unwrap();
    assert!(message.contains("does not finish"), "{message}");
}

#[test]
fn the_error_for_a_folder_with_a_gguf_file_asks_to_name_the_file() {
    let dir = folders();
    fs::create_dir(dir.path().join("own")).unwrap();
    fs::copy(GGUF, dir.path().join("own/small.gguf")).unwrap();
    let message = load(dir.path(), "base.path = \"own\"").err().unwrap();
    assert!(message.contains("small.gguf; name that file"), "{message}");
    assert!(load(dir.path(), "base.path = \"own/small.gguf\"").is_ok());
    // A GGUF file next to an adapter is ignored.
    write_adapter(&dir.path().join("lora"));
    fs::copy(GGUF, dir.path().join("lora/small.gguf")).unwrap();
    assert!(load(dir.path(), "base = { path = \"base\", adapter = { path = \"lora\" } }").is_ok());
}

/// The GGUF file has no extension here. Its content determines its kind.
#[test]
fn a_pair_of_a_gguf_file_and_a_folder_must_have_the_same_precision() {
    let dir = tempfile::tempdir().unwrap();
    let blob = dir.path().join("sha256-0123");
    fs::copy(GGUF, &blob).unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tied");
    let roles = |more: &str| {
        let gguf = format!("folder = \"{}\"", blob.display());
        format!(
            "base = {{ {gguf} }}\nuntuned = {{ {gguf}{more} }}\ntuned = {{ folder = \"{folder}\" }}"
        )
    };
    let error = load(dir.path(), &roles("")).err().unwrap();
    assert!(error.contains("must have the same precision"), "{error}");
    let source = PackSource::Folder(dir.path().to_owned());
    let found = check(&source, &Hub::new(HubSettings::default()), &|| false);
    assert!(found.iter().any(|finding| finding.text.contains("must have the same precision")));
    // With the same precision, the next check is that of the vocabularies, which differ here.
    let error = load(dir.path(), &roles(", precision = \"f32\"")).err().unwrap();
    assert!(!error.contains("the same precision"), "{error}");
}
