"""Step 10: write the held-out prompts of `ivg-playground eval`.

A prompt is the first 4 to 8 tokens of a held-back review, cut at the end of a word. Half of the
prompts come from negative, half from positive reviews, without duplicates. Writes
eval_prompts.txt, one prompt per line.
"""

import argparse
import json
import pathlib

import numpy as np
from tokenizers import Tokenizer

SHORTEST, LONGEST = 4, 8


def prompt_of(tokenizer, ids, length):
    """Returns the first words within `length` tokens, or None if fewer than SHORTEST tokens
    remain."""
    pieces = [tokenizer.decode([i]) for i in ids[: length + 1]]
    while length >= SHORTEST and not pieces[length].startswith(" "):
        length -= 1
    text = tokenizer.decode(ids[:length])
    # The text must fit in one line and be tokenized to the same ids again.
    is_sound = length >= SHORTEST and "\n" not in text and tokenizer.encode(text).ids == ids[:length]
    return text if is_sound else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--pack", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=10)
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(args.work / "tokenizer.json"))
    held = json.loads((args.work / "heldback.json").read_text())
    random = np.random.default_rng(args.seed)
    prompts, wanted = {}, {0: args.count // 2, 1: args.count - args.count // 2}
    for i in random.permutation(len(held)):
        ids, label = held[i]["ids"], held[i]["label"]
        if wanted[label] == 0 or len(ids) <= LONGEST:
            continue
        text = prompt_of(tokenizer, ids, int(random.integers(SHORTEST, LONGEST + 1)))
        if text and text not in prompts:
            prompts[text] = label
            wanted[label] -= 1
    (args.pack / "eval_prompts.txt").write_text("".join(p + "\n" for p in prompts), encoding="utf-8")
    print(len(prompts), "prompts")


if __name__ == "__main__":
    main()
