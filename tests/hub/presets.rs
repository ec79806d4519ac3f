//! The bundled packs whose models are on the hub. Each loads from a test server that has tiny
//! models under the same names, with the same architectures, files, tensor names and heads.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::{Prefilled, Search, ValuePrompt};
use ivg_playground::lm::Architecture;
use ivg_playground::packs::hub::Hub;
use ivg_playground::packs::{
    DeviceChoice, Pack, PackSource, PromptOptions, PromptStyle, Role, Source,
};

use super::bench::settings;
use super::server::Server;

/// Returns the bundled packs whose models are all on the hub.
fn presets() -> Vec<PackSource> {
    let is_remote = |pack: &PackSource| {
        let (_, manifest) = pack.open().unwrap();
        manifest.roles().all(|(_, role)| matches!(role.source, Some(Source::Hub(_))))
    };
    let presets: Vec<PackSource> = PackSource::bundled().into_iter().filter(is_remote).collect();
    assert!(presets.len() > 8);
    presets
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

/// Content of files by name.
type Files = HashMap<String, Vec<u8>>;

fn folder(name: &str) -> Files {
    let files = fs::read_dir(golden(name)).unwrap().flatten();
    let files = files.filter(|file| !file.file_name().to_string_lossy().starts_with("expected"));
    files.map(|f| (f.file_name().into_string().unwrap(), fs::read(f.path()).unwrap())).collect()
}

/// Adds the value head of the paper's value models, which has one row for every next token.
fn with_score_head(mut files: Files) -> Files {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.safetensors");
    fs::write(&file, &files["model.safetensors"]).unwrap();
    let mut tensors = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    let values: Vec<f32> = (0..320 * 32).map(|i| (i % 13) as f32 / 13.0 - 0.5).collect();
    let head = Tensor::from_vec(values, (320, 32), &Device::Cpu).unwrap();
    tensors.insert("score_head.weight".to_owned(), head);
    candle_core::safetensors::save(&tensors, &file).unwrap();
    files.insert("model.safetensors".to_owned(), fs::read(&file).unwrap());
    files
}

/// Returns a tiny model with the files and the architecture of the published model `id`.
fn tiny_model(id: &str) -> Files {
    let mut files = match id {
        "lvwerra/gpt2-imdb" => return folder("first-form"),
        "lvwerra/distilbert-imdb" => return folder("distilbert"),
        id if id.starts_with("chadlzx/gpt2-") && id.ends_with("-token-rm") => {
            folder("next-token-head")
        }
        id if id.contains("gpt2") => folder("gpt2"),
        "chadlzx/llama-ultrafeedback-token-rm" => with_score_head(folder("tied")),
        id if id.contains("Mixtral") => folder("mixtral"),
        id if id.contains("Mistral") => folder("mistral"),
        id if id.contains("Qwen") => folder("qwen2"),
        id if id.contains("Llama-2") && id.contains("chat") => folder("untied"),
        id if ["Llama-2", "llama", "tulu", "SmolLM2"].iter().any(|name| id.contains(name)) => {
            folder("bf16")
        }
        other => panic!("no tiny model for {other}"),
    };
    let mut tokenizer = fs::read_to_string(golden("tokenizer").join("tokenizer.json")).unwrap();
    if id.starts_with("mistralai/") {
        // Swaps two letters, so that the vocabulary differs from Llama's.
        tokenizer = tokenizer.replace("\"a\":", "\"\u{0}\":").replace("\"b\":", "\"a\":");
        tokenizer = tokenizer.replace("\"\u{0}\":", "\"b\":");
    }
    files.insert("tokenizer.json".to_owned(), tokenizer.into_bytes());
    if id.to_lowercase().contains("chat") || id.contains("Instruct") {
        let config = golden("templates").join("inst/tokenizer_config.json");
        files.insert("tokenizer_config.json".to_owned(), fs::read(config).unwrap());
    }
    files
}

/// Adds the models of a preset to `server`, and loads the preset from there.
fn load(preset: &PackSource, server: &Server, cache: &Path) -> Pack {
    let (_, manifest) = preset.open().unwrap();
    let roles = manifest.roles().map(|(_, role)| role.source.as_ref());
    for source in roles.chain(manifest.judge.as_ref().map(|judge| Some(&judge.source))) {
        let Some(Source::Hub(model)) = source else { panic!() };
        let files = tiny_model(&model.id);
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        server.add(&model.id, &files);
    }
    let hub = Hub::new(settings(&server.address, cache));
    Pack::load_from(preset, DeviceChoice::Cpu, &hub, &|| false, &mut |_| {})
        .unwrap_or_else(|e| panic!("{}: {e}", manifest.name))
}

#[test]
fn every_preset_loads_and_generates() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::good();
    for preset in presets() {
        let pack = load(&preset, &server, &dir.path().join("hub"));
        let name = pack.manifest.name.clone();
        let base = pack.models.base.config().architecture;
        let expected = match name.as_str() {
            n if n.starts_with("paper-sentiment") || n.starts_with("paper-summaries") => {
                Architecture::Gpt2
            }
            "paper-instructions-mistral-tulu" => Architecture::Mistral,
            "paper-instructions-mixtral-tulu" => Architecture::Mixtral,
            "qwen2.5-7b" => Architecture::Qwen2,
            _ => Architecture::Llama,
        };
        assert_eq!(base, expected, "{name}");
        let judged = pack.gold_reward("Hi", " there").is_some();
        assert_eq!(judged, name.starts_with("paper-sentiment"), "{name}");
        let prompts = pack.prompts("Hi", PromptOptions::default()).unwrap();
        let reads_text = matches!(prompts.value, ValuePrompt::Text(_));
        assert_eq!(reads_text, reads_as_text(&name), "{name}");
        let pair = pack.models.pair.as_ref();
        let pair_reads_text = pair.is_some_and(|pair| pair.words.is_some());
        assert_eq!(pair_reads_text, reads_as_text(&name), "{name}");
        // The tiny models have a context of 64 tokens. The prompt with two example posts and a chat
        // with a system prompt are longer.
        if prompts.base.len() > 55 {
            let is_long = name.starts_with("paper-summaries") || name == "smollm2-steer";
            assert!(is_long, "{name}: {}", prompts.base.len());
            continue;
        }
        let settings =
            Settings { max_tokens: 4, chunk_tokens: 2, ..pack.manifest.defaults.clone() };
        let prefilled = Prefilled::new(&pack.models, &prompts).unwrap();
        let mut search = Search::new(&pack.models, &prefilled, Arm::Ivg, &settings).unwrap();
        while !search.is_done() {
            search.step().unwrap();
        }
        let trace = search.finish().unwrap();
        assert!(!trace.tokens.is_empty(), "{name}");
        assert_eq!(trace.value.is_some(), pack.models.value.is_some(), "{name}");
    }
}

/// Returns whether the guides of a preset have another vocabulary than its base.
fn reads_as_text(name: &str) -> bool {
    name.ends_with("-mistral-tulu") || name.ends_with("-mixtral-tulu")
}

/// The expected prompts and settings are those of scripts/*/gen_bt_eft.py and src/utils.py in
/// github.com/chadlzx/ivg.
#[test]
fn the_papers_presets_have_the_papers_prompts_and_settings() {
    const LLAMA: &str = "<s>[INST] <<SYS>>\n\n<</SYS>>\n\nP [/INST] ";
    const TULU: &str = "<|user|>\nP\n<|assistant|>\n";
    const VALUE: &str = "\n\nHuman: P\n\nAssitant:";
    // Name; the prompts of base, untuned and value for "P" (tuned reads the same as untuned);
    // W, K, L and maximum tokens.
    let cases = [
        ("paper-sentiment-large", "Here is a movie review from imdb: P", "P", "P", [4, 4, 5, 50]),
        ("paper-sentiment-xl", "Here is a movie review from imdb: P", "P", "P", [4, 4, 5, 50]),
        ("paper-summaries-large", "P\nTL;DR:", "PTL;DR: ", "PTL;DR: ", [4, 4, 5, 128]),
        ("paper-summaries-xl", "P\nTL;DR:", "PTL;DR: ", "PTL;DR: ", [4, 4, 5, 128]),
        ("paper-instructions-tulu", LLAMA, TULU, VALUE, [2, 2, 30, 2048]),
        ("paper-instructions-ultra", LLAMA, "<s>[INST] P [/INST] ", VALUE, [2, 2, 30, 2048]),
        ("paper-instructions-mistral-tulu", "P", TULU, VALUE, [2, 2, 30, 2048]),
        ("paper-instructions-mixtral-tulu", "P", TULU, VALUE, [2, 2, 30, 2048]),
    ];
    for (name, base, pair, value, run) in cases {
        let (_, manifest) = PackSource::Bundled(name.into()).open().unwrap();
        let read = |role: &Role| role.fill("P", "").text().to_owned();
        assert!(read(&manifest.base).ends_with(base), "{name}: {:?}", read(&manifest.base));
        let is_chat = matches!(manifest.base.prompt, PromptStyle::Chat { system: None });
        assert_eq!(is_chat, reads_as_text(name), "{name}");
        for role in manifest.untuned.iter().chain(&manifest.tuned) {
            assert_eq!(read(role), pair, "{name}");
        }
        assert_eq!(read(manifest.value.as_ref().unwrap()), value, "{name}");
        let Settings { beams, successors, chunk_tokens, max_tokens, .. } = manifest.defaults;
        assert_eq!([beams, successors, chunk_tokens, max_tokens], run, "{name}");
        let Settings { beta, temperature, top_k, top_p, lambda, .. } = manifest.defaults;
        let expected = match name {
            n if n.starts_with("paper-summaries") => 0.25,
            n if reads_as_text(n) => 0.0,
            _ => 1.0,
        };
        assert_eq!((beta, temperature, top_k, top_p), (expected, 0.7, 0, 1.0), "{name}");
        assert_eq!(lambda, f32::INFINITY, "{name}");
        let stops_at_line = name.starts_with("paper-summaries");
        assert_eq!(manifest.stop == ["\n"], stops_at_line, "{name}");
    }
}

/// The bundled guide of SmolLM2 does not fit the tiny model. An adapter and a head of the tiny
/// model's shape replace it.
#[test]
fn the_guide_of_smollm2_shares_one_model() {
    for name in ["smollm2", "smollm2-360m-reviews", "smollm2-1.7b-reviews"] {
        let (_, mut manifest) = PackSource::Bundled(name.into()).open().unwrap();
        for (_, role) in manifest.roles() {
            let read = role.fill("X", "");
            let read = read.text();
            assert!(read.contains("<|im_end|>\n<|im_start|>assistant\nX"), "{name}: {read:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        small_guide(dir.path());
        manifest.tuned.as_mut().unwrap().adapter = Some(Source::Pack("tuned".into()));
        manifest.value.as_mut().unwrap().source = Some(Source::Pack("value".into()));
        manifest.eval_prompts = None;
        manifest.write(dir.path()).unwrap();
        let server = Server::good();
        for role in [&manifest.base, manifest.untuned.as_ref().unwrap()] {
            let Some(Source::Hub(model)) = &role.source else { panic!() };
            let files = tiny_model(&model.id);
            let files: Vec<(&str, &[u8])> =
                files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
            server.add(&model.id, &files);
        }
        let hub = Hub::new(settings(&server.address, &dir.path().join("hub")));
        let source = PackSource::Folder(dir.path().to_owned());
        let pack = Pack::load_from(&source, DeviceChoice::Cpu, &hub, &|| false, &mut |_| {});
        let pack = pack.unwrap_or_else(|e| panic!("{name}: {e}"));
        let pair = pack.models.pair.as_ref().unwrap();
        assert_eq!(pack.models.base.is_same(&pair.untuned), name == "smollm2");
        assert!(pack.models.value.as_ref().unwrap().model.trunk().is_same(&pair.untuned));
        assert!(pack.gold_reward("A wonderful film", ", moving and superb").unwrap() > 0.0);
    }
}

/// Writes an adapter for the query projection of the first layer, and a value head.
fn small_guide(dir: &Path) {
    for name in ["tuned", "value"] {
        fs::create_dir(dir.join(name)).unwrap();
    }
    let ramp = |rows: usize, columns: usize| {
        let values: Vec<f32> = (0..rows * columns).map(|i| (i % 7) as f32 / 7.0 - 0.4).collect();
        Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
    };
    let module = "base_model.model.model.layers.0.self_attn.q_proj";
    let adapter = HashMap::from([
        (format!("{module}.lora_A.weight"), ramp(2, 32)),
        (format!("{module}.lora_B.weight"), ramp(32, 2)),
    ]);
    let file = dir.join("tuned/adapter_model.safetensors");
    candle_core::safetensors::save(&adapter, file).unwrap();
    let config = r#"{"peft_type": "LORA", "r": 2, "lora_alpha": 4}"#;
    fs::write(dir.join("tuned/adapter_config.json"), config).unwrap();
    let head = HashMap::from([("score.weight".to_owned(), ramp(1, 32))]);
    candle_core::safetensors::save(&head, dir.join("value/model.safetensors")).unwrap();
}
