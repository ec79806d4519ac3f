//! A fake worker without models and threads. It sends the events that a test asks for, with
//! plausible values.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use ivg_playground::guidance::aim::Aim;
use ivg_playground::guidance::settings::{Arm, Settings};
use ivg_playground::guidance::trace::{
    Alternative, ArmTrace, Candidate, ChunkTrace, StopReason, TRACE_VERSION, TokenTrace, Trace,
};
use ivg_playground::lab::sweep::{Sample, SweepAxis};
use ivg_playground::worker::protocol::{
    Command, Cost, Event, PackInfo, PackSource, Request, RoleInfo, RunId,
};
use ivg_playground::worker::{WorkerHandle, WorkerInbox, channel};

/// The fake worker's end of the channel.
pub struct Engine {
    end: WorkerInbox,
    noise: Cell<u32>,
    /// The survivors of the last chunk, by (beams, rows).
    survivors: RefCell<HashMap<(usize, usize), Vec<usize>>>,
}

/// Creates a fake worker and the window's end of its channel.
pub fn engine(wake: impl Fn() + Send + 'static) -> (WorkerHandle, Engine) {
    let (window, end) = channel(wake);
    (window, Engine { end, noise: Cell::new(7), survivors: RefCell::default() })
}

/// Returns a pack that has every role.
pub fn pack() -> PackInfo {
    let role = |role: &str, parameters| RoleInfo { role: role.into(), parameters };
    PackInfo {
        source: PackSource::Bundled("imdb-sentiment".into()),
        name: "imdb-sentiment".into(),
        description: "Small models trained on film reviews, guided towards praise.".into(),
        roles: vec![
            role("base", 29_500_000),
            role("untuned", 6_800_000),
            role("tuned", 6_800_000),
            role("value", 6_800_000),
        ],
        controls: vec!["<|end|>".into()],
        examples: [
            "This movie was",
            "The acting in this film",
            "I watched it twice because",
            "My wife and I",
        ]
        .map(String::from)
        .into(),
        defaults: Settings::default(),
        context_tokens: 1024,
        device: "CPU, 2 threads".into(),
        device_note: None,
        has_pair: true,
        has_value: true,
        aim: Some(Aim { towards: "praise".into(), away: Some("criticism".into()) }),
        stories: Vec::new(),
        steers: Vec::new(),
        has_judge: true,
        reads_instructions: true,
    }
}

/// Splits a text into one token per word.
pub fn tokens(text: &str) -> Vec<TokenTrace> {
    let mut start = 0;
    let mut out = Vec::new();
    for (i, word) in text.split_inclusive(' ').enumerate() {
        let n = i as f32;
        let token = TokenTrace {
            id: i as u32,
            text: word.into(),
            start,
            end: start + word.len(),
            logp_base: -1.5 - (n * 0.7).sin(),
            logp_guided: -1.2 - (n * 0.5).sin(),
            logp_untuned: Some(-2.0),
            logp_tuned: Some(-2.0 + (n * 0.9).sin() * 0.4),
            advantage: Some((n * 0.9).sin() * 0.4),
            steer_advantages: Vec::new(),
            unguided_mass: None,
            strength_factor: None,
            kl_nats: 0.18 + 0.1 * (n * 1.3).cos(),
            alternatives: alternatives(i as u32),
        };
        start = token.end;
        out.push(token);
    }
    out
}

/// Returns three alternatives, including the token itself.
fn alternatives(id: u32) -> Vec<Alternative> {
    [("one", -0.7, -0.4), ("two", -1.2, -1.8), ("three", -2.5, -2.2)]
        .into_iter()
        .enumerate()
        .map(|(i, (text, logp_base, logp_guided))| Alternative {
            id: id + i as u32,
            text: text.into(),
            logp_base,
            logp_guided,
        })
        .collect()
}

impl Engine {
    /// Returns the next command, if one is waiting.
    pub fn next(&self) -> Option<Command> {
        self.end.try_next()
    }

    /// Returns the next command. Panics if none is waiting.
    pub fn command(&self) -> Command {
        self.next().expect("the window has sent a command")
    }

    /// Returns the next command, which must start a run.
    pub fn generate(&self) -> (RunId, Request) {
        match self.command() {
            Command::Generate(run, request) => (run, request),
            other => panic!("expected Generate, got {other:?}"),
        }
    }

    /// Sends an event.
    pub fn send(&self, event: Event) {
        assert!(self.end.send(event), "the window was closed");
    }

    /// Sends an event if the window is still open.
    pub fn send_if_open(&self, event: Event) {
        self.end.send(event);
    }

    /// Returns whether the window has stopped this run.
    pub fn is_stopped(&self, run: RunId) -> bool {
        self.end.is_cancelled(run)
    }

    /// Answers the window's first command with this pack.
    pub fn load(&self, pack: PackInfo) {
        assert!(matches!(self.command(), Command::LoadPack(_)));
        self.send(Event::Loaded(Box::new(pack)));
    }

    /// Sends one more provisional token.
    pub fn token(&self, run: RunId, arm: usize, text: &str, cost: Cost) {
        let mut token = tokens("x").remove(0);
        (token.text, token.end) = (text.into(), text.len());
        self.send(Event::Token { run, arm, token, cost });
    }

    /// Sends a chunk whose leader has the tokens `lead`.
    pub fn chunk(&self, run: RunId, arm: usize, chunk: ChunkTrace, lead: &[TokenTrace]) {
        self.send(Event::Chunk { run, arm, chunk, lead: lead.to_vec() });
    }

    /// Sends the end of a run with these texts.
    pub fn done(&self, run: RunId, request: &Request, texts: &[&str], stop_reason: StopReason) {
        self.send(Event::Done { run, trace: Box::new(trace(request, texts, stop_reason)) });
    }

    /// Sends the end of a run with these reports.
    pub fn finish(&self, run: RunId, request: &Request, arms: Vec<ArmTrace>) {
        let trace = Trace { arms, ..trace(request, &[], StopReason::MaxTokens) };
        self.send(Event::Done { run, trace: Box::new(trace) });
    }

    /// Returns the next number of a fixed pseudorandom sequence between −1 and 1.
    pub fn noise(&self) -> f32 {
        let next = self.noise.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.noise.set(next);
        (next >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Returns a chunk in which `beams` of `rows` candidates with values around `value` are kept.
    /// Every candidate has a different text that names its position, such as " t5c0".
    pub fn search_chunk(
        &self,
        tokens: usize,
        value: f32,
        (beams, rows): (usize, usize),
        first: bool,
    ) -> ChunkTrace {
        let successors = rows / beams.max(1);
        let values: Vec<f32> = (0..rows).map(|_| value + 0.9 * self.noise()).collect();
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        let mut kept = order[..beams].to_vec();
        kept.sort_unstable();
        let before = self.survivors.borrow_mut().insert((beams, rows), kept).unwrap_or_default();
        let candidates = (0..rows).map(|i| Candidate {
            text: format!(" t{tokens}c{i}"),
            parent: (!first).then(|| before[i / successors]),
            value: Some(values[i]),
            survived: order[..beams].contains(&i),
            ended: false,
            tokens,
        });
        ChunkTrace {
            end_token: tokens,
            candidates: candidates.collect(),
            leader: order[0],
            selection_kl_nats: None,
        }
    }
}

/// Returns the trace of a run with these texts.
pub fn trace(request: &Request, texts: &[&str], stop_reason: StopReason) -> Trace {
    let arms = request.columns.iter().zip(texts);
    let arms = arms.map(|(c, text)| report(c.arm, &c.chosen(&request.settings), text, stop_reason));
    Trace {
        local_time: None,
        version: TRACE_VERSION,
        program: "test".into(),
        pack: pack().name,
        aim: pack().aim,
        seed: request.settings.seed,
        prompt: request.prompt.clone(),
        settings: request.settings.clone(),
        arms: arms.collect(),
    }
}

/// Returns the report of an arm.
pub fn report(arm: Arm, settings: &Settings, text: &str, stop_reason: StopReason) -> ArmTrace {
    ArmTrace {
        name: arm,
        settings: arm.apply(settings),
        text: text.into(),
        value: Some(1.25),
        gold_reward: Some(2.5),
        tokens: tokens(text),
        chunks: Vec::new(),
        sampled_tokens: 200,
        forward_passes: 100,
        elapsed_ms: 2000.0,
        stop_reason,
    }
}

/// Returns a response of a sweep whose gold reward is twice the setting.
pub fn sample(axis: SweepAxis, setting: f32) -> Sample {
    Sample {
        axis,
        setting,
        seed: 1,
        text: format!(" at {setting}, it was fine"),
        gold_reward: Some(2.0 * setting),
        value: None,
        kl_nats: 4.0 * setting * setting,
        kl_selection_bound_nats: 15.2,
        tokens: 5,
        base_perplexity: Some(12.0),
        elapsed_ms: 500.0,
    }
}
