//! Surveys of packs whose models are on a hub, without downloading them.

use std::path::Path;

use ivg_playground::packs::PackSource;
use ivg_playground::packs::survey::{HubLookup, Survey};

use super::bench::Bench;
use super::server::{Act, Server};

/// Writes two packs with the same model, which has three roles in the second pack.
fn packs(dir: &Path) -> [PackSource; 2] {
    let roles = ["base", "base untuned tuned"];
    roles.map(|roles| {
        let folder = dir.join(roles);
        std::fs::create_dir(&folder).unwrap();
        let mut text = "name = \"far\"\ndescription = \"\"\n".to_owned();
        for role in roles.split(' ') {
            text.push_str(&format!("{role} = {{ hub = \"tiny/model\" }}\n"));
        }
        std::fs::write(folder.join("pack.toml"), text).unwrap();
        PackSource::Folder(folder)
    })
}

/// Surveys both packs with the same lookup.
fn surveys(bench: &Bench) -> [Survey; 2] {
    let hub = bench.hub();
    let mut lookup = HubLookup::new(&hub, true, &|| false);
    packs(bench.dir.path()).map(|pack| Survey::new(&pack, &mut lookup).unwrap())
}

#[test]
fn a_model_shared_by_packs_is_looked_up_once() {
    let bench = Bench::new(Server::good());
    for survey in surveys(&bench) {
        assert!(survey.models.iter().all(|model| model.parameters == Some(1000)), "{survey:?}");
        assert_eq!(survey.missing_bytes(), survey.models[0].file_bytes);
    }
    assert_eq!(bench.server.log().len(), 1);
}

/// Every pack reports the problem once.
#[test]
fn a_server_that_does_not_answer_is_not_asked_again() {
    let bench = Bench::new(Server::scripted(|_, _| Act::Mute));
    for survey in surveys(&bench) {
        let problems: Vec<&String> =
            survey.models.iter().filter_map(|model| model.problem.as_ref()).collect();
        let [problem] = problems[..] else { panic!("{survey:?}") };
        assert!(problem.contains("tiny/model on the hub: the server sent nothing"), "{problem}");
    }
    assert_eq!(bench.server.log().len(), 1);
}

/// The other models are still looked up.
#[test]
fn a_model_rejected_by_the_hub_is_the_only_one_with_a_problem() {
    let bench = Bench::new(Server::scripted(|request, _| {
        if request.path.contains("tiny/model/") { Act::Status("401 No") } else { Act::Serve }
    }));
    bench.server.add("tiny/other", &super::bench::model_files(b"weights"));
    let folder = bench.dir.path().join("pack");
    std::fs::create_dir(&folder).unwrap();
    let text = "name = \"far\"\ndescription = \"\"\nbase = { hub = \"tiny/model\" }\n\
                value = { hub = \"tiny/other\" }\n";
    std::fs::write(folder.join("pack.toml"), text).unwrap();
    let hub = bench.hub();
    let mut lookup = HubLookup::new(&hub, true, &|| false);
    let survey = Survey::new(&PackSource::Folder(folder), &mut lookup).unwrap();
    let [base, value] = &survey.models[..] else { panic!("{survey:?}") };
    assert!(base.problem.as_ref().is_some_and(|p| p.contains("refused (401)")), "{base:?}");
    assert!(value.problem.is_none() && value.parameters == Some(1000), "{value:?}");
}
