"""Code shared by all steps: the model, the optimiser, the data windows and the sampler.

The model is a decoder with the Llama architecture. Its weights are bf16 copies; the optimiser
keeps float32 masters and updates the copies in every step. Normalisation, softmax and
loss are computed in float32. Matrices that share an input are stored fused (qkv and
gate_up); `to_hugging_face` splits them.
"""

import dataclasses
import json
import math
import os
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

HEAD_DIM = 64
END_OF_TEXT = 0


@dataclasses.dataclass(frozen=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int = 8192
    rope_theta: float = 10000.0
    max_positions: int = 1024
    rms_eps: float = 1e-5


SHAPES = {
    "base": Shape(hidden=512, layers=4, heads=8, kv_heads=2, intermediate=1024),
    "guide": Shape(hidden=256, layers=2, heads=4, kv_heads=2, intermediate=512),
}


# ---------------------------------------------------------------- the model


def rms_norm(x, weight, eps):
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
    return (wide * weight.float()).to(x.dtype)


def rope_tables(shape, device):
    """Returns cos and sin, each [max_positions, HEAD_DIM / 2], float32."""
    inverse = shape.rope_theta ** (-torch.arange(0, HEAD_DIM, 2, device=device).float() / HEAD_DIM)
    angles = torch.outer(torch.arange(shape.max_positions, device=device).float(), inverse)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Applies the rotary embedding to x [batch, time, heads, HEAD_DIM] (Llama's halves)."""
    a, b = x.float().chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1).to(x.dtype)


class Block(nn.Module):
    fused = None  # the compiled forward pass, set by compile_hot_paths

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        h, i = shape.hidden, shape.intermediate
        self.norm1 = nn.Parameter(torch.ones(h))
        self.norm2 = nn.Parameter(torch.ones(h))
        self.qkv = nn.Parameter(torch.empty((shape.heads + 2 * shape.kv_heads) * HEAD_DIM, h))
        self.out = nn.Parameter(torch.empty(h, shape.heads * HEAD_DIM))
        self.gate_up = nn.Parameter(torch.empty(2 * i, h))
        self.down = nn.Parameter(torch.empty(h, i))

    def forward(self, x, cos, sin, mask, past=None):
        """Runs the block on x [batch, time, hidden]. cos and sin are [batch or 1, time, 1, 32];
        mask is added to the scores. Returns the new x, and keys and values including `past`."""
        s = self.shape
        batch, time, _ = x.shape
        qkv = F.linear(rms_norm(x, self.norm1, s.rms_eps), self.qkv).view(batch, time, -1, HEAD_DIM)
        qk, v = qkv.split((s.heads + s.kv_heads, s.kv_heads), dim=2)
        q, k = rotate(qk, cos, sin).split((s.heads, s.kv_heads), dim=2)
        k, v = k.transpose(1, 2), v.transpose(1, 2)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        mixed = grouped_attention(q, k, v, mask)
        x = x + F.linear(mixed, self.out)
        gate, up = F.linear(rms_norm(x, self.norm2, s.rms_eps), self.gate_up).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.down), (k, v)


def grouped_attention(q, k, v, mask):
    """Grouped-query attention of q [batch, time, heads, d], k and v [batch, kv_heads, keys, d],
    mask [.., time, keys]. Returns [batch, time, heads * d]."""
    batch, time, heads, d = q.shape
    kv_heads, keys = k.shape[1], k.shape[2]
    group = heads // kv_heads
    q = q.view(batch, time, kv_heads, group, d).permute(0, 2, 3, 1, 4).reshape(batch, kv_heads, group * time, d)
    scores = q @ k.transpose(-1, -2)
    scores = scores.view(batch, kv_heads, group, time, keys).float() * d**-0.5 + mask
    weights = torch.softmax(scores, dim=-1).to(v.dtype).view(batch, kv_heads, group * time, keys)
    mixed = (weights @ v).view(batch, kv_heads, group, time, d)
    return mixed.permute(0, 3, 1, 2, 4).reshape(batch, time, heads * d)


class Model(nn.Module):
    """A language model, or with `head` a scalar model whose `score` reads the last hidden state."""

    def __init__(self, shape, head=False, seed=0):
        super().__init__()
        self.shape = shape
        self.embed = nn.Parameter(torch.empty(shape.vocab, shape.hidden))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.hidden))
        self.score = nn.Parameter(torch.zeros(1, shape.hidden)) if head else None
        self.initialise(seed)

    def initialise(self, seed):
        generator = torch.Generator().manual_seed(seed)
        for name, p in self.named_parameters():
            if p.dim() == 2 and name != "score":
                p.data.normal_(0, 0.02, generator=generator)
                if name.endswith(("out", "down")):
                    p.data.mul_(1 / math.sqrt(2 * self.shape.layers))

    def forward(self, ids, positions=None, mask=None, past=None):
        """Returns the final hidden states [batch, time, hidden] of ids [batch, time], and the new
        cache."""
        time = ids.shape[1]
        cos, sin = self.tables(ids.device)
        if positions is None:
            cos, sin = cos[None, :time, None], sin[None, :time, None]
        else:
            cos, sin = cos[positions][:, :, None], sin[positions][:, :, None]
        if mask is None:
            mask = torch.full((time, time), float("-inf"), device=ids.device).triu(1)
        x, cache = F.embedding(ids, self.embed), []
        for i, block in enumerate(self.blocks):
            run = Block.fused if Block.fused and torch.is_grad_enabled() else Block.forward
            x, kv = run(block, x, cos, sin, mask, past[i] if past else None)
            cache.append(kv)
        return rms_norm(x, self.norm, self.shape.rms_eps), cache

    def tables(self, device):
        if getattr(self, "_tables", None) is None or self._tables[0].device != device:
            self._tables = rope_tables(self.shape, device)
        return self._tables

    def values(self, ids):
        """Returns the scalar at every position, [batch, time], float32."""
        return F.linear(self(ids)[0].float(), self.score.float())[..., 0]


class FusedCrossEntropy(torch.autograd.Function):
    """Mean cross entropy of hidden @ embed.T, chunk by chunk. Computes the gradients in the
    forward pass."""

    @staticmethod
    def forward(ctx, hidden, embed, targets, chunk):
        total = torch.zeros((), device=hidden.device)
        d_hidden = torch.empty_like(hidden)
        d_embed = torch.zeros(embed.shape, dtype=torch.float32, device=embed.device)
        count = targets.numel()
        for h, t, dh in zip(hidden.split(chunk), targets.split(chunk), d_hidden.split(chunk)):
            loss, grad = cross_entropy_chunk(F.linear(h, embed), t, 1.0 / count)
            total += loss
            torch.mm(grad, embed, out=dh)
            d_embed += grad.T @ h
        ctx.save_for_backward(d_hidden, d_embed.to(embed.dtype))
        return total

    @staticmethod
    def backward(ctx, scale):
        d_hidden, d_embed = ctx.saved_tensors
        return d_hidden * scale.to(d_hidden.dtype), d_embed * scale.to(d_embed.dtype), None, None


def cross_entropy_chunk(logits, targets, scale):
    """Returns the loss (times scale) of logits [n, vocab], and its gradient in the dtype of the
    logits."""
    wide = logits.float()
    log_probs = wide - torch.logsumexp(wide, -1, keepdim=True)
    loss = -log_probs.gather(1, targets[:, None]).sum() * scale
    classes = torch.arange(wide.shape[1], device=wide.device)
    grad = (log_probs.exp() - (classes[None] == targets[:, None]).float()) * scale
    return loss, grad.to(logits.dtype)


def language_loss(model, ids, chunk=1024):
    """Returns the mean next-token loss of ids [batch, time + 1], in nats."""
    hidden, _ = model(ids[:, :-1])
    return FusedCrossEntropy.apply(
        hidden.reshape(-1, hidden.shape[-1]), model.embed, ids[:, 1:].reshape(-1), chunk)


def compile_hot_paths():
    """Compiles the blocks and the loss with torch.compile: about four times faster on a CPU.

    Only training passes use the compiled code. Sampling stays eager: its shapes change every step.
    """
    global cross_entropy_chunk
    Block.fused = torch.compile(Block.forward, dynamic=False)
    cross_entropy_chunk = torch.compile(cross_entropy_chunk, dynamic=False)


# ---------------------------------------------------------------- the optimiser


def orthogonalise(matrix, steps=5):
    """Approximates the nearest semi-orthogonal matrix (Newton-Schulz in bf16; Muon, Jordan 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T.contiguous() if tall else x
    x = x / (x.float().norm() + 1e-7).to(x.dtype)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.T if tall else x).float()


class Optimiser:
    """Optimises a bf16 model with float32 masters: Muon for the block matrices, AdamW for the rest.

    With muon_lr = 0, AdamW optimises all weights.
    """

    def __init__(self, model, adam_lr, muon_lr, weight_decay=0.0, betas=(0.9, 0.95), momentum=0.95):
        self.model, self.adam_lr, self.muon_lr = model, adam_lr, muon_lr
        self.weight_decay, self.betas, self.momentum = weight_decay, betas, momentum
        self.step_count = 0
        self.masters = {n: p.detach().float().clone() for n, p in model.named_parameters()}
        self.first = {n: torch.zeros_like(m) for n, m in self.masters.items()}
        self.second = {n: torch.zeros_like(m) for n, m in self.masters.items() if not self.uses_muon(n)}

    def uses_muon(self, name):
        return self.muon_lr > 0 and name.startswith("blocks.") and self.masters[name].dim() == 2

    @torch.no_grad()
    def step(self, lr_scale, clip=1.0):
        self.step_count += 1
        named = dict(self.model.named_parameters())
        grads = {n: p.grad.float() for n, p in named.items()}
        norm = math.sqrt(sum(float(g.pow(2).sum()) for g in grads.values()))
        shrink = min(1.0, clip / (norm + 1e-9))
        for name, grad in grads.items():
            if self.uses_muon(name):
                self.muon(name, grad, lr_scale * self.muon_lr)
            else:
                self.adam(name, grad * shrink, lr_scale * self.adam_lr)
            named[name].data.copy_(self.masters[name])
            named[name].grad = None
        return norm

    def muon(self, name, grad, lr):
        buffer = self.first[name]
        buffer.lerp_(grad, 1 - self.momentum)
        update = grad.lerp(buffer, self.momentum)
        master = self.masters[name].mul_(1 - lr * self.weight_decay)
        for part, target in zip(update.split(self.rows_of_parts(name)), master.split(self.rows_of_parts(name))):
            gain = max(1.0, part.shape[0] / part.shape[1]) ** 0.5
            target.sub_(orthogonalise(part), alpha=lr * gain)

    def rows_of_parts(self, name):
        """Returns the row counts of the matrices inside a fused matrix."""
        s, rows = self.model.shape, self.masters[name].shape[0]
        if name.endswith("qkv"):
            return [s.heads * HEAD_DIM, s.kv_heads * HEAD_DIM, s.kv_heads * HEAD_DIM]
        return [rows // 2] * 2 if name.endswith("gate_up") else [rows]

    def adam(self, name, grad, lr):
        b1, b2 = self.betas
        first = self.first[name].lerp_(grad, 1 - b1)
        second = self.second[name].lerp_(grad * grad, 1 - b2)
        scale1, scale2 = 1 - b1**self.step_count, 1 - b2**self.step_count
        master = self.masters[name]
        if master.dim() == 2:
            master.mul_(1 - lr * self.weight_decay)
        master.sub_(lr / scale1 * first / ((second / scale2).sqrt() + 1e-8))

    def state(self):
        return {"step": self.step_count, "masters": self.masters, "first": self.first, "second": self.second}

    def load(self, state):
        self.step_count = state["step"]
        for key, own in (("masters", self.masters), ("first", self.first), ("second", self.second)):
            for name in own:
                own[name].copy_(state[key][name])
        load_weights(self.model, self.masters)


def load_weights(model, weights):
    for name, p in model.named_parameters():
        if name in weights:
            p.data.copy_(weights[name])


def load_model(path, size, head=False, device="cpu"):
    """Loads a bf16 model from a checkpoint. A head that the checkpoint does not have stays zero."""
    model = Model(SHAPES[size], head=head).to(device).bfloat16()
    load_weights(model, torch.load(path, map_location=device)["masters"])
    return model


def from_hugging_face(folder):
    """Loads the weights of a folder of the pack under the names of `Model` (see step 6)."""
    stored = load_file(folder / "model.safetensors")
    weights = {"embed": stored["model.embed_tokens.weight"], "norm": stored["model.norm.weight"]}
    if "score.weight" in stored:
        weights["score"] = stored["score.weight"]
    layers = 1 + max(int(n.split(".")[2]) for n in stored if n.startswith("model.layers."))
    for i in range(layers):
        at = f"model.layers.{i}."
        join = lambda part, names: torch.cat([stored[f"{at}{part}.{n}_proj.weight"] for n in names])
        weights |= {
            f"blocks.{i}.norm1": stored[at + "input_layernorm.weight"],
            f"blocks.{i}.norm2": stored[at + "post_attention_layernorm.weight"],
            f"blocks.{i}.qkv": join("self_attn", "qkv"), f"blocks.{i}.out": join("self_attn", "o"),
            f"blocks.{i}.gate_up": join("mlp", ("gate", "up")), f"blocks.{i}.down": join("mlp", ("down",)),
        }
    return weights


def save_atomically(data, path):
    temporary = pathlib.Path(str(path) + ".part")
    torch.save(data, temporary)
    os.replace(temporary, path)


def trapezoid(step, total, warm_up, decay):
    """Learning rate factor: warm-up, constant, linear decay to zero in the last `decay` steps."""
    return min(1.0, (step + 1) / warm_up, max(0.0, (total - step) / decay))


# ---------------------------------------------------------------- the data


class Windows:
    """Endless batches [rows, length + 1] of packed documents.

    A window begins at the start of a document or, if an earlier window cut off a document, with
    probability 0.5 with the rest of that document. It is filled up with new documents. With
    `plain`, only the half of the documents that a bigram model predicts best is read.
    """

    def __init__(self, work, seed, plain=False):
        self.tokens = np.load(work / "lm_tokens.npy")
        self.starts = np.load(work / "lm_starts.npy")
        self.random = np.random.default_rng(seed)
        self.queue, self.rest = [], np.empty(0, np.uint16)
        self.documents = np.arange(len(self.starts) - 1)
        if plain:
            nats = bigram_nats(self.tokens, self.starts)
            self.documents = np.argsort(nats, kind="stable")[: len(nats) // 2]

    def next_document(self):
        if not self.queue:
            self.queue = list(self.random.permutation(self.documents))
        i = self.queue.pop()
        return self.tokens[self.starts[i] : self.starts[i + 1]]

    def window(self, length):
        parts, have = [], 0
        if len(self.rest) and self.random.random() < 0.5:
            parts, have, self.rest = [self.rest], len(self.rest), np.empty(0, np.uint16)
        while have < length + 1:
            parts.append(self.next_document())
            have += len(parts[-1])
        joined = np.concatenate(parts)
        if have > length + 1:
            self.rest = joined[length:]
        return joined[: length + 1]

    def batch(self, rows, length, device):
        ids = np.stack([self.window(length) for _ in range(rows)]).astype(np.int64)
        return torch.from_numpy(ids).to(device)


def bigram_nats(tokens, starts):
    """Returns the mean nats per token of every document under a bigram model of all documents,
    [documents].

    Plain reviews with common words and phrases have a low mean. Lists of names, and jokes that a
    small model cannot learn, have a high mean. The unigram model has a weight of one eighth.
    """
    ids = tokens.astype(np.int64)
    vocab = int(ids.max()) + 1
    unigram = np.bincount(ids, minlength=vocab)
    pairs = ids[:-1] * vocab + ids[1:]
    seen = np.bincount(pairs, minlength=vocab * vocab)
    p = 0.875 * seen[pairs] / unigram[ids[:-1]] + 0.125 * unigram[ids[1:]] / len(ids)
    nats = np.concatenate(([0.0], np.cumsum(-np.log(p))))
    first, last = starts[:-1], starts[1:] - 1
    return (nats[last] - nats[first]) / np.maximum(last - first, 1)


def held_back_windows(work, rows, length):
    """Returns the first `rows` windows of the packed held-back reviews, [rows, length + 1]."""
    reviews = json.loads((work / "heldback.json").read_text())
    order = np.random.default_rng(0).permutation(len(reviews))
    joined = np.concatenate([np.array([END_OF_TEXT] + reviews[i]["ids"]) for i in order[: rows * 4]])
    return torch.from_numpy(joined[: rows * length + 1].astype(np.int64)).unfold(0, length + 1, length)


def start(seed, threads):
    """Sets the seed and the number of threads. Returns the device."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    return "cuda" if torch.cuda.is_available() else "cpu"


# ---------------------------------------------------------------- sampling and scoring


def draw(probabilities, generator):
    """Draws one class per row, [rows, 1], by inverting the cumulative sum. On a CPU this is many
    times faster than torch.multinomial, which draws a number for every class."""
    sums = probabilities.cumsum(-1)
    uniform = torch.rand(len(sums), 1, generator=generator, device=sums.device) * sums[:, -1:]
    return torch.searchsorted(sums, uniform, right=True).clamp(max=sums.shape[1] - 1)


@torch.no_grad()
def sample(model, prompts, new_tokens, temperature, generator, guide=None):
    """Continues prompts [rows, time]. Returns responses [rows, new_tokens].

    With `guide` = (tuned, untuned, beta), samples from z + beta (z_tuned - z_untuned).
    Rows that have ended are filled with END_OF_TEXT.
    """
    models = [model] + ([guide[0], guide[1]] if guide else [])
    factors = [1.0] + ([guide[2], -guide[2]] if guide else [])
    caches, ids = [None] * len(models), prompts
    ended = torch.zeros(len(prompts), dtype=torch.bool, device=prompts.device)
    responses, length = [], 0
    for _ in range(new_tokens):
        positions = torch.arange(length, length + ids.shape[1], device=ids.device)[None]
        mask = None if length == 0 else torch.zeros(1, 1, device=ids.device)
        length += ids.shape[1]
        logits = 0
        for i, (m, factor) in enumerate(zip(models, factors)):
            hidden, caches[i] = m(ids, positions, mask, caches[i])
            logits = logits + factor * F.linear(hidden[:, -1], m.embed).float()
        drawn = draw(torch.softmax(logits / temperature, -1), generator)
        drawn = drawn.masked_fill(ended[:, None], END_OF_TEXT)
        ended |= drawn[:, 0] == END_OF_TEXT
        responses.append(drawn)
        ids = drawn
    return torch.cat(responses, 1)


def padded(ids, width):
    """Pads ids with END_OF_TEXT to a fixed width, so that only one shape is compiled."""
    return F.pad(ids, (0, max(0, width - ids.shape[1])), value=END_OF_TEXT)


def response_lengths(responses):
    """Returns the number of tokens up to and including the first end of text, [rows]."""
    is_end = (responses == END_OF_TEXT).long()
    return torch.where(is_end.any(1), is_end.argmax(1) + 1, responses.shape[1])


def text_lengths(responses):
    """Returns the number of tokens before the first end of text, [rows]."""
    return (responses != END_OF_TEXT).long().cumprod(1).sum(1)


@torch.no_grad()
def read_last(scalar_model, prompts, responses, fraction=1.0, rows=256):
    """Returns the scalar at the last text token or at a fraction of the response, float32 [rows]."""
    ids = torch.cat((prompts, responses), 1)
    at = prompts.shape[1] - 1 + (text_lengths(responses) * fraction).long()
    values = torch.cat([scalar_model.values(part) for part in ids.split(rows)])
    return values.gather(1, at[:, None])[:, 0]


def prompts_of(reviews, size, count, random, device):
    """Returns END_OF_TEXT and the first `size` tokens of `count` random reviews,
    [count, size + 1]."""
    long_enough = [r["ids"] for r in reviews if len(r["ids"]) >= size + 8]
    chosen = random.choice(len(long_enough), count, replace=count > len(long_enough))
    return torch.tensor([[END_OF_TEXT] + long_enough[i][:size] for i in chosen], device=device)
