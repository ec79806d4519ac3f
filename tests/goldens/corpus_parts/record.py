"""Writes the folders of the corpus and `expected.json`."""

import json
import shutil

from . import models
from .models import COUNT, PROMPT


class Corpus:
    """The folder of the corpus and the cases written so far."""

    def __init__(self, root):
        self.root = root
        self.cases = {}

    def start(self, name, **roles):
        """Creates an empty folder for a case, with its `pack.toml`. Roles are TOML: base='{ path = "m" }'."""
        folder = self.root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        lines = [f'name = "{name}"', 'description = "A case of the corpus"', 'licence = "MIT"']
        lines += [f"{role} = {value}" for role, value in roles.items()]
        (folder / "pack.toml").write_text("\n".join(lines) + "\n")
        return folder

    def fault(self, name, about, says):
        """Adds a case for which the check must report a fault with these words."""
        self.add(name, about, "fault", says)

    def expect(self, name, about, model, vocabulary, check="ok", says=(), prompt_ids=None, ends=(), **more):
        """Adds a case with the greedy response of `model`, which is loaded from the case's files. `prompt_ids`
        are all ids that the model reads, including BOS. `ids` exclude the end token."""
        if prompt_ids is None:
            prompt_ids = vocabulary.tokenizer.encode(PROMPT).ids
        ids, margin, end = models.greedy(model, prompt_ids, ends, COUNT)
        assert margin > 0.02, (name, margin)
        text = vocabulary.text_after(prompt_ids, ids)
        self.add(
            name,
            about,
            check,
            says,
            prompt=PROMPT,
            prompt_ids=prompt_ids,
            ids=ids,
            text=text,
            **({} if end is None else {"end": end}),
            **more,
        )
        return ids

    def add(self, name, about, check, says, **more):
        assert name not in self.cases, name
        assert (self.root / name / "pack.toml").is_file(), name
        self.cases[name] = {"name": name, "about": about, "check": check, "says": list(says), **more}

    def write(self):
        lines = [json.dumps(case, ensure_ascii=False) for case in self.cases.values()]
        (self.root / "expected.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


def write_tokenizer(vocabulary, folder):
    text = json.dumps(vocabulary.document, ensure_ascii=False, separators=(",", ":"))
    (folder / "tokenizer.json").write_text(text)


def write_tokenizer_config(folder):
    """Writes a minimal tokenizer_config.json. Without it, transformers 4 assumes that a Llama's tokenizer begins
    with <s>, and adds that token."""
    write_json({"model_max_length": 64, "tokenizer_class": "PreTrainedTokenizerFast"}, folder / "tokenizer_config.json")


def write_json(value, file):
    file.write_text(json.dumps(value, indent=1) + "\n")


def read_json(file):
    return json.loads(file.read_text())
