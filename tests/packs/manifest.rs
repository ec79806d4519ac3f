//! The fields of `pack.toml`, their errors, and writing and reading a manifest.

use std::path::PathBuf;

use ivg_playground::guidance::aim::Aim;
use ivg_playground::guidance::settings::Settings;
use ivg_playground::guidance::steer::Steer;
use ivg_playground::packs::{
    BackboneRole, HubModel, JudgeRole, MAIN, MANIFEST, Manifest, Precision, PromptStyle, Role,
    Source, Story,
};
use proptest::option;
use proptest::prelude::*;

/// Returns the example in docs/packs.md that has every field.
fn full() -> &'static str {
    let blocks = include_str!("../../docs/packs.md").split("```toml\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    // The first example is shorter.
    assert!(Manifest::parse(blocks[0]).is_ok());
    blocks[1]
}

fn read(text: &str) -> Manifest {
    Manifest::parse(text).unwrap()
}

/// Returns the error of a manifest with these roles.
fn error_of(role: &str) -> String {
    let head = "name = \"x\"\ndescription = \"\"\n";
    Manifest::parse(&format!("{head}{role}")).expect_err(role)
}

#[test]
fn parses_every_field() {
    let manifest = read(full());
    assert_eq!(manifest.licence.as_deref(), Some("Apache-2.0"));
    assert_eq!(manifest.url.as_deref(), Some("https://example.org/mine"));
    assert_eq!(manifest.stop, ["\n"]);
    let Some(Source::Hub(model)) = &manifest.base.source else { panic!() };
    assert_eq!(model.id, "owner/large-model");
    assert!(model.revision.starts_with("0123"));
    assert_eq!(model.file.as_deref(), Some("large-model-q8_0.gguf"));
    let system = Some("You write film reviews.".to_owned());
    assert_eq!(manifest.base.prompt, PromptStyle::Chat { system });
    let (untuned, tuned) = (manifest.untuned.unwrap(), manifest.tuned.unwrap());
    assert_eq!(untuned.source, Some(Source::Folder("~/models/small".into())));
    // The tuned model is the untuned one with an adapter. It inherits precision and prompt.
    assert_eq!(tuned.source, None);
    assert!(matches!(&tuned.adapter, Some(Source::Hub(model)) if model.revision == MAIN));
    assert_eq!(tuned.precision, Some(Precision::Q8_0));
    assert_eq!(tuned.prompt, untuned.prompt);
    assert_eq!(manifest.value.unwrap().source, Some(Source::Pack("value".into())));
    assert_eq!(manifest.judge.unwrap().source, Source::Pack("judge".into()));
    assert_eq!(manifest.defaults, Settings { beta: 0.5, ..Settings::default() });
}

#[test]
fn errors_name_the_field() {
    let cases = [
        ("stop = [\"\"]\n[base]\npath = \"a\"", "stop: an empty text"),
        ("[base]\n", "base.path, bundled, folder or hub: write one"),
        (
            "[base]\npath = \"a\"\nhub = \"a/b\"",
            "base.path, bundled, folder and hub: write only one",
        ),
        (
            "[base]\npath = \"a\"\nfolder = \"/a\"",
            "base.path, bundled, folder and hub: write only one",
        ),
        ("[base]\npath = \"../a\"", "base.path must name"),
        ("[base]\npath = \"\"", "base.path must name"),
        ("[base]\nfolder = \"a\"", "base.folder must begin with"),
        ("[base]\nbundled = \"imdb\"", "base.bundled must name a pack"),
        ("[base]\nbundled = \"../x/y\"", "base.bundled must name a pack"),
        ("[base]\nhub = \"a/b/c\"", "base.hub must be a model's name"),
        ("[base]\nhub = \"a/b\"\nrevision = \"../x\"", "base.revision must be"),
        ("[base]\nhub = \"a/b\"\nfile = \"x.bin\"", "base.file must name a .gguf"),
        ("[base]\npath = \"a\"\nrevision = \"main\"", "base.revision belongs to hub"),
        ("[base]\npath = \"a\"\nfile = \"x.gguf\"", "base.file belongs to hub"),
        ("[base]\npath = \"a\"\ntemplate = \"x\"", "base.template must contain {prompt}"),
        ("[base]\npath = \"a\"\nsystem = \"x\"", "base.system needs a chat template"),
        ("[base]\npath = \"a\"\nchat = true\ntemplate = \"x {prompt}\"", "base.template and chat"),
        ("[base]\npath = \"a\"\nadapter = {}", "base.adapter.path, bundled, folder or hub"),
        ("[base]\npath = \"a\"\nadapter = { path = \"../x\" }", "base.adapter.path must name"),
        ("[base]\npath = \"a\"\nadapter = { path = \"x.gguf\" }", "base.adapter must be a PEFT"),
        ("[base]\nadapter = { path = \"x\" }", "base.path, bundled, folder or hub: write one"),
        ("[base]\npath = \"a\"\nprecision = \"q4\"", "unknown variant `q4`"),
        ("[base]\npath = \"a\"\npth = \"b\"", "line 5: base.pth: unknown field"),
        ("[base]\npath = \"a\"\n[judge]\npath = \"j.gguf\"", "judge.path must name a folder"),
        (
            "[base]\npath = \"a\"\n[judge]\npath = \"j\"\ntemplate = \"\"",
            "unknown field `template`",
        ),
        ("[base]\npath = 3", "line 4: base.path: invalid type"),
        ("[base\n", "line 3: "),
    ];
    for (text, words) in cases {
        let message = error_of(text);
        assert!(message.contains(words), "'{words}' is not in: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn untuned_and_tuned_must_match() {
    let pair = |untuned: &str, tuned: &str| {
        error_of(&format!("[base]\npath = \"a\"\n[untuned]\n{untuned}\n[tuned]\n{tuned}"))
    };
    let no_place = pair("path = \"u\"", "");
    assert!(
        no_place.contains("tuned.path, bundled, folder or hub") && no_place.contains("adapter")
    );
    assert!(pair("adapter = { path = \"l\" }", "path = \"t\"").contains("untuned.path"));
    let held = pair("path = \"u\"", "path = \"t\"\nprecision = \"q8_0\"");
    assert!(held.contains("must have the same precision"), "{held}");
    let suited = pair("hub = \"o/u\"\nfile = \"u.gguf\"", "hub = \"o/t\"");
    assert!(suited.contains("write one precision for both"), "{suited}");
    let half = error_of("[base]\npath = \"a\"\n[tuned]\nadapter = { path = \"l\" }");
    assert!(half.contains("both or neither"), "{half}");
}

#[test]
fn the_trunk_of_a_value_head_must_be_a_role_of_the_pack() {
    let chat = "[base]\npath = \"a\"\nchat = true\n";
    let manifest = read(&format!(
        "name = \"x\"\ndescription = \"\"\n{chat}[value]\ntrunk = \"base\"\npath = \"v\""
    ));
    // It reads the same prompt as its trunk.
    assert_eq!(manifest.value.unwrap().prompt, PromptStyle::Chat { system: None });
    let value = |value: &str| error_of(&format!("{chat}[value]\n{value}"));
    let missing = value("trunk = \"tuned\"\npath = \"v\"");
    assert!(missing.contains("value.trunk: the pack has no tuned"), "{missing}");
    let held = value("trunk = \"base\"\npath = \"v\"\nprecision = \"q8_0\"");
    assert!(held.contains("value.trunk: the model is base's"), "{held}");
    let gguf = value("trunk = \"base\"\npath = \"v.gguf\"");
    assert!(gguf.contains("value.trunk: the head is a folder"), "{gguf}");
    assert!(value("trunk = \"value\"\npath = \"v\"").contains("unknown variant `value`"));
    let other = error_of("[base]\npath = \"a\"\ntrunk = \"base\"");
    assert!(other.contains("base.trunk belongs to value"), "{other}");
}

#[test]
fn writes_a_valid_manifest_and_rejects_an_invalid_one() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = Manifest { eval_prompts: None, ..read(full()) };
    manifest.write(dir.path()).unwrap();
    assert_eq!(Manifest::read(dir.path()).unwrap(), manifest);
    let names: Vec<_> = dir.path().read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, [MANIFEST]);
    let nameless = Manifest { name: " ".into(), ..manifest.clone() };
    let error = nameless.write(dir.path()).unwrap_err().to_string();
    assert!(error.contains("pack.toml") && error.contains("name is empty"), "{error}");
    assert_eq!(Manifest::read(dir.path()).unwrap(), manifest);
    let nowhere = manifest.write(&dir.path().join("none")).unwrap_err().to_string();
    assert!(nowhere.contains("you may write to"), "{nowhere}");
}

#[cfg(unix)]
#[test]
fn rejects_links_that_leave_the_pack() {
    let dir = tempfile::tempdir().unwrap();
    let (pack, secret) = (dir.path().join("pack"), dir.path().join("secret.txt"));
    std::fs::create_dir(&pack).unwrap();
    std::fs::write(&secret, "").unwrap();
    std::os::unix::fs::symlink(&secret, pack.join("prompts.txt")).unwrap();
    std::fs::write(pack.join(MANIFEST), full()).unwrap();
    let error = Manifest::read(&pack).unwrap_err().to_string();
    assert!(error.contains("eval_prompts: 'prompts.txt' is a link"), "{error}");
}

fn word() -> impl Strategy<Value = String> {
    "[A-Za-z0-9][A-Za-z0-9_]{0,8}"
}

fn source() -> impl Strategy<Value = Source> {
    let path = || prop::collection::vec(word(), 1..4).prop_map(|parts| parts.join("/"));
    prop_oneof![
        path().prop_map(|path| Source::Pack(path.into())),
        (word(), path()).prop_map(|(pack, path)| Source::Bundled(format!("{pack}/{path}").into())),
        (path(), any::<bool>()).prop_map(|(path, is_home)| {
            Source::Folder(format!("{}/{path}", if is_home { "~" } else { "" }).into())
        }),
        (word(), word(), option::of(word()), option::of(word())).prop_map(|(a, b, at, file)| {
            Source::Hub(HubModel {
                id: format!("{a}/{b}"),
                revision: at.unwrap_or_else(|| MAIN.to_owned()),
                file: file.map(|file| format!("{file}.gguf")),
            })
        }),
    ]
}

fn folder_source() -> impl Strategy<Value = Source> {
    source().prop_filter("a folder", |source| !source.is_gguf())
}

fn prompt() -> impl Strategy<Value = PromptStyle> {
    prop_oneof![
        (any::<String>(), any::<String>())
            .prop_map(|(a, b)| PromptStyle::Template(format!("{a}{{prompt}}{b}"))),
        option::of(any::<String>()).prop_map(|system| PromptStyle::Chat { system }),
    ]
}

fn precision() -> impl Strategy<Value = Option<Precision>> {
    option::of(prop_oneof![Just(Precision::F32), Just(Precision::Q8_0)])
}

prop_compose! {
    fn role()(
        source in source(), adapter in option::of(folder_source()), precision in precision(),
        prompt in prompt()
    ) -> Role {
        Role { source: Some(source), trunk: None, adapter, precision, prompt }
    }
}

prop_compose! {
    /// Both models read the same prompt and have the same precision.
    fn pair()(
        untuned in role(), own in option::of(source()), lora in folder_source(),
        has_adapter in any::<bool>()
    ) -> (Role, Role) {
        let is_gguf = untuned.source.as_ref().is_some_and(Source::is_gguf);
        let same_precision =
            |own: &Source| untuned.precision.is_some() || own.is_gguf() == is_gguf;
        let own = own.filter(same_precision);
        let adapter = (has_adapter || own.is_none()).then_some(lora);
        let tuned = Role { source: own, adapter, ..untuned.clone() };
        (untuned, tuned)
    }
}

prop_compose! {
    fn manifest()(
        name in "\\PC{0,8}x", description in "(\\PC|\n){0,20}", licence in option::of("\\PC{0,20}"),
        url in option::of("\\PC{0,20}"), base in role().boxed(),
        pair in option::of(pair()).boxed(),
        value in option::of(role()).boxed(), judge in option::of(folder_source()),
        prompts in option::of(word()), examples in prop::collection::vec(any::<String>(), 0..3),
        name_of_aim in option::of("[a-z]{1,40}"),
        trunk in prop_oneof![
            Just(BackboneRole::Base), Just(BackboneRole::Untuned), Just(BackboneRole::Tuned)
        ].boxed(),
        on_trunk in any::<bool>(), seed in 0..=i64::MAX as u64, beta in -3f32..3.0,
        is_soft in any::<bool>()
    ) -> Manifest {
        let (untuned, tuned) = pair.unzip();
        let lambda = if is_soft { 1.25 } else { f32::INFINITY };
        let has_trunk = untuned.is_some() || trunk == BackboneRole::Base;
        let value = value.map(|value: Role| match value.source {
            Some(ref head) if on_trunk && has_trunk && !head.is_gguf() => {
                Role { trunk: Some(trunk), adapter: None, precision: None, ..value }
            }
            _ => value,
        });
        Manifest {
            name, description, licence, url, base, untuned, tuned, value,
            judge: judge.map(|source| JudgeRole { source }),
            eval_prompts: prompts.map(PathBuf::from),
            examples,
            aim: name_of_aim.map(|towards| Aim { towards, away: Some("criticism".into()) }),
            steers: vec![Steer { towards: "Rhyme.".into(), ..Steer::default() }],
        stories: vec![Story { prompt: "A film".to_owned(), seed: 7 }],
            stop: vec!["\n".to_owned()],
            defaults: Settings {
                seed, beta, lambda,
                steers: vec![Steer { away: "Rant.".into(), beta, ..Steer::default() }],
                ..Settings::default()
            },
        }
    }
}

#[test]
fn wrong_types_and_control_characters_name_the_field() {
    let parse = |text: &str| Manifest::parse(text).unwrap_err();
    let with = |rest: &str| parse(&format!("name = \"x\"\ndescription = \"\"\n{rest}"));
    for (rest, words) in [
        ("base = \"imdb/base\"", ["line 3: base: ", "a table such as"]),
        ("base = { path = 3 }", ["line 3: base.path: ", "expected"]),
        ("base = { path = \"b\", precision = \"q3\" }", ["base.precision: ", "q3"]),
        ("base = { path = \"b\", adapter = { path = true } }", ["base.adapter.path: ", "true"]),
        ("base = { path = \"b\" }\ndefaults = { beta = \"x\" }", ["line 4: defaults.beta: ", "x"]),
        ("aim = { towards = \" \" }\nbase.path = \"b\"", ["aim.towards", "noun"]),
        ("aim = \"praise\"\nbase.path = \"b\"", ["line 3: aim: ", "a table such as"]),
        ("stories = [{ prompt = \"\", seed = 1 }]\nbase.path = \"b\"", ["stories.prompt", "empty"]),
        ("stories = [{ prompt = \"x\" }]\nbase.path = \"b\"", ["stories[0]", "seed"]),
        ("steers = [{ towards = \"a\", away = \"a\" }]\nbase.path = \"b\"", ["steers: ", "differ"]),
        ("steers = [{ toward = \"a\" }]\nbase.path = \"b\"", ["steers[0]", "toward"]),
        ("licence = \"\\u001b[31m\"\nbase.path = \"b\"", ["licence: ", "control character"]),
    ] {
        let message = with(rest);
        assert!(words.iter().all(|word| message.contains(word)), "{rest}: {message}");
    }
}

proptest! {
    #[test]
    fn a_written_manifest_is_read_back(manifest in manifest()) {
        let text = manifest.to_toml().unwrap();
        prop_assert_eq!(Manifest::parse(&text), Ok(manifest), "{}", text);
    }

    #[test]
    fn parsing_never_panics(text in "[a-z\\[\\]\"'=.{} \n]{0,60}") {
        // Most of these texts are rejected.
        let _ = Manifest::parse(&text);
    }
}
