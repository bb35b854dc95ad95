"""`codefusion score`: saved predictions against references."""

import argparse
from typing import Any

from ..languages import LANGUAGES
from .arguments import add_command, check_output, write_json


EXAMPLE = """\
example:
  codefusion score --language cf --predictions predictions.jsonl --references benchmark.jsonl --output results.json

Each line of --references is a JSON object with "id", "nl", "code" and, optionally, "refs" (more right programs) and
"table". With --train, scores are given twice: full, and clean, without the tasks that occur in those files.
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand."""
    parser = add_command(commands, "score", _run, "score saved predictions against references", EXAMPLE)
    parser.add_argument("--language", required=True, choices=LANGUAGES, help="of the programs")
    parser.add_argument("--predictions", required=True, metavar="OUT.jsonl", help="written by codefusion predict")
    parser.add_argument("--references", required=True, metavar="REF.jsonl", help="the right programs")
    parser.add_argument("--output", metavar="RESULTS.json", help="file for the scores, as fractions")
    parser.add_argument("--train", nargs="+", default=[], metavar="FILE", help="training files, for clean scores")
    parser.add_argument("--encoder", metavar="NAME_OR_PATH", help="an encoder: adds CodeBERTScore")
    parser.add_argument(
        "--num-layers", type=int, metavar="N", help="the encoder's layer to read (default: the metric's)"
    )


def _run(args: argparse.Namespace) -> None:
    from ..scoring import format_scores, score_files

    check_output(args.output)
    result = score_files(args.predictions, args.references, args.language, args.train, args.encoder, args.num_layers)
    print(format_scores(result))
    write_json(args.output, result)
