//! The worker's thread. It loads packs, steps the searches of a run in turn and sends events.

use std::time::Instant;

use super::channel::{LIMITS, WorkerHandle, WorkerInbox};
use super::error::{WorkerError, guard};
use super::loaded_pack::LoadedPack;
use super::protocol::{
    Command, Cost, DeviceChoice, Event, PackInfo, PackSource, Request, RoleInfo, RunId,
    SweepResults,
};
use super::sweep::sweep;
use crate::actor;
use crate::guidance::settings::Column;
use crate::guidance::trace::{Trace, trace_version};
use crate::guidance::{GuidanceError, Search};
use crate::local_time::LocalTime;
use crate::packs::device::{device_name, is_out_of_memory};
use crate::packs::hub::Hub;
use crate::packs::{Pack, PromptCache, PromptOptions, Step};

/// Starts the worker's thread and returns the window's end of its channel. `wake` is called on that
/// thread after every event. Packs are downloaded from `hub`.
///
/// # Errors
/// Fails if the operating system cannot start a thread.
pub fn spawn(hub: Hub, wake: impl Fn() + Send + 'static) -> std::io::Result<WorkerHandle> {
    let run = move |inbox| Engine::new(inbox, hub).run();
    actor::spawn(LIMITS, wake, run).map(WorkerHandle)
}

struct Engine {
    inbox: WorkerInbox,
    hub: Hub,
    device: DeviceChoice,
    loaded: LoadedPack,
    /// The time that the last sweep passed to the chat templates. A resumed sweep uses it again.
    sweep_time: LocalTime,
}

impl Engine {
    fn new(inbox: WorkerInbox, hub: Hub) -> Self {
        let (device, loaded) = (DeviceChoice::default(), LoadedPack::default());
        Self { inbox, hub, device, loaded, sweep_time: LocalTime::now() }
    }

    fn run(mut self) {
        while let Some(command) = self.inbox.next().filter(|_| !self.inbox.is_closed()) {
            match command {
                Command::UseDevice(device) => self.device = device,
                Command::LoadPack(source) => self.load(&source, self.device, None),
                Command::Generate(run, request) => self.generate(run, &request),
                Command::Sweep(run, plan) => {
                    self.sweep_time = plan.local_time.unwrap_or_else(LocalTime::now);
                    self.sweep(run, SweepResults::new(*plan));
                }
                Command::ResumeSweep(run, results) => self.sweep(run, *results),
                // The run has already seen the cancel token and ended.
                Command::Stop(_) => {}
            }
        }
    }

    /// Loads a pack and sends the outcome. `note` becomes the device note if loading sets none.
    fn load(&mut self, source: &PackSource, device: DeviceChoice, note: Option<String>) {
        let Self { inbox, loaded, hub, .. } = self;
        let started = Instant::now();
        match loaded.replace(source, |source| open(inbox, hub, source, device)) {
            Ok(pack) => {
                pack.device_note = pack.device_note.take().or(note);
                tracing::info!(pack = pack.manifest.name, time = ?started.elapsed(), "loaded");
                inbox.send(Event::Loaded(Box::new(describe(source, pack))));
            }
            Err(e) => {
                let source = source.clone();
                inbox.send(Event::LoadFailed { source, message: e.to_string() });
            }
        }
    }

    fn generate(&mut self, run: RunId, request: &Request) {
        if let Err(e) = guard(|| self.run_arms(run, request)) {
            tracing::warn!(run, error = %e, "run failed");
            let message = self.message(&e);
            self.inbox.send(Event::Failed { run, message });
            self.leave_full_gpu(&e);
        }
    }

    fn sweep(&mut self, run: RunId, mut so_far: SweepResults) {
        so_far.plan.local_time.get_or_insert(self.sweep_time);
        let pack = self.loaded.pack();
        if let Err(e) = guard(|| sweep(&self.inbox, pack.ok_or(WorkerError::NoPack)?, run, &so_far))
        {
            tracing::warn!(run, error = %e, "sweep failed");
            let message = self.message(&e);
            self.inbox.send(Event::SweepFailed { run, message });
            self.leave_full_gpu(&e);
        }
    }

    /// Checks whether the run failed because the GPU ran out of memory.
    fn has_filled_gpu(&self, error: &WorkerError) -> bool {
        self.loaded.is_on_gpu() && is_out_of_memory(error)
    }

    fn message(&self, error: &WorkerError) -> String {
        if self.has_filled_gpu(error) {
            return "the GPU is out of memory; the models are being moved to the CPU: generate \
                    again afterwards, or start with --device cpu"
                .to_owned();
        }
        error.to_string()
    }

    /// Reloads the pack on the CPU if the run failed because the GPU ran out of memory.
    fn leave_full_gpu(&mut self, error: &WorkerError) {
        if !self.has_filled_gpu(error) {
            return;
        }
        if let Some(source) = self.loaded.source().cloned() {
            let note = "Running on the CPU: the GPU has too little memory for this run.";
            self.load(&source, DeviceChoice::Cpu, Some(note.to_owned()));
        }
    }

    /// Runs all arms, one step each in turn, so that all columns grow together.
    fn run_arms(&self, run: RunId, request: &Request) -> Result<(), WorkerError> {
        let pack = self.loaded.pack().ok_or(WorkerError::NoPack)?;
        if request.columns.is_empty() {
            return Err(WorkerError::NoArms);
        }
        request.settings.validate().map_err(GuidanceError::from)?;
        let time = request.local_time.unwrap_or_else(LocalTime::now);
        let options = PromptOptions { special_tokens: request.settings.special_tokens, time };
        let mut prompts = PromptCache::new(pack, &request.prompt, options);
        let start = |column: &Column| {
            let prompt = prompts.prefilled(&column.applied(&request.settings).instructions())?;
            let settings = column.chosen(&request.settings);
            Search::new(&pack.models, prompt, column.arm, &settings)
        };
        let searches: Result<Vec<_>, _> = request.columns.iter().map(start).collect();
        let mut searches: Vec<Option<Search<'_>>> = searches?.into_iter().map(Some).collect();
        let mut reports = vec![None; searches.len()];
        self.inbox.send(Event::Started { run });
        while searches.iter().any(Option::is_some) {
            for (arm, slot) in searches.iter_mut().enumerate() {
                let Some(search) = slot else { continue };
                let is_stopped = self.inbox.is_cancelled(run);
                if !is_stopped {
                    self.step(run, arm, search)?;
                }
                if (is_stopped || search.is_done())
                    && let Some(search) = slot.take()
                {
                    let mut report = search.finish()?;
                    report.gold_reward = pack.gold_reward(&request.prompt, &report.text);
                    self.inbox.send(Event::ArmDone { run, arm, trace: Box::new(report.clone()) });
                    reports[arm] = Some(report);
                }
            }
        }
        let trace = Trace {
            version: trace_version(&request.settings, &request.columns),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pack: pack.manifest.name.clone(),
            aim: pack.manifest.aim.clone(),
            seed: request.settings.seed,
            prompt: request.prompt.clone(),
            local_time: pack.uses_time().then_some(time),
            settings: request.settings.clone(),
            arms: reports.into_iter().flatten().collect(),
        };
        self.inbox.send(Event::Done { run, trace: Box::new(trace) });
        Ok(())
    }

    fn step(&self, run: RunId, arm: usize, search: &mut Search<'_>) -> Result<(), WorkerError> {
        let step = search.step()?;
        if let Some(token) = step.token {
            let cost =
                Cost { sampled_tokens: search.sampled_tokens(), elapsed_ms: search.elapsed_ms() };
            self.inbox.send(Event::Token { run, arm, token, cost });
        }
        if let Some((chunk, lead)) = step.chunk {
            self.inbox.send(Event::Chunk { run, arm, chunk, lead });
        }
        Ok(())
    }
}

/// Loads a pack and sends its progress as events.
fn open(
    inbox: &WorkerInbox,
    hub: &Hub,
    source: &PackSource,
    device: DeviceChoice,
) -> Result<Pack, WorkerError> {
    let mut report = |step: Step<'_>| {
        inbox.send(match step {
            Step::Downloading(progress) => Event::Downloading(progress.clone()),
            Step::Reading { role, share } => {
                Event::Loading { what: format!("{role} model"), fraction: share }
            }
        });
    };
    // Closing the window must not wait for a download.
    let cancelled = || inbox.is_closed();
    guard(|| Ok(Pack::load_from(source, device, hub, &cancelled, &mut report)?))
}

fn describe(source: &PackSource, pack: &Pack) -> PackInfo {
    let roles = pack.sizes().into_iter();
    PackInfo {
        source: source.clone(),
        name: pack.manifest.name.clone(),
        description: pack.manifest.description.clone(),
        roles: roles.map(|(role, parameters)| RoleInfo { role: role.into(), parameters }).collect(),
        examples: pack.manifest.examples.clone(),
        aim: pack.manifest.aim.clone(),
        stories: pack.manifest.stories.clone(),
        steers: pack.manifest.steers.clone(),
        controls: pack.models.tokenizer.controls().to_vec(),
        defaults: pack.defaults(),
        context_tokens: pack.context_tokens(),
        device: device_name(&pack.device),
        device_note: pack.device_note.clone(),
        has_pair: pack.models.pair.is_some(),
        reads_instructions: pack.reads_instructions(),
        has_value: pack.models.value.is_some(),
        has_judge: pack.judge.is_some(),
    }
}

// Without the `cuda` feature, candle's `CudaDevice` is an empty type that can still mark a pack as
// being on a GPU.
#[cfg(all(test, not(feature = "cuda")))]
mod tests {
    use candle_core::{CudaDevice, Device};

    use super::*;
    use crate::lm::LmError;
    use crate::worker::channel::channel;

    fn cuda_error(message: &str) -> WorkerError {
        let error = candle_core::Error::Cuda(message.into());
        WorkerError::Guidance(GuidanceError::Lm(LmError::Tensor(error)))
    }

    #[test]
    fn a_run_that_fills_the_gpu_moves_the_pack_to_the_cpu() {
        let (window, inbox) = channel(|| {});
        let mut engine = Engine::new(inbox, Hub::default());
        engine.load(&PackSource::default(), DeviceChoice::Cpu, None);
        let fail = |engine: &mut Engine, error: &WorkerError| {
            window.drain().for_each(drop);
            let message = engine.message(error);
            engine.leave_full_gpu(error);
            let loaded = window.drain().find_map(|event| match event {
                Event::Loaded(pack) => Some(pack),
                _ => None,
            });
            (message, loaded)
        };
        let full = cuda_error("CUDA_ERROR_OUT_OF_MEMORY");
        let (message, loaded) = fail(&mut engine, &full);
        assert!(message.contains("OUT_OF_MEMORY") && loaded.is_none(), "the pack is on the CPU");
        let on_gpu = |source: &PackSource| {
            let mut pack = Pack::load(source, DeviceChoice::Cpu, &mut |_, _| {})?;
            pack.device = Device::Cuda(CudaDevice);
            Ok(pack)
        };
        let replaced = engine.loaded.replace(&PackSource::default(), on_gpu);
        assert!(replaced.is_ok());
        let (message, loaded) = fail(&mut engine, &cuda_error("an illegal address"));
        assert!(message.contains("illegal address") && loaded.is_none());
        let (message, loaded) = fail(&mut engine, &full);
        assert!(message.contains("generate again"), "{message}");
        let loaded = loaded.expect("the pack is loaded again");
        assert!(loaded.device.starts_with("CPU"));
        assert!(loaded.device_note.is_some_and(|note| note.contains("too little memory")));
        assert!(engine.loaded.pack().is_some_and(|pack| pack.device.is_cpu()));
    }
}
