"""Step 0: clean and split the reviews, train the tokenizer and write token arrays.

Reads `imdb_train.jsonl.gz` (labelled) and `imdb_unsup.jsonl.gz` (unlabelled). Each line is
{"id", "text", ...}. Labelled lines also have "label" (0 negative, 1 positive).

The last 2,000 labelled reviews of each label, in file order, are held back; no model is
trained on them. Reviews whose cleaned text equals a held-back one are dropped.

Writes to the work directory: tokenizer.json, lm_tokens.npy (uint16; every document is its
tokens preceded by token 0), lm_starts.npy, labelled.json and heldback.json.
"""

import argparse
import gzip
import html
import json
import pathlib
import re

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCAB_SIZE = 8192
END_OF_TEXT = "<|endoftext|>"
HELD_BACK_PER_LABEL = 2000


def clean(text):
    """Converts a review with HTML markup to plain text."""
    text = re.sub(r"(?:\s*<br\s*/?>\s*)+", "\n", text, flags=re.IGNORECASE)
    text = html.unescape(text)
    text = re.sub(r"</?[a-zA-Z][^<>]*>", "", text)
    text = "".join(c for c in text if c == "\n" or c.isprintable() or c.isspace())
    text = re.sub(r"[^\S\n]+", " ", text)
    text = re.sub(r" *\n[\s]*", "\n", text)
    return text.strip()


def read_reviews(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield {"text": clean(row["text"]), "label": row.get("label")}


def split_labelled(rows):
    """Holds back the last reviews of each label. Returns (kept, held back)."""
    held = set()
    for label in (0, 1):
        of_label = [i for i, r in enumerate(rows) if r["label"] == label]
        held.update(of_label[-HELD_BACK_PER_LABEL:])
    held_rows = [rows[i] for i in sorted(held)]
    held_texts = {r["text"] for r in held_rows}
    kept = [r for i, r in enumerate(rows) if i not in held and r["text"] not in held_texts]
    return kept, held_rows


def train_tokenizer(texts):
    """Trains a byte-level BPE of exactly VOCAB_SIZE entries with END_OF_TEXT at id 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    assert tokenizer.get_vocab_size() == VOCAB_SIZE
    assert tokenizer.token_to_id(END_OF_TEXT) == 0
    return tokenizer


def save_compact(tokenizer, path):
    data = json.loads(tokenizer.to_str())
    path.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def encode_all(tokenizer, texts):
    return [e.ids for e in tokenizer.encode_batch(texts)]


def write_labelled(path, rows, ids):
    data = [{"label": int(r["label"]), "ids": i} for r, i in zip(rows, ids)]
    path.write_text(json.dumps(data, separators=(",", ":")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    labelled = list(read_reviews(args.data / "imdb_train.jsonl.gz"))
    unlabelled = list(read_reviews(args.data / "imdb_unsup.jsonl.gz"))
    kept, held = split_labelled(labelled)
    held_texts = {r["text"] for r in held}
    texts = list(dict.fromkeys(r["text"] for r in kept + unlabelled))
    texts = [t for t in texts if t and t not in held_texts]

    tokenizer = train_tokenizer(texts)
    save_compact(tokenizer, args.work / "tokenizer.json")

    ids = encode_all(tokenizer, texts)
    starts = np.cumsum([0] + [len(i) + 1 for i in ids]).astype(np.int64)
    tokens = np.concatenate([np.array([0] + i, dtype=np.uint16) for i in ids])
    np.save(args.work / "lm_tokens.npy", tokens)
    np.save(args.work / "lm_starts.npy", starts)
    write_labelled(args.work / "labelled.json", kept, encode_all(tokenizer, [r["text"] for r in kept]))
    write_labelled(args.work / "heldback.json", held, encode_all(tokenizer, [r["text"] for r in held]))
    held_chars = sum(len(r["text"].encode("utf-8")) for r in held)
    (args.work / "prepare.json").write_text(json.dumps({
        "documents": len(ids), "tokens": int(len(tokens)), "labelled_kept": len(kept),
        "held_back": len(held), "held_back_bytes": held_chars}))
    print((args.work / "prepare.json").read_text())


if __name__ == "__main__":
    main()
