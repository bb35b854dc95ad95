"""Template match of Bash programs, after NL2Bash; an `evaluate` module."""

from __future__ import annotations

from collections.abc import Sequence

import datasets
import evaluate

from codefusion_hf.languages.bash import comparable, template
from codefusion_hf.metrics import module
from codefusion_hf.metrics.ranking import check_inputs, ranked_result


_DESCRIPTION = """\
Share of tasks for which one of the first k Bash programs has the template of a reference: the same utilities and
options with the same number of arguments, whatever the arguments are.
"""

_CITATION = """\
@inproceedings{lin2018nl2bash,
    title={NL2Bash: A Corpus and Semantic Parser for Natural Language Interface to the Linux Operating System},
    author={Lin, Xi Victoria and Wang, Chenglong and Zettlemoyer, Luke and Ernst, Michael D.},
    booktitle={Proceedings of LREC 2018},
    year={2018}
}
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (`list[list[str]]`): Ranked candidates of each task; one text stands for a list of one.
    references (`list[list[str]]`): Golds of each task.
    k (`list[int]`, defaults to `[1, 3, 5]`): Numbers of candidates to look at.
    mode (`str`, defaults to `"ordered"`): `"ordered"` as NL2Bash: options in the order written. `"unordered"`: sorted.
    per_item (`bool`, defaults to `False`): Adds the outcome for every candidate.
Returns:
    `top_1`, `top_3`, ...: fractions; `coverage`, `prediction_coverage`, `reference_coverage`: shares of the programs
    that have a template, the others are compared word by word; with `per_item` also `per_item`, a list of 0.0 or 1.0
    for each task.
Examples:
    >>> metric = codefusion_hf.load_metric("bash_template_match")
    >>> metric.compute(predictions=[["ls", "ls -l /tmp"]], references=[["ls -l ~"]], k=[1, 3])["top_3"]
    1.0
"""


def bash_template_match(
    predictions: Sequence[str | Sequence[str]],
    references: Sequence[str | Sequence[str]],
    k: Sequence[int] = (1, 3, 5),
    mode: str = "ordered",
    per_item: bool = False,
) -> dict[str, float | list[list[float]]]:
    """
    Template match (NL2Bash, Lin et al., 2018, section 5.1) of ranked candidates with any of a task's golds. What has
    no template is compared word by word; a blank candidate matches nothing.

    Args:
        predictions (`Sequence`): Per task its candidates, best first, or one as `str`.
        references (`Sequence`): Per task its golds, or one as `str`.
        k (`Sequence[int]`, defaults to `(1, 3, 5)`): Numbers of candidates to look at.
        mode (`str`, defaults to `"ordered"`): See [`languages.bash.templates.template`].
        per_item (`bool`, defaults to `False`): Adds the outcome for every candidate.

    Returns:
        `dict`: See [`metrics.ranking.ranked_result`]; and `coverage`, `prediction_coverage`, `reference_coverage`, the
        shares of all programs, of the candidates and of the golds that have a template (0.0 of no candidates).

    Raises:
        TypeError, ValueError: See [`metrics.ranking.check_inputs`]; ValueError also for an unknown mode.
    """
    candidates, golds = check_inputs(predictions, references, k)
    scores = []
    for texts, task in zip(candidates, golds):
        accepted = {comparable(gold, mode) for gold in task} - {()}  # () is blank text
        scores.append([comparable(text, mode) in accepted for text in texts])
    covered, total = {}, {}
    for name, tasks in {"prediction": candidates, "reference": golds}.items():
        covered[name] = sum(template(text, mode) is not None for task in tasks for text in task)
        total[name] = sum(map(len, tasks))
    result = ranked_result(scores, k, per_item)
    result["coverage"] = sum(covered.values()) / sum(total.values())
    for name in covered:
        result[f"{name}_coverage"] = covered[name] / max(1, total[name])
    return result


class BashTemplateMatch(module.RankedMetric):
    """[`bash_template_match`] as an `evaluate` module."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS_DESCRIPTION,
            features=datasets.Features({"predictions": module.TEXTS, "references": module.TEXTS}),
            reference_urls=["https://aclanthology.org/L18-1491", module.PAPER_URL],
        )

    def _compute(self, predictions, references, k=(1, 3, 5), mode="ordered", per_item=False):
        return bash_template_match(predictions, references, k, mode, per_item)
