"""chrF against values worked out by hand from its definition (Popovic, 2015)."""

import random
from collections import Counter

import pytest

from codefusion_hf.metrics.chrf import chrf, chrf_scores, chrf_top_k


@pytest.mark.parametrize(
    ("prediction", "reference", "score"),
    [
        ("print(x)", "print(x)", 1),
        ("x = [1,\n 2]", "x=[1, 2]", 1),  # whitespace does not count
        ("a", "a", 1),  # one order is enough
        ("abc", "xyz", 0),
        # n = 1: P 2/2, R 2/3; n = 2: P 1/1, R 1/2; n = 3: the prediction is too short. P 1, R 7/12, 5PR / (4P + R).
        ("ab", "abc", 7 / 11),
        # The other way round: P 7/12, R 1.
        ("abc", "ab", (5 * 7 / 12) / (4 * 7 / 12 + 1)),
        # Repeated n-grams match as often as the gold has them: P 1/4, R 1.
        ("aaaa", "a", 1.25 / 2),
        # n = 1: 2 of 2; n = 2: 0 of 1.
        ("ab", "ba", 0.5),
        ("", "x", 0),
        (" \n", "x", 0),
        ("x", " ", 0),
        ("", "", 0),
    ],
)
def test_values_by_hand(prediction, reference, score):
    assert chrf(prediction, reference) == pytest.approx(score)


def test_equals_the_definition_written_out():
    """F of the mean precision and recall over the orders, by brute force."""
    rng = random.Random(0)

    def clipped(one, other, n):
        grams, others = ([text[i : i + n] for i in range(len(text) - n + 1)] for text in (one, other))
        return sum(min(grams.count(gram), others.count(gram)) for gram in set(grams)) / len(grams)

    for _ in range(200):
        one, other = ("".join(rng.choices("abc(", k=rng.randint(6, 20))) for _ in range(2))
        precision = sum(clipped(one, other, n) for n in range(1, 7)) / 6
        recall = sum(clipped(other, one, n) for n in range(1, 7)) / 6
        expected = 5 * precision * recall / (4 * precision + recall) if precision + recall else 0
        assert chrf(one, other) == pytest.approx(expected)


def test_the_nearest_gold_and_the_best_candidate_count():
    predictions, references = [["ab", "abc"], [], [""]], [["zz", "abc"], ["x"], ["x"]]
    assert chrf_scores(predictions, references) == [pytest.approx([7 / 11, 1]), [], [0]]
    assert chrf_top_k(predictions, references, [1, 3]) == pytest.approx({"top_1": 7 / 33, "top_3": 1 / 3})


def test_hostile_text_costs_little():
    assert chrf("\ud800" * 10, "\x00") == 0
    assert 0 < chrf("a" * 3_000_000, "a" * 10) < 1
    assert Counter(map(type, chrf_scores([["\ud800"]], [["\ud800"]])[0])) == {float: 1}


def test_wrong_inputs():
    with pytest.raises(ValueError, match="2 predictions but 1 references"):
        chrf_top_k([["a"], ["b"]], [["a"]])
    with pytest.raises(ValueError, match="has no reference"):
        chrf_top_k([["a"]], [[]])
