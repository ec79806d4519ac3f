"""Group A: config.json and generation_config.json by model family, age and writer."""

import copy
import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

from . import models
from .models import build, config, find, reconfigured
from .record import read_json, write_json, write_tokenizer, write_tokenizer_config
from .sample import Sample
from .vocabularies import GEMMA, byte_level, sentence_pieces

OLD = json.loads((Path(__file__).parent / "old_configs.json").read_text())
END = "<|endoftext|>"
BASE = '{ path = "m" }'
PLAIN = {"rope_type": "default", "rope_theta": 10000.0}


def configs(corpus):
    families(corpus)
    end_tokens(corpus)
    shapes(corpus)
    heads(corpus)
    rotations(corpus)


def write_case(corpus, name, about, sample, change=lambda config: None, check="ok", says=(), ends=None):
    """Adds the sample with a changed config.json. `change` edits it in place or returns another."""
    folder = corpus.start(name, base=BASE)
    sample.write(folder / "m")
    written = read_json(folder / "m/config.json")
    write_json(change(written) or written, folder / "m/config.json")
    corpus.expect(
        name,
        about,
        models.load(folder / "m"),
        sample.vocabulary,
        check=check,
        says=says,
        ends=sample.ends if ends is None else ends,
    )
    return folder


def everywhere(model):
    """Returns the model without sliding windows."""
    return reconfigured(model, layer_types=model.config.num_hidden_layers * ["full_attention"])


def families(corpus):
    for family in models.FAMILIES:
        gemma = family == "gemma3_text"
        sample = Sample(
            sentence_pieces(GEMMA, "<bos>", spaces=["▁▁", "▁▁▁"]) if gemma else None,
            family=family,
            end="<eos>" if gemma else END,
            differs=[everywhere] if gemma else [],
        )
        name = f"config-{family.replace('_text', '')}"
        write_case(corpus, f"{name}-5", f"{family} as transformers {transformers.__version__} writes it.", sample)
        for version, written in OLD.items():
            if family in written:
                write_case(
                    corpus,
                    f"{name}-{version}",
                    f"{family}'s config.json as transformers {version} writes it.",
                    sample,
                    lambda _: written[family],
                )
                new, old = (corpus.cases[f"{name}-{of}"]["ids"] for of in ["5", version])
                assert new == old, (family, version)
        if gemma:

            def pattern(written):
                written = copy.deepcopy(OLD["4.57.3"][family])
                for key in ["layer_types", "_sliding_window_pattern", "dtype"]:
                    del written[key]
                return {**written, "sliding_window_pattern": 2, "torch_dtype": "float16", "cache_implementation": "hybrid"}

            write_case(
                corpus,
                f"{name}-pattern",
                "gemma3_text as transformers 4.50 wrote it: sliding_window_pattern and no layer_types.",
                sample,
                pattern,
            )
            assert corpus.cases[f"{name}-pattern"]["ids"] == corpus.cases[f"{name}-5"]["ids"]
        if family == "mistral":
            write_case(
                corpus,
                f"{name}-no-window",
                "A Mistral of version 0.2 or later: sliding_window is null.",
                Sample(family=family, sliding_window=None),
                lambda written: written.update(sliding_window=None),
            )


def end_tokens(corpus):
    """The end tokens of config.json and generation_config.json."""
    vocabulary = byte_level(((END, True), ("<|im_end|>", True)))
    first, second = vocabulary.id(END), vocabulary.id("<|im_end|>")
    prompt_ids = vocabulary.tokenizer.encode(models.PROMPT).ids

    def case(name, about, in_config, generation, ends, check="ok", says=()):
        made = config("llama", len(vocabulary), eos_token_id=in_config)
        shown = [end for end in ends if end == second]
        model = find(lambda seed: build(made, seed, vocabulary, shown), prompt_ids, vocabulary.readable, ends, stops=bool(shown))
        folder = corpus.start(f"config-eos-{name}", base=BASE)
        models.save(model, folder / "m")
        write_tokenizer(vocabulary, folder / "m")
        write_tokenizer_config(folder / "m")
        written = read_json(folder / "m/config.json")
        write_json({**written, "eos_token_id": in_config}, folder / "m/config.json")
        if generation is not None:
            write_json(
                {"_from_model_config": True, "transformers_version": "4.57.3", **generation}, folder / "m/generation_config.json"
            )
        corpus.expect(f"config-eos-{name}", about, models.load(folder / "m"), vocabulary, ends=ends, check=check, says=says)

    none = dict(check="note", says=["no token ends a text"])
    case("list", "eos_token_id is a list, as in Llama 3.1; the second ends this text.", [first, second], None, [first, second])
    case("null", "eos_token_id is null and there is no generation_config.json.", None, None, [], **none)
    case("minus-one", "eos_token_id is -1: no token ends a text.", -1, None, [], **none)
    case(
        "generation-config",
        "generation_config.json names the token that ends a turn, config.json another.",
        first,
        {"eos_token_id": second},
        [first, second],
    )
    case(
        "generation-config-list",
        "generation_config.json has both end tokens as a list, config.json one of them.",
        first,
        {"eos_token_id": [first, second], "do_sample": True, "temperature": 0.6, "top_p": 0.9},
        [first, second],
    )
    case(
        "only-generation-config",
        "eos_token_id is null in config.json and a number in generation_config.json.",
        None,
        {"eos_token_id": second},
        [second],
    )
    case(
        "generation-config-without",
        "generation_config.json without eos_token_id: the one in config.json is used, although transformers' own generate would not stop there.",
        second,
        {},
        [second],
    )


def shapes(corpus):
    sample = Sample(attention_bias=True, mlp_bias=True, differs=[lambda model: models.without(model, "bias")])
    write_case(corpus, "config-llama-biases", "A Llama with attention_bias and mlp_bias (Granite code, Bielik).", sample)
    sample = Sample(num_key_value_heads=2)

    def first(written):
        # Like the first LLaMA conversions by transformers 4.27, without key heads, rope_theta and head_dim.
        kept = [
            "hidden_act",
            "hidden_size",
            "initializer_range",
            "intermediate_size",
            "max_position_embeddings",
            "model_type",
            "num_attention_heads",
            "num_hidden_layers",
            "rms_norm_eps",
            "tie_word_embeddings",
            "use_cache",
            "vocab_size",
        ]
        return {
            **{key: written[key] for key in kept},
            "architectures": ["LlamaForCausalLM"],
            "bos_token_id": 0,
            "eos_token_id": sample.ends[0],
            "pad_token_id": -1,
            "torch_dtype": "float16",
            "transformers_version": "4.28.0.dev0",
        }

    write_case(
        corpus, "config-llama-4.28", "A Llama's config.json of March 2023: no num_key_value_heads, no rope_theta.", sample, first
    )

    def without_length(written):
        made = first(written)
        del made["max_position_embeddings"]
        return {**made, "max_sequence_length": 2048}

    write_case(
        corpus,
        "config-llama-first",
        "The first config.json of LLaMA: max_sequence_length instead of max_position_embeddings, whose default is 2048.",
        sample,
        without_length,
    )
    sample = Sample(
        family="qwen2",
        num_hidden_layers=2,
        use_sliding_window=True,
        sliding_window=3,
        max_window_layers=1,
        differs=[everywhere, lambda model: reconfigured(model, layer_types=2 * ["sliding_attention"])],
    )

    def no_layer_types(written):
        del written["layer_types"]

    write_case(
        corpus,
        "config-qwen2-window",
        "A Qwen 2 that uses its window from layer max_window_layers on, without layer_types.",
        sample,
        no_layer_types,
    )
    write_case(
        corpus,
        "config-llama-unknown-keys",
        "A config.json with keys of other programs (unsloth, mergekit, axolotl).",
        Sample(),
        lambda written: written.update(
            {
                "unsloth_fixed": True,
                "unsloth_version": "2025.3.19",
                "_name_or_path": "/home/o/m",
                "quantization_config": None,
                "pretraining_tp": 1,
                "rope_scaling": None,
            }
        ),
    )


def with_embedding_as_head(model):
    other = copy.deepcopy(model)
    other.lm_head.weight = other.model.embed_tokens.weight
    return other


def heads(corpus):
    """tie_word_embeddings is true, but the file has a separate head. transformers 5 does not tie them in that
    case. Merging an adapter that trained the head produces such folders."""
    sample = Sample(tie_word_embeddings=False, differs=[with_embedding_as_head])
    write_case(
        corpus,
        "config-tied-with-another-head",
        "tie_word_embeddings is true, and the file has a lm_head.weight that is not the embedding.",
        sample,
        lambda written: written.update(tie_word_embeddings=True),
        check="note",
        says=["ties the output head"],
    )
    assert torch.equal(models.load(corpus.root / "config-tied-with-another-head/m").lm_head.weight, sample.model.lm_head.weight)
    sample = Sample()
    folder = write_case(
        corpus,
        "config-tied-with-equal-head",
        "tie_word_embeddings is true, and lm_head.weight is a copy of the embedding.",
        sample,
    )
    file = folder / "m/model.safetensors"
    state = {key: value.clone() for key, value in load_file(file).items()}
    state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
    save_file(state, file, metadata={"format": "pt"})
    assert torch.equal(models.load(folder / "m").lm_head.weight, sample.model.lm_head.weight)


def rotations(corpus):
    def case(name, about, parameters, change):
        sample = Sample(rope_parameters=parameters, differs=[lambda model: reconfigured(model, rope_parameters=PLAIN)])
        write_case(corpus, f"config-rope-{name}", about, sample, lambda written: older(written, change))

    def older(written, change):
        del written["rope_parameters"]
        written.update({"rope_theta": 10000.0, **change})

    linear = {**PLAIN, "rope_type": "linear", "factor": 4.0}
    case(
        "linear-type",
        'rope_scaling {"type": "linear"}, as before transformers 4.43.',
        linear,
        {"rope_scaling": {"type": "linear", "factor": 4.0}},
    )
    case(
        "linear-rope_type",
        'rope_scaling {"rope_type": "linear"}.',
        linear,
        {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    )
    case(
        "linear-both",
        "rope_scaling with both spellings, as transformers 4.43 and later save an older one.",
        linear,
        {"rope_scaling": {"rope_type": "linear", "type": "linear", "factor": 4.0}},
    )
    llama_3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
    case(
        "llama3",
        "Llama 3.1's rope_scaling.",
        {**PLAIN, **llama_3, "rope_type": "llama3"},
        {"rope_scaling": {**llama_3, "rope_type": "llama3"}},
    )
    case("base", "A rope_theta of 500.", {**PLAIN, "rope_theta": 500.0}, {"rope_theta": 500.0})

    sample = Sample()
    # The Llama code in transformers 5.24 ignores this field if the RoPE type is default.
    write_case(
        corpus,
        "config-rope-partial",
        "A Llama with partial_rotary_factor 0.5, which transformers 5.24 leaves without effect.",
        sample,
        lambda written: written.update(partial_rotary_factor=0.5),
    )
    assert corpus.cases["config-rope-partial"]["ids"] == corpus.cases["config-llama-5"]["ids"]
    for kind in ["yarn", "dynamic"]:
        name = f"config-rope-{kind}"
        folder = corpus.start(name, base=BASE)
        sample.write(folder / "m")
        written = read_json(folder / "m/config.json")
        older(written, {"rope_scaling": {"type": kind, "factor": 4.0, "original_max_position_embeddings": 16}})
        write_json(written, folder / "m/config.json")
        corpus.fault(name, f"rope_scaling of type {kind}, which is not supported.", [kind])
