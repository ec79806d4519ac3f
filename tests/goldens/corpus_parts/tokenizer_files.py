"""Group C: tokenizer.json by age and kind, and the files that replace it."""

import json

from . import models
from .record import write_json, write_tokenizer, write_tokenizer_config
from .sample import Sample
from .vocabularies import GEMMA, LLAMA_3, MERGES, added, byte_level, sentence_pieces, split_by
from .weight_files import small


def tokenizer_files(corpus):
    byte_level_by_age(corpus)
    two_files(corpus)
    llama_3(corpus)
    pieces_by_age(corpus)
    runs_of_spaces(corpus)
    config_says_bos(corpus)
    config_adds_tokens(corpus)
    tokenizer_model_alone(corpus)


def write_case(corpus, name, about, sample, vocabulary, after=lambda folder: None, **more):
    """Adds the sample's model with another tokenizer.json of the same vocabulary."""
    folder = corpus.start(name, base='{ path = "m" }')
    models.save(sample.model, folder / "m")
    write_tokenizer(vocabulary, folder / "m")
    write_tokenizer_config(folder / "m")
    after(folder / "m")
    prompt_ids = more.pop("prompt_ids", vocabulary.tokenizer.encode(models.PROMPT).ids)
    assert prompt_ids[-len(sample.prompt_ids) :] == sample.prompt_ids, (name, prompt_ids)
    corpus.expect(name, about, models.load(folder / "m"), vocabulary, prompt_ids=prompt_ids, ends=sample.ends, **more)


def byte_level_by_age(corpus):
    sample = Sample()

    def case(name, about, change):
        write_case(corpus, name, about, sample, sample.vocabulary.changed(change))

    def before_0_9(document):
        # openai-community/gpt2 still has this format.
        model = document["model"]
        for key in ["type", "byte_fallback", "ignore_merges"]:
            del model[key]
        model.update(continuing_subword_prefix="", end_of_word_suffix="", merges=MERGES)
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        document.update(
            pre_tokenizer=level,
            decoder={**level, "add_prefix_space": True},
            post_processor={**level, "add_prefix_space": True, "trim_offsets": False},
        )

    def without(*keys):
        def change(document):
            for key in keys:
                document["model"].pop(key)
            document["model"]["merges"] = MERGES

        return change

    def no_regex_field(document):
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        document.update(pre_tokenizer=level, decoder=level)

    def cut_and_padded(document):
        pad = {
            "strategy": {"Fixed": 16},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": sample.ends[0],
            "pad_type_id": 0,
            "pad_token": "<|endoftext|>",
        }
        document["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
        document["padding"] = pad

    case(
        "tokenizer-before-0.9",
        "GPT-2's tokenizer.json as on the hub, of tokenizers before 0.9: no model.type, no newer fields.",
        before_0_9,
    )
    case(
        "tokenizer-merges-as-text",
        "tokenizer.json of tokenizers 0.14 to 0.19: merges as strings.",
        lambda document: document["model"].update(merges=MERGES),
    )
    case("tokenizer-merges-as-pairs", "tokenizer.json of tokenizers 0.20 and later: merges as pairs.", lambda document: None)
    case(
        "tokenizer-without-newer-fields",
        "tokenizer.json of tokenizers 0.10: no byte_fallback, no ignore_merges, no fuse_unk.",
        without("byte_fallback", "ignore_merges", "fuse_unk"),
    )
    case(
        "tokenizer-without-use_regex",
        "tokenizer.json of tokenizers before 0.12: ByteLevel without use_regex, which then is on.",
        no_regex_field,
    )
    folder = corpus.start("tokenizer-cut-and-padded", base='{ path = "m" }')
    models.save(sample.model, folder / "m")
    write_tokenizer(sample.vocabulary.changed(cut_and_padded), folder / "m")
    write_tokenizer_config(folder / "m")
    # transformers truncates and pads only if the caller asks for it.
    corpus.expect(
        "tokenizer-cut-and-padded",
        "tokenizer.json saved while truncation and padding were on; neither may apply.",
        models.load(folder / "m"),
        sample.vocabulary,
        ends=sample.ends,
    )


def two_files(corpus):
    sample = Sample(family="gpt2")
    for name, about, head in [
        (
            "tokenizer-vocab-and-merges",
            "GPT-2's vocab.json and merges.txt alone, as models of 2019 and 2020 have them.",
            "#version: 0.2\n",
        ),
        ("tokenizer-vocab-and-merges-crlf", "The same with merges.txt saved under Windows.", "#version: 0.2\r\n"),
    ]:
        end = "\r\n" if head.endswith("\r\n") else "\n"

        def write(folder):
            (folder / "tokenizer.json").unlink()
            (folder / "tokenizer_config.json").unlink()
            vocab = {**sample.vocabulary.document["model"]["vocab"], "<|endoftext|>": sample.ends[0]}
            (folder / "vocab.json").write_text(json.dumps(vocab))
            (folder / "merges.txt").write_bytes((head + end.join(MERGES) + end).encode())

        write_case(corpus, name, about, sample, sample.vocabulary, write)


def llama_3(corpus):
    extra = (("<|begin_of_text|>", True), ("<|end_of_text|>", True), ("<|eot_id|>", True))
    vocabulary = byte_level(extra, bos="<|begin_of_text|>", pre_tokenizer=split_by(LLAMA_3))

    def change(document):
        document["model"]["ignore_merges"] = True
        level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
        document["post_processor"] = {"type": "Sequence", "processors": [level, document["post_processor"]]}

    vocabulary = vocabulary.changed(change)
    sample = Sample(vocabulary, end="<|end_of_text|>")
    write_case(
        corpus,
        "tokenizer-llama-3",
        "Llama 3's tokenizer.json: its own pattern, ignore_merges, and two post-processors in a row.",
        sample,
        vocabulary,
    )


def pieces_by_age(corpus):
    sample = Sample(sentence_pieces(), end="</s>")
    decoder = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    }
    forms = {
        "normalizer": ("with a normaliser that prepends and replaces (Llama 2 on the hub)", {}),
        "metaspace-old": (
            "with Metaspace of tokenizers before 0.15: str_rep and add_prefix_space",
            {
                "normalizer": None,
                "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "str_rep": "▁", "add_prefix_space": True},
                "decoder": {"type": "Metaspace", "replacement": "▁", "str_rep": "▁", "add_prefix_space": True},
            },
        ),
        "metaspace-new": (
            "with Metaspace of tokenizers 0.19 and later: prepend_scheme and split (Llama and Mistral with legacy off)",
            {
                "normalizer": None,
                "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
                "decoder": decoder,
            },
        ),
    }
    for name, (about, parts) in forms.items():

        def change(document):
            document.update(parts)
            document["model"]["merges"] = [" ".join(merge) for merge in document["model"]["merges"]]

        write_case(
            corpus,
            f"tokenizer-pieces-{name}",
            f"Llama 2's kind of tokenizer.json {about}.",
            sample,
            sample.vocabulary.changed(change),
        )


def runs_of_spaces(corpus):
    vocabulary = sentence_pieces(GEMMA, "<bos>", spaces=["▁▁", "▁▁▁"])
    run = vocabulary.id("▁▁")
    vocabulary.readable.append(run)
    sample = Sample(vocabulary, family="gemma3_text", end="<eos>", contains=[run])
    write_case(
        corpus,
        "tokenizer-runs-of-spaces",
        "Gemma 3's runs of spaces as ordinary added tokens ▁▁: they come back as spaces.",
        sample,
        vocabulary,
    )
    assert "  " in corpus.cases["tokenizer-runs-of-spaces"]["text"]


def config_says_bos(corpus):
    """DeepSeek's distilled Llama and Qwen models have such files. transformers 4 (tested with 4.57.3) adds BOS
    before the prompt, transformers 5 does not. The expected ids are those of transformers 4."""
    extra = (("<s>", True), ("</s>", True))
    with_bos, without = byte_level(extra, bos="<s>"), byte_level(extra)
    sample = Sample(with_bos, end="</s>")

    def write(folder):
        config = {
            "add_bos_token": True,
            "add_eos_token": False,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "clean_up_tokenization_spaces": False,
            "legacy": True,
            "model_max_length": 64,
            "tokenizer_class": "LlamaTokenizerFast",
        }
        write_json(config, folder / "tokenizer_config.json")

    write_case(
        corpus,
        "tokenizer-config-add_bos_token",
        "tokenizer_config.json says add_bos_token and LlamaTokenizerFast, tokenizer.json has no post-processor (DeepSeek's).",
        sample,
        without,
        write,
        prompt_ids=sample.prompt_ids,
    )

    def off(folder):
        write_json(
            {
                "add_bos_token": False,
                "bos_token": "<s>",
                "eos_token": "</s>",
                "model_max_length": 64,
                "tokenizer_class": "PreTrainedTokenizerFast",
            },
            folder / "tokenizer_config.json",
        )

    sample = Sample(without, end="</s>")
    write_case(
        corpus,
        "tokenizer-config-add_bos_token-false",
        "tokenizer_config.json says add_bos_token false and names a BOS, as Qwen's do: no token is added before the prompt.",
        sample,
        without,
        off,
    )


def config_adds_tokens(corpus):
    """Models tuned with older tools have tokens in added_tokens_decoder that tokenizer.json does not list.
    transformers adds them when it loads the tokenizer."""
    vocabulary = byte_level((("<|endoftext|>", True), ("<|im_start|>", True), ("<|im_end|>", True)))
    sample = Sample(vocabulary, end="<|im_end|>")

    def write(folder):
        first = vocabulary.id("<|endoftext|>")
        tokens = {
            str(first + index): {key: value for key, value in added(0, content, True).items() if key != "id"}
            for index, content in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
        }
        write_json(
            {
                "added_tokens_decoder": tokens,
                "eos_token": "<|im_end|>",
                "model_max_length": 64,
                "tokenizer_class": "PreTrainedTokenizerFast",
            },
            folder / "tokenizer_config.json",
        )

    def one_token(document):
        document["added_tokens"] = document["added_tokens"][:1]

    write_case(
        corpus,
        "tokenizer-config-adds-tokens",
        "Special tokens that only tokenizer_config.json (added_tokens_decoder) lists.",
        sample,
        vocabulary.changed(one_token),
        write,
    )


def tokenizer_model_alone(corpus):
    folder = corpus.start("tokenizer-model-alone", base='{ path = "m" }')
    small(folder / "m")
    (folder / "m/tokenizer.json").unlink()
    # The first piece of a SentencePiece model, in the protocol buffer format.
    (folder / "m/tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    corpus.fault(
        "tokenizer-model-alone",
        "SentencePiece's tokenizer.model and no tokenizer.json, as Llama 1 and 2 conversions.",
        ["tokenizer.model"],
    )
