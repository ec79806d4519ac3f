"""Step 3: train the adapter of `tuned` by direct preference optimisation on the pairs of step 2.

    loss = -log sigmoid(beta (log pi(c)/pi_0(c) - log pi(r)/pi_0(r)))

(Rafailov et al. 2023). pi_0 is SmolLM2 without the adapter. Writes WORK/tuned/ and dpo.json.
"""


import numpy as np
import torch
import torch.nn.functional as F

import common

WIDTH = 128  # maximum tokens of a prompt with its response


def main():
    parser = common.arguments(__doc__, data=False)
    parser.add_argument("--beta", type=float, default=0.5)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--rows", type=int, default=8, help="pairs per step")
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    model, tokenizer = common.load(args.model)
    weight = model.get_input_embeddings().weight
    model = common.with_adapter(model)
    states = common.compiled(model)
    pairs = common.read_lines(args.work / "pairs.jsonl.gz")
    prompts = common.prompt_ids(tokenizer, [p["prompt"] for p in pairs])
    pairs = [p for p, ids in zip(pairs, prompts) if len(ids) + common.TOKENS <= WIDTH]
    pairs = [pairs[i] for i in np.random.default_rng(args.seed).permutation(len(pairs))]
    batches = [pairs[i : i + args.rows] for i in range(0, len(pairs) - args.rows + 1, args.rows)]
    weights = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: common.trapezoid(step, len(batches), 25, len(batches) // 2))
    log = []
    for step, part in enumerate(batches):
        prompts = common.prompt_ids(tokenizer, [p["prompt"] for p in part] * 2)
        responses = [p["chosen"] for p in part] + [p["rejected"] for p in part]
        read = lambda: common.response_log_probs(states, weight, tokenizer, prompts, responses, WIDTH)
        with torch.no_grad(), model.disable_adapter():
            reference = read()
        ratio = read() - reference
        margin = ratio[: args.rows] - ratio[args.rows :]
        loss = -F.logsigmoid(args.beta * margin).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step(), schedule.step(), optimiser.zero_grad()
        log.append((loss.item(), (margin > 0).float().mean().item(), ratio.abs().mean().item()))
        if (step + 1) % 20 == 0 or step + 1 == len(batches):
            loss, right, moved = np.mean(log[-20:], 0)
            print(f"{step + 1}/{len(batches)} loss {loss:.4f} right {right:.3f} log ratio {moved:.2f}", flush=True)
    model.save_pretrained(args.work / "tuned")
    loss, right, moved = np.mean(log[-50:], 0)
    common.write_json(args.work / "dpo.json", {"pairs": len(pairs), "steps": len(batches), "loss": round(loss, 4),
                                               "right": round(right, 3), "mean_log_ratio": round(moved, 2)})


if __name__ == "__main__":
    main()
