"""Table 2's figures, worked out by hand."""

import math

import pytest
import torch
from transformers import AutoTokenizer, RobertaModel

from codefusion_hf.metrics.code_diversity.code_diversity import (
    MAX_CHARS,
    code_diversity,
    edit_distances,
    embed,
    ngram_fraction,
)


def test_equal_candidates():
    result = code_diversity([["a b c d e"] * 5])
    assert [result[f"ngram_{n}"] for n in (1, 2, 3, 4)] == [0.2, 0.16, 0.12, 0.08]
    assert [result[f"edit_distance_{name}"] for name in ("min", "max", "mean")] == [0, 0, 0]
    assert (result["tokenizer"], result["denominator"]) == ("regex", "tokens")
    assert (result["num_tasks"], result["num_excluded"]) == (1, 0)


@pytest.mark.parametrize(
    ("tokenizer", "denominator", "expected"),
    [
        # f ( x ) and f ( y )
        ("regex", "tokens", [5 / 8, 5 / 8, 4 / 8, 2 / 8]),
        ("regex", "ngrams", [5 / 8, 5 / 6, 4 / 4, 2 / 2]),
        ("whitespace", "tokens", [2 / 2, 0, 0, 0]),
        ("whitespace", "ngrams", [2 / 2, None, None, None]),
        ("char", "tokens", [5 / 8, 5 / 8, 4 / 8, 2 / 8]),
    ],
)
def test_ngrams(tokenizer, denominator, expected):
    assert [ngram_fraction(["f(x)", "f(y)"], n, tokenizer, denominator) for n in (1, 2, 3, 4)] == expected


def test_edit_distance_is_divided_by_the_longer_one():
    assert edit_distances(["abc", "abd", "ab"]) == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert edit_distances(["abcd", "", ""]) == [1, 1, 0]
    assert edit_distances(["x" * MAX_CHARS, "x" * MAX_CHARS + "y"]) == [0]


def test_tasks_without_a_pair_are_excluded_and_means_are_over_the_others():
    result = code_diversity([["a", "a"], ["a", "b"], ["a"], [], ["", " "]], per_item=True)
    assert (result["num_tasks"], result["num_excluded"]) == (3, 2)
    assert result["ngram_1"] == pytest.approx((0.5 + 1) / 2)  # the blank task has no token
    assert result["edit_distance_mean"] == pytest.approx((0 + 1 + 1) / 3)
    assert result["per_item"][2] is None and result["per_item"][4]["ngram_1"] is None
    nothing = code_diversity([["a"]], language="python")
    assert nothing["distinct_programs"] is None
    assert nothing["ngram_1"] is None and nothing["edit_distance_max"] is None and nothing["num_excluded"] == 1


def test_distinct_programs():
    result = code_diversity([["f( x )", "f(x)", "f(y)", "f("]], language="python")
    assert result["distinct_programs"] == 3 / 4


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_embeddings_are_those_of_the_encoder(tiny_encoder, pooling):
    texts = ["GreaterThan(10)", "Top(5)", "", "x\0 é" * 400]
    vectors = embed(texts, tiny_encoder, pooling=pooling)
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_encoder), RobertaModel.from_pretrained(tiny_encoder).eval()
    for text in texts[:2]:
        inputs = tokenizer(text, return_tensors="pt")
        special = tokenizer.get_special_tokens_mask(inputs.input_ids[0].tolist(), already_has_special_tokens=True)
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state[0]
        expected = hidden[0] if pooling == "cls" else hidden[torch.tensor(special) == 0].mean(0)
        expected = torch.nn.functional.normalize(expected, dim=-1)
        assert torch.allclose(torch.tensor(vectors[text]), expected, atol=1e-5)
    result = code_diversity(
        [["Top(5)", "Top(5)", "Bottom(1)"], ["", "", ""]], embedding_model=tiny_encoder, pooling=pooling
    )
    assert result["embedding_similarity_max"] == pytest.approx(1, abs=1e-5)
    left, right = embed(["Top(5)", "Bottom(1)"], tiny_encoder, pooling=pooling).values()
    cosine = math.fsum(x * y for x, y in zip(left, right))
    assert result["embedding_similarity_min"] == pytest.approx((cosine + 1) / 2, abs=1e-5)
    assert result["pooling"] == pooling
    nothing = code_diversity(["a"], embedding_model=tiny_encoder, pooling=pooling)
    assert nothing["embedding_similarity_mean"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokenizer": "bpe"}, "unknown `tokenizer` 'bpe'; available: regex, whitespace, char"),
        ({"denominator": "types"}, "unknown `denominator` 'types'; available: tokens, ngrams"),
        ({"pooling": "max"}, "unknown `pooling` 'max'; available: mean, cls"),
        ({"language": "sql"}, "unknown language 'sql'"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        code_diversity([["a", "b"]], **options)
