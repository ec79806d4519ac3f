use super::*;
use crate::guidance::settings::Settings;
use crate::guidance::trace::{Candidate, TRACE_VERSION};

fn request(prompt: &str) -> Request {
    let columns = vec![Arm::Base.into(), Arm::Ivg.into()];
    Request { prompt: prompt.into(), local_time: None, columns, settings: Settings::default() }
}

fn token(text: &str) -> TokenTrace {
    TokenTrace {
        id: 0,
        text: text.into(),
        start: 0,
        end: text.len(),
        logp_base: -1.0,
        logp_guided: -0.5,
        logp_untuned: None,
        logp_tuned: None,
        advantage: None,
        steer_advantages: Vec::new(),
        unguided_mass: None,
        strength_factor: None,
        alternatives: Vec::new(),
        kl_nats: 0.25,
    }
}

fn tokens(run: RunId, arm: usize, texts: &[&str]) -> Vec<Event> {
    let cost = |i| Cost { sampled_tokens: i + 1, elapsed_ms: 10.0 };
    let event = |(i, t): (usize, &&str)| Event::Token { run, arm, token: token(t), cost: cost(i) };
    texts.iter().enumerate().map(event).collect()
}

fn chunk(run: RunId, arm: usize, value: f32, lead: &[&str]) -> Event {
    let candidate = Candidate {
        text: lead.concat(),
        parent: None,
        value: Some(value),
        survived: true,
        ended: false,
        tokens: lead.len(),
    };
    let chunk = ChunkTrace {
        end_token: lead.len(),
        candidates: vec![candidate],
        leader: 0,
        selection_kl_nats: None,
    };
    Event::Chunk { run, arm, chunk, lead: lead.iter().map(|t| token(t)).collect() }
}

fn done(session: &Session, run: RunId, stop_reason: StopReason) -> Event {
    let shown = session.run.as_ref().expect("a run");
    let arms = shown.arms.iter().map(|v| ArmTrace { stop_reason, ..v.report.clone() });
    let trace = Trace {
        local_time: None,
        version: TRACE_VERSION,
        program: "test".into(),
        pack: "test".into(),
        aim: None,
        seed: 1,
        prompt: shown.request.prompt.clone(),
        settings: Settings::default(),
        arms: arms.collect(),
    };
    Event::Done { run, trace: Box::new(trace) }
}

fn started(run: RunId) -> Session {
    let mut session = Session::default();
    session.begin(run, request("The film"));
    session.apply(Event::Started { run });
    session
}

fn feed(session: &mut Session, events: impl IntoIterator<Item = Event>) {
    events.into_iter().for_each(|e| session.apply(e));
}

#[test]
fn tokens_are_provisional_until_their_chunk_is_selected() {
    let mut session = started(1);
    feed(&mut session, tokens(1, 1, &[" was", " bad"]));
    let view = session.arm(Arm::Ivg).expect("guided");
    assert_eq!((view.report.text.as_str(), view.decided_bytes()), (" was bad", 0));
    session.apply(chunk(1, 1, 0.7, &[" was", " good"]));
    feed(&mut session, tokens(1, 1, &[" and"]));
    let view = session.arm(Arm::Ivg).expect("guided");
    assert_eq!(view.report.text, " was good and");
    assert_eq!(&view.report.text[..view.decided_bytes()], " was good");
    assert_eq!(view.report.value, Some(0.7));
    assert_eq!(session.arm(Arm::Base).expect("unguided").report.text, "");
}

#[test]
fn events_of_an_old_run_are_ignored() {
    let mut session = started(1);
    session.begin(2, request("The film"));
    feed(&mut session, tokens(1, 0, &[" late"]));
    session.apply(Event::Failed { run: 1, message: "late".into() });
    let run = session.run.as_ref().expect("a run");
    assert_eq!(run.phase, Phase::Starting);
    assert_eq!(run.arms[0].report.text, "");
    assert_eq!(session.error, None);
}

#[test]
fn a_finished_run_ignores_further_tokens() {
    let mut session = started(1);
    let end = done(&session, 1, StopReason::MaxTokens);
    session.apply(end);
    feed(&mut session, tokens(1, 0, &[" more"]));
    assert_eq!(session.arm(Arm::Base).expect("unguided").report.text, "");
    assert_eq!(session.run.as_ref().map(|r| r.phase), Some(Phase::Finished));
}

#[test]
fn a_failure_keeps_the_text() {
    let mut session = started(1);
    feed(&mut session, tokens(1, 0, &[" was"]));
    session.apply(Event::Failed { run: 1, message: "Out of memory.".into() });
    assert_eq!(session.arm(Arm::Base).expect("unguided").report.text, " was");
    assert_eq!(session.error.as_deref(), Some("Out of memory."));
    assert!(!session.is_running());
}

#[test]
fn a_failure_drops_the_previous_text_only_in_arms_with_new_text() {
    let mut session = started(1);
    feed(&mut session, tokens(1, 0, &[" was a long film"]));
    feed(&mut session, tokens(1, 1, &[" was a short film"]));
    session.begin(2, request("The film"));
    feed(&mut session, tokens(2, 0, &[" was"]));
    session.apply(Event::Failed { run: 2, message: "Out of memory.".into() });
    assert_eq!(session.arm(Arm::Base).expect("unguided").ghost_tail(), "");
    assert_eq!(session.arm(Arm::Ivg).expect("guided").ghost_tail(), " was a short film");
}

#[test]
fn a_run_is_stopping_until_the_worker_has_stopped_it() {
    let mut session = started(1);
    session.stopping();
    session.apply(Event::Started { run: 1 });
    assert_eq!(session.run.as_ref().map(|r| r.phase), Some(Phase::Stopping));
    let end = done(&session, 1, StopReason::Stopped);
    session.apply(end);
    assert_eq!(session.run.as_ref().map(|r| r.phase), Some(Phase::Stopped));
}

#[test]
fn the_previous_text_shows_behind_the_new_text_from_the_next_word_on() {
    let mut session = started(1);
    feed(&mut session, tokens(1, 0, &[" was a long film"]));
    session.begin(2, request("The film"));
    assert_eq!(session.arm(Arm::Base).expect("unguided").ghost_tail(), " was a long film");
    feed(&mut session, tokens(2, 0, &[" wash"]));
    assert_eq!(session.arm(Arm::Base).expect("unguided").ghost_tail(), " a long film");
    session.begin(3, request("The film"));
    assert_eq!(session.arm(Arm::Base).expect("unguided").ghost_tail(), " wash a long film");
    feed(&mut session, tokens(3, 0, &[" was a much longer film"]));
    assert_eq!(session.arm(Arm::Base).expect("unguided").ghost_tail(), "");
}

#[test]
fn another_prompt_drops_the_previous_text() {
    let mut session = started(1);
    feed(&mut session, tokens(1, 0, &[" was"]));
    session.begin(2, request("The book"));
    assert_eq!(session.arm(Arm::Base).expect("unguided").ghost, Ghost::default());
}

#[test]
fn the_ghost_is_cut_at_a_character_boundary() {
    let mut session = started(1);
    feed(&mut session, tokens(1, 0, &["éé fin"]));
    session.begin(2, request("The film"));
    feed(&mut session, tokens(2, 0, &["a"]));
    assert_eq!(session.arm(Arm::Base).expect("unguided").ghost_tail(), " fin");
}

#[test]
fn the_value_axis_only_widens() {
    let mut session = started(1);
    session.apply(chunk(1, 0, 2.0, &[" a"]));
    session.apply(chunk(1, 1, -1.0, &[" b"]));
    let span = session.run.as_ref().expect("a run").value_span();
    assert!(*span.start() < -1.0 && *span.end() > 2.0);
    session.begin(2, request("The film"));
    session.apply(chunk(2, 0, 0.5, &[" a"]));
    assert_eq!(session.run.as_ref().expect("a run").value_span(), span);
    session.apply(chunk(2, 1, f32::NAN, &[" b"]));
    assert_eq!(session.run.as_ref().expect("a run").value_span(), span);
}

#[test]
fn the_value_axis_is_reset_by_another_value_source_or_pack() {
    use crate::guidance::settings::ValueSource;
    let mut session = started(1);
    session.apply(chunk(1, 0, 20.0, &[" a"]));
    let mut implicit = request("The film");
    implicit.settings.value_source = ValueSource::Implicit;
    session.begin(2, implicit);
    session.apply(chunk(2, 0, 0.5, &[" a"]));
    let span = session.run.as_ref().expect("a run").value_span();
    assert!(*span.end() < 3.0, "{span:?}");
    // The same value source, with another pack.
    session.begin(3, request("The film"));
    session.apply(chunk(3, 0, 20.0, &[" a"]));
    session.has_new_pack = true;
    session.begin(4, request("The film"));
    session.apply(chunk(4, 0, 0.5, &[" a"]));
    let span = session.run.as_ref().expect("a run").value_span();
    assert!(*span.end() < 3.0, "{span:?}");
}

#[test]
fn progress_is_the_token_count_of_the_slowest_arm() {
    let mut session = started(1);
    feed(&mut session, tokens(1, 0, &["a", "b", "c"]));
    feed(&mut session, tokens(1, 1, &["a"]));
    assert_eq!(session.run.as_ref().expect("a run").tokens_so_far(), 1);
}

fn with_max_tokens(session: &Session, max_tokens: usize, value: f32) -> Trace {
    let Event::Done { trace, .. } = done(session, 1, StopReason::MaxTokens) else {
        panic!("not the end of a run")
    };
    let mut trace = *trace;
    for arm in &mut trace.arms {
        arm.settings.max_tokens = max_tokens;
        let Event::Chunk { chunk, .. } = chunk(1, 0, value, &[" a"]) else { panic!("no chunk") };
        arm.chunks = vec![chunk];
    }
    trace
}

#[test]
fn added_arms_widen_both_axes_and_keep_their_trace() {
    let mut session = started(1);
    let added = with_max_tokens(&session, 80, 20.0);
    assert_eq!(session.add_arms(2, added.clone(), 4), None, "the run has not ended");
    let end = done(&session, 1, StopReason::MaxTokens);
    session.apply(end);
    let columns = session.add_arms(2, added.clone(), 3).expect("columns");
    let run = session.run.as_ref().expect("a run");
    assert_eq!((columns.len(), run.arms.len(), run.id), (3, 3, 2));
    assert!(run.trace.is_some());
    assert_eq!((run.beside.len(), run.beside[0].arms.len()), (1, 1), "only the arm that is shown");
    assert!(*run.value_span().end() > 20.0);
    assert_eq!(run.token_span(), 80);
    // A fourth arm is not added.
    session.add_arms(3, added, 3);
    let run = session.run.as_ref().expect("a run");
    assert_eq!((run.arms.len(), run.beside.len(), run.id), (3, 1, 2));
}

#[test]
fn arms_of_another_prompt_or_pack_are_not_comparable() {
    let mut session = started(1);
    let end = done(&session, 1, StopReason::MaxTokens);
    session.apply(end);
    let same = with_max_tokens(&session, 50, 1.0);
    let other_pack = Trace { pack: "other".into(), ..same.clone() };
    let other_prompt = Trace { prompt: "The book".into(), ..same.clone() };
    for (trace, comparable) in [(same, true), (other_pack, false), (other_prompt, false)] {
        session.add_arms(2, trace, 100);
        let arms = &session.run.as_ref().expect("a run").arms;
        let last = arms.last().expect("an arm");
        assert_eq!(arms[0].is_comparable(last), comparable);
    }
}
