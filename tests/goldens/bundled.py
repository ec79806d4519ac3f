"""Creates `bundled/`: the results of transformers with the models of the bundled pack.

    pip install torch transformers safetensors
    python tests/goldens/bundled.py

For each language model, these are the f32 logits of the last three positions of a text, and for the value
model its values there. The bf16 weights of the pack are converted to f32.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

HERE = Path(__file__).parent
PACK = HERE.parent.parent / "assets/packs/imdb"
TEXT = "After the first ten minutes of this film I wanted to leave, but the acting of the old"
KEPT = 3


def main():
    folder = HERE / "bundled"
    folder.mkdir(exist_ok=True)
    ids = torch.tensor(PreTrainedTokenizerFast.from_pretrained(PACK / "base")(TEXT).input_ids)
    with torch.no_grad():
        for role in ["base", "untuned", "tuned"]:
            model = AutoModelForCausalLM.from_pretrained(PACK / role, dtype=torch.float32).eval()
            logits = model(ids[None]).logits[0, -KEPT:]
            save_file({"ids": ids, "logits": logits.contiguous()}, folder / f"{role}.safetensors")
        model = LlamaForSequenceClassification.from_pretrained(PACK / "value", dtype=torch.float32).eval()
        model.config.pad_token_id = None
        values = torch.stack([model(ids[None, :n]).logits[0, 0] for n in range(len(ids) - KEPT + 1, len(ids) + 1)])
        save_file({"ids": ids, "values": values.contiguous()}, folder / "value.safetensors")


if __name__ == "__main__":
    main()
