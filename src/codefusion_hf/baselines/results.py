"""What baselines write: predictions of a file, resumably, and their scores in the schema of `run_evaluate.py`."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from tqdm.auto import tqdm

from .. import evaluation, scoring
from ..data.benchmarks import read_benchmark
from ..data.leakage import sha256


Generate = Callable[[list[dict[str, Any]]], list[list[dict[str, Any]]]]


def write_predictions(
    rows: list[dict[str, Any]],
    output: str | Path,
    settings: dict[str, Any],
    generate: Generate,
    batch_size: int = 16,
    state: PartialState | None = None,
) -> int:
    """
    Predicts rows batch by batch into a file `{"id", "nl", "candidates"}` and goes on where an interrupted run stopped.
    Several processes share the batches; the first one writes.

    Args:
        rows (`list[dict]`): See [`data.benchmarks.read_benchmark`].
        output (`str` or `Path`): The file to write, or to go on with.
        settings (`dict`): What decides the predictions, weights included: a file made with others is refused.
        generate (`Callable`): Ranked candidates `{"code", "score", "valid"}` for each row of a batch.
        batch_size (`int`, defaults to 16): Rows per batch and process.
        state (`accelerate.PartialState`, *optional*): Of the processes that all call this function.

    Returns:
        `int`: The number of rows that this call predicted, in all processes together.

    Raises:
        ValueError: If the output belongs to another run.
        OSError: If it cannot be read or written.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
    output = Path(output)
    rank, num_processes = (state.process_index, state.num_processes) if state else (0, 1)
    [done] = evaluation._from_first_process(
        [evaluation._resume(output, settings, rows) if rank == 0 else None], num_processes
    )
    bar = tqdm(total=len(rows), initial=done, unit="row", desc="predict", file=sys.stderr, disable=rank > 0)
    with open(output if rank == 0 else os.devnull, "a", encoding="utf-8") as file, bar:
        for start in range(done, len(rows), batch_size * num_processes):
            first = start + batch_size * rank
            batch = rows[first : first + batch_size]
            lines = [
                json.dumps({"id": row["id"], "nl": row["nl"], "candidates": candidates}, ensure_ascii=False) + "\n"
                for row, candidates in zip(batch, generate(batch) if batch else [])
            ]
            lines = evaluation._from_all_processes(lines, num_processes)
            file.write("".join(lines))
            file.flush()
            bar.update(len(lines))
    return len(rows) - done


def write_results(
    folder: str | Path,
    files: Sequence[str | Path],
    language: str,
    settings: dict[str, Any],
    generate: Generate,
    *,
    model: str,
    weights: str | None = None,
    train_files: Sequence[str | Path] = (),
    encoder: str | None = None,
    num_layers: int | None = None,
    batch_size: int = 16,
    seed: int = 0,
    state: PartialState | None = None,
) -> dict[str, Any]:
    """
    Predicts evaluation files (`<name>.seed0.jsonl`, as `examples/run_evaluate.py` calls them), scores them, and writes
    `results.json` in that script's schema: of one run, so with standard deviations of 0.

    Args:
        folder (`str` or `Path`): To write to; is created.
        files (`Sequence`): See [`data.benchmarks.read_benchmark`]; with different names.
        language (`str`): Of the programs.
        settings (`dict`): What decides the predictions besides the weights; recorded.
        generate (`Callable`), batch_size (`int`), state (`accelerate.PartialState`): See [`write_predictions`].
        model (`str`): What the results are to be called.
        weights (`str`, *optional*): Identifies the weights.
        train_files (`Sequence`), encoder (`str`), num_layers (`int`): See [`scoring.score_files`].
        seed (`int`, defaults to 0): Of the run, where it draws random numbers.

    Returns:
        `dict`: The results, in the first process; `{}` in the others.

    Raises:
        ValueError: If a file is unusable, or the folder has predictions of another model or other settings.
        OSError: If a file cannot be read or written.
    """
    folder, paths = Path(folder), {Path(path).stem: Path(path) for path in files}
    if len(paths) < len(files):
        raise ValueError("the files to predict need different names")
    data = {name: read_benchmark(path) for name, path in paths.items()}
    folder.mkdir(parents=True, exist_ok=True)
    machine = f"{platform.machine()}, {state.num_processes if state else 1} x {torch.get_num_threads()} threads"
    results = {
        "model": model,
        "language": language,
        "weights": weights,
        "settings": {**settings, "seeds": [seed], "dtype": "float32"},
        "versions": {**scoring.versions(), "torch": torch.__version__, "machine": machine},
        "data": {},
    }
    is_first = state is None or state.is_main_process
    for name, rows in data.items():
        path, started = folder / f"{name}.seed{seed}.jsonl", time.perf_counter()
        new = write_predictions(rows, path, {**settings, "weights": weights}, generate, batch_size, state)
        # Not known for rows that an interrupted run left.
        seconds = round((time.perf_counter() - started) / len(rows), 4) if new == len(rows) else None
        if not is_first:
            continue
        scored = scoring.score_files(path, paths[name], language, train_files, encoder, num_layers)
        print(scoring.format_scores(scored), flush=True)
        run = {"seed": seed, "seconds_per_row": seconds, **{k: scored[k] for k in ("scores", "clean") if k in scored}}
        results["data"][name] = entry = {
            "file": paths[name].name,
            "sha256": sha256(paths[name]),
            "rows": len(rows),
            **_of_one_run(scored["scores"]),
            "same_first_candidate": {},
            "runs": [run],
        }
        if "clean" in scored:
            facts = {key: value for key, value in scored["clean"].items() if key != "scores"}
            scores = scored["clean"]["scores"]
            entry["clean"] = {**facts, **(_of_one_run(scores) if scores else {"mean": None, "sd": None})}
    if not is_first:
        return {}
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return results


def _of_one_run(scores: dict[str, dict[str, Any]]) -> dict[str, dict]:
    """`{"mean", "sd"}` of the figures of a single run, as `run_evaluate.py` has them of several."""
    mean = {
        metric: {name: round(value, 6) for name, value in values.items() if isinstance(value, (int, float))}
        for metric, values in scores.items()
    }
    return {"mean": mean, "sd": {metric: dict.fromkeys(values, 0.0) for metric, values in mean.items()}}
