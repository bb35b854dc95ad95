"""Shares of valid programs."""

import pytest

from codefusion_hf.metrics.code_validity.code_validity import code_validity


def test_shares():
    predictions = [["f(", "f()"], ["x = 1", "", " "], [], "# a comment"]
    assert code_validity(predictions, "python", k=[1, 2], per_item=True) == {
        "validity": 2 / 6,
        "validity_top_1": 1 / 4,
        "validity_top_2": 2 / 4,
        "num_candidates": 6,
        "per_item": [[0.0, 1.0], [1.0, 0.0, 0.0], [], [0.0]],
    }
    assert code_validity([[]], "cf", k=[1]) == {"validity": 0.0, "validity_top_1": 0.0, "num_candidates": 0}


def test_english_is_bash_but_not_strictly():
    predictions = [["ls -l"], ["sort the list of names"], ["show all files"], ["if then"]]
    plain, strict = code_validity(predictions, "bash", k=[1]), code_validity(predictions, "bash", k=[1], strict=True)
    assert plain == {"validity": 0.75, "validity_top_1": 0.75, "strict_validity": 0.5, "num_candidates": 4}
    assert strict == {"validity": 0.5, "validity_top_1": 0.5, "strict_validity": 0.5, "num_candidates": 4}


def test_errors():
    for arguments, message in (
        ({"language": None}, "`language` is missing; available: bash, cf, python"),
        ({"language": "sql"}, "unknown language 'sql'"),
        ({"language": "python", "strict": True}, "`strict` is for bash only, got language 'python'"),
        ({"language": "python", "k": [0]}, "`k` must be"),
    ):
        with pytest.raises(ValueError, match=message):
            code_validity(["x"], **arguments)
