//! How arms, settings and numbers are written for people: the window, reports and files say the
//! same thing in the same words.

pub use crate::text::excerpt;
use std::borrow::Cow;

use crate::guidance::settings::{Arm, Settings, ValueSource};
use crate::guidance::trace::ArmTrace;

/// A number of things, such as "1 line" and "2 lines".
pub fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// `text` in one line of what can be printed: what comes out of a file may hold anything.
pub fn one_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        // What ends a line elsewhere, or turns the order of letters around.
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Control characters as their pictures; line ends and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_hidden = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", "\n");
    text.chars().map(|c| if is_hidden(c) { picture(c) } else { c }).collect::<String>().into()
}

fn picture(control: char) -> char {
    match control as u32 {
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        0x7f => '␡',
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// A number of weights, such as "13.1 M" or "7.2 B"; few are counted.
pub fn weights(count: u64) -> String {
    match count {
        0..50_000 => count.to_string(),
        50_000..999_950_000 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.1} B", count as f64 / 1e9),
    }
}

/// What stands between a prompt and its response for people: nothing where the response goes on
/// with the prompt, a new paragraph where it answers it. Which of the two it is shows at the seam:
/// a text that goes on brings its own space.
pub fn seam(prompt: &str, response: &str) -> &'static str {
    let (Some(last), Some(first)) = (prompt.chars().next_back(), response.chars().next()) else {
        return "";
    };
    let is_closed = ['.', '?', '!', '…', ':', '”'].contains(&last);
    let is_text = first.is_alphabetic() || ['*', '#', '-', '"', '“', '`'].contains(&first);
    // Names go on with a capital: Mc·Donald, You·Tube.
    let word = prompt.chars().rev().take_while(|c| c.is_lowercase()).count();
    let starts_anew = first.is_uppercase() && word >= LONG_WORD;
    if starts_anew || (is_closed && is_text) { "\n\n" } else { "" }
}

/// Prompt and response as people read them.
pub fn joined(prompt: &str, response: &str) -> String {
    format!("{prompt}{}{response}", seam(prompt, response))
}

/// Letters behind which a capital begins something new.
const LONG_WORD: usize = 4;

/// A number with as many decimals as it needs, three at most.
pub fn plain(value: f64) -> String {
    if value == f64::INFINITY {
        return "∞".into();
    }
    let text = format!("{value:.3}");
    minus(text.trim_end_matches('0').trim_end_matches('.'))
}

/// A number with a minus as wide as its plus.
pub fn minus(number: &str) -> String {
    number.replace('-', "−")
}

/// `text` as a sentence of its own: a capital letter in front, unless a path stands there, and a
/// full stop behind.
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    let word = text.split_whitespace().next().unwrap_or("");
    let is_path = word.contains(['/', '\\']) || word.trim_end_matches([':', '.']).contains('.');
    // A symbol such as β is no word that could begin with a capital.
    let capital = !is_path && text.starts_with(|c: char| c.is_ascii_lowercase());
    let (first, rest) = text.split_at(capital.into());
    let first = first.to_ascii_uppercase();
    let end = if text.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("{first}{rest}{end}")
}

/// Seconds, or from a minute on whole minutes.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.ceil() as u64;
    if whole < 60 { format!("{whole} s") } else { format!("{} min", whole.div_ceil(60)) }
}

/// A number of bytes, in the decimal units that the hub uses.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        // One that would be rounded up to four digits belongs to the next unit.
        if value < 999.5 {
            let decimals = usize::from(unit != "B" && value < 9.95);
            return format!("{value:.decimals$} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// What an arm is called at the settings it really decodes with.
pub fn title(arm: Arm, applied: &Settings) -> String {
    match arm {
        Arm::Base => "Unguided".into(),
        Arm::BestOfN => format!("Best of {}", applied.beams * applied.successors),
        Arm::Token => "Token only".into(),
        Arm::Chunk => "Chunk only".into(),
        Arm::Ivg => "Guided".into(),
    }
}

/// The titles of a comparison's columns, those that would read alike numbered.
pub fn titles<'a>(columns: impl IntoIterator<Item = (Arm, &'a Settings)>) -> Vec<String> {
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

/// The titles of a trace's arms.
pub fn titles_of(arms: &[ArmTrace]) -> Vec<String> {
    titles(arms.iter().map(|a| (a.name, &a.settings)))
}

/// The settings that make an arm what it is, in one line.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_gets_a_picture() {
        assert_eq!(visible("a\u{0}b\u{7f}\u{85}\r\nc\td"), "a␀b␡\u{fffd}\nc\td");
        assert!(matches!(visible("映画\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn weights_have_the_unit_that_suits() {
        let counts = [577, 49_999, 50_000, 13_107_200, 999_949_999, 999_950_000, 7_241_732_096];
        let words = ["577", "49999", "0.1 M", "13.1 M", "999.9 M", "1.0 B", "7.2 B"];
        assert_eq!(counts.map(weights), words);
    }

    #[test]
    fn an_answer_is_a_paragraph_of_its_own_and_a_continuation_is_not() {
        for (prompt, response) in
            [("Why is the sky blue?", "The"), ("Tell me about Paris", "Paris is"), ("Go:", "- a")]
        {
            assert_eq!(seam(prompt, response), "\n\n", "{prompt}");
        }
        for (prompt, response) in [
            ("This movie sucked.", " I mean"),
            ("This film", " is"),
            ("This fil", "m is"),
            ("The end.", "\n\nNo"),
            ("The end.", ""),
            ("", "The"),
            ("Ten (", "or eleven"),
            ("The critic wrote: \"", "A masterpiece"),
            ("It cost $3.", "50"),
            ("Mc", "Donald"),
            ("See it on You", "Tube"),
        ] {
            assert_eq!(seam(prompt, response), "", "{prompt}");
        }
    }

    #[test]
    fn columns_that_read_alike_are_numbered() {
        let s = Settings::default();
        let arms = [Arm::Base, Arm::Ivg, Arm::Ivg, Arm::BestOfN, Arm::Ivg];
        let applied = arms.map(|arm| (arm, arm.apply(&s)));
        let titles = titles(applied.iter().map(|(arm, s)| (*arm, s)));
        assert_eq!(titles, ["Unguided", "Guided", "Guided 2", "Best of 16", "Guided 3"]);
    }

    #[test]
    fn a_line_names_what_an_arm_decodes_with() {
        let s = Settings { beta: -0.5, value_source: ValueSource::Implicit, ..Settings::default() };
        let line = |arm: Arm| settings_line(arm, &arm.apply(&s));
        assert_eq!(line(Arm::Ivg), "β −0.5 · λ ∞ · W 4 · K 4 · L 5 · implicit");
        assert_eq!(line(Arm::Token), "β −0.5");
        assert_eq!(line(Arm::Base), "base model");
    }

    #[test]
    fn a_sentence_begins_with_a_capital_unless_with_a_path() {
        assert_eq!(sentence("no pack "), "No pack.");
        assert_eq!(sentence("β is NaN; choose −3 to 3"), "β is NaN; choose −3 to 3.");
        assert_eq!(sentence("a/pack.toml: unknown key."), "a/pack.toml: unknown key.");
        assert_eq!(sentence("run.json is cut off"), "run.json is cut off.");
    }

    #[test]
    fn an_excerpt_is_one_short_line() {
        assert_eq!(excerpt(" was\nfine, \t he said", 40), "was fine, he said");
        assert_eq!(excerpt("Ein schöner Tag", 15), "Ein schöner Tag");
        assert_eq!(excerpt("Ein schöner Tag", 9), "Ein schö…");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(plain(1.0), "1");
        assert_eq!(plain(-0.25), "−0.25");
        assert_eq!(plain(f64::INFINITY), "∞");
    }

    #[test]
    fn bytes_have_the_unit_that_suits() {
        let sizes =
            [0, 999, 1_000, 9_949, 9_950, 999_499, 999_500, 3_420_000_000, 2 * 10u64.pow(12)];
        let words =
            ["0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "3.4 GB", "2.0 TB"];
        assert_eq!(sizes.map(bytes), words);
    }

    #[test]
    fn long_times_are_in_minutes() {
        assert_eq!((duration(0.2), duration(59.0)), ("1 s".into(), "59 s".into()));
        assert_eq!(duration(70.4), "2 min");
    }
}
