//! Chat templates compared with the renderer of transformers, and templates that misbehave.

use std::path::Path;

use crate::support::golden;
use ivg_playground::lm::ChatTemplate;
use serde_json::{Value, json};

#[test]
fn templates_render_as_in_transformers() {
    let time = "2026-11-27T12:00:00".parse().unwrap();
    for name in ["chatml", "inst", "turns", "think", "marked", "dated"] {
        let folder = golden("templates").join(name);
        let template = ChatTemplate::load(&folder).unwrap().unwrap();
        let cases = std::fs::read(folder.join("expected.json")).unwrap();
        let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
        assert!(cases.len() > 3);
        for case in cases {
            let (system, user) = (case["system"].as_str(), case["user"].as_str().unwrap());
            let rendered =
                template.prompt(system, user, &[], time).map(|rendered| rendered.text().to_owned());
            match case["text"].as_str() {
                Some(text) => assert_eq!(rendered.unwrap(), text, "{name}"),
                None => {
                    let message = rendered.unwrap_err().to_string();
                    let reason = case["error"].as_str().unwrap();
                    assert!(message.contains(reason), "{name}: {message}");
                    assert!(message.contains("tokenizer_config.json"), "{message}");
                }
            }
        }
    }
}

/// The published templates are not part of this repository. To run the test, set `IVG_TEMPLATES` to
/// a folder filled by `tests/goldens/template_corpus.py`.
#[test]
#[ignore = "needs IVG_TEMPLATES, a folder of published templates"]
fn published_templates_render_as_in_transformers() {
    let folder = std::env::var("IVG_TEMPLATES").expect("IVG_TEMPLATES names a folder");
    let folder = Path::new(&folder);
    let cases = std::fs::read(folder.join("expected.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    let time = "2026-11-27T12:00:00".parse().unwrap();
    let (mut same, mut rejected, mut differ) = (0, 0, Vec::new());
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let source = folder.join("corpus").join(format!("{name}.jinja"));
        std::fs::copy(source, dir.path().join("chat_template.jinja")).unwrap();
        let tokens = json!({"bos_token": "<s>", "eos_token": "</s>"});
        std::fs::write(dir.path().join("tokenizer_config.json"), tokens.to_string()).unwrap();
        let (system, user) = (case["system"].as_str(), case["user"].as_str().unwrap());
        let rendered = ChatTemplate::load(dir.path())
            .and_then(|template| template.unwrap().prompt(system, user, &[], time));
        let rendered =
            rendered.map(|rendered| rendered.text().to_owned()).map_err(|error| error.to_string());
        match (case["text"].as_str(), rendered) {
            // The result is not compared if transformers rejects the template.
            (None, _) => rejected += 1,
            (Some(text), Ok(rendered)) if rendered == text => same += 1,
            (Some(text), rendered) => differ.push((name, system.is_some(), text, rendered)),
        }
    }
    println!("{same} equal, {rejected} rejected by transformers, {} differ", differ.len());
    for (name, has_system, text, rendered) in &differ {
        println!("{name} (system: {has_system})\n  expected {text:?}\n  rendered {rendered:?}");
    }
    assert!(differ.is_empty(), "{} differ", differ.len());
}

fn with(template: Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let json = json!({ "chat_template": template });
    std::fs::write(dir.path().join("tokenizer_config.json"), json.to_string()).unwrap();
    dir
}

fn error_of(dir: &Path) -> String {
    let rendered = ChatTemplate::load(dir).and_then(|t| t.unwrap().render(None, "Hi"));
    let message = match rendered {
        Ok(text) => panic!("rendered {} bytes from {dir:?}: {text:.100}", text.len()),
        Err(error) => error.to_string(),
    };
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn templates_are_found_in_folders_and_gguf_files() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(ChatTemplate::load(dir.path()).unwrap(), None);
    let named = json!([{"name": "tool_use", "template": "tools"},
                       {"name": "default", "template": "<{{ messages[0].content }}>"}]);
    let dir = with(named);
    let rendered =
        |dir: &Path| ChatTemplate::load(dir).unwrap().unwrap().render(None, "Hi").unwrap();
    assert_eq!(rendered(dir.path()), "<Hi>");
    // A separate file has priority.
    std::fs::write(dir.path().join("chat_template.jinja"), "({{ messages[0]['content'] }})")
        .unwrap();
    assert_eq!(rendered(dir.path()), "(Hi)");
    let file = golden("quantised").join("q8_0.gguf");
    let inside = ChatTemplate::load(&file).unwrap().unwrap();
    assert_eq!(inside.render(Some("S"), "Hi").unwrap(), "<system>S<user>Hi");
}

#[test]
fn rejects_templates_that_misbehave() {
    let began = std::time::Instant::now();
    let endless = "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 2) }}{% endmacro %}{{ f(0) }}";
    let cases = [
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "finish",
        ),
        (endless, ""),
        ("{{ 'x' * 100000000 }}", ""),
        ("{% for m in messages %}{{ m.content }}", ""),
        ("{{ messages[0].content.no_such_method() }}", "no_such_method"),
        ("{{ raise_exception('not this way') }}", "not this way"),
    ];
    for (template, words) in cases {
        let message = error_of(with(json!(template)).path());
        assert!(message.contains("tokenizer_config.json") && message.contains(words), "{message}");
    }
    assert!(error_of(with(json!("x".repeat(300_000))).path()).contains("long"));
    assert!(error_of(with(json!(7)).path()).contains("chat_template"));
    assert!(began.elapsed().as_secs() < 20);
}

/// Covers the filters and operators that are replaced by versions with a limit.
#[test]
fn filters_and_operators_work_as_in_jinja() {
    for (template, rendered) in [
        ("{{ 'aXaXa' | replace('X', '-', 1) ~ 'aXa' | replace('X', '-', count=1) }}", "a-aXaa-a"),
        ("{{ 'ab' | replace('', '.') }}{{ 12 | replace(1, 2) }}", ".a.b.22"),
        ("{{ '=' * 3 ~ (2 * 3) }}{{ 'a' ~ [1, 'b'] }}", "===6a[1, 'b']"),
        (
            "{{ [1, 2] | join(d=' - ') }}{{ ' a ' | trim }}{{ 'a\nb' | indent(width=2) }}",
            "1 - 2aa\n  b",
        ),
        (
            "{{ {'k': [1, 'ä']} | tojson(ensure_ascii=false) }}{{ ['a', 'B'] | map('upper') | list }}",
            "{\"k\": [1, \"ä\"]}['A', 'B']",
        ),
        (
            "{{ 'a,b'.split(',') | last }}{{ '{} {}'.format(1, 'x') }}{{ '%s!' | format('y') }}",
            "b1 xy!",
        ),
        ("{{ none ~ true ~ 1.5 ~ messages[0].role ~ missing }}", "NoneTrue1.5user"),
    ] {
        let dir = with(json!(template));
        let template_of = ChatTemplate::load(dir.path()).unwrap().unwrap();
        assert_eq!(template_of.render(None, "Hi").unwrap(), rendered, "{template}");
    }
}

/// A few instructions can produce gigabytes. Their output is counted before it is produced.
#[test]
fn stops_templates_that_produce_too_much() {
    let double = |step: &str| {
        format!(
            "{{% set n = namespace(x='ab') %}}{{% for i in range(40) %}}{{% {step} %}}{{% endfor %}}"
        )
    };
    let large = [
        double("set n.x = n.x ~ n.x"),
        double("set n.x = n.x + n.x"),
        double("set n.x = n.x * 2"),
        double("set n.x = n.x | replace('a', 'aa')"),
        double("set n.x = [n.x, n.x] | join"),
        double("set n.x = n.x.replace('a', 'aa')"),
        double("set n.x = n.x.join(['', '', ''])"),
        "{% set x = 'ab' %}".to_owned() + &"{% set x %}{{ x }}{{ x }}{% endset %}".repeat(40),
        "{{ ''.join([('a' * 1000000)] * 20000) }}".to_owned(),
        "{{ ''.join([''] * 1000000) }}".to_owned(),
        "{{ ('{0}' * 1000000).format('a' * 1000000) }}".to_owned(),
        "{{ ('{0:9999}' * 500000).format(1) }}".to_owned(),
        "{{ ('a\n' * 100000) | indent(1000000) }}".to_owned(),
        "{{ ('a\n' * 100000) | indent(width=1000000) }}".to_owned(),
        "{% set long = ['a' * 1000000] * 20000 %}{{ long ~ '' }}".to_owned(),
        "{% set many = [''] * 1000000 %}{{ many ~ '' }}".to_owned(),
        "{{ ('a' * 1000000) | replace('a', 'a' * 1000000) }}".to_owned(),
        "{{ range(50000) | list | tojson(separators=['x' * 200000, ':']) }}".to_owned(),
        "{% set x = range(90000) | list %}".to_owned()
            + &"{% set x = [x] %}".repeat(1000)
            + "{{ x | tojson(indent=64) }}",
        "{% set t = namespace(x=['a']) %}{% for i in range(40) %}{% set t.x = [t.x, t.x] %}\
         {% endfor %}{{ t.x ~ '' }}"
            .to_owned(),
    ];
    let printing = [
        "",
        " | join",
        " | join(attribute='x')",
        " | tojson",
        " | string",
        " | safe",
        " | e",
        " | upper",
        " | lower",
        " | title",
        " | capitalize",
        " | trim",
        " | split('a')",
        " | lines",
        " | replace('a', 'b')",
        " | int",
        " | sum(start='')",
        " | unique | list | string",
        " | map('upper') | join",
        " | batch(2) | list | tojson",
    ];
    let printing = printing.map(|how| format!("{{{{ (['a' * 1000000] * 20000){how} }}}}"));
    let large = large.into_iter().chain(printing);
    for template in large {
        let started = std::time::Instant::now();
        let message = error_of(with(json!(template)).path());
        assert!(message.contains("it does not finish"), "{template}: {message}");
        // The limit counts work, not time, so the template is stopped early.
        assert!(started.elapsed() < std::time::Duration::from_secs(3), "{template}");
    }
    for (template, words) in [
        ("{{ (['a'] * 1000000) ~ '' }}", "a list, * and ~"),
        ("{{ debug() }}", "debug"),
        ("{{ [1] | tojson(indent=4000000000) }}", "tojson(indent) must be at most 64"),
        (
            "{{ [1] | tojson(default=4) }}",
            "tojson: too many arguments: unknown keyword argument 'default'",
        ),
        ("{{ raise_exception(['a' * 1000000] * 20000) }}", "string"),
        ("{{ [['a' * 1000000] * 20000] | pprint }}", "pprint"),
    ] {
        let message = error_of(with(json!(template)).path());
        assert!(message.contains(words), "{message}");
    }
    let long = error_of(with(json!("{{ raise_exception('no ' * 100000) }}")).path());
    assert!(long.len() < 1000 && long.contains("no no") && long.contains('…'), "{long}");
    for template in ["{{ '{:>4000000000}'.format(1) }}", "{{ '{:>{}}'.format(1, 4000000000) }}"] {
        let message = error_of(with(json!(template)).path());
        assert!(message.contains("wide"), "{message}");
    }
}

/// A value assigned to a namespace is copied. Otherwise a namespace could contain itself, and
/// walking through it would not end.
#[test]
fn a_namespace_cannot_contain_itself() {
    for (template, rendered) in [
        ("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}{{ ns == ns.x }}", "{'x': {}}False"),
        (
            "{% set a = namespace() %}{% set b = namespace() %}{% set a.b = b %}{% set b.a = a %}\
             {{ a | tojson }}{{ b | tojson }}",
            r#"{"b": {}}{"a": {"b": {}}}"#,
        ),
        ("{% set ns = namespace(a=1) %}{% set ns.x = ns.values() %}{{ ns.x | list }}", "[1]"),
        (
            "{% set ns = namespace(a=1) %}{% set ns.x = ns.items() %}{{ ns.x | tojson }}",
            r#"[["a", 1]]"#,
        ),
        (
            "{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{{ a }}",
            "{'b': {'a': {}}}",
        ),
        (
            "{% macro f(a) %}{% set a.x = a %}{{ a }}{% endmacro %}{% set n = namespace() %}{{ f(n) }}",
            "{'x': {}}",
        ),
        ("{% set ns = namespace(l=[]) %}{% set ns.l = ns.l + [ns] %}{{ ns.l | length }}", "1"),
        (
            "{% set a = namespace() %}{% set a.x = 1, 2 %}{% set a.x | default(a, true) %}{% endset %}\
             {{ a.x }}",
            "{'x': [1, 2]}",
        ),
        (
            "{% set a = namespace() %}{% set b = namespace() %}{% set a.x = {b: 1} %}\
             {% set b.x = {a: 1} %}{{ a == b }}{{ {a: 1} == {b: 1} }}",
            "FalseFalse",
        ),
        ("{% set a, b = namespace(), 1 %}{% set a.x = b %}{{ a.x }}{{ b }}", "11"),
        // Elsewhere a namespace is used without a copy, as in Jinja.
        ("{% set m = namespace(role='system') %}{{ ([m] + messages)[0].role }}", "system"),
        ("{% macro f(namespace) %}{{ namespace }}{% endmacro %}{{ f('x') }}", "x"),
    ] {
        let dir = with(json!(template));
        let loaded = ChatTemplate::load(dir.path()).unwrap().unwrap();
        assert_eq!(loaded.render(None, "Hi").unwrap(), rendered, "{template}");
    }
    let other = "{% set ns = namespace() %}{% set ns.x = 1) if 0 else (ns %}{{ ns == ns.x }}";
    assert!(error_of(with(json!(other)).path()).contains("tokenizer_config.json"));
    let other = "{% set a = namespace() %}{% set a.x, c = a, 1 %}{{ c }}";
    assert!(error_of(with(json!(other)).path()).contains("one by one"));
    let other = "{% set x = {} %}{% set x.y = 1 %}";
    assert!(error_of(with(json!(other)).path()).contains("can only assign to namespaces"));
    let other = "{% import 'chat' as m %}{{ m }}{% set ns = namespace() %}";
    assert!(error_of(with(json!(other)).path()).contains("tokenizer_config.json"));
}

/// The longest expressions that a template may have, and the deepest values that the limit allows,
/// are rendered or rejected without a stack overflow.
#[test]
fn no_template_overflows_the_stack() {
    let long = |begin: &str, part: &str, end: &str| {
        let parts = part.repeat((65_000 - begin.len() - end.len()) / part.len());
        format!("{{{{ {begin}{parts}{end} }}}}")
    };
    let nested = "[".repeat(100) + "ns.x" + &"]".repeat(100);
    let deep = [
        long("1", "+1", ""),
        long("1", "**1", ""),
        long("", "--", "1"),
        long("", "not ", "1"),
        long("1", " and 1", ""),
        long("'a'", "~''", ""),
        long("'a'", "|e", ""),
        long("messages", "[0]", ""),
        long("messages", ".a", ""),
        long("messages", "()", ""),
        long("", "1 if 0 else ", "1"),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(5_000)),
        format!(
            "{{% set ns = namespace(x=1) %}}{{% for i in range(900) %}}{{% set ns.x = {nested} %}}\
             {{% endfor %}}{{{{ ns.x }}}}"
        ),
        format!(
            "{{% set ns = namespace(x=1) %}}{{% for i in range(900) %}}{{% set ns.x = {nested} %}}\
             {{% endfor %}}{{{{ ns.x | tojson }}}}"
        ),
    ];
    for template in deep {
        let dir = with(json!(template));
        let rendered = ChatTemplate::load(dir.path()).and_then(|t| t.unwrap().render(None, "Hi"));
        let text = rendered.unwrap_or_else(|error| error.to_string());
        assert!(!text.contains("it cannot be run"), "{text}");
    }
}
