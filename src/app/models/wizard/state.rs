//! The steps of the wizard and what the user has chosen in them.

use std::path::{Path, PathBuf};

use crate::app::models::pack_form::folder_name;
use crate::worker::model_probe::{Answer, Inspection, ModelReport, OfferKind};
use crate::worker::pack_service::Manifest;

/// Seconds after the last key press until a typed path is read.
const TYPING_SECONDS: f64 = 0.2;

/// The wizard that makes a pack from a model.
#[derive(Debug)]
pub(crate) struct Wizard {
    pub(super) model: ModelStep,
    pub(super) stage: Stage,
    /// The folder in which packs are saved.
    pub(super) root: PathBuf,
    /// Whether the next frame focuses the text box of the step.
    pub(super) takes_focus: bool,
}

/// The current step, with the choices of the steps before it.
#[derive(Debug)]
pub(super) enum Stage {
    Model,
    Guidance(GuidanceStep),
    Try(GuidanceStep, TryStep),
}

/// Step 1: which model.
#[derive(Debug, Default)]
pub(super) struct ModelStep {
    pub(super) path: String,
    pub(super) check: Check,
    /// A sentence about the file dialog.
    pub(super) note: Option<&'static str>,
    /// Whether to go on as soon as the model has been read.
    pub(super) goes_on: bool,
}

/// What is known about the path.
#[derive(Debug, Default)]
pub(super) enum Check {
    #[default]
    Empty,
    /// The user is typing. The path is read at this time.
    Typing(f64),
    Checking,
    Found(Box<ModelReport>),
    /// The problem, as a sentence.
    Fault(String),
}

/// Step 2: which guides.
#[derive(Debug, Clone)]
pub(super) struct GuidanceStep {
    pub(super) report: Box<ModelReport>,
    /// For each offer of the report, whether it is attached.
    pub(super) attached: Vec<bool>,
}

/// Step 3: name, folder and test prompt.
#[derive(Debug)]
pub(super) struct TryStep {
    pub(super) name: String,
    pub(super) folder: String,
    /// Whether the folder is named after the pack.
    pub(super) follows_name: bool,
    pub(super) prompt: String,
    pub(super) saving: Saving,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Saving {
    No,
    /// The pack is being written to this folder.
    Started(PathBuf),
    /// The error, as a sentence.
    Failed(String),
}

impl ModelStep {
    /// Handles a change of the typed path at `now`, in seconds.
    pub(super) fn edited(&mut self, now: f64) {
        (self.note, self.goes_on) = (None, false);
        self.check = match self.path.trim() {
            "" => Check::Empty,
            _ => Check::Typing(now + TYPING_SECONDS),
        };
    }

    /// Uses a path that the user chose or dropped, which is read at once.
    pub(super) fn set_path(&mut self, path: &Path) {
        self.path = path.display().to_string();
        (self.note, self.goes_on, self.check) = (None, false, Check::Checking);
    }

    /// Uses the answer about the path. Returns the folder if it is a pack.
    pub(super) fn answered(&mut self, answer: Answer) -> Option<PathBuf> {
        self.check = match answer {
            Ok(Inspection::Model(report)) => Check::Found(report),
            Ok(Inspection::Pack(folder)) => {
                *self = Self::default();
                return Some(folder);
            }
            Err(problem) => Check::Fault(problem),
        };
        self.goes_on &= matches!(self.check, Check::Found(_));
        None
    }
}

impl GuidanceStep {
    /// Attaches the offers that fit the model best.
    pub(super) fn new(report: Box<ModelReport>) -> Self {
        Self { attached: report.suggested(), report }
    }

    /// Attaches or detaches an offer. A pack has at most one offer of each kind.
    pub(super) fn attach(&mut self, index: usize, on: bool) {
        let kind = self.report.offers[index].kind;
        for (other, attached) in self.report.offers.iter().zip(&mut self.attached) {
            *attached &= !on || other.kind != kind;
        }
        self.attached[index] = on && self.report.offers[index].can_attach();
    }

    /// Returns whether any offer of this kind can be attached.
    pub(super) fn has_fitting(&self, kind: OfferKind) -> bool {
        self.report.offers.iter().any(|offer| offer.kind == kind && offer.can_attach())
    }
}

impl TryStep {
    pub(super) fn new(guidance: &GuidanceStep, root: &Path) -> Self {
        let name = guidance.report.name.clone();
        Self {
            folder: root.join(folder_name(&name)).display().to_string(),
            name,
            follows_name: true,
            prompt: guidance.report.example(&guidance.attached),
            saving: Saving::No,
        }
    }

    /// Returns the pack.
    ///
    /// # Errors
    /// Returns a sentence that names the wrong field.
    pub(super) fn manifest(&self, guidance: &GuidanceStep) -> Result<Manifest, String> {
        if self.name.trim().is_empty() {
            return Err("Name: give the pack a short name.".to_owned());
        }
        if self.name.contains(char::is_control) {
            return Err("Name: remove the control character.".to_owned());
        }
        if !self.folder_path().is_absolute() {
            return Err("Folder: type the full path; it begins with / or ~/.".to_owned());
        }
        let manifest = guidance.report.manifest(&self.name, &guidance.attached);
        manifest.to_toml()?;
        Ok(manifest)
    }

    /// Returns why the pack could not be saved, until a field is edited.
    pub(super) fn failure(&self) -> Option<&str> {
        match &self.saving {
            Saving::Failed(reason) => Some(reason),
            Saving::No | Saving::Started(_) => None,
        }
    }

    /// Returns the folder of the pack.
    pub(super) fn folder_path(&self) -> PathBuf {
        let typed = self.folder.trim();
        match (typed.strip_prefix("~/"), std::env::home_dir()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(typed),
        }
    }
}

impl Wizard {
    /// Creates a wizard that proposes to save packs below `root`.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { model: ModelStep::default(), stage: Stage::Model, root, takes_focus: true }
    }

    /// Prepares the wizard for being shown again.
    pub(crate) fn reopen(&mut self) {
        self.takes_focus = true;
    }

    /// Returns whether nothing was typed.
    pub(crate) fn is_untouched(&self) -> bool {
        self.model.path.trim().is_empty()
    }

    /// Uses files that were dropped on the window. Returns to the first step.
    pub(crate) fn dropped(&mut self, paths: &[PathBuf]) {
        self.stage = Stage::Model;
        match paths {
            [path] => self.model.set_path(path),
            many => {
                self.model = ModelStep::default();
                self.model.check = Check::Fault(format!(
                    "{} files were dropped; drop one GGUF file or one model folder.",
                    many.len()
                ));
            }
        }
    }

    /// Returns the test prompt if the wizard waits for its pack in `folder`.
    pub(crate) fn saved(&self, folder: &Path) -> Option<String> {
        match &self.stage {
            Stage::Try(_, step) if step.saving == Saving::Started(folder.to_owned()) => {
                Some(step.prompt.clone())
            }
            _ => None,
        }
    }

    /// Shows an error if the wizard waits for its pack. Returns whether it does.
    pub(crate) fn save_failed(&mut self, reason: &str) -> bool {
        match &mut self.stage {
            Stage::Try(_, step) if matches!(step.saving, Saving::Started(_)) => {
                step.saving = Saving::Failed(reason.to_owned());
                true
            }
            _ => false,
        }
    }

    /// Goes to the next step if this one is complete.
    pub(super) fn next(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Model) {
            Stage::Model => match &self.model.check {
                Check::Found(report) => Stage::Guidance(GuidanceStep::new(report.clone())),
                Check::Typing(_) | Check::Checking => {
                    self.model.goes_on = true;
                    Stage::Model
                }
                Check::Empty | Check::Fault(_) => Stage::Model,
            },
            Stage::Guidance(guidance) => {
                let step = TryStep::new(&guidance, &self.root);
                Stage::Try(guidance, step)
            }
            last @ Stage::Try(..) => last,
        };
        self.takes_focus = true;
    }

    /// Returns to the step before.
    pub(super) fn back(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Model) {
            Stage::Model | Stage::Guidance(_) => Stage::Model,
            Stage::Try(guidance, _) => Stage::Guidance(guidance),
        };
        self.takes_focus = true;
    }

    /// Returns the pack chosen so far, or `None` before a model was read.
    pub(super) fn draft(&self) -> Option<Manifest> {
        match (&self.stage, &self.model.check) {
            (Stage::Try(guidance, step), _) => {
                Some(guidance.report.manifest(&step.name, &guidance.attached))
            }
            (Stage::Guidance(guidance), _) => {
                Some(guidance.report.manifest(&guidance.report.name, &guidance.attached))
            }
            (Stage::Model, Check::Found(report)) => {
                Some(report.manifest(&report.name, &report.suggested()))
            }
            (Stage::Model, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::model_probe::ModelProbe;
    use crate::worker::pack_service::PackSource;

    /// Returns what the probe says about the bundled IMDB base.
    fn report() -> Box<ModelReport> {
        let (wake, wakes) = std::sync::mpsc::channel();
        let mut probe = ModelProbe::new(move || wake.send(()).expect("the test is waiting"));
        let folder = PackSource::Bundled("imdb".into()).folder().expect("bundled");
        probe.ask(&folder.join("base").display().to_string());
        assert_eq!(wakes.recv(), Ok(()));
        match probe.answer() {
            Some(Ok(Inspection::Model(report))) => report,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_steps_follow_each_other_and_keep_their_choices() {
        let mut wizard = Wizard::new("/packs".into());
        wizard.next();
        assert!(matches!(wizard.stage, Stage::Model), "no model");
        wizard.model.path = "/a".into();
        wizard.model.edited(1.0);
        assert!(matches!(wizard.model.check, Check::Typing(at) if at > 1.0));
        wizard.next();
        assert!(wizard.model.goes_on && matches!(wizard.stage, Stage::Model));
        assert_eq!(wizard.model.answered(Ok(Inspection::Model(report()))), None);
        assert!(wizard.model.goes_on);
        wizard.next();
        let Stage::Guidance(guidance) = &mut wizard.stage else { panic!("step 2") };
        let judge = guidance.report.offers.iter().position(|o| o.kind == OfferKind::Judge);
        let judge = judge.expect("a judge");
        assert!(guidance.attached[judge]);
        guidance.attach(judge, false);
        wizard.next();
        let Stage::Try(guidance, step) = &wizard.stage else { panic!("step 3") };
        assert_eq!((step.name.as_str(), step.folder.as_str()), ("base", "/packs/base"));
        assert_eq!(step.prompt, "This film");
        let manifest = step.manifest(guidance).expect("complete");
        assert!(manifest.tuned.is_some() && manifest.judge.is_none());
        wizard.back();
        let Stage::Guidance(guidance) = &wizard.stage else { panic!("step 2") };
        assert!(!guidance.attached[judge], "the choice is kept");
        wizard.back();
        assert!(matches!(wizard.model.check, Check::Found(_)));
    }

    #[test]
    fn a_pack_has_one_offer_of_each_kind_and_none_that_does_not_fit() {
        let mut guidance = GuidanceStep::new(report());
        let at = |guidance: &GuidanceStep, path: &str| {
            guidance.report.offers.iter().position(|o| o.path == path).expect("an offer")
        };
        let (own, other) = (at(&guidance, "imdb/tuned"), at(&guidance, "smollm2/tuned"));
        guidance.attach(other, true);
        assert!(!guidance.attached[other] && !guidance.attached[own]);
        guidance.attach(own, true);
        assert!(guidance.attached[own]);
        assert!(guidance.attached[at(&guidance, "imdb/value")], "another kind is kept");
    }

    #[test]
    fn wrong_fields_are_named_by_their_labels() {
        let guidance = GuidanceStep::new(report());
        let mut step = TryStep::new(&guidance, Path::new("/packs"));
        step.name = " ".into();
        assert!(step.manifest(&guidance).is_err_and(|e| e.starts_with("Name:")));
        step.name = "bell\u{7}".into();
        assert!(step.manifest(&guidance).is_err_and(|e| e.contains("control character")));
        (step.name, step.folder) = ("mine".into(), "packs".into());
        assert!(step.manifest(&guidance).is_err_and(|e| e.starts_with("Folder:")));
    }

    #[test]
    fn several_dropped_files_are_a_fault_and_one_is_read() {
        let mut wizard = Wizard::new("/packs".into());
        let ten: Vec<PathBuf> = (0..10).map(|i| format!("/{i}.gguf").into()).collect();
        wizard.dropped(&ten);
        assert!(matches!(&wizard.model.check, Check::Fault(e) if e.starts_with("10 files")));
        wizard.dropped(&ten[..1]);
        assert!(matches!(wizard.model.check, Check::Checking) && wizard.model.path == "/0.gguf");
        assert_eq!(
            wizard.model.answered(Ok(Inspection::Pack("/p".into()))),
            Some(PathBuf::from("/p"))
        );
        assert!(wizard.is_untouched());
    }

    #[test]
    fn an_error_while_saving_returns_to_the_step() {
        let mut wizard = Wizard::new("/packs".into());
        assert!(!wizard.save_failed("disk full"), "nothing was being saved");
        let guidance = GuidanceStep::new(report());
        let mut step = TryStep::new(&guidance, Path::new("/packs"));
        step.saving = Saving::Started("/packs/base".into());
        wizard.stage = Stage::Try(guidance, step);
        assert_eq!(wizard.saved(Path::new("/packs/other")), None);
        assert_eq!(wizard.saved(Path::new("/packs/base")).as_deref(), Some("This film"));
        assert!(wizard.save_failed("Disk full."));
        assert_eq!(wizard.saved(Path::new("/packs/base")), None);
    }
}
