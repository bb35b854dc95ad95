"""`codefusion data leakage`: what an evaluation file shares with training files."""

import argparse
from typing import Any

from ..languages import LANGUAGES
from .arguments import Parser, add_command, check_output, write_json


EXAMPLE = """\
example:
  codefusion data leakage --train train.jsonl pretrain.jsonl.gz --eval val.jsonl --language bash --output report.json
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand and its own."""
    parser = add_command(commands, "data", None, "look into data files", EXAMPLE)
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    leakage = add_command(
        subcommands,
        "leakage",
        _leakage,
        "report what an evaluation file shares with training files",
        EXAMPLE,
    )
    leakage.add_argument("--train", required=True, nargs="+", metavar="FILE", help="JSON lines, or .gz of them")
    leakage.add_argument("--eval", required=True, metavar="VAL.jsonl", help="the evaluation file")
    leakage.add_argument("--language", required=True, choices=LANGUAGES, help="of the programs")
    leakage.add_argument("--output", metavar="REPORT.json", help="file for the report, with the ids of the rows")


def _leakage(args: argparse.Namespace) -> None:
    from ..data.leakage import format_report, leakage_report

    check_output(args.output)
    report = leakage_report(args.train, args.eval, args.language)
    print(format_report(report))
    write_json(args.output, report)
