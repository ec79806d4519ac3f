//! The worker's thread: loads packs, drives the searches of a run in turn, reports.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use thiserror::Error;

use super::holder::Holder;
use super::link::{Link, WorkerEnd, link};
use super::protocol::{
    Command, Cost, DeviceChoice, Event, PackInfo, PackSource, Request, RoleInfo, RunId,
    SweepRequest,
};
use super::sweep::sweep;
use crate::guidance::settings::Column;
use crate::guidance::trace::{TRACE_VERSION, Trace};
use crate::guidance::{GuidanceError, Prefilled, Search};
use crate::lab::strip::StripError;
use crate::local_time::LocalTime;
use crate::packs::device::{device_name, is_out_of_memory};
use crate::packs::hub::Hub;
use crate::packs::{Pack, PackError, Reading, Step};

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
    device: DeviceChoice,
    holder: Holder,
}

impl Engine {
    fn new(end: WorkerEnd) -> Self {
        Self { end, device: DeviceChoice::default(), holder: Holder::default() }
    }

    fn run(mut self) {
        while let Some(command) = self.end.next() {
            match command {
                Command::UseDevice(device) => self.device = device,
                Command::LoadPack(source) => self.load(&source, self.device, None),
                Command::Generate(run, request) => self.generate(run, &request),
                Command::Sweep(run, plan) => self.sweep(run, &plan),
                // A run that could be stopped has read the flag already.
                Command::Stop(_) => {}
                Command::Shutdown => return,
            }
        }
    }

    /// `note` is said where loading itself has nothing to say of the device.
    fn load(&mut self, source: &PackSource, device: DeviceChoice, note: Option<String>) {
        let Self { end, holder, .. } = self;
        match holder.replace(source, |source| open(end, source, device)) {
            Ok(pack) => {
                pack.device_note = pack.device_note.take().or(note);
                end.send(Event::Loaded(describe(source, pack)));
            }
            Err(e) => {
                end.send(Event::LoadFailed(e.to_string()));
            }
        }
    }

    fn generate(&mut self, run: RunId, request: &Request) {
        if let Err(e) = guard(|| self.run_arms(run, request)) {
            tracing::warn!(run, error = %e, "run failed");
            let message = self.told(&e);
            self.end.send(Event::Failed { run, message });
            self.leave_full_gpu(&e);
        }
    }

    fn sweep(&mut self, run: RunId, request: &SweepRequest) {
        let pack = self.holder.pack();
        if let Err(e) = guard(|| sweep(&self.end, pack.ok_or(WorkerError::NoPack)?, run, request)) {
            tracing::warn!(run, error = %e, "sweep failed");
            let message = self.told(&e);
            self.end.send(Event::SweepFailed { run, message });
            self.leave_full_gpu(&e);
        }
    }

    /// Whether a run has ended because the GPU's memory is used up.
    fn has_filled_gpu(&self, error: &WorkerError) -> bool {
        self.holder.is_on_gpu() && is_out_of_memory(error)
    }

    fn told(&self, error: &WorkerError) -> String {
        if self.has_filled_gpu(error) {
            return "the GPU's memory is used up; the models move to the processor: generate again \
                    then, or start with --device cpu"
                .to_owned();
        }
        error.to_string()
    }

    /// Moves the pack to the processor where a run has shown that the GPU is too small for it.
    fn leave_full_gpu(&mut self, error: &WorkerError) {
        if !self.has_filled_gpu(error) {
            return;
        }
        if let Some(source) = self.holder.source().cloned() {
            let note = "The processor computes: the GPU's memory is too small for such runs.";
            self.load(&source, DeviceChoice::Cpu, Some(note.to_owned()));
        }
    }

    /// Steps the arms in turn, so that all columns grow together.
    fn run_arms(&self, run: RunId, request: &Request) -> Result<(), WorkerError> {
        let pack = self.holder.pack().ok_or(WorkerError::NoPack)?;
        if request.columns.is_empty() {
            return Err(WorkerError::NoArms);
        }
        request.settings.validate().map_err(GuidanceError::from)?;
        let time = request.local_time.unwrap_or_else(LocalTime::now);
        let reading = Reading { special_tokens: request.settings.special_tokens, time };
        let prompt = Prefilled::new(&pack.models, &pack.prompts(&request.prompt, reading)?)?;
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
            local_time: pack.asks_time().then_some(time),
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

/// Opens a pack, with reports of how far it is.
fn open(end: &WorkerEnd, source: &PackSource, device: DeviceChoice) -> Result<Pack, WorkerError> {
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
    guard(|| Ok(Pack::load_from(source, device, &hub, &cancelled, &mut report)?))
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

fn describe(source: &PackSource, pack: &Pack) -> PackInfo {
    let roles = pack.sizes().into_iter();
    PackInfo {
        source: source.clone(),
        name: pack.manifest.name.clone(),
        description: pack.manifest.description.clone(),
        roles: roles.map(|(role, parameters)| RoleInfo { role: role.into(), parameters }).collect(),
        examples: pack.manifest.examples.clone(),
        controls: pack.models.tokenizer.controls().to_vec(),
        defaults: pack.defaults(),
        context_tokens: pack.context_tokens(),
        device: device_name(&pack.device),
        device_note: pack.device_note.clone(),
        has_pair: pack.models.pair.is_some(),
        has_value: pack.models.value.is_some(),
        has_judge: pack.judge.is_some(),
    }
}

// Without CUDA its device is a name alone: enough to say that a pack lies there.
#[cfg(all(test, not(feature = "cuda")))]
mod tests {
    use candle_core::{CudaDevice, Device};

    use super::*;
    use crate::lm::LmError;

    fn cuda_error(words: &str) -> WorkerError {
        let error = candle_core::Error::Cuda(words.into());
        WorkerError::Guidance(GuidanceError::Lm(LmError::Tensor(error)))
    }

    #[test]
    fn a_run_too_large_for_the_gpu_moves_the_pack_to_the_processor() {
        let (window, end) = link(|| {});
        let mut engine = Engine::new(end);
        engine.load(&PackSource::default(), DeviceChoice::Cpu, None);
        let told = |engine: &mut Engine, error: &WorkerError| {
            window.drain().for_each(drop);
            let said = engine.told(error);
            engine.leave_full_gpu(error);
            let loaded = window.drain().find_map(|event| match event {
                Event::Loaded(pack) => Some(pack),
                _ => None,
            });
            (said, loaded)
        };
        let full = cuda_error("CUDA_ERROR_OUT_OF_MEMORY");
        let (said, loaded) = told(&mut engine, &full);
        assert!(said.contains("OUT_OF_MEMORY") && loaded.is_none(), "the processor is no GPU");
        let on_gpu = |source: &PackSource| {
            let mut pack = Pack::load(source, DeviceChoice::Cpu, &mut |_, _| {})?;
            pack.device = Device::Cuda(CudaDevice);
            Ok(pack)
        };
        let replaced = engine.holder.replace(&PackSource::default(), on_gpu);
        assert!(replaced.is_ok());
        let (said, loaded) = told(&mut engine, &cuda_error("an illegal address"));
        assert!(said.contains("illegal address") && loaded.is_none());
        let (said, loaded) = told(&mut engine, &full);
        assert!(said.contains("generate again"), "{said}");
        let loaded = loaded.expect("it is loaded anew");
        assert!(loaded.device.starts_with("CPU"));
        assert!(loaded.device_note.is_some_and(|note| note.contains("too small")));
        assert!(engine.holder.pack().is_some_and(|pack| pack.device.is_cpu()));
    }
}
