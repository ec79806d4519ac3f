"""Code shared by all steps: the model, its prompts, the sampler and the log probabilities of
responses."""

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
import step0_prepare as imdb  # noqa: E402  the same cleaning and split of the reviews

TOKENS = 64  # maximum length of a response
RANK = 8  # LoRA rank of all adapters
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TEMPLATE = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
    "<|im_start|>user\nContinue this film review: {prompt}<|im_end|>\n"
    "<|im_start|>assistant\n{prompt}"
)


def arguments(about, data):
    """Returns a parser with the arguments of all steps. `data` adds the folder of the reviews."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    if data:
        parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="GGUF file or folder")
    return parser


def load(source):
    """Loads (model in bf16, tokenizer) from a GGUF file or a Hugging Face folder."""
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
    """Returns (kept, held back) labelled reviews, split as in the recipe of the IMDB pack."""
    rows = list(imdb.read_reviews(pathlib.Path(data) / "imdb_train.jsonl.gz"))
    return imdb.split_labelled(rows)


def openings(rows, count, shortest, longest, random):
    """Returns the first words of `count` random reviews, cut at the end of a word."""
    found = []
    while len(found) < count:
        words = re.findall(r" ?\S+", rows[int(random.integers(len(rows)))]["text"].split("\n")[0])
        size = int(random.integers(shortest, longest + 1))
        if len(words) > size:
            found.append("".join(words[:size]))
    return found


def prompt_ids(tokenizer, prompts):
    """Returns the token ids of the filled template, one list per prompt."""
    return tokenizer([TEMPLATE.replace("{prompt}", p) for p in prompts], add_special_tokens=False).input_ids


def draw(logits, temperature, generator):
    """Draws one token per row, [rows, 1], by inverting the cumulative sum."""
    sums = torch.softmax(logits.float() / temperature, -1).cumsum_(-1)
    uniform = torch.rand(len(sums), 1, generator=generator) * sums[:, -1:]
    return torch.searchsorted(sums, uniform, right=True).clamp_(max=sums.shape[1] - 1)


@torch.no_grad()
def sample(models, tokenizer, prompts, temperature, generator, tokens=TOKENS):
    """Continues `prompts`. The logits are the sum of factor * logits over `models`, a list of
    (factor, model). Returns lists of ids without the end of turn (or of text)."""
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
    """Returns ids [rows, width], padded on the right, where a causal model does not attend to the
    padding."""
    ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    for row, tokens in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
    return ids


def trunk(model):
    """Returns the decoder below the output layer of a language model, with the adapter if
    present."""
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).model


def with_adapter(model):
    """Adds a new adapter (in float32) to every linear layer of the blocks. Only the adapter is
    trainable."""
    config = peft.LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=TARGETS, task_type="CAUSAL_LM")
    return peft.get_peft_model(model, config)


def put_adapter(model, folder):
    """Adds a saved adapter to the model."""
    return peft.PeftModel.from_pretrained(model, folder).eval()


def compiled(model):
    """Returns the trunk as a function from ids [rows, width] to hidden states [rows, width,
    hidden]. Its blocks are compiled once per width."""
    inside = trunk(model)
    for block in inside.layers:
        block.compile(dynamic=False)
    return lambda ids: inside(input_ids=ids, use_cache=False).last_hidden_state


def response_log_probs(states, weight, tokenizer, prompts, responses, width):
    """Returns log p of each response including its end of turn (if it ended early), [rows].

    `states` maps ids to hidden states; `weight` [vocabulary, hidden] is the output layer.
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
    """Learning rate factor: warm-up, constant, linear decay to zero in the last `decay` steps."""
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
