"""Measures the decoding speed of llama.cpp and of this program with the same file. Run it on an idle machine.

    pip install xllamacpp gguf
    cargo test --release --test lm --no-run
    python tests/goldens/llama_cpp_speed.py SmolLM2-135M-Instruct.Q4_1.gguf

In each of three rounds, both programs read the file itself, and llama.cpp also reads the same weights
as Q4_0 and Q8_0. Each measurement is a separate process with two threads. Prints, for every number of
rows, the median of the tokens per second over the rounds, and the median of the ratios of the rounds.
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

from llama_cpp import write_as

ROUNDS, ROWS, STEPS = 3, (1, 4, 16), 32
PROMPT = "a film that " * 42


def theirs(path):
    """Returns llama.cpp's tokens per second for every number of rows, as {rows: speed}."""
    import xllamacpp

    speeds = {}
    for rows in ROWS:
        params = xllamacpp.CommonParams()
        params.model.path = path
        params.n_ctx = 256 * rows
        params.n_parallel = rows
        params.warmup = False
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
        server = xllamacpp.Server(params)

        def seconds(tokens):
            began = time.perf_counter()
            prompts = [f"{row} {PROMPT}" for row in range(rows)]
            server.handle_completions({
                "prompt": prompts if rows > 1 else prompts[0], "n_predict": tokens, "temperature": 0.0,
                "top_k": 1, "ignore_eos": True, "cache_prompt": True})
            return time.perf_counter() - began

        # The first call prefills the prompts. The difference between two lengths is the time of the steps.
        seconds(1)
        short = min(seconds(8) for _ in range(3))
        long = min(seconds(8 + STEPS) for _ in range(3))
        speeds[rows] = rows * STEPS / (long - short)
    return speeds


def ours(path):
    command = ["cargo", "test", "--release", "--test", "lm", "speed_of", "--", "--ignored", "--nocapture"]
    environment = os.environ | {"IVG_SMOLLM2": path, "RAYON_NUM_THREADS": "2"}
    text = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    rounds = [line for line in text.splitlines() if line.startswith("round")]
    best = lambda rows: max(float(re.search(rf"\b{rows} rows (\d+)", line).group(1)) for line in rounds)
    return {rows: best(rows) for rows in ROWS}


def of_llama_cpp(path):
    code = f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r}); " \
           f"import llama_cpp_speed as s; print('speeds', s.theirs({str(path)!r}))"
    text = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    line = next(line for line in text.splitlines() if line.startswith("speeds"))
    return {int(rows): float(speed) for rows, speed in re.findall(r"(\d+): ([\d.]+)", line)}


def main():
    path = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        files = {"llama.cpp, as it is": path}
        for kind in ("Q4_0", "Q8_0"):
            files[f"llama.cpp, {kind}"] = f"{folder}/{kind}.gguf"
            write_as(kind, path, files[f"llama.cpp, {kind}"])
        found = {"this program": []} | {name: [] for name in files}
        for number in range(ROUNDS):
            found["this program"].append(ours(path))
            for name, file in files.items():
                found[name].append(of_llama_cpp(file))
            print(f"round {number + 1}:", {n: {r: round(s) for r, s in v[-1].items()} for n, v in found.items()}, flush=True)
    for name, rounds in found.items():
        speeds = [f"{statistics.median(r[rows] for r in rounds):.0f}" for rows in ROWS]
        ratios = [statistics.median(o[rows] / r[rows] for o, r in zip(found["this program"], rounds)) for rows in ROWS]
        print(f"{name:<22}", " / ".join(speeds), "tokens/s at", ROWS, "rows; ours to it", [round(r, 2) for r in ratios])


if __name__ == "__main__":
    main()
