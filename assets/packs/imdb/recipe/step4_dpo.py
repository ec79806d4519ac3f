"""Step 4: train `tuned` from `untuned` by direct preference optimisation on the pairs of step 3.

Reports, on samples from held-back prompts, the mean reward, the share above zero, and the mean
of log pi_tuned - log pi_untuned over the response (an estimate of the KL divergence).
"""

import argparse
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F

import common

WIDTH = 58  # tokens of the longest prompt with its response


def token_log_probs(hidden, embed, targets):
    logits = F.linear(hidden, embed).float()
    return logits.gather(-1, targets[..., None])[..., 0] - torch.logsumexp(logits, -1)


def response_log_probs(model, prompts, responses):
    """Returns the log probability of each response including its end of text, [rows]."""
    begin, count = prompts.shape[1] - 1, responses.shape[1]
    ids = common.padded(torch.cat((prompts, responses[:, :-1]), 1), WIDTH)
    hidden = model(ids)[0][:, begin : begin + count]
    lengths = common.response_lengths(responses)
    inside = torch.arange(responses.shape[1], device=ids.device)[None] < lengths[:, None]
    return (token_log_probs(hidden, model.embed, responses) * inside).sum(1)


def minibatches(groups, untuned, rows):
    """Splits the groups and adds the log probability gaps of the reference model."""
    parts = []
    for group in groups:
        for p, c, r in zip(*(group[k].split(rows) for k in ("prompts", "chosen", "rejected"))):
            with torch.no_grad():
                both = response_log_probs(untuned, p.repeat(2, 1), torch.cat((c, r)))
            reference_gap = both[: len(p)] - both[len(p) :]
            parts.append((p, c, r, reference_gap))
    return parts


@torch.no_grad()
def check(model, untuned, reward, held, device, count=256, tokens=50):
    """Returns mean reward, share positive and KL estimate of samples at temperature 1."""
    random, generator = np.random.default_rng(9), torch.Generator(device).manual_seed(9)
    prompts = common.prompts_of(held, 6, count, random, device)
    responses = common.sample(model, prompts, tokens, 1.0, generator)
    rewards = common.read_last(reward, prompts, responses)
    kl = response_log_probs(model, prompts, responses) - response_log_probs(untuned, prompts, responses)
    return {"reward": round(rewards.mean().item(), 3),
            "share_positive": round((rewards > 0).float().mean().item(), 3),
            "kl_nats_per_response": round(kl.mean().item(), 2)}


def train(model, parts, beta, lr, steps, random, on_step):
    """Runs DPO on minibatches in random order. Calls on_step(steps done, mean loss, share right,
    optimiser)."""
    optimiser = common.Optimiser(model, lr, muon_lr=0, weight_decay=0.05, betas=(0.9, 0.98))
    order, log, right = [], [], []
    for step in range(steps):
        order = order or list(random.permutation(len(parts)))
        p, c, r, reference_gap = parts[order.pop()]
        both = response_log_probs(model, p.repeat(2, 1), torch.cat((c, r)))
        margin = both[: len(p)] - both[len(p) :] - reference_gap
        loss = -F.logsigmoid(beta * margin).mean()
        loss.backward()
        optimiser.step(common.trapezoid(step, steps, max(1, steps // 10), steps // 2))
        log.append(loss.item())
        right.append((margin > 0).float().mean().item())
        on_step(step + 1, float(np.mean(log[-50:])), float(np.mean(right[-50:])), optimiser)


def compile_all():
    global token_log_probs
    common.compile_hot_paths()
    token_log_probs = torch.compile(token_log_probs, dynamic=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--name", default="tuned")
    parser.add_argument("--beta", type=float, default=0.3)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--rows", type=int, default=64, help="pairs per step")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    device = common.start(args.seed, args.threads)
    random = np.random.default_rng(args.seed)
    held = json.loads((args.work / "heldback.json").read_text())
    untuned = common.load_model(args.work / "untuned.pt", "guide", device=device)
    model = common.load_model(args.work / "untuned.pt", "guide", device=device)
    reward = common.load_model(args.work / "reward.pt", "guide", head=True, device=device)
    compile_all()
    parts = minibatches(torch.load(args.work / "pairs.pt"), untuned, args.rows)
    steps = int(len(parts) * args.epochs)
    print("untuned", check(untuned, untuned, reward, held, device), "steps", steps, flush=True)

    def on_step(done, loss, right, optimiser):
        if done % 40 == 0 or done == steps:
            print(f"{done}/{steps} loss {loss:.4f} right {right:.3f}",
                  check(model, untuned, reward, held, device), flush=True)
            common.save_atomically(optimiser.state(), args.work / f"{args.name}.pt")

    train(model, parts, args.beta, args.lr, steps, random, on_step)


if __name__ == "__main__":
    main()
