use super::*;
use crate::packs::inspect::{Inspection, inspect};

fn report(path: &Path) -> ModelReport {
    match inspect(&path.display().to_string()) {
        Ok(Inspection::Model(report)) => *report,
        other => panic!("{other:?}"),
    }
}

fn imdb() -> ModelReport {
    let folder = PackSource::Bundled("imdb".into()).folder().expect("bundled");
    report(&folder.join("base"))
}

fn fit<'a>(report: &'a ModelReport, path: &str) -> &'a Fit {
    &report.offers.iter().find(|offer| offer.path == path).expect("an offer").fit
}

#[test]
fn adapters_and_heads_of_another_vocabulary_do_not_fit() {
    let report = imdb();
    assert_eq!((report.family, report.has_chat_template), ("Llama", false));
    assert_eq!(*fit(&report, "imdb/tuned"), Fit::Fits);
    assert_eq!(*fit(&report, "imdb/value"), Fit::Fits);
    assert_eq!(*fit(&report, "imdb/judge"), Fit::Fits);
    for path in ["smollm2/tuned", "smollm2/value"] {
        let Fit::Not(reason) = fit(&report, path) else { panic!("{path} must not fit") };
        assert!(reason.contains("another vocabulary"), "{reason}");
    }
}

#[test]
fn the_pack_of_the_suggested_guides_is_valid() {
    let report = imdb();
    let attached = report.suggested();
    let manifest = report.manifest(" mine ", &attached);
    assert_eq!(manifest.name, "mine");
    assert!(manifest.tuned.is_some() && manifest.value.is_some() && manifest.judge.is_some());
    assert_eq!(Manifest::parse(&manifest.to_toml().expect("valid")), Ok(manifest));
    // Without guides, the pack has only a base.
    let manifest = report.manifest("bare", &vec![false; attached.len()]);
    assert!(manifest.untuned.is_none() && manifest.value.is_none() && manifest.judge.is_none());
    assert!(manifest.to_toml().is_ok());
}

#[test]
fn an_adapter_and_a_head_use_the_user_s_model_and_the_prompt_of_their_pack() {
    let mut report = imdb();
    for offer in &mut report.offers {
        if offer.pack == "smollm2" {
            offer.fit = Fit::Fits;
        }
    }
    let attached = |all: &[&str]| -> Vec<bool> {
        report.offers.iter().map(|offer| all.contains(&offer.path.as_str())).collect()
    };
    let both = report.manifest("both", &attached(&["smollm2/tuned", "smollm2/value"]));
    let untuned = both.untuned.clone().expect("a pair");
    assert_eq!(untuned.source, both.base.source);
    assert_eq!(untuned.prompt, both.base.prompt);
    assert!(matches!(&untuned.prompt, PromptStyle::Template(t) if t.contains("film review")));
    assert_eq!(both.value.as_ref().and_then(|v| v.trunk), Some(BackboneRole::Untuned));
    assert_eq!(both.defaults.chunk_tokens, 8);
    assert_eq!(Manifest::parse(&both.to_toml().expect("valid")), Ok(both));
    let head = report.manifest("head", &attached(&["smollm2/value"]));
    assert_eq!(head.value.as_ref().and_then(|v| v.trunk), Some(BackboneRole::Base));
    assert_eq!(Manifest::parse(&head.to_toml().expect("valid")), Ok(head));
}

/// `IVG_TEST_GGUF` names SmolLM2-135M-Instruct.Q4_1.gguf, which is too large for the repository.
#[test]
fn the_smollm2_guides_fit_a_gguf_file_of_that_model() {
    let Some(file) = std::env::var_os("IVG_TEST_GGUF") else {
        eprintln!("skipped: IVG_TEST_GGUF is not set");
        return;
    };
    let report = report(Path::new(&file));
    assert!(report.has_chat_template);
    assert_eq!(*fit(&report, "smollm2/tuned"), Fit::Fits);
    assert_eq!(*fit(&report, "smollm2/value"), Fit::Fits);
    assert_eq!(*fit(&report, "imdb/tuned"), Fit::ReadsText);
    assert_eq!(*fit(&report, "imdb/value"), Fit::ReadsText);
}
