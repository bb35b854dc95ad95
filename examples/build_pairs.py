"""
Builds the training pairs of a language from its benchmark's training split and whatever else is given:

- the real pairs, repeated, each copy with other literals (`--real_copies`);
- other pairs, such as documentation (`--pairs_file`, `--pairs_copies`, for some kinds of them `--kind_copies`);
- for CF, whose split is small and noisy, synthetic pairs over tables, whose literals come in part from the unlabelled
  corpus (`--num_synthetic`, `--pretrain_file`).

    python examples/build_pairs.py --language cf --train_file cf_train.jsonl --pretrain_file cf_pretrain.jsonl \\
        --num_synthetic 300000 --output corpus.jsonl
    python examples/build_pairs.py --language bash --train_file bash_train.jsonl --pairs_file bash_pairs.jsonl.gz \\
        --exclude bash_alpha.jsonl --real_copies 24 --output corpus.jsonl
    python examples/build_pairs.py --language python --train_file python_train.jsonl \\
        --pairs_file python_pairs.jsonl.gz --max_chars 120 --kind_copies "so_title(conala train)=10" docstring=0 \\
        --exclude python_val.jsonl --exclude_code python_val.jsonl --real_copies 40 --output corpus.jsonl

Rows of the files in `--exclude` (validation and test) are left out of every part, by their utterance; with
`--exclude_code` by their programs, too.
"""

import argparse
import json
import random
import sys
from collections import Counter

from tqdm.auto import tqdm

from codefusion_hf.data.augmentation import LiteralSwapper, Paraphraser, PythonLiteralSwapper
from codefusion_hf.data.benchmarks import read_jsonl, read_pairs
from codefusion_hf.data.leakage import normalized_golds
from codefusion_hf.data.synthesis import CFSynthesizer, swap_literals
from codefusion_hf.languages import LANGUAGES, get_language


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", default="cf", choices=LANGUAGES)
    parser.add_argument("--train_file", required=True, help="The benchmark's training split.")
    parser.add_argument("--pairs_file", nargs="*", default=[], help="Other pairs.")
    parser.add_argument("--exclude", nargs="*", default=[], help="Files whose utterances must not be trained on.")
    parser.add_argument(
        "--exclude_code", nargs="*", default=[], metavar="FILE", help="Files whose programs must not be trained on."
    )
    parser.add_argument("--max_chars", type=int, help="Characters of the longest program of --pairs_file.")
    parser.add_argument("--pretrain_file", help="CF: unlabelled programs.")
    parser.add_argument("--num_synthetic", type=int, default=0, help="CF: synthetic pairs.")
    parser.add_argument("--real_copies", type=int, default=50)
    parser.add_argument("--pairs_copies", type=int, default=2)
    parser.add_argument(
        "--kind_copies",
        nargs="*",
        default=[],
        type=kind_and_copies,
        metavar="KIND=N",
        help="Copies of the pairs of a kind (`nl_kind` of their rows), instead of --pairs_copies; 0 leaves it out.",
    )
    parser.add_argument(
        "--paraphrase", action="store_true", help="Bash: copies of a pair after the first one in other words, too."
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    if args.language != "cf" and (args.num_synthetic or args.pretrain_file):
        parser.error("--num_synthetic and --pretrain_file are for --language cf")
    if args.language != "bash" and args.paraphrase:
        parser.error("--paraphrase is for --language bash: the phrases it knows are those of requests for commands")

    rng = random.Random(args.seed)
    normalize, kind_copies = get_language(args.language).normalize, dict(args.kind_copies)
    excluded = {utterance_key(row["nl"]) for path in args.exclude for row in read_jsonl(path)}
    excluded_code = normalized_golds(args.exclude_code, args.language)
    parts = {"benchmark": read_pairs(args.train_file, args.language)}
    for path in args.pairs_file:
        parts.setdefault("pairs", []).extend(row for row in read_jsonl(path) if row.get("nl"))
    for name, rows in parts.items():
        kept = [row for row in rows if utterance_key(row["nl"]) not in excluded]
        if excluded_code:
            kept = [row for row in kept if normalize(row["code"]) not in excluded_code]
        parts[name] = kept
        print(f"{name}: {len(kept):,} pairs, {len(rows) - len(kept):,} excluded")
    if args.max_chars is not None:
        parts["pairs"] = [row for row in parts.get("pairs", []) if len(row["code"]) <= args.max_chars]
        print(f"pairs: {len(parts['pairs']):,} of up to {args.max_chars} characters")
    kinds = Counter(row.get("nl_kind") for row in parts.get("pairs", []))
    if unknown := kind_copies.keys() - kinds:
        found = ", ".join(sorted(filter(None, kinds))) or "none"
        raise ValueError(f"--kind_copies {min(unknown)}: no such kind in --pairs_file, there are {found}")
    swap = swap_literals
    if args.language != "cf":
        swapper = PythonLiteralSwapper if args.language == "python" else LiteralSwapper
        swap = swapper((row["nl"], row["code"]) for rows in parts.values() for row in rows)

    paraphrase = Paraphraser() if args.paraphrase else None
    written = 0
    with open(args.output, "w", encoding="utf-8") as file:

        def write(row: dict):
            nonlocal written
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            written += 1

        for name, rows in parts.items():
            copies = args.real_copies if name == "benchmark" else max([args.pairs_copies, *kind_copies.values()])
            for copy in tqdm(range(copies), desc=name, unit="copy"):
                for row in rows:
                    if name == "pairs" and copy >= kind_copies.get(row.get("nl_kind"), args.pairs_copies):
                        continue
                    nl, code = (row["nl"], row["code"]) if copy == 0 else swap(row["nl"], row["code"], rng)
                    if paraphrase and copy:
                        nl = paraphrase(nl, code, rng)
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


def kind_and_copies(text: str) -> tuple[str, int]:
    """`KIND=N` of the command line."""
    kind, _, copies = text.rpartition("=")
    if not kind or not copies.isdecimal():
        raise argparse.ArgumentTypeError(f"expected KIND=N, such as api_doc=3, got {text!r}")
    return kind, int(copies)


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
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"build_pairs.py: error: {error}")
