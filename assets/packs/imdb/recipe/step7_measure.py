"""Step 7: measure the finished models on the held-back reviews; writes results.json.

Perplexity and bits per byte are computed over whole reviews, each after END_OF_TEXT and cut at
1,024 tokens, including the final end of text. Rewards are those of the reward model that
labelled the preferences, on 50-token samples from held-back prompts (6 tokens). They show how far
guidance moves the text, not how an independent judge would score it.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from tokenizers import Tokenizer

import common
import step2_train_reward
import step4_dpo
import step5_value


@torch.no_grad()
def language_measures(model, reviews, tokenizer, device):
    nats = tokens = size = 0
    for begin in range(0, len(reviews), 8):
        part = sorted((r["ids"] + [common.END_OF_TEXT] for r in reviews[begin : begin + 8]), key=len)
        part = [p[:1023] for p in part]
        ids = torch.zeros(len(part), len(part[-1]) + 1, dtype=torch.long, device=device)
        for row, p in enumerate(part):
            ids[row, 1 : 1 + len(p)] = torch.tensor(p)
        hidden = model(ids[:, :-1])[0]
        for row, p in enumerate(part):
            log_probs = step4_dpo.token_log_probs(hidden[row, : len(p)], model.embed, ids[row, 1 : 1 + len(p)])
            nats -= log_probs.sum().item()
            tokens += len(p)
            size += len(tokenizer.decode(p).encode("utf-8"))
    return {"reviews": len(reviews), "nats_per_token": round(nats / tokens, 4),
            "perplexity": round(float(np.exp(nats / tokens)), 2),
            "bits_per_byte": round(nats / np.log(2) / size, 4)}


def distinct_bigrams(responses):
    """Returns the share of distinct bigrams among all bigrams of all texts."""
    pairs = [(a, b) for row in responses.tolist() for a, b in zip(row, row[1:]) if a and b]
    return len(set(pairs)) / max(1, len(pairs))


@torch.no_grad()
def sample_measures(models, guide, held, temperature, count, device):
    model, base, reward = guide[0], models["base"], models["reward"]
    generator = torch.Generator(device).manual_seed(11)
    prompts = common.prompts_of(held, 6, count, np.random.default_rng(11), device)
    responses = common.sample(model, prompts, 50, temperature, generator, guide[1])
    rewards = common.read_last(reward, prompts, responses)
    log_probs = torch.cat([step4_dpo.response_log_probs(base, p, r)
                           for p, r in zip(prompts.split(64), responses.split(64))])
    return {"mean_reward": round(rewards.mean().item(), 3),
            "share_positive": round((rewards > 0).float().mean().item(), 3),
            "base_nats_per_token": round((-log_probs.sum() / common.response_lengths(responses).sum()).item(), 3),
            "distinct_bigrams": round(distinct_bigrams(responses), 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent / "results.json")
    parser.add_argument("--reviews", type=int, default=1000)
    parser.add_argument("--prompts", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    device = common.start(7, args.threads)
    load = lambda name, size, **k: common.load_model(args.work / f"{name}.pt", size, device=device, **k)
    models = {"base": load("base", "base"), "untuned": load("untuned", "guide"), "tuned": load("tuned", "guide"),
              "reward": load("reward", "guide", head=True)}
    value = load("value", "guide", head=True)
    held = json.loads((args.work / "heldback.json").read_text())
    shuffled = [held[i] for i in np.random.default_rng(7).permutation(len(held))]
    tokenizer = Tokenizer.from_file(str(args.work / "tokenizer.json"))
    pair = (models["tuned"], models["untuned"])
    ways = {"base": (models["base"], None), "untuned alone": (models["untuned"], None),
            "tuned alone": (models["tuned"], None)}
    ways |= {f"base, beta {beta:g}": (models["base"], (*pair, beta)) for beta in (-1.0, 0.5, 1.0, 2.0)}
    results = {"language": {}, "samples": {}}
    save = lambda: args.out.write_text(json.dumps(results, indent=1) + "\n")
    for temperature in (0.7, 1.0):
        for name, way in ways.items():
            found = sample_measures(models, way, held, temperature, args.prompts, device)
            results["samples"][f"{name}, temperature {temperature}"] = found
            print(name, temperature, found, flush=True)
            save()
    random, generator = np.random.default_rng(12), torch.Generator(device).manual_seed(12)
    groups = step5_value.scored(step5_value.responses_of(models, held, 8, 256, random, generator, device), models["reward"])
    results["value_spearman"] = step5_value.correlations(value, groups)
    results["reward_accuracy_at_tokens"] = step2_train_reward.accuracies(models["reward"], held, device)
    save()
    for name in ("base", "untuned", "tuned"):
        results["language"][name] = language_measures(models[name], shuffled[: args.reviews], tokenizer, device)
        save()
    results["training"] = {n: json.loads((args.work / f"{n}.json").read_text())
                           for n in ("base", "untuned", "prepare") if (args.work / f"{n}.json").exists()}
    save()
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
