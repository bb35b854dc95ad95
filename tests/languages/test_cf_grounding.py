"""Rules that cannot come from what the user wrote: the ranking puts them last."""

from pathlib import Path

import pytest

from codefusion_hf.data.benchmarks import read_pairs
from codefusion_hf.evaluation import rank_candidates
from codefusion_hf.languages.cf import is_grounded


TABLE = {"columns": ["Name", "Grade"], "rows": [["Ana", "91"]]}


@pytest.mark.parametrize(
    ("code", "nl"),
    [
        ("GreaterThan(c[1], 1129)", "Color cells above 1,129"),
        ("GreaterThan(c[1], 45.5)", "over $45.50"),
        ("GreaterThan(c[1], 5)", "over 5.0 please"),
        ("GreaterThan(c[1], 5000)", "more than 5k"),
        ("GreaterThan(c[1], 9)", "more than nine"),
        ("Between(c[1], 0.5, 20%)", "between 0.5 and 20 %"),
        ("LessThan(c[1], -5)", "colder than -5 degrees"),
        ("TextEquals(c[0], Brake pad)", "says “brake  PAD”"),
        ("TextEquals(c[0], Refund)", "all refunds"),
        ("TextEndsWith(c[0], -R)", "codes that end in -R"),
        ("TextStartsWith(c[0], 'a, b')", "starts with a, b"),
        ("Equals(c[1], 2024-03-05)", "on 5 March 2024"),
        ("AND(Top(c[1], 3), NOT(Blanks(c[0])))", "the 3 best with a name"),
        ("LessThan(c[0], c[1])", "name before grade"),
    ],
)
def test_grounded(code, nl):
    assert is_grounded(code, nl, TABLE)


@pytest.mark.parametrize(
    ("code", "nl"),
    [
        ("GreaterThan(c[1], 11299)", "Color cells above 1,129"),
        ("GreaterThan(c[1], 29)", "Color cells above 1129"),
        ("LessThan(c[1], 1.55)", "below 1.5"),
        ("TextStartsWith(c[0], tidew)", "starting with Tidewater"),
        ("TextEquals(c[0], paid)", "still Unpaid"),
        ("TextEquals(c[0], paid)", "still Paid2"),
        ("GreaterThan(c[2], 90)", "above 90"),
        ("LessThan(c[0], c[2])", "less than 90"),
        ("TextEquals(c[0], Transit 3500)", "model Transit 350"),
        ("Equals(c[1], 2034-03-05)", "on 5 March 2024"),
        ("OR(Equals(c[1], 77), Equals(c[1], 71))", "either 71 or 72"),
        ("GreaterThan(", "above 90"),
    ],
)
def test_not_grounded(code, nl):
    assert not is_grounded(code, nl, TABLE)


def test_without_a_table_any_column_will_do():
    assert is_grounded("GreaterThan(c[7], 90)", "above 90")


def test_gold_rules_are_grounded():
    rows = read_pairs(Path(__file__).parents[1] / "fixtures" / "cf_dev.jsonl", "cf")
    grounded = [is_grounded(row["code"], row["nl"], row["table"]) for row in rows]
    assert sum(grounded) / len(rows) > 0.97


def test_ranking_puts_ungrounded_behind_grounded_and_invalid_last():
    texts = ["GreaterThan(c[1], 90", "GreaterThan(c[1], 900001)", "GreaterThan(c[1], 90)", "GreaterThan(c[4], 90)"]
    ranked = rank_candidates(texts, [-0.1, -0.2, -0.3, -0.4], {"nl": "grade above 90", "table": TABLE}, "cf")
    codes = [candidate["code"] for candidate in ranked]
    assert codes == [texts[2], texts[1], texts[3], texts[0]]
    assert [candidate["valid"] for candidate in ranked] == [True, True, True, False]
