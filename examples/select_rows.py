"""
Writes the rows that a split file names, such as the alternative validation set of Bash (`bash_split_alpha.json`, the
alphabetical tail of the training split, as the official test set is the tail of NL2Bash):

    python examples/select_rows.py --split bash_split_alpha.json --data bash_train.jsonl bash_val.jsonl \\
        --output bash_alpha.jsonl

The split is `{"val_rows": [...]}` with the `row` numbers of the data. Golds of one utterance are pooled.
"""

import argparse
import json
import sys
from pathlib import Path

from codefusion_hf.data.benchmarks import read_jsonl


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", required=True)
    parser.add_argument("--data", required=True, nargs="+", help="JSON lines with `row`.")
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    wanted = set(json.loads(Path(args.split).read_text(encoding="utf-8"))["val_rows"])
    rows = sorted(
        (row for path in args.data for row in read_jsonl(path) if row["row"] in wanted), key=lambda r: r["row"]
    )
    if missing := wanted - {row["row"] for row in rows}:
        sys.exit(f"select_rows.py: error: {len(missing)} rows are in none of the files: {min(missing)}, ...")
    golds: dict[str, dict[str, None]] = {}
    for row in rows:
        golds.setdefault(row["nl"], {}).update(dict.fromkeys([row["code"], *row["refs"]]))
    with open(args.output, "w", encoding="utf-8") as file:
        for row in rows:
            refs = [row["code"], *(gold for gold in golds[row["nl"]] if gold != row["code"])]
            file.write(json.dumps({**row, "refs": refs}, ensure_ascii=False) + "\n")
    print(f"{len(rows)} rows, written to {args.output}")


if __name__ == "__main__":
    main()
