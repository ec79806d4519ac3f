//! Names of arms and one-line summaries of settings, for the window, reports and files.

use super::settings::{Arm, Settings, ValueSource};
use super::trace::ArmTrace;
use crate::format::plain;

/// Returns the title of an arm. `applied` are the settings that it decodes with.
pub fn title(arm: Arm, applied: &Settings) -> String {
    match arm {
        Arm::Base => "Unguided".into(),
        Arm::BestOfN => format!("Best of {}", applied.beams * applied.successors),
        Arm::Token => "Token only".into(),
        Arm::Chunk => "Chunk only".into(),
        Arm::Ivg => "Guided".into(),
    }
}

/// Returns the titles of the columns of a comparison. Numbers titles that would be equal.
pub(crate) fn titles<'a>(columns: impl IntoIterator<Item = (Arm, &'a Settings)>) -> Vec<String> {
    let mut titles: Vec<String> = Vec::new();
    for (arm, applied) in columns {
        let title = title(arm, applied);
        let mut unique = title.clone();
        let mut number = 1;
        while titles.contains(&unique) {
            number += 1;
            unique = format!("{title} {number}");
        }
        titles.push(unique);
    }
    titles
}

/// Returns the titles of the arms of a trace.
pub(crate) fn titles_of(arms: &[ArmTrace]) -> Vec<String> {
    titles(arms.iter().map(|a| (a.name, &a.settings)))
}

/// Returns the settings that apply to an arm, in one line.
pub fn settings_line(arm: Arm, applied: &Settings) -> String {
    let token = format!("β {}", plain(applied.beta.into()));
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
    match arm {
        Arm::Base => "base model".into(),
        Arm::BestOfN => format!("whole responses{source}"),
        Arm::Token => token,
        Arm::Chunk => chunk,
        Arm::Ivg => format!("{token} · {chunk}"),
    }
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
