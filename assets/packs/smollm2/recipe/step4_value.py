"""Step 4: train the value head by prefix regression on the hidden states of the unchanged SmolLM2.

    loss = 1/2 sum_t (V(x, y<=t) - r(x, y))^2,   V(x, y<=t) = w h_t + b

h_t is the last hidden state after y_t. The training data are the samples of step 2 and one sample
of the tuned model for each of as many new prompts, because guided responses resemble those. The
head is fitted by ridge regression in closed form. The penalty is chosen on a tenth of the
prompts. Reports Spearman's rank correlation of V with the final reward on those prompts. Writes
WORK/value.safetensors and value.json.
"""


import numpy as np
import torch
from safetensors.torch import save_file

import common
import step2_pairs

WIDTH = 128


def sampled(args, tokenizer, reward):
    """Samples from the tuned model on new openings. Returns the format of step 2."""
    random, generator = np.random.default_rng(args.seed), torch.Generator().manual_seed(args.seed)
    kept, _ = common.reviews(args.data)
    tuned = common.put_adapter(common.load(args.model)[0], args.work / "tuned")
    samples = []
    while len(samples) < args.prompts:
        prompts = common.openings(kept, args.rows, 3, 8, random)
        responses = common.sample([(1.0, tuned)], tokenizer, prompts, args.temperature, generator)
        values = reward([p + tokenizer.decode(r) for p, r in zip(prompts, responses)])
        samples += [{"prompt": p, "response": r, "reward": round(v, 4)}
                    for p, r, v in zip(prompts, responses, values.tolist())]
    print("tuned", praise(samples), flush=True)
    return samples


def praise(samples):
    rewards = np.array([s["reward"] for s in samples])
    return {"mean_reward": round(float(rewards.mean()), 3), "positive": round(float((rewards > 0).mean()), 3)}


@torch.no_grad()
def states_of(states, tokenizer, samples):
    """Returns the hidden states over each response, one float tensor [tokens, hidden] per sample."""
    found = []
    for begin in range(0, len(samples), 64):
        part = samples[begin : begin + 64]
        prompts = common.prompt_ids(tokenizer, [s["prompt"] for s in part])
        ids = common.batch(tokenizer, [p + s["response"] for p, s in zip(prompts, part)], WIDTH)
        hidden = states(ids)
        found += [hidden[i, len(p) : len(p) + len(s["response"])].float().clone()
                  for i, (p, s) in enumerate(zip(prompts, part))]
    return found


def moments(states, samples):
    """Returns Gram matrix and right-hand side of the regression with a constant column, float64."""
    width = states[0].shape[1] + 1
    gram, right = torch.zeros(width, width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64)
    for h, s in zip(states, samples):
        x = torch.cat((h, torch.ones(len(h), 1)), 1).double()
        gram += x.T @ x
        right += x.sum(0) * s["reward"]
    return gram, right


def spearman(a, b):
    ranks = [np.argsort(np.argsort(x)).astype(float) for x in (a, b)]
    return round(float(np.corrcoef(*ranks)[0, 1]), 3)


def correlations(solution, states, samples):
    """Returns the correlation of V with the reward at a quarter, half and the end of the
    response."""
    long = [(h, s["reward"]) for h, s in zip(states, samples) if len(h) >= 16]
    result = {"responses": len(long)}
    for name, share in (("quarter", 0.25), ("half", 0.5), ("end", 1.0)):
        values = [float(h[int(len(h) * share) - 1].double() @ solution[:-1]) for h, _ in long]
        result[name] = spearman(np.array(values), np.array([r for _, r in long]))
    return result


def main():
    parser = common.arguments(__doc__, data=True)
    parser.add_argument("--prompts", type=int, default=1280)
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=4)
    args = parser.parse_args()
    model, tokenizer = common.load(args.model)
    reward = step2_pairs.Reward(args.work, args.model)
    of_base = common.read_lines(args.work / "samples.jsonl.gz")
    of_tuned = sampled(args, tokenizer, reward)
    samples = of_base + of_tuned
    prompts = common.prompt_ids(tokenizer, [s["prompt"] for s in samples])
    samples = [s for s, ids in zip(samples, prompts) if len(ids) + common.TOKENS <= WIDTH]
    states = states_of(common.compiled(model), tokenizer, samples)
    openings = sorted({s["prompt"] for s in samples})
    checked = set(np.random.default_rng(args.seed).permutation(openings)[: len(openings) // 10])
    split = lambda rows, inside: [r for r, s in zip(rows, samples) if (s["prompt"] in checked) == inside]
    gram, right = moments(split(states, False), split(samples, False))
    tried = {}
    for penalty in (1.0, 10.0, 100.0, 1000.0, 10000.0):
        ridge = torch.full((len(gram),), penalty, dtype=torch.float64)
        ridge[-1] = 0
        solution = torch.linalg.solve(gram + ridge.diag(), right)
        errors = [((h.double() @ solution[:-1] + solution[-1] - s["reward"]) ** 2) for h, s in
                  zip(split(states, True), split(samples, True))]
        tried[penalty] = (torch.cat(errors).mean().item() / 2, solution)
        print(f"penalty {penalty:g} loss {tried[penalty][0]:.4f}", flush=True)
    penalty = min(tried, key=lambda p: tried[p][0])
    loss, solution = tried[penalty]
    is_base = {id(s) for s in of_base}
    base = lambda rows: [r for r, s in zip(rows, samples) if s["prompt"] in checked and id(s) in is_base]
    result = {"responses": len(samples), "untuned": praise(of_base), "tuned": praise(of_tuned),
              "penalty": penalty, "loss": round(loss, 4),
              "spearman": correlations(solution, split(states, True), split(samples, True)),
              "spearman_untuned": correlations(solution, base(states), base(samples))}
    weight, bias = solution[:-1].float()[None].contiguous(), solution[-1:].float()
    save_file({"v_head.summary.weight": weight, "v_head.summary.bias": bias}, args.work / "value.safetensors")
    common.write_json(args.work / "value.json", result)
    print(result)


if __name__ == "__main__":
    main()
