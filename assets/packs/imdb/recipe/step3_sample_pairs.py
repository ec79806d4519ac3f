"""Step 3: sample preference pairs.

Prompts are END_OF_TEXT and the first 4 to 8 tokens of labelled reviews. `untuned` writes two
continuations of each. The reward model scores them, and the preferred one is drawn from the
Bradley-Terry model, P(a over b) = sigmoid(r_a - r_b). Writes pairs.pt: a list of groups, one per
batch, with prompts [n, time], chosen and rejected [n, 50].
"""

import argparse
import pathlib
import json

import numpy as np
import torch

import common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--pairs", type=int, default=10240)
    parser.add_argument("--rows", type=int, default=256, help="pairs per batch")
    parser.add_argument("--tokens", type=int, default=50)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    device = common.start(args.seed, args.threads)
    random = np.random.default_rng(args.seed)
    generator = torch.Generator(device).manual_seed(args.seed)
    untuned = common.load_model(args.work / "untuned.pt", "guide", device=device)
    reward = common.load_model(args.work / "reward.pt", "guide", head=True, device=device)
    reviews = json.loads((args.work / "labelled.json").read_text())
    groups, gaps = [], []
    for index in range(args.pairs // args.rows):
        prompts = common.prompts_of(reviews, int(random.integers(4, 9)), args.rows, random, device)
        first, second = common.sample(
            untuned, prompts.repeat(2, 1), args.tokens, args.temperature, generator).chunk(2)
        gap = common.read_last(reward, prompts, first) - common.read_last(reward, prompts, second)
        wins = torch.rand(len(gap), generator=generator, device=device) < torch.sigmoid(gap)
        groups.append({"prompts": prompts, "chosen": torch.where(wins[:, None], first, second),
                       "rejected": torch.where(wins[:, None], second, first)})
        gaps.append(torch.where(wins, gap, -gap).cpu())
        if (index + 1) % 10 == 0:
            print(f"{(index + 1) * args.rows} pairs, mean reward gap {torch.cat(gaps).mean():.3f}", flush=True)
    common.save_atomically(groups, args.work / "pairs.pt")


if __name__ == "__main__":
    main()
