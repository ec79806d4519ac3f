"""Creates `old_configs.json`: config.json as older versions of transformers write it. For each version, run:

    pip install transformers==4.40.2      (and 4.57.3)
    python tests/goldens/corpus_parts/old_configs.py

The sizes are those of `models.py`. `configs.py` checks that both describe the same model.
"""

import json
import tempfile
from pathlib import Path

import transformers

SIZES = dict(
    hidden_size=8,
    intermediate_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    bos_token_id=None,
    pad_token_id=None,
    tie_word_embeddings=True,
    vocab_size=265,
    eos_token_id=264,
)
FAMILIES = {
    "gpt2": ("GPT2", dict(n_embd=8, n_layer=1, n_head=2, n_positions=64, bos_token_id=None, eos_token_id=264, vocab_size=265)),
    "llama": ("Llama", SIZES),
    "mistral": ("Mistral", {**SIZES, "sliding_window": 5}),
    "mixtral": ("Mixtral", {**SIZES, "num_local_experts": 3, "num_experts_per_tok": 2, "sliding_window": None}),
    "qwen2": ("Qwen2", SIZES),
    "qwen3": ("Qwen3", {**SIZES, "head_dim": 4}),
    "gemma3_text": (
        "Gemma3",
        {
            **SIZES,
            "num_hidden_layers": 2,
            "head_dim": 4,
            "query_pre_attn_scalar": 4,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention"],
            "vocab_size": 284,
            "eos_token_id": 1,
        },
    ),
}


def main():
    file = Path(__file__).parent / "old_configs.json"
    known = json.loads(file.read_text()) if file.is_file() else {}
    written = {}
    for family, (name, sizes) in FAMILIES.items():
        config = getattr(transformers, f"{name}TextConfig" if name == "Gemma3" else f"{name}Config", None)
        if config is None:
            continue
        model = getattr(transformers, {"GPT2": "GPT2LMHeadModel"}.get(name, f"{name}ForCausalLM"))(config(**sizes))
        with tempfile.TemporaryDirectory() as folder:
            model.half().save_pretrained(folder)
            written[family] = json.loads((Path(folder) / "config.json").read_text())
    known[transformers.__version__] = written
    file.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
