"""What all metrics share: checked inputs, and the score of the best of the first k candidates."""

from __future__ import annotations

import re
from collections.abc import Sequence


SURROGATE = re.compile("[\ud800-\udfff]")


def check_inputs(
    predictions: Sequence[str | Sequence[str]],
    references: Sequence[str | Sequence[str]] | None,
    k: Sequence[int] | None = None,
) -> tuple[list[list[str]], list[list[str]]]:
    """
    Candidates and golds as lists of lists of text that every library can encode: lone surrogates become U+FFFD.

    Args:
        predictions (`Sequence`): Per task the candidates, best first (may be none), or a single one as `str`.
        references (`Sequence`, *optional*): Per task the golds (at least one), or a single one as `str`. `None` for a
            metric that needs no gold; the second result is then `[]`.
        k (`Sequence[int]`, *optional*): Checked only: numbers of candidates to look at, at least 1.

    Returns:
        `tuple[list[list[str]], list[list[str]]]`: candidates and golds, one list per task.

    Raises:
        TypeError: if a candidate or a gold is no text.
        ValueError: if there is no task, if the lengths differ, if a task has no gold, or if `k` is malformed.
    """
    if k is not None:
        ok = isinstance(k, Sequence) and not isinstance(k, str) and len(k) > 0
        if not ok or any(type(count) is not int or count < 1 for count in k):
            raise ValueError(f"`k` must be a list of whole numbers from 1, e.g. [1, 3, 5], got {k!r}")
    candidates = clean_texts(predictions, "predictions")
    if not candidates:
        raise ValueError("`predictions` is empty: there is no task to score")
    if references is None:
        return candidates, []
    golds = clean_texts(references, "references")
    if len(candidates) != len(golds):
        raise ValueError(f"{len(candidates)} predictions but {len(golds)} references: one of each per task")
    if not all(golds):
        raise ValueError(f"task {golds.index([])} has no reference; every task needs at least one")
    return candidates, golds


def clean_texts(tasks: Sequence[str | Sequence[str]], name: str) -> list[list[str]]:
    """
    A list of texts per task, each of which can be encoded: lone surrogates become U+FFFD.

    Args:
        tasks (`Sequence`): Per task a list of texts, or one text.
        name (`str`): What the error calls them.

    Raises:
        TypeError: if something is no text.
    """
    if isinstance(tasks, str) or not isinstance(tasks, Sequence):
        raise TypeError(f"`{name}` must be a list with one item per task, got {type(tasks).__name__}")
    result = []
    for index, task in enumerate(tasks):
        texts = [task] if isinstance(task, str) else task
        if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
            raise TypeError(f"`{name}[{index}]` must be text or a list of texts, got {task!r:.80}")
        result.append([SURROGATE.sub("\ufffd", text) for text in texts])
    return result


def top_k(scores: Sequence[Sequence[float]], k: Sequence[int] = (1, 3, 5)) -> dict[str, float]:
    """
    `{"top_1": ..., "top_3": ..., "top_5": ...}`: the mean over tasks of the best score among the first k candidates.

    Args:
        scores (`Sequence[Sequence[float]]`): `scores[i][j]` is the score, a fraction or a bool, of candidate j of task
            i. A task without candidates counts 0.
        k (`Sequence[int]`): Numbers of candidates to look at.

    Raises:
        ValueError: if there is no task.
    """
    if not scores:
        raise ValueError("`scores` is empty: there is no task to score")
    best = {count: [max(task[:count], default=0.0) for task in scores] for count in k}
    return {f"top_{count}": float(sum(values)) / len(scores) for count, values in best.items()}


def ranked_result(
    scores: Sequence[Sequence[float]], k: Sequence[int] = (1, 3, 5), per_item: bool = False
) -> dict[str, float | list[list[float]]]:
    """
    [`top_k`] and, if `per_item`, the score of each candidate of each task under the key `"per_item"`.

    Args:
        scores (`Sequence[Sequence[float]]`): See [`top_k`].
        k (`Sequence[int]`): See [`top_k`].
        per_item (`bool`, defaults to `False`): Adds the scores themselves, as floats.
    """
    result: dict[str, float | list[list[float]]] = dict(top_k(scores, k))
    if per_item:
        result["per_item"] = [[float(score) for score in task] for task in scores]
    return result
