"""A model with its tokenizer, which a group of cases writes in several file formats."""

import torch

from . import models
from .models import PROMPT, build, config, find
from .record import write_tokenizer, write_tokenizer_config
from .vocabularies import byte_level

# Parts of the model that must affect the greedy text.
PARTS = {"gpt2": ("c_attn", "mlp.c_proj", "wpe"), "mixtral": ("o_proj", "experts")}


class Sample:
    """A model, its vocabulary, the ids of the prompt and the end token. The greedy text does not reach the end
    token."""

    def __init__(
        self,
        vocabulary=None,
        family="llama",
        dtype=torch.float16,
        seed=0,
        end="<|endoftext|>",
        contains=(),
        differs=(),
        **changes,
    ):
        self.vocabulary = vocabulary or byte_level()
        self.prompt_ids = self.vocabulary.tokenizer.encode(PROMPT).ids
        self.ends = [self.vocabulary.id(end)] if end else []
        made = config(family, len(self.vocabulary), **{"eos_token_id": self.ends[0] if end else None, **changes})
        parts = PARTS.get(family, ("o_proj", "down_proj"))
        wrong = [lambda model, part=part: models.without(model, part) for part in parts]
        self.model = find(
            lambda number: build(made, number + 10000 * seed, self.vocabulary, dtype=dtype),
            self.prompt_ids,
            self.vocabulary.readable,
            self.ends,
            contains=contains,
            differs=wrong + list(differs),
        )

    def write(self, folder, dtype=torch.float16):
        """Writes model and tokenizer as transformers 5 does."""
        models.save(self.model, folder, dtype)
        write_tokenizer(self.vocabulary, folder)
        write_tokenizer_config(folder)
