"""
The `codefusion` command: parses arguments, calls the package, prints.

torch and transformers take seconds to import, so the subcommands that need them import them where they run: `--help`
and `env` answer at once.
"""

import argparse
import csv
import json
import os
import platform
import shutil
import sys
from importlib import metadata
from typing import Any, NoReturn

from . import available_checkpoints
from .languages import LANGUAGES
from .metrics import METRICS


ENV_PACKAGES = (
    "codefusion-hf torch transformers tokenizers safetensors huggingface-hub accelerate datasets evaluate".split()
)

GENERATE_EXAMPLE = """\
example:
  codefusion generate --model cf --seed 0 "Color cells that have value greater than 1129"
  codefusion generate --columns "Name,Grade" --json "students with a grade above 90"
"""
PREDICT_EXAMPLE = """\
example:
  codefusion predict --model cf --data benchmark.jsonl --output predictions.jsonl --seed 0

Each line of --data is a JSON object with "id", "nl" and, optionally, "table": {"columns": [...], "rows": [[...]]}.
An interrupted run goes on where it stopped when the same command is run again.
"""
SCORE_EXAMPLE = """\
example:
  codefusion score --language cf --predictions predictions.jsonl --references benchmark.jsonl --output results.json

Each line of --references is a JSON object with "id", "nl", "code" and, optionally, "refs" (more right programs) and
"table". With --train, scores are given twice: full, and clean, without the tasks that occur in those files.
"""
LEAKAGE_EXAMPLE = """\
example:
  codefusion data leakage --train train.jsonl pretrain.jsonl.gz --eval val.jsonl --language bash --output report.json
"""
PUSH_EXAMPLE = """\
example:
  codefusion push --checkpoint cf --repo your-name/codefusion-cf --dry-run
  codefusion push --checkpoint finetuned --repo your-name/codefusion-bash --private --results evaluated/results.json

Sends the weights, the tokenizer, the configs, the model's code and a card in one commit; after an interruption the
same command goes on. Log in first: `hf auth login`, or HF_TOKEN. The card is the folder's README.md, or one made from
its config and --results.
"""
PUSH_METRICS_EXAMPLE = """\
example:
  codefusion push-metrics --namespace your-name --metric cf_exec_match --dry-run

Each metric becomes a Space, from which evaluate.load("your-name/cf_exec_match") gets it. Who loads it there needs
`pip install 'codefusion-hf[metrics]'`, too: the scoring is in the package.
"""
APPLY_EXAMPLE = """\
example:
  codefusion apply grades.xlsx --column B "highlight the top 10 %" -o highlighted.xlsx
  codefusion apply grades.xlsx --rule "GreaterThan(c[1], 90)" --preview preview.html

Shows the candidates, with the number of cells that each highlights, and writes a copy of the workbook with the best of
them as a conditional format; without -o nothing is written. In a rule, c[0] is the first column of the table.
"""
ENV_EXAMPLE = """\
example:
  codefusion env
"""


def main(argv: list[str] | None = None) -> int:
    """
    Runs the command line.

    Args:
        argv (`list[str]`, *optional*): The arguments, without the program's name; those of the process by default.

    Returns:
        `int`: The exit status: 0, 2 after an error (one line on stderr), 130 after Ctrl-C.
    """
    args = _build_parser().parse_args(argv)
    try:
        args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        # What these leave behind is worth going on with.
        hint = f"; run the same command again to go on from {args.output}" if args.run is _predict else ""
        hint = "; run the same command again to go on" if args.run in (_push, _push_metrics) else hint
        print(f"codefusion: interrupted{hint}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has all it wants. Python would complain when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (ImportError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        return _fail(str(error) or type(error).__name__)
    return 0


def console() -> NoReturn:
    """What the `codefusion` command runs: [`main`], then the end of the process without tearing torch down first."""
    status = main()
    sys.stderr.flush()
    os._exit(status)  # the interpreter would spend half a second on freeing what the system frees anyway


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Ends the program with one line instead of argparse's usage block."""
        self.exit(_fail(f"{message} (see {self.prog} --help)"))


def _build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="codefusion",
        description="Turns a sentence into a program by denoising all of its tokens at once.",
        epilog=GENERATE_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    generate = _add_command(
        commands, "generate", _generate, "generate ranked programs for one sentence", GENERATE_EXAMPLE
    )
    generate.add_argument("utterance", metavar="UTTERANCE", help="the sentence; - reads it from standard input")
    _add_generation_arguments(generate)
    table = generate.add_mutually_exclusive_group()
    table.add_argument("--columns", metavar="NAMES", help='the column names of your table, such as "Name,Grade"')
    table.add_argument("--table", metavar="FILE.csv", help="your table as CSV; the first row is the header")
    generate.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    generate.add_argument("--watch", action="store_true", help="show the drafts on stderr while they are denoised")

    predict = _add_command(
        commands, "predict", _predict, "generate ranked programs for a file of sentences", PREDICT_EXAMPLE
    )
    predict.add_argument("--data", required=True, metavar="IN.jsonl", help="the sentences, one JSON object a line")
    predict.add_argument("--output", required=True, metavar="OUT.jsonl", help="the file to write, or to go on with")
    _add_generation_arguments(predict)
    predict.add_argument("--batch-size", type=int, default=16, metavar="B", help="sentences at a time (default: 16)")

    score = _add_command(commands, "score", _score, "score saved predictions against references", SCORE_EXAMPLE)
    score.add_argument("--language", required=True, choices=LANGUAGES, help="of the programs")
    score.add_argument("--predictions", required=True, metavar="OUT.jsonl", help="written by codefusion predict")
    score.add_argument("--references", required=True, metavar="REF.jsonl", help="the right programs")
    score.add_argument("--output", metavar="RESULTS.json", help="file for the scores, as fractions")
    score.add_argument("--train", nargs="+", default=[], metavar="FILE", help="training files, for clean scores")
    score.add_argument("--encoder", metavar="NAME_OR_PATH", help="an encoder: adds CodeBERTScore")
    score.add_argument(
        "--num-layers", type=int, metavar="N", help="the encoder's layer to read (default: the metric's)"
    )

    data = _add_command(commands, "data", None, "look into data files", LEAKAGE_EXAMPLE)
    data_commands = data.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    leakage = _add_command(
        data_commands,
        "leakage",
        _leakage,
        "report what an evaluation file shares with training files",
        LEAKAGE_EXAMPLE,
    )
    leakage.add_argument("--train", required=True, nargs="+", metavar="FILE", help="JSON lines, or .gz of them")
    leakage.add_argument("--eval", required=True, metavar="VAL.jsonl", help="the evaluation file")
    leakage.add_argument("--language", required=True, choices=LANGUAGES, help="of the programs")
    leakage.add_argument("--output", metavar="REPORT.json", help="file for the report, with the ids of the rows")

    push = _add_command(commands, "push", _push, "publish a checkpoint on the Hugging Face Hub", PUSH_EXAMPLE)
    push.add_argument("--checkpoint", required=True, metavar="NAME_OR_PATH", help="a shipped model or a folder")
    push.add_argument("--repo", required=True, metavar="ORG/NAME", help="the repository, made if it does not exist")
    push.add_argument("--private", action="store_true", help="make it a private repository")
    push.add_argument("--revision", default="main", metavar="BRANCH", help="a branch, made if needed (default: main)")
    push.add_argument("--results", metavar="RESULTS.json", help="scores for the card, by examples/run_evaluate.py")
    push.add_argument(
        "--benchmark",
        action="append",
        default=[],
        metavar="DATA=ORG/DATASET:TASK",
        help="a data file of --results is this benchmark of the Hub: adds its score to .eval_results",
    )
    push.add_argument("--dry-run", action="store_true", help="only list the files; uses no network")

    push_metrics = _add_command(
        commands, "push-metrics", _push_metrics, "publish the metrics on the Hugging Face Hub", PUSH_METRICS_EXAMPLE
    )
    push_metrics.add_argument("--namespace", required=True, metavar="ORG", help="whose Spaces they become")
    push_metrics.add_argument("--metric", nargs="+", default=METRICS, choices=METRICS, help="which (default: all)")
    push_metrics.add_argument("--dry-run", action="store_true", help="only list the files; uses no network")

    _add_apply(commands)
    _add_command(commands, "env", _env, "print versions, device and threads: what a bug report needs", ENV_EXAMPLE)
    return parser


def _add_command(commands: Any, name: str, run: Any, summary: str, epilog: str) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.set_defaults(run=run)
    return command


def _add_generation_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default="cf", metavar="NAME_OR_PATH", help="a shipped model or a folder (default: cf)"
    )
    parser.add_argument(
        "--num-return-sequences", type=int, default=5, metavar="K", help="programs per sentence (default: 5)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the initial noise (default: 0)")
    parser.add_argument(
        "--num-inference-steps", type=int, metavar="N", help="denoising steps (default: the model's own number)"
    )
    parser.add_argument("--sampler", metavar="NAME", help="the sampler (default: the model's own)")
    parser.add_argument(
        "--num-revisions", type=int, metavar="N", help="looks back at the draft (default: the model's own number)"
    )


def _add_apply(commands: Any) -> None:
    apply = _add_command(
        commands, "apply", _apply, "highlight cells of a workbook by a sentence or a rule", APPLY_EXAMPLE
    )
    apply.add_argument("book", metavar="BOOK.xlsx", help="the workbook, .xlsx or .xlsm")
    utterance = apply.add_argument("utterance", metavar="UTTERANCE", help="what to highlight; left out with --rule")

    class StoreRule(argparse.Action):
        def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
            # `nargs="?"` would not do: argparse takes it for missing if options stand before it.
            utterance.required = False
            namespace.rule = values

    apply.add_argument("--rule", action=StoreRule, metavar="RULE", help="apply this rule; no model is asked")
    apply.add_argument("-o", "--output", metavar="OUT.xlsx", help="the workbook to write")
    apply.add_argument("--overwrite", action="store_true", help="allow the output to exist, and to be BOOK itself")
    apply.add_argument("--sheet", metavar="NAME", help="the worksheet (default: the one that opens)")
    apply.add_argument("--column", metavar="B", help="letter or header of the column (default: that of the rule)")
    apply.add_argument(
        "--header-row", type=int, metavar="N", help="row of the column names, 0 for none (default: the first used one)"
    )
    apply.add_argument(
        "--format",
        metavar="FORMAT",
        help="how cells look: fill=RRGGBB, font=RRGGBB, bold, italic, underline, strike, with commas between "
        "(default: fill=FFC7CE,font=9C0006)",
    )
    apply.add_argument("--candidate", type=int, metavar="N", help="apply this one (default: the first that fits)")
    apply.add_argument("--preview", metavar="FILE", help="write the highlighted table as .html or .png")
    apply.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    _add_generation_arguments(apply)


def _generate(args: argparse.Namespace) -> None:
    utterance = sys.stdin.read().strip() if args.utterance == "-" else args.utterance
    table = _read_table(args)
    evaluation = _import_evaluation()
    from .streaming import DraftStreamer

    # Checked before the model is loaded, which takes seconds.
    evaluation.check_utterance(utterance)
    evaluation.check_table(table)
    model, tokenizer = evaluation.load(args.model)
    [candidates] = evaluation.generate_candidates(
        model,
        tokenizer,
        [{"nl": utterance, "table": table}],
        num_return_sequences=args.num_return_sequences,
        seed=args.seed,
        num_inference_steps=args.num_inference_steps,
        sampler=args.sampler,
        num_revisions=args.num_revisions,
        streamer=DraftStreamer(tokenizer) if args.watch else None,
    )
    if args.json:
        print(json.dumps({"nl": utterance, "candidates": candidates}, ensure_ascii=False))
        return
    codes = [candidate["code"].replace("\n", "\\n") for candidate in candidates]
    width = max(map(len, codes))
    for rank, (code, candidate) in enumerate(zip(codes, candidates), start=1):
        verdict = {True: "valid", False: "invalid", None: ""}[candidate["valid"]]
        print(f"{rank}  {code:<{width}}  {candidate['score']:6.2f}  {verdict}".rstrip())


def _apply(args: argparse.Namespace) -> None:
    from . import spreadsheets

    if args.rule is not None and (args.utterance is not None or args.candidate is not None):
        raise ValueError("--rule goes without an utterance and without --candidate")
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
        evaluation = _import_evaluation()
        evaluation.check_utterance(args.utterance)
        model, tokenizer = evaluation.load(args.model)
        candidates = spreadsheets.suggest(
            args.utterance,
            table,
            args.column,
            model,
            tokenizer,
            num_return_sequences=args.num_return_sequences,
            seed=args.seed,
            num_inference_steps=args.num_inference_steps,
            sampler=args.sampler,
            num_revisions=args.num_revisions,
        )
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


def _predict(args: argparse.Namespace) -> None:
    num_rows = _import_evaluation().predict(
        args.model,
        args.data,
        args.output,
        num_return_sequences=args.num_return_sequences,
        seed=args.seed,
        num_inference_steps=args.num_inference_steps,
        sampler=args.sampler,
        num_revisions=args.num_revisions,
        batch_size=args.batch_size,
    )
    print(f"{args.output}: {num_rows} new rows", file=sys.stderr)


def _score(args: argparse.Namespace) -> None:
    from .scoring import format_scores, score_files

    _check_output(args.output)
    result = score_files(args.predictions, args.references, args.language, args.train, args.encoder, args.num_layers)
    print(format_scores(result))
    _write_json(args.output, result)


def _leakage(args: argparse.Namespace) -> None:
    from .data.leakage import format_report, leakage_report

    _check_output(args.output)
    report = leakage_report(args.train, args.eval, args.language)
    print(format_report(report))
    _write_json(args.output, report)


def _check_output(path: str | None) -> None:
    """Before the work, not after it."""
    if path and not os.path.isdir(os.path.dirname(path) or "."):
        raise ValueError(f"cannot write {path}: there is no folder {os.path.dirname(path)}")
    if path and os.path.isdir(path):
        raise ValueError(f"cannot write {path}: it is a folder")


def _write_json(path: str | None, content: dict[str, Any]) -> None:
    if path:
        with open(path, "w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")


def _push(args: argparse.Namespace) -> None:
    from .hub import checkpoint_upload

    benchmarks = {}
    for text in args.benchmark:
        data, equals, benchmark = text.partition("=")
        dataset, colon, task = benchmark.rpartition(":")
        if not (data and equals and dataset and colon and task):
            raise ValueError(f"--benchmark {text!r} is not of the form DATA=ORG/DATASET:TASK")
        benchmarks[data] = (dataset, task)
    upload = checkpoint_upload(args.checkpoint, args.repo, args.revision, args.results, benchmarks)
    _send([upload], args.private, args.dry_run)


def _push_metrics(args: argparse.Namespace) -> None:
    from .hub import metric_upload

    _send([metric_upload(name, args.namespace) for name in args.metric], False, args.dry_run)


def _send(uploads: list[Any], private: bool, dry_run: bool) -> None:
    from .hub import push

    for upload in uploads:
        print(upload.describe(), flush=True)
        if not dry_run:
            address = push(upload, private)
            print(f"pushed: {address}" if address != upload.url else f"nothing has changed: {address}", flush=True)
    if dry_run:
        kind = "private" if private else "public"
        print(
            f"dry run: nothing was sent. A push makes a {kind} repository where there is none, and sends what differs "
            "from the branch in one commit."
        )


def _env(args: argparse.Namespace) -> None:
    for name in ENV_PACKAGES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = "not installed"
        print(f"{name + ':':17}{version}")
    facts = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "CPUs": os.cpu_count(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        "NVIDIA driver": "found" if shutil.which("nvidia-smi") else "not found",
        "shipped models": ", ".join(available_checkpoints()) or "none",
    }
    for name, fact in facts.items():
        print(f"{name + ':':17}{fact}")


def _import_evaluation() -> Any:
    # Their progress bars and warnings would stand between the lines that this command promises.
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    from . import evaluation, register

    register()  # left out when the package was imported for this command, so that `--help` answers at once
    return evaluation


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


def _fail(message: str) -> int:
    print(f"codefusion: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
