"""`codefusion push` and `codefusion push-metrics`: publishing on the Hugging Face Hub."""

import argparse
from typing import Any

from ..metrics import METRICS
from .arguments import add_command


EXAMPLE = """\
example:
  codefusion push --checkpoint cf --repo your-name/codefusion-cf --dry-run
  codefusion push --checkpoint finetuned --repo your-name/codefusion-bash --private --results evaluated/results.json

Sends the weights, the tokenizer, the configs, the model's code and a card in one commit; after an interruption the
same command goes on. Log in first: `hf auth login`, or HF_TOKEN. The card is the folder's README.md, or one made from
its config and --results.
"""
METRICS_EXAMPLE = """\
example:
  codefusion push-metrics --namespace your-name --metric cf_exec_match --dry-run

Each metric becomes a Space, from which evaluate.load("your-name/cf_exec_match") gets it. Who loads it there needs
`pip install 'codefusion-hf[metrics]'`, too: the scoring is in the package.
"""
INTERRUPTED = "; run the same command again to go on"


def add_to(commands: Any) -> None:
    """Adds both subcommands."""
    push = add_command(
        commands, "push", _push, "publish a checkpoint on the Hugging Face Hub", EXAMPLE, interrupted=INTERRUPTED
    )
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

    metrics = add_command(
        commands,
        "push-metrics",
        _push_metrics,
        "publish the metrics on the Hugging Face Hub",
        METRICS_EXAMPLE,
        interrupted=INTERRUPTED,
    )
    metrics.add_argument("--namespace", required=True, metavar="ORG", help="whose Spaces they become")
    metrics.add_argument("--metric", nargs="+", default=METRICS, choices=METRICS, help="which (default: all)")
    metrics.add_argument("--dry-run", action="store_true", help="only list the files; uses no network")


def _push(args: argparse.Namespace) -> None:
    from ..hub import checkpoint_upload

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
    from ..hub import metric_upload

    _send([metric_upload(name, args.namespace) for name in args.metric], False, args.dry_run)


def _send(uploads: list[Any], private: bool, dry_run: bool) -> None:
    from ..hub import push

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
