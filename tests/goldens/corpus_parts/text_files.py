"""Group H: byte order marks, line ends, and the files that can contain a chat template."""

import json

from transformers import AutoTokenizer

from . import models
from .models import build, config, find
from .record import write_json
from .sample import Sample
from .vocabularies import byte_level

BOM = b"\xef\xbb\xbf"
CHAT = '{ path = "m", chat = true }'
TEMPLATE = (
    "{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)
WRONG = "{% for message in messages %}{{ message['content'] }} (another template){% endfor %}"


def text_files(corpus):
    marks(corpus)
    templates(corpus)


def marks(corpus):
    sample = Sample()
    name = "text-prompts-with-mark"
    folder = corpus.start(name, base='{ path = "m" }', eval_prompts='"p.txt"')
    sample.write(folder / "m")
    (folder / "p.txt").write_bytes(BOM + "Hi there\r\nthe re\r\n".encode())
    corpus.expect(
        name,
        "A file of eval prompts saved by Notepad or Excel: byte order mark and CRLF.",
        models.load(folder / "m"),
        sample.vocabulary,
        ends=sample.ends,
        eval_prompts=["Hi there", "the re"],
    )
    for file in ["config.json", "tokenizer.json"]:
        name = f"text-{file.split('.')[0]}-with-mark"
        folder = corpus.start(name, base='{ path = "m" }')
        sample.write(folder / "m")
        model = models.load(folder / "m")
        (folder / "m" / file).write_bytes(BOM + (folder / "m" / file).read_bytes())
        # transformers rejects the file, but its content is clear.
        corpus.expect(
            name, f"{file} saved with a byte order mark, which transformers rejects.", model, sample.vocabulary, ends=sample.ends
        )


def templates(corpus):
    plain = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>", "model_max_length": 64}
    named = [{"name": "rag", "template": WRONG}, {"name": "default", "template": TEMPLATE}]
    vocabulary = byte_level()
    end = vocabulary.id("<|endoftext|>")

    def case(name, about, tokenizer_config, files, reads=True):
        folder = corpus.start(name, base=CHAT)
        Sample().write(folder / "m")
        write_json({**plain, **tokenizer_config}, folder / "m/tokenizer_config.json")
        for file, content in files.items():
            (folder / "m" / file).parent.mkdir(exist_ok=True)
            (folder / "m" / file).write_bytes(content if isinstance(content, bytes) else content.encode())
        rendered = "[user] Hi there\n[assistant] "
        if reads:
            tokenizer = AutoTokenizer.from_pretrained(folder / "m")
            message = [{"role": "user", "content": models.PROMPT}]
            assert tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True) == rendered, name
        prompt_ids = vocabulary.tokenizer.encode(rendered).ids
        made = config("llama", len(vocabulary), eos_token_id=end)
        model = find(lambda seed: build(made, seed, vocabulary), prompt_ids, vocabulary.readable, [end])
        models.save(model, folder / "m")
        corpus.expect(name, about, models.load(folder / "m"), vocabulary, prompt_ids=prompt_ids, ends=[end])

    case("chat-template-text", "The chat template in tokenizer_config.json as a text.", {"chat_template": TEMPLATE}, {})
    case(
        "chat-template-list",
        "Named chat templates as a list in tokenizer_config.json, default among them.",
        {"chat_template": named},
        {},
    )
    case(
        "chat-template-jinja",
        "chat_template.jinja, as transformers 4.51 and later write it.",
        {},
        {"chat_template.jinja": TEMPLATE},
    )
    case(
        "chat-template-both",
        "chat_template.jinja beside another template in tokenizer_config.json: the .jinja file has priority.",
        {"chat_template": WRONG},
        {"chat_template.jinja": TEMPLATE},
    )
    case(
        "chat-template-more",
        "chat_template.jinja and named ones in additional_chat_templates.",
        {},
        {"chat_template.jinja": TEMPLATE, "additional_chat_templates/rag.jinja": WRONG},
    )
    case(
        "chat-template-crlf",
        "chat_template.jinja with the line ends of Windows.",
        {},
        {"chat_template.jinja": TEMPLATE.replace("\n", "\r\n")},
    )
    case(
        "chat-template-with-mark",
        "chat_template.jinja with a byte order mark, which is not part of the prompt.",
        {},
        {"chat_template.jinja": BOM + TEMPLATE.encode()},
        reads=False,
    )
    case(
        "chat-template-json",
        "chat_template.json alone, as processors of transformers before 4.51 wrote it.",
        {},
        {"chat_template.json": json.dumps({"chat_template": TEMPLATE})},
        reads=False,
    )
