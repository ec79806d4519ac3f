"""Step 5: train the value model as in FUDGE: 1/2 sum_t (V(x, y<=t) - r(x, y))^2.

The model is the trunk of `untuned` with a scalar head. It is trained on 64-token responses of
`base`, `untuned`, `tuned` and token-guided `base`, half at temperature 0.7 and half at 1.0.
r is the reward model on prompt and response. Reports Spearman's rank correlation of V with r at a
quarter, half and the end of the response, on held-back prompts.
"""

import argparse
import json
import pathlib

import numpy as np
import torch

import common

TOKENS = 64
WIDTH = 73  # tokens of the longest prompt with its response


def responses_of(models, reviews, batches, rows, random, generator, device):
    """Yields groups of (source, prompts, responses), alternating between the sources."""
    base, untuned, tuned = models["base"], models["untuned"], models["tuned"]
    sources = (("base", base, None), ("untuned", untuned, None), ("tuned", tuned, None),
               ("guided", base, (tuned, untuned, 1.0)))
    for index in range(batches):
        name, model, guide = sources[index % 4]
        temperature = (0.7, 1.0)[(index // 4) % 2]
        prompts = common.prompts_of(reviews, int(random.integers(2, 9)), rows, random, device)
        yield name, prompts, common.sample(model, prompts, TOKENS, temperature, generator, guide)


def scored(groups, reward):
    return [(name, p, r, common.read_last(reward, p, r)) for name, p, r in groups]


def spearman(a, b):
    ranks = [np.argsort(np.argsort(x.cpu().numpy())).astype(float) for x in (a, b)]
    return float(np.corrcoef(*ranks)[0, 1])


def correlations(model, groups):
    """Returns Spearman's correlation of V with the final reward at a quarter, half and the end,
    by source."""
    result = {}
    for source in ("base", "untuned", "tuned", "guided"):
        of_source = [g for g in groups if g[0] == source]
        final = torch.cat([g[3] for g in of_source])
        result[source] = {label: round(spearman(torch.cat(
            [common.read_last(model, g[1], g[2], fraction) for g in of_source]), final), 3)
            for label, fraction in (("quarter", 0.25), ("half", 0.5), ("end", 1.0))}
    return result


def minibatches(groups, rows):
    parts = []
    for _, prompts, responses, rewards in groups:
        parts += list(zip(prompts.split(rows), responses.split(rows), rewards.split(rows)))
    return parts


def prefix_loss(model, prompts, responses, rewards):
    """Returns the mean of 1/2 (V - r)^2 over the text tokens of the responses."""
    ids = common.padded(torch.cat((prompts, responses), 1), WIDTH)
    values = model.values(ids)[:, prompts.shape[1] : prompts.shape[1] + TOKENS]
    inside = torch.arange(TOKENS, device=values.device)[None] < common.text_lengths(responses)[:, None]
    return (0.5 * (values - rewards[:, None]).square() * inside).sum() / inside.sum()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--batches", type=int, default=64, help="batches of 256 responses")
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--lr", type=float, default=4e-4)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    device = common.start(args.seed, args.threads)
    random, generator = np.random.default_rng(args.seed), torch.Generator(device).manual_seed(args.seed)
    load = lambda name, size, **k: common.load_model(args.work / f"{name}.pt", size, device=device, **k)
    models = {"base": load("base", "base"), "untuned": load("untuned", "guide"), "tuned": load("tuned", "guide")}
    reward = load("reward", "guide", head=True)
    kept = json.loads((args.work / "labelled.json").read_text())
    held = json.loads((args.work / "heldback.json").read_text())
    groups = scored(responses_of(models, kept, args.batches, 256, random, generator, device), reward)
    held_groups = scored(responses_of(models, held, 8, 256, random, generator, device), reward)
    print("sampled", {s: round(torch.cat([g[3] for g in groups if g[0] == s]).mean().item(), 2)
                      for s in ("base", "untuned", "tuned", "guided")}, flush=True)
    common.compile_hot_paths()
    model = load("untuned", "guide", head=True)
    optimiser = common.Optimiser(model, args.lr, muon_lr=0, weight_decay=0.1, betas=(0.9, 0.98))
    parts, order, log = minibatches(groups, args.rows), [], []
    steps = int(len(parts) * args.epochs)
    for step in range(steps):
        order = order or list(random.permutation(len(parts)))
        loss = prefix_loss(model, *parts[order.pop()])
        loss.backward()
        optimiser.step(common.trapezoid(step, steps, 30, steps * 2 // 3))
        log.append(loss.item())
        if (step + 1) % 50 == 0 or step + 1 == steps:
            with torch.no_grad():
                held_loss = np.mean([prefix_loss(model, *g[1:]).item() for g in held_groups])
            print(f"{step + 1}/{steps} loss {np.mean(log[-50:]):.4f} held back {held_loss:.4f}", flush=True)
    result = {"steps": steps, "responses": args.batches * 256, "spearman": correlations(model, held_groups)}
    common.save_atomically(optimiser.state(), args.work / "value.pt")
    (args.work / "value.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
