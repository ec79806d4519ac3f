"""Group E: a base and a pair of guides with the same vocabulary in different file formats."""

from . import models
from .gguf_files import Gguf
from .models import WIDE, build, config
from .record import write_tokenizer
from .sample import Sample
from .vocabularies import GEMMA, QWEN_2, byte_level, sentence_pieces, split_by

END = "<|endoftext|>"
ROLES = dict(untuned='{ path = "untuned" }', tuned='{ path = "tuned" }')
GGUF = '{ path = "m.gguf", precision = "f32" }'


def guides(folder, vocabulary, tuned_vocabulary=None, end=END, family="llama", **sizes):
    """Writes a pair with half the width of the base."""
    for seed, role in enumerate(["untuned", "tuned"]):
        made = config(family, len(vocabulary), eos_token_id=vocabulary.id(end), **sizes)
        models.save(build(made, seed, vocabulary), folder / role)
        write_tokenizer(tuned_vocabulary if tuned_vocabulary and role == "tuned" else vocabulary, folder / role)


def pairs(corpus):
    qwen(corpus)
    gemma(corpus)
    special_flags(corpus)
    another_vocabulary(corpus)


def qwen(corpus):
    """A Qwen GGUF file as base of safetensors guides."""

    def qwen_2(extra):
        made = byte_level(extra, pre_tokenizer=split_by(QWEN_2))
        return made.changed(
            lambda document: document.update(normalizer={"type": "NFC"}, added_tokens=document["added_tokens"][:3])
        )

    own = ((END, True), ("<|fim_prefix|>", False), ("<|fim_suffix|>", False))
    ordinary = qwen_2(own)
    pads = tuple((f"[PAD{index}]", False) for index in range(len(ordinary), len(ordinary) + 5))
    padded = qwen_2(own + pads)
    flags = {"<|fim_prefix|>": "control", "<|fim_suffix|>": "control"}
    unused = {pad: "unused" for pad, _ in pads}
    for name, about, vocabulary, kinds in [
        ("pair-gguf-flags", "The converter marks ordinary added tokens <|...|> as CONTROL.", ordinary, flags),
        ("pair-gguf-pads", "The converter pads the vocabulary with UNUSED [PAD267]...", padded, unused),
        ("pair-gguf-flags-and-pads", "Both, as every Qwen GGUF has it.", padded, {**flags, **unused}),
    ]:
        sample = Sample(vocabulary, family="qwen2", **WIDE)
        folder = corpus.start(name, base=GGUF, **ROLES)
        file = Gguf(sample.model, vocabulary, pre="qwen2", eos=END, kinds=kinds)
        file.write(folder / "m.gguf")
        guides(folder, ordinary, family="qwen2")
        corpus.expect(name, f"A Qwen 2 GGUF as base of safetensors guides. {about}", file.model(), vocabulary, ends=sample.ends)


def gemma(corpus):
    spaces = ["▁▁", "▁▁▁"]
    vocabulary = sentence_pieces(GEMMA, "<bos>", spaces=spaces)
    sample = Sample(
        vocabulary,
        family="gemma3_text",
        end="<eos>",
        num_hidden_layers=1,
        layer_types=["sliding_attention"],
        query_pre_attn_scalar=8,
        **WIDE,
    )
    folder = corpus.start("pair-gguf-runs-of-spaces", base=GGUF, **ROLES)
    file = Gguf(sample.model, vocabulary, bos="<bos>", eos="<eos>", kinds={"<mask>": "control"})
    file.write(folder / "m.gguf")
    guides(folder, vocabulary, end="<eos>", family="gemma3_text", num_hidden_layers=1, layer_types=["sliding_attention"])
    corpus.expect(
        "pair-gguf-runs-of-spaces",
        'A Gemma 3 GGUF as base of safetensors guides: runs of spaces are "  " in one and "▁▁" in the other.',
        file.model(),
        vocabulary,
        ends=sample.ends,
    )


def special_flags(corpus):
    vocabulary = byte_level(((END, True), ("<mask>", False)))
    special = byte_level(((END, True), ("<mask>", True)))
    sample = Sample(vocabulary, **WIDE)
    folder = corpus.start("pair-special-flag", base='{ path = "m" }', **ROLES)
    sample.write(folder / "m")
    guides(folder, vocabulary, special)
    corpus.expect(
        "pair-special-flag",
        "The tuned model's tokenizer marks <mask> as special, as transformers 5 saves Gemma's; the others do not.",
        models.load(folder / "m"),
        vocabulary,
        ends=sample.ends,
    )

    folder = corpus.start("pair-merges-as-text", base='{ path = "m" }', **ROLES)
    sample.write(folder / "m")
    as_text = vocabulary.changed(
        lambda document: document["model"].update(merges=[" ".join(merge) for merge in document["model"]["merges"]])
    )
    guides(folder, vocabulary, as_text)
    corpus.expect(
        "pair-merges-as-text",
        "Merges as pairs in one tokenizer.json and as strings in the other.",
        models.load(folder / "m"),
        vocabulary,
        ends=sample.ends,
    )


def another_vocabulary(corpus):
    vocabulary = byte_level()

    def renamed(document):
        vocab = document["model"]["vocab"]
        document["model"]["vocab"] = {{"in": "ni"}.get(token, token): index for token, index in vocab.items()}
        document["model"]["merges"] = [["n", "i"] if merge == ["i", "n"] else merge for merge in document["model"]["merges"]]

    folder = corpus.start("pair-another-vocabulary", base='{ path = "untuned" }', **ROLES)
    guides(folder, vocabulary, vocabulary.changed(renamed))
    # The output of the check must contain the id of the token.
    corpus.fault(
        "pair-another-vocabulary", "A pair whose vocabularies differ in one token in the middle.", [str(vocabulary.id("in"))]
    )
