"""Tiny random models, greedy decoding, and the search for a seed whose greedy text has sufficient margins."""

import copy
import os
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.utils import logging

torch.set_num_threads(1)
logging.disable_progress_bar()
logging.set_verbosity_error()

PROMPT = "Hi there"
COUNT = 8
# Minimum difference between the best and the second best logit at every step.
MARGIN = 0.05

SIZES = dict(
    hidden_size=8,
    intermediate_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=4,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    bos_token_id=None,
    eos_token_id=None,
    pad_token_id=None,
    tie_word_embeddings=True,
)

FAMILIES = {
    "gpt2": (GPT2Config, GPT2LMHeadModel),
    "llama": (LlamaConfig, LlamaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "mixtral": (MixtralConfig, MixtralForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "gemma3_text": (Gemma3TextConfig, Gemma3ForCausalLM),
}

# Sizes of a model of twice the width.
WIDE = dict(hidden_size=16, intermediate_size=32, head_dim=8)

OF_FAMILY = {
    "gpt2": dict(n_embd=8, n_layer=1, n_head=2, n_positions=64, bos_token_id=None, eos_token_id=None),
    "mistral": dict(sliding_window=5),
    "mixtral": dict(num_local_experts=3, num_experts_per_tok=2, sliding_window=None),
    "gemma3_text": dict(
        num_hidden_layers=2, query_pre_attn_scalar=4, sliding_window=4, layer_types=["sliding_attention", "full_attention"]
    ),
}


def config(family, vocab_size, **changes):
    sizes = {} if family == "gpt2" else SIZES
    # Qwen 2 has no head_dim field.
    sizes = {key: value for key, value in sizes.items() if (family, key) != ("qwen2", "head_dim")}
    changes = {key: value for key, value in changes.items() if (family, key) != ("qwen2", "head_dim")}
    made = FAMILIES[family][0](**{**sizes, **OF_FAMILY.get(family, {}), "vocab_size": vocab_size, **changes})
    made.architectures = [FAMILIES[family][1].__name__]
    return made


def build(made, seed, vocabulary, ends=(), dtype=torch.float16):
    """Returns a random model whose parts all affect the text, with weights rounded to `dtype`. Tokens that are
    neither readable nor in `ends` have small rows, so that no response contains them."""
    model = FAMILIES[made.model_type][1](made).eval()
    model.config._attn_implementation = "eager"
    torch.manual_seed(seed)
    # Gemma 3 stores its norm weights minus one.
    gemma = made.model_type == "gemma3_text"
    one = 0 if gemma else 1
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape)
            if "norm" in name or "ln_" in name:
                # Gemma normalises the outputs of its blocks. Without larger weights, the embedding would dominate.
                more = 4 if gemma and "post_" in name else 0
                parameter.copy_((one + more if name.endswith("weight") else 0) + 0.3 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.5 * noise)
            else:
                parameter.copy_(noise * parameter.shape[-1] ** -0.5 * 2)
        for table in {model.get_input_embeddings().weight, model.get_output_embeddings().weight}:
            shown = torch.zeros(table.shape[0])
            shown[list(vocabulary.readable) + list(ends)] = 1
            table.mul_(torch.where(shown > 0, 2.0, 0.1)[:, None])
        for parameter in model.parameters():
            parameter.copy_(parameter.to(dtype).float())
    return model


def greedy(model, prompt_ids, ends=(), count=COUNT):
    """Returns the greedy ids up to an end token, the smallest margin, and the end token if one is reached."""
    ids, margin = [], float("inf")
    for _ in range(count):
        with torch.no_grad():
            best = model(torch.tensor([prompt_ids + ids])).logits[0, -1].topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        if int(best.indices[0]) in ends:
            return ids, margin, int(best.indices[0])
        ids.append(int(best.indices[0]))
    return ids, margin, None


def find(make, prompt_ids, readable, ends=(), stops=False, contains=(), differs=()):
    """Returns the model of the first seed whose greedy text has sufficient margins and at least four different
    tokens.

    With `stops`, the text instead ends with one of `ends` after two to six tokens. The text contains the ids in
    `contains`. Each function in `differs` models a wrong reading of the file, which must generate another text.
    """
    for seed in range(600):
        model = make(seed)
        ids, margin, end = greedy(model, prompt_ids, ends)
        good = margin > MARGIN and set(contains) <= set(ids) <= set(readable)
        if stops:
            good = good and end is not None and 2 <= len(ids) <= 6
        else:
            good = good and end is None and len(set(ids)) >= 4
        if good and all(greedy(wrong(model), prompt_ids, ends)[0] != ids for wrong in differs):
            return model
    raise ValueError("no seed gives a sure text")


def tensors_of(model):
    """Returns the tensors by their names in `save_pretrained`."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return load_file(Path(folder) / "model.safetensors")


def with_tensors(made, tensors):
    """Returns a model with this configuration and these tensors, loaded as transformers loads a folder."""
    with tempfile.TemporaryDirectory() as folder:
        made.save_pretrained(folder)
        save_file(
            {key: value.contiguous() for key, value in tensors.items()},
            Path(folder) / "model.safetensors",
            metadata={"format": "pt"},
        )
        return load(folder)


def reconfigured(model, **changes):
    """Returns the model with the same weights and a changed configuration."""
    made = copy.deepcopy(model.config)
    for key, value in changes.items():
        setattr(made, key, value)
    return with_tensors(made, tensors_of(model))


def without(model, part):
    """Returns the model with zeros for all weights whose name contains `part`."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        found = [parameter.zero_() for name, parameter in other.named_parameters() if part in name]
    assert found, part
    return other


def load(folder):
    """Loads a folder with transformers in f32."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def save(model, folder, dtype=torch.float16):
    """Writes the output of `save_pretrained` without generation_config.json."""
    copy.deepcopy(model).to(dtype).save_pretrained(folder)
    (Path(folder) / "generation_config.json").unlink(missing_ok=True)
