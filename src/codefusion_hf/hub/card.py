"""The card of a published checkpoint: its text, and its scores in the two forms that the Hub reads."""

from __future__ import annotations

import json
from operator import itemgetter
from pathlib import Path
from typing import Any


PROGRAMS = {"bash": "Bash command", "cf": "Excel conditional-formatting rule", "python": "Python program"}
SENTENCES = {
    "bash": "delete all .pyc files under the current directory",
    "cf": "highlight cells above 10",
    "python": "sort the list x in descending order",
}
# The scores that go into a card, in this order; counts and measures of diversity do not.
SCORES = [f"{kind}top_{k}" for kind in ("", "strict_", "f3_", "validity_") for k in (1, 3, 5)] + ["validity"]


def read_results(path: str | Path, folder: Path) -> dict[str, Any]:
    """
    The scores of a checkpoint, as `examples/run_evaluate.py` wrote them.

    Args:
        path (`str` or `Path`): Its `results.json`.
        folder (`Path`): The checkpoint.

    Raises:
        ValueError: if the file is no such file, or was made with other weights or other configs.
    """
    from ..evaluation import folder_digest

    try:
        results = json.loads(Path(path).read_text(encoding="utf-8"))
        weights = results["weights"]
        itemgetter("seeds", "num_inference_steps", "num_return_sequences", "dtype")(results["settings"])
        for entry in results["data"].values():
            itemgetter("file", "rows", "sha256", "mean", "sd")(entry)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(f"{path} is no results.json of examples/run_evaluate.py") from None
    if weights != folder_digest(folder):
        raise ValueError(f"{path} is about other weights or settings than those in {folder}: evaluate again")
    return results


def model_card(
    folder: Path,
    config: dict[str, Any],
    repo_id: str,
    revision: str,
    parameters: int,
    size: int,
    results: dict[str, Any] | None,
) -> str:
    """
    The README.md of the folder, or else the template filled in; with how to load the model by its id, and the scores.

    Args:
        folder (`Path`): The checkpoint.
        config (`dict`): Its config.
        repo_id (`str`), revision (`str`): Where it goes.
        parameters (`int`): Number of parameters.
        size (`int`): Bytes of its files.
        results (`dict`, *optional*): See [`read_results`]; they become the metadata `model-index`.
    """
    language, readme = config.get("language") or "", folder / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
    else:
        text = _fill(
            "model_card.md",
            name=repo_id.rpartition("/")[2],
            language=language or "code",
            program=PROGRAMS.get(language, "program"),
            parameters=f"{parameters / 1e6:.1f} M",
            megabytes=f"{size / 1e6:.1f}",
            max_source_length=config["max_source_length"],
            max_target_length=config["max_target_length"],
            results=_results_table(results) if results else "Not evaluated yet.",
        )
    if repo_id not in text:
        sentence = SENTENCES.get(language, "what the program should do")
        text = f"{text.rstrip()}\n\n" + _fill("load.md", repo_id=repo_id, revision=revision, sentence=sentence)
    return _with_model_index(text, results, repo_id) if results else text


def benchmark_result(results: dict[str, Any], data: str, dataset: str, task: str, repo_id: str) -> bytes:
    """
    A file of `.eval_results`, which the Hub shows on the model's page and on the benchmark's leaderboard: see
    https://huggingface.co/docs/hub/eval-results. The value is the first score of the results, in per cent.

    Raises:
        ValueError: if `results` knows no such data file.
    """
    from huggingface_hub import EvalResultEntry, constants, eval_result_entries_to_yaml
    from huggingface_hub.utils import yaml_dump

    if data not in results["data"]:
        raise ValueError(f"no results of {data!r}; there are: {', '.join(results['data'])}")
    entry, settings = results["data"][data], results["settings"]
    metric, name, value = _scores(entry["mean"])[0]
    notes = f"{metric} {name}, mean of {len(settings['seeds'])} seeds"
    clean = entry.get("clean") or {}
    if clean.get("mean"):
        notes += f"; {100 * clean['mean'][metric][name]:.2f} on the {clean['tasks']} tasks that training did not have"
    result = EvalResultEntry(
        dataset_id=dataset,
        task_id=task,
        value=round(100 * value, 2),
        source_url=f"{constants.ENDPOINT}/{repo_id}",
        source_name="Model card",
        notes=notes,
    )
    return yaml_dump(eval_result_entries_to_yaml([result])).encode()


def _with_model_index(text: str, results: dict[str, Any], repo_id: str) -> str:
    from huggingface_hub import EvalResult, ModelCard

    card = ModelCard(text)
    card.data.model_name = repo_id.rpartition("/")[2]
    card.data.eval_results = [
        EvalResult(
            task_type="text-generation",
            dataset_type=data,
            dataset_name=entry["file"],
            dataset_args={"rows": entry["rows"], "sha256": entry["sha256"]},
            metric_type=metric,
            metric_name=f"{metric} {name}, per cent",
            metric_value=round(100 * value, 2),
        )
        for data, entry in results["data"].items()
        for metric, name, value in _scores(entry["mean"])
    ]
    return str(card)


def _scores(figures: dict[str, dict[str, float]]) -> list[tuple[str, str, float]]:
    return [(metric, name, values[name]) for metric, values in figures.items() for name in SCORES if name in values]


def _results_table(results: dict[str, Any]) -> str:
    settings, entries = results["settings"], results["data"]
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for data, entry in entries.items():
        for metric, name, mean in _scores(entry["mean"]):
            figure = f"{100 * mean:.1f} ± {100 * entry['sd'][metric][name]:.1f}"
            rows.setdefault((metric, name), {})[data] = figure
    lines = [
        f"Per cent, mean ± standard deviation over the seeds {', '.join(map(str, settings['seeds']))}; "
        f"{settings['num_inference_steps'] or 'the default number of'} steps, {settings['num_return_sequences']} "
        f"candidates, {settings['dtype']}.",
        "",
        "| | " + " | ".join(f"{entry['file']} ({entry['rows']} rows)" for entry in entries.values()) + " |",
        "|---|" + "---|" * len(entries),
    ]
    for (metric, name), cells in rows.items():
        lines.append(f"| `{metric}` {name} | " + " | ".join(cells.get(data, "") for data in entries) + " |")
    return "\n".join(lines)


def _fill(template: str, **values: object) -> str:
    text = (Path(__file__).parent / "templates" / template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text
