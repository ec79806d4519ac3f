//! What a template is refused for before it is run, by its tokens.

use minijinja::Error;
use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Why `source` is not run, in words; none if nothing is against it.
///
/// # Errors
/// A template that is none.
pub(super) fn why_not(source: &str, syntax: SyntaxConfig) -> Result<Option<String>, Error> {
    let tokens = tokenize(source, false, syntax).map(|token| token.map(|(token, _)| token));
    let tokens = tokens.collect::<Result<Vec<Token<'_>>, Error>>()?;
    if let Some(name) = loose_namespace(&tokens) {
        return Ok(Some(format!(
            "the namespace '{name}' could be put into itself; ask for its values alone"
        )));
    }
    Ok(repeats_and_joins(&tokens).then(|| {
        "one expression has a list, * and ~, which could make gigabytes; write it as two".to_owned()
    }))
}

/// The name of a namespace that stands by itself, where it could be put into itself: whoever then
/// prints it never comes to an end. Real templates ask for what is in one.
fn loose_namespace(tokens: &[Token<'_>]) -> Option<String> {
    let is_made = |at: usize| {
        let before = at.checked_sub(3).map(|start| &tokens[start..at]);
        let before = matches!(before, Some([Token::Ident("set"), Token::Ident(_), Token::Assign]));
        before && matches!(tokens.get(at + 1), Some(Token::ParenOpen))
    };
    let named = |name: &str| {
        let here = |at: &usize| matches!(tokens[*at], Token::Ident(found) if found == name);
        (0..tokens.len()).filter(here).collect::<Vec<_>>()
    };
    let makers = named("namespace");
    if makers.iter().any(|at| !is_made(*at)) {
        return Some("namespace".to_owned());
    }
    let names = makers.iter().filter_map(|at| match tokens[at - 2] {
        Token::Ident(name) => Some(name),
        _ => None,
    });
    let is_loose = |at: usize| {
        let is_attribute = at > 0 && matches!(tokens[at - 1], Token::Dot);
        // What a method gives holds on to what it was called on.
        let is_called = matches!(tokens.get(at + 3), Some(Token::ParenOpen));
        let is_asked = match tokens.get(at + 1) {
            Some(Token::Dot) => !is_called,
            next => matches!(next, Some(Token::BracketOpen | Token::Assign | Token::Ident("is"))),
        };
        !is_attribute && !is_asked
    };
    let mut loose = names.filter(|name| named(name).into_iter().any(is_loose));
    loose.next().map(str::to_owned)
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
    fn a_namespace_may_be_asked_but_not_handed_on() {
        for fine in [
            "namespace ns {% set ns = namespace(a=1, b='ns') %}{% set ns.a = ns.b %}{{ ns.a + 1 }}",
            "{% set ns = namespace() %}{% if ns is defined and m.ns %}{{ ns['a'] }}{% endif %}",
            "{{ messages }}",
        ] {
            assert_eq!(refused(fine), None, "{fine}");
        }
        for bad in [
            "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
            "{% set ns = namespace() %}{% set other = ns %}",
            "{% set ns = namespace() %}{{ [ns] }}",
            "{% set make = namespace %}",
            "{% set ns = namespace(inner=namespace()) %}",
            "{% set ns = namespace() %}{% set ns.x = ns.values() %}{{ ns.x }}",
        ] {
            assert!(refused(bad).is_some_and(|why| why.contains("namespace")), "{bad}");
        }
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
