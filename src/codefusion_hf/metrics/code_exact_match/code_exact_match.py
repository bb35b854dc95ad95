"""Exact match of programs, as text or in the normal form of their language; an `evaluate` module."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate

from codefusion_hf.languages import get_language
from codefusion_hf.metrics import module
from codefusion_hf.metrics.ranking import check_inputs, ranked_result


_DESCRIPTION = """\
Share of tasks for which one of the first k candidates equals one of the reference programs.
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (`list[list[str]]`): Ranked candidates of each task; one text stands for a list of one.
    references (`list[list[str]]`): Golds of each task.
    k (`list[int]`, defaults to `[1, 3, 5]`): Numbers of candidates to look at.
    normalized (`bool`, defaults to `False`): Compare normal forms, which `language` defines, instead of text.
    language (`str`, *optional*): `bash`, `cf` or `python`; needed by `normalized`. By default the configuration
        name given to `evaluate.load`.
    per_item (`bool`, defaults to `False`): Adds the outcome for every candidate.
Returns:
    `top_1`, `top_3`, ...: fractions; with `per_item` also `per_item`, a list of 0.0 or 1.0 for each task.
Examples:
    >>> metric = codefusion_hf.load_metric("code_exact_match")
    >>> metric.compute(predictions=[["y", "x"]], references=[["x"]], k=[1, 3])
    {'top_1': 0.0, 'top_3': 1.0}
"""


def clean(code: str) -> str:
    """The text without space at its ends and with line ends as `\\n`: all that raw exact match forgives."""
    return code.replace("\r\n", "\n").replace("\r", "\n").strip()


def code_exact_match(
    predictions: Sequence[str | Sequence[str]],
    references: Sequence[str | Sequence[str]],
    k: Sequence[int] = (1, 3, 5),
    normalized: bool = False,
    language: str | None = None,
    per_item: bool = False,
) -> dict[str, float | list[list[float]]]:
    """
    Exact match of ranked candidates with any of a task's golds. A blank candidate equals nothing, not even a blank
    gold.

    Args:
        predictions (`Sequence`): Per task its candidates, best first, or one as `str`.
        references (`Sequence`): Per task its golds, or one as `str`.
        k (`Sequence[int]`, defaults to `(1, 3, 5)`): Numbers of candidates to look at.
        normalized (`bool`, defaults to `False`): Compare `normalize(code)` of the language, so that layout, quotes and
            spelling variants do not count. Not the default: it changes 16 % of the Python golds of the benchmark.
        language (`str`, *optional*): Of the programs; needed if `normalized`.
        per_item (`bool`, defaults to `False`): Adds the outcome for every candidate.

    Returns:
        `dict`: See [`metrics.ranking.ranked_result`].

    Raises:
        TypeError, ValueError: See [`metrics.ranking.check_inputs`]; ValueError also for an unknown language, or none
            if `normalized`.
    """
    candidates, golds = check_inputs(predictions, references, k)
    known = None if language is None else get_language(language)
    if normalized and known is None:
        raise ValueError("`normalized` needs a `language`, whose normal form is compared")
    key = known.normalize if normalized else clean
    scores = []
    for texts, task in zip(candidates, golds):
        accepted = {key(gold) for gold in task}
        scores.append([bool(text.strip()) and key(text) in accepted for text in texts])
    return ranked_result(scores, k, per_item)


class CodeExactMatch(module.RankedMetric):
    """[`code_exact_match`] as an `evaluate` module."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=module.PAPER_CITATION,
            inputs_description=_INPUTS_DESCRIPTION,
            features=datasets.Features({"predictions": module.TEXTS, "references": module.TEXTS}),
            reference_urls=[module.PAPER_URL],
        )

    def _compute(self, predictions, references, k=(1, 3, 5), normalized=False, language=None, per_item=False):
        language = self.language_or_configured(language)
        return code_exact_match(predictions, references, k, normalized, language, per_item)
