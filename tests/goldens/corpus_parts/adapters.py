"""Group F: adapters as PEFT writes them.

`peft_configs.json` has the output of save_pretrained in older versions for this LoraConfig: r=2, lora_alpha=6,
target_modules=["q_proj", "v_proj"], lora_dropout=0.05, task_type="CAUSAL_LM", inference_mode=True.
"""

import json
import warnings
from pathlib import Path

import peft
import torch
from safetensors.torch import load_file, save_file

from . import models
from .models import greedy
from .record import read_json, write_json
from .sample import Sample

warnings.filterwarnings("ignore", message="Setting `save_embedding_layers`")
warnings.filterwarnings("ignore", message="Could not find a config file")

OLD = json.loads((Path(__file__).parent / "peft_configs.json").read_text())
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ROLES = dict(base='{ path = "m" }', untuned='{ path = "m" }', tuned='{ adapter = { path = "a" } }')


def adapters(corpus):
    sample = Sample()
    forms(corpus, sample)
    copies(corpus, sample)
    refused(corpus, sample)
    gpt2(corpus)


def write_adapter(sample, folder, seed, dtype=torch.float16, **changes):
    """Writes a LoRA adapter with random matrices for the model in `m`. Returns the adapted model."""
    options = {**dict(r=2, lora_alpha=6, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"), **changes}
    adapted = peft.get_peft_model(models.load(folder / "m"), peft.LoraConfig(**options)).eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name and "magnitude" not in name:
                parameter.copy_((torch.randn(parameter.shape) * 0.4).to(dtype).float())
    adapted.base_model.model.generation_config = None
    # Otherwise PEFT would check the base's repository, which does not exist, for a changed vocabulary.
    adapted.save_pretrained(folder / "a", save_embedding_layers=False)
    (folder / "a/README.md").unlink(missing_ok=True)
    settle(folder / "a")
    weights = load_file(folder / "a/adapter_model.safetensors")
    rewrite(weights, folder / "a", dtype)
    return adapted


def settle(folder):
    """Rewrites adapter_config.json in a fixed order and without the paths of this machine."""
    written = read_json(folder / "adapter_config.json")
    written["base_model_name_or_path"] = "o/m"
    written["target_modules"] = sorted(written["target_modules"])
    write_json(written, folder / "adapter_config.json")


def rewrite(weights, folder, dtype=torch.float16):
    weights = {key: value.to(dtype).contiguous() for key, value in weights.items()}
    (folder / "adapter_model.safetensors").unlink()
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def adapted_case(corpus, name, about, sample, change=lambda folder: None, **options):
    """Adds a case whose tuned text differs from the base's, with sufficient margins at every step."""
    for seed in range(1000):
        folder = corpus.start(name, **ROLES)
        sample.write(folder / "m")
        write_adapter(sample, folder, seed, **options)
        change(folder / "a")
        tuned = peft.PeftModel.from_pretrained(models.load(folder / "m"), folder / "a").eval()
        ids, margin, end = greedy(tuned, sample.prompt_ids, sample.ends)
        base, _, _ = greedy(sample.model, sample.prompt_ids, sample.ends)
        sure = margin > models.MARGIN and end is None and set(ids) <= set(sample.vocabulary.readable)
        if sure and ids != base and len(set(ids)) >= 4 and ids != otherwise_scaled(tuned, sample):
            break
    text = sample.vocabulary.text_after(sample.prompt_ids, ids)
    corpus.expect(name, about, models.load(folder / "m"), sample.vocabulary, ends=sample.ends, tuned_ids=ids, tuned_text=text)
    return folder


def otherwise_scaled(tuned, sample):
    """Returns the ids of the tuned model if alpha / r is confused with alpha / sqrt(r)."""
    for module in tuned.modules():
        if isinstance(module, peft.tuners.lora.LoraLayer):
            scale = module.scaling["default"]
            module.scaling["default"] = scale * 2**0.5 if scale < 4 else scale / 2**0.5
    return greedy(tuned, sample.prompt_ids, sample.ends)[0]


def forms(corpus, sample):
    adapted_case(corpus, "adapter-newest", f"An adapter as PEFT {peft.__version__} writes it, on queries and values.", sample)
    adapted_case(corpus, "adapter-all-maps", "An adapter on all seven matrices.", sample, target_modules=ALL)
    adapted_case(corpus, "adapter-f32", "An adapter in f32, as trainers save it beside an f16 base.", sample, dtype=torch.float32)
    adapted_case(
        corpus, "adapter-rslora", "A rank-stabilised adapter: the scale is alpha over the square root of r.", sample, use_rslora=True
    )
    adapted_case(
        corpus,
        "adapter-init-variants",
        "init_lora_weights gaussian, which only affects the start of training.",
        sample,
        init_lora_weights="gaussian",
    )

    def as_bin(folder):
        weights = load_file(folder / "adapter_model.safetensors")
        torch.save(weights, folder / "adapter_model.bin")
        (folder / "adapter_model.safetensors").unlink()

    adapted_case(corpus, "adapter-bin", "adapter_model.bin, as PEFT before 0.7 writes it.", sample, as_bin)
    for version, config in OLD.items():

        def older(folder):
            write_json({**config, "base_model_name_or_path": "o/m"}, folder / "adapter_config.json")
            if version < "0.7":
                as_bin(folder)

        adapted_case(corpus, f"adapter-peft-{version}", f"adapter_config.json as PEFT {version} writes it.", sample, older)


def copies(corpus, sample):
    def with_copies(change):
        def add(folder):
            weights = load_file(folder / "adapter_model.safetensors")
            table = change(sample.model.state_dict()["model.embed_tokens.weight"].clone())
            for name in ["model.embed_tokens", "lm_head"]:
                weights[f"base_model.model.{name}.weight"] = table.clone()
            rewrite(weights, folder)

        return add

    adapted_case(
        corpus,
        "adapter-equal-copies",
        "Copies of the embedding and the head beside the adapter, equal to the base's (save_embedding_layers).",
        sample,
        with_copies(lambda table: table),
    )
    name = "adapter-changed-copies"
    folder = corpus.start(name, **ROLES)
    sample.write(folder / "m")
    write_adapter(sample, folder, 0)
    with_copies(lambda table: table * 1.5)(folder / "a")
    corpus.fault(
        name, "A copy of the embedding beside the adapter that was trained further and differs from the base's.", ["is not the model's own"]
    )


def refused(corpus, sample):
    def case(name, about, says, **options):
        folder = corpus.start(name, **ROLES)
        sample.write(folder / "m")
        write_adapter(sample, folder, 0, **options)
        corpus.fault(name, about, says)
        return folder

    case("adapter-dora", "DoRA: one magnitude per row besides the two matrices.", ["dora"], use_dora=True)
    # The field is edited by hand, because training such an adapter would change the base.
    for kind in ["pissa", "pissa_niter_16", "olora"]:
        about = f"init_lora_weights {kind}, not converted: the base must be changed before the adapter can be used."
        folder = case(f"adapter-{kind}", about, [kind])
        written = read_json(folder / "a/adapter_config.json")
        written["init_lora_weights"] = kind
        write_json(written, folder / "a/adapter_config.json")


def gpt2(corpus):
    sample = Sample(family="gpt2")
    adapted_case(
        corpus,
        "adapter-gpt2",
        "An adapter on GPT-2's transposed matrices, fan_in_fan_out.",
        sample,
        target_modules=["c_attn", "c_proj", "c_fc"],
        fan_in_fan_out=True,
    )
