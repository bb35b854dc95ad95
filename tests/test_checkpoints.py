"""The models that ship with the package: they load, fit, and do what their cards say."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import codefusion_hf
from codefusion_hf.data.benchmarks import read_pairs
from codefusion_hf.evaluation import generate_candidates, load
from codefusion_hf.scoring import match_scores


FIXTURES = Path(__file__).parent / "fixtures"
CASES = {
    "Color cells that have value greater than 1129": "GreaterThan(1129)",
    "highlight duplicates": "Duplicates()",
    "Apply bottom 10% from cell C2 to C13 in sheet-North": "BottomPercent(10)",
    "values between 5 and 10": "Between(5, 10)",
    "blank cells": "Blanks()",
    "top 3": "Top(3)",
    "cells that contain north": "TextContains(north)",
}
TABLE = {
    "columns": ["Name", "Grade", "Status"],
    "rows": [["Ana", "91", "Open"], ["Bo", "75", "Closed"], ["Cy", "88", "Open"]],
}


@pytest.fixture(scope="module")
def cf():
    return load("cf")


def test_every_shipped_model_is_small_and_complete():
    assert "cf" in codefusion_hf.available_checkpoints()
    for name in codefusion_hf.available_checkpoints():
        folder = Path(codefusion_hf.checkpoint_path(name))
        assert sum(file.stat().st_size for file in folder.iterdir()) < 60e6
        config = json.loads((folder / "config.json").read_text())
        assert config["dtype"] == "float32" and config["language"] == name
        card = Path(__file__).parents[1] / "model_cards" / f"{name}.md"
        assert card.read_text() == (folder / "README.md").read_text(), "copy the card that render_card.py wrote"


def test_simple_sentences(cf):
    candidates = generate_candidates(*cf, [{"nl": nl} for nl in CASES])
    assert [ranked[0]["code"] for ranked in candidates] == list(CASES.values())
    for ranked in candidates:
        assert len(ranked) == 5 and ranked[0]["valid"]


def test_columns_are_chosen_by_name(cf):
    utterances = {
        "students with a grade above 90": "GreaterThan(c[1], 90)",
        "show the open ones": "TextEquals(c[2], open)",
    }
    candidates = generate_candidates(*cf, [{"nl": nl, "table": TABLE} for nl in utterances])
    assert [ranked[0]["code"] for ranked in candidates] == list(utterances.values())


@pytest.mark.parametrize("name", ["cf", "bash", "python"])
def test_a_batch_of_eight_equals_eight_singles(name):
    model, tokenizer = load(name)
    rows = [json.loads(line)["nl"] for line in (FIXTURES / f"{name}_pairs.jsonl").read_text().splitlines()[:8]]
    together = model.generate(**tokenizer(rows, return_tensors="pt", padding=True), num_return_sequences=5, seed=0)
    texts = tokenizer.batch_decode(together, skip_special_tokens=True)
    for number, row in enumerate(rows):
        alone = model.generate(**tokenizer([row], return_tensors="pt"), num_return_sequences=5, seed=0)
        assert tokenizer.batch_decode(alone, skip_special_tokens=True) == texts[5 * number : 5 * number + 5]


def test_a_saved_copy_generates_the_same(cf, tmp_path):
    model, tokenizer = cf
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, tokens = AutoModel.from_pretrained(tmp_path).eval(), AutoTokenizer.from_pretrained(tmp_path)
    assert again.generation_config.num_inference_steps == model.generation_config.num_inference_steps
    inputs = tokens(list(CASES), return_tensors="pt", padding=True)
    assert torch.equal(again.generate(**inputs, seed=3), model.generate(**inputs, seed=3))


def test_the_challenge_has_not_got_worse(cf):
    """A floor under the card's figures, on every fifth row."""
    rows = read_pairs(FIXTURES / "cf_challenge.jsonl", "cf")[::5]
    scores = match_scores(generate_candidates(*cf, rows), rows, "cf")
    assert scores["strict_1"] >= 50 and scores["valid_1"] >= 97


def test_bash_answers_with_five_commands():
    utterances = ["Find all *.txt files under the current directory", "Print the current date"]
    first, *rest = generate_candidates(*load("bash"), [{"nl": nl} for nl in utterances])
    assert first[0]["code"].replace("'", '"') == 'find . -name "*.txt"'  # either quotes
    for ranked in (first, *rest):
        assert len({candidate["code"] for candidate in ranked}) == 5 and ranked[0]["valid"]


def test_python_answers_with_five_programs():
    cases = {
        "remove duplicates from list `a`": "list(set(a))",
        "check if key 'x' exists in dictionary `d`": "'x' in d",
        "get the length of list `items`": "len(items)",
    }
    candidates = generate_candidates(*load("python"), [{"nl": nl} for nl in cases])
    assert [ranked[0]["code"] for ranked in candidates] == list(cases.values())
    for ranked in candidates:
        assert len({candidate["code"] for candidate in ranked}) == 5 and ranked[0]["valid"]
