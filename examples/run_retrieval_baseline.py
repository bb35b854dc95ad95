"""
The nearest-neighbour baseline: answers an utterance with the programs of the most similar training utterances.

    python examples/run_retrieval_baseline.py --language cf --train_file cf_train.jsonl \
        --validation_file cf_val.jsonl --output_dir retrieved --backend minilm

Written to the folder: predictions of each file and `results.json`, as `run_evaluate.py` writes them.
"""

import argparse
import sys

from codefusion_hf.baselines.results import write_results
from codefusion_hf.baselines.retrieval import BACKENDS, ExampleRetriever
from codefusion_hf.data.benchmarks import golds, read_training_pairs
from codefusion_hf.languages import LANGUAGES, get_language


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", required=True, choices=LANGUAGES)
    parser.add_argument("--train_file", required=True, nargs="+", help="JSON lines with nl and code, or .gz of them.")
    parser.add_argument("--validation_file", required=True, nargs="+", help="JSON lines, or the release's JSON.")
    parser.add_argument("--output_dir", required=True, help="New, or that of an interrupted run.")
    parser.add_argument("--backend", default="tfidf", choices=BACKENDS, help="What similarity is.")
    parser.add_argument("--num_return_sequences", type=int, default=5, help="Distinct programs for each utterance.")
    args = parser.parse_args()
    if args.num_return_sequences < 1:
        raise ValueError(f"--num_return_sequences must be at least 1, got {args.num_return_sequences}")

    language = get_language(args.language)
    retriever = ExampleRetriever([row for file in args.train_file for row in read_training_pairs(file)], args.backend)

    def generate(batch):
        return [candidates(retriever, row["nl"], language, args.num_return_sequences) for row in batch]

    settings = {"backend": args.backend, "num_return_sequences": args.num_return_sequences}
    write_results(
        *(args.output_dir, args.validation_file, args.language, settings, generate),
        model=f"nearest neighbour ({args.backend})",
        train_files=args.train_file,
    )


def candidates(retriever, nl, language, number):
    """The first distinct programs of the most similar utterances; as many similar utterances as that needs."""
    k = number
    while True:
        found = {}
        for rank, row in enumerate(retriever.nearest(nl, k)):
            for code in golds(row):
                valid = language.is_valid(code)
                code = language.canonicalize(code) if valid else code
                # The rank stands in for a score: there is no probability.
                found.setdefault(language.normalize(code), {"code": code, "score": -float(rank), "valid": valid})
        if len(found) >= number or k >= len(retriever.rows):
            return list(found.values())[:number]
        k *= 4


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("run_retrieval_baseline.py: interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except (ImportError, OSError, TypeError, ValueError) as error:
        sys.exit(f"run_retrieval_baseline.py: error: {error}")
