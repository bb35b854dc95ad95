"""Share of candidates that are programs at all; an `evaluate` module."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate

from codefusion_hf.languages import LANGUAGES, get_language
from codefusion_hf.metrics import module
from codefusion_hf.metrics.ranking import check_inputs, top_k


_DESCRIPTION = """\
Share of generated programs that are syntactically valid Python, Bash or conditional-formatting rules. Nothing is run.
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (`list[list[str]]`): Ranked candidates of each task; one text stands for a list of one.
    references: Not used; accepted so that the metric can be combined with others.
    language (`str`): `bash`, `cf` or `python`. By default the configuration name given to `evaluate.load`.
    k (`list[int]`, defaults to `[1, 3, 5]`): Numbers of candidates to look at.
    strict (`bool`, defaults to `False`): Bash only: command names must be known.
    per_item (`bool`, defaults to `False`): Adds the outcome for every candidate.
Returns:
    Fractions: `validity` of all candidates, `validity_top_1` of the first ones (the paper's Table 3),
    `validity_top_3`, ... of tasks with a valid one among the first k; for Bash `strict_validity` of all candidates;
    `num_candidates`; with `per_item` also `per_item`, a list of 0.0 or 1.0 for each task.
Examples:
    >>> metric = codefusion_hf.load_metric("code_validity")
    >>> metric.compute(predictions=[["f(", "f()"]], language="python", k=[1, 3])
    {'validity': 0.5, 'validity_top_1': 0.0, 'validity_top_3': 1.0, 'num_candidates': 2}
"""

STRICT_LANGUAGES = ("bash",)  # whose `is_valid` takes `strict`: nearly every English sentence parses as Bash


def code_validity(
    predictions: Sequence[str | Sequence[str]],
    language: str,
    k: Sequence[int] = (1, 3, 5),
    strict: bool = False,
    per_item: bool = False,
) -> dict[str, float | int | list[list[float]]]:
    """
    Syntactic validity of ranked candidates, by `is_valid` of the language: `ast.parse` (Python), tree-sitter without
    an error (Bash), the rule's grammar with arity and types (CF). Blank text is invalid.

    Args:
        predictions (`Sequence`): Per task its candidates, best first, or one as `str`.
        language (`str`): Of the programs.
        k (`Sequence[int]`, defaults to `(1, 3, 5)`): Numbers of candidates to look at.
        strict (`bool`, defaults to `False`): Bash only: `validity` also requires that every command name is a known
            utility, a builtin, a function of the program, a path or an expansion.
        per_item (`bool`, defaults to `False`): Adds the outcome for every candidate.

    Returns:
        `dict`: `validity`, the share of valid ones among all candidates; `validity_top_1`, ..., the share of tasks
        with a valid one among the first k (a task without candidates has none); for Bash `strict_validity`, as
        `validity` but always strict; `num_candidates`; with `per_item` also `per_item`, a list of 0.0 or 1.0 for each
        task.

    Raises:
        TypeError, ValueError: See [`metrics.ranking.check_inputs`]; ValueError also for an unknown language, or for
            `strict` with one that has no strict variant.
    """
    if language is None:
        raise ValueError(f"`language` is missing; available: {', '.join(LANGUAGES)}")
    is_valid = get_language(language).is_valid
    if strict and language not in STRICT_LANGUAGES:
        raise ValueError(f"`strict` is for {', '.join(STRICT_LANGUAGES)} only, got language {language!r}")
    candidates, _ = check_inputs(predictions, None, k)
    count = sum(map(len, candidates))

    def judge(**options: bool) -> list[list[bool]]:
        return [[is_valid(text, **options) for text in task] for task in candidates]

    def share(outcomes: list[list[bool]]) -> float:
        return sum(map(sum, outcomes)) / max(1, count)

    strictly = judge(strict=True) if language in STRICT_LANGUAGES else None
    chosen = strictly if strict else judge()
    result = {"validity": share(chosen)}
    result |= {f"validity_{name}": value for name, value in top_k(chosen, k).items()}
    if strictly is not None:
        result["strict_validity"] = share(strictly)
    result["num_candidates"] = count
    if per_item:
        result["per_item"] = [[float(outcome) for outcome in task] for task in chosen]
    return result


class CodeValidity(module.RankedMetric):
    """[`code_validity`] as an `evaluate` module."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=module.PAPER_CITATION,
            inputs_description=_INPUTS_DESCRIPTION,
            features=datasets.Features({"predictions": module.TEXTS}),
            reference_urls=[module.PAPER_URL],
        )

    def _compute(self, predictions, language=None, k=(1, 3, 5), strict=False, per_item=False):
        return code_validity(predictions, self.language_or_configured(language), k, strict, per_item)
