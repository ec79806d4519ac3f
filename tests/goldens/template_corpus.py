"""Renders published chat templates, which are not part of this repository, with transformers.

    pip install 'transformers==5.24.0' jinja2
    python tests/goldens/template_corpus.py FOLDER
    IVG_TEMPLATES=FOLDER cargo test --release --test lm published -- --ignored --nocapture

FOLDER/corpus must contain the templates as NAME.jinja. Writes FOLDER/expected.json with the result of each
template for one user message, with and without a system prompt, at 2026-11-27 12:00.
"""

import json
import sys
from pathlib import Path

import transformers.utils.chat_template_utils as chat_templates
from templates import Clock


def render(source, system):
    messages = [{"role": "user", "content": "Hi"}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    rendered, _ = chat_templates.render_jinja_template(
        [messages], chat_template=source, add_generation_prompt=True, tools=None, documents=None,
        bos_token="<s>", eos_token="</s>", enable_thinking=False)
    return rendered[0]


def main():
    chat_templates.datetime = Clock
    folder = Path(sys.argv[1])
    cases = []
    for file in sorted((folder / "corpus").glob("*.jinja")):
        source = file.read_bytes().decode()
        for system in [None, "Be kind."]:
            case = {"name": file.stem, "system": system, "user": "Hi"}
            try:
                case["text"] = render(source, system)
            except Exception as error:
                case["error"] = f"{type(error).__name__}: {error}"
            cases.append(case)
    (folder / "expected.json").write_text(json.dumps(cases, indent=1) + "\n")
    print(f"{len(cases)} cases, {sum('error' in case for case in cases)} rejected")


if __name__ == "__main__":
    main()
