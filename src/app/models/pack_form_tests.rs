//! Tests of the form for a pack.

use super::*;
use crate::worker::pack_service::{PackSource, Precision, PromptStyle};

#[test]
fn a_form_with_the_values_of_a_pack_describes_the_same_pack() {
    for source in PackSource::bundled() {
        let (folder, manifest) = source.open().expect("a bundled pack");
        let form = PackForm::edit(folder, manifest.clone(), Settings::default());
        assert!(form.is_untouched() && !form.is_for_new_pack());
        assert_eq!(form.manifest(), Ok(manifest), "{source:?}");
    }
}

#[test]
fn a_copy_names_the_files_of_the_other_pack_by_their_full_paths() {
    let (_, manifest) = PackSource::Bundled("imdb".into()).open().expect("a bundled pack");
    let copy = PackForm::copy(Path::new("/packs/imdb"), manifest, Settings::default());
    assert!(copy.is_for_new_pack());
    let manifest = copy.manifest().expect("complete");
    assert_eq!(manifest.name, "imdb copy");
    assert_eq!(manifest.base.source, Some(Source::Folder("/packs/imdb/base".into())));
    let judge = manifest.judge.expect("a judge").source;
    assert_eq!(judge, Source::Folder("/packs/imdb/judge".into()));
    assert_eq!(manifest.eval_prompts, None);
    assert!(!manifest.examples.is_empty(), "fields that the form does not show are kept");
}

#[test]
fn errors_never_name_the_fields_of_pack_toml() {
    let mut form = PackForm::with_base("a/b".into(), Settings::default());
    form.name = "mine".into();
    let faults: [fn(&mut PackForm); 7] = [
        |form| form.name = "bell\u{7}".into(),
        |form| form.base.template = "no place".into(),
        |form| form.untuned.files = "a/b".into(),
        |form| {
            form.value = RoleForm {
                files: "/h".into(),
                trunk: Some(BackboneRole::Tuned),
                ..RoleForm::default()
            }
        },
        |form| {
            form.value = RoleForm {
                files: "/h.gguf".into(),
                trunk: Some(BackboneRole::Base),
                ..RoleForm::default()
            }
        },
        |form| form.judge = "/judge.gguf".into(),
        |form| {
            form.untuned.files = "a/b".into();
            form.tuned.files = "a/b:c.gguf".into();
        },
    ];
    assert!(form.manifest().is_ok());
    for (index, fault) in faults.into_iter().enumerate() {
        let mut form = form.clone();
        fault(&mut form);
        let error = form.manifest().expect_err("a fault");
        for key in ["untuned.", "tuned.", "value.", "trunk", "template", "judge.", "folder or hub"]
        {
            assert!(!error.contains(key), "{index}: {error}");
        }
        assert!(error.ends_with('.'), "{index}: {error}");
    }
}

#[test]
fn names_the_wrong_field_and_builds_the_manifest() {
    let mut form = PackForm::new(Settings::default());
    assert!(form.manifest().is_err_and(|reason| reason.contains("Base")));
    form.base.files = "openai-community/gpt2-xl".into();
    assert!(form.manifest().is_err_and(|reason| reason.starts_with("Name:")));
    form.name = "My pack, no. 1".into();
    assert_eq!(form.folder_name(), "my-pack--no.-1");
    assert!(form.manifest().is_ok());
    form.untuned.files = "lvwerra/gpt2-imdb".into();
    assert!(form.manifest().is_err_and(|reason| reason.contains("pair")));
    form.tuned.adapter = "/adapters/dpo".into();
    form.untuned.chat = true;
    form.untuned.system = " Be brief. ".into();
    form.untuned.precision = Some(Precision::Q8_0);
    form.judge = "/judges/mine".into();
    let manifest = form.manifest().expect("complete");
    // The tuned model gets the prompt and precision of the untuned one.
    let tuned = manifest.tuned.clone().expect("a pair");
    let system = Some("Be brief.".to_owned());
    assert_eq!(tuned.prompt, PromptStyle::Chat { system });
    assert_eq!(tuned.precision, Some(Precision::Q8_0));
    assert!(manifest.judge.is_some());
    let text = manifest.to_toml().expect("written");
    assert_eq!(Manifest::parse(&text), Ok(manifest));
    // A head on the tuned model gets the prompt and precision of that model.
    form.value.files = "/heads/mine".into();
    (form.value.trunk, form.value.precision) = (Some(BackboneRole::Tuned), Some(Precision::Q8_0));
    let manifest = form.manifest().expect("complete");
    let value = manifest.value.clone().expect("a value model");
    assert_eq!((value.trunk, value.precision), (Some(BackboneRole::Tuned), None));
    assert_eq!(Some(&value.prompt), manifest.tuned.as_ref().map(|tuned| &tuned.prompt));
    assert_eq!(Manifest::parse(&manifest.to_toml().expect("written")), Ok(manifest));
    (form.untuned, form.tuned) = (RoleForm::default(), RoleForm::default());
    assert!(form.manifest().is_err_and(|reason| reason.starts_with("Value, Attach to:")));
}
