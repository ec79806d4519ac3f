//! Decides which settings, arms and runs are unavailable, and states the reason.

use super::preferences::Preferences;
use crate::format;
use crate::format::counted;
use crate::guidance::labels;
use crate::guidance::settings::{Arm, MissingGuide, Settings, ValueSource};
use crate::worker::protocol::PackInfo;

/// Maximum length of a prompt in bytes: several times the models' context lengths.
const MAX_PROMPT_BYTES: usize = 64 << 10;
/// Maximum number of lines of a prompt. A short line takes as long to draw as a long one.
const MAX_PROMPT_LINES: usize = 2000;

/// The settings that can be disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    /// Token guidance β.
    Beta,
    /// Chunk guidance λ.
    Lambda,
    /// Beams W and successors K.
    Rows,
    /// Nucleus sampling: top-p.
    TopP,
    /// Number of most likely tokens to sample from: top-k.
    TopK,
    /// Ranking chunks by the value model.
    ExplicitValue,
    /// Ranking chunks by the tuned/untuned pair.
    ImplicitValue,
}

const NO_GUIDES: &str =
    "This pack has no value model and no tuned/untuned pair to rank partial responses.";
const NO_VALUE_MODEL: &str =
    "λ needs a value model, and this pack has none. Rank chunks by implicit values instead.";
const NO_PAIR: &str = "This pack has no tuned/untuned pair; rank by the value model instead.";

/// Returns the reason `control` has no effect with these settings and this pack, or `None` if it
/// applies. While no pack is loaded, pairs and value models are assumed to exist.
pub(crate) fn disabled_reason(
    control: Control,
    settings: &Settings,
    pack: Option<&PackInfo>,
) -> Option<&'static str> {
    let has_own_pair = pack.is_none_or(|p| p.has_pair);
    let has_pair = has_own_pair || settings.active_steers().next().is_some();
    let has_value = pack.is_none_or(|p| p.has_value);
    match control {
        Control::Beta if settings.token_source == ValueSource::Explicit => {
            (!has_value).then_some("This pack has no value model to guide the tokens.")
        }
        Control::Beta if !has_own_pair => {
            Some("β needs a tuned and an untuned model, and this pack has none.")
        }
        Control::ImplicitValue if !has_pair => {
            Some("β needs a tuned and an untuned model, and this pack has none.")
        }
        Control::ExplicitValue if !has_value => Some("This pack has no value model."),
        Control::Lambda | Control::Rows if !has_pair && !has_value => Some(NO_GUIDES),
        Control::Lambda => lambda_disabled_reason(settings, has_pair, has_value),
        Control::TopP | Control::TopK if settings.temperature == 0.0 => {
            Some("At temperature 0 the likeliest token is always taken.")
        }
        _ => None,
    }
}

fn lambda_disabled_reason(
    settings: &Settings,
    has_pair: bool,
    has_value: bool,
) -> Option<&'static str> {
    match settings.value_source {
        ValueSource::Explicit if !has_value => Some(NO_VALUE_MODEL),
        ValueSource::Implicit if !has_pair => Some(NO_PAIR),
        _ if settings.beams * settings.successors == 1 => {
            Some("With a single row (W·K = 1) there is nothing to choose between.")
        }
        _ => None,
    }
}

/// Returns the reason this pack cannot decode `arm` with the settings that the user chose, or
/// `None` if it can or while no pack is loaded.
pub(crate) fn arm_disabled_reason(
    arm: Arm,
    chosen: &Settings,
    pack: Option<&PackInfo>,
) -> Option<&'static str> {
    let PackInfo { has_pair, has_value, .. } = *pack?;
    Some(match arm.missing_guide(chosen, has_pair, has_value)? {
        MissingGuide::TokenGuide => {
            "This pack has no tuned/untuned pair, so tokens cannot be guided."
        }
        MissingGuide::Instruction => "Write a sentence to steer towards first.",
        _ if !has_pair && !has_value => NO_GUIDES,
        MissingGuide::TokenValues => "This pack has no value model to guide the tokens.",
        MissingGuide::ExplicitValues => NO_VALUE_MODEL,
        MissingGuide::ImplicitValues => NO_PAIR,
    })
}

/// Returns the reason `text` is too long for a prompt, or `None` if it fits.
pub(crate) fn prompt_too_long(text: &str) -> Option<String> {
    let lines = || 1 + text.bytes().filter(|&b| b == b'\n').count();
    // This check runs every frame. A text of fewer bytes than lines allowed needs no counting.
    let is_short = text.len() < MAX_PROMPT_LINES;
    if is_short || (text.len() <= MAX_PROMPT_BYTES && lines() <= MAX_PROMPT_LINES) {
        return None;
    }
    let (kib, max_kib) = (text.len().div_ceil(1024), MAX_PROMPT_BYTES >> 10);
    Some(format!(
        "{kib} KiB in {} is too long for a prompt; the limit is {max_kib} KiB and \
         {MAX_PROMPT_LINES} lines.",
        counted(lines(), "line")
    ))
}

/// Returns the reason nothing can be generated for any column, or `None` if something can.
pub(crate) fn not_ready_reason(
    prompt: &str,
    settings: &Settings,
    pack: Option<&PackInfo>,
) -> Option<String> {
    if pack.is_none() {
        return Some("No models are loaded yet.".into());
    }
    if prompt.trim().is_empty() {
        return Some("Type a prompt first, or pick an example.".into());
    }
    if let Some(reason) = prompt_too_long(prompt) {
        return Some(reason);
    }
    settings.validate().err().map(|e| format::sentence(&e.to_string()))
}

/// Returns the reason a run cannot start, or `None` if it can.
pub(crate) fn run_disabled_reason(
    preferences: &Preferences,
    pack: Option<&PackInfo>,
) -> Option<String> {
    let Preferences { prompt, settings, columns, .. } = preferences;
    not_ready_reason(prompt, settings, pack).or_else(|| {
        columns.iter().find_map(|column| {
            let reason = arm_disabled_reason(column.arm, &column.chosen(settings), pack)?;
            let name = labels::title(column.arm, &column.applied(settings));
            Some(format!("{name}: {reason} Choose another arm for this column."))
        })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::worker::protocol::PackSource;

    /// Returns a pack with these guides, without examples and stories.
    pub(in crate::app) fn pack(has_pair: bool, has_value: bool) -> PackInfo {
        PackInfo {
            source: PackSource::default(),
            name: "test".into(),
            description: String::new(),
            roles: Vec::new(),
            examples: Vec::new(),
            aim: None,
            stories: Vec::new(),
            steers: Vec::new(),
            controls: Vec::new(),
            defaults: Settings::default(),
            context_tokens: 512,
            device: "CPU".into(),
            device_note: None,
            has_pair,
            has_value,
            has_judge: true,
            reads_instructions: true,
        }
    }

    #[test]
    fn beta_needs_a_pair() {
        let s = Settings::default();
        assert!(disabled_reason(Control::Beta, &s, Some(&pack(false, true))).is_some());
        assert_eq!(disabled_reason(Control::Beta, &s, Some(&pack(true, false))), None);
        assert_eq!(disabled_reason(Control::Beta, &s, None), None);
    }

    #[test]
    fn lambda_needs_the_chosen_value_source_and_more_than_one_row() {
        let mut s = Settings::default();
        assert_eq!(disabled_reason(Control::Lambda, &s, Some(&pack(true, true))), None);
        let missing = disabled_reason(Control::Lambda, &s, Some(&pack(true, false)));
        assert!(missing.is_some_and(|r| r.contains("needs a value model")));
        s.value_source = ValueSource::Implicit;
        assert_eq!(disabled_reason(Control::Lambda, &s, Some(&pack(true, false))), None);
        // With one successor per beam, λ still chooses the response among the beams.
        s.successors = 1;
        assert_eq!(disabled_reason(Control::Lambda, &s, Some(&pack(true, true))), None);
        s.beams = 1;
        let none = disabled_reason(Control::Lambda, &s, Some(&pack(true, true)));
        assert!(none.is_some_and(|r| r.contains("W·K = 1")));
    }

    #[test]
    fn top_p_does_not_apply_at_temperature_zero() {
        let s = Settings { temperature: 0.0, ..Settings::default() };
        assert!(disabled_reason(Control::TopP, &s, None).is_some());
        assert_eq!(disabled_reason(Control::TopP, &Settings::default(), None), None);
    }

    #[test]
    fn a_run_needs_a_pack_a_prompt_and_valid_settings() {
        let p = pack(true, true);
        let preferences =
            |prompt: &str| Preferences { prompt: prompt.into(), ..Preferences::default() };
        assert!(run_disabled_reason(&preferences("Hello"), None).is_some());
        assert!(
            run_disabled_reason(&preferences(" \n"), Some(&p))
                .is_some_and(|r| r.contains("prompt"))
        );
        assert_eq!(run_disabled_reason(&preferences("Hello"), Some(&p)), None);
        let mut wide = preferences("Hello");
        (wide.settings.beams, wide.settings.successors) = (16, 16);
        assert!(run_disabled_reason(&wide, Some(&p)).is_some_and(|r| r.starts_with("Rows W·K")));
    }

    #[test]
    fn names_the_column_that_the_pack_cannot_decode() {
        let mut preferences = Preferences { prompt: "Hello".into(), ..Preferences::default() };
        let reason = run_disabled_reason(&preferences, Some(&pack(true, false)));
        assert!(
            reason.is_some_and(|r| r.starts_with("Guided:") && r.contains("needs a value model"))
        );
        preferences.columns = vec![Arm::Base.into(), Arm::Token.into()];
        assert_eq!(run_disabled_reason(&preferences, Some(&pack(true, false))), None);
        assert!(
            run_disabled_reason(&preferences, Some(&pack(false, true)))
                .is_some_and(|r| r.contains("pair"))
        );
    }

    #[test]
    fn rejects_prompts_with_too_many_bytes_or_lines() {
        assert_eq!(prompt_too_long(&"a".repeat(MAX_PROMPT_BYTES)), None);
        assert_eq!(prompt_too_long(&"\n".repeat(MAX_PROMPT_LINES - 1)), None);
        let long = prompt_too_long(&"a".repeat(MAX_PROMPT_BYTES + 1));
        assert!(long.is_some_and(|r| r.starts_with("65 KiB in 1 line is")));
        let lines = prompt_too_long(&"a\n".repeat(10_000));
        assert!(lines.is_some_and(|r| r.starts_with("20 KiB in 10001 lines")));
    }
}
