//! Rejects templates by their tokens, before they run.

use minijinja::Error;
use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Returns the reason to reject `source`, or `None` if it passes.
///
/// # Errors
/// Returns an error if the source cannot be tokenised.
pub(super) fn reason_to_reject(
    source: &str,
    syntax: SyntaxConfig,
) -> Result<Option<String>, Error> {
    let tokens = tokenize(source, false, syntax).map(|token| token.map(|(token, _)| token));
    let tokens = tokens.collect::<Result<Vec<Token<'_>>, Error>>()?;
    if unpacks_into_namespace(&tokens) {
        let reason = "it unpacks values into a namespace; assign them one by one";
        return Ok(Some(reason.to_owned()));
    }
    let reason = "one expression has a list, * and ~, which could create gigabytes; split it";
    Ok(repeats_and_concatenates(&tokens).then(|| reason.to_owned()))
}

/// Returns whether a `set` assigns to several targets and one is an attribute of a namespace. The
/// call that replaces minijinja's assignment leaves a value on the stack above the other values.
fn unpacks_into_namespace(tokens: &[Token<'_>]) -> bool {
    let blocks = tokens.split(|token| matches!(token, Token::BlockStart));
    blocks.filter(|block| matches!(block.first(), Some(Token::Ident("set")))).any(|block| {
        let ends =
            |token: &Token<'_>| matches!(token, Token::Assign | Token::Pipe | Token::BlockEnd);
        let target = &block[..block.iter().position(ends).unwrap_or(block.len())];
        let has = |is_match: fn(&Token<'_>) -> bool| target.iter().any(is_match);
        has(|token| matches!(token, Token::Dot)) && has(|token| matches!(token, Token::Comma))
    })
}

/// Returns whether one expression may both repeat a list and concatenate it. minijinja evaluates
/// constant expressions while compiling, and neither limits nor charges this for lists.
fn repeats_and_concatenates(tokens: &[Token<'_>]) -> bool {
    let is_end = |token: &Token<'_>| matches!(token, Token::VariableEnd | Token::BlockEnd);
    tokens.split(is_end).any(|expression| {
        let has = |is_match: fn(&Token<'_>) -> bool| expression.iter().any(is_match);
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

    fn reason(source: &str) -> Option<String> {
        reason_to_reject(source, SyntaxConfig::default()).expect("a template")
    }

    #[test]
    fn rejects_one_expression_that_repeats_and_concatenates_a_list() {
        for valid in [
            "* ~ {{ ['a'] * 2 }}{{ 'a' ~ 'b' }}",
            "{% set a = 2 * 3 %}{{ a ~ '*' }}",
            "{{ '=' * 20 ~ '\n' }}{{ bos_token ~ (2 * 3) ~ messages[0]['content'] }}",
        ] {
            assert_eq!(reason(valid), None, "{valid}");
        }
        for invalid in ["{{ ['a'] * 1000000000000 ~ '' }}", "{% set x = 'a' ~ ('b',) * 2 %}"] {
            let found = reason(invalid);
            assert!(found.is_some_and(|r| r.contains("a list, * and ~")), "{invalid}");
        }
    }
}
