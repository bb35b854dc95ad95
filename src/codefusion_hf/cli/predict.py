"""`codefusion predict`: a file of sentences."""

import argparse
import sys
from typing import Any

from .arguments import add_command, add_generation_arguments, generation_settings, import_evaluation


EXAMPLE = """\
example:
  codefusion predict --model cf --data benchmark.jsonl --output predictions.jsonl --seed 0

Each line of --data is a JSON object with "id", "nl" and, optionally, "table": {"columns": [...], "rows": [[...]]}.
An interrupted run goes on where it stopped when the same command is run again.
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand."""
    parser = add_command(
        commands,
        "predict",
        _run,
        "generate ranked programs for a file of sentences",
        EXAMPLE,
        interrupted="; run the same command again to go on from {output}",
    )
    parser.add_argument("--data", required=True, metavar="IN.jsonl", help="the sentences, one JSON object a line")
    parser.add_argument("--output", required=True, metavar="OUT.jsonl", help="the file to write, or to go on with")
    add_generation_arguments(parser)
    parser.add_argument("--batch-size", type=int, default=16, metavar="B", help="sentences at a time (default: 16)")


def _run(args: argparse.Namespace) -> None:
    evaluation = import_evaluation()
    settings = generation_settings(args)
    num_rows = evaluation.predict(args.model, args.data, args.output, batch_size=args.batch_size, **settings)
    print(f"{args.output}: {num_rows} new rows", file=sys.stderr)
