//! What packs need, asked for without downloading it.

use std::path::Path;

use ivg_playground::packs::PackSource;
use ivg_playground::packs::survey::{Inquirer, Survey};

use super::bench::Bench;
use super::server::{Act, Server};

/// Two packs of the one model, which has three roles in the second.
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

/// Both surveys, by one that asks.
fn surveys(bench: &Bench) -> [Survey; 2] {
    let hub = bench.hub();
    let mut inquirer = Inquirer::new(&hub, true, &|| false);
    packs(bench.dir.path()).map(|pack| Survey::new(&pack, &mut inquirer).unwrap())
}

#[test]
fn a_model_that_packs_share_is_asked_about_once() {
    let bench = Bench::new(Server::good());
    for survey in surveys(&bench) {
        assert!(survey.models.iter().all(|model| model.parameters == Some(1000)), "{survey:?}");
        assert_eq!(survey.missing_bytes(), survey.models[0].file_bytes);
    }
    assert_eq!(bench.server.log().len(), 1);
}

/// Every pack says it, once, and nobody waits for the next silence.
#[test]
fn where_nobody_answers_nothing_more_is_asked() {
    let bench = Bench::new(Server::scripted(|_, _| Act::Mute));
    for survey in surveys(&bench) {
        let problems: Vec<&String> =
            survey.models.iter().filter_map(|model| model.problem.as_ref()).collect();
        let [problem] = problems[..] else { panic!("{survey:?}") };
        assert!(problem.contains("tiny/model on the hub: the server sent nothing"), "{problem}");
    }
    assert_eq!(bench.server.log().len(), 1);
}

/// A refusal is one model's own: the others are asked about.
#[test]
fn a_refusal_is_told_of_its_model_alone() {
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
    let mut inquirer = Inquirer::new(&hub, true, &|| false);
    let survey = Survey::new(&PackSource::Folder(folder), &mut inquirer).unwrap();
    let [base, value] = &survey.models[..] else { panic!("{survey:?}") };
    assert!(base.problem.as_ref().is_some_and(|p| p.contains("refused (401)")), "{base:?}");
    assert!(value.problem.is_none() && value.parameters == Some(1000), "{value:?}");
}
