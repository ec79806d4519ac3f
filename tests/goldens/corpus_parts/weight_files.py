"""Group B: weight files."""

import collections
import pickle
import struct
import warnings

import torch
from safetensors.torch import load_file

from . import models
from .models import build, config
from .record import write_json, write_tokenizer
from .sample import Sample
from .vocabularies import byte_level

# The format before PyTorch 1.6 needs TypedStorage, which is deprecated.
warnings.filterwarnings("ignore", message="TypedStorage is deprecated")

SHARD = 3000
POINTER = """version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size {size}
"""
PAGE = """<!DOCTYPE html>
<html class="">
<head><title>404 - Hugging Face</title></head>
<body><div class="SVELTE_HYDRATER">Sorry, we can't find the page you are looking for.</div></body>
</html>
"""


def weight_files(corpus):
    sample = Sample()

    def case(name, about, write, **more):
        folder = corpus.start(name, base='{ path = "m" }')
        sample.write(folder / "m")
        write(folder / "m")
        corpus.expect(name, about, models.load(folder / "m"), sample.vocabulary, ends=sample.ends, **more)

    case("weights-safetensors-f16", "model.safetensors in f16, as transformers 5 writes it.", lambda m: None)
    case(
        "weights-safetensors-f32",
        "model.safetensors in f32, the default of save_pretrained before transformers 5.",
        lambda m: models.save(sample.model, m, torch.float32),
    )
    case(
        "weights-safetensors-sharded",
        "Three safetensors shards and their index, as transformers writes large models.",
        lambda m: sharded_safetensors(sample.model, m),
    )
    pickles(sample, case)
    bfloat16(corpus)
    gpt2_buffers(corpus)
    pointers(corpus)
    wrong_kinds(corpus, sample)


def pickles(sample, case):
    def pickled(change=lambda state: state, save=torch.save):
        def write(folder):
            state = load_file(folder / "model.safetensors")
            (folder / "model.safetensors").unlink()
            save(change(state), folder / "pytorch_model.bin")

        return write

    case(
        "weights-bin",
        "pytorch_model.bin in the zip form of PyTorch 1.6 and later, as transformers before 4.35 writes.",
        pickled(),
    )
    case(
        "weights-bin-before-1.6",
        "pytorch_model.bin in the form before PyTorch 1.6: pickles one after another, no zip.",
        pickled(save=save_before_1_6),
    )
    case(
        "weights-bin-views",
        "A .bin whose tensors are views at offsets of one storage, as state dicts split from a flat buffer.",
        pickled(views),
    )
    case("weights-bin-before-1.6-views", "The same views in the form before PyTorch 1.6.", pickled(views, save_before_1_6))
    case(
        "weights-bin-transposed",
        "A .bin with a transposed tensor that keeps its strides, as weights converted from another library.",
        pickled(transposed),
    )
    case(
        "weights-bin-parameters",
        "A .bin with an OrderedDict of torch.nn.Parameter, as torch.save(dict(model.named_parameters())).",
        pickled(lambda state: collections.OrderedDict((key, torch.nn.Parameter(value)) for key, value in state.items())),
    )
    case(
        "weights-bin-int64-buffer",
        "A .bin with an int64 buffer and the f32 inv_freq of Llama files of 2023 beside the weights.",
        pickled(
            lambda state: {
                **state,
                "model.position_ids": torch.arange(64)[None],
                "model.layers.0.self_attn.rotary_emb.inv_freq": 10000.0 ** (-torch.arange(0, 8, 2) / 8),
            }
        ),
    )
    case(
        "weights-bin-sharded",
        "Three .bin shards with pytorch_model.bin.index.json, as transformers before 4.35 writes large models.",
        sharded_bin,
    )
    case(
        "weights-both",
        "model.safetensors and a pytorch_model.bin of the same weights side by side, as many repositories have.",
        lambda m: torch.save(load_file(m / "model.safetensors"), m / "pytorch_model.bin"),
    )


def views(state):
    flat = torch.cat([value.flatten() for value in state.values()])
    at, parts = 0, {}
    for key, value in state.items():
        parts[key] = flat[at : at + value.numel()].view(value.shape)
        at += value.numel()
    return parts


def transposed(state):
    key = "model.layers.0.mlp.down_proj.weight"
    turned = state[key].T.contiguous().T
    assert not turned.is_contiguous()
    return {**state, key: turned}


def save_before_1_6(state, file):
    """Works like torch.serialization._legacy_save, but numbers the storages instead of writing their addresses,
    which differ between runs."""
    storages = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, torch.storage.TypedStorage):
                return None
            # The number has as many digits as an address.
            key = str(94000000000000 + 64 * len(storages))
            known = {held.data_ptr(): name for name, held in storages.items()}
            key = known.get(value.data_ptr(), key)
            storages[key] = value
            return "storage", getattr(torch, value.pickle_storage_type()), key, "cpu", value.size(), None

    with open(file, "wb") as out:
        pickle.dump(0x1950A86A20F9469CFC6C, out, 2)
        pickle.dump(1001, out, 2)
        sizes = {"short": 2, "int": 4, "long": 4}
        pickle.dump({"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}, out, 2)
        Pickler(out, 2).dump(state)
        pickle.dump(sorted(storages), out, 2)
        for key in sorted(storages):
            values = torch.tensor([], dtype=storages[key].dtype).set_(storages[key])
            out.write(struct.pack("<q", values.numel()) + values.numpy().tobytes())


def split(state, count=3):
    names = sorted(state)
    size = -(-len(names) // count)
    return [{key: state[key] for key in names[at : at + size]} for at in range(0, len(names), size)]


def write_shards(folder, stem, ending, parts, write, metadata):
    where = {}
    for number, part in enumerate(parts, 1):
        file = f"{stem}-{number:05}-of-{len(parts):05}.{ending}"
        write(part, folder / file)
        where.update({key: file for key in part})
    write_json({"metadata": metadata, "weight_map": where}, folder / f"{stem}.{ending}.index.json")


def sharded_safetensors(model, folder):
    models.copy.deepcopy(model).half().save_pretrained(folder, max_shard_size=SHARD)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    (folder / "model.safetensors").unlink(missing_ok=True)
    (folder / "generation_config.json").unlink(missing_ok=True)


def sharded_bin(folder):
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    size = sum(value.numel() * value.element_size() for value in state.values())
    write_shards(folder, "pytorch_model", "bin", split(state), torch.save, {"total_size": size})


def bfloat16(corpus):
    name = "weights-safetensors-bf16"
    sample = Sample(dtype=torch.bfloat16, seed=1)
    folder = corpus.start(name, base='{ path = "m" }')
    sample.write(folder / "m", torch.bfloat16)
    corpus.expect(
        name,
        "model.safetensors in bf16, as most models of 2024 and later are published.",
        models.load(folder / "m"),
        sample.vocabulary,
        ends=sample.ends,
    )


def gpt2_buffers(corpus):
    name = "weights-bin-bool-buffer"
    sample = Sample(family="gpt2")
    folder = corpus.start(name, base='{ path = "m" }')
    sample.write(folder / "m")
    state = load_file(folder / "m/model.safetensors")
    (folder / "m/model.safetensors").unlink()
    # transformers 4.27 to 4.30 store GPT-2's masks like this. The oldest files store them as uint8.
    state["transformer.h.0.attn.bias"] = torch.ones(64, 64, dtype=torch.bool).tril()[None, None]
    state["transformer.h.0.attn.masked_bias"] = torch.tensor(-10000.0)
    torch.save(state, folder / "m/pytorch_model.bin")
    corpus.expect(
        name,
        "GPT-2's .bin with the bool mask and the scalar masked_bias of transformers 4.27 beside the weights.",
        models.load(folder / "m"),
        sample.vocabulary,
        ends=sample.ends,
    )
    name = "weights-bin-gpt2-first-names"
    folder = corpus.start(name, base='{ path = "m" }')
    sample.write(folder / "m")
    state = load_file(folder / "m/model.safetensors")
    (folder / "m/model.safetensors").unlink()
    state = {key.removeprefix("transformer."): value for key, value in state.items()}
    state["h.0.attn.bias"] = torch.ones(64, 64, dtype=torch.uint8).tril()[None, None]
    save_before_1_6(state, folder / "m/pytorch_model.bin")
    corpus.expect(
        name,
        "GPT-2 as its own repository has it: names without transformer., uint8 masks, the form before PyTorch 1.6.",
        models.load(folder / "m"),
        sample.vocabulary,
        ends=sample.ends,
    )


def small(folder):
    """Writes a model and its tokenizer, for cases that do not generate."""
    vocabulary = byte_level()
    models.save(build(config("llama", len(vocabulary)), 0, vocabulary), folder)
    write_tokenizer(vocabulary, folder)


def pointers(corpus):
    for file in ["model.safetensors", "pytorch_model.bin", "tokenizer.json", "config.json"]:
        name = "lfs-pointer-" + file.replace(".", "-").replace("_", "-")
        folder = corpus.start(name, base='{ path = "m" }')
        small(folder / "m")
        if file == "pytorch_model.bin":
            (folder / "m/model.safetensors").unlink()
        (folder / "m" / file).write_text(POINTER.format(size=548105171))
        corpus.fault(name, f"A repository cloned without git-lfs: {file} is a Git LFS pointer instead of the real file.", ["Git LFS"])
    name = "lfs-pointer-gguf"
    folder = corpus.start(name, base='{ path = "m.gguf" }')
    (folder / "m.gguf").write_text(POINTER.format(size=98123456))
    corpus.fault(name, "A .gguf file of a repository cloned without git-lfs.", ["Git LFS"])


def wrong_kinds(corpus, sample):
    name = "html-page-as-safetensors"
    folder = corpus.start(name, base='{ path = "m" }')
    small(folder / "m")
    (folder / "m/model.safetensors").write_text(PAGE)
    corpus.fault(name, "An error page of a web site saved as model.safetensors, as wget and browsers leave it.", ["HTML"])
    name = "html-page-as-gguf"
    folder = corpus.start(name, base='{ path = "m.gguf" }')
    (folder / "m.gguf").write_text(PAGE)
    corpus.fault(name, "An error page of a web site saved as a .gguf file.", ["HTML"])
    name = "safetensors-named-bin"
    folder = corpus.start(name, base='{ path = "m" }')
    small(folder / "m")
    (folder / "m/model.safetensors").rename(folder / "m/pytorch_model.bin")
    corpus.fault(name, "A safetensors file named pytorch_model.bin.", ["safetensors"])
    name = "bin-named-safetensors"
    folder = corpus.start(name, base='{ path = "m" }')
    small(folder / "m")
    # The tensors are memory-mapped, so the file must be deleted before another is written under its name.
    state = load_file(folder / "m/model.safetensors")
    (folder / "m/model.safetensors").unlink()
    torch.save(state, folder / "m/model.safetensors")
    corpus.fault(name, "A PyTorch file named model.safetensors.", ["PyTorch"])
