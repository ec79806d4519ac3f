//! The worker's thread: loads packs, drives the searches of a run in turn, reports.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use candle_core::Device;
use thiserror::Error;

use super::link::{Link, WorkerEnd, link};
use super::protocol::{Command, Cost, Event, PackInfo, PackSource, Request, RoleInfo, RunId};
use super::sweep::sweep;
use crate::guidance::settings::Column;
use crate::guidance::trace::{TRACE_VERSION, Trace};
use crate::guidance::{GuidanceError, Prefilled, Search};
use crate::lab::strip::StripError;
use crate::packs::hub::Hub;
use crate::packs::{Pack, PackError, Step};

/// Why a command could not be carried out.
#[derive(Debug, Error)]
pub(super) enum WorkerError {
    #[error("no models are loaded; choose a pack first")]
    NoPack,
    #[error("nothing to run; choose at least one arm")]
    NoArms,
    #[error(transparent)]
    Guidance(#[from] GuidanceError),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Strip(#[from] StripError),
    /// A panic is a fault of the program, not of the person: say so, and that life goes on.
    #[error("an internal error ended this ({0}); the program is still usable, please report it")]
    Panic(String),
}

/// Starts the worker's thread and gives the window's end of the line to it. `wake` is called
/// from that thread after every event.
///
/// # Errors
/// The system refuses another thread.
pub fn spawn(wake: impl Fn() + Send + 'static) -> std::io::Result<Link> {
    let (window, end) = link(wake);
    thread::Builder::new().name("ivg-worker".into()).spawn(move || Engine::new(end).run())?;
    Ok(window)
}

struct Engine {
    end: WorkerEnd,
    device: Device,
    pack: Option<Pack>,
}

impl Engine {
    fn new(end: WorkerEnd) -> Self {
        Self { end, device: Device::Cpu, pack: None }
    }

    fn run(mut self) {
        while let Some(command) = self.end.next() {
            match command {
                Command::LoadPack(source) => self.load(&source),
                Command::Generate(run, request) => self.generate(run, &request),
                Command::Sweep(run, plan) => sweep(&self.end, self.pack.as_ref(), run, &plan),
                // A run that could be stopped has read the flag already.
                Command::Stop(_) => {}
                Command::Shutdown => return,
            }
        }
    }

    fn load(&mut self, source: &PackSource) {
        let (end, device) = (&self.end, &self.device);
        let mut report = |step: Step<'_>| {
            end.send(match step {
                Step::Downloading(progress) => Event::Downloading(progress.clone()),
                Step::Reading { role, share } => {
                    Event::Loading { what: format!("{role} model"), fraction: share }
                }
            });
        };
        // Whoever closes the window does not wait for a download.
        let cancelled = || end.is_stopped(RunId::MAX);
        let hub = Hub::from_env();
        let loaded = guard(|| Ok(Pack::load_from(source, device, &hub, &cancelled, &mut report)?));
        match loaded {
            Ok(pack) => {
                self.end.send(Event::Loaded(describe(&pack, &self.device)));
                self.pack = Some(pack);
            }
            Err(e) => {
                self.end.send(Event::LoadFailed(e.to_string()));
            }
        }
    }

    fn generate(&self, run: RunId, request: &Request) {
        if let Err(e) = guard(|| self.run_arms(run, request)) {
            tracing::warn!(run, error = %e, "run failed");
            self.end.send(Event::Failed { run, message: e.to_string() });
        }
    }

    /// Steps the arms in turn, so that all columns grow together.
    fn run_arms(&self, run: RunId, request: &Request) -> Result<(), WorkerError> {
        let pack = self.pack.as_ref().ok_or(WorkerError::NoPack)?;
        if request.columns.is_empty() {
            return Err(WorkerError::NoArms);
        }
        request.settings.validate().map_err(GuidanceError::from)?;
        let prompt = Prefilled::new(&pack.models, &pack.prompts(&request.prompt)?)?;
        let start = |column: &Column| {
            let chosen = column.chosen(&request.settings);
            Search::new(&pack.models, &prompt, column.arm, &chosen)
        };
        let searches: Result<Vec<_>, _> = request.columns.iter().map(start).collect();
        let mut searches: Vec<Option<Search<'_>>> = searches?.into_iter().map(Some).collect();
        let mut reports = vec![None; searches.len()];
        self.end.send(Event::Started { run });
        while searches.iter().any(Option::is_some) {
            for (arm, slot) in searches.iter_mut().enumerate() {
                let Some(search) = slot else { continue };
                let is_stopped = self.end.is_stopped(run);
                if !is_stopped {
                    self.step(run, arm, search)?;
                }
                if (is_stopped || search.is_done())
                    && let Some(search) = slot.take()
                {
                    let mut report = search.finish()?;
                    report.gold_reward = pack.gold_reward(&request.prompt, &report.text);
                    self.end.send(Event::ArmDone { run, arm, trace: Box::new(report.clone()) });
                    reports[arm] = Some(report);
                }
            }
        }
        let trace = Trace {
            version: TRACE_VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pack: pack.manifest.name.clone(),
            seed: request.settings.seed,
            prompt: request.prompt.clone(),
            settings: request.settings.clone(),
            arms: reports.into_iter().flatten().collect(),
        };
        self.end.send(Event::Done { run, trace: Box::new(trace) });
        Ok(())
    }

    fn step(&self, run: RunId, arm: usize, search: &mut Search<'_>) -> Result<(), WorkerError> {
        let step = search.step()?;
        if let Some(token) = step.token {
            let cost =
                Cost { sampled_tokens: search.sampled_tokens(), elapsed_ms: search.elapsed_ms() };
            self.end.send(Event::Token { run, arm, token, cost });
        }
        if let Some((chunk, lead)) = step.chunk {
            self.end.send(Event::Chunk { run, arm, chunk, lead });
        }
        Ok(())
    }
}

/// Turns a panic into an error, so that neither a run nor a damaged file takes the program down.
pub(super) fn guard<T>(work: impl FnOnce() -> Result<T, WorkerError>) -> Result<T, WorkerError> {
    // Nothing that `work` touches is used again after a panic but the pack, which a run only
    // reads and a failed load never replaces.
    let caught = catch_unwind(AssertUnwindSafe(work));
    caught.unwrap_or_else(|panic| Err(WorkerError::Panic(panic_text(panic.as_ref()))))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}

fn describe(pack: &Pack, device: &Device) -> PackInfo {
    let roles = pack.sizes().into_iter();
    PackInfo {
        name: pack.manifest.name.clone(),
        description: pack.manifest.description.clone(),
        roles: roles.map(|(role, parameters)| RoleInfo { role: role.into(), parameters }).collect(),
        examples: pack.manifest.examples.clone(),
        defaults: pack.manifest.defaults.clone(),
        context_tokens: pack.context_tokens(),
        device: device_name(device),
        has_pair: pack.models.pair.is_some(),
        has_value: pack.models.value.is_some(),
        has_judge: pack.judge.is_some(),
    }
}

fn device_name(device: &Device) -> String {
    match device {
        Device::Cpu => {
            let threads = rayon::current_num_threads();
            format!("CPU, {threads} thread{}", if threads == 1 { "" } else { "s" })
        }
        Device::Cuda(_) => "GPU (CUDA)".to_owned(),
        Device::Metal(_) => "GPU (Metal)".to_owned(),
    }
}
