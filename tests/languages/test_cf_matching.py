"""Execution match of CF rules, plain and with probe tables."""

import json
import os
import random
from pathlib import Path

import pytest

from codefusion_hf.languages.cf import matches, normalize


DATA = Path(os.environ.get("CODEFUSION_DATA", Path(__file__).parents[3] / "shared" / "data"))
TABLE = {"columns": ["Name", "Score"], "rows": [["Ann", "5"], ["Bob", "12"], ["Cy", "20"]], "column": 1}


def test_plain_execution_compares_the_highlighted_rows():
    assert matches("GreaterThan(10)", "GreaterThan(11)", TABLE)
    assert matches("Top(2)", "GreaterThan(10)", TABLE)
    assert not matches("GreaterThan(12)", "GreaterThan(10)", TABLE)


def test_strict_execution_tells_them_apart():
    assert not matches("GreaterThan(10)", "GreaterThan(11)", TABLE, strict=True)
    assert not matches("Top(2)", "GreaterThan(10)", TABLE, strict=True)
    assert matches("NOT(LessThanEqual(10))", "NOT(LessThan(10.0))", TABLE)
    assert not matches("NOT(LessThanEqual(10))", "NOT(LessThan(10.0))", TABLE, strict=True)


EQUIVALENT = [
    ("greaterthan( 10.0 )", "GreaterThan(10)"),
    ("Between(10, 5)", "Between(5, 10)"),
    ("AND(GreaterThanEqual(5), LessThanEqual(10))", "Between(5, 10)"),
    ("NOT(Between(5, 10))", "NotBetween(5, 10)"),
    ("TextEquals('FOO')", "TextEquals(foo)"),
    ("NOT(TextContains(foo))", "TextNotContains(Foo)"),
    ("AND(Blanks(), Errors())", "AND(Today(), Blanks())"),
    ("OR(Top(1), Top(5))", "Top(5)"),
    ("GreaterThan(50%)", "GreaterThan(0.5)"),
    ("TextContains(a**b)", "TextContains(a*b)"),
    ("Equals(1/5/2024)", "Equals(2024-05-01)"),
    ("GreaterThan(c[2], c[1])", "LessThan(c[1], c[2])"),
]
DIFFERENT = [
    ("GreaterThan(10)", "GreaterThanEqual(10)"),
    ("GreaterThan(10)", "GreaterThan(10.01)"),
    ("GreaterThan(1000000)", "GreaterThan(1000001)"),
    ("NOT(GreaterThan(10))", "LessThanEqual(11)"),
    ("AND(GreaterThanEqual(25), LessThan(50))", "Between(25, 50)"),
    ("Equals(0)", "TextEquals(0)"),
    ("Equals(0)", "Blanks()"),
    ("Blanks()", "TextEquals()"),
    ("TextContains(foo)", "TextEquals(foo)"),
    ("TextContains(foo)", "TextStartsWith(foo)"),
    ("TextEndsWith(foo)", "TextContains(foo)"),
    ("TextContains(foo)", "TextContains(fo)"),
    ("TextContains(f?o)", "TextContains(foo)"),
    ("TextContains(f?o)", "TextContains(f*o)"),
    ("TextContains(f~*o)", "TextContains(f*o)"),
    ("Top(10)", "TopPercent(10)"),
    ("Top(10)", "TopPercent(5)"),
    ("Top(10)", "Top(11)"),
    ("Top(1000)", "Top(999)"),
    ("TopPercent(10)", "TopPercent(11)"),
    ("Top(3)", "Bottom(3)"),
    ("AboveAverage()", "TopPercent(50)"),
    ("AboveAverage()", "NOT(BelowAverage())"),
    ("AND(GreaterThan(50), Top(3))", "AND(GreaterThan(60), Top(3))"),
    ("Duplicates()", "NOT(Unique())"),
    ("AND(Duplicates(), GreaterThan(10))", "AND(Duplicates(), GreaterThan(10.5))"),
    ("AND(Unique(), TextContains(x))", "TextContains(x)"),
    ("Errors()", "Blanks()"),
    ("ThisWeek()", "Last7Days()"),
    ("LastMonth()", "ThisMonth()"),
    ("Today()", "Yesterday()"),
    ("GreaterThan(c[1], 5)", "GreaterThan(c[2], 5)"),
    ("LessThan(c[1], c[2])", "LessThanEqual(c[1], c[2])"),
    ("LessThan(c[1], c[2])", "LessThan(c[2], c[1])"),
    ("AND(GreaterThan(c[0], 10), TextEquals(c[1], x))", "AND(GreaterThan(c[0], 10), TextEquals(c[1], y))"),
    ("AND(Top(c[0], 3), Top(c[1], 3))", "Top(c[0], 3)"),
    ("OR(Blanks(c[0]), Blanks(c[1]))", "AND(Blanks(c[0]), Blanks(c[1]))"),
]


@pytest.mark.parametrize(("left", "right"), EQUIVALENT)
def test_equivalent_rules_match_on_the_probes(left, right):
    assert matches(left, right) and matches(right, left)
    assert matches(left, right, strict=True)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different_rules_do_not_match_on_the_probes(left, right):
    assert not matches(left, right) and not matches(right, left)


@pytest.mark.parametrize("context", [None, {}, [], {"columns": ["Index", "Value"], "rows": []}, [["Index", "Value"]]])
def test_without_rows_the_probes_decide(context):
    assert matches("GreaterThan(10)", "greaterthan(10)", context)
    assert not matches("GreaterThan(10)", "GreaterThan(11)", context)


def test_the_selected_column_may_be_named():
    assert matches("GreaterThan(c[1], 10)", "GreaterThan(10)", TABLE, strict=True)
    assert not matches("GreaterThan(c[0], 20)", "GreaterThan(20)", TABLE)
    assert matches("DataBar(c[1])", "DataBar()", TABLE)
    assert matches("Top(c[1], 2)", "Top(2)", [["Index", "Value"]])
    assert matches("Top(c[0], 2)", "Top(2)")


def test_visual_rules_compare_kind_and_column():
    assert matches("colorscale()", "ColorScale()", TABLE, strict=True)
    assert not matches("ColorScale()", "DataBar()", TABLE)
    assert not matches("DataBar(c[0])", "DataBar()", TABLE)
    assert not matches("DataBar()", "GreaterThan(10)", TABLE)
    assert not matches("GreaterThan(100)", "DataBar()", TABLE)


def test_columns_that_the_table_lacks_never_match():
    empty = {"columns": ["a"], "rows": []}
    assert not matches("Top(c[7], 1)", "Top(1)", TABLE)
    assert not matches("LessThan(c[1])", "LessThan(0)", empty)
    assert not matches("IconSet(c[99999999])", "IconSet()", TABLE)


def test_an_unparseable_reference_is_compared_as_text():
    assert matches("=IF(A2>1,  TRUE)", "=IF(A2>1, TRUE)", TABLE)
    assert not matches("=IF(A2>2, TRUE)", "=IF(A2>1, TRUE)", TABLE)
    assert not matches("", "", TABLE)


@pytest.mark.parametrize("prediction", ["", " ", "nonsense", None, 5, "Top(0)", "AND(" * 5000, "\x00\ud800"])
def test_bad_predictions_never_match_and_never_raise(prediction):
    for reference in ("GreaterThan(10)", "ColorScale()", "not a rule"):
        assert matches(prediction, reference, TABLE, strict=True) is False


def test_a_malformed_table_is_an_error_of_the_caller():
    with pytest.raises(TypeError, match="a table must be a dict or a list of rows, got int"):
        matches("Top(1)", "Top(1)", 5)


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data pack: set CODEFUSION_DATA")
def test_on_the_data():
    lines = (DATA / "prepared" / "cf_val.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    codes = sorted({normalize(row["code"]) for row in rows})
    draw = random.Random(0)
    plain = strict = 0
    for row in rows:
        assert matches(row["code"], row["code"], row["data"], strict=True)
        for other in draw.sample(codes, 10):
            if other != normalize(row["code"]):
                plain += matches(other, row["code"], row["data"])
                strict += matches(other, row["code"], row["data"], strict=True)
    assert strict == 0 < plain
