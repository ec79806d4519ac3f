"""Creates `templates/`: chat templates like those of the supported model families, and the results of
transformers' renderer.

    pip install transformers jinja2
    python tests/goldens/templates.py

The templates are written for these tests. They use the same features as published ones: namespaces,
slices, string methods, exceptions, filters and trimmed blocks.
"""

import json
from pathlib import Path

import transformers.utils.chat_template_utils as chat_templates
from transformers.utils.chat_template_utils import render_jinja_template

HERE = Path(__file__).parent / "templates"

TEMPLATES = {
    # Has a default system prompt.
    "chatml": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}{% endif %}"
        "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"),
    # Writes the system prompt into the first user message.
    "inst": (
        "{% if messages[0]['role'] == 'system' %}{% set system = '<<SYS>>\\n' + messages[0]['content'] + '\\n<</SYS>>\\n\\n' %}"
        "{% set rest = messages[1:] %}{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}"
        "{% for message in rest %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}"
        "{% set content = system + message['content'] if loop.index0 == 0 else message['content'] %}"
        "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
        "{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"),
    # Rejects system prompts. Has blocks on separate lines.
    "turns": (
        "{{ bos_token }}\n{%- for message in messages %}\n"
        "    {%- if message['role'] == 'system' %}\n        {{- raise_exception('System role not supported') }}\n    {%- endif %}\n"
        "    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}\n"
        "    {{- '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}\n"
        "{%- endfor %}\n{% if add_generation_prompt %}\n    {{- '<start_of_turn>model\\n' }}\n{% endif %}\n"),
    # Uses a namespace, a reversed list, JSON and a flag.
    "think": (
        "{%- set ns = namespace(last=-1) %}\n"
        "{%- for message in messages[::-1] %}\n"
        "    {%- if message.role == 'user' and ns.last < 0 %}\n        {%- set ns.last = messages|length - 1 - loop.index0 %}\n    {%- endif %}\n"
        "{%- endfor %}\n"
        "{%- for message in messages %}\n"
        "    {{- '<|' + message.role + '|>' }}{{- message.content.split('</think>')[-1].lstrip('\\n') }}\n"
        "    {%- if loop.index0 == ns.last and message.content is string and message.content.startswith('{') %}{{- message | tojson }}{%- endif %}\n"
        "{%- endfor %}\n"
        "{%- if add_generation_prompt %}\n    {{- '<|assistant|>\\n' }}\n"
        "    {%- if enable_thinking is defined and enable_thinking is false %}\n        {{- '<think>\\n\\n</think>\\n\\n' }}\n    {%- endif %}\n{%- endif %}"),
    # Marks the assistant's part for training. Uses a macro and passes a namespace to it.
    "marked": (
        "{%- macro show(namespace) %}[{{ namespace.role }}]{% endmacro %}\r\n"
        "{%- set first = namespace(role='system', content='') %}\r\n"
        "{%- for message in [first] + messages %}\r\n"
        "    {%- if message.role == 'system' %}{% set first.content = first.content ~ message.content %}{% continue %}{% endif %}\r\n"
        "    {{- show(message) }}{{ message.content | indent(2) }}\r\n"
        "{%- endfor %}\r\n"
        "{% generation %}{% set role = 'inner' %}{{ role }}{{ first.content }}{% endgeneration %}{{ role }}\r\n"
        "{{- tools is none }}{{ tools is iterable }}{{ 'a' is sequence }}{{ self.NOTHING }}{% raw %}\n{{ raw }}{% endraw %}\r\n"),
    # Uses the date, and JSON in several forms.
    "dated": (
        "{{ bos_token }}{{ strftime_now('%Y-%m-%d, %d %b %Y') }}\n"
        "{% for message in messages %}{{ message | tojson(indent=2) }}{{ message | tojson(separators=(',', ':'), sort_keys=True) }}"
        "{{ message.content | tojson(ensure_ascii=True) }}\n{% endfor %}"),
}

PROMPTS = [
    (None, "Is it a good film?"),
    ("Answer as a critic.", "  Is it a good film? "),
    (None, "</think>\nquote \"this\" & <that> 日本語 👍"),
    (None, "{% raise %} {{ bos_token }}"),
    ("", "An empty system prompt is none."),
]


class Clock(chat_templates.datetime):
    """A clock that always returns the time used by the tests."""

    @classmethod
    def now(cls, tz=None):
        return cls(2026, 11, 27, 12, 0, 0)


def main():
    chat_templates.datetime = Clock
    for name, template in TEMPLATES.items():
        folder = HERE / name
        folder.mkdir(parents=True, exist_ok=True)
        config = {"bos_token": {"content": "<s>", "special": True}, "eos_token": "</s>", "chat_template": template}
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n")
        cases = []
        for system, user in PROMPTS:
            messages = ([{"role": "system", "content": system}] if system else []) + [{"role": "user", "content": user}]
            try:
                rendered, _ = render_jinja_template(
                    [messages], chat_template=template, add_generation_prompt=True, tools=None, documents=None,
                    bos_token="<s>", eos_token="</s>", enable_thinking=False)
                cases.append({"system": system, "user": user, "text": rendered[0]})
            except Exception as error:
                cases.append({"system": system, "user": user, "error": str(error)})
        (folder / "expected.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
