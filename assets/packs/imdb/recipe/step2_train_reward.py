"""Step 2: train the reward model that labels the preferences.

The model is the trunk of `untuned` with a scalar head for the log-odds of a positive review at any
token. It is trained on crops of 128 tokens (half of them from the start of the review) of the
even-indexed labelled reviews, with the label as target at every token from the 8th on.
Some tokens of each crop are replaced at random to prevent memorisation.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

import common

CROP, FIRST_READ = 128, 8


def crops(reviews, random, device):
    """Returns ids [rows, CROP] starting with END_OF_TEXT, the mask of real tokens, and labels
    [rows]."""
    ids = np.zeros((len(reviews), CROP), np.int64)
    real = np.zeros((len(reviews), CROP), bool)
    for row, review in enumerate(reviews):
        tokens = review["ids"]
        begin = 0 if random.random() < 0.5 else int(random.integers(0, max(1, len(tokens) - CROP)))
        part = tokens[begin : begin + CROP - 1]
        ids[row, 1 : 1 + len(part)] = part
        real[row, FIRST_READ : 1 + len(part)] = True
    labels = torch.tensor([float(r["label"]) for r in reviews], device=device)
    return torch.from_numpy(ids).to(device), torch.from_numpy(real).to(device), labels


@torch.no_grad()
def accuracies(model, reviews, device):
    """Returns the accuracy on the first 16, 32, 64 and 127 tokens of held-back reviews."""
    right = {16: 0, 32: 0, 64: 0, 127: 0}
    for begin in range(0, len(reviews), 64):
        part = reviews[begin : begin + 64]
        ids = torch.tensor([([0] + r["ids"] + [0] * CROP)[:CROP] for r in part], device=device)
        labels = torch.tensor([r["label"] for r in part], device=device) > 0
        values = model.values(ids)
        last = torch.tensor([len(r["ids"]) for r in part], device=device)
        for tokens in right:
            read = values.gather(1, last.clamp(max=tokens)[:, None])[:, 0]
            right[tokens] += ((read > 0) == labels).sum().item()
    return {str(t): round(n / len(reviews), 4) for t, n in right.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--lr", type=float, default=4e-4)
    parser.add_argument("--corrupt", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    device = common.start(args.seed, args.threads)
    random = np.random.default_rng(args.seed)
    reviews = json.loads((args.work / "labelled.json").read_text())[0::2]
    held = json.loads((args.work / "heldback.json").read_text())
    common.compile_hot_paths()
    model = common.load_model(args.work / "untuned.pt", "guide", head=True, device=device)
    optimiser = common.Optimiser(model, args.lr, muon_lr=0, weight_decay=0.1, betas=(0.9, 0.98))
    queue, log = [], []
    for step in range(args.steps):
        if len(queue) < args.rows:
            queue = list(random.permutation(len(reviews)))
        chosen = [reviews[queue.pop()] for _ in range(args.rows)]
        ids, real, labels = crops(chosen, random, device)
        noise = torch.rand(ids.shape, device=device) < args.corrupt
        ids = torch.where(noise & (ids != 0), torch.randint_like(ids, 1, model.shape.vocab), ids)
        losses = F.binary_cross_entropy_with_logits(
            model.values(ids), labels[:, None].expand(ids.shape), reduction="none")
        loss = (losses * real).sum() / real.sum()
        loss.backward()
        optimiser.step(common.trapezoid(step, args.steps, 50, args.steps * 2 // 3))
        log.append(loss.item())
        if (step + 1) % 50 == 0:
            print(f"{step + 1}/{args.steps} loss {np.mean(log[-50:]):.4f}", flush=True)
    result = {"steps": args.steps, "held_back_accuracy_at_tokens": accuracies(model, held, device)}
    common.save_atomically(optimiser.state(), args.work / "reward.pt")
    (args.work / "reward.json").write_text(json.dumps(result, indent=1))
    print(result)


if __name__ == "__main__":
    main()
