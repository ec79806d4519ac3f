"""Shared by every step: the model, its prompts, the sampler, and reading what was sampled."""

import argparse
import gzip
import json
import os
import pathlib
import re
import sys

import peft
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.cache_utils import DynamicCache

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "imdb" / "recipe"))
import step0_prepare as imdb  # noqa: E402  the same cleaning and the same split of the reviews

TOKENS = 64  # of a response
RANK = 8  # of every adapter
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TEMPLATE = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\nContinue this film review: {prompt}<|im_end|>\n"
    "<|im_start|>assistant\n{prompt}"
)


def arguments(about, data):
    """The parser of a step: what every one of them is told; `data` for those that read reviews."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    if data:
        parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="GGUF file or folder")
    return parser


def load(source):
    """(model in bf16, tokenizer) of a GGUF file or a Hugging Face folder."""
    source = pathlib.Path(source)
    place, options = source, {}
    if source.suffix == ".gguf":
        place, options = source.parent, {"gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(place, **options)
    if options:
        options["quantization_config"] = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.bfloat16, **options).eval()
    model.requires_grad_(False)
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    return model, tokenizer


def reviews(data):
    """(kept, held back) labelled reviews, as the recipe of the IMDB pack splits them."""
    rows = list(imdb.read_reviews(pathlib.Path(data) / "imdb_train.jsonl.gz"))
    return imdb.split_labelled(rows)


def openings(rows, count, shortest, longest, random):
    """The first words of `count` reviews chosen at random, cut where a word ends."""
    found = []
    while len(found) < count:
        words = re.findall(r" ?\S+", rows[int(random.integers(len(rows)))]["text"].split("\n")[0])
        size = int(random.integers(shortest, longest + 1))
        if len(words) > size:
            found.append("".join(words[:size]))
    return found


def prompt_ids(tokenizer, prompts):
    """Token ids of the filled template, a list a prompt."""
    return tokenizer([TEMPLATE.replace("{prompt}", p) for p in prompts], add_special_tokens=False).input_ids


def draw(logits, temperature, generator):
    """One token of each row by inverting the cumulative sum, [rows, 1]."""
    sums = torch.softmax(logits.float() / temperature, -1).cumsum_(-1)
    uniform = torch.rand(len(sums), 1, generator=generator) * sums[:, -1:]
    return torch.searchsorted(sums, uniform, right=True).clamp_(max=sums.shape[1] - 1)


@torch.no_grad()
def sample(models, tokenizer, prompts, temperature, generator, tokens=TOKENS):
    """Continue `prompts`; the logits are the sum of factor * logits over `models`, a list of
    (factor, model). Returns lists of ids, the end of turn (or of text) left out."""
    left = tokenizer.pad([{"input_ids": ids} for ids in prompt_ids(tokenizer, prompts)],
                         padding_side="left", return_tensors="pt")
    ids, mask = left.input_ids, left.attention_mask
    caches = [DynamicCache() for _ in models]
    ends = torch.tensor([tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|endoftext|>")])
    ended = torch.zeros(len(prompts), dtype=torch.bool)
    drawn = []
    for _ in range(tokens):
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        logits = 0
        for (factor, model), cache in zip(models, caches):
            out = model(input_ids=ids, attention_mask=mask, position_ids=positions,
                        past_key_values=cache, use_cache=True, logits_to_keep=1)
            logits = logits + factor * out.logits[:, -1]
        ids = draw(logits, temperature, generator)
        ended |= torch.isin(ids[:, 0], ends)
        drawn.append(torch.where(ended, -1, ids[:, 0]))
        if ended.all():
            break
        mask = torch.cat((mask, torch.ones_like(ids)), 1)
    return [[t for t in row if t >= 0] for row in torch.stack(drawn, 1).tolist()]


def batch(tokenizer, rows, width):
    """ids [rows, width], padded on the right: what comes before does not see it."""
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
    return ids


def trunk(model):
    """The decoder under a language model's output layer, with the adapter if there is one."""
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).model


def with_adapter(model):
    """The model with a fresh adapter (in float32) on every map of its blocks; it alone learns."""
    config = peft.LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=TARGETS, task_type="CAUSAL_LM")
    return peft.get_peft_model(model, config)


def put_adapter(model, folder):
    """The model with an adapter that was saved."""
    return peft.PeftModel.from_pretrained(model, folder).eval()


def compiled(model):
    """The trunk as a function of ids [rows, width] to hidden states [rows, width, hidden]; its
    blocks are compiled once for every width."""
    inside = trunk(model)
    for block in inside.layers:
        block.compile(dynamic=False)
    return lambda ids: inside(input_ids=ids, use_cache=False).last_hidden_state


def response_log_probs(states, weight, tokenizer, prompts, responses, width):
    """log p of each response and its end of turn (if it ended early), summed, [rows].

    `states` gives hidden states of ids, `weight` [vocabulary, hidden] is the output layer.
    """
    whole = [p + closed(tokenizer, r) for p, r in zip(prompts, responses)]
    ids = batch(tokenizer, whole, width)
    inside = torch.zeros_like(ids, dtype=torch.bool)
    for row, (p, w) in enumerate(zip(prompts, whole)):
        inside[row, len(p) - 1 : len(w) - 1] = True
    targets = ids.roll(-1, 1)[inside]
    logits = F.linear(states(ids)[inside], weight).float()
    log_probs = logits.gather(1, targets[:, None])[:, 0] - logits.logsumexp(-1)
    return torch.zeros(len(whole)).index_add(0, inside.nonzero()[:, 0], log_probs)


def closed(tokenizer, response):
    return response if len(response) >= TOKENS else [*response, tokenizer.eos_token_id]


def trapezoid(step, total, warm_up, decay):
    """Warm up, stay, then fall linearly to zero over the last `decay` steps."""
    return min(1.0, (step + 1) / warm_up, max(0.0, (total - step) / decay))


def write_json(path, data):
    temporary = pathlib.Path(f"{path}.part")
    temporary.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def write_lines(path, rows):
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")


def read_lines(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]
