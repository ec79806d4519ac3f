"""Step 6: write the four models as Hugging Face folders and check them.

Each folder contains config.json, model.safetensors (bf16), tokenizer.json, tokenizer_config.json
and, for language models, generation_config.json. It is then loaded with `transformers`, and its
logits (or its value) must match those of the training code on a held-back text.
"""

import argparse
import json
import pathlib

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

import common

ROLES = {"base": "base", "untuned": "guide", "tuned": "guide", "value": "guide"}


def to_hugging_face(model):
    """Returns the weights of the model under their Llama names. Tied embeddings are stored once."""
    s, d = model.shape, common.HEAD_DIM
    weights = {"model.embed_tokens.weight": model.embed, "model.norm.weight": model.norm}
    for i, block in enumerate(model.blocks):
        at = f"model.layers.{i}."
        q, k, v = block.qkv.split((s.heads * d, s.kv_heads * d, s.kv_heads * d))
        gate, up = block.gate_up.chunk(2)
        weights |= {
            at + "input_layernorm.weight": block.norm1,
            at + "post_attention_layernorm.weight": block.norm2,
            at + "self_attn.q_proj.weight": q, at + "self_attn.k_proj.weight": k,
            at + "self_attn.v_proj.weight": v, at + "self_attn.o_proj.weight": block.out,
            at + "mlp.gate_proj.weight": gate, at + "mlp.up_proj.weight": up,
            at + "mlp.down_proj.weight": block.down,
        }
    if model.score is not None:
        weights["score.weight"] = model.score
    return {n: w.detach().cpu().bfloat16().contiguous().clone() for n, w in weights.items()}


def configuration(shape, is_value):
    config = {
        "architectures": ["LlamaForSequenceClassification" if is_value else "LlamaForCausalLM"],
        "model_type": "llama", "vocab_size": shape.vocab, "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate, "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads,
        "head_dim": common.HEAD_DIM, "hidden_act": "silu", "rms_norm_eps": shape.rms_eps,
        "rope_theta": shape.rope_theta, "max_position_embeddings": shape.max_positions,
        "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False,
        "bos_token_id": 0, "eos_token_id": 0, "use_cache": True, "torch_dtype": "bfloat16",
    }
    if is_value:
        config |= {"num_labels": 1, "id2label": {"0": "value"}, "label2id": {"value": 0},
                   "problem_type": "regression"}
    return config


def write_tokenizer(source, target):
    """Writes the tokenizer with a post-processor that puts <|endoftext|> before every text."""
    data = json.loads(source.read_text(encoding="utf-8"))
    begin, text = {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    data["post_processor"] = {
        "type": "TemplateProcessing", "single": [begin, text],
        "pair": [begin, text, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"<|endoftext|>": {
            "id": "<|endoftext|>", "ids": [common.END_OF_TEXT], "tokens": ["<|endoftext|>"]}},
    }
    target.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def write_folder(model, folder, tokenizer_path):
    folder.mkdir(parents=True, exist_ok=True)
    is_value = model.score is not None
    dump = lambda name, data: (folder / name).write_text(json.dumps(data, indent=2) + "\n")
    dump("config.json", configuration(model.shape, is_value))
    if not is_value:
        dump("generation_config.json", {"bos_token_id": 0, "eos_token_id": 0, "do_sample": True,
                                        "temperature": 0.7, "max_length": model.shape.max_positions})
    dump("tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": model.shape.max_positions,
        "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": None,
        "add_prefix_space": False, "clean_up_tokenization_spaces": False})
    write_tokenizer(tokenizer_path, folder / "tokenizer.json")
    temporary = folder / "model.safetensors.part"
    save_file(to_hugging_face(model), temporary, metadata={"format": "pt"})
    temporary.replace(folder / "model.safetensors")


@torch.no_grad()
def largest_difference(model, folder, ids):
    """Returns the largest difference between transformers and the training code, both in float32,
    on ids [1, time]."""
    model = model.float()
    if model.score is not None:
        loaded = LlamaForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
        loaded.config.pad_token_id = None
        theirs, ours = loaded(ids).logits[0, 0], model.values(ids)[0, -1]
    else:
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        theirs, ours = loaded(ids).logits[0], torch.nn.functional.linear(model(ids)[0], model.embed)[0]
    return (theirs - ours).abs().max().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--pack", type=pathlib.Path, required=True)
    parser.add_argument("--only", choices=ROLES)
    args = parser.parse_args()
    common.start(seed=0, threads=1)
    ids = json.loads((args.work / "heldback.json").read_text())[0]["ids"][:200]
    ids = torch.tensor([[common.END_OF_TEXT] + ids])
    for role, size in ROLES.items():
        if args.only in (None, role):
            model = common.load_model(args.work / f"{role}.pt", size, head=role == "value")
            write_folder(model, args.pack / role, args.work / "tokenizer.json")
            difference = largest_difference(model, args.pack / role, ids)
            text = PreTrainedTokenizerFast.from_pretrained(args.pack / role).decode(ids[0, 1:12])
            print(f"{role}: largest difference {difference:.2e}; {text!r}")
            assert difference < 2e-3


if __name__ == "__main__":
    main()
