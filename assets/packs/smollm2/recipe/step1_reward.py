"""Step 1: train the reward model that labels the preferences and is the target of the value head.

The model is SmolLM2 with an adapter and a scalar head for the log-odds of a positive review at any
token. It is trained on crops of 64 tokens (half of them from the start) of the even-indexed
labelled reviews as plain text, with the label as target at every token from the 8th on. The other
half of the labelled reviews is used only by the gold judge (step 8 of the IMDB pack's recipe).
Writes WORK/reward/ and reward.json.
"""


import numpy as np
import torch
import torch.nn.functional as F

import common

CROP, FIRST_READ = 64, 8


def crops(tokenizer, rows, random):
    """Returns ids [rows, CROP], the mask of the tokens in the loss, and labels [rows]."""
    parts = []
    for row in rows:
        text = row["text"][:4000]
        begin = 0 if random.random() < 0.5 else int(random.integers(0, max(1, len(text) - 300)))
        begin = text.find(" ", begin) + 1 if begin else 0
        parts.append(tokenizer(text[begin : begin + 600], add_special_tokens=False).input_ids[:CROP])
    ids = common.batch(tokenizer, parts, CROP)
    read = torch.zeros_like(ids, dtype=torch.bool)
    for row, part in enumerate(parts):
        read[row, FIRST_READ : len(part)] = True
    return ids, read, torch.tensor([float(r["label"]) for r in rows])


@torch.no_grad()
def accuracies(states, head, tokenizer, rows):
    """Returns the accuracy on the first 16, 32 and 64 tokens of held-back reviews."""
    right, labels = {16: [], 32: [], 64: []}, []
    for begin in range(0, len(rows) - 63, 64):
        part = rows[begin : begin + 64]
        ids = [tokenizer(r["text"][:600], add_special_tokens=False).input_ids[:CROP] for r in part]
        values = head(states(common.batch(tokenizer, ids, CROP)).float())[..., 0]
        for size, found in right.items():
            last = torch.tensor([min(size, len(i)) - 1 for i in ids])
            found += (values.gather(1, last[:, None])[:, 0] > 0).tolist()
        labels += [r["label"] > 0 for r in part]
    return {str(size): round(float(np.mean(np.equal(f, labels))), 4) for size, f in right.items()}


def main():
    parser = common.arguments(__doc__, data=True)
    parser.add_argument("--steps", type=int, default=320)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    random = np.random.default_rng(args.seed)
    model, tokenizer = common.load(args.model)
    model = common.with_adapter(model)
    head = torch.nn.Linear(model.config.hidden_size, 1)
    torch.nn.init.zeros_(head.weight)
    states = common.compiled(model)
    kept, held = common.reviews(args.data)
    kept = kept[::2]
    weights = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW([{"params": weights}, {"params": head.parameters()}], lr=args.lr,
                                  betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: common.trapezoid(step, args.steps, 20, args.steps // 2))
    log, order = [], []
    for step in range(args.steps):
        order = order or list(random.permutation(len(kept) // args.rows * args.rows).reshape(-1, args.rows))
        ids, read, labels = crops(tokenizer, [kept[i] for i in order.pop()], random)
        values = head(states(ids)[read].float())[:, 0]
        loss = F.binary_cross_entropy_with_logits(values, labels[:, None].expand_as(read)[read])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step(), schedule.step(), optimiser.zero_grad()
        log.append(loss.item())
        if (step + 1) % 20 == 0:
            print(f"{step + 1}/{args.steps} loss {np.mean(log[-20:]):.4f}", flush=True)
    model.save_pretrained(args.work / "reward")
    torch.save(head.state_dict(), args.work / "reward" / "head.pt")
    model.eval()
    shuffled = [held[i] for i in np.random.default_rng(1).permutation(len(held))[:2048]]
    result = {"steps": args.steps, "held_back_accuracy_at_tokens": accuracies(states, head, tokenizer, shuffled)}
    common.write_json(args.work / "reward.json", result)
    print(result)


if __name__ == "__main__":
    main()
