//! Rewrites a template into minijinja's dialect before it is compiled.
//!
//! * Line ends become `\n`, as in Jinja2, and a line end after `{% raw %}` is kept.
//! * `{% generation %}` … `{% endgeneration %}`, which marks the assistant's part for training,
//!   becomes `{% with %}` … `{% endwith %}` without variables.

use minijinja::Error;
use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Rewrites the template `source` for minijinja.
///
/// # Errors
/// Returns an error if the source cannot be tokenised.
pub(super) fn rewrite(source: &str, syntax: SyntaxConfig) -> Result<String, Error> {
    let source = keep_first_line_end(&source.replace("\r\n", "\n").replace('\r', "\n"));
    let tokens: Vec<(Token<'_>, Span)> =
        tokenize(&source, false, syntax).collect::<Result<_, Error>>()?;
    let mut edits = Vec::new();
    for block in blocks(&tokens) {
        match block {
            [(Token::Ident("generation"), span)] => edits.push(replacement(span, "with")),
            [(Token::Ident("endgeneration"), span)] => edits.push(replacement(span, "endwith")),
            _ => {}
        }
    }
    let mut rewritten = source.clone();
    for (start, end, text) in edits.into_iter().rev() {
        rewritten.replace_range(start..end, &text);
    }
    Ok(rewritten)
}

/// Doubles a line end right after `{% raw %}`: minijinja drops one there, Jinja2 does not.
fn keep_first_line_end(source: &str) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%") {
        let tag = rest[at + 2..].trim_start_matches(['-', '+']).trim_start();
        let after = tag.strip_prefix("raw").and_then(|tag| tag.trim_start().strip_prefix("%}"));
        let end = after.map_or(at + 2, |after| rest.len() - after.len());
        kept.push_str(&rest[..end]);
        rest = &rest[end..];
        if after.is_some() && rest.starts_with('\n') {
            kept.push('\n');
        }
    }
    kept + rest
}

/// A change of the source: start, end and the new text.
type Edit = (usize, usize, String);

fn replacement(span: &Span, text: &str) -> Edit {
    (span.start_offset as usize, span.end_offset as usize, text.to_owned())
}

/// Returns the tokens inside each `{% … %}`.
fn blocks<'a, 's>(
    tokens: &'a [(Token<'s>, Span)],
) -> impl Iterator<Item = &'a [(Token<'s>, Span)]> {
    let starts = (0..tokens.len()).filter(|at| matches!(tokens[*at].0, Token::BlockStart));
    starts.map(|at| {
        let rest = &tokens[at + 1..];
        let end = rest.iter().position(|(token, _)| matches!(token, Token::BlockEnd));
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewrites_templates_for_minijinja() {
        for (source, expected) in [
            ("a\r\nb\rc", "a\nb\nc"),
            ("{% raw %}\na{% endraw %}", "{% raw %}\n\na{% endraw %}"),
            ("{%- raw -%}\na{% endraw %}", "{%- raw -%}\na{% endraw %}"),
            ("{%- generation -%}x{% endgeneration %}", "{%- with -%}x{% endwith %}"),
            (
                "{% set generation = 1 %}{{ generation }}",
                "{% set generation = 1 %}{{ generation }}",
            ),
            ("é{%generation -%}é{%endgeneration%}", "é{%with -%}é{%endwith%}"),
        ] {
            let rewritten = rewrite(source, SyntaxConfig::default());
            assert_eq!(rewritten.ok().as_deref(), Some(expected), "{source}");
        }
    }
}
