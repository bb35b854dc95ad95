"""Execution match of Excel conditional-formatting rules; an `evaluate` module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import evaluate

from codefusion_hf.languages.cf import Matcher
from codefusion_hf.metrics import module
from codefusion_hf.metrics.ranking import check_inputs, ranked_result


_DESCRIPTION = """\
Share of tasks for which one of the first k candidate rules highlights exactly the cells that a reference rule
highlights, on the table of the task (`top_k`) and on probe tables as well (`strict_top_k`). Rules run in a total
interpreter made for them: no Excel is needed, and nothing of a candidate runs as code.
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (`list[list[str]]`): Ranked candidates of each task; one text stands for a list of one.
    references (`list[list[str]]`): Gold rules of each task, of which a candidate has to match one.
    k (`list[int]`, defaults to `[1, 3, 5]`): Numbers of candidates to look at.
    tables (`list[dict]`, *optional*): One for each task: `{"columns": ["Name", "Score"], "rows": [["Ann", "5"], ...]}`
        with, optionally, `"column"`, the index of the selected column; or a list of rows, the header first; or `None`.
        Where there is no table, or one without rows, the probe tables alone decide.
    per_item (`bool`, defaults to `False`): Adds the outcome for every candidate.
Returns:
    `top_1`, ..., `strict_top_1`, ...: fractions; `unparsable_references`: the number of tasks none of whose golds
    parses, which are compared as normalized text; with `per_item` also `per_item` and `strict_per_item`, a list of
    0.0 or 1.0 for each task.
Examples:
    >>> metric = codefusion_hf.load_metric("cf_exec_match")
    >>> table = {"columns": ["Score"], "rows": [["5"], ["12"], ["20"]]}
    >>> metric.compute(predictions=[["Top(2)"]], references=[["GreaterThan(10)"]], tables=[table], k=[1])
    {'top_1': 1.0, 'strict_top_1': 0.0, 'unparsable_references': 0}
"""


def cf_exec_match(
    predictions: Sequence[str | Sequence[str]],
    references: Sequence[str | Sequence[str]],
    k: Sequence[int] = (1, 3, 5),
    tables: Sequence[Mapping[str, Any] | Sequence[Sequence[Any]] | None] | None = None,
    per_item: bool = False,
) -> dict[str, float | int | list[list[float]]]:
    """
    Execution match of ranked candidates with any of a task's golds.

    A candidate matches if it highlights the rows that the gold, executed on the table, highlights (the labels of the
    released benchmark are placeholders, so the gold is always executed). `strict` also demands equality on
    deterministic probe tables made of both rules' constants: boundary values, variants in case and affix, blanks,
    errors, duplicates, dates, ranks. Rules without a boolean outcome (ColorScale, DataBar, IconSet) match if kind and
    column are equal. Date rules count from a fixed day. Blank and unparseable candidates never match a rule.

    A gold that does not parse (a raw Excel formula) is compared with the candidate as normalized text, in both
    scores. Tasks all of whose golds are of that kind stay in the denominator and are counted in
    `unparsable_references`.

    Args:
        predictions (`Sequence`): Per task its candidates, best first, or one as `str`.
        references (`Sequence`): Per task its golds, or one as `str`.
        k (`Sequence[int]`, defaults to `(1, 3, 5)`): Numbers of candidates to look at.
        tables (`Sequence`, *optional*): Per task its table or `None`, see [`languages.cf.read_table`]. Without data
            rows the probe tables decide both scores.
        per_item (`bool`, defaults to `False`): Adds the outcome for every candidate.

    Returns:
        `dict`: `top_k` and `strict_top_k` for each k, fractions; `unparsable_references`, a count; if `per_item` also
        `per_item` and `strict_per_item`.

    Raises:
        TypeError, ValueError: See [`metrics.ranking.check_inputs`]; ValueError also if `tables` is no list, has
            another length than `predictions`, or holds a malformed table. Never because of a candidate.
    """
    candidates, golds = check_inputs(predictions, references, k)
    matchers = [_matcher(index, *task) for index, task in enumerate(zip(golds, _check_tables(tables, len(golds))))]
    outcomes = [[matcher.outcome(text) for text in texts] for matcher, texts in zip(matchers, candidates)]
    result = ranked_result([[outcome.execution for outcome in task] for task in outcomes], k, per_item)
    strict = ranked_result([[outcome.strict for outcome in task] for task in outcomes], k, per_item)
    result |= {f"strict_{name}": value for name, value in strict.items()}
    result["unparsable_references"] = sum(not matcher.golds for matcher in matchers)
    return result


def _check_tables(tables: Any, length: int) -> Sequence[Any]:
    if tables is None:
        return [None] * length
    if isinstance(tables, (str, bytes)) or not isinstance(tables, Sequence):
        raise ValueError(f"`tables` must be a list with one table or None per task, got {type(tables).__name__}")
    if len(tables) != length:
        raise ValueError(f"{length} predictions but {len(tables)} tables: one of each per task")
    return tables


def _matcher(index: int, golds: list[str], table: Any) -> Matcher:
    try:
        return Matcher(golds, table)
    except (TypeError, ValueError) as error:
        raise ValueError(f"tables[{index}]: {error}") from None


class CFExecMatch(module.RankedMetric):
    """[`cf_exec_match`] as an `evaluate` module."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=module.PAPER_CITATION,
            inputs_description=_INPUTS_DESCRIPTION,
            features=datasets.Features({"predictions": module.TEXTS, "references": module.TEXTS}),
            reference_urls=["https://aclanthology.org/2023.emnlp-main.716"],
        )

    def _compute(self, predictions, references, k=(1, 3, 5), tables=None, per_item=False):
        return cf_exec_match(predictions, references, k, tables, per_item)
