//! What the guides of a pack steer towards, and where the settings of a run steer.

use serde::{Deserialize, Serialize};

use super::settings::{Settings, ValueSource};
use super::steer::Steer;
use crate::format::excerpt;

/// Maximum length of a name in an aim, in characters. Longer names do not fit on a stage.
const MAX_NAME_CHARS: usize = 40;

/// What the guides of a pack steer towards, as nouns such as "praise" and "criticism".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { towards = \"praise\" }")]
pub struct Aim {
    /// What the guides favour. A high judge's score means much of it.
    pub towards: String,
    /// What reversed guides favour. A low judge's score means much of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away: Option<String>,
}

impl Aim {
    /// Checks the names.
    ///
    /// # Errors
    /// Returns the field and its problem: an empty name, a long one, or a control character.
    pub fn check(&self) -> Result<(), String> {
        for (field, name) in [("towards", Some(&self.towards)), ("away", self.away.as_ref())] {
            let Some(name) = name else { continue };
            if name.trim().is_empty() {
                return Err(format!("{field} is empty; write a noun such as \"praise\""));
            }
            if name.chars().count() > MAX_NAME_CHARS {
                return Err(format!("{field} is longer than {MAX_NAME_CHARS} characters"));
            }
            if name.contains(char::is_control) {
                return Err(format!("{field} contains a control character; remove it"));
            }
        }
        Ok(())
    }
}

/// Where the settings of a run steer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steering {
    /// Neither tokens nor chunks are guided.
    Off,
    /// Towards the aim.
    Towards,
    /// Away from the aim.
    Away,
    /// Tokens away from the aim, chunks towards it.
    Mixed,
}

impl Steering {
    /// Returns where `settings` steer with a pack that has these guides.
    pub fn of(settings: &Settings, has_pair: bool, has_value: bool) -> Self {
        let has_guide = match settings.token_source {
            ValueSource::Implicit => has_pair,
            ValueSource::Explicit => has_value,
        };
        let token = if has_guide { settings.beta } else { 0.0 };
        let has_choice = settings.beams * settings.successors > 1 && settings.lambda > 0.0;
        let is_chunk_guided = has_choice && (has_pair || has_value);
        match (token < 0.0, token > 0.0, is_chunk_guided) {
            (true, _, true) => Self::Mixed,
            (true, _, false) => Self::Away,
            (_, true, _) | (_, _, true) => Self::Towards,
            _ => Self::Off,
        }
    }

    /// Returns the sentence that tells where a run steers, as the text before the name of the
    /// goal, the name, and the text after it.
    pub fn sentence(self, aim: Option<&Aim>) -> (&'static str, String, String) {
        let none = String::new;
        let Some(aim) = aim else {
            return match self {
                Self::Off => ("Base model, not steered: both strengths are 0", none(), none()),
                Self::Towards => ("Base model, steered by the guides of this pack", none(), none()),
                Self::Away => ("Base model, steered against the guides", none(), none()),
                Self::Mixed => (
                    "Base model, tokens steered against the guides, chunks with them",
                    none(),
                    none(),
                ),
            };
        };
        let away = aim.away.clone().unwrap_or_else(|| format!("less {}", aim.towards));
        match self {
            Self::Off => ("Base model, not steered: both strengths are 0", none(), none()),
            Self::Towards => ("Base model, steered towards ", aim.towards.clone(), none()),
            Self::Away => ("Base model, steered towards ", away, none()),
            Self::Mixed => (
                "Base model, tokens steered towards ",
                away,
                format!(", chunks chosen for {}", aim.towards),
            ),
        }
    }

    /// Returns the whole sentence; see [`Self::sentence`].
    pub fn text(self, aim: Option<&Aim>) -> String {
        let (before, name, after) = self.sentence(aim);
        format!("{before}{name}{after}")
    }
}

/// Returns the sentence that tells where `settings` steer with a pack that has these guides and this
/// aim: the text before the names of the goals, the names, and the text after them. The names
/// include the instructions of the steers.
pub(crate) fn sentence(
    settings: &Settings,
    has_pair: bool,
    has_value: bool,
    aim: Option<&Aim>,
) -> (String, String, String) {
    let steering = Steering::of(settings, has_pair, has_value);
    let (before, name, after) = steering.sentence(aim);
    let on = || settings.active_steers().filter(|s| s.beta != 0.0 && !s.is_without_effect());
    let goal = |steer: &Steer| {
        let name = excerpt(&steer.name(), MAX_NAME_CHARS);
        let (away, reversed) = (steer.towards.trim().is_empty(), steer.beta < 0.0);
        if reversed && !away { format!("away from {name}") } else { name }
    };
    let goals: Vec<String> = on().map(goal).collect();
    if goals.is_empty() {
        return (before.to_owned(), name, after);
    }
    let goals = goals.join(" and ");
    match steering {
        Steering::Off => ("Base model, steered towards ".to_owned(), goals, String::new()),
        _ if name.is_empty() => (format!("{before} and towards "), goals, after),
        _ => (before.to_owned(), format!("{name} and {goals}"), after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn praise() -> Aim {
        Aim { towards: "praise".into(), away: Some("criticism".into()) }
    }

    #[test]
    fn settings_steer_towards_the_aim_away_from_it_both_ways_or_not_at_all() {
        let with = |beta, lambda| Settings { beta, lambda, ..Settings::default() };
        let single = |beta| Settings { beams: 1, successors: 1, ..with(beta, f32::INFINITY) };
        let cases = [
            (with(1.0, f32::INFINITY), Steering::Towards),
            (with(0.0, 3.0), Steering::Towards),
            (with(1.0, 0.0), Steering::Towards),
            (with(0.0, 0.0), Steering::Off),
            (single(0.0), Steering::Off),
            (with(-1.0, 0.0), Steering::Away),
            (single(-1.0), Steering::Away),
            (with(-1.0, 3.0), Steering::Mixed),
        ];
        for (settings, expected) in cases {
            assert_eq!(Steering::of(&settings, true, true), expected, "{settings:?}");
        }
        assert_eq!(Steering::of(&with(-1.0, 0.0), false, true), Steering::Off, "no pair");
        assert_eq!(Steering::of(&with(0.0, 3.0), false, false), Steering::Off, "no guide");
    }

    #[test]
    fn sentences_name_what_the_run_steers_towards() {
        let aim = praise();
        let text = |steering: Steering| steering.text(Some(&aim));
        assert_eq!(text(Steering::Towards), "Base model, steered towards praise");
        assert_eq!(text(Steering::Away), "Base model, steered towards criticism");
        let mixed = "Base model, tokens steered towards criticism, chunks chosen for praise";
        assert_eq!(text(Steering::Mixed), mixed);
        assert!(text(Steering::Off).contains("not steered"));
        let one_sided = Aim { away: None, ..praise() };
        assert!(Steering::Away.text(Some(&one_sided)).ends_with("towards less praise"));
        assert!(Steering::Towards.text(None).contains("guides"));
    }

    #[test]
    fn bad_names_are_rejected() {
        for bad in ["", "  ", "a\nb", &"a".repeat(41)] {
            assert!(Aim { towards: bad.into(), away: None }.check().is_err(), "{bad:?}");
            assert!(Aim { away: Some(bad.into()), ..praise() }.check().is_err(), "{bad:?}");
        }
        assert_eq!(praise().check(), Ok(()));
    }
}
