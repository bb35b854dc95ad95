"""What baselines write: predictions of a file, resumably, and their scores in the schema of `run_evaluate.py`."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from .. import scoring
from ..data.benchmarks import read_benchmark
from ..predictions import write_atomically, write_predictions


def write_results(
    folder: str | Path,
    files: Sequence[str | Path],
    language: str,
    settings: dict[str, Any],
    generate: Callable[[list[dict[str, Any]]], list[list[dict[str, Any]]]],
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
    Predicts evaluation files (`<name>.seed<seed>.jsonl`, as `examples/run_evaluate.py` calls them), scores them, and
    writes `results.json` in that script's schema: of one run, so with standard deviations of 0.

    Args:
        folder (`str` or `Path`): To write to; is created.
        files (`Sequence`): See [`data.benchmarks.read_benchmark`]; with different names.
        language (`str`): Of the programs.
        settings (`dict`): What decides the predictions besides the weights; recorded.
        generate (`Callable`), batch_size (`int`), state (`accelerate.PartialState`): See
            [`predictions.write_predictions`].
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
        recorded = {**settings, "weights": weights}
        new = write_predictions(rows, path, recorded, generate, batch_size, state)
        # Not known for rows that an interrupted run left.
        seconds = round((time.perf_counter() - started) / len(rows), 4) if new == len(rows) else None
        if not is_first:
            continue
        scored = scoring.score_files(path, paths[name], language, train_files, encoder, num_layers)
        print(scoring.format_scores(scored), flush=True)
        run = {"seed": seed, "seconds_per_row": seconds, **{k: scored[k] for k in ("scores", "clean") if k in scored}}
        results["data"][name] = scoring.results_of_runs(paths[name], rows, [run], {})
    if not is_first:
        return {}
    write_atomically(folder / "results.json", json.dumps(results, indent=2) + "\n")
    return results
