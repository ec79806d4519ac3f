"""Step 5: write the adapter and the value head into the pack, and check them.

The adapter is stored in bf16 in the file format of PEFT and read back. The log probabilities of
some responses must stay the same except for rounding. The head is copied unchanged.
"""

import json
import pathlib
import shutil

import torch
from safetensors.torch import load_file, save_file

import common

WIDTH = 128


@torch.no_grad()
def log_probs(source, adapter, samples):
    model, tokenizer = common.load(source)
    weight = model.get_input_embeddings().weight
    model = common.put_adapter(model, adapter)
    trunk = common.trunk(model)
    states = lambda ids: trunk(input_ids=ids, use_cache=False).last_hidden_state
    prompts = common.prompt_ids(tokenizer, [s["prompt"] for s in samples])
    responses = [s["response"] for s in samples]
    return common.response_log_probs(states, weight, tokenizer, prompts, responses, WIDTH)


def write_adapter(source, target):
    target.mkdir(parents=True, exist_ok=True)
    config = json.loads((source / "adapter_config.json").read_text())
    # Replaces the local path of the model by its name on the hub.
    config["base_model_name_or_path"] = "HuggingFaceTB/SmolLM2-135M-Instruct"
    config["inference_mode"] = True
    config["target_modules"] = sorted(config["target_modules"])
    (target / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    tensors = load_file(source / "adapter_model.safetensors")
    tensors = {n: t.bfloat16().contiguous() for n, t in tensors.items()}
    save_file(tensors, target / "adapter_model.safetensors", metadata={"format": "pt"})
    return sum(t.numel() for t in tensors.values())


def main():
    parser = common.arguments(__doc__, data=False)
    parser.add_argument("--pack", type=pathlib.Path, required=True)
    args = parser.parse_args()
    samples = common.read_lines(args.work / "samples.jsonl.gz")[:8]
    count = write_adapter(args.work / "tuned", args.pack / "tuned")
    (args.pack / "value").mkdir(exist_ok=True)
    shutil.copyfile(args.work / "value.safetensors", args.pack / "value" / "model.safetensors")
    before = log_probs(args.model, args.work / "tuned", samples)
    after = log_probs(args.model, args.pack / "tuned", samples)
    print(f"adapter: {count} weights, log probabilities differ by {(before - after).abs().max():.3f} at most")
    assert (before - after).abs().max() < 2.0, "the stored adapter differs from the trained one"
    for name in ("reward", "dpo", "value"):
        shutil.copyfile(args.work / f"{name}.json", args.pack / "recipe" / f"{name}_results.json")


if __name__ == "__main__":
    main()
