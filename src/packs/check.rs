//! Whether a pack is in order, looked at without loading its models; a judge, which is small, is
//! loaded.

use std::fmt;
use std::path::Path;

use super::device::no_gpu_support;
use super::hub::{Hub, Order};
use super::loader::{PackFiles, chat_template, held_alike, share_weights};
use super::manifest::Manifest;
use super::role::{Part, Role, RoleFiles, Trunk};
use super::size::{files_ending_in_zeros, free_memory_bytes, measure};
use super::source::Local;
use super::{PackError, PackSource};
use crate::judge::Judge;
use crate::lm::{Lm, LmConfig, Precision, Tokenizer, ValueModel, check_adapter};
use crate::words;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub verdict: Verdict,
    /// What was found, and for a fault what to do. One line.
    pub text: String,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Worth knowing; the pack loads all the same.
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

/// Looks at everything but the weights themselves that loading would look at, and at the checksums
/// of what came from the hub. Makes no request. `cancelled` ends the reading of large files.
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
        let finding = Finding { verdict, text: words::one_line(&text) };
        // A damaged file comes up wherever it is looked into.
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
        let mut base = None;
        let mut found: PackFiles = Vec::new();
        let mut held = Held { bytes: Some(0), models: Vec::new() };
        for (name, role) in self.manifest.roles() {
            let Some(files) = self.files(name, role, findings) else {
                held.bytes = None;
                continue;
            };
            self.sizes(name, role, &files, &mut held, findings);
            found.push((name, files));
            share_weights(&mut found);
            additions(name, role, &found, findings);
            let Some((path, tokenizer)) = model(name, role, &found, findings) else { continue };
            match &base {
                None if name == "base" => base = Some(tokenizer),
                None => {}
                Some(base) => same_vocabulary(name, base, (path, &tokenizer), findings),
            }
        }
        if let Err(e) = held_alike(self.manifest, self.folder, &found) {
            findings.fault(e.to_string());
        }
        self.judge(&mut held, findings);
        memory(held.bytes, findings);
    }

    /// The role's files, if all of them are here.
    fn files(&self, name: &'static str, role: &Role, findings: &mut Findings) -> Option<RoleFiles> {
        let mut files = RoleFiles { weights: None, adapter: None };
        let mut is_whole = true;
        for part in Part::of(name, role) {
            match self.find(&part, findings) {
                Some(local) => part.put(local, &mut files),
                None => is_whole = false,
            }
        }
        is_whole.then_some(files)
    }

    fn find(&self, part: &Part<'_>, findings: &mut Findings) -> Option<Local> {
        let order = match part.local(self.folder) {
            Ok(Some(local)) => return Some(local),
            Ok(None) => part.order()?,
            Err(e) => {
                findings.fault(e.to_string());
                return None;
            }
        };
        let Some(local) = self.hub.cached(&order) else {
            findings.fault(format!(
                "{}: {} is not downloaded; run `ivg-playground models download --pack {}`",
                part.role,
                part.source,
                self.folder.display()
            ));
            return None;
        };
        self.is_as_it_came(part, &order, findings).then_some(local)
    }

    /// Whether what came from the hub is still what came.
    fn is_as_it_came(&self, part: &Part<'_>, order: &Order, findings: &mut Findings) -> bool {
        let Part { role, source, .. } = part;
        let review = self.hub.review(order, self.cancelled);
        for file in &review.damaged {
            findings.fault(format!(
                "{role}: {source}, {} does not match its checksum; run `ivg-playground models \
                 download --pack {}`, which replaces it",
                file.name,
                self.folder.display()
            ));
        }
        let is_sound = review.damaged.is_empty();
        if is_sound {
            let files = if review.sound == 1 { "file matches its" } else { "files match their" };
            findings.good(format!("{role}: {source}, {} {files} checksum", review.sound));
        }
        is_sound
    }

    /// Whether the weights are whole, and what they take.
    fn sizes(
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
            let what = match role.trunk {
                _ if is_adapter => "adapter, ",
                Some(_) => "head, ",
                None => "",
            };
            match measure(&local, precision) {
                Ok(size) => {
                    let count = format!("{} parameters", words::weights(size.parameters));
                    let bytes = words::bytes(size.held_bytes);
                    let is_new = held.add(local.clone(), precision, size.held_bytes);
                    let again = if is_new { "" } else { ", held once for several roles" };
                    findings.good(format!("{name}: {what}{count}, {bytes} in memory{again}"));
                    for file in files_ending_in_zeros(&local) {
                        let file = file.display();
                        findings.note(format!(
                            "{name}: {file} ends in zeros; compare its checksum with the \
                             repository's, for its download may have been cut off"
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

    fn judge(&self, held: &mut Held, findings: &mut Findings) {
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

/// The files of the model that a role stands on: its own, or those of its trunk.
fn stands_on<'f>(name: &'static str, role: &Role, found: &'f PackFiles) -> Option<&'f RoleFiles> {
    let owner = role.trunk.map_or(name, Trunk::role);
    found.iter().find(|(other, _)| *other == owner).map(|(_, files)| files)
}

/// Whether what stands on a model, an adapter or a head, is of its shape. A fault of the model
/// itself has been said where it stands.
fn additions(name: &'static str, role: &Role, found: &PackFiles, findings: &mut Findings) {
    let Some((_, own)) = found.last() else { return };
    let under = stands_on(name, role, found).and_then(|files| files.weights.as_ref());
    let Some(base) = under.map(Local::path) else { return };
    let Ok(config) = LmConfig::load(base) else { return };
    // A file that holds everything is looked at when it is loaded.
    let has_head = role.trunk.is_some() || name == "value";
    if let Some(Err(e)) = own.adapter.as_ref().map(|a| check_adapter(a, &config, base)) {
        findings.fault(format!("{name}: {e}"));
    }
    if let (true, Some(Local::Folder(folder))) = (has_head, &own.weights)
        && let Err(e) = ValueModel::check_head(&config, folder)
    {
        findings.fault(format!("{name}: {e}"));
    }
}

/// Whether template, configuration and tokenizer can be read; gives the place and the tokenizer of
/// a model of its own.
fn model<'f>(
    name: &'static str,
    role: &Role,
    found: &'f PackFiles,
    findings: &mut Findings,
) -> Option<(&'f Path, Tokenizer)> {
    match chat_template(name, role, stands_on(name, role, found)?) {
        Ok(Some(_)) => findings.good(format!("{name}: a chat template")),
        Ok(None) => {}
        // In the words of the other findings about this file, so that it is said once.
        Err(PackError::Model { source, .. }) => findings.fault(format!("{name}: {source}")),
        Err(e) => findings.fault(e.to_string()),
    }
    // An adapter alone and a head have their model's everything else.
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
                findings.note("base: no token ends a text; responses end by length".to_owned());
            }
        }
        Err(e) => findings.fault(format!("{name}: {e}")),
    }
    match Tokenizer::load(path) {
        Ok(tokenizer) => {
            let size = tokenizer.vocab_size();
            findings.good(format!("{name}: tokenizer, {size} tokens"));
            if let Some(rows) = config.ok().map(|c| c.vocab_size).filter(|rows| *rows < size) {
                findings.note(format!("{name}: the model knows the first {rows} of them alone"));
            }
            Some((path, tokenizer))
        }
        Err(e) => {
            findings.fault(format!("{name}: {e}"));
            None
        }
    }
}

/// What loading would hold.
struct Held {
    /// Bytes; none if something could not be measured.
    bytes: Option<u64>,
    models: Vec<(Local, Option<Precision>)>,
}

impl Held {
    /// Counts a model once, however many roles it has. Whether it is a new one.
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

fn same_vocabulary(
    role: &'static str,
    base: &Tokenizer,
    (path, other): (&Path, &Tokenizer),
    findings: &mut Findings,
) {
    match base.common_vocabulary(other) {
        Ok(_) => findings.good(format!("{role}: the base's vocabulary")),
        // It reads the response as text.
        Err(_) if role == "value" => findings.good("value: a vocabulary of its own".to_owned()),
        Err(difference) => {
            let path = path.to_owned();
            findings.fault(PackError::Vocabulary { role, path, difference }.to_string());
        }
    }
}

/// Whether the weights, as far as they are known, fit. What the processor's memory has no room for,
/// a GPU may have.
fn memory(held: Option<u64>, findings: &mut Findings) {
    let (Some(held), Some(free)) = (held, free_memory_bytes()) else { return };
    let text = format!(
        "memory: the weights take {} of {} that are free",
        words::bytes(held),
        words::bytes(free)
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
    fn verdicts_line_up() {
        assert_eq!(format!("{:<6}|", Verdict::Good), "ok    |");
        assert_eq!(format!("{:<6}|", Verdict::Fault), "fault |");
    }
}
