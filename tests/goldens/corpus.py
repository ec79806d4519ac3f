"""Makes `../corpus/`: small model folders and files in the forms that other programs write, and
`expected.json`, what Python libraries make of each.

    pip install torch transformers==5.24.0 safetensors peft gguf
    python tests/goldens/corpus.py

A second run writes the same bytes. Each case is a pack in a folder of its own; its entry says what it
is and who writes such files (`about`), the worst verdict that `models check` must give (`check`) and words
that must be in it (`says`). Cases that generate have the ids that the model reads for "Hi there", BOS
included (`prompt_ids`), the greedy ids (`ids`, without the end token, which is `end` where one came) and
their text; cases with an adapter also have the tuned model's (`tuned_ids`, `tuned_text`).
The best logit is ahead of the second by more than 0.02 at every step, so rounding changes no text.
"""

import shutil
import sys
from pathlib import Path

# The parts beside this file leave no compiled copies there.
sys.dont_write_bytecode = True

from corpus_parts.adapters import adapters
from corpus_parts.caches import caches
from corpus_parts.configs import configs
from corpus_parts.gguf_cases import gguf_cases
from corpus_parts.pairs import pairs
from corpus_parts.record import Corpus
from corpus_parts.text_files import text_files
from corpus_parts.tokenizer_files import tokenizer_files
from corpus_parts.weight_files import weight_files

ROOT = Path(__file__).resolve().parent.parent / "corpus"
GROUPS = [configs, weight_files, tokenizer_files, gguf_cases, pairs, adapters, caches, text_files]


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    ROOT.mkdir()
    corpus = Corpus(ROOT)
    for group in GROUPS:
        group(corpus)
        corpus.write()
        size = sum(file.stat().st_size for file in ROOT.rglob("*") if file.is_file())
        print(f"{group.__name__}: {len(corpus.cases)} cases, {size / 1e6:.2f} MB so far", file=sys.stderr)


if __name__ == "__main__":
    main()
