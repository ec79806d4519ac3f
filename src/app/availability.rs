//! Which setting cannot apply now, and the sentence that says why.

use super::preferences::Preferences;
use super::prompt_box::why_too_long;
use crate::guidance::settings::{Arm, Lack, Settings, ValueSource};
use crate::words;
use crate::worker::protocol::PackInfo;

/// The settings that can be out of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Token guidance β.
    Beta,
    /// Chunk guidance λ.
    Lambda,
    /// Beams W and successors K.
    Rows,
    /// Nucleus mass.
    TopP,
    /// Candidates kept.
    TopK,
    /// Ranking by the value model.
    ExplicitValue,
    /// Ranking by the tuned/untuned pair.
    ImplicitValue,
}

const NOTHING: &str = "This pack has nothing to rank partial responses with.";
const NO_VALUE_MODEL: &str = "This pack has no value model; rank by implicit values instead.";
const NO_PAIR: &str = "This pack has no tuned/untuned pair; rank by the value model instead.";

/// Why `control` does nothing under these settings and this pack; none if it applies.
/// While no pack is loaded everything can be set.
pub fn why_not(
    control: Control,
    settings: &Settings,
    pack: Option<&PackInfo>,
) -> Option<&'static str> {
    let has_pair = pack.is_none_or(|p| p.has_pair);
    let has_value = pack.is_none_or(|p| p.has_value);
    match control {
        Control::Beta | Control::ImplicitValue if !has_pair => {
            Some("This pack has no tuned/untuned pair, so there are no token values.")
        }
        Control::ExplicitValue if !has_value => Some("This pack has no value model."),
        Control::Lambda | Control::Rows if !has_pair && !has_value => Some(NOTHING),
        Control::Lambda => why_no_lambda(settings, has_pair, has_value),
        Control::TopP | Control::TopK if settings.temperature == 0.0 => {
            Some("At temperature 0 the likeliest token is always taken.")
        }
        _ => None,
    }
}

fn why_no_lambda(settings: &Settings, has_pair: bool, has_value: bool) -> Option<&'static str> {
    match settings.value_source {
        ValueSource::Explicit if !has_value => Some(NO_VALUE_MODEL),
        ValueSource::Implicit if !has_pair => Some(NO_PAIR),
        _ if settings.beams * settings.successors == 1 => {
            Some("With a single row (W·K = 1) there is nothing to choose between.")
        }
        _ => None,
    }
}

/// Why this pack cannot decode `arm` when a person has chosen these settings; none if it can, or
/// while no pack is loaded.
pub fn why_no_arm(arm: Arm, chosen: &Settings, pack: Option<&PackInfo>) -> Option<&'static str> {
    let PackInfo { has_pair, has_value, .. } = *pack?;
    Some(match arm.lacks(chosen, has_pair, has_value)? {
        Lack::TokenGuide => "This pack has no tuned/untuned pair, so tokens cannot be guided.",
        _ if !has_pair && !has_value => NOTHING,
        Lack::ExplicitValues => NO_VALUE_MODEL,
        Lack::ImplicitValues => NO_PAIR,
    })
}

/// Why nothing can be generated now, whatever the columns; none if something can.
pub fn why_not_ready(prompt: &str, settings: &Settings, pack: Option<&PackInfo>) -> Option<String> {
    if pack.is_none() {
        return Some("No models are loaded yet.".into());
    }
    if prompt.trim().is_empty() {
        return Some("Type a prompt first, or pick an example.".into());
    }
    if let Some(reason) = why_too_long(prompt) {
        return Some(reason);
    }
    settings.validate().err().map(|e| words::sentence(&e.to_string()))
}

/// Why a run cannot be started; none if it can.
pub fn why_no_run(preferences: &Preferences, pack: Option<&PackInfo>) -> Option<String> {
    let Preferences { prompt, settings, columns, .. } = preferences;
    why_not_ready(prompt, settings, pack).or_else(|| {
        columns.iter().find_map(|column| {
            let reason = why_no_arm(column.arm, &column.chosen(settings), pack)?;
            let name = words::title(column.arm, &column.applied(settings));
            Some(format!("{name}: {reason} Choose another arm for this column."))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::protocol::PackSource;

    fn pack(has_pair: bool, has_value: bool) -> PackInfo {
        PackInfo {
            source: PackSource::default(),
            name: "test".into(),
            description: String::new(),
            roles: Vec::new(),
            examples: Vec::new(),
            controls: Vec::new(),
            defaults: Settings::default(),
            context_tokens: 512,
            device: "CPU".into(),
            device_note: None,
            has_pair,
            has_value,
            has_judge: true,
        }
    }

    #[test]
    fn beta_wants_a_pair() {
        let s = Settings::default();
        assert!(why_not(Control::Beta, &s, Some(&pack(false, true))).is_some());
        assert_eq!(why_not(Control::Beta, &s, Some(&pack(true, false))), None);
        assert_eq!(why_not(Control::Beta, &s, None), None);
    }

    #[test]
    fn lambda_wants_the_chosen_value_and_a_choice() {
        let mut s = Settings::default();
        assert_eq!(why_not(Control::Lambda, &s, Some(&pack(true, true))), None);
        let missing = why_not(Control::Lambda, &s, Some(&pack(true, false)));
        assert!(missing.is_some_and(|r| r.contains("no value model")));
        s.value_source = ValueSource::Implicit;
        assert_eq!(why_not(Control::Lambda, &s, Some(&pack(true, false))), None);
        // One successor a beam: λ still chooses the answer among the beams.
        s.successors = 1;
        assert_eq!(why_not(Control::Lambda, &s, Some(&pack(true, true))), None);
        s.beams = 1;
        let none = why_not(Control::Lambda, &s, Some(&pack(true, true)));
        assert!(none.is_some_and(|r| r.contains("W·K = 1")));
    }

    #[test]
    fn greedy_sampling_has_no_nucleus() {
        let s = Settings { temperature: 0.0, ..Settings::default() };
        assert!(why_not(Control::TopP, &s, None).is_some());
        assert_eq!(why_not(Control::TopP, &Settings::default(), None), None);
    }

    #[test]
    fn a_run_wants_a_pack_a_prompt_and_valid_settings() {
        let p = pack(true, true);
        let wants = |prompt: &str| Preferences { prompt: prompt.into(), ..Preferences::default() };
        assert!(why_no_run(&wants("Hello"), None).is_some());
        assert!(why_no_run(&wants(" \n"), Some(&p)).is_some_and(|r| r.contains("prompt")));
        assert_eq!(why_no_run(&wants("Hello"), Some(&p)), None);
        let mut wide = wants("Hello");
        (wide.settings.beams, wide.settings.successors) = (16, 16);
        assert!(why_no_run(&wide, Some(&p)).is_some_and(|r| r.starts_with("Rows W·K")));
    }

    #[test]
    fn a_column_that_the_pack_cannot_decode_is_named() {
        let mut wants = Preferences { prompt: "Hello".into(), ..Preferences::default() };
        let reason = why_no_run(&wants, Some(&pack(true, false)));
        assert!(reason.is_some_and(|r| r.starts_with("Guided:") && r.contains("no value model")));
        wants.columns = vec![Arm::Base.into(), Arm::Token.into()];
        assert_eq!(why_no_run(&wants, Some(&pack(true, false))), None);
        assert!(why_no_run(&wants, Some(&pack(false, true))).is_some_and(|r| r.contains("pair")));
    }
}
