"""Creates `../corpus/`: small model folders and files as other programs write them, and `expected.json`
with the results of Python libraries for each.

    pip install torch transformers==5.24.0 safetensors peft gguf
    python tests/goldens/corpus.py

A second run writes the same bytes. Each case is a pack in its own folder. Its entry in `expected.json` has
a description of the files and who writes them (`about`), the worst verdict of `models check` (`check`) and
words in its output (`says`). Cases that generate also have the ids of the prompt "Hi there" with BOS
(`prompt_ids`), the greedy ids without the end token (`ids`), the end token if the response reaches one
(`end`) and the text. Cases with an adapter also have the tuned model's ids and text (`tuned_ids`,
`tuned_text`). At every step the best logit exceeds the second by more than 0.02, so rounding changes no text.
"""

import shutil
import sys
from pathlib import Path

# Avoids compiled copies of the modules in corpus_parts.
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
