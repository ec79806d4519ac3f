//! Makes text of users and models safe for messages and reports.

/// Returns the text on one line, with control characters as spaces. A text of more than
/// `max_chars` characters is cut and ends with an ellipsis.
pub(super) fn one_line(text: &str, max_chars: usize) -> String {
    let spaced = |c: char| if c.is_control() { ' ' } else { c };
    let line = text.trim_start().chars().take(max_chars + 1).map(spaced).collect::<String>();
    let line = line.trim();
    match line.char_indices().nth(max_chars) {
        Some((cut, _)) => format!("{}…", line[..cut].trim_end()),
        None => line.to_owned(),
    }
}

/// Escapes one line of text for Markdown, so that nothing in it is read as markup.
pub(super) fn markdown(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + line.len() / 8);
    let body = line.trim_start_matches([' ', '\t']);
    // Markdown would drop white space at the start, or read it as a code block.
    for space in line[..line.len() - body.len()].chars() {
        out.push_str(if space == '\t' { "&emsp;" } else { "&nbsp;" });
    }
    let after_number = body.trim_start_matches(|c: char| c.is_ascii_digit());
    let number_end = body.len() - after_number.len();
    for (at, c) in body.char_indices() {
        let is_markup = match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '~' | '|' | '$' | '@' => true,
            '#' | '+' | '-' | '=' | ':' => at == 0,
            // "1." and "1)" at the start of a line begin a numbered list.
            '.' | ')' => number_end > 0 && at == number_end,
            _ => false,
        };
        if is_markup {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!(one_line("  éé\nfilm ", 20), "éé film");
        assert_eq!(one_line("ééé", 2), "éé…");
        assert_eq!(one_line("éé", 2), "éé");
        assert_eq!(one_line(" \n", 2), "");
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(markdown("# a *b* <i> | c-d"), "\\# a \\*b\\* \\<i\\> \\| c-d");
        assert_eq!(markdown("12. a 3."), "12\\. a 3.");
        assert_eq!(markdown("    code"), "&nbsp;&nbsp;&nbsp;&nbsp;code");
    }
}
