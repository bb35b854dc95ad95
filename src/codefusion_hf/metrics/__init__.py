"""Six metrics, each a folder that is an `evaluate` module and a Space on the Hub, with the scoring in functions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    import evaluate


METRICS = (
    "bash_template_match",
    "cf_exec_match",
    "code_bertscore",
    "code_diversity",
    "code_exact_match",
    "code_validity",
)


def load_metric(name: str) -> evaluate.EvaluationModule:
    """
    One of `METRICS`, loaded from the installed package: no network.

    Args:
        name (`str`): One of `METRICS`.

    Returns:
        `evaluate.EvaluationModule`: with `compute(predictions=[[candidates, best first], ...], references=[[golds],
        ...], ...)`, as `evaluate.load` gives it.

    Raises:
        ValueError: for an unknown name.
        ImportError: if the package `evaluate` is not installed.
    """
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}; available: {', '.join(METRICS)}")
    try:
        import evaluate
    except ImportError as error:
        raise ImportError("metrics need `evaluate`: pip install 'codefusion-hf[metrics]'") from error
    return evaluate.load(str(Path(__file__).parent / name))
