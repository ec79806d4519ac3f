//! Formats numbers and texts for display. The window, the reports and the command line share these
//! functions, so they show the same value in the same way.

pub use crate::bounded_read::excerpt;
use std::borrow::Cow;

/// Returns a count with its noun, such as "1 line" or "2 lines".
pub fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// Returns `text` as one printable line, for text from a file. Replaces line ends and tabs with
/// spaces, and control characters, line separators and direction marks with U+FFFD.
pub fn one_line(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        // Line separators, and marks that change the direction of text.
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// Replaces control characters with their Unicode pictures, such as ␀. Keeps line ends and tabs.
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

/// Returns a number of weights, such as "13.1 M" or "7.2 B". Below 50,000 it is exact.
pub fn weights(count: u64) -> String {
    match count {
        0..50_000 => count.to_string(),
        50_000..999_950_000 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.1} B", count as f64 / 1e9),
    }
}

/// Returns the separator to show between a prompt and its response: an empty string if the response
/// continues the prompt, a blank line if it answers the prompt. Decides by the characters on both
/// sides, because a continuation begins with its own space.
pub(crate) fn separator(prompt: &str, response: &str) -> &'static str {
    let (Some(last), Some(first)) = (prompt.chars().next_back(), response.chars().next()) else {
        return "";
    };
    let is_closed = ['.', '?', '!', '…', ':', '”'].contains(&last);
    let is_text = first.is_alphabetic() || ['*', '#', '-', '"', '“', '`'].contains(&first);
    // A capital after a short word may continue a name, as in McDonald or YouTube.
    let word = prompt.chars().rev().take_while(|c| c.is_lowercase()).count();
    let starts_anew = first.is_uppercase() && word >= LONG_WORD;
    if starts_anew || (is_closed && is_text) { "\n\n" } else { "" }
}

/// Returns prompt and response joined for display.
pub fn joined(prompt: &str, response: &str) -> String {
    format!("{prompt}{}{response}", separator(prompt, response))
}

/// Minimum lower-case letters before a capital that starts an answer; see [`separator`].
const LONG_WORD: usize = 4;

/// Returns a number with as many decimals as needed, at most three, and with a minus sign (U+2212).
pub fn plain(value: f64) -> String {
    if value == f64::INFINITY {
        return "∞".into();
    }
    let text = format!("{value:.3}");
    minus(text.trim_end_matches('0').trim_end_matches('.'))
}

/// Replaces the hyphen with a minus sign (U+2212), which is as wide as a plus.
pub(crate) fn minus(number: &str) -> String {
    number.replace('-', "−")
}

/// Returns `text` as a sentence: begins with a capital letter, unless the first word is a path, and
/// ends with a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let text = text.trim();
    let word = text.split_whitespace().next().unwrap_or("");
    let is_path = word.contains(['/', '\\']) || word.trim_end_matches([':', '.']).contains('.');
    // ASCII letters only: symbols such as β keep their case.
    let capital = !is_path && text.starts_with(|c: char| c.is_ascii_lowercase());
    let (first, rest) = text.split_at(capital.into());
    let first = first.to_ascii_uppercase();
    let end = if text.ends_with(['.', '!', '?', '…']) { "" } else { "." };
    format!("{first}{rest}{end}")
}

/// Returns a duration, rounded up to whole seconds, or to whole minutes from one minute on.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.ceil() as u64;
    if whole < 60 { format!("{whole} s") } else { format!("{} min", whole.div_ceil(60)) }
}

/// Returns a number of bytes in decimal units, as the hub shows them.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        // A value that rounds up to four digits is shown in the next unit.
        if value < 999.5 {
            let decimals = usize::from(unit != "B" && value < 9.95);
            return format!("{value:.decimals$} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_control_characters_as_pictures() {
        assert_eq!(visible("a\u{0}b\u{7f}\u{85}\r\nc\td"), "a␀b␡\u{fffd}\nc\td");
        assert!(matches!(visible("映画\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn writes_weights_in_a_suitable_unit() {
        let counts = [577, 49_999, 50_000, 13_107_200, 999_949_999, 999_950_000, 7_241_732_096];
        let words = ["577", "49999", "0.1 M", "13.1 M", "999.9 M", "1.0 B", "7.2 B"];
        assert_eq!(counts.map(weights), words);
    }

    #[test]
    fn separates_answers_but_not_continuations() {
        for (prompt, response) in
            [("Why is the sky blue?", "The"), ("Tell me about Paris", "Paris is"), ("Go:", "- a")]
        {
            assert_eq!(separator(prompt, response), "\n\n", "{prompt}");
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
            assert_eq!(separator(prompt, response), "", "{prompt}");
        }
    }

    #[test]
    fn capitalises_a_sentence_unless_it_begins_with_a_path() {
        assert_eq!(sentence("no pack "), "No pack.");
        assert_eq!(sentence("β is NaN; choose −3 to 3"), "β is NaN; choose −3 to 3.");
        assert_eq!(sentence("a/pack.toml: unknown key."), "a/pack.toml: unknown key.");
        assert_eq!(sentence("run.json is cut short"), "run.json is cut short.");
    }

    #[test]
    fn shortens_an_excerpt_to_one_line() {
        assert_eq!(excerpt(" was\nfine, \t he said", 40), "was fine, he said");
        assert_eq!(excerpt("Ein schöner Tag", 15), "Ein schöner Tag");
        assert_eq!(excerpt("Ein schöner Tag", 9), "Ein schö…");
    }

    #[test]
    fn writes_numbers_with_few_decimals() {
        assert_eq!(plain(1.0), "1");
        assert_eq!(plain(-0.25), "−0.25");
        assert_eq!(plain(f64::INFINITY), "∞");
    }

    #[test]
    fn writes_bytes_in_a_suitable_unit() {
        let sizes =
            [0, 999, 1_000, 9_949, 9_950, 999_499, 999_500, 3_420_000_000, 2 * 10u64.pow(12)];
        let words =
            ["0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "999 kB", "1.0 MB", "3.4 GB", "2.0 TB"];
        assert_eq!(sizes.map(bytes), words);
    }

    #[test]
    fn writes_long_durations_in_minutes() {
        assert_eq!((duration(0.2), duration(59.0)), ("1 s".into(), "59 s".into()));
        assert_eq!(duration(70.4), "2 min");
    }
}
