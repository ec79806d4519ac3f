//! Checks a pack without loading its models. Only the judge, which is small, is loaded.

use std::fmt;
use std::path::Path;

use super::device::no_gpu_support;
use super::hub::{FileSet, Hub};
use super::loader::{PackFiles, chat_template, check_pair_precision, share_weights};
use super::manifest::Manifest;
use super::role::{BackboneRole, Part, Role, RoleFiles};
use super::size::{files_ending_in_zeros, free_memory_bytes, measure};
use super::source::Local;
use super::{PackError, PackSource};
use crate::format;
use crate::judge::Judge;
use crate::lm::{Lm, LmConfig, Precision, Tokenizer, ValueModel, check_adapter};

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether the pack is usable in this respect.
    pub verdict: Verdict,
    /// One line about what was found and, for a fault, what to do.
    pub text: String,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No problem.
    Good,
    /// Worth knowing; the pack still loads.
    Note,
    /// The pack does not load.
    Fault,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Fault => "fault",
        })
    }
}

/// Runs the checks of loading, except those of the weights' values, and compares downloaded files
/// with their checksums. Makes no request. The reading of files stops when `cancelled` returns
/// true.
pub fn check(source: &PackSource, hub: &Hub, cancelled: &dyn Fn() -> bool) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    match source.open() {
        Ok((folder, manifest)) => {
            findings.good(format!("{}: {}", folder.display(), manifest.name));
            let inspector = Inspector { folder: &folder, manifest: &manifest, hub, cancelled };
            inspector.run(&mut findings);
        }
        Err(e) => findings.fault(e.to_string()),
    }
    findings.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, verdict: Verdict, text: String) {
        let finding = Finding { verdict, text: format::one_line(&text) };
        // Several checks can report the same damaged file.
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    fn good(&mut self, text: String) {
        self.add(Verdict::Good, text);
    }

    fn note(&mut self, text: String) {
        self.add(Verdict::Note, text);
    }

    fn fault(&mut self, text: String) {
        self.add(Verdict::Fault, text);
    }
}

struct Inspector<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    hub: &'a Hub,
    cancelled: &'a dyn Fn() -> bool,
}

impl Inspector<'_> {
    fn run(&self, findings: &mut Findings) {
        if self.manifest.licence.is_none() {
            findings.note("licence: none is named in pack.toml".to_owned());
        }
        if let Some((file, Err(e))) = self.manifest.read_eval_prompts(self.folder) {
            let file = file.display();
            findings.note(format!("eval_prompts: `eval` cannot read {file}: {e}"));
        }
        let (mut base, mut untuned) = (None, None);
        let mut found: PackFiles = Vec::new();
        let mut held = Held { bytes: Some(0), models: Vec::new() };
        for (name, role) in self.manifest.roles() {
            let Some(files) = self.files(name, role, findings) else {
                held.bytes = None;
                continue;
            };
            self.check_sizes(name, role, &files, &mut held, findings);
            found.push((name, files));
            share_weights(&mut found);
            check_shapes(name, role, &found, findings);
            let checked = check_model(name, role, &found, findings);
            let Some((path, tokenizer)) = checked else { continue };
            match &base {
                None if name == "base" => {
                    base = Some(tokenizer);
                    continue;
                }
                None => {}
                Some(base) => findings.good(match base.common_vocabulary(&tokenizer) {
                    Ok(_) => format!("{name}: the base's vocabulary"),
                    Err(_) => format!("{name}: another vocabulary; reads the response as text"),
                }),
            }
            match &untuned {
                None if name == "untuned" => untuned = Some(tokenizer),
                Some(untuned) if name == "tuned" => {
                    check_pair_vocabulary(untuned, (path, &tokenizer), findings);
                }
                _ => {}
            }
        }
        if let Err(e) = check_pair_precision(self.manifest, self.folder, &found) {
            findings.fault(e.to_string());
        }
        self.check_judge(&mut held, findings);
        check_memory(held.bytes, findings);
    }

    /// Returns the role's files if all of them are on this machine.
    fn files(&self, name: &'static str, role: &Role, findings: &mut Findings) -> Option<RoleFiles> {
        let mut files = RoleFiles { weights: None, adapter: None };
        let mut is_complete = true;
        for part in Part::of(name, role) {
            match self.find(&part, findings) {
                Some(local) => part.put(local, &mut files),
                None => is_complete = false,
            }
        }
        is_complete.then_some(files)
    }

    fn find(&self, part: &Part<'_>, findings: &mut Findings) -> Option<Local> {
        let file_set = match part.local(self.folder) {
            Ok(Some(local)) => return Some(local),
            Ok(None) => part.file_set()?,
            Err(e) => {
                findings.fault(e.to_string());
                return None;
            }
        };
        let Some(local) = self.hub.cached(&file_set) else {
            findings.fault(format!(
                "{}: {} is not downloaded; run `ivg-playground models download --pack {}`",
                part.role,
                part.source,
                self.folder.display()
            ));
            return None;
        };
        self.check_checksums(part, &file_set, findings).then_some(local)
    }

    /// Checks the cached files of a file set. Returns whether none is damaged.
    fn check_checksums(
        &self,
        part: &Part<'_>,
        file_set: &FileSet,
        findings: &mut Findings,
    ) -> bool {
        let Part { role, source, .. } = part;
        let review = self.hub.review(file_set, self.cancelled);
        for file in &review.damaged {
            findings.fault(format!(
                "{role}: {source}, {} does not match its checksum; run `ivg-playground models \
                 download --pack {}` to replace it",
                file.name,
                self.folder.display()
            ));
        }
        let is_intact = review.damaged.is_empty();
        if is_intact {
            let files = if review.intact == 1 { "file matches its" } else { "files match their" };
            findings.good(format!("{role}: {source}, {} {files} checksum", review.intact));
        }
        is_intact
    }

    /// Checks that the weights are complete, and reports their size.
    fn check_sizes(
        &self,
        name: &str,
        role: &Role,
        files: &RoleFiles,
        held: &mut Held,
        findings: &mut Findings,
    ) {
        for local in files.all() {
            let is_adapter = files.adapter.as_deref() == Some(local.path());
            let precision = if is_adapter { None } else { role.precision };
            let kind = match role.trunk {
                _ if is_adapter => "adapter, ",
                Some(_) => "head, ",
                None => "",
            };
            match measure(&local, precision) {
                Ok(size) => {
                    let count = format!("{} parameters", format::weights(size.parameters));
                    let bytes = format::bytes(size.held_bytes);
                    let is_new = held.add(local.clone(), precision, size.held_bytes);
                    let shared = if is_new { "" } else { ", held once for several roles" };
                    findings.good(format!("{name}: {kind}{count}, {bytes} in memory{shared}"));
                    for file in files_ending_in_zeros(&local) {
                        let file = file.display();
                        findings.note(format!(
                            "{name}: {file} ends in zeros, as after an interrupted download; \
                             compare its checksum with the one in its repository"
                        ));
                    }
                }
                Err(problem) => {
                    held.bytes = None;
                    findings.fault(format!("{name}: {problem}"));
                }
            }
        }
    }

    fn check_judge(&self, held: &mut Held, findings: &mut Findings) {
        let Some(judge) = &self.manifest.judge else { return };
        let part = Part::judge(&judge.source);
        let Some(local) = self.find(&part, findings) else {
            held.bytes = None;
            return;
        };
        if let Ok(size) = measure(&local, None) {
            held.add(local.clone(), None, size.held_bytes);
        }
        match Judge::load(local.path()) {
            Ok(_) => findings.good("judge: loads".to_owned()),
            Err(e) => findings.fault(PackError::from(e).to_string()),
        }
    }
}

/// Returns the files of a role's backbone: its own, or those of its trunk.
fn backbone<'f>(name: &'static str, role: &Role, found: &'f PackFiles) -> Option<&'f RoleFiles> {
    let owner = role.trunk.map_or(name, BackboneRole::role);
    found.iter().find(|(other, _)| *other == owner).map(|(_, files)| files)
}

/// Checks that the adapter and the head of a role fit the shape of its backbone. A fault of the
/// backbone is reported with its own role.
fn check_shapes(name: &'static str, role: &Role, found: &PackFiles, findings: &mut Findings) {
    let Some((_, own)) = found.last() else { return };
    let weights = backbone(name, role, found).and_then(|files| files.weights.as_ref());
    let Some(base) = weights.map(Local::path) else { return };
    let Ok(config) = LmConfig::load(base) else { return };
    let has_head = role.trunk.is_some() || name == "value";
    if let Some(Err(e)) = own.adapter.as_ref().map(|a| check_adapter(a, &config, base)) {
        findings.fault(format!("{name}: {e}"));
    }
    // The head in a GGUF file is checked only on loading.
    if let (true, Some(Local::Folder(folder))) = (has_head, &own.weights)
        && let Err(e) = ValueModel::check_head(&config, folder)
    {
        findings.fault(format!("{name}: {e}"));
    }
}

/// Checks that chat template, configuration and tokenizer can be read. Returns the path and the
/// tokenizer of a role that has its own model.
fn check_model<'f>(
    name: &'static str,
    role: &Role,
    found: &'f PackFiles,
    findings: &mut Findings,
) -> Option<(&'f Path, Tokenizer)> {
    match chat_template(name, role, backbone(name, role, found)?) {
        Ok(Some(_)) => findings.good(format!("{name}: chat template")),
        Ok(None) => {}
        // The same text as in other findings about this file, so that duplicates are dropped.
        Err(PackError::Model { source, .. }) => findings.fault(format!("{name}: {source}")),
        Err(e) => findings.fault(e.to_string()),
    }
    // A bare adapter and a head use configuration and tokenizer of another role.
    let is_own = role.source.is_some() && role.trunk.is_none();
    let (_, files) = found.last().filter(|_| is_own)?;
    let path = files.weights.as_ref()?.path();
    let config = LmConfig::load(path);
    match &config {
        Ok(config) => {
            match Lm::check(path, name != "value") {
                Ok(notes) => {
                    notes.iter().for_each(|note| findings.note(format!("{name}: {note}")));
                }
                Err(e) => findings.fault(format!("{name}: {e}")),
            }
            findings.good(format!(
                "{name}: configuration, {} layers of {}, context {} tokens",
                config.layers, config.hidden_size, config.context_tokens
            ));
            let unknown = config.eos.iter().find(|id| **id as usize >= config.vocab_size);
            if let Some(id) = unknown.filter(|_| name == "base") {
                findings.note(format!(
                    "base: eos_token_id {id} is beyond the vocabulary of {}",
                    config.vocab_size
                ));
            }
            if config.eos.is_empty() && name == "base" {
                findings.note(
                    "base: no token ends a text; responses end at the maximum length".to_owned(),
                );
            }
        }
        Err(e) => findings.fault(format!("{name}: {e}")),
    }
    match Tokenizer::load(path) {
        Ok(tokenizer) => {
            let size = tokenizer.vocab_size();
            findings.good(format!("{name}: tokenizer, {size} tokens"));
            if let Some(rows) = config.ok().map(|c| c.vocab_size).filter(|rows| *rows < size) {
                findings.note(format!("{name}: the model knows only the first {rows} of them"));
            }
            Some((path, tokenizer))
        }
        Err(e) => {
            findings.fault(format!("{name}: {e}"));
            None
        }
    }
}

/// The memory that the loaded pack would take.
struct Held {
    /// Bytes of the weights, or `None` if a model could not be measured.
    bytes: Option<u64>,
    models: Vec<(Local, Option<Precision>)>,
}

impl Held {
    /// Adds a model, once even if several roles share it. Returns whether it is new.
    fn add(&mut self, local: Local, precision: Option<Precision>, bytes: u64) -> bool {
        let model = (local, precision);
        let is_new = !self.models.contains(&model);
        if is_new {
            self.bytes = self.bytes.map(|held| held.saturating_add(bytes));
            self.models.push(model);
        }
        is_new
    }
}

fn check_pair_vocabulary(
    untuned: &Tokenizer,
    (path, tuned): (&Path, &Tokenizer),
    findings: &mut Findings,
) {
    if let Err(difference) = untuned.common_vocabulary(tuned) {
        let path = path.to_owned();
        findings.fault(PackError::Vocabulary { path, difference }.to_string());
    }
}

/// Checks that the weights fit into memory, if their size is known. With GPU support, too little
/// memory is only a note, because the GPU may have more.
fn check_memory(held: Option<u64>, findings: &mut Findings) {
    let (Some(held), Some(free)) = (held, free_memory_bytes()) else { return };
    let text = format!(
        "memory: the weights take {} of {} that are free",
        format::bytes(held),
        format::bytes(free)
    );
    if held <= free {
        findings.good(text);
    } else if no_gpu_support().is_none() {
        findings.note(format!("{text}; a GPU may have more"));
    } else {
        findings.fault(format!(
            "{text}; choose smaller models, hold them in 8 bits (precision = \"q8_0\"), or close \
             other programs"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_verdicts_to_a_column() {
        assert_eq!(format!("{:<6}|", Verdict::Good), "ok    |");
        assert_eq!(format!("{:<6}|", Verdict::Fault), "fault |");
    }
}
