"""`codefusion generate`: one sentence; with `--draft` or `--fill`, from a program or a template."""

import argparse
import csv
import json
import sys
from typing import Any

from .arguments import add_command, add_generation_arguments, generation_settings, import_evaluation


EXAMPLE = """\
example:
  codefusion generate --model cf --seed 0 "Color cells that have value greater than 1129"
  codefusion generate --columns "Name,Grade" --json "students with a grade above 90"
  codefusion generate --draft "GreaterThan(100)" "cells above 250"
  codefusion generate --fill "AND(GreaterThan(____), LessThan(100))" "cells above 25 and below 100"
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand."""
    parser = add_command(commands, "generate", _run, "generate ranked programs for one sentence", EXAMPLE)
    parser.add_argument("utterance", metavar="UTTERANCE", help="the sentence; - reads it from standard input")
    add_generation_arguments(parser)
    table = parser.add_mutually_exclusive_group()
    table.add_argument("--columns", metavar="NAMES", help='the column names of your table, such as "Name,Grade"')
    table.add_argument("--table", metavar="FILE.csv", help="your table as CSV; the first row is the header")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--draft", metavar="PROGRAM", help="start from this program instead of from noise")
    start.add_argument("--fill", metavar="TEMPLATE", help="keep this program and fill its holes, ____ each")
    parser.add_argument(
        "--strength",
        type=float,
        metavar="X",
        help="how much of --draft is undone: 0 nothing, 1 all (default: the model's own)",
    )
    parser.add_argument("--hole", metavar="MARK", help="what marks a hole in --fill (default: ____)")
    parser.add_argument(
        "--hole-tokens",
        metavar="N[-M]",
        help="tokens that fill a hole of --fill (default: 1-8 are tried, fewer with more than two holes)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    parser.add_argument("--watch", action="store_true", help="show the drafts on stderr while they are denoised")


def _run(args: argparse.Namespace) -> None:
    utterance = sys.stdin.read().strip() if args.utterance == "-" else args.utterance
    _check_start(args)
    hole_tokens = _read_hole_tokens(args.hole_tokens)
    table = _read_table(args)
    evaluation = import_evaluation()
    from .. import editing
    from ..streaming import DraftStreamer

    # Checked before the model is loaded, which takes seconds.
    evaluation.check_utterance(utterance)
    evaluation.check_table(table)
    settings = generation_settings(args)
    model, tokenizer = evaluation.load(args.model)
    example = {"nl": utterance, "table": table}
    settings["streamer"] = DraftStreamer(tokenizer) if args.watch else None
    if args.draft is not None:
        candidates = editing.edit_candidates(model, tokenizer, example, args.draft, args.strength, **settings)
    elif args.fill is not None:
        hole = editing.HOLE if args.hole is None else args.hole
        candidates = editing.fill_candidates(model, tokenizer, example, args.fill, hole, hole_tokens, **settings)
    else:
        [candidates] = evaluation.generate_candidates(model, tokenizer, [example], **settings)
    if args.json:
        print(json.dumps({"nl": utterance, "candidates": candidates}, ensure_ascii=False))
        return
    codes = [candidate["code"].replace("\n", "\\n") for candidate in candidates]
    width = max(map(len, codes))
    for rank, (code, candidate) in enumerate(zip(codes, candidates), start=1):
        verdict = {True: "valid", False: "invalid", None: ""}[candidate["valid"]]
        print(f"{rank}  {code:<{width}}  {candidate['score']:6.2f}  {verdict}".rstrip())


def _check_start(args: argparse.Namespace) -> None:
    if args.strength is not None and args.draft is None:
        raise ValueError("--strength needs --draft: it is how much of the draft is undone")
    if args.strength is not None and not 0 <= args.strength <= 1:
        raise ValueError(f"--strength must be between 0 and 1, got {args.strength:g}")
    for name in ("hole", "hole_tokens"):
        if getattr(args, name) is not None and args.fill is None:
            raise ValueError(f"--{name.replace('_', '-')} needs --fill, the template with the holes")


def _read_hole_tokens(text: str | None) -> list[int] | None:
    """`3` or `1-8`."""
    if text is None:
        return None
    first, _, last = text.partition("-")
    if not (first.isdecimal() and (last or first).isdecimal() and 1 <= int(first) <= int(last or first)):
        raise ValueError(f"--hole-tokens must be a number of at least 1 or a range such as 1-8, got {text!r}")
    return list(range(int(first), int(last or first) + 1))


def _read_table(args: argparse.Namespace) -> dict[str, Any] | None:
    if args.columns is not None:
        columns = next(csv.reader([args.columns], skipinitialspace=True), [])
        return {"columns": _check_header(columns, "--columns"), "rows": []}
    if args.table is None:
        return None
    try:
        with open(args.table, encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{args.table} is no CSV file in UTF-8: {error}") from None
    columns = _check_header(header, args.table)
    for number, row in enumerate(rows, start=2):
        if len(row) > len(columns):
            raise ValueError(
                f"{args.table}, row {number}: {len(row)} cells, but the header names {len(columns)} columns"
            )
    # Spreadsheets leave out trailing blank cells.
    return {"columns": columns, "rows": [row + [""] * (len(columns) - len(row)) for row in rows]}


def _check_header(columns: list[str], source: str) -> list[str]:
    columns = [name.strip() for name in columns]
    if not any(columns):
        raise ValueError(f'{source} names no columns; expected something like "Name,Grade"')
    return columns
