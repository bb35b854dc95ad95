"""
Scores saved predictions against references, without the model: joins the two files by id, pools the golds of equal
tasks, and calls the metrics' plain functions. All scores are fractions; tables print per cent.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import platform
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from . import __version__
from .data.benchmarks import golds, read_benchmark, read_jsonl
from .data.leakage import LEAKED, find_leaked, sha256
from .languages import get_language
from .metrics.chrf import chrf_top_k
from .metrics.ranking import top_k


K = (1, 3, 5)
# What a language is judged by first; as in the paper, for Python with an encoder. Without one there is `chrf`.
MAIN_SCORE = {"bash": "bash_template_match", "cf": "cf_exec_match", "python": "code_bertscore"}
# The packages that decide what a score is.
PACKAGES = ("evaluate", "rapidfuzz", "tree-sitter", "tree-sitter-bash", "tree-sitter-python")
MAX_NAMED = 5  # ids in an error message


def score_files(
    predictions: str | Path,
    references: str | Path,
    language: str,
    train_files: Sequence[str | Path] = (),
    encoder: str | None = None,
    num_layers: int | None = None,
) -> dict[str, Any]:
    """
    Scores a file of predictions.

    Args:
        predictions (`str` or `Path`): JSON lines `{"id", "candidates": [{"code"}, ...]}`, best first, as `codefusion
            predict` writes them.
        references (`str` or `Path`): See [`data.benchmarks.read_benchmark`].
        language (`str`): Of the programs.
        train_files (`Sequence`): What the model was trained on, for clean scores: see [`data.leakage.find_leaks`].
        encoder, num_layers: See [`score`].

    Returns:
        `dict`: `language`, `k`, `tasks`, `candidates` (how many in all), `predictions` and `references` (`file`,
        `sha256`), `scores` (see [`score`]), with training files `clean` (`tasks`, `definition`, `train`, `scores`,
        which is `None` if every task is leaked), and `versions`.

    Raises:
        ValueError: If the language is unknown, a file is unusable, or the files do not answer each other (see
            [`join`]).
        OSError: If a file cannot be read.
        ImportError: If the extra `metrics` is not installed.
    """
    get_language(language)
    rows = read_benchmark(references)
    candidates = join(read_predictions(predictions), rows)
    result = {
        "language": language,
        "k": list(K),
        "tasks": len(rows),
        "candidates": sum(map(len, candidates)),
        "predictions": {"file": Path(predictions).name, "sha256": sha256(predictions)},
        "references": {"file": Path(references).name, "sha256": sha256(references)},
    }
    result |= score_runs([candidates], rows, language, train_files, encoder, num_layers)[0]
    return {**result, "versions": versions()}


def score_runs(
    runs: list[list[list[str]]],
    rows: list[dict[str, Any]],
    language: str,
    train_files: Sequence[str | Path] = (),
    encoder: str | None = None,
    num_layers: int | None = None,
) -> list[dict[str, Any]]:
    """
    For the candidates of each run `{"scores"}` and, with training files, `"clean"`: see [`score_files`], whose
    arguments it takes.
    """
    results: list[dict[str, Any]] = [{"scores": score(run, rows, language, encoder, num_layers)} for run in runs]
    if train_files:
        kept = [index for index, leaked in enumerate(find_leaked(rows, train_files, language)) if not leaked]
        pooled = pool_golds(rows)  # a task keeps the golds of the leaked rows that ask the same
        facts = {
            "tasks": len(kept),
            "definition": f"without the tasks for which {LEAKED}",
            "train": [{"file": Path(path).name, "sha256": sha256(path)} for path in train_files],
        }
        for run, result in zip(runs, results):
            clean = [run[i] for i in kept], [pooled[i] for i in kept], language, encoder, num_layers
            result["clean"] = {**facts, "scores": score(*clean) if kept else None}
    return results


def score(
    candidates: list[list[str]],
    rows: list[dict[str, Any]],
    language: str,
    encoder: str | None = None,
    num_layers: int | None = None,
) -> dict[str, dict[str, Any]]:
    """
    The scores of a language.

    Args:
        candidates (`list[list[str]]`): For each row its programs, best first.
        rows (`list[dict]`): As [`data.benchmarks.read_benchmark`] gives them; golds of equal tasks are pooled.
        language (`str`): Of the programs.
        encoder (`str`, *optional*): Folder or Hub id of an encoder; adds `code_bertscore`.
        num_layers (`int`, *optional*): The layer of it to read, by default that of the metric.

    Returns:
        `dict`: `{metric: result}`: `cf_exec_match` (CF), `bash_template_match` (Bash), `chrf` (Python),
        `code_exact_match` of the text and of the normalised program, `code_validity` (and its strict variant for
        Bash), `code_diversity`, each as the function of that name gives it, and `wrong_literals` (CF).
    """
    rows = pool_golds(rows)
    references = [row["refs"] for row in rows]
    scores: dict[str, dict[str, Any]] = {}
    if language == "cf":
        tables = [row.get("table") for row in rows]
        scores["cf_exec_match"] = _metric("cf_exec_match")(candidates, references, k=K, tables=tables)
    if language == "bash":
        scores["bash_template_match"] = _metric("bash_template_match")(candidates, references, k=K)
    if encoder:
        scores["code_bertscore"] = _metric("code_bertscore")(
            candidates, references, k=K, language=language, model_name_or_path=encoder, num_layers=num_layers
        )
    if language == "python":
        scores["chrf"] = chrf_top_k(candidates, references, K)
    exact_match, validity = _metric("code_exact_match"), _metric("code_validity")
    scores["code_exact_match"] = exact_match(candidates, references, k=K)
    scores["code_exact_match_normalized"] = exact_match(
        candidates, references, k=K, language=language, normalized=True
    )
    scores["code_validity"] = validity(candidates, language=language, k=K)
    if language == "bash":
        scores["code_validity_strict"] = validity(candidates, language=language, k=K, strict=True)
    scores["code_diversity"] = _metric("code_diversity")(candidates, language=language)
    if language == "cf":
        scores["wrong_literals"] = wrong_literals(candidates, rows, language)
    return scores


def results_of_runs(
    references: str | Path,
    rows: list[dict[str, Any]],
    runs: list[dict[str, Any]],
    same_first_candidate: dict[str, float],
) -> dict[str, Any]:
    """
    What `results.json` says about a file that was predicted in several runs.

    Args:
        references (`str` or `Path`): The file.
        rows (`list[dict]`): Of it.
        runs (`list[dict]`): Each with `seed`, `seconds_per_row` and what [`score_runs`] gives.
        same_first_candidate (`dict`): By variant of the utterances, the share of rows whose first candidate stays.

    Returns:
        `dict`: `file`, `sha256`, `rows`, `mean` and `sd` of the figures (over the runs, all of them: of a single run
        0), `same_first_candidate`, `runs`, and, if there are clean scores, `clean` with its own `mean` and `sd`
        (`None` if every task is leaked).
    """
    entry = {
        "file": Path(references).name,
        "sha256": sha256(references),
        "rows": len(rows),
        **_mean_and_sd([run["scores"] for run in runs]),
        "same_first_candidate": same_first_candidate,
        "runs": runs,
    }
    if "clean" in runs[0]:
        clean = [run["clean"]["scores"] for run in runs]
        facts = {key: runs[0]["clean"][key] for key in ("tasks", "definition", "train")}
        entry["clean"] = {**facts, **(_mean_and_sd(clean) if facts["tasks"] else {"mean": None, "sd": None})}
    return entry


def read_predictions(path: str | Path) -> list[dict[str, Any]]:
    """
    Reads saved predictions.

    Returns:
        `list[dict]`: `{"id", "nl", "codes"}`: the programs, best first; `nl` may be `None`.

    Raises:
        ValueError: If a row, named by its number, is no prediction, or there is none.
        OSError: If the file cannot be read.
    """
    rows = []
    for number, row in enumerate(read_jsonl(path), start=1):
        identifier, candidates = row.get("id"), row.get("candidates")
        if isinstance(identifier, bool) or not isinstance(identifier, (int, str)):
            raise ValueError(f"{path}, row {number}: the id must be a whole number or text, got {identifier!r:.80}")
        if not isinstance(candidates, list) or not all(
            isinstance(candidate, dict) and isinstance(candidate.get("code"), str) for candidate in candidates
        ):
            raise ValueError(f'{path}, row {number}: "candidates" must be a list of {{"code": text, ...}}')
        codes = [candidate["code"] for candidate in candidates]
        rows.append({"id": identifier, "nl": row.get("nl"), "codes": codes})
    if not rows:
        raise ValueError(f"{path} holds no rows")
    return rows


def join(predictions: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[list[str]]:
    """
    The candidates of each reference row. Rows answer each other by id; where an id occurs several times (benchmarks
    number questions, and a question may have several rows), by id and utterance, in their order.

    Raises:
        ValueError: If ids are missing, unknown or answered too often, or an utterance is another than the reference's;
            the message names them.
    """
    expected, given = Counter(row["id"] for row in rows), Counter(row["id"] for row in predictions)
    for what, faults in {
        "no predictions for": expected - given,
        "no references for": given - expected,
    }.items():
        never = [identifier for identifier in faults if not (expected[identifier] and given[identifier])]
        if never:
            raise ValueError(f"there are {what} {_named(never)}")
        if faults:
            identifier = next(iter(faults))
            raise ValueError(
                f"the predictions answer the id {identifier!r} {given[identifier]} times, but the references have it "
                f"{expected[identifier]} times"
            )
    answers: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for answer in predictions:
        answers[answer["id"]].append(answer)
    candidates = []
    for row in rows:
        same_id = answers[row["id"]]
        # Predictions need not repeat the utterance.
        index = next((i for i, answer in enumerate(same_id) if answer["nl"] in (None, row["nl"])), None)
        if index is None:
            raise ValueError(f"the prediction for the id {row['id']!r} has another utterance than {row['nl']!r:.80}")
        candidates.append(same_id.pop(index)["codes"])
    return candidates


def pool_golds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with, as `refs`, the golds of all rows that have the same utterance and table."""
    keys = [(row["nl"], json.dumps(row.get("table"))) for row in rows]
    pools: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for key, row in zip(keys, rows):
        pools[key] |= dict.fromkeys(golds(row))
    return [{**row, "refs": list(dict.fromkeys([*golds(row), *pools[key]]))} for key, row in zip(keys, rows)]


def wrong_literals(candidates: list[list[str]], rows: list[dict[str, Any]], language: str) -> dict[str, float]:
    """
    How often something was copied wrongly: `top_1` is the share, among the `tasks` whose gold has a literal that
    stands in the utterance, of those whose first candidate has literals, but not all those of any gold. (A candidate
    without any literal is a program of another kind, and wrong in another way.)
    """
    literals = get_language(language).literals
    wrong = total = 0
    for codes, row in zip(candidates, rows):
        expected = [[text.casefold() for text in literals(gold)] for gold in golds(row)]
        text = row["nl"].casefold().replace(",", "")
        # As a word of its own: the 5 of "T4:T50" is not a literal.
        if not any(re.search(rf"(?<!\w){re.escape(literal)}(?!\w)", text) for literal in expected[0] if literal):
            continue
        total += 1
        guess = [text.casefold() for text in literals(codes[0])] if codes else []
        wrong += bool(guess) and not any(set(gold) <= set(guess) for gold in expected)
    return {"top_1": wrong / max(1, total), "tasks": total}


def format_scores(result: dict[str, Any]) -> str:
    """
    What [`score_files`] returns as a table in per cent, full scores beside clean ones; counts as they are.
    """
    clean = result.get("clean")
    sides = [result["scores"], *([clean["scores"] or {}] if clean else [])]
    head = f"{result['predictions']['file']} against {result['references']['file']} ({result['language']}): "
    lines = [f"{head}{result['tasks']} tasks, {result['candidates']} candidates; per cent"]
    if clean:
        lines.append(f"clean: {clean['definition']}; {clean['tasks']} of {result['tasks']} tasks")
    columns = [f"{side}top-{k}" for side in ("", "clean ")[: len(sides)] for k in result["k"]]
    table, single = [["", *columns]], [["", *["", "clean"][: len(sides)]]]
    for metric, values in result["scores"].items():
        ranked, other = split_top_k(values)
        both = [split_top_k(side.get(metric, {})) for side in sides]
        for label in ranked:
            cells = [_cell(by_k.get(label, {}).get(k)) for by_k, _ in both for k in result["k"]]
            table.append([row_label(metric, label), *cells])
        for name in other:
            single.append([f"{metric} {name}", *(_cell(rest.get(name)) for _, rest in both)])
    return "\n".join([*lines, "", *_aligned(table), "", *_aligned(single)])


def split_top_k(values: dict[str, Any]) -> tuple[dict[str, dict[int, float]], dict[str, float]]:
    """
    A metric's result as `{label: {k: score}}` of the keys that end in `top_<k>` (the label is what stands before), and
    the other figures.
    """
    ranked: dict[str, dict[int, float]] = {}
    other = {}
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        found = re.fullmatch(r"(?:(.+)_)?top_(\d+)", name)
        if found:
            ranked.setdefault(found[1] or "", {})[int(found[2])] = value
        else:
            other[name] = value
    return ranked, other


def row_label(metric: str, label: str) -> str:
    """What a line of a table is called: the metric, and the label where that says more."""
    return metric if label in metric else f"{metric} {label}"


def versions() -> dict[str, str]:
    """Versions of what decides a score; packages that are not installed are left out."""
    found = {"codefusion_hf": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def _mean_and_sd(runs: list[dict[str, dict[str, Any]]]) -> dict[str, dict]:
    """`{"mean", "sd"}` of the figures of all runs; text and lists are left out."""
    figures = {
        metric: [name for name in values if all(isinstance(run[metric][name], (int, float)) for run in runs)]
        for metric, values in runs[0].items()
    }
    return {
        key: {
            metric: {name: round(function([run[metric][name] for run in runs]), 6) for name in names}
            for metric, names in figures.items()
        }
        for key, function in {"mean": statistics.mean, "sd": statistics.pstdev}.items()
    }


def _metric(name: str) -> Callable[..., dict[str, Any]]:
    try:
        return getattr(importlib.import_module(f"codefusion_hf.metrics.{name}.{name}"), name)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("codefusion_hf"):
            raise
        raise ImportError(f"{name} needs {error.name}: pip install 'codefusion-hf[metrics]'") from None


def _named(identifiers: Sequence[Any]) -> str:
    names = ", ".join(map(repr, identifiers[:MAX_NAMED]))
    more = f" and {len(identifiers) - MAX_NAMED} more" if len(identifiers) > MAX_NAMED else ""
    return f"the id{'s' if len(identifiers) > 1 else ''} {names}{more}"


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{100 * value:.1f}"


def _aligned(table: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in table]


def match_scores(
    candidates: list[list[dict[str, Any]]], rows: list[dict[str, Any]], language: str, k: Sequence[int] = K
) -> dict[str, float]:
    """
    Share of rows with a right program among the first k candidates, in percent: what a training run logs. The full
    scores of saved predictions are those of [`score`].

    Args:
        candidates (`list[list[dict]]`): As returned by [`evaluation.generate_candidates`].
        rows (`list[dict]`): With `code`, or several golds in `refs`, and optionally `table`.
        language (`str`): Of the programs; decides what "right" means ([`Language.matches`]).

    Returns:
        `dict`: For each k `exact_k`, `match_k` and, if the language has it, `strict_k`; `valid_1` and `valid`, the
        share of first and of all candidates that parse.

    Raises:
        ValueError: without rows.
    """
    module = get_language(language)
    if not rows:
        raise ValueError("there are no rows to score")
    same = {
        "exact": lambda code, gold, table: module.normalize(code) == module.normalize(gold),
        "match": module.matches,
    }
    if "strict" in inspect.signature(module.matches).parameters:
        same["strict"] = functools.partial(module.matches, strict=True)
    scores = {}
    for name, right in same.items():
        hits = [
            [any(right(candidate["code"], gold, row.get("table")) for gold in golds(row)) for candidate in ranked]
            for ranked, row in zip(candidates, rows)
        ]
        scores |= {f"{name}_{key[4:]}": round(100 * share, 2) for key, share in top_k(hits, k).items()}
    for name, chosen in {"valid_1": [ranked[:1] for ranked in candidates], "valid": candidates}.items():
        flags = [candidate["valid"] for ranked in chosen for candidate in ranked]
        scores[name] = round(100 * sum(map(bool, flags)) / max(1, len(flags)), 2)
    return scores
