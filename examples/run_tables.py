"""
The paper's tables with ours beside them, from the shipped models and the result folders of baselines:

    python examples/run_tables.py --data_dir data/prepared --write_docs docs/reproducing.md     # all tables
    python examples/run_tables.py --data_dir data/prepared --tables 2                           # one of them
    python examples/run_tables.py --render                                  # anew from the results that are there

Predicts and scores what is missing, for every shipped model: by `run_evaluate.py` and `run_retrieval_baseline.py`
(tables 1, 3 and 6), and with the settings of `CURVE` or `BLOCK_CURVE` (table 2). Table 4 is copied from
`run_ablations.py`, latency and memory from `run_benchmark.py`, other baselines from their folders. Scores are written
to `--results_dir`, predictions without the utterances to `predictions/` in it; the tables are printed, and with
`--write_docs` put between `<!-- tables: NAME -->` and `<!-- end of tables -->`. Run the same command again after an
interruption: what is done is not done again. A model that is not shipped has a row that says so.
"""

import argparse
import gzip
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

from paper_tables.report import BLOCKS, read_results, render

from codefusion_hf import available_checkpoints, checkpoint_path, evaluation, scoring
from codefusion_hf.data.benchmarks import read_benchmark, read_jsonl
from codefusion_hf.data.prompts import restore_case, source_text
from codefusion_hf.languages import LANGUAGES, get_language
from codefusion_hf.metrics.code_diversity.code_diversity import code_diversity
from codefusion_hf.predictions import write_atomically, write_predictions


ROOT = Path(__file__).parents[1]
NUM_RETURN_SEQUENCES = 5
TABLES = ("1", "2", "3", "4", "6", "latency")
# Evaluated files; the first one also gives the curve of table 2.
FILES = {
    "python": ("python_val.jsonl",),
    "bash": ("bash_val.jsonl", "bash_alpha.jsonl"),
    "cf": ("cf_val.jsonl", "cf_challenge.jsonl"),
}
AS_SAMPLED = {"num_candidates": NUM_RETURN_SEQUENCES, "num_beams": 1, "candidate_order": "seed", "dedupe": False}
# Accuracy against diversity: the paper's side first (five samples in the order of their noise, duplicates kept).
CURVE = {
    "as-sampled": AS_SAMPLED,
    "as-sampled-without-revision": {**AS_SAMPLED, "num_revisions": 0},
    "default": {},
    "20-candidates": {"num_candidates": 20},
    "20-candidates-penalty-0.3": {"num_candidates": 20, "diversity_penalty": 0.3},
    "20-candidates-penalty-1": {"num_candidates": 20, "diversity_penalty": 1.0},
}
# The same for models that sample in blocks: there the temperature moves along the curve.
BLOCK_CURVE = {
    "as-sampled": AS_SAMPLED,
    "as-sampled-temperature-1": {**AS_SAMPLED, "temperature": 1.0},
    "as-sampled-temperature-1.5": {**AS_SAMPLED, "temperature": 1.5},
    "default": {},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data_dir",
        nargs="+",
        help="Folders with LANGUAGE_val.jsonl and LANGUAGE_train.jsonl; the first that has it.",
    )
    source.add_argument("--render", action="store_true", help="Measure nothing.")
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES, help="All by default.")
    parser.add_argument(
        "--model", nargs="+", default=[], metavar="LANGUAGE=FOLDER", help="Instead of the shipped models, all of them."
    )
    parser.add_argument("--baselines", nargs="+", default=[], help="Folders with results.json and predictions.")
    parser.add_argument("--ablations", nargs="+", default=[], help="results.json files of run_ablations.py.")
    parser.add_argument("--benchmarks", nargs="+", default=[], help="Files that run_benchmark.py --output wrote.")
    parser.add_argument("--encoder", help="Folder or Hub id of an encoder: adds CodeBERTScore for Python.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--output_dir", default="runs/tables", help="Unfinished and full predictions.")
    parser.add_argument("--results_dir", default="docs/results", help="Scores and published predictions.")
    parser.add_argument("--write_docs", nargs="+", default=[], help="Markdown files with markers.")
    args = parser.parse_args()

    if args.render and (given := [n for n in ("baselines", "ablations", "benchmarks") if getattr(args, n)]):
        raise ValueError(f"--render measures nothing: without --{given[0]}")
    models = dict(item.partition("=")[::2] for item in args.model) or {name: name for name in available_checkpoints()}
    for language, name in models.items():
        if language not in LANGUAGES or not name:
            raise ValueError(f"--model takes LANGUAGE=FOLDER with one of {', '.join(LANGUAGES)}, got {language!r}")
        found = read_json(Path(model_folder(name)) / "config.json")["language"]
        if found != language:
            raise ValueError(f"the model {name} is one for {found}, not for {language}")
    results_dir = Path(args.results_dir)
    tables = set(args.tables)
    if not args.render:
        results_dir.mkdir(parents=True, exist_ok=True)
        measure(args, models, tables, results_dir)
    blocks = render(read_results(results_dir), {name: name in models for name in LANGUAGES}, tables)
    print("\n\n".join(blocks.values()))
    for path in map(Path, args.write_docs):
        path.write_text(insert(path.read_text(encoding="utf-8"), blocks), encoding="utf-8")


def measure(args: argparse.Namespace, models: dict[str, str], tables: set[str], results_dir: Path) -> None:
    """Fills `results_dir` with what the tables need."""
    for language in LANGUAGES:
        published = results_dir / f"baseline-{language}-retrieval.json"
        if language not in models and (published.exists() or find(args.data_dir, FILES[language][0]) is None):
            continue  # what is published may be of more files than are asked for here
        # Without a model only retrieval, on the validation file.
        names = FILES[language] if language in models else FILES[language][:1]
        files = [find(args.data_dir, name) for name in names]
        if missing := [name for name, path in zip(names, files) if path is None]:
            hint = " (examples/select_rows.py makes it)" if missing == ["bash_alpha.jsonl"] else ""
            raise ValueError(f"{', '.join(missing)} is in none of {', '.join(args.data_dir)}{hint}")
        work = Path(args.output_dir) / language
        train = training_file(args.data_dir, language, files, work)
        if tables & {"1", "3", "6"}:
            folder = run("run_retrieval_baseline", work, {"train_file": [train], "validation_file": files}, language)
            publish(folder, results_dir, f"baseline-{language}-retrieval", predictions=False)
        if language not in models:
            continue
        folder = evaluate(args, models[language], files, train, work)
        if tables & {"1", "3", "6"}:
            publish(folder, results_dir, language)
        if "2" in tables:
            trace_curve(args, models[language], files[0], folder, work, results_dir)
    for folder in map(Path, args.baselines):
        results = read_json(folder / "results.json")
        publish(folder, results_dir, f"baseline-{results['language']}-{slug(results['model'])}")
    for path in args.ablations:
        results = read_json(path)
        write_json(results_dir / f"ablations-{results['language']}.json", results)
    for path in args.benchmarks:
        results = read_json(path)
        folder = Path(model_folder(results["model"]))
        size = sum(file.stat().st_size for file in folder.iterdir())
        facts = {"weights": evaluation.folder_digest(str(folder)), "disk_mb": round(size / 1e6)}
        language = read_json(folder / "config.json")["language"]
        write_json(results_dir / f"benchmark-{language}.json", {**results, **facts})


def evaluate(args: argparse.Namespace, model: str, files: list[Path], train: Path, work: Path) -> Path:
    """The folder that `run_evaluate.py` filled; see [`run`]."""
    arguments = {"model": [model], "data": files, "train_file": [train], "seeds": args.seeds, "variants": []}
    arguments["batch_size"] = [args.batch_size]
    if args.encoder and work.name == "python":
        arguments["encoder"] = [args.encoder]
    return run("run_evaluate", work, arguments)


def run(script: str, work: Path, arguments: dict[str, list], language: str | None = None) -> Path:
    """
    Runs a script of this folder into a folder named by a digest of its arguments and of what the files among them
    hold, unless it has been finished there.

    Raises:
        RuntimeError: if the script fails; it has said why.
    """
    if language:
        arguments = {**arguments, "language": [language]}
    digest = hashlib.sha256()
    for name, values in arguments.items():
        for value in values:
            if name == "model":
                content = evaluation.folder_digest(model_folder(value)).encode()
            else:
                content = Path(value).read_bytes() if isinstance(value, Path) else str(value).encode()
            digest.update(name.encode() + content)
    folder = work / f"{script.removeprefix('run_')}-{digest.hexdigest()[:12]}"
    if not (folder / "results.json").exists():
        words = [word for name, values in arguments.items() for word in (f"--{name}", *map(str, values))]
        command = [sys.executable, str(Path(__file__).with_name(f"{script}.py")), *words, "--output_dir", str(folder)]
        print(" ".join(["python", *command[1:]]), file=sys.stderr, flush=True)
        if (status := subprocess.run(command, stdout=subprocess.DEVNULL).returncode) != 0:
            raise RuntimeError(f"{script}.py ended with status {status}")
    return folder


def trace_curve(
    args: argparse.Namespace, name: str, file: Path, evaluated: Path, work: Path, results_dir: Path
) -> None:
    """Scores and diversity of five candidates with each of the settings of `CURVE` or `BLOCK_CURVE`."""
    model, tokenizer = evaluation.load(name)
    language, rows = model.config.language, read_benchmark(file)
    weights = evaluation.weights_digest(model)
    points = []
    in_blocks = model.generation_config.block_size  # 0: the whole canvas after all
    in_blocks = model.config.block_size if in_blocks is None else in_blocks
    for title, settings in (BLOCK_CURVE if in_blocks else CURVE).items():
        runs = []
        for seed in args.seeds:
            if settings:
                path = work / f"curve-{weights}" / f"{file.stem}.{title}.seed{seed}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                predict(model, tokenizer, rows, path, seed, settings, args.batch_size)
                publish_predictions(path, results_dir / "predictions" / language)
            else:
                path = evaluated / f"{file.stem}.seed{seed}.jsonl"
            candidates = scoring.join(scoring.read_predictions(path), rows)
            scores = scoring.score(candidates, rows, language)
            diversity = {
                denominator: code_diversity(candidates, language=language, denominator=denominator)
                for denominator in ("tokens", "ngrams")
            }
            runs.append({"seed": seed, "scores": scores, "diversity": diversity})
        points.append({"name": title, "settings": settings, "runs": runs})
    facts = {"language": language, "weights": weights, "file": file.name, "rows": len(rows), "seeds": args.seeds}
    write_json(results_dir / f"diversity-{language}.json", {**facts, "points": points})


def predict(model, tokenizer, rows: list[dict], path: Path, seed: int, settings: dict, batch_size: int) -> None:
    """Saves five candidates for each row, resumably; with `dedupe=False` also equal ones."""
    if settings.get("dedupe") is not False:
        evaluation.predict_rows(
            model, tokenizer, rows, path, NUM_RETURN_SEQUENCES, seed=seed, batch_size=batch_size, **settings
        )
        return
    language = get_language(model.config.language)

    def generate(batch: list[dict]) -> list[list[dict]]:
        prompts = [source_text(row["nl"], row.get("table")) for row in batch]
        inputs = tokenizer(prompts, return_tensors="pt", padding=True).to(model.device)
        output = model.generate(
            **inputs,
            num_return_sequences=NUM_RETURN_SEQUENCES,
            seed=[seed] * len(batch),
            return_dict_in_generate=True,
            **settings,
        )
        texts = tokenizer.batch_decode(output.sequences, skip_special_tokens=True)
        found = zip(texts, output.sequences_scores.tolist())
        return [[candidate(*next(found), row) for _ in range(NUM_RETURN_SEQUENCES)] for row in batch]

    def candidate(text: str, score: float, row: dict) -> dict:
        code, valid = text.strip(), language.is_valid(text.strip())
        if valid:  # the text that predictions have elsewhere, too
            code = language.canonicalize(code)
            code = restore_case(code, row["nl"], row.get("table")) if language.IGNORES_CASE else code
        return {"code": code, "score": score, "valid": valid}

    record = {**settings, "seed": seed, "weights": evaluation.weights_digest(model)}
    write_predictions(rows, path, record, generate, batch_size)


def training_file(folders: list[str], language: str, files: list[Path], work: Path) -> Path:
    """The training rows without those that are rows of an evaluation file (of an alternative split)."""
    path = find(folders, f"{language}_train.jsonl")
    if path is None:
        raise ValueError(f"{language}_train.jsonl is in none of {', '.join(folders)}")
    evaluated = {(row["row"], row["nl"]) for file in files for row in read_jsonl(file) if "row" in row}
    kept = [row for row in read_jsonl(path) if (row.get("row"), row["nl"]) not in evaluated]
    work.mkdir(parents=True, exist_ok=True)
    output = work / path.name
    output.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return output


def publish(folder: Path, results_dir: Path, name: str, predictions: bool = True) -> None:
    """Copies `results.json` and, packed and without utterances, the predictions that it scores."""
    results = read_json(folder / "results.json")
    write_json(results_dir / f"{name}.json", results)
    for file, entry in results["data"].items():
        for each in entry["runs"] if predictions else ():
            path = folder / f"{file}.seed{each['seed']}.jsonl"
            publish_predictions(path, results_dir / "predictions" / name)


def publish_predictions(path: Path, folder: Path) -> None:
    """
    `{"id", "candidates"}`, gzipped, the same bytes whenever it is made. The utterances belong to the benchmark, whose
    authors ask not to redistribute it; `codefusion score` joins by id.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"id": row["id"], "candidates": [{**each, "score": round(each["score"], 3)} for each in row["candidates"]]}
        for row in read_jsonl(path)
    ]
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    (folder / f"{path.name}.gz").write_bytes(gzip.compress(content, mtime=0))


def insert(text: str, blocks: dict[str, str]) -> str:
    """
    Replaces what stands between the markers of each block that the text has.

    Raises:
        ValueError: for a marker that names no block, or has no end.
    """
    for name in re.findall(r"<!-- tables: (.*?) -->", text):
        if name not in BLOCKS:
            raise ValueError(f"unknown marker {name!r}: the blocks are {', '.join(BLOCKS)}")
        pattern = re.compile(rf"(<!-- tables: {name} -->\n).*?(<!-- end of tables -->)", re.DOTALL)
        if (found := pattern.search(text)) is None:
            raise ValueError(f"the marker of {name!r} has no <!-- end of tables -->")
        if name in blocks:
            text = f"{text[: found.end(1)]}\n{blocks[name]}\n\n{text[found.start(2) :]}"
    return text


def model_folder(name: str) -> str:
    return checkpoint_path(name) if name in available_checkpoints() else name


def find(folders: list[str], name: str) -> Path | None:
    paths = [Path(folder) / name for folder in [*folders, ROOT / "tests" / "fixtures"]]
    return next((path for path in paths if path.exists()), None)


def slug(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower()).strip("-")


def read_json(path: str | Path) -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_json(path: Path, content: dict) -> None:
    write_atomically(path, json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("run_tables.py: interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
    except (ImportError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        sys.exit(f"run_tables.py: error: {error}")
