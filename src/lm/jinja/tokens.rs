//! What a template is refused for before it is run, by its tokens.

use minijinja::Error;
use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Returns why `source` is refused, if it is.
///
/// # Errors
/// A source that cannot be tokenised.
pub(super) fn why_not(source: &str, syntax: SyntaxConfig) -> Result<Option<String>, Error> {
    let tokens = tokenize(source, false, syntax).map(|token| token.map(|(token, _)| token));
    let tokens = tokens.collect::<Result<Vec<Token<'_>>, Error>>()?;
    if unpacks_into_namespace(&tokens) {
        let reason = "it unpacks values into a namespace; assign them one by one";
        return Ok(Some(reason.to_owned()));
    }
    Ok(repeats_and_joins(&tokens).then(|| {
        "one expression has a list, * and ~, which could make gigabytes; write it as two".to_owned()
    }))
}

/// Whether a `set` assigns to several targets, one of them an attribute of a namespace: the
/// assignment that takes the place of the engine's leaves a value on its stack.
fn unpacks_into_namespace(tokens: &[Token<'_>]) -> bool {
    let blocks = tokens.split(|token| matches!(token, Token::BlockStart));
    blocks.filter(|block| matches!(block.first(), Some(Token::Ident("set")))).any(|block| {
        let ends =
            |token: &Token<'_>| matches!(token, Token::Assign | Token::Pipe | Token::BlockEnd);
        let target = &block[..block.iter().position(ends).unwrap_or(block.len())];
        let has = |wanted: fn(&Token<'_>) -> bool| target.iter().any(wanted);
        has(|token| matches!(token, Token::Dot)) && has(|token| matches!(token, Token::Comma))
    })
}

/// Whether one expression both repeats and joins what may be a list. What is constant in it the engine works out while
/// it reads, whatever that takes.
fn repeats_and_joins(tokens: &[Token<'_>]) -> bool {
    let is_end = |token: &Token<'_>| matches!(token, Token::VariableEnd | Token::BlockEnd);
    tokens.split(is_end).any(|expression| {
        let has = |wanted: fn(&Token<'_>) -> bool| expression.iter().any(wanted);
        let is_list = |at: usize| {
            let before = at.checked_sub(1).and_then(|at| expression.get(at));
            let is_item = matches!(
                before,
                Some(Token::Ident(_) | Token::Str(_) | Token::BracketClose | Token::ParenClose)
            );
            matches!(expression[at], Token::Comma)
                || (matches!(expression[at], Token::BracketOpen) && !is_item)
        };
        has(|token| matches!(token, Token::Mul))
            && has(|token| matches!(token, Token::Tilde))
            && (0..expression.len()).any(is_list)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: &str) -> Option<String> {
        why_not(source, SyntaxConfig::default()).expect("a template")
    }

    #[test]
    fn one_expression_repeats_a_list_or_joins() {
        for fine in [
            "* ~ {{ ['a'] * 2 }}{{ 'a' ~ 'b' }}",
            "{% set a = 2 * 3 %}{{ a ~ '*' }}",
            "{{ '=' * 20 ~ '\n' }}{{ bos_token ~ (2 * 3) ~ messages[0]['content'] }}",
        ] {
            assert_eq!(refused(fine), None, "{fine}");
        }
        for bad in ["{{ ['a'] * 1000000000000 ~ '' }}", "{% set x = 'a' ~ ('b',) * 2 %}"] {
            assert!(refused(bad).is_some_and(|why| why.contains("a list, * and ~")), "{bad}");
        }
    }
}
