"""Small vocabularies: a byte-level BPE like those of GPT-2, Llama 3 and Qwen, and a SentencePiece-like BPE like
those of Llama 2 and Gemma. Each has its `tokenizer.json` and the ids that form readable text."""

import copy
import json

from tokenizers import Tokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

# "i Ġ" applies only if the text is not split before its spaces, and is then the first merge.
MERGES = ["i Ġ", "Ġ t", "h e", "Ġt he", "r e", "H i", "i n", "e r"]
LETTERS = "abcdefghijklmnopqrstuvwxyzHTA.,"
# Pieces created by merges, best first. Single characters follow them.
PIECES = ["▁t", "he", "▁the", "re", "Hi", "▁Hi", "in"]
SP_LETTERS = "▁abdehinorstH."

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN_2 = LLAMA_3.replace("{1,3}", "")


def split_by(pattern):
    """Returns a pre-tokenizer that splits by a pattern, like those of Llama 3 and Qwen 2."""
    return {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        ],
    }


def added(index, content, special):
    return {
        "id": index,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


class Vocabulary:
    """Tokens in the order of their ids, the `tokenizer.json`, and the ids allowed in a response."""

    def __init__(self, tokens, document, readable):
        self.tokens = tokens
        self.document = document
        self.readable = readable

    def __len__(self):
        return len(self.tokens)

    def id(self, token):
        return self.tokens.index(token)

    @property
    def tokenizer(self):
        return Tokenizer.from_str(json.dumps(self.document))

    def text_after(self, prompt_ids, ids):
        """Returns the text that `ids` add after the prompt. Special tokens add nothing."""
        tokenizer = self.tokenizer
        before = tokenizer.decode(prompt_ids, skip_special_tokens=True)
        whole = tokenizer.decode(prompt_ids + ids, skip_special_tokens=True)
        assert whole.startswith(before), (before, whole)
        return whole[len(before) :]

    def changed(self, change):
        """Returns a copy with the same tokens, whose document is edited by `change`."""
        document = copy.deepcopy(self.document)
        document = change(document) or document
        return Vocabulary(self.tokens, document, self.readable)


def byte_level(extra=(("<|endoftext|>", True),), bos=None, pre_tokenizer=None):
    """Returns a byte-level BPE. `extra` are (content, special) of added tokens. `bos` begins every text."""
    alphabet = list(bytes_to_unicode().values())
    tokens = alphabet + [merge.replace(" ", "") for merge in MERGES]
    vocab = {token: index for index, token in enumerate(tokens)}
    added_tokens = []
    for content, special in extra:
        added_tokens.append(added(len(tokens), content, special))
        tokens = tokens + [content]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens,
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer or level,
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": [merge.split(" ") for merge in MERGES],
        },
    }
    if bos:
        document["post_processor"] = begins_with(bos, tokens.index(bos))
    readable = [
        index
        for index, token in enumerate(tokens)
        if index < len(alphabet) + len(MERGES) and all(c in LETTERS or c == "Ġ" for c in token)
    ]
    return Vocabulary(tokens, document, readable)


def begins_with(token, index):
    """Returns a post-processor that adds a token before every text, like Llama's."""
    return {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [
            {"SpecialToken": {"id": token, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": token, "type_id": 1}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {token: {"id": token, "ids": [index], "tokens": [token]}},
    }


LLAMA_2 = ("<unk>", "<s>", "</s>")
GEMMA = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")


def sentence_pieces(first=LLAMA_2, bos="<s>", spaces=(), ends=()):
    """Returns a SentencePiece-like BPE in the newest format of Llama 2's file: a normaliser adds ▁ before a text
    and replaces every space with ▁. `spaces` are runs of ▁ as ordinary added tokens. `ends` are more special
    tokens."""
    tokens = list(first) + [f"<0x{byte:02X}>" for byte in range(256)] + PIECES + list(SP_LETTERS)
    vocab = {token: index for index, token in enumerate(tokens)}
    added_tokens = [added(index, token, token != "<mask>") for index, token in enumerate(first)]
    for content, special in [(run, False) for run in spaces] + [(end, True) for end in ends]:
        vocab[content] = len(tokens)
        added_tokens.append(added(len(tokens), content, special))
        tokens.append(content)
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    normalizer = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, replace]}
    decoders = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    pre_tokenizer = None
    if "<mask>" in first:
        # Gemma adds no space before a text.
        normalizer = replace
        pre_tokenizer = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    else:
        decoders = decoders + [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added_tokens,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": begins_with(bos, tokens.index(bos)) if bos else None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": piece_merges(vocab),
        },
    }
    readable = [index for index, token in enumerate(tokens) if token in PIECES or token in SP_LETTERS]
    return Vocabulary(tokens, document, readable)


def piece_merges(vocab):
    """Returns the merges that create the pieces, in the order of transformers' SentencePiece converter."""
    merges = []
    for piece in PIECES:
        own = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        own = [pair for pair in own if pair[0] in vocab and pair[1] in vocab]
        merges.extend(sorted(own, key=lambda pair: (vocab[pair[0]], vocab[pair[1]])))
    return [list(pair) for pair in merges]
