"""
Scores a model on a file of (utterance, program) pairs, over several seeds:

    python examples/run_evaluate.py --model cf --data cf_val.jsonl --output results.json

Reported, in percent: exact and execution match of the first 1, 3 and 5 candidates, the strict match that also compares
probe tables (CF), validity, wrongly copied literals, and how often the first candidate stays the same when the
utterance is written in lower case, without its final punctuation, or with typographic quotes (first seed only).
"""

import argparse
import hashlib
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import torch
import transformers

import codefusion_hf
from codefusion_hf.data.benchmarks import read_pairs
from codefusion_hf.evaluation import generate_candidates, load, match_scores, wrong_literals
from codefusion_hf.languages import get_language


VARIANTS = {
    "lower_case": str.lower,
    "no_final_punctuation": lambda nl: nl.rstrip().rstrip(".!?"),
    "final_punctuation": lambda nl: nl.rstrip().rstrip(".!?") + ".",
    "typographic_quotes": lambda nl: nl.replace("'", "’").replace(' "', " “").replace('"', "”"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="A shipped model or a folder.")
    parser.add_argument("--data", required=True, nargs="+", help="JSON lines, or the release's JSON.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--num_return_sequences", type=int, default=5)
    parser.add_argument("--num_inference_steps", type=int)
    parser.add_argument("--sampler")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--output", help="JSON file for the results; predictions of each seed are put beside it.")
    args = parser.parse_args()

    model, tokenizer = load(args.model)
    model = model.to(getattr(torch, args.dtype))
    language = model.config.language
    results = {
        "model": args.model,
        "settings": {k: v for k, v in vars(args).items() if k not in ("model", "data", "output")},
        "versions": {
            "codefusion_hf": codefusion_hf.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        },
        "data": {},
    }
    settings = {
        "num_return_sequences": args.num_return_sequences,
        "num_inference_steps": args.num_inference_steps,
        "sampler": args.sampler,
        "batch_size": args.batch_size,
    }
    for path in map(Path, args.data):
        rows = read_pairs(path, language)
        runs = []
        for seed in args.seeds:
            started = time.perf_counter()
            candidates = generate_candidates(model, tokenizer, rows, seed=seed, **settings)
            scores = match_scores(candidates, rows, language)
            scores["seconds_per_row"] = round((time.perf_counter() - started) / len(rows), 4)
            scores["wrong_literals"] = wrong_literals(candidates, rows, language)
            for name, change in VARIANTS.items() if seed == args.seeds[0] else ():
                changed = [{**row, "nl": change(row["nl"])} for row in rows]
                again = generate_candidates(model, tokenizer, changed, seed=seed, **settings)
                normalize = get_language(language).normalize
                same = sum(normalize(a[0]["code"]) == normalize(b[0]["code"]) for a, b in zip(candidates, again))
                scores[f"same_{name}"] = round(100 * same / len(rows), 2)
            runs.append(scores)
            if args.output:
                save_predictions(Path(args.output).with_suffix(f".{path.stem}.seed{seed}.jsonl"), rows, candidates)
        results["data"][path.stem] = {
            "rows": len(rows),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest()[:16],
            "mean": {name: round(statistics.mean(values), 2) for name, values in collected(runs).items()},
            "sd": {name: round(statistics.pstdev(values), 2) for name, values in collected(runs).items()},
            "runs": runs,
        }
        print(f"\n{path.name}: {len(rows)} rows, {len(runs)} seeds")
        for name, mean in results["data"][path.stem]["mean"].items():
            print(f"  {name:28s} {mean:7.2f} ± {results['data'][path.stem]['sd'][name]:.2f}")
    if args.output:
        Path(args.output).write_text(json.dumps(results, indent=2) + "\n")


def collected(runs: list[dict[str, float]]) -> dict[str, list[float]]:
    """The values of each score over the runs that have it."""
    return {name: [run[name] for run in runs if name in run] for name in runs[0]}


def save_predictions(path: Path, rows: list[dict], candidates: list[list[dict]]) -> None:
    """One JSON line for each row, as `codefusion predict` writes them."""
    lines = [json.dumps({"id": r["id"], "nl": r["nl"], "candidates": c}) for r, c in zip(rows, candidates)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"run_evaluate.py: error: {error}")
