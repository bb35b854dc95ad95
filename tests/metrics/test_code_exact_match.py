"""Exact match of text and of normal forms."""

import pytest

from codefusion_hf.metrics.code_exact_match.code_exact_match import code_exact_match


@pytest.mark.parametrize(
    ("prediction", "reference", "expected"),
    [
        (" ls\n", "ls", True),
        ("a\r\nb\rc", "a\nb\nc", True),
        ("a  b", "a b", False),
        ("A", "a", False),
        ("", "", False),
        (" \n", "", False),
    ],
)
def test_raw(prediction, reference, expected):
    assert code_exact_match([prediction], [reference], k=[1]) == {"top_1": float(expected)}


@pytest.mark.parametrize(
    ("language", "prediction", "reference", "other"),
    [
        ("python", 'print( "a" )  # b', "print('a')", "print('b')"),
        ("bash", "ls   -l", "ls -l", "ls -a"),
        ("cf", "greaterthan( 10.0 )", "GreaterThan(10)", "GreaterThan(11)"),
    ],
)
def test_normalized(language, prediction, reference, other):
    predictions, references = [[other, prediction]], [[reference]]
    assert code_exact_match(predictions, references, k=[1, 2]) == {"top_1": 0.0, "top_2": 0.0}
    normalized = code_exact_match(predictions, references, k=[1, 2], normalized=True, language=language)
    assert normalized == {"top_1": 0.0, "top_2": 1.0}
    assert code_exact_match([" "], [" "], normalized=True, language=language)["top_1"] == 0


def test_several_golds_and_per_item():
    result = code_exact_match([["c", "b"], []], [["a", "b"], ["a"]], k=[1, 2], per_item=True)
    assert result == {"top_1": 0.0, "top_2": 0.5, "per_item": [[0.0, 1.0], []]}


def test_errors():
    with pytest.raises(ValueError, match="`normalized` needs a `language`"):
        code_exact_match(["a"], ["a"], normalized=True)
    with pytest.raises(ValueError, match="unknown language 'cobol'; available: bash, cf, python"):
        code_exact_match(["a"], ["a"], language="cobol")
