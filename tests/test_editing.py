"""Drafts and templates as text: what reaches `generate`, and how what comes back is ranked."""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from codefusion_hf import editing
from codefusion_hf.editing import fill_candidates, templates
from codefusion_hf.evaluation import load, rank_candidates
from codefusion_hf.languages.cf.grounding import is_grounded


UTTERANCE = "Color cells that have value greater than 1129"


@pytest.fixture(scope="module")
def loaded(tiny_cf):
    return load(str(tiny_cf))


def shown(tokenizer, template):
    """The tokens of a template, `?` in its holes."""
    tokens = tokenizer.convert_ids_to_tokens(template["infill_ids"][0].tolist())
    return ["?" if hole else token for token, hole in zip(tokens, template["infill_mask"][0])]


def allowed(tokenizer, template, length=32):
    """The tokens that a template's processor lets through at the positions where it forbids any."""
    scores = torch.zeros(length, len(tokenizer))
    found = template["logits_processor"](torch.zeros(length, length, dtype=torch.long), scores)
    rows = {i: row for i, row in enumerate(found) if row.isinf().any()}
    return {
        i: set(tokenizer.convert_ids_to_tokens(row.isfinite().nonzero()[:, 0].tolist())) for i, row in rows.items()
    }


def test_a_hole_has_every_size(loaded):
    _, tokenizer = loaded
    found = [shown(tokenizer, template) for template in templates(tokenizer, "Top(____)", hole_tokens=[1, 3])]
    assert found == [["Top(", "?", ")", "</s>"], ["Top(", "?", "?", "?", ")", "</s>"]]
    assert len(templates(tokenizer, "Top(____)")) == 8
    both = [shown(tokenizer, template) for template in templates(tokenizer, "Between(____, ____)", hole_tokens=(1, 2))]
    assert [row.count("?") for row in both] == [2, 3, 3, 4]
    assert both[1] == ["Between(", "?", ", ", "?", "?", ")", "</s>"]
    assert shown(tokenizer, templates(tokenizer, "Top(________)", hole_tokens=1)[0]) == found[0], "two marks, one hole"


def test_only_what_fits_on_the_canvas_is_tried(loaded):
    _, tokenizer = loaded
    found = templates(tokenizer, "Top(____)", max_length=6)
    assert [template["infill_ids"].shape[1] for template in found] == [4, 5, 6]
    assert [template["max_length"] for template in found] == [6, 6, 6]
    assert templates(tokenizer, "Top(____)")[0]["max_length"] == 6


def test_a_hole_may_cut_a_token_in_two(loaded):
    _, tokenizer = loaded
    rule, long_rule = templates(tokenizer, "____(3)", hole_tokens=[1, 2])
    assert shown(tokenizer, rule) == ["?", "Ġ3", ")", "</s>"] and shown(tokenizer, long_rule)[:3] == ["?", "?", "Ġ3"]
    assert {"Top(", "AND(", "("} <= allowed(tokenizer, rule)[0]
    assert all(token.endswith("(") for token in allowed(tokenizer, rule)[0]) and list(
        allowed(tokenizer, long_rule)
    ) == [1]
    column, two = templates(tokenizer, "Top(c[____], 3)", hole_tokens=[1, 2])
    assert shown(tokenizer, column) == ["Top(", "?", ", ", "Ġ3", ")", "</s>"]
    assert allowed(tokenizer, column) == {1: {f"c[{number}]" for number in range(16)}}
    assert list(allowed(tokenizer, two)) == [1, 2]
    assert templates(tokenizer, "Top(____)", hole_tokens=1)[0]["logits_processor"] is None


def test_a_tokenizer_that_does_not_split_at_the_hole_is_refused():
    words = Tokenizer(models.WordLevel({"Top(0)": 0, "0": 1, "?": 2}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?")
    with pytest.raises(ValueError, match="cannot tell ____ from the text beside it: set it off with spaces"):
        templates(tokenizer, "Top(____)")
    assert templates(tokenizer, "a ____ b", hole_tokens=1)[0]["infill_mask"].tolist() == [[False, True, False]]


def test_all_but_the_holes_is_kept(loaded):
    candidates = fill_candidates(
        *loaded, {"nl": UTTERANCE}, "OR(TextEquals(Pass), ____(1129))", num_return_sequences=8
    )
    assert len(candidates) > 1
    for candidate in candidates:
        code = candidate["code"].replace("'", "")  # which a literal with brackets gets
        word = "Pass" if candidate["valid"] else "pass"  # what does not parse keeps the tokenizer's spelling
        assert code.startswith(f"OR(TextEquals({word}), ") and code.endswith("(1129))")


def test_literals_of_a_draft_are_given(loaded, monkeypatch):
    told = []

    def spy(texts, scores, example, language):
        told.append(example["nl"])
        return rank_candidates(texts, scores, example, language)

    monkeypatch.setattr(editing, "rank_candidates", spy)
    settings = {"num_inference_steps": 2, "strength": 0.0}
    kept = editing.edit_candidates(*loaded, {"nl": "cells that say so"}, "AND(top(77), TextEquals(PASS))", **settings)
    assert kept == [{"code": "AND(Top(77), TextEquals(PASS))", "score": 0.0, "valid": True}], "spelled as given"
    assert is_grounded("OR(Bottom(77), TextEquals(so))", told[0]) and not is_grounded("Bottom(78)", told[0])
    assert not is_grounded("TextEquals('PASS))')", told[0]), "a literal ends where it ends"


def test_the_seed_decides(loaded):
    arguments = (*loaded, {"nl": UTTERANCE}, "OR(____, ____)")
    settings = {"hole_tokens": 3, "num_inference_steps": 2}
    first = fill_candidates(*arguments, seed=0, **settings)
    assert first == fill_candidates(*arguments, seed=0, **settings) != fill_candidates(*arguments, seed=1, **settings)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"hole_tokens": 0}, ValueError, "hole_tokens must be >= 1, got 0"),
        ({"hole_tokens": []}, ValueError, "0 sizes"),
        ({"hole_tokens": "3"}, TypeError, "hole_tokens must be an int, got str"),
        ({"num_return_sequences": 0}, ValueError, "num_return_sequences must be >= 1"),
        ({"diversity_penalty": 1.0}, ValueError, "diversity_penalty needs holes of one size"),
        ({"temperature": 1.0}, ValueError, "temperature"),
        ({"colour": 1}, TypeError, "`colour`, which is unknown"),
    ],
)
def test_bad_arguments_are_refused(loaded, settings, error, message):
    with pytest.raises(error, match=message):
        fill_candidates(*loaded, {"nl": UTTERANCE}, "Top(____)", **settings)
