"""Group D: GGUF files."""

import struct

import gguf
import numpy
import torch

from . import models
from .gguf_files import KINDS, Gguf, random_blocks, random_bytes
from .models import WIDE, build, config, find, greedy, reconfigured
from .sample import Sample
from .vocabularies import GEMMA, byte_level, sentence_pieces

BASE = '{ path = "m.gguf", precision = "f32" }'
BLOB = "sha256-9f438cb9cd581fc025612d27f7c1a6669ff83a8bb0ed86c94fcf4c5440555697"
END = "<|endoftext|>"


def gguf_cases(corpus):
    sample = Sample()
    families(corpus)
    forms_of_the_file(corpus, sample)
    splits(corpus)
    floats_and_legacy(corpus)
    k_quants(corpus)
    unread_types(corpus)
    rotations(corpus)
    head_counts(corpus)
    biases(corpus)
    experts(corpus)
    begins(corpus, sample)
    ends_by_name(corpus)
    vocabularies(corpus, sample)


def write_case(corpus, name, about, file, sample, base=BASE, as_name="m.gguf", **more):
    folder = corpus.start(name, base=base)
    file.write(folder / as_name)
    more.setdefault("ends", sample.ends)
    more.setdefault("prompt_ids", sample.prompt_ids)
    corpus.expect(name, about, file.model(), sample.vocabulary, **more)
    return folder


def families(corpus):
    """One file per architecture, as the converter writes it from f16 weights."""
    pieces = sentence_pieces()
    gemma = sentence_pieces(GEMMA, "<bos>", spaces=["▁▁", "▁▁▁"], ends=["<end_of_turn>"])
    bytes_ = byte_level()
    # The file does not say which layers have a window. In Gemma 3, five of six have one.
    window = dict(num_hidden_layers=6, layer_types=5 * ["sliding_attention"] + ["full_attention"])
    for name, about, vocabulary, options, pre in [
        ("llama", "A Llama with a byte-level tokenizer", bytes_, {}, "gpt-2"),
        ("llama-pieces", "A Llama with SentencePiece's tokenizer, BOS by add_bos_token", pieces, {"end": "</s>"}, None),
        ("llama-untied", "A Llama whose head is a separate tensor", bytes_, {"tie_word_embeddings": False}, "gpt-2"),
        ("qwen2", "A Qwen 2 with biases on queries, keys and values", bytes_, {"family": "qwen2"}, "qwen2"),
        ("qwen3", "A Qwen 3 with normed queries and keys", bytes_, {"family": "qwen3"}, "qwen2"),
        ("gemma3", "A Gemma 3 of six layers, windows on five", gemma, {"family": "gemma3_text", "end": "<eos>", **window}, None),
    ]:
        sample = Sample(vocabulary, **{**({} if name == "gemma3" else WIDE), **options})
        file = Gguf(
            sample.model,
            vocabulary,
            pre=pre,
            bos={"pieces": "<s>", "gemma3": "<bos>"}.get(name.split("-")[-1]),
            eos=options.get("end", END),
        )
        write_case(corpus, f"gguf-{name}", f"{about}, in f16 as llama.cpp's converter writes it.", file, sample)


def forms_of_the_file(corpus, sample):
    def file(**writer):
        return Gguf(sample.model, sample.vocabulary, eos=END, **writer)

    folder = write_case(corpus, "gguf-version-2", "A GGUF file of version 2, of August to October 2023.", file(), sample)
    data = bytearray((folder / "m.gguf").read_bytes())
    assert struct.unpack("<I", data[4:8]) == (3,)
    data[4:8] = struct.pack("<I", 2)
    (folder / "m.gguf").write_bytes(data)

    write_case(
        corpus,
        "gguf-without-extension",
        "A GGUF file under the name that Ollama keeps it by.",
        file(),
        sample,
        base=f'{{ path = "{BLOB}", precision = "f32" }}',
        as_name=BLOB,
    )
    aligned = file()
    aligned.writer.add_custom_alignment(64)
    write_case(corpus, "gguf-alignment-64", "A GGUF file whose tensors begin at multiples of 64.", aligned, sample)

    folder = corpus.start("gguf-big-endian", base=BASE)
    file(endianess=gguf.GGUFEndian.BIG).write(folder / "m.gguf")
    corpus.fault("gguf-big-endian", "A GGUF file for big-endian machines.", ["big-endian"])

    text = b"llama"
    entry = struct.pack("<I", 20) + b"general.architecture" + struct.pack("<II", 8, len(text)) + text
    hyper = struct.pack("<7I", 265, 16, 1, 2, 1, 8, 1)
    for name, about, data in [
        (
            "gguf-version-1",
            "GGUF version 1, of August 2023: lengths are 32 bits.",
            b"GGUF" + struct.pack("<III", 1, 0, 1) + entry,
        ),
        ("ggml-magic-ggjt", "llama.cpp's ggjt file, of April to August 2023.", b"tjgg" + struct.pack("<I", 3) + hyper),
        ("ggml-magic-ggmf", "llama.cpp's ggmf file, of March and April 2023.", b"fmgg" + struct.pack("<I", 1) + hyper),
        ("ggml-magic-ggml", "llama.cpp's first files, without a version.", b"lmgg" + hyper),
    ]:
        folder = corpus.start(name, base=BASE)
        (folder / "m.gguf").write_bytes(data + bytes(256))
        corpus.fault(name, f"{about} Only the header is real.", ["older"])


def splits(corpus):
    sample = Sample(tie_word_embeddings=False)
    made = config("llama", len(sample.vocabulary), tie_word_embeddings=False)
    parts = len(models.tensors_of(sample.model))
    about = "A GGUF in three parts as llama-gguf-split writes them"

    def write(name):
        folder = corpus.start(name, base='{ path = "m-00001-of-00003.gguf", precision = "f32" }')
        file = Gguf(sample.model, sample.vocabulary, eos=END, split_max_tensors=-(-parts // 3))
        file.write(folder / "m.gguf")
        assert len(list(folder.glob("m-*-of-00003.gguf"))) == 3 and made.vocab_size == len(sample.vocabulary)
        return folder, file

    name = "gguf-split"
    _, file = write(name)
    corpus.expect(name, f"{about}; the pack names the first.", file.model(), sample.vocabulary, ends=sample.ends)
    name = "gguf-split-part-missing"
    folder, _ = write(name)
    (folder / "m-00002-of-00003.gguf").unlink()
    corpus.fault(name, f"{about}, with the second part missing.", ["m-00002-of-00003.gguf"])
    name = "gguf-split-second-part-named"
    folder, file = write(name)
    pack = (folder / "pack.toml").read_text()
    (folder / "pack.toml").write_text(pack.replace("m-00001", "m-00002"))
    corpus.expect(name, f"{about}; the pack names the second.", file.model(), sample.vocabulary, ends=sample.ends)


def searched(name, about, corpus, blocks_of, **sizes):
    """Adds a Llama whose ffn_down has one type. Its text differs from that without ffn_down."""
    vocabulary = byte_level()
    prompt_ids = vocabulary.tokenizer.encode(models.PROMPT).ids
    made = config("llama", len(vocabulary), eos_token_id=vocabulary.id(END), **sizes)
    files = {}

    def make(seed):
        model = build(made, seed, vocabulary)
        files[0] = Gguf(model, vocabulary, eos=END, **blocks_of(seed))
        return files[0].model()

    find(make, prompt_ids, vocabulary.readable, [vocabulary.id(END)], differs=[lambda model: models.without(model, "down_proj")])
    folder = corpus.start(name, base=BASE)
    files[0].write(folder / "m.gguf")
    corpus.expect(name, about, files[0].model(), vocabulary, ends=[vocabulary.id(END)])


def floats_and_legacy(corpus):
    """Types that gguf-py writes, for all matrices including the embedding."""
    for kind in [KINDS.F32, KINDS.BF16, KINDS.Q4_0, KINDS.Q4_1, KINDS.Q5_0, KINDS.Q5_1, KINDS.Q8_0]:
        sizes = {} if kind in [KINDS.F32, KINDS.BF16] else dict(hidden_size=32, intermediate_size=32, head_dim=16)
        searched(
            f"gguf-type-{kind.name.lower()}",
            f"All matrices in {kind.name}, which gguf-py made.",
            corpus,
            lambda seed: {"quantise": lambda name: kind},
            **sizes,
        )


def k_quants(corpus):
    """Types that gguf-py only reads. ffn_down has random blocks, the other tensors are f16."""
    for kind in [KINDS.Q2_K, KINDS.Q3_K, KINDS.Q4_K, KINDS.Q5_K, KINDS.Q6_K, KINDS.IQ4_NL, KINDS.IQ4_XS]:
        length = 32 if kind == KINDS.IQ4_NL else 256

        def blocks(seed):
            spread = 2 * length**-0.5
            return {"blocks": {"blk.0.ffn_down.weight": (kind, random_blocks(kind, 8, length, spread, seed))}}

        searched(
            f"gguf-type-{kind.name.lower()}",
            f"ffn_down in {kind.name}, rows of {length}, random blocks.",
            corpus,
            blocks,
            intermediate_size=length,
        )


def small_gguf(vocabulary=None, **options):
    """Returns a file for cases that do not generate."""
    vocabulary = vocabulary or byte_level()
    made = config("llama", len(vocabulary), **options.pop("sizes", {}))
    return Gguf(build(made, 0, vocabulary), vocabulary, **{"eos": END, **options})


def unread_types(corpus):
    for kind in ["IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ1_S", "IQ1_M", "TQ1_0", "TQ2_0", "MXFP4"]:
        name = f"gguf-type-{kind.lower()}"
        file = small_gguf(sizes={"intermediate_size": 256})
        file.put("blk.0.ffn_down.weight", random_bytes(KINDS[kind], 8, 256, 0), KINDS[kind])
        folder = corpus.start(name, base=BASE)
        file.write(folder / "m.gguf")
        corpus.fault(name, f"ffn_down in {kind}, which is not supported.", [kind])


def rotations(corpus):
    def stretched(name, about, rope, plain, change):
        sample = Sample(rope_parameters=rope, differs=[lambda model: reconfigured(model, rope_parameters=plain)])
        file = Gguf(sample.model, sample.vocabulary, eos=END)
        change(file)
        write_case(corpus, name, about, file, sample)

    plain = {"rope_type": "default", "rope_theta": 10000.0}
    linear = {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}

    def scaling(file):
        file.set("{}.rope.scaling.type", "linear")
        file.set("{}.rope.scaling.factor", 4.0)

    stretched(
        "gguf-rope-default",
        "No rope.freq_base: the base is 10000.",
        plain,
        {**plain, "rope_theta": 100.0},
        lambda file: file.drop("{}.rope.freq_base"),
    )
    stretched("gguf-rope-base", "A rope.freq_base of 500.", {**plain, "rope_theta": 500.0}, plain, lambda file: None)
    stretched("gguf-rope-linear", "rope.scaling.type linear with a factor of 4.", linear, plain, scaling)
    stretched(
        "gguf-rope-scale_linear",
        "The older key rope.scale_linear, of August to October 2023.",
        linear,
        plain,
        lambda file: file.set("{}.rope.scale_linear", 4.0),
    )
    stretched(
        "gguf-rope-none",
        "rope.scaling.type none: the factor is ignored.",
        plain,
        linear,
        lambda file: (scaling(file), file.set("{}.rope.scaling.type", "none")),
    )

    llama_3 = {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }
    stretched(
        "gguf-rope_freqs",
        "Llama 3.1's rope_freqs.weight, one divisor per frequency.",
        llama_3,
        plain,
        lambda file: file.put("rope_freqs.weight", divisors(llama_3, 4), KINDS.F32),
    )

    folder = corpus.start("gguf-rope-yarn", base=BASE)
    file = small_gguf()
    scaling(file)
    file.set("{}.rope.scaling.type", "yarn")
    file.set("{}.rope.scaling.original_context_length", 32, gguf.GGUFValueType.UINT32)
    file.write(folder / "m.gguf")
    corpus.fault("gguf-rope-yarn", "rope.scaling.type yarn, which is not supported.", ["yarn"])


def divisors(rope, size):
    """Returns the rope_freqs.weight of the converter (LlamaModel.generate_extra_tensors)."""
    frequencies = 1.0 / rope["rope_theta"] ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    found = []
    for length in 2 * numpy.pi / frequencies.numpy():
        turns = rope["original_max_position_embeddings"] / length
        smooth = (turns - low) / (high - low)
        found.append(1.0 if turns > high else rope["factor"] if turns < low else 1 / ((1 - smooth) / rope["factor"] + smooth))
    return numpy.array(found, numpy.float32)


def head_counts(corpus):
    sample = Sample(num_hidden_layers=2)
    file = Gguf(sample.model, sample.vocabulary, eos=END)
    array, whole = gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.INT32
    file.set("{}.attention.head_count_kv", [1, 1], array, whole)
    file.set("{}.attention.head_count", [2, 2], array, whole)
    file.set("{}.feed_forward_length", [16, 16], array, whole)
    write_case(corpus, "gguf-head-counts-equal", "Head counts and widths as lists with one number per layer, all equal.", file, sample)

    file = small_gguf(sizes={"num_hidden_layers": 2})
    file.set("{}.attention.head_count_kv", [1, 2], array, whole)
    for part in ["k", "v"]:
        data, kind = file.tensors[f"blk.1.attn_{part}.weight"]
        file.put(f"blk.1.attn_{part}.weight", numpy.concatenate([data, data]), kind)
    folder = corpus.start("gguf-head-counts-unequal", base=BASE)
    file.write(folder / "m.gguf")
    corpus.fault("gguf-head-counts-unequal", "A pruned model: key heads as a list, the layers differ.", ["head_count_kv"])


def biases(corpus):
    def without(model):
        return models.without(model, "bias")

    sample = Sample(attention_bias=True, mlp_bias=True, differs=[without])
    file = Gguf(sample.model, sample.vocabulary, eos=END)
    write_case(
        corpus,
        "gguf-llama-biases",
        "A Llama with biases on all matrices (Bielik, Granite code), q and k in interleaved order.",
        file,
        sample,
    )


def experts(corpus):
    sample = Sample(family="mixtral")
    for name, about, merged in [
        ("gguf-mixtral", "A Mixtral, with its experts in one tensor per matrix.", True),
        (
            "gguf-mixtral-before-april-2024",
            "A Mixtral with one tensor per expert, as before April 2024; llama.cpp of 2026 no longer reads it.",
            False,
        ),
    ]:
        file = Gguf(sample.model, sample.vocabulary, eos=END, merged_experts=merged)
        write_case(corpus, name, about, file, sample)


def begins(corpus, sample):
    extra = (("<|begin_of_text|>", True), ("<|end_of_text|>", True))
    with_bos = byte_level(extra, bos="<|begin_of_text|>")
    own = Sample(with_bos, end="<|end_of_text|>")
    file = Gguf(own.model, with_bos, pre="llama-bpe", bos="<|begin_of_text|>", eos="<|end_of_text|>")
    file.drop("tokenizer.ggml.add_bos_token")
    write_case(
        corpus,
        "gguf-llama-bpe-without-add_bos_token",
        "A Llama 3 file of 2024: no add_bos_token, and llama.cpp adds BOS for pre llama-bpe.",
        file,
        own,
    )

    without = byte_level(extra)
    own = Sample(without, end="<|end_of_text|>")
    file = Gguf(own.model, without, pre="llama-bpe", bos="<|begin_of_text|>", eos="<|end_of_text|>")
    write_case(corpus, "gguf-llama-bpe-add_bos_token-false", "pre llama-bpe with add_bos_token false: no BOS.", file, own)

    pieces = sentence_pieces()
    own = Sample(pieces, end="</s>")
    file = Gguf(own.model, pieces, bos="<s>", eos="</s>")
    file.drop("tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_space_prefix", "tokenizer.ggml.pre")
    write_case(
        corpus,
        "gguf-pieces-first-keys",
        "A SentencePiece file of 2023: no add_bos_token, add_space_prefix or pre; both then apply.",
        file,
        own,
    )

    file = Gguf(sample.model, sample.vocabulary, eos=END)
    file.drop("tokenizer.ggml.pre")
    folder = corpus.start("gguf-byte-level-without-pre", base=BASE)
    file.write(folder / "m.gguf")
    corpus.fault(
        "gguf-byte-level-without-pre",
        "A byte-level file from before May 2024: no key says how text is split.",
        ["tokenizer.ggml.pre"],
    )


def ends_by_name(corpus):
    """Files whose eos ends the text, while a turn ends with a token that is known only by its name."""
    for name, family, pre, eos, end in [
        ("eot_id", "llama", "llama-bpe", "<|end_of_text|>", "<|eot_id|>"),
        ("im_end", "qwen2", "qwen2", "<|endoftext|>", "<|im_end|>"),
        ("end_of_turn", "gemma3_text", None, "<eos>", "<end_of_turn>"),
    ]:
        vocabulary = byte_level(((eos, True), (end, True)))
        options = {}
        if family == "gemma3_text":
            vocabulary = sentence_pieces(GEMMA, "<bos>", ends=[end])
            options = dict(num_hidden_layers=1, layer_types=["sliding_attention"])
        made = config(family, len(vocabulary), eos_token_id=vocabulary.id(eos), **options)
        ends = [vocabulary.id(eos), vocabulary.id(end)]
        prompt_ids = vocabulary.tokenizer.encode(models.PROMPT).ids
        model = find(lambda seed: build(made, seed, vocabulary, ends[1:]), prompt_ids, vocabulary.readable, ends, stops=True)
        # Without the token that ends the turn, the response would be longer.
        assert len(greedy(model, prompt_ids, ends[:1])[0]) > len(greedy(model, prompt_ids, ends)[0])
        file = Gguf(model, vocabulary, pre=pre, eos=eos, bos="<bos>" if family == "gemma3_text" else None)
        folder = corpus.start(f"gguf-ends-by-name-{name}", base=BASE)
        file.write(folder / "m.gguf")
        corpus.expect(
            f"gguf-ends-by-name-{name}",
            f"eos_token_id is {eos}, turns end with {end}, which no key names.",
            file.model(),
            vocabulary,
            ends=ends,
        )
        corpus.cases[f"gguf-ends-by-name-{name}"]["end"] = ends[1]


def vocabularies(corpus, sample):
    # In this case llama.cpp uses token 11 as the end token, which is Falcon's. No text here contains it.
    plain = byte_level((("<note>", False),))
    plain.readable.remove(11)
    own = Sample(plain, end=None)
    file = Gguf(own.model, plain)
    write_case(
        corpus,
        "gguf-without-eos",
        "No eos_token_id, and no token whose name ends a text.",
        file,
        own,
        check="note",
        says=["no token ends a text"],
    )

    pads = tuple((f"[PAD{index}]", False) for index in range(265, 272))
    padded = byte_level(((END, True),) + pads)
    padded = padded.changed(lambda document: document.update(added_tokens=document["added_tokens"][:1]))
    own = Sample(padded)
    file = Gguf(own.model, padded, eos=END, kinds={pad: "unused" for pad, _ in pads})
    write_case(
        corpus,
        "gguf-padded-vocabulary",
        "The vocabulary padded to the rows of the embedding with UNUSED [PAD265]...",
        file,
        own,
    )

    made = config("llama", len(sample.vocabulary) + 7, eos_token_id=sample.ends[0])
    model = find(lambda seed: build(made, seed, sample.vocabulary), sample.prompt_ids, sample.vocabulary.readable, sample.ends)
    file = Gguf(model, sample.vocabulary, eos=END)
    write_case(
        corpus,
        "gguf-more-rows-than-tokens",
        "An embedding with more rows than tokens; llama.cpp rejects it, Python libraries do not.",
        file,
        sample,
    )
