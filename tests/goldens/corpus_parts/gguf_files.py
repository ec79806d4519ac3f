"""Writes GGUF files as llama.cpp's converter does, with the changes of each case."""

import gguf
import numpy
import torch

from . import models

KINDS = gguf.GGMLQuantizationType
TYPES = {"normal": 1, "unknown": 2, "control": 3, "user": 4, "unused": 5, "byte": 6}

PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "block_sparse_moe.gate": "ffn_gate_inp",
}
GEMMA_PARTS = {
    **PARTS,
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
EXPERTS = {"w1": "ffn_gate", "w2": "ffn_down", "w3": "ffn_up"}
ARCHITECTURES = {"gemma3_text": "gemma3", "mixtral": "llama", "mistral": "llama"}


class Gguf:
    """A GGUF file. Its entries and tensors can be changed before `write`."""

    def __init__(
        self,
        model,
        vocabulary,
        pre="gpt-2",
        kinds=None,
        quantise=lambda name: KINDS.F16,
        blocks=None,
        bos=None,
        eos=None,
        merged_experts=True,
        **writer,
    ):
        self.config = model.config
        self.vocabulary = vocabulary
        self.architecture = ARCHITECTURES.get(self.config.model_type, self.config.model_type)
        self.endian = writer.get("endianess", gguf.GGUFEndian.LITTLE)
        self.writer = gguf.GGUFWriter(None, self.architecture, **writer)
        self.quantise, self.blocks, self.merged_experts = quantise, blocks or {}, merged_experts
        self.held, self.tensors = {}, {}
        self.add_shape()
        self.add_tokenizer(pre, kinds, bos, eos)
        self.add_tensors(models.tensors_of(model))

    def set(self, key, value, kind=None, sub_type=None):
        """Sets an entry. `{}` in the key is replaced by the architecture."""
        key = key.format(self.architecture)
        kind = kind or gguf.GGUFValueType.get_type(value)
        self.writer.kv_data[0].pop(key, None)
        self.writer.add_key_value(key, value, kind, sub_type)

    def drop(self, *keys):
        for key in keys:
            del self.writer.kv_data[0][key.format(self.architecture)]

    def add_shape(self):
        writer, config = self.writer, self.config
        writer.add_block_count(config.num_hidden_layers)
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        if self.architecture in ["qwen3", "gemma3"]:
            writer.add_key_length(config.head_dim)
            writer.add_value_length(config.head_dim)
        else:
            writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
        if self.architecture == "gemma3":
            writer.add_sliding_window(config.sliding_window)
        parameters = config.rope_parameters
        writer.add_rope_freq_base(parameters.get("full_attention", parameters)["rope_theta"])
        if config.model_type == "mixtral":
            writer.add_expert_count(config.num_local_experts)
            writer.add_expert_used_count(config.num_experts_per_tok)

    def add_tokenizer(self, pre, kinds, bos, eos):
        writer, vocabulary = self.writer, self.vocabulary
        document, tokens = vocabulary.document, list(vocabulary.tokens)
        pieces = document["model"]["byte_fallback"]
        types = [TYPES["normal"]] * len(tokens)
        for index, token in enumerate(tokens):
            if token.startswith("<0x"):
                types[index] = TYPES["byte"]
        for token in document["added_tokens"]:
            types[token["id"]] = TYPES["control" if token["special"] else "user"]
            if not token["special"]:
                # The converter writes spaces in such tokens without ▁.
                tokens[token["id"]] = token["content"].replace("▁", " ")
        if pieces:
            types[tokens.index("<unk>")] = TYPES["unknown"]
        for token, kind in (kinds or {}).items():
            types[tokens.index(token)] = TYPES[kind]
        writer.add_tokenizer_model("llama" if pieces else "gpt2")
        if pieces:
            # In SentencePiece, the n-th merged piece has the score -n. Single characters come last.
            first = vocabulary.tokens.index("▁t")
            scores = [-1000.0 if kind != TYPES["normal"] else float(first - index) for index, kind in enumerate(types)]
            scores = [0.0 if types[index] in [2, 3, 6] else score for index, score in enumerate(scores)]
            writer.add_tokenizer_pre("default")
            writer.add_token_list(tokens)
            writer.add_token_scores(scores)
            writer.add_token_types(types)
            writer.add_add_space_prefix(self.architecture != "gemma3")
        else:
            writer.add_tokenizer_pre(pre)
            writer.add_token_list(tokens)
            writer.add_token_types(types)
            merges = document["model"]["merges"]
            writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
        if bos:
            writer.add_bos_token_id(tokens.index(bos))
        writer.add_add_bos_token(document["post_processor"] is not None)
        if eos:
            writer.add_eos_token_id(tokens.index(eos))

    def add_tensors(self, tensors):
        experts = {}
        for name, tensor in sorted(tensors.items(), key=lambda pair: order(pair[0])):
            if ".experts." in name and self.merged_experts:
                layer, part = name.split(".")[2], EXPERTS[name.split(".")[-2]]
                experts.setdefault(f"blk.{layer}.{part}_exps.weight", []).append((name, tensor))
            elif not (name == "lm_head.weight" and self.config.tie_word_embeddings):
                self.add_tensor(self.name(name), name, tensor.float().numpy())
        for name, parts in experts.items():
            self.add_tensor(name, None, torch.stack([tensor for _, tensor in parts]).float().numpy())
            self.held.update({part: tensor.float() for part, tensor in parts})

    def name(self, name):
        outer = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
        stem, ending = name.rsplit(".", 1)
        if stem in outer:
            return f"{outer[stem]}.{ending}"
        _, _, layer, part = stem.split(".", 3)
        if ".experts." in part:
            expert, kind = part.split(".")[-2:]
            return f"blk.{layer}.{EXPERTS[kind]}.{expert}.{ending}"
        parts = GEMMA_PARTS if self.architecture == "gemma3" else PARTS
        return f"blk.{layer}.{parts[part]}.{ending}"

    def heads(self, name):
        """Returns the number of heads of a tensor whose rows are interleaved in the file: queries and keys of the
        architecture llama. Returns None for other tensors."""
        if self.architecture != "llama":
            return None
        return {"attn_q": self.config.num_attention_heads, "attn_k": self.config.num_key_value_heads}.get(name.split(".")[-2])

    def add_tensor(self, name, original, array):
        """Adds a tensor, and stores in `held` the values that a reader will get."""
        if name.endswith("norm.weight") and self.architecture == "gemma3":
            array = array + 1
        heads = self.heads(name)
        if heads:
            array = array.reshape(heads, 2, -1, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
        kind = self.blocks[name][0] if name in self.blocks else self.quantise(name)
        if array.ndim == 1 or name.endswith("ffn_gate_inp.weight"):
            kind = KINDS.F32
        data = self.blocks[name][1] if name in self.blocks else gguf.quants.quantize(array, kind)
        wide = gguf.quants.dequantize(data, kind).astype(numpy.float32).reshape(array.shape)
        self.put(name, data, kind)
        if heads:
            wide = wide.reshape(heads, -1, 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
        if name.endswith("norm.weight") and self.architecture == "gemma3":
            wide = wide - 1
        if original:
            self.held[original] = torch.from_numpy(wide.copy())

    def put(self, name, data, kind):
        self.tensors[name] = (numpy.ascontiguousarray(data), kind)

    def write(self, file):
        for name, (data, kind) in self.tensors.items():
            native = kind in [KINDS.F32, KINDS.F16]
            self.writer.add_tensor(name, data.copy(), raw_dtype=None if native else kind)
        self.writer.write_header_to_file(file)
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()

    def model(self):
        """Returns the model that a reader gets: the same configuration with the tensors in the file."""
        return models.with_tensors(self.config, self.held)


def order(name):
    """Returns a sort key that orders experts by number."""
    return [int(part) if part.isdigit() else part for part in name.replace("lm_head", "model.lm_head").split(".")]


# Offsets of the scales in a block: d, and dmin if the type has one.
SCALES = {
    KINDS.Q2_K: (80, 82),
    KINDS.Q3_K: (108, None),
    KINDS.Q4_K: (0, 2),
    KINDS.Q5_K: (0, 2),
    KINDS.Q6_K: (208, None),
    KINDS.IQ4_NL: (0, None),
    KINDS.IQ4_XS: (0, None),
}


def random_blocks(kind, rows, length, spread, seed):
    """Returns random blocks whose values have mean 0 and standard deviation `spread`. gguf-py reads these types
    but does not write them."""
    size, width = gguf.GGML_QUANT_SIZES[kind]
    count = rows * length // size
    random = numpy.random.default_rng(seed)
    blocks = random.integers(0, 256, (count, width), dtype=numpy.uint8)
    at, minimum = SCALES[kind]

    def scaled(scale, lowest):
        out = blocks.copy()
        out[:, at : at + 2] = numpy.asarray(scale, numpy.float16).reshape(-1, 1).view(numpy.uint8)
        if minimum is not None:
            out[:, minimum : minimum + 2] = numpy.asarray(lowest, numpy.float16).reshape(-1, 1).view(numpy.uint8)
        return out

    def values(data):
        return gguf.quants.dequantize(data.reshape(rows, -1), kind)

    ones, zeros = numpy.ones(count), numpy.zeros(count)
    ratio = 0.0
    if minimum is not None:
        ratio = values(scaled(ones, zeros)).mean() / -values(scaled(zeros, ones)).mean()
    scale = spread / values(scaled(ones, ones * ratio)).std() * random.uniform(0.6, 1.4, count)
    return scaled(scale, scale * ratio).reshape(rows, -1)


def random_bytes(kind, rows, length, seed):
    """Returns blocks with random bytes, for types that are not read."""
    size, width = gguf.GGML_QUANT_SIZES[kind]
    return numpy.random.default_rng(seed).integers(0, 256, (rows, length // size * width), dtype=numpy.uint8)
