"""Creates the goldens in this folder: tiny random models and the results that PyTorch computes for them.

    pip install torch transformers safetensors peft gguf
    python tests/goldens/make.py [FUNCTION ...]

Every folder has a model as written by `save_pretrained`, and `expected.safetensors` with token ids and
the f32 logits (or values) of every position. `tokenizer/` and `pieces/` have a small byte-level BPE and
a small SentencePiece-like BPE, and `expected.json` with the ids of some difficult texts. `quantised/`
has one model in several quantisations. If function names are given, only these functions are called.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy
import peft
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    MistralConfig,
    MistralForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

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
    # The head size is larger than hidden_size / heads. RoPE is scaled as in Llama 3.
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


# The sliding windows are shorter than the text, so that they change the result.
OTHERS = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(
        vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=64, eos_token_id=0, bos_token_id=0)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**{**BASE, "tie_word_embeddings": False}, sliding_window=9)),
    "mixtral": lambda: MixtralForCausalLM(MixtralConfig(
        **{**BASE, "tie_word_embeddings": False}, num_local_experts=4, num_experts_per_tok=2, sliding_window=None)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(
        **BASE, use_sliding_window=True, sliding_window=9, max_window_layers=1)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**BASE, head_dim=12)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(
        **{**BASE, "num_hidden_layers": 4}, head_dim=12, query_pre_attn_scalar=20, sliding_window=9,
        layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"])),
}


def spread(model, seed):
    """Sets random weights that are large enough for every part of the model to affect the logits."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "ln_" in name:
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
        # The stored weights, computed in f32 whatever type they are stored in.
        wide = LlamaForCausalLM(model.config).eval()
        wide.load_state_dict({key: value.float() for key, value in model.state_dict().items()})
        with torch.no_grad():
            logits = wide.float()(ids[None]).logits[0]
        save(model, name, {"ids": ids, "logits": logits})


def other_models():
    for seed, (name, make) in enumerate(OTHERS.items(), 20):
        model = make().eval()
        # Eager attention is the reference implementation.
        model.config._attn_implementation = "eager"
        spread(model, seed)
        ids = torch.randint(0, VOCAB, (TOKENS,), generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            logits = model(ids[None]).logits[0]
        save(model, name, {"ids": ids, "logits": logits})


def adapters():
    """LoRA adapters for `tied` and `gpt2` as written by PEFT, and the logits that PEFT computes with them."""
    targets = {
        "tied": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        "gpt2": ["c_attn", "c_proj", "c_fc"],
    }
    for seed, (name, modules) in enumerate(targets.items(), 40):
        base = AutoModelForCausalLM.from_pretrained(HERE / name, dtype=torch.float32)
        config = peft.LoraConfig(r=3, lora_alpha=7, target_modules=modules, task_type="CAUSAL_LM",
                                 use_rslora=name == "gpt2", fan_in_fan_out=name == "gpt2")
        torch.manual_seed(seed)
        model = peft.get_peft_model(base, config).eval()
        with torch.no_grad():
            for parameter_name, parameter in model.named_parameters():
                if "lora_" in parameter_name:
                    parameter.copy_(torch.randn_like(parameter) * 0.2)
        ids = torch.randint(0, VOCAB, (TOKENS,), generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            logits = model(ids[None]).logits[0]
        folder = HERE / f"{name}-lora"
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        written = json.loads((folder / "adapter_config.json").read_text())
        written["base_model_name_or_path"] = name
        (folder / "adapter_config.json").write_text(json.dumps(written, indent=2))
        save_file({"ids": ids, "logits": logits.contiguous()}, folder / "expected.safetensors")


def heads():
    """Value heads on the trunk of `gpt2`: TRL's head, and a head with one row for every next token."""
    trunk = GPT2LMHeadModel.from_pretrained(HERE / "gpt2").eval()
    ids = torch.randint(0, VOCAB, (TOKENS,), generator=torch.Generator().manual_seed(50))
    with torch.no_grad():
        states = trunk.transformer(ids[None]).last_hidden_state[0]
    torch.manual_seed(50)
    weight, bias, table = torch.randn(1, 32) * 0.3, torch.randn(1), torch.randn(VOCAB, 32) * 0.3
    tensors = {key: value.contiguous() for key, value in trunk.state_dict().items() if key != "lm_head.weight"}
    heads = {
        "trl-head": ({"v_head.summary.weight": weight, "v_head.summary.bias": bias},
                     (states @ weight.T)[:, 0] + bias),
        # V(y<=t) = score_head(h_{t-1})[y_t]. The first token has no value.
        "next-token-head": ({"score_head.weight": table}, (states[:-1] * table[ids[1:]]).sum(1)),
    }
    for name, (head, values) in heads.items():
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        save_file({**tensors, **head}, folder / "model.safetensors")
        (folder / "config.json").write_text((HERE / "gpt2" / "config.json").read_text())
        save_file({"ids": ids, "values": values.contiguous()}, folder / "expected.safetensors")


def first_form():
    """The model of `gpt2` in the original GPT-2 file formats: pickled weights, vocab.json and merges.txt."""
    folder = HERE / "first-form"
    folder.mkdir(exist_ok=True)
    model = GPT2LMHeadModel.from_pretrained(HERE / "gpt2")
    state = {key.removeprefix("transformer."): value.half() for key, value in model.state_dict().items()
             if key != "lm_head.weight"}
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text((HERE / "gpt2" / "config.json").read_text())
    saved = json.loads((HERE / "tokenizer" / "tokenizer.json").read_text())["model"]
    (folder / "vocab.json").write_text(json.dumps(saved["vocab"]))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in saved["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.randint(0, VOCAB, (TOKENS,), generator=torch.Generator().manual_seed(70))
    with torch.no_grad():
        logits = model(ids[None]).logits[0]
    save_file({"ids": ids, "logits": logits.contiguous()}, folder / "expected.safetensors")


def gguf_files():
    """A model whose sizes are multiples of the block size, as GGUF files in several quantisations."""
    config = LlamaConfig(**{**BASE, "hidden_size": 64, "intermediate_size": 96})
    model = LlamaForCausalLM(config).eval()
    spread(model, 60)
    ids = torch.randint(0, VOCAB, (TOKENS,), generator=torch.Generator().manual_seed(60))
    kinds = gguf.GGMLQuantizationType
    folder = HERE / "quantised"
    folder.mkdir(exist_ok=True)
    for kind in [kinds.F16, kinds.Q8_0, kinds.Q4_0, kinds.Q4_1, kinds.Q5_0, kinds.Q5_1]:
        held = write_gguf(model, folder / f"{kind.name.lower()}.gguf", kind)
        wide = LlamaForCausalLM(config).eval()
        wide.load_state_dict(held, strict=False)
        with torch.no_grad():
            logits = wide(ids[None]).logits[0]
        save_file({"ids": ids, "logits": logits.contiguous()}, folder / f"{kind.name.lower()}.safetensors")


GGUF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}


def gguf_name(name):
    name = name.removesuffix(".weight")
    if name.startswith("model.layers."):
        _, _, layer, part = name.split(".", 3)
        return f"blk.{layer}.{GGUF_NAMES[part]}.weight"
    return {"model.embed_tokens": "token_embd.weight", "model.norm": "output_norm.weight"}[name]


def write_gguf(model, file, kind):
    """Writes a Llama as llama.cpp's converter does. Returns the weights in the file, dequantised."""
    config, held = model.config, {}
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    alphabet = list(Tokenizer.from_file(str(HERE / "tokenizer" / "tokenizer.json")).get_vocab().items())
    tokens = [token for token, _ in sorted(alphabet, key=lambda pair: pair[1])]
    merges = json.loads((HERE / "tokenizer" / "tokenizer.json").read_text())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if i == 0 else 4 if token == "<note>" else 1 for i, token in enumerate(tokens)])
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_eos_token_id(0)
    writer.add_bos_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}")
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        heads = next((count for part, count in heads.items() if part in name), None)
        array = tensor.numpy()
        if heads:
            array = array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        if array.ndim == 1:
            writer.add_tensor(gguf_name(name), array)
            held[name] = tensor
            continue
        packed = gguf.quants.quantize(array, kind)
        writer.add_tensor(gguf_name(name), packed, raw_dtype=kind)
        wide = gguf.quants.dequantize(packed, kind).astype(numpy.float32).reshape(array.shape)
        if heads:
            wide = wide.reshape(heads, -1, 2, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        held[name] = torch.from_numpy(wide.copy())
    held["lm_head.weight"] = held["model.embed_tokens.weight"]
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


def value_model():
    model = LlamaForSequenceClassification(LlamaConfig(**BASE, num_labels=1)).eval()
    spread(model, 9)
    ids = torch.randint(0, VOCAB, (TOKENS,), generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        # One whole forward pass per prefix. The value of a prefix is its pooled logit.
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


def pieces():
    """A BPE like Llama 2's: ▁ stands for a space, and bytes that are in no piece have their own tokens."""
    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)],
        show_progress=False)
    made.train_from_iterator(["the movie was great and the film is the best movie there is"] * 20, trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    folder = HERE / "pieces"
    folder.mkdir(exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    saved = json.loads((folder / "tokenizer.json").read_text())
    # In published files, the byte tokens are ordinary entries of the vocabulary.
    saved["added_tokens"] = saved["added_tokens"][:3]
    (folder / "tokenizer.json").write_text(json.dumps(saved, ensure_ascii=False))
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    texts = [text for text in TEXTS if "<" not in text]
    expected = [{"text": text, "ids": made.encode(text, add_special_tokens=False).ids} for text in texts]
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=True, indent=1))


def judge():
    """A DistilBERT classifier with two labels and a lower-case WordPiece tokenizer."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    made.train_from_iterator(["the movie was great, and the film is the best movie there is!"] * 20, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    config = DistilBertConfig(
        vocab_size=200, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=24,
        id2label={0: "NEGATIVE", 1: "POSITIVE"}, label2id={"NEGATIVE": 0, "POSITIVE": 1})
    model = DistilBertForSequenceClassification(config).eval()
    spread(model, 70)
    folder = HERE / "distilbert"
    model.save_pretrained(folder)
    made.save(str(folder / "tokenizer.json"))
    cases = []
    for text in ["The movie was great!", "the film is bad", "", "the best movie there is " * 9]:
        ids = made.encode(text).ids
        ids = ids if len(ids) <= 24 else ids[:23] + ids[-1:]
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        cases.append({"text": text, "log_odds": float(logits[1] - logits[0])})
    (folder / "expected.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    makers = [language_models, value_model, tokenizer, other_models, adapters, heads, first_form, gguf_files, pieces, judge]
    for make in makers:
        if not sys.argv[1:] or make.__name__ in sys.argv[1:]:
            make()
