"""Step 11: measure how well the value model predicts the gold reward.

Samples 50-token responses to held-back prompts from `base`, alone and guided at every token.
Reports Spearman's rank correlation between V, read at a quarter, half and the end of the
response, and the gold reward of the finished text. Reads PACK (base, untuned, tuned, value,
judge) and the held-back reviews in WORK. Writes value_vs_gold.json.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import load_file
from tokenizers import Tokenizer

import common
import step8_judge
from step5_value import spearman

TOKENS = 50
FRACTIONS = {"quarter": 0.25, "half": 0.5, "end": 1.0}


def pack_model(folder, size, head=False):
    model = common.Model(common.SHAPES[size], head=head).bfloat16()
    common.load_weights(model, common.from_hugging_face(folder))
    return model


class Judge:
    """The judge in `folder`; returns the gold reward of texts."""

    def __init__(self, folder):
        self.bias = json.loads((folder / "config.json").read_text())["bias"]
        self.weights = load_file(folder / "model.safetensors")["weights"]
        self.hasher = step8_judge.Hasher()

    def of(self, texts):
        sets = [step8_judge.distinct(self.hasher.of_text(t)) for t in texts]
        return torch.tensor([step8_judge.judged(s, self.weights, self.bias) for s in sets])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--pack", type=pathlib.Path, required=True)
    parser.add_argument("--batches", type=int, default=8, help="batches of 128 responses per source")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    common.start(args.seed, args.threads)
    random, generator = np.random.default_rng(args.seed), torch.Generator().manual_seed(args.seed)
    base = pack_model(args.pack / "base", "base")
    pair = [pack_model(args.pack / name, "guide") for name in ("tuned", "untuned")]
    value = pack_model(args.pack / "value", "guide", head=True)
    judge = Judge(args.pack / "judge")
    tokenizer = Tokenizer.from_file(str(args.work / "tokenizer.json"))
    held = json.loads((args.work / "heldback.json").read_text())
    results = {"responses": 128 * args.batches, "temperature": args.temperature}
    seen = {label: {} for label in ("base", "guided, beta 1")}
    for label, guide in (("base", None), ("guided, beta 1", (*pair, 1.0))):
        values, gold = {name: [] for name in FRACTIONS}, []
        for _ in range(args.batches):
            prompts = common.prompts_of(held, int(random.integers(4, 9)), 128, random, "cpu")
            responses = common.sample(base, prompts, TOKENS, args.temperature, generator, guide)
            lengths = common.text_lengths(responses).tolist()
            rows = zip(prompts[:, 1:].tolist(), responses.tolist(), lengths)
            gold.append(judge.of([tokenizer.decode(p + r[:n]) for p, r, n in rows]))
            for name, fraction in FRACTIONS.items():
                values[name].append(common.read_last(value, prompts, responses, fraction))
        seen[label] = ({name: torch.cat(v) for name, v in values.items()}, torch.cat(gold))
    everything = ({n: torch.cat([v[n] for v, _ in seen.values()]) for n in FRACTIONS},
                  torch.cat([g for _, g in seen.values()]))
    for label, (values, gold) in (*seen.items(), ("both together", everything)):
        results[label] = {n: round(spearman(v, gold), 3) for n, v in values.items()}
        results[label]["mean_gold"] = round(gold.mean().item(), 2)
    (pathlib.Path(__file__).parent / "value_vs_gold.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
