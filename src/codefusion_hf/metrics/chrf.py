"""chrF: F-score of character n-grams (Popovic, WMT 2015), a smooth score for programs that no test can run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from codefusion_hf.metrics.ranking import check_inputs, ranked_result


MAX_ORDER = 6
BETA = 2.0
MAX_CHARACTERS = 20_000  # longer text is cut: a program that long is no answer, and counting must stay cheap


def chrf(prediction: str, reference: str) -> float:
    """
    chrF of one prediction: with P and R the precision and recall of character n-grams, each averaged over n = 1..6,
    (1 + b²) P R / (b² P + R) with b = 2. Whitespace does not count, as in the paper; an order that one of the texts is
    too short for is left out (as in sacreBLEU). Blank text scores 0.

    Args:
        prediction (`str`): Any text.
        reference (`str`): The gold.

    Returns:
        `float`: 0 to 1; 1 if the texts differ in whitespace only.
    """
    return _f_score(_ngrams(prediction), _ngrams(reference))


def chrf_scores(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> list[list[float]]:
    """
    The chrF of every candidate with the nearest of the task's golds.

    Args:
        predictions (`Sequence[Sequence[str]]`): Per task the candidates, best first.
        references (`Sequence[Sequence[str]]`): Per task the golds.

    Returns:
        `list[list[float]]`: One score for each candidate, 0 to 1.

    Raises:
        TypeError, ValueError: see [`check_inputs`].
    """
    predictions, references = check_inputs(predictions, references)
    scores = []
    for candidates, golds in zip(predictions, references):
        counted = [_ngrams(gold) for gold in golds]
        scores.append([max(_f_score(_ngrams(text), gold) for gold in counted) for text in candidates])
    return scores


def chrf_top_k(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], k: Sequence[int] = (1, 3, 5)
) -> dict[str, float]:
    """
    `{"top_1": ..., "top_3": ..., "top_5": ...}`: the mean over tasks of the best chrF among the first k candidates.
    Arguments and errors as for [`chrf_scores`] and `ranking.top_k`.
    """
    return ranked_result(chrf_scores(predictions, references), k)


def _ngrams(text: str) -> list[Counter[str]]:
    text = "".join(text.split())[:MAX_CHARACTERS]
    return [Counter(text[i : i + n] for i in range(len(text) - n + 1)) for n in range(1, MAX_ORDER + 1)]


def _f_score(guess: list[Counter[str]], gold: list[Counter[str]]) -> float:
    # An order needs n-grams on both sides: without any, its precision or its recall is not defined.
    orders = [(a, b) for a, b in zip(guess, gold) if a and b]
    if not orders:
        return 0.0
    hits = [(a & b).total() for a, b in orders]
    precision = sum(hit / a.total() for hit, (a, _) in zip(hits, orders)) / len(orders)
    recall = sum(hit / b.total() for hit, (_, b) in zip(hits, orders)) / len(orders)
    if precision + recall == 0:
        return 0.0
    return (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)
