//! Text of people and models, made safe to stand inside a sentence or a report.

use crate::words::visible;

/// At most `most` characters on one line, the end replaced by an ellipsis.
pub(super) fn one_line(text: &str, most: usize) -> String {
    let spaced = |c: char| if c.is_control() { ' ' } else { c };
    let line = text.trim_start().chars().take(most + 1).map(spaced).collect::<String>();
    let line = line.trim();
    match line.char_indices().nth(most) {
        Some((cut, _)) => format!("{}…", line[..cut].trim_end()),
        None => line.to_owned(),
    }
}

/// For HTML, between tags and inside quoted attributes.
pub(super) fn html(text: &str) -> String {
    let text = visible(text);
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// For one line of Markdown: nothing in it is markup any more.
pub(super) fn markdown(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + line.len() / 8);
    let body = line.trim_start_matches([' ', '\t']);
    // White space would be dropped, or make a block of code.
    for space in line[..line.len() - body.len()].chars() {
        out.push_str(if space == '\t' { "&emsp;" } else { "&nbsp;" });
    }
    let numbered = body.trim_start_matches(|c: char| c.is_ascii_digit());
    let list_mark = body.len() - numbered.len();
    for (at, c) in body.char_indices() {
        let is_markup = match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '~' | '|' | '$' | '@' => true,
            '#' | '+' | '-' | '=' | ':' => at == 0,
            '.' | ')' => list_mark > 0 && at == list_mark,
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
    fn markup_is_text() {
        assert_eq!(html("<a b='\"'>&"), "&lt;a b=&#39;&quot;&#39;&gt;&amp;");
        assert_eq!(markdown("# a *b* <i> | c-d"), "\\# a \\*b\\* \\<i\\> \\| c-d");
        assert_eq!(markdown("12. a 3."), "12\\. a 3.");
        assert_eq!(markdown("    code"), "&nbsp;&nbsp;&nbsp;&nbsp;code");
    }
}
