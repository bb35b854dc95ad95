"""Inputs that all metrics share, and top-k."""

import pytest

from codefusion_hf.metrics.ranking import check_inputs, ranked_result, top_k


def test_check_inputs_makes_lists_of_texts():
    assert check_inputs(["a", ("b", "c"), []], [["x", "y"], "z", "w"], [1, 5]) == (
        [["a"], ["b", "c"], []],
        [["x", "y"], ["z"], ["w"]],
    )
    assert check_inputs(["\ud800a\udfff"], None) == ([["\ufffda\ufffd"]], [])


@pytest.mark.parametrize(
    ("predictions", "references", "k", "error", "message"),
    [
        ([], [], None, ValueError, "`predictions` is empty"),
        (["a"], ["b", "c"], None, ValueError, "1 predictions but 2 references"),
        (["a", "b"], ["c", []], None, ValueError, "task 1 has no reference"),
        ("a", ["a"], None, TypeError, "`predictions` must be a list with one item per task, got str"),
        ([["a", None]], ["a"], None, TypeError, r"`predictions\[0\]` must be text or a list of texts"),
        (["a"], [3], None, TypeError, r"`references\[0\]` must be text or a list of texts, got 3"),
        (["a"], ["a"], [], ValueError, "`k` must be a list of whole numbers from 1"),
        (["a"], ["a"], [0], ValueError, "`k` must be"),
        (["a"], ["a"], [True], ValueError, "`k` must be"),
        (["a"], ["a"], [1.0], ValueError, "`k` must be"),
        (["a"], ["a"], 1, ValueError, "`k` must be"),
        (["a"], ["a"], "1", ValueError, "`k` must be"),
    ],
)
def test_errors_say_what_is_wrong(predictions, references, k, error, message):
    with pytest.raises(error, match=message):
        check_inputs(predictions, references, k)


def test_top_k_is_the_mean_of_the_best():
    scores = [[0.5, 0.25, 1.0], [True], [], [False, 0.5]]
    assert top_k(scores, [1, 2, 3]) == {"top_1": 0.375, "top_2": 0.5, "top_3": 0.625}
    assert ranked_result(scores, [1]) == {"top_1": 0.375}
    assert ranked_result([[True, 0.5], []], [1], per_item=True) == {"top_1": 0.5, "per_item": [[1.0, 0.5], []]}
    with pytest.raises(ValueError, match="no task"):
        top_k([], [1])
