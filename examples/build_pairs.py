"""
Builds the training pairs of a language from its benchmark's training split and whatever else is given:

- the real pairs, repeated, each copy with other literals (`--real_copies`);
- other pairs, such as documentation (`--pairs_file`, `--pairs_copies`);
- for CF, whose split is small and noisy, synthetic pairs over tables, whose literals come in part from the unlabelled
  corpus (`--num_synthetic`, `--pretrain_file`).

    python examples/build_pairs.py --language cf --train_file cf_train.jsonl --pretrain_file cf_pretrain.jsonl \\
        --num_synthetic 300000 --output corpus.jsonl
    python examples/build_pairs.py --language bash --train_file bash_train.jsonl --pairs_file bash_pairs.jsonl.gz \\
        --exclude bash_alpha.jsonl --real_copies 24 --output corpus.jsonl

Rows of the files in `--exclude` (validation and test) are left out of every part, by their utterance.
"""

import argparse
import json
import random

from tqdm.auto import tqdm

from codefusion_hf.data.augmentation import LiteralSwapper
from codefusion_hf.data.benchmarks import read_jsonl, read_pairs
from codefusion_hf.data.synthesis import CFSynthesizer, swap_literals
from codefusion_hf.languages import LANGUAGES, get_language


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", default="cf", choices=LANGUAGES)
    parser.add_argument("--train_file", required=True, help="The benchmark's training split.")
    parser.add_argument("--pairs_file", nargs="*", default=[], help="Other pairs.")
    parser.add_argument("--exclude", nargs="*", default=[], help="Files whose utterances must not be trained on.")
    parser.add_argument("--pretrain_file", help="CF: unlabelled programs.")
    parser.add_argument("--num_synthetic", type=int, default=0, help="CF: synthetic pairs.")
    parser.add_argument("--real_copies", type=int, default=50)
    parser.add_argument("--pairs_copies", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    if args.language != "cf" and (args.num_synthetic or args.pretrain_file):
        parser.error("--num_synthetic and --pretrain_file are for --language cf")

    rng = random.Random(args.seed)
    excluded = {utterance_key(row["nl"]) for path in args.exclude for row in read_jsonl(path)}
    parts = {"benchmark": read_pairs(args.train_file, args.language)}
    for path in args.pairs_file:
        parts.setdefault("pairs", []).extend(row for row in read_jsonl(path) if row.get("nl"))
    for name, rows in parts.items():
        parts[name] = [row for row in rows if utterance_key(row["nl"]) not in excluded]
        print(f"{name}: {len(parts[name]):,} pairs, {len(rows) - len(parts[name]):,} excluded")
    swap = swap_literals
    if args.language != "cf":
        swap = LiteralSwapper((row["nl"], row["code"]) for rows in parts.values() for row in rows)

    written = 0
    with open(args.output, "w", encoding="utf-8") as file:

        def write(row: dict):
            nonlocal written
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            written += 1

        for name, rows in parts.items():
            copies = args.real_copies if name == "benchmark" else args.pairs_copies
            for copy in tqdm(range(copies), desc=name, unit="copy"):
                for row in rows:
                    nl, code = (row["nl"], row["code"]) if copy == 0 else swap(row["nl"], row["code"], rng)
                    if args.language != "cf":
                        nl = respell(nl, rng)
                    table = row.get("table") if rng.random() < 0.5 else None  # users have a table, or have none
                    write({"nl": nl, "code": code, "table": table, "source": name})
        if args.num_synthetic:
            language = get_language(args.language)
            corpus = [row["code"] for row in read_jsonl(args.pretrain_file)] if args.pretrain_file else []
            rules = [language.canonicalize(code) for code in corpus if language.is_valid(code)]
            synthesizer = CFSynthesizer(args.seed, rules)
            for _ in tqdm(range(args.num_synthetic), desc="synthetic pairs", unit="pair"):
                write({**synthesizer.sample(rng), "source": "synthesis"})
    print(f"{written:,} pairs, written to {args.output}")


def utterance_key(nl: str) -> str:
    """What two spellings of one utterance share."""
    return " ".join(nl.lower().split()).rstrip(".!? ")


def respell(nl: str, rng: random.Random) -> str:
    """Users write with and without an initial capital and a final period: the benchmarks nearly always with one."""
    draw = rng.random()
    if draw < 0.4 and nl[1:2].islower():
        nl = nl[0].lower() + nl[1:]
    draw = rng.random()
    if draw < 0.1 and nl[-1:].isalnum():
        nl += "."
    elif draw > 0.5 and nl.endswith(".") and nl[-2:-1].isalnum():
        nl = nl[:-1]
    return nl


if __name__ == "__main__":
    main()
