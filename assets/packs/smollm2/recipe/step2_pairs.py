"""Step 2: sample responses and form preference pairs.

Prompts are the first 3 to 8 words of kept reviews in the template. SmolLM2 writes four
continuations of each. The reward model reads opening and continuation as plain text. The best and
the worst of the four form a pair. Writes WORK/samples.jsonl.gz (prompt, response, reward) and
WORK/pairs.jsonl.gz (prompt, chosen, rejected). Responses are token ids.
"""


import numpy as np
import torch

import common


class Reward:
    """The reward model of step 1. Returns the log-odds of a positive review for each text."""

    def __init__(self, work, source):
        model, self.tokenizer = common.load(source)
        self.states = common.compiled(common.put_adapter(model, work / "reward"))
        self.head = torch.nn.Linear(model.config.hidden_size, 1)
        self.head.load_state_dict(torch.load(work / "reward" / "head.pt"))

    @torch.no_grad()
    def __call__(self, texts):
        values, width = [], 96
        for begin in range(0, len(texts), 64):
            part = self.tokenizer(texts[begin : begin + 64], add_special_tokens=False).input_ids
            part = [(ids or [self.tokenizer.eos_token_id])[:width] for ids in part]
            states = self.states(common.batch(self.tokenizer, part, width))
            last = torch.tensor([len(ids) - 1 for ids in part])
            values.append(self.head(states[torch.arange(len(part)), last].float())[:, 0])
        return torch.cat(values)


def main():
    parser = common.arguments(__doc__, data=True)
    parser.add_argument("--prompts", type=int, default=1280)
    parser.add_argument("--rows", type=int, default=32, help="prompts per batch")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    random, generator = np.random.default_rng(args.seed), torch.Generator().manual_seed(args.seed)
    model, tokenizer = common.load(args.model)
    reward = Reward(args.work, args.model)
    kept, _ = common.reviews(args.data)
    samples, pairs = [], []
    while len(pairs) < args.prompts:
        prompts = common.openings(kept, args.rows, 3, 8, random)
        four = common.sample([(1.0, model)], tokenizer, prompts * 4, args.temperature, generator)
        values = reward([p + tokenizer.decode(r) for p, r in zip(prompts * 4, four)])
        samples += [{"prompt": p, "response": r, "reward": round(v, 4)}
                    for p, r, v in zip(prompts * 4, four, values.tolist())]
        of_prompt = values.view(4, args.rows)
        best, worst = of_prompt.argmax(0).tolist(), of_prompt.argmin(0).tolist()
        pairs += [{"prompt": p, "chosen": four[best[i] * args.rows + i], "rejected": four[worst[i] * args.rows + i]}
                  for i, p in enumerate(prompts)]
        print(f"{len(pairs)} pairs, mean reward {values.mean():.3f}, positive {(values > 0).float().mean():.3f}", flush=True)
    common.write_lines(args.work / "samples.jsonl.gz", samples)
    common.write_lines(args.work / "pairs.jsonl.gz", pairs)


if __name__ == "__main__":
    main()
