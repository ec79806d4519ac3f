"""Step 12: sweep the DPO β, the amount of data and the number of steps of step 4.

Every run trains `tuned` from `untuned` and is measured after each quarter of its steps. For a
measurement, `base` of the pack is guided at every token at four strengths and continues held-back
prompts (none of those of `eval`), and the gold judge scores the texts. A pair is better if it
reaches a higher gold reward at the same cost: the gold reward at PRICE nats of KL(guided || base)
per response is interpolated linearly between the strengths. Among the checkpoints whose
perplexity at that point is at most 1.1 times the base's own, the one with the highest gold reward
is chosen. If the weakest strength of a checkpoint already costs more than PRICE, its gold reward
is interpolated on the line down to the base, which underrates it. Every run has one seed, so
small differences are not significant. Writes dpo_sweep.json.
"""

import argparse
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import common
import step4_dpo
from step11_value_vs_gold import Judge, pack_model

PRICE = 3.0
STRENGTHS = (0.5, 1.0, 1.5, 2.0)
TEMPERATURE = 0.7
TOKENS = 50
# (β, pairs): varies the data at one β, and β at one amount of data.
RUNS = ((0.3, 10240), (0.1, 10240), (1.0, 10240), (0.3, 5120), (0.3, 20480))


class Bench:
    """The prompts, the base and the judge that measure every checkpoint."""

    def __init__(self, work, pack, count):
        self.base = pack_model(pack / "base", "base")
        self.untuned = pack_model(pack / "untuned", "guide")
        self.judge = Judge(pack / "judge")
        self.tokenizer = Tokenizer.from_file(str(pack / "base" / "tokenizer.json"))
        used = set((pack / "eval_prompts.txt").read_text(encoding="utf-8").splitlines())
        held = json.loads((work / "heldback.json").read_text())
        begins = lambda r: {self.tokenizer.decode(r["ids"][:n]) for n in range(4, 9)}
        fresh = [r for r in held if not begins(r) & used]
        self.prompts = common.prompts_of(fresh, 6, count, np.random.default_rng(12), "cpu")

    @torch.no_grad()
    def measure(self, tuned, strength):
        """Returns mean gold reward, KL per response and perplexity under the base."""
        guide = (tuned, self.untuned, strength) if strength else None
        generator = torch.Generator().manual_seed(12)
        responses = common.sample(self.base, self.prompts, TOKENS, TEMPERATURE, generator, guide)
        lengths = common.text_lengths(responses).tolist()
        rows = zip(self.prompts[:, 1:].tolist(), responses.tolist(), lengths)
        gold = self.judge.of([self.tokenizer.decode(p + r[:n]) for p, r, n in rows])
        kl = nats = tokens = 0.0
        for p, r in zip(self.prompts.split(32), responses.split(32)):
            part = self.distances(p, r, tuned, strength)
            kl, nats, tokens = kl + part[0], nats + part[1], tokens + part[2]
        return {"strength": strength, "gold": round(gold.mean().item(), 3),
                "share_positive": round((gold > 0).float().mean().item(), 3),
                "kl_nats": round(kl / len(responses), 3),
                "perplexity": round(float(np.exp(nats / tokens)), 2)}

    def distances(self, prompts, responses, tuned, strength):
        """Returns the sum of KL(guided || base), the sum of -log p of the base, and the number of
        tokens."""
        ids, begin = torch.cat((prompts, responses[:, :-1]), 1), prompts.shape[1] - 1
        logits = lambda m: F.linear(m(ids)[0][:, begin:], m.embed).float()
        z = logits(self.base)
        base = torch.log_softmax(z, -1)
        inside = torch.arange(responses.shape[1])[None] < common.response_lengths(responses)[:, None]
        nats = -(base.gather(-1, responses[..., None])[..., 0] * inside).sum().item()
        if not strength:
            return 0.0, nats, inside.sum().item()
        guided = torch.log_softmax(z + strength * (logits(tuned) - logits(self.untuned)), -1)
        kl = ((guided.exp() * (guided - base)).sum(-1) * inside).sum().item()
        return kl, nats, inside.sum().item()


def gold_at(points, price):
    """Returns gold reward and perplexity where the curve through (0, base) and the strengths costs
    `price` nats, or those of the last point if it costs less."""
    kl = [p["kl_nats"] for p in points]
    read = lambda name: float(np.interp(price, kl, [p[name] for p in points]))
    return read("gold"), read("perplexity")


def run(bench, work, base_point, beta, pairs, args):
    """Trains one run and measures its checkpoints. Saves the weights of each in the work
    directory."""
    random = np.random.default_rng(args.seed)
    untuned = common.load_model(work / "untuned.pt", "guide")
    model = common.load_model(work / "untuned.pt", "guide")
    groups = torch.load(work / "pairs.pt")
    groups = groups[: pairs // len(groups[0]["prompts"])]
    parts = step4_dpo.minibatches(groups, untuned, args.rows)
    steps, results = len(parts), []

    def on_step(done, loss, right, optimiser):
        if done % max(1, steps // 4) != 0:
            return
        points = [base_point] + [bench.measure(model, s) for s in STRENGTHS]
        gold, perplexity = gold_at(points, PRICE)
        name = f"sweep_{beta}_{pairs}_{done}"
        common.save_atomically(optimiser.state(), work / f"{name}.pt")
        results.append({"beta": beta, "pairs": pairs, "steps": done, "of_steps": steps,
                        "loss": round(loss, 4), "pairs_right": round(right, 3), "weights": name,
                        "gold_at_price": round(gold, 3), "perplexity_at_price": round(perplexity, 2),
                        "points": points[1:]})
        print(json.dumps({k: v for k, v in results[-1].items() if k != "points"}), flush=True)

    step4_dpo.train(model, parts, beta, args.lr, steps, random, on_step)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--pack", type=pathlib.Path, required=True)
    parser.add_argument("--prompts", type=int, default=384)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    common.start(args.seed, args.threads)
    bench = Bench(args.work, args.pack, args.prompts)
    step4_dpo.compile_all()
    base_point = bench.measure(None, 0.0)
    print("base", base_point, flush=True)
    shipped = [base_point] + [bench.measure(pack_model(args.pack / "tuned", "guide"), s) for s in STRENGTHS]
    gold, perplexity = gold_at(shipped, PRICE)
    result = {"prompts": args.prompts, "price_nats": PRICE, "temperature": TEMPERATURE, "lr": args.lr,
              "base": base_point, "shipped_before": {
                  "gold_at_price": round(gold, 3), "perplexity_at_price": round(perplexity, 2),
                  "points": shipped[1:]}, "checkpoints": []}
    print("shipped", result["shipped_before"], flush=True)
    out = pathlib.Path(__file__).parent / "dpo_sweep.json"
    for beta, pairs in RUNS:
        result["checkpoints"] += run(bench, args.work, base_point, beta, pairs, args)
        fluent = [c for c in result["checkpoints"]
                  if c["perplexity_at_price"] <= 1.1 * base_point["perplexity"]]
        best = max(fluent, key=lambda c: c["gold_at_price"], default=None)
        result["chosen"] = best and {k: best[k] for k in ("beta", "pairs", "steps", "weights", "gold_at_price")}
        out.write_text(json.dumps(result, indent=1) + "\n")
        print("chosen so far", result["chosen"], flush=True)


if __name__ == "__main__":
    main()
