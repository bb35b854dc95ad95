"""
Measures what a user waits for: medians of repeated runs, in one process (generation) or of whole processes (commands):

    python examples/run_benchmark.py --model cf --json

Times on shared machines are noisy: compare figures of one run with each other, not with other machines'.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from codefusion_hf.evaluation import load


UTTERANCE = "Color cells that have value greater than 1129"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cf", help="A shipped model or a folder.")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--num_return_sequences", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error("--repeats must be at least 1")

    results = {
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        "utterance": UTTERANCE,
    }
    for dtype in (torch.float32, torch.bfloat16):
        results[f"generate_ms_{str(dtype).removeprefix('torch.')}"] = latency(args, dtype)
    command = Path(sys.executable).with_name("codefusion")
    commands = {
        "import_torch_transformers_s": [sys.executable, "-c", "import torch, transformers"],
        "codefusion_generate_s": [command, "generate", "--model", args.model, UTTERANCE],
        "codefusion_env_s": [command, "env"],
        "codefusion_help_s": [command, "--help"],
    }
    times = {name: [] for name in commands}
    for _ in range(5):  # interleaved, so that all of them see the same machine
        for name, arguments in commands.items():
            started = time.perf_counter()
            subprocess.run(arguments, check=True, capture_output=True)
            times[name].append(time.perf_counter() - started)
    results |= {name: round(statistics.median(values), 2) for name, values in times.items()}
    if args.json:
        print(json.dumps(results))
    else:
        for name, value in results.items():
            print(f"{name:32s} {value}")


def latency(args: argparse.Namespace, dtype: torch.dtype) -> float:
    """Median milliseconds of one utterance, tokenisation to text, after warm-up."""
    model, tokenizer = load(args.model)
    model = model.to(dtype)

    def generate():
        inputs = tokenizer([UTTERANCE], return_tensors="pt").to(model.device)
        sequences = model.generate(**inputs, num_return_sequences=args.num_return_sequences, seed=0)
        return tokenizer.batch_decode(sequences, skip_special_tokens=True)

    for _ in range(3):
        generate()
    times = []
    for _ in range(args.repeats):
        started = time.perf_counter()
        generate()
        times.append(1000 * (time.perf_counter() - started))
    return round(statistics.median(times), 1)


if __name__ == "__main__":
    main()
