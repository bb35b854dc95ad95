"""
Builds the training pairs of a language from its benchmark's training split. For CF, whose split is small and noisy:

- the real pairs, repeated, each copy with other literals (`--real_copies`);
- synthetic pairs over tables, whose literals come in part from the unlabelled corpus (`--num_synthetic`).

    python examples/build_corpus.py --train_file cf_train.jsonl --pretrain_file cf_pretrain.jsonl --output corpus.jsonl

Validation and test files are never read here.
"""

import argparse
import json
import random

from tqdm.auto import tqdm

from codefusion_hf.data.benchmarks import read_jsonl, read_pairs
from codefusion_hf.data.synthesis import CFSynthesizer, swap_literals
from codefusion_hf.languages import get_language


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", default="cf", choices=("cf",))
    parser.add_argument("--train_file", required=True, help="The benchmark's training split.")
    parser.add_argument("--pretrain_file", help="Unlabelled programs.")
    parser.add_argument("--num_synthetic", type=int, default=200_000)
    parser.add_argument("--real_copies", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True)
    args = parser.parse_args()

    rng = random.Random(args.seed)
    language = get_language(args.language)
    pairs = read_pairs(args.train_file, args.language)
    corpus = [row["code"] for row in read_jsonl(args.pretrain_file)] if args.pretrain_file else []
    rules = [language.canonicalize(code) for code in corpus if language.is_valid(code)]
    synthesizer = CFSynthesizer(args.seed, rules)
    written = 0
    with open(args.output, "w", encoding="utf-8") as file:

        def write(row: dict):
            nonlocal written
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            written += 1

        for copy in tqdm(range(args.real_copies), desc="real pairs", unit="copy"):
            for row in pairs:
                nl, code = (row["nl"], row["code"]) if copy == 0 else swap_literals(row["nl"], row["code"], rng)
                table = row.get("table") if rng.random() < 0.5 else None  # users have a table, or have none
                write({"nl": nl, "code": code, "table": table, "source": "benchmark"})
        for _ in tqdm(range(args.num_synthetic), desc="synthetic pairs", unit="pair"):
            write({**synthesizer.sample(rng), "source": "synthesis"})
    print(f"{written:,} pairs, written to {args.output}")


if __name__ == "__main__":
    main()
