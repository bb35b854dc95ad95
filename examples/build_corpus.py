"""
Builds a pre-training corpus, JSON lines with `code`, `nl` (text or null), `source`, `license` and `path`, from
StackExchange dumps, folders of notebooks and folders of Markdown and program files:

    python examples/build_corpus.py --language python --posts stackoverflow.com/Posts.xml --notebooks notebooks \\
        --decontaminate python_val.jsonl python_test.jsonl --output corpus.jsonl --tasks 64 --workers 16

Code blocks are extracted, prompts and output taken off, programs filtered, printed in canonical form, freed of exact
and near duplicates and of what occurs in the evaluation files. What was dropped and why is printed and written to
corpus.report.json. A run that was interrupted goes on where it was when the same command is given again. Nothing is
executed and nothing is downloaded.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

from codefusion_hf.data.extraction.folders import MARKDOWN, SUFFIXES, find_files
from codefusion_hf.data.extraction.programs import LANGUAGES
from codefusion_hf.data.extraction.stackexchange import TAGS, check_dump
from codefusion_hf.data.leakage import sha256


SLURM_ONLY = ("partition", "qos", "env_command")
CLUSTER_ONLY = ("time", "cpus_per_task", "mem_per_cpu_gb")


def main():
    args = parse_args()
    from codefusion_hf.data.extraction.steps import format_report, minhash_config

    output = Path(args.output)
    work = Path(args.logging_dir or f"{args.output}.work")
    report_file = output.with_name(f"{output.name.partition('.')[0]}.report.json")
    inputs = list_inputs(args)
    settings = {
        "language": args.language,
        "tags": args.tags or list(TAGS[args.language]),
        "license": args.license,
        "min_chars": args.min_chars,
        "max_chars": args.max_chars,
        "tokenizer_name": args.tokenizer_name,
        "min_tokens": args.min_tokens,
        "max_tokens": args.max_tokens,
        "near_duplicate_threshold": args.near_duplicate_threshold,
        "decontaminate": {Path(path).name: sha256(path) for path in args.decontaminate},
        "inputs": hashlib.sha256(json.dumps(inputs).encode()).hexdigest(),
        "versions": {name: version(name) for name in ("codefusion-hf", "datatrove")}
        | {"python": platform.python_version()},  # `ast` of another Python parses and prints other programs
    }
    config = minhash_config(args.near_duplicate_threshold)
    prepare(work, report_file, {**settings, "tasks": args.tasks}, inputs, args.overwrite)
    if report_file.exists() and output.exists():
        report = json.loads(report_file.read_text(encoding="utf-8"))
        if report["settings"] != settings or report["sha256"] != sha256(output):
            raise ValueError(f"{output} is not what {report_file} reports: --overwrite builds it again")
        print(format_report(report))
        print(f"{output} is up to date with {report['rows']:,} rows: nothing to do")
        return
    if args.language == "powershell":
        print("powershell: this project has no parser for it; blocks are kept as text, unchecked and not canonical")
    started = time.perf_counter()
    run_stages(args, work, output, report_file, settings, config, has_posts=bool(args.posts))
    if args.executor == "slurm":
        print(f"submitted; {output} and {report_file.name} are written when the last job ends")
        return
    report = json.loads(report_file.read_text(encoding="utf-8"))
    print(format_report(report))
    if not report["rows"]:
        raise ValueError("no row is left; the table says why")
    seconds = time.perf_counter() - started
    candidates = sum(entry["candidates"] for entry in report["sources"].values())
    print(f"{report['rows']:,} rows written to {output}; {seconds:.1f} s, {candidates / seconds:,.0f} candidates/s")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", required=True, choices=LANGUAGES, help="powershell: as text, without checks.")
    parser.add_argument("--posts", nargs="+", default=[], metavar="FILE", help="Posts.xml of StackExchange dumps.")
    parser.add_argument("--notebooks", nargs="+", default=[], metavar="DIR", help="Folders with .ipynb files.")
    parser.add_argument(
        "--files", nargs="+", default=[], metavar="DIR", help="Folders with Markdown (fenced code) and program files."
    )
    parser.add_argument("--output", required=True, help="corpus.jsonl; corpus.report.json is written beside it.")
    parser.add_argument("--tags", nargs="+", help="Tags of the posts, instead of the language's own.")
    parser.add_argument(
        "--license", help="SPDX name for files with no LICENSE file above them; without it they are dropped."
    )
    parser.add_argument(
        "--decontaminate", nargs="+", default=[], metavar="FILE", help="Evaluation files: rows in them are dropped."
    )
    parser.add_argument("--min_chars", type=int, default=6, help="Characters of the shortest program.")
    parser.add_argument("--max_chars", type=int, default=512, help="Of the longest; longer ones are cut up.")
    parser.add_argument("--tokenizer_name", help="Folder of the tokenizer that counts for the next two.")
    parser.add_argument("--min_tokens", type=int, default=0, help="Tokens of the shortest program.")
    parser.add_argument("--max_tokens", type=int, help="Of the longest.")
    parser.add_argument(
        "--near_duplicate_threshold",
        type=float,
        default=0.8,
        help="Similarity (Jaccard, of shingles of 5 tokens) from which on MinHash takes two programs for one, 0.5 to "
        "1; an estimate, soft around the value. 1: exact duplicates only.",
    )
    parser.add_argument("--tasks", type=int, default=1, help="Parts of the work; the rows do not depend on it.")
    parser.add_argument("--workers", type=int, default=-1, help="Tasks at the same time; -1: all, locally one a core.")
    parser.add_argument("--logging_dir", help="Logs, completed tasks, intermediate files; default OUTPUT.work.")
    parser.add_argument("--overwrite", action="store_true", help="Start again, also with other options or input.")
    parser.add_argument("--executor", default="local", choices=("local", "slurm", "ray"))
    cluster = parser.add_argument_group("clusters", "for --executor slurm; --executor ray takes the last three")
    cluster.add_argument("--partition", help="Slurm partition.")
    cluster.add_argument("--qos", help="Slurm quality of service.")
    cluster.add_argument("--env_command", help="Shell command that activates the environment; default: this one.")
    cluster.add_argument("--time", help="Limit of one task: hh:mm:ss for Slurm, seconds for Ray.")
    cluster.add_argument("--cpus_per_task", type=int, help="Default 1: a task is one process.")
    cluster.add_argument("--mem_per_cpu_gb", type=int, help="Default 2.")
    args = parser.parse_args()

    if not (args.posts or args.notebooks or args.files):
        parser.error("give --posts, --notebooks or --files")
    if args.tags and not args.posts:
        parser.error("--tags are of --posts")
    if args.license and not (args.notebooks or args.files):
        parser.error("--license is for --notebooks and --files: posts have theirs")
    if (args.min_tokens or args.max_tokens is not None) and not args.tokenizer_name:
        parser.error("--min_tokens and --max_tokens need a --tokenizer_name")
    if args.tasks < 1 or (args.workers < 1 and args.workers != -1):
        parser.error("--tasks must be 1 or more, --workers too, or -1 for all")
    if args.language == "powershell" and args.decontaminate:
        parser.error("--decontaminate: nothing here compares powershell programs")
    allowed = {"local": (), "ray": CLUSTER_ONLY, "slurm": SLURM_ONLY + CLUSTER_ONLY}[args.executor]
    for name in SLURM_ONLY + CLUSTER_ONLY:
        if getattr(args, name) is not None and name not in allowed:
            parser.error(f"--{name} is not for --executor {args.executor}")
    if args.executor == "slurm" and not (args.partition and args.time):
        parser.error("--executor slurm needs --partition and --time")
    if args.executor == "ray":
        if importlib.util.find_spec("ray") is None:
            parser.error("--executor ray needs ray: pip install 'datatrove[ray]'")
        if args.time is not None and not args.time.isdigit():
            parser.error(f"--time is in seconds for --executor ray, got {args.time!r}")
    return args


def list_inputs(args: argparse.Namespace) -> list[dict]:
    """Every dump and file with its size and age, in the order of the corpus. Raises `ValueError` for wrong input."""
    inputs = []
    for path in args.posts:
        check_dump(path)
        # The dumps of archive.org are unpacked into a folder with the name of their site.
        path = Path(path).resolve()
        inputs.append({"kind": "posts", "source": f"stackexchange:{path.parent.name}", "path": str(path)})
    folders = [(folder, (".ipynb",)) for folder in args.notebooks]
    folders += [(folder, (*MARKDOWN, *SUFFIXES[args.language])) for folder in args.files]
    for folder, suffixes in folders:
        root = Path(folder).resolve()
        for path in find_files(root, suffixes):
            inputs.append({"kind": "file", "source": root.name, "root": str(root), "path": str(path)})
    for entry in inputs:
        found = os.stat(entry["path"])
        entry |= {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
    return inputs


def prepare(work: Path, report_file: Path, run: dict, inputs: list[dict], overwrite: bool) -> None:
    """
    Makes the folder of intermediate files for a run, or accepts that of the same run. Raises `ValueError` for the
    folder of another run, whose completed tasks are not of this one, and, also to overwrite, for any other folder.
    """
    run_file = work / "run.json"
    # Without `run.json` it may be what a run that was killed at once has left.
    first_files = {"inputs.json", "run.json.tmp"}
    if work.exists() and not run_file.exists() and {path.name for path in work.iterdir()} - first_files:
        raise ValueError(f"{work} is not a folder of this script: give another --logging_dir")
    if overwrite:
        shutil.rmtree(work, ignore_errors=True)
        report_file.unlink(missing_ok=True)
    if run_file.exists():
        before = json.loads(run_file.read_text(encoding="utf-8"))
        changed = [name for name in run if before.get(name) != run[name]]
        if changed:
            raise ValueError(
                f"{work} is of a run with other {', '.join(changed)}: --overwrite starts again, or give another "
                "--logging_dir"
            )
        return
    work.mkdir(parents=True, exist_ok=True)
    (work / "inputs.json").write_text(json.dumps(inputs), encoding="utf-8")
    (work / "run.json.tmp").write_text(json.dumps(run), encoding="utf-8")
    os.replace(work / "run.json.tmp", run_file)  # last, so that it stands for a complete folder


def run_stages(args, work: Path, output: Path, report_file: Path, settings: dict, config, has_posts: bool) -> None:
    """The pipelines, one after the other; what is complete is left alone."""
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets
    from loguru import logger

    from codefusion_hf.data.extraction import steps

    if args.executor == "local":
        # Progress bars and the report say it in fewer words; processes are forked from here.
        logger.disable("datatrove")
    folder = {name: str((work / name).resolve()) for name in ("questions", "rows", "signatures", "duplicates")}
    source = (str((work / "inputs.json").resolve()), args.language, tuple(settings["tags"]), folder["questions"])
    limits = (args.min_chars, args.max_chars, args.tokenizer_name, args.min_tokens, args.max_tokens)
    golds = [str(Path(path).resolve()) for path in args.decontaminate]
    extract = [
        steps.SourceReader(*source, args.license),
        steps.ProgramExtractor(args.language, args.max_chars),
        steps.ProgramFilter(args.language, *limits),
        *([steps.EvaluationFilter(golds, args.language)] if golds else []),
        steps.RowWriter(folder["rows"]),
        steps.ProgramSignature(folder["signatures"], config, args.language),
    ]
    match = MinhashDedupBuckets(folder["signatures"], folder["duplicates"], config=config, lines_to_buffer=1000)
    stats = str((work / "logs-extract" / "stats").resolve())
    paths = (str(output.resolve()), str(report_file.resolve()))
    stages = [("questions", [steps.QuestionIndexer(*source)], args.tasks)] if has_posts else []
    stages += [
        ("extract", extract, args.tasks),
        ("match", [match], config.num_buckets),
        ("merge", [steps.CorpusMerger(folder["rows"], folder["duplicates"], stats, *paths, settings)], 1),
    ]
    if not (output.exists() and report_file.exists()):  # of an earlier run they may be complete and deleted since
        shutil.rmtree(work / "logs-merge", ignore_errors=True)
    previous = None
    for name, pipeline, tasks in stages:
        previous = make_executor(args, pipeline, tasks, str((work / f"logs-{name}").resolve()), previous, name)
    previous.run()  # each runs those that it depends on


def make_executor(args, pipeline: list, tasks: int, logging_dir: str, depends, name: str):
    """The executor of `--executor` for one stage."""
    common = {"pipeline": pipeline, "tasks": tasks, "workers": args.workers, "logging_dir": logging_dir}
    common["depends"] = depends
    if args.executor == "local":
        from datatrove.executor import LocalPipelineExecutor

        common["workers"] = min(tasks, os.cpu_count() if args.workers == -1 else args.workers)
        return LocalPipelineExecutor(**common, start_method="fork")  # a new process would import torch for seconds
    common |= {"cpus_per_task": args.cpus_per_task or 1, "mem_per_cpu_gb": args.mem_per_cpu_gb or 2}
    if args.executor == "ray":
        from datatrove.executor import RayPipelineExecutor

        return RayPipelineExecutor(**common, time=args.time and int(args.time))
    from datatrove.executor import SlurmPipelineExecutor

    activate = args.env_command or f"export PATH={sys.prefix}/bin:$PATH"
    return SlurmPipelineExecutor(
        **common,
        time=args.time,
        partition=args.partition,
        qos=args.qos,
        job_name=f"corpus-{name}",
        env_command=activate,
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("build_corpus.py: interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"build_corpus.py: error: {error}")
