"""
Trains the compact tokenizer of a mini model on the files it will be trained on:

    python examples/train_tokenizer.py --language cf --train_file corpus.jsonl --vocab_size 4096 --output_dir tokenizer
"""

import argparse

from codefusion_hf.data.benchmarks import read_jsonl
from codefusion_hf.data.prompts import source_text
from codefusion_hf.data.tokenization import train_tokenizer
from codefusion_hf.languages import get_language


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", default="cf")
    parser.add_argument("--train_file", required=True, nargs="+", help="JSON lines with `nl`, `code`, `table`.")
    parser.add_argument("--vocab_size", type=int, default=4096)
    parser.add_argument("--max_rows", type=int, default=100_000)
    parser.add_argument("--output_dir", required=True)
    args = parser.parse_args()

    rows = [row for file in args.train_file for row in read_jsonl(file)][: args.max_rows]
    texts = [source_text(row["nl"], row.get("table")) for row in rows if row.get("nl")]
    texts += [row["code"] for row in rows]
    language = get_language(args.language)
    tokenizer = train_tokenizer(texts, args.vocab_size, language.ATOMS, lossless=not language.IGNORES_CASE)
    tokenizer.save_pretrained(args.output_dir)
    print(f"{len(tokenizer)} tokens, written to {args.output_dir}")


if __name__ == "__main__":
    main()
