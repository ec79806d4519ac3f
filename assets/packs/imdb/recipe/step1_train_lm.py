"""Step 1: train a language model on the reviews (`--size base` or `--size guide`).

Uses Muon and AdamW with a trapezoid learning rate. The first part runs on short windows, the
rest on windows of 512 tokens, with the same number of tokens per step. During the run, a file named
`decay_now.<name>` in the work directory starts the final decay at once. `<name>.json` records the
number of steps actually run. A stopped run continues from its last checkpoint. On a CPU, two
processes with one thread each are faster than two threads:
`torchrun --standalone --nproc-per-node 2 step1_train_lm.py ...` splits the windows of each step.
"""

import argparse
import json
import os
import pathlib
import time

import torch
import torch.distributed

import common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--size", choices=common.SHAPES, required=True)
    parser.add_argument("--name", help="name of the checkpoint (default: the size)")
    parser.add_argument("--init", type=pathlib.Path, help="folder of the pack with the initial weights (default: random weights)")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--long-from", type=int, required=True, help="step from which windows have 512 tokens")
    parser.add_argument("--plain-from", type=int, help="step from which only plain reviews are read (`common.bigram_nats`)")
    parser.add_argument("--decay-steps", type=int, required=True)
    parser.add_argument("--warm-up", type=int, default=60)
    parser.add_argument("--tokens-per-step", type=int, default=8192)
    parser.add_argument("--adam-lr", type=float, default=3e-3)
    parser.add_argument("--muon-lr", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    train(args, args.name or args.size)


def join_workers():
    """Returns (rank, workers) of this process, or (0, 1) if it was not started by torchrun."""
    if "WORLD_SIZE" not in os.environ:
        return 0, 1
    torch.distributed.init_process_group("gloo")
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def average_gradients(model, workers):
    if workers == 1:
        return
    parameters = list(model.parameters())
    flat = torch.cat([p.grad.float().flatten() for p in parameters])
    torch.distributed.all_reduce(flat)
    flat /= workers
    for p, part in zip(parameters, flat.split([p.numel() for p in parameters])):
        p.grad.copy_(part.view_as(p))


def reads_plain(args, step):
    return args.plain_from is not None and step >= args.plain_from


def train(args, name):
    rank, workers = join_workers()
    device = common.start(args.seed, args.threads)
    common.compile_hot_paths()
    model = common.Model(common.SHAPES[args.size], seed=args.seed).to(device).bfloat16()
    if args.init:
        common.load_weights(model, common.from_hugging_face(args.init))
    optimiser = common.Optimiser(model, args.adam_lr, args.muon_lr)
    checkpoint = args.work / f"{name}.pt"
    if checkpoint.exists():
        optimiser.load(torch.load(checkpoint, map_location=device))
    windows, plain = None, None
    own_tokens = args.tokens_per_step // workers
    held = common.held_back_windows(args.work, own_tokens // 256, 256).to(device)
    total, decay, log, began = args.steps, args.decay_steps, [], time.time()
    flag = args.work / f"decay_now.{name}"
    step = optimiser.step_count
    while step < total:
        if workers == 1 and flag.exists() and step < total - decay:
            total = step + decay
        length = 512 if step >= args.long_from else 256
        if windows is None or plain != reads_plain(args, step):
            plain = reads_plain(args, step)
            windows = common.Windows(args.work, args.seed + step + 10_000 * rank, plain)
        ids = windows.batch(own_tokens // length, length, device)
        loss = common.language_loss(model, ids)
        loss.backward()
        average_gradients(model, workers)
        optimiser.step(common.trapezoid(step, total, args.warm_up, decay))
        step += 1
        log.append(loss.item())
        if rank > 0:
            continue
        if step % 20 == 0 or step == total:
            speed = args.tokens_per_step * 20 / (time.time() - began)
            print(f"{step}/{total} window {length} loss {sum(log[-20:]) / len(log[-20:]):.4f} tokens/s {speed:.0f}", flush=True)
            began = time.time()
        if step % 100 == 0 or step == total:
            report(args, name, model, optimiser, held, total, length)
            common.save_atomically(optimiser.state(), checkpoint)


def report(args, name, model, optimiser, held, total, length):
    held_loss = common.language_loss(model, held).item() if length == 256 else held_loss_without_graph(model, held)
    print(f"{optimiser.step_count} held-back loss {held_loss:.4f} nats/token", flush=True)
    facts = {"name": name, "steps_run": optimiser.step_count, "steps_planned": total,
             "decay_steps": args.decay_steps, "long_from": args.long_from, "plain_from": args.plain_from,
             "tokens_per_step": args.tokens_per_step, "adam_lr": args.adam_lr,
             "muon_lr": args.muon_lr, "seed": args.seed, "held_back_nats_per_token": held_loss}
    (args.work / f"{name}.json").write_text(json.dumps(facts, indent=1))


def held_loss_without_graph(model, held):
    """Returns the loss on joined pairs of windows, so that no new shape is compiled."""
    pairs = torch.cat((held[0::2, :-1], held[1::2]), dim=1)
    return common.language_loss(model, pairs).item()


if __name__ == "__main__":
    main()
