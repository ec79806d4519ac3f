//! Names of arms and one-line summaries of settings, for the window, reports and files.

use super::settings::{Arm, Settings, ValueSource};
use super::trace::ArmTrace;
use crate::format::{excerpt, plain};

/// Maximum number of differing settings in a title.
const MAX_DIFFERENCES: usize = 2;
/// Maximum length of an instruction in a line, in characters.
const STEER_CHARS: usize = 32;

/// Returns the title of an arm. `applied` are the settings that it decodes with.
pub fn title(arm: Arm, applied: &Settings) -> String {
    match arm {
        Arm::Base => "Unguided".into(),
        Arm::BestOfN => format!("Best of {}", applied.beams * applied.successors),
        Arm::Token => "Token only".into(),
        Arm::Chunk => "Chunk only".into(),
        Arm::Ivg => "Guided".into(),
        Arm::PromptOnly => "Prompt only".into(),
    }
}

/// Returns the titles of the columns of a comparison. Equal titles get the settings that differ,
/// such as "Guided β 1" and "Guided β −1". Titles that are still equal are numbered.
pub(crate) fn titles<'a>(columns: impl IntoIterator<Item = (Arm, &'a Settings)>) -> Vec<String> {
    let columns: Vec<(Arm, &Settings)> = columns.into_iter().collect();
    let mut titles: Vec<String> = Vec::new();
    for &(arm, applied) in &columns {
        let equal = |other: &&(Arm, &Settings)| title(other.0, other.1) == title(arm, applied);
        let group: Vec<_> = columns.iter().filter(equal).map(|(_, s)| settings_of(s)).collect();
        let mut title = title(arm, applied);
        let own = settings_of(applied).into_iter().enumerate();
        let differs = own.filter(|(i, text)| group.iter().any(|other| other[*i] != *text));
        for (_, text) in differs.take(MAX_DIFFERENCES) {
            title = format!("{title} {text}");
        }
        let mut unique = title.clone();
        let mut number = 1;
        while titles.contains(&unique) {
            number += 1;
            let is_plain = title == self::title(arm, applied);
            unique =
                if is_plain { format!("{title} {number}") } else { format!("{title} ({number})") };
        }
        titles.push(unique);
    }
    titles
}

/// Returns each setting with its symbol, in order of importance.
fn settings_of(s: &Settings) -> [String; 13] {
    let source = match s.value_source {
        ValueSource::Explicit => "explicit",
        ValueSource::Implicit => "implicit",
    };
    [
        format!("β {}", plain(s.beta.into())),
        steers_line(s).unwrap_or_else(|| "without steer".to_owned()),
        format!("λ {}", plain(s.lambda.into())),
        format!("W {}", s.beams),
        format!("K {}", s.successors),
        format!("L {}", s.chunk_tokens),
        source.to_owned(),
        match s.token_source {
            ValueSource::Explicit => "tokens by value".to_owned(),
            ValueSource::Implicit => "tokens by pair".to_owned(),
        },
        format!("T {}", plain(s.temperature.into())),
        format!("top-p {}", plain(s.top_p.into())),
        format!("top-k {}", s.top_k),
        limit("KL ≤", s.kl_budget_nats).unwrap_or_else(|| "without KL budget".to_owned()),
        limit("mask", s.mask_nats).unwrap_or_else(|| "without mask".to_owned()),
    ]
}

/// Returns the titles of the arms of a trace.
pub(crate) fn titles_of(arms: &[ArmTrace]) -> Vec<String> {
    titles(arms.iter().map(|a| (a.name, &a.settings)))
}

/// Returns the settings that apply to an arm, in one line.
pub fn settings_line(arm: Arm, applied: &Settings) -> String {
    let by_value = applied.token_source == ValueSource::Explicit;
    let token_source = if by_value { " · tokens by value" } else { "" };
    let token = format!("β {}{token_source}", plain(applied.beta.into()));
    let source = match applied.value_source {
        ValueSource::Explicit => "",
        ValueSource::Implicit => " · implicit",
    };
    let chunk = format!(
        "λ {} · W {} · K {} · L {}{source}",
        plain(applied.lambda.into()),
        applied.beams,
        applied.successors,
        applied.chunk_tokens
    );
    let mut token = [Some(token), steers_line(applied)].into_iter().flatten().collect::<Vec<_>>();
    token.extend(limit("KL ≤", applied.kl_budget_nats));
    token.extend(limit("mask", applied.mask_nats));
    let token = token.join(" · ");
    match arm {
        Arm::Base => "base model".into(),
        Arm::BestOfN => format!("whole responses{source}"),
        Arm::Token => token,
        Arm::Chunk => chunk,
        Arm::Ivg => format!("{token} · {chunk}"),
        Arm::PromptOnly => {
            let prompt = applied.active_steers().map(|steer| steer.name()).next();
            format!("base model, told {}", excerpt(&prompt.unwrap_or_default(), STEER_CHARS))
        }
    }
}

/// Returns the steers and their strengths, such as "“Be brief.” 1.5". Returns `None` without steers.
fn steers_line(settings: &Settings) -> Option<String> {
    let steers: Vec<String> = settings
        .active_steers()
        .map(|s| format!("{} {}", excerpt(&s.name(), STEER_CHARS), plain(s.beta.into())))
        .collect();
    (!steers.is_empty()).then(|| steers.join(" · "))
}

/// Returns a limit of the guidance in nats, such as "KL ≤ 5". Returns `None` if it is off.
fn limit(name: &str, nats: f32) -> Option<String> {
    nats.is_finite().then(|| format!("{name} {}", plain(nats.into())))
}

/// Returns the value of a setting in the line of [`settings_line`], such as "1" for `β`.
pub(crate) fn setting_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split(" · ").find_map(|part| part.strip_prefix(name)?.strip_prefix(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_titles_are_numbered() {
        let s = Settings::default();
        let arms = [Arm::Base, Arm::Ivg, Arm::Ivg, Arm::BestOfN, Arm::Ivg];
        let applied = arms.map(|arm| (arm, arm.apply(&s)));
        let titles = titles(applied.iter().map(|(arm, s)| (*arm, s)));
        assert_eq!(titles, ["Unguided", "Guided", "Guided 2", "Best of 16", "Guided 3"]);
    }

    #[test]
    fn titles_of_the_same_arm_tell_what_differs() {
        let s = Settings::default();
        let other = Settings { beta: -1.0, ..s.clone() };
        let soft = Settings { lambda: 0.0, beams: 2, chunk_tokens: 9, ..other.clone() };
        let of = |columns: &[&Settings]| titles(columns.iter().map(|s| (Arm::Ivg, *s)));
        assert_eq!(of(&[&s, &other]), ["Guided β 1", "Guided β −1"]);
        assert_eq!(of(&[&s, &s, &other]), ["Guided β 1", "Guided β 1 (2)", "Guided β −1"]);
        assert_eq!(of(&[&other, &soft]), ["Guided λ ∞ W 4", "Guided λ 0 W 2"]);
    }

    #[test]
    fn a_settings_line_holds_the_settings_that_apply() {
        let s = Settings { beta: -0.5, value_source: ValueSource::Implicit, ..Settings::default() };
        let line = |arm: Arm| settings_line(arm, &arm.apply(&s));
        assert_eq!(line(Arm::Ivg), "β −0.5 · λ ∞ · W 4 · K 4 · L 5 · implicit");
        assert_eq!(line(Arm::Token), "β −0.5");
        assert_eq!(line(Arm::Base), "base model");
        let guided = line(Arm::Ivg);
        assert_eq!((setting_of(&guided, "β"), setting_of(&guided, "λ")), (Some("−0.5"), Some("∞")));
        assert_eq!(setting_of(&line(Arm::Base), "β"), None);
    }
}
