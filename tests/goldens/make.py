"""Makes the goldens beside this file: tiny seeded models and what PyTorch says they compute.

    pip install torch transformers safetensors
    python tests/goldens/make.py

Every folder holds a model as `save_pretrained` writes it and `expected.safetensors`: token ids
and the f32 logits (or values) of every position. `tokenizer/` holds a small byte-level BPE and
`expected.json`, the ids of some awkward texts.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

HERE = Path(__file__).parent
TOKENS = 40
VOCAB = 320

BASE = dict(
    vocab_size=VOCAB,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    bos_token_id=0,
    eos_token_id=0,
    pad_token_id=None,
    tie_word_embeddings=True,
)

MODELS = {
    "tied": {},
    "untied": dict(
        num_hidden_layers=3,
        hidden_size=40,
        num_attention_heads=5,
        num_key_value_heads=1,
        tie_word_embeddings=False,
        eos_token_id=[0, 7],
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
    ),
    # Heads wider than hidden_size / heads, and Llama 3's stretched rotation.
    "wide": dict(
        head_dim=12,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    ),
    "bf16": {},
}


def spread(model, seed):
    """Weights large enough that every part of the model shows in the logits."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
            else:
                parameter.copy_(torch.randn_like(parameter) * parameter.shape[-1] ** -0.5 * 1.5)


def save(model, name, expected):
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    save_file({key: value.contiguous() for key, value in expected.items()}, folder / "expected.safetensors")


def language_models():
    for seed, (name, changes) in enumerate(MODELS.items()):
        model = LlamaForCausalLM(LlamaConfig(**{**BASE, **changes})).eval()
        spread(model, seed)
        if name == "bf16":
            model = model.to(torch.bfloat16)
        ids = torch.randint(0, VOCAB, (TOKENS,), generator=torch.Generator().manual_seed(seed))
        # What the weights as stored say, computed in f32 whatever they are stored as.
        wide = LlamaForCausalLM(model.config).eval()
        wide.load_state_dict({key: value.float() for key, value in model.state_dict().items()})
        with torch.no_grad():
            logits = wide.float()(ids[None]).logits[0]
        save(model, name, {"ids": ids, "logits": logits})


def value_model():
    model = LlamaForSequenceClassification(LlamaConfig(**BASE, num_labels=1)).eval()
    spread(model, 9)
    ids = torch.randint(0, VOCAB, (TOKENS,), generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        # One whole forward pass a prefix: the value of a prefix is its pooled logit.
        values = torch.stack([model(ids[None, : n + 1]).logits[0, 0] for n in range(TOKENS)])
    save(model, "value", {"ids": ids, "values": values})


TEXTS = [
    "",
    " ",
    "This movie was great, and the film is the movie.",
    "  two  spaces\n\n\ttabs\r\n",
    "naïve café — “quotes” … 100% £5",
    "日本語の映画は素晴らしい",
    "👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301",
    "a<|endoftext|>b",
    "<note>kept</note>",
    "don't can't 2nd 1,000.50",
]


def tokenizer():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB - 1,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(["the movie was great and the film is the best movie there is"] * 20, trainer)
    made.add_tokens([AddedToken("<note>", normalized=False)])
    folder = HERE / "tokenizer"
    folder.mkdir(exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    expected = [{"text": text, "ids": made.encode(text, add_special_tokens=False).ids} for text in TEXTS]
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=True, indent=1))


if __name__ == "__main__":
    language_models()
    value_model()
    tokenizer()
