"""
Several threads call one model at once: do they get what one after the other gets, and does memory stay what it was?

    python examples/run_concurrency.py --model cf

First `--memory_calls` calls follow each other. Then `--threads` threads make `--calls` calls each, with utterances and
seeds of their own, at the same time: every result, programs and scores, must be that of the same call in the first
part. In both parts the resident memory of the process is noted five times. Prints tables, or one JSON object with
`--json`; the exit status is 1 if a result differs. The settings are the model's own. Needs Linux (/proc).
"""

import argparse
import itertools
import json
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from tqdm.auto import tqdm

from codefusion_hf import evaluation
from codefusion_hf.data.benchmarks import read_benchmark


FILE = Path(__file__).parents[1] / "tests" / "fixtures" / "cf_dev.jsonl"
STATM = Path("/proc/self/statm")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="cf", help="A shipped model or a folder.")
    parser.add_argument("--data", default=str(FILE), help="JSON lines of utterances.")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--calls", type=int, default=50, help="Of each thread.")
    parser.add_argument("--memory_calls", type=int, default=500, help="One after the other, a multiple of 5.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object.")
    args = parser.parse_args()
    for name in ("threads", "calls", "memory_calls"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(args, name)}")
    if args.memory_calls % 5:
        raise ValueError(f"--memory_calls must be a multiple of 5, got {args.memory_calls}")
    if not STATM.exists():
        raise OSError(f"the resident memory is read from {STATM}, which this system lacks")

    model, tokenizer = evaluation.load(args.model)
    rows = read_benchmark(args.data)
    evaluation.check_examples(model, tokenizer, rows)

    def call(number: int) -> list[dict]:
        return evaluation.generate_candidates(model, tokenizer, [rows[number % len(rows)]], seed=number)[0]

    number_of_calls, expected = args.threads * args.calls, []
    alone, together, finished = {}, {}, itertools.count(1)
    with tqdm(total=args.memory_calls + number_of_calls, desc="calls", unit="call") as progress:
        call(0)  # warm-up
        for number in range(max(args.memory_calls, number_of_calls)):
            expected.append(call(number))
            if number < args.memory_calls:
                progress.update()
                note(alone, number + 1, args.memory_calls)

        def work(thread: int) -> int:
            differing = 0
            for number in range(thread * args.calls, (thread + 1) * args.calls):
                differing += call(number) != expected[number]
                progress.update()
                note(together, next(finished), number_of_calls)
            return differing

        with ThreadPoolExecutor(args.threads) as pool:
            differing = sum(pool.map(work, range(args.threads)))

    results = {
        "model": Path(args.model).name,
        "machine": f"torch {torch.__version__}, {model.dtype}, {torch.get_num_threads()} threads an operation",
        "concurrent_calls": number_of_calls,
        "differing_results": differing,
        "resident_mb": alone,
        "growth_mb": growth(alone),
        "resident_mb_threads": together,
        "growth_mb_threads": growth(together),
    }
    if args.json:
        print(json.dumps(results))
    else:
        print(f"{args.threads} threads x {args.calls} calls: {differing} of {number_of_calls} results differ")
        for title, marks in (("one after the other", alone), (f"in {args.threads} threads", together)):
            print(f"\n| calls {title} | {' | '.join(map(str, marks))} | growth |\n|---|{'---|' * (len(marks) + 1)}")
            print(f"| resident MB | {' | '.join(f'{each:.1f}' for each in marks.values())} | {growth(marks):+.1f} |")
    return 1 if differing else 0


def note(marks: dict[int, float], number: int, total: int) -> None:
    """Notes the resident memory in MiB after each fifth of the calls."""
    if number % max(1, total // 5) == 0:
        marks[number] = round(int(STATM.read_text().split()[1]) * resource.getpagesize() / 2**20, 1)


def growth(marks: dict[int, float]) -> float:
    """From the first mark to the last, in MiB: what is loaded and allocated once is there at the first."""
    return round(marks[max(marks)] - marks[min(marks)], 1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as error:
        sys.exit(f"run_concurrency.py: error: {error}")
