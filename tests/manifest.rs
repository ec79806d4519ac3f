//! What may stand in a `pack.toml`, what may not, and that what is written is read again.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::PathBuf;

use ivg_playground::guidance::settings::Settings;
use ivg_playground::packs::{
    HubModel, JudgeRole, MAIN, MANIFEST, Manifest, Precision, PromptStyle, Role, Source, Trunk,
};
use proptest::option;
use proptest::prelude::*;

/// The README's example with everything in it.
fn full() -> &'static str {
    let blocks = include_str!("../README.md").split("```toml\n").skip(1);
    let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
    // The other one is short, and right too.
    assert!(Manifest::parse(blocks[0]).is_ok());
    blocks[1]
}

fn read(text: &str) -> Manifest {
    Manifest::parse(text).unwrap()
}

fn refused(role: &str) -> String {
    let head = "name = \"x\"\ndescription = \"\"\n";
    Manifest::parse(&format!("{head}{role}")).expect_err(role)
}

#[test]
fn every_field_is_understood() {
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
    // The tuned model is the untuned one and an adapter; what is said of the pair is said once.
    assert_eq!(tuned.source, None);
    assert!(matches!(&tuned.adapter, Some(Source::Hub(model)) if model.revision == MAIN));
    assert_eq!(tuned.precision, Some(Precision::Q8_0));
    assert_eq!(tuned.prompt, untuned.prompt);
    assert_eq!(manifest.value.unwrap().source, Some(Source::Pack("value".into())));
    assert_eq!(manifest.judge.unwrap().source, Source::Pack("judge".into()));
    assert_eq!(manifest.defaults, Settings { beta: 0.5, ..Settings::default() });
}

#[test]
fn what_cannot_be_is_refused_by_field() {
    let cases = [
        ("stop = [\"\"]\n[base]\npath = \"a\"", "stop: an empty text"),
        ("[base]\n", "base.path, bundled, folder or hub: say where"),
        ("[base]\npath = \"a\"\nhub = \"a/b\"", "base.path, bundled, folder and hub: name one"),
        ("[base]\npath = \"a\"\nfolder = \"/a\"", "base.path, bundled, folder and hub: name one"),
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
        ("[base]\npath = \"a\"\nsystem = \"x\"", "base.system belongs to a chat"),
        ("[base]\npath = \"a\"\nchat = true\ntemplate = \"x {prompt}\"", "base.template and chat"),
        ("[base]\npath = \"a\"\nadapter = {}", "base.adapter.path, bundled, folder or hub"),
        ("[base]\npath = \"a\"\nadapter = { path = \"../x\" }", "base.adapter.path must name"),
        ("[base]\npath = \"a\"\nadapter = { path = \"x.gguf\" }", "base.adapter must be a PEFT"),
        ("[base]\nadapter = { path = \"x\" }", "base.path, bundled, folder or hub: say where"),
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
        let message = refused(text);
        assert!(message.contains(words), "'{words}' is not in: {message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn a_pair_is_a_pair() {
    let pair = |untuned: &str, tuned: &str| {
        refused(&format!("[base]\npath = \"a\"\n[untuned]\n{untuned}\n[tuned]\n{tuned}"))
    };
    let no_place = pair("path = \"u\"", "");
    assert!(
        no_place.contains("tuned.path, bundled, folder or hub") && no_place.contains("adapter")
    );
    assert!(pair("adapter = { path = \"l\" }", "path = \"t\"").contains("untuned.path"));
    let templates = pair("path = \"u\"\ntemplate = \"a {prompt}\"", "path = \"t\"\nchat = true");
    assert!(templates.contains("must read the same prompt"), "{templates}");
    let held = pair("path = \"u\"", "path = \"t\"\nprecision = \"q8_0\"");
    assert!(held.contains("must be held alike"), "{held}");
    let suited = pair("hub = \"o/u\"\nfile = \"u.gguf\"", "hub = \"o/t\"");
    assert!(suited.contains("write one precision for both"), "{suited}");
    let half = refused("[base]\npath = \"a\"\n[tuned]\nadapter = { path = \"l\" }");
    assert!(half.contains("both or neither"), "{half}");
}

#[test]
fn a_head_stands_on_a_role_that_there_is() {
    let chat = "[base]\npath = \"a\"\nchat = true\n";
    let manifest = read(&format!(
        "name = \"x\"\ndescription = \"\"\n{chat}[value]\ntrunk = \"base\"\npath = \"v\""
    ));
    // It reads what its trunk reads.
    assert_eq!(manifest.value.unwrap().prompt, PromptStyle::Chat { system: None });
    let value = |value: &str| refused(&format!("{chat}[value]\n{value}"));
    let lacking = value("trunk = \"tuned\"\npath = \"v\"");
    assert!(lacking.contains("value.trunk: the pack has no tuned"), "{lacking}");
    let held = value("trunk = \"base\"\npath = \"v\"\nprecision = \"q8_0\"");
    assert!(held.contains("value.trunk: the model is base's"), "{held}");
    let gguf = value("trunk = \"base\"\npath = \"v.gguf\"");
    assert!(gguf.contains("value.trunk: the head is a folder"), "{gguf}");
    assert!(value("trunk = \"value\"\npath = \"v\"").contains("unknown variant `value`"));
    let other = refused("[base]\npath = \"a\"\ntrunk = \"base\"");
    assert!(other.contains("base.trunk belongs to value"), "{other}");
}

#[test]
fn a_pack_is_written_to_its_folder_and_nothing_wrong_is() {
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
fn links_out_of_a_pack_are_refused() {
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
    /// A pair reads one prompt and is held alike.
    fn pair()(
        untuned in role(), own in option::of(source()), lora in folder_source(), with in any::<bool>()
    ) -> (Role, Role) {
        let is_gguf = untuned.source.as_ref().is_some_and(Source::is_gguf);
        let is_alike = |own: &Source| untuned.precision.is_some() || own.is_gguf() == is_gguf;
        let own = own.filter(is_alike);
        let adapter = (with || own.is_none()).then_some(lora);
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
        trunk in prop_oneof![Just(Trunk::Base), Just(Trunk::Untuned), Just(Trunk::Tuned)].boxed(),
        on_trunk in any::<bool>(), seed in 0..=i64::MAX as u64, beta in -3f32..3.0, is_soft in any::<bool>()
    ) -> Manifest {
        let (untuned, tuned) = pair.unzip();
        let lambda = if is_soft { 1.25 } else { f32::INFINITY };
        let there = untuned.is_some() || trunk == Trunk::Base;
        let value = value.map(|value: Role| match value.source {
            Some(ref head) if on_trunk && there && !head.is_gguf() => {
                Role { trunk: Some(trunk), adapter: None, precision: None, ..value }
            }
            _ => value,
        });
        Manifest {
            name, description, licence, url, base, untuned, tuned, value,
            judge: judge.map(|source| JudgeRole { source }),
            eval_prompts: prompts.map(PathBuf::from),
            examples,
            stop: vec!["\n".to_owned()],
            defaults: Settings { seed, beta, lambda, ..Settings::default() },
        }
    }
}

/// A field of another type, or one that a terminal would obey, is named.
#[test]
fn what_is_wrong_has_a_field() {
    let parse = |text: &str| Manifest::parse(text).unwrap_err();
    let with = |rest: &str| parse(&format!("name = \"x\"\ndescription = \"\"\n{rest}"));
    for (rest, words) in [
        ("base = \"imdb/base\"", ["line 3: base: ", "a table such as"]),
        ("base = { path = 3 }", ["line 3: base.path: ", "expected"]),
        ("base = { path = \"b\", precision = \"q3\" }", ["base.precision: ", "q3"]),
        ("base = { path = \"b\", adapter = { path = true } }", ["base.adapter.path: ", "true"]),
        ("base = { path = \"b\" }\ndefaults = { beta = \"x\" }", ["line 4: defaults.beta: ", "x"]),
        ("licence = \"\\u001b[31m\"\nbase.path = \"b\"", ["licence: ", "control character"]),
    ] {
        let said = with(rest);
        assert!(words.iter().all(|word| said.contains(word)), "{rest}: {said}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(manifest in manifest()) {
        let text = manifest.to_toml().unwrap();
        prop_assert_eq!(Manifest::parse(&text), Ok(manifest), "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z\\[\\]\"'=.{} \n]{0,60}") {
        // Whatever it says; most of it is refused.
        let _ = Manifest::parse(&text);
    }
}
