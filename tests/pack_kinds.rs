//! What a pack may ask for beside a folder of safetensors: adapters, `.gguf` files, 8-bit weights,
//! chats, and roles that are one model.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use ivg_playground::guidance::ValuePrompt;
use ivg_playground::lm::Lm;
use ivg_playground::packs::check::{Finding, Verdict, check};
use ivg_playground::packs::hub::{Hub, HubSettings};
use ivg_playground::packs::survey::{Inquirer, Kind, Survey};
use ivg_playground::packs::{DeviceChoice, Pack, PackSource, Reading};
use ivg_playground::worker::protocol::no_gpu_support;

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

/// The logits after some tokens.
fn logits(lm: &Lm) -> Vec<f32> {
    let (_, hidden) = lm.prefill(&[3, 50, 7]).unwrap();
    let last = hidden.narrow(0, 2, 1).unwrap();
    lm.logits(&last).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn offline() -> Hub {
    Hub::new(HubSettings { is_offline: true, ..HubSettings::default() })
}

/// A LoRA of rank 2 on the queries of the first layer.
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
fn tuned_may_be_an_adapter_on_the_untuned_model_s_weights() {
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
    assert!(furthest(&logits(&pair.tuned), &logits(&pair.untuned)) > 0.01);
    assert_eq!(pair.tuned.parameters(), untuned.parameters() + 2 * 2 * 32);
    // Another adapter is another pack.
    let before = pack.fingerprint().unwrap();
    let config = dir.path().join("lora/adapter_config.json");
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("4", "8")).unwrap();
    assert_ne!(load(dir.path(), roles).unwrap().fingerprint().unwrap(), before);
    fs::remove_file(dir.path().join("lora/adapter_model.safetensors")).unwrap();
    let message = load(dir.path(), roles).err().unwrap();
    assert!(message.contains("tuned model") && message.contains("adapter_model"), "{message}");
}

#[test]
fn an_adapter_may_lie_on_any_model() {
    let dir = folders();
    write_adapter(&dir.path().join("lora"));
    let roles = "base = { path = \"base\", adapter = { path = \"lora\" } }\n\
                 value = { path = \"value\", adapter = { path = \"lora\" } }";
    let pack = load(dir.path(), roles).unwrap();
    let plain = load(dir.path(), "base.path = \"base\"\nvalue.path = \"value\"").unwrap();
    assert!(furthest(&logits(&pack.models.base), &logits(&plain.models.base)) > 0.01);
    let trunk = |pack: &Pack| logits(pack.models.value.as_ref().unwrap().model.trunk());
    assert!(furthest(&trunk(&pack), &trunk(&plain)) > 0.01);
}

#[test]
fn roles_of_the_same_files_are_one_model() {
    let dir = folders();
    let roles = "base.path = \"base\"\nuntuned.path = \"base\"\ntuned.path = \"tuned\"";
    let pack = load(dir.path(), roles).unwrap();
    let pair = pack.models.pair.as_ref().unwrap();
    assert!(pack.models.base.is_same(&pair.untuned) && !pack.models.base.is_same(&pair.tuned));
    // Held in another way, it is another one.
    let roles = "base.path = \"base\"\nuntuned = { path = \"base\", precision = \"q8_0\" }\n\
                 tuned.path = \"tuned\"";
    let pack = load(dir.path(), roles).unwrap();
    assert!(!pack.models.base.is_same(&pack.models.pair.as_ref().unwrap().untuned));
}

/// A head of its own folder on the untuned model: no second trunk, and the values of one.
#[test]
fn a_value_head_may_stand_on_another_role_s_model() {
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
    let apart = load(dir.path(), &roles("{ path = \"value\" }")).unwrap();
    let guide = pack.models.value.as_ref().unwrap();
    assert!(guide.tokenizer.is_none());
    assert!(guide.model.trunk().is_same(&pack.models.pair.as_ref().unwrap().untuned));
    let value = |pack: &Pack| {
        let model = &pack.models.value.as_ref().unwrap().model;
        let (_, hidden) = model.trunk().prefill(&[3, 50, 7]).unwrap();
        model.value(&hidden, &[3, 50, 7]).unwrap()
    };
    assert_eq!(value(&pack), value(&apart));
    // A whole value model of files that another role has is that role's model too.
    let trunk = apart.models.value.as_ref().unwrap().model.trunk();
    assert!(trunk.is_same(&apart.models.pair.as_ref().unwrap().untuned));
    // Looked at without loading, nothing is counted twice.
    let source = PackSource::Folder(dir.path().to_owned());
    pack.manifest.write(dir.path()).unwrap();
    let hub = offline();
    let survey = Survey::new(&source, &mut Inquirer::new(&hub, false, &|| false)).unwrap();
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
    // A head of another width names its file.
    let wide = Tensor::zeros((1, 33), candle_core::DType::F32, &Device::Cpu).unwrap();
    let head = HashMap::from([("score.weight".to_owned(), wide)]);
    candle_core::safetensors::save(&head, &file).unwrap();
    let message = load(dir.path(), &roles("{ path = \"head\", trunk = \"untuned\" }"));
    let message = message.err().unwrap();
    assert!(message.contains("value model") && message.contains("score.weight"), "{message}");
    // So says who looks without loading, and likewise of an adapter of another shape.
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

/// What a role reads and how it is held decides what an eval gives, as its weights do.
#[test]
fn another_template_or_precision_is_another_pack() {
    let dir = folders();
    let print = |base: &str| {
        load(dir.path(), &format!("base = {{ path = \"base\"{base} }}")).unwrap().fingerprint()
    };
    let plain = print("").unwrap();
    assert_eq!(print("").unwrap(), plain);
    assert_ne!(print(", template = \"Review: {prompt}\"").unwrap(), plain);
    assert_ne!(print(", precision = \"q8_0\"").unwrap(), plain);
}

/// A judge out of another pack that came with the program.
#[test]
fn a_bundled_pack_lends_its_parts() {
    let dir = folders();
    let roles = "base.path = \"base\"\njudge.bundled = \"imdb/judge\"";
    let pack = load(dir.path(), roles).unwrap();
    assert!(pack.gold_reward("A wonderful", " film, moving and superb").unwrap() > 0.0);
    let missing = load(dir.path(), "base.path = \"base\"\njudge.bundled = \"imdb/none\"");
    let missing = missing.err().unwrap();
    assert!(missing.contains("imdb/none") && missing.contains("did not come with"), "{missing}");
}

#[test]
fn weights_may_be_held_in_eight_bits() {
    let dir = folders();
    let exact = load(dir.path(), "base = { path = \"base\", precision = \"f32\" }").unwrap();
    let short = load(dir.path(), "base = { path = \"base\", precision = \"q8_0\" }").unwrap();
    let off = furthest(&logits(&exact.models.base), &logits(&short.models.base));
    let largest = logits(&exact.models.base).iter().fold(0.0, |most: f32, x| most.max(x.abs()));
    assert!(off > 0.0 && off < 0.1 * largest, "{off} of {largest}");
}

#[test]
fn a_gguf_file_brings_everything() {
    let dir = tempfile::tempdir().unwrap();
    let pack = load(dir.path(), &format!("base.folder = \"{GGUF}\"")).unwrap();
    let alone = Lm::load(Path::new(GGUF), &Device::Cpu).unwrap();
    assert_eq!(logits(&pack.models.base), logits(&alone));
    let tokenizer = &pack.models.tokenizer;
    let prompts = pack.prompts("the movie", Reading::default()).unwrap();
    let ids = tokenizer.encode("the movie").unwrap();
    assert_eq!(prompts.base, [tokenizer.prefix(), &ids].concat());
    // The same from inside the pack.
    fs::copy(GGUF, dir.path().join("own.gguf")).unwrap();
    let own = load(dir.path(), "base.path = \"own.gguf\"").unwrap();
    assert_eq!(own.fingerprint().unwrap(), pack.fingerprint().unwrap());
}

/// The template of the golden file: `<role>content` for every message, and nothing before it.
#[test]
fn a_chat_is_put_into_the_model_s_own_form() {
    let dir = tempfile::tempdir().unwrap();
    let text = |chat: &str| {
        let pack = load(dir.path(), &format!("[base]\nfolder = \"{GGUF}\"\nchat = true\n{chat}"));
        let pack = pack.unwrap();
        pack.models.tokenizer.decode(&pack.prompts("Hi", Reading::default()).unwrap().base)
    };
    assert_eq!(text(""), "<user>Hi");
    assert_eq!(text("system = \"Be brief.\""), "<system>Be brief.<user>Hi");
}

/// A template that writes the beginning of a text itself gets no second one.
#[test]
fn the_beginning_of_a_text_stands_there_once() {
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
    let prompts = pack.prompts("Hi", Reading::default()).unwrap();
    assert_eq!(prompts.base, ids);
    assert_eq!(prompts.value, ValuePrompt::Tokens(ids));
}

#[test]
fn a_template_that_refuses_or_is_damaged_is_a_sentence() {
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
    assert!(message.contains("leaves out what the user says"), "{message}");
    fs::write(&template, "{% if %}").unwrap();
    let message = load(dir.path(), roles).err().unwrap();
    assert!(message.contains("chat_template.jinja"), "{message}");
}

#[test]
fn half_an_adapter_or_another_one_is_refused() {
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
        (&|| config("\"r\": 2", "\"r\": 4"), "asks for [32, 4]"),
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

/// A token that was added to the tokenizer and never given to the model.
#[test]
fn a_tokenizer_may_have_more_tokens_than_the_model() {
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
        let prompts = pack.prompts("ab", Reading::default()).unwrap();
        assert!(ivg_playground::guidance::Prefilled::new(&pack.models, &prompts).is_ok());
    }
    let source = PackSource::Folder(dir.path().to_owned());
    let found = check(&source, &offline(), &|| false);
    let noted =
        |f: &Finding| f.verdict == Verdict::Note && f.text.contains("the first 257 of them");
    assert!(found.iter().any(noted), "{found:?}");
}

/// A file with holes: what it would hold is more than any machine has.
#[cfg(target_os = "linux")]
#[test]
fn a_model_too_large_for_the_memory_is_refused_before_it_is_read() {
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
    let is_told = |f: &Finding| f.verdict == verdict && f.text.contains("take 1.1 TB");
    assert!(found.iter().any(is_told), "{found:?}");
}

/// Few instructions, and a list of a million million.
#[test]
fn a_template_that_takes_too_long_is_given_up() {
    let dir = folders();
    let endless = "{% set n = namespace(l=[1, 1]) %}{% for i in range(40) %}\
                   {% set n.l = n.l + n.l %}{% endfor %}{{ n.l | length }}";
    fs::write(dir.path().join("base/chat_template.jinja"), endless).unwrap();
    let message = load(dir.path(), "base = { path = \"base\", chat = true }").err().unwrap();
    assert!(message.contains("come to an end"), "{message}");
}

#[test]
fn a_folder_that_holds_only_a_gguf_file_is_told_to_name_it() {
    let dir = folders();
    fs::create_dir(dir.path().join("own")).unwrap();
    fs::copy(GGUF, dir.path().join("own/small.gguf")).unwrap();
    let message = load(dir.path(), "base.path = \"own\"").err().unwrap();
    assert!(message.contains("small.gguf; name that file"), "{message}");
    assert!(load(dir.path(), "base.path = \"own/small.gguf\"").is_ok());
    // Beside an adapter it is nobody's business.
    write_adapter(&dir.path().join("lora"));
    fs::copy(GGUF, dir.path().join("lora/small.gguf")).unwrap();
    assert!(load(dir.path(), "base = { path = \"base\", adapter = { path = \"lora\" } }").is_ok());
}

/// What a file on this machine is, its name need not say.
#[test]
fn a_pair_of_two_kinds_of_files_is_held_alike_or_refused() {
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
    assert!(error.contains("must be held alike"), "{error}");
    let source = PackSource::Folder(dir.path().to_owned());
    let found = check(&source, &Hub::new(HubSettings::default()), &|| false);
    assert!(found.iter().any(|finding| finding.text.contains("must be held alike")));
    // Held alike it gets as far as the vocabularies, which differ here.
    let error = load(dir.path(), &roles(", precision = \"f32\"")).err().unwrap();
    assert!(!error.contains("held alike"), "{error}");
}
