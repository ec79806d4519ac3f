"""Step 9: measure bits per byte of the base and of another language model on the same text.

The text is the first 2,000 bytes of held-back reviews, each review after the model's end-of-text
token. The other model is a GGUF file with a GPT-2 byte-level BPE that splits digits, such as
SmolLM2's. The tokenizer is built here because `transformers` would infer the wrong pre-tokenizer.
Writes bits_results.json.
"""

import argparse
import json
import math
import pathlib

import numpy as np
import torch
from gguf import GGUFReader
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM

import common

BYTES = 2000


def texts_of(work, count):
    """Returns the first BYTES bytes of `count` held-back reviews, cut at a character boundary."""
    held = json.loads((work / "heldback.json").read_text())
    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    order = np.random.default_rng(7).permutation(len(held))[:count]
    texts = (tokenizer.decode(held[i]["ids"]) for i in order)
    return [t.encode("utf-8")[:BYTES].decode("utf-8", "ignore") for t in texts]


def gguf_tokenizer(file):
    """Returns the BPE tokenizer of a GGUF file, and its end-of-text id."""
    fields = GGUFReader(file).fields
    strings = lambda name: fields[name].contents()
    vocab = {token: i for i, token in enumerate(strings("tokenizer.ggml.tokens"))}
    merges = [tuple(m.split(" ")) for m in strings("tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer, vocab["<|endoftext|>"]


@torch.no_grad()
def bits_per_byte(model, tokenizer, end_of_text, texts):
    """Returns -log2 p(text) per byte over all texts, without the end of the text."""
    nats = size = tokens = 0
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(ids) == text
        ids = torch.tensor([[end_of_text] + ids])
        logits = model(ids).logits[0, :-1].float()
        nats += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        size += len(text.encode("utf-8"))
        tokens += ids.shape[1] - 1
    return {"bits_per_byte": round(nats / math.log(2) / size, 4), "bytes_per_token": round(size / tokens, 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--pack", type=pathlib.Path, required=True)
    parser.add_argument("--gguf", type=pathlib.Path, help="the other model")
    parser.add_argument("--reviews", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "bits_results.json")
    args = parser.parse_args()
    common.start(0, args.threads)
    texts = texts_of(args.work, args.reviews)
    results = {"reviews": len(texts), "bytes_of_each": BYTES}
    base = AutoModelForCausalLM.from_pretrained(args.pack / "base", dtype=torch.float32)
    own = Tokenizer.from_file(str(args.pack / "base" / "tokenizer.json"))
    results["base"] = bits_per_byte(base, own, common.END_OF_TEXT, texts)
    print(results, flush=True)
    if args.gguf:
        other = AutoModelForCausalLM.from_pretrained(
            args.gguf.parent, gguf_file=args.gguf.name, dtype=torch.float32)
        name = args.gguf.name
        results[name] = bits_per_byte(other, *gguf_tokenizer(args.gguf), texts)
        ratio = results["base"]["bits_per_byte"] / results[name]["bits_per_byte"]
        results["ratio"] = round(ratio, 3)
    args.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
