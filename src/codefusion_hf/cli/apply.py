"""`codefusion apply`: a sentence or a rule on a workbook."""

import argparse
import json
import sys
from typing import Any

from .arguments import add_command, add_generation_arguments, generation_settings, import_evaluation


EXAMPLE = """\
example:
  codefusion apply grades.xlsx --column B "highlight the top 10 %" -o highlighted.xlsx
  codefusion apply grades.xlsx --rule "GreaterThan(c[1], 90)" --preview preview.html

Shows the candidates, with the number of cells that each highlights, and writes a copy of the workbook with the best of
them as a conditional format; without -o nothing is written. In a rule, c[0] is the first column of the table.
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand."""
    parser = add_command(commands, "apply", _run, "highlight cells of a workbook by a sentence or a rule", EXAMPLE)
    parser.add_argument("book", metavar="BOOK.xlsx", help="the workbook, .xlsx or .xlsm")
    utterance = parser.add_argument("utterance", metavar="UTTERANCE", help="what to highlight; left out with --rule")

    class StoreRule(argparse.Action):
        def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
            # `nargs="?"` would not do: argparse takes it for missing if options stand before it.
            utterance.required = False
            namespace.rule = values

    parser.add_argument("--rule", action=StoreRule, metavar="RULE", help="apply this rule; no model is asked")
    parser.add_argument("-o", "--output", metavar="OUT.xlsx", help="the workbook to write")
    parser.add_argument("--overwrite", action="store_true", help="allow the output to exist, and to be BOOK itself")
    parser.add_argument("--sheet", metavar="NAME", help="the worksheet (default: the one that opens)")
    parser.add_argument("--column", metavar="B", help="letter or header of the column (default: that of the rule)")
    parser.add_argument(
        "--header-row", type=int, metavar="N", help="row of the column names, 0 for none (default: the first used one)"
    )
    parser.add_argument(
        "--format",
        metavar="FORMAT",
        help="how cells look: fill=RRGGBB, font=RRGGBB, bold, italic, underline, strike, with commas between "
        "(default: fill=FFC7CE,font=9C0006)",
    )
    parser.add_argument("--candidate", type=int, metavar="N", help="apply this one (default: the first that fits)")
    parser.add_argument("--preview", metavar="FILE", help="write the highlighted table as .html or .png")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    add_generation_arguments(parser)


def _run(args: argparse.Namespace) -> None:
    from .. import spreadsheets

    if args.rule is not None and (args.utterance is not None or args.candidate is not None or args.set):
        raise ValueError("--rule goes without an utterance, without --candidate and without --set")
    # Whatever can be wrong is checked before the model is loaded, which takes seconds.
    cell_format = None if args.format is None else spreadsheets.CellFormat.parse(args.format)
    table = spreadsheets.read_table(args.book, args.sheet, args.header_row)
    if args.output is not None:
        spreadsheets.check_output(args.output, table, args.overwrite)
    if args.preview is not None:
        spreadsheets.check_preview(args.preview)
    if args.rule is not None:
        highlight = spreadsheets.prepare(args.rule, table, args.column)
        chosen, candidates = 1, [{"code": highlight.rule, "highlight": highlight, "reason": None}]
    else:
        if args.column is not None:
            table.find_column(args.column)
        evaluation = import_evaluation()
        evaluation.check_utterance(args.utterance)
        settings = generation_settings(args)
        model, tokenizer = evaluation.load(args.model)
        candidates = spreadsheets.suggest(args.utterance, table, args.column, model, tokenizer, **settings)
        chosen = spreadsheets.choose(candidates, args.candidate)
        highlight = candidates[chosen - 1]["highlight"]
    if args.output is not None:
        spreadsheets.save(highlight, args.output, cell_format, args.overwrite)
    if args.preview is not None:
        spreadsheets.write_preview(highlight, args.preview, cell_format)
    report = spreadsheets.report(candidates, chosen)
    if args.json:
        paths = {"output": args.output, "preview": args.preview}
        print(json.dumps({"nl": args.utterance, **report, **paths}, ensure_ascii=False))
        return
    codes = [candidate["code"].replace("\n", "\\n") for candidate in candidates]
    width = max(map(len, codes))
    for rank, (code, candidate) in enumerate(zip(codes, report["candidates"]), start=1):
        outcome = candidate["reason"] or f"{candidate['cells']} of {table.num_rows} cells in {candidate['range']}"
        mark = "*" if rank == chosen else " "
        print(f"{mark}{rank}  {code:<{width}}  {' '.join(outcome.split())}")
    for note in report["notes"]:
        print(f"codefusion: note: {note}", file=sys.stderr)
    for path in filter(None, (args.output, args.preview)):
        print(f"wrote {path}", file=sys.stderr)
