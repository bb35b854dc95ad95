"""Semantics of CF rules, one column at a time, against outcomes worked out by hand from Excel's documentation."""

import datetime
import time

import pytest

from codefusion_hf.languages.cf import evaluate, selected_column
from codefusion_hf.languages.cf.interpreter import wildcard_matcher
from codefusion_hf.languages.cf.values import read_cell


TODAY = datetime.date(2024, 5, 15)  # a Wednesday


def highlighted(rule, cells):
    """The highlighted cells of a single column."""
    mask = evaluate(rule, {"columns": ["Value"], "rows": [[cell] for cell in cells]}, today=TODAY)
    assert len(mask) == len(cells) and all(type(outcome) is bool for outcome in mask)
    return [cell for cell, outcome in zip(cells, mask) if outcome]


@pytest.mark.parametrize(
    ("cell", "kind", "data"),
    [
        ("619.5", "number", 619.5),
        ("144.69999999999999", "number", 144.7),
        ("$1,174", "number", 1174),
        ("-$12", "number", -12),
        ("(1,234)", "number", -1234),
        ("12 €", "number", 12),
        ("50%", "number", 0.5),
        ("1e3", "number", 1000),
        ("2022-12-06", "number", 44901),
        ("2022-12-06 12:00:00", "number", 44901.5),
        ("20/8/2021", "number", 44428),
        ("8/20/2021", "number", 44428),
        ("3/4/2021", "number", 44289),
        (7, "number", 7),
        (True, "bool", True),
        ("false", "bool", False),
        ("#N/A", "error", None),
        (float("nan"), "blank", None),
        (None, "blank", None),
        ("  ", "blank", None),
        ("-", "text", "-"),
        (".", "text", "."),
        ("1,00", "text", "1,00"),
        ("31/31/2021", "text", "31/31/2021"),
        ("#hash", "text", "#hash"),
        ("nan", "text", "nan"),
        ("1e999", "text", "1e999"),
        ("٣", "text", "٣"),
        ("Yes", "text", "yes"),
    ],
)
def test_cells_are_typed(cell, kind, data):
    value = read_cell(cell)
    assert (value.kind, value.data) == (kind, data)


COMPARED = ["4", "5", "6", "", "abc", "TRUE", "#N/A"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("Equals(5)", ["5"]),
        ("NotEquals(5)", ["4", "6", "", "abc", "TRUE"]),
        ("GreaterThan(5)", ["6", "abc", "TRUE"]),  # number < text < boolean
        ("GreaterThanEqual(5)", ["5", "6", "abc", "TRUE"]),
        ("LessThan(5)", ["4", ""]),  # a blank is 0
        ("LessThanEqual(5)", ["4", "5", ""]),
        ("Equals(0)", [""]),
        ("Equals(ABC)", ["abc"]),
        ("GreaterThan(abb)", ["abc", "TRUE"]),
        ("Equals(true)", ["TRUE"]),
        ("Equals(#N/A)", []),
        ("Between(6, 5)", ["5", "6"]),
        ("NotBetween(5, 6)", ["4", "", "abc", "TRUE"]),
        ("NOT(Equals(5))", ["4", "6", "", "abc", "TRUE"]),
        ("OR(Errors(), Equals(5))", ["5", "#N/A"]),
        ("AND(NOT(Blanks()), LessThan(6))", ["4", "5"]),
        ("Blanks()", [""]),
        ("NOT(Blanks())", ["4", "5", "6", "abc", "TRUE", "#N/A"]),
        ("Errors()", ["#N/A"]),
        ("NOT(Errors())", ["4", "5", "6", "", "abc", "TRUE"]),
    ],
)
def test_comparisons_and_logic(rule, expected):
    assert highlighted(rule, COMPARED) == expected


@pytest.mark.parametrize(
    ("rule", "cells", "expected"),
    [
        ("GreaterThan(50%)", ["0.5", "51%", "1"], ["51%", "1"]),
        ("Equals(144.7)", ["144.69999999999999"], ["144.69999999999999"]),
        ("GreaterThan($100)", ["99", "101"], ["101"]),
        ("GreaterThan(2024-05-01)", ["30/4/2024", "5/20/2024", "2/5/2024"], ["5/20/2024", "2/5/2024"]),
        ("GreaterThan(13 Days)", ["10 Days", "13 days", "14 Days"], ["14 Days"]),
    ],
)
def test_typed_constants(rule, cells, expected):
    assert highlighted(rule, cells) == expected


def test_text_is_ordered_as_in_a_dictionary():
    ordered = ["-", "(", "=", "$", "€", "2x", "a", "a b", "a-b", "a.b", "a1", "ab", "elan", "Élan", "em", "zz", "я"]
    for index, text in enumerate(ordered):
        assert highlighted(f"GreaterThan('{text}')", ordered) == ordered[index + 1 :]
        assert highlighted(f"Equals('{text}')", [*ordered, "\x01", "a\t", f"{text}\x02"]) == [text]
    long = "é" * 300
    assert highlighted(f"LessThan('{long}b')", [f"{long}a", f"{long}b", f"{long}c"]) == [f"{long}a"]


WORDS = ["Apple", "pineapple", "app*le", "5", "15", "", "#N/A", 5.0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("TextContains(APPLE)", ["Apple", "pineapple"]),
        ("TextNotContains(apple)", ["app*le", "5", "15", "", "#N/A", 5.0]),
        ("NOT(TextContains(apple))", ["app*le", "5", "15", "", "#N/A", 5.0]),
        ("TextContains(5)", ["5", "15", 5.0]),
        ("TextContains(a?p*e)", ["Apple", "pineapple", "app*le"]),
        ("TextContains(p~*l)", ["app*le"]),
        ("TextContains(*)", ["Apple", "pineapple", "app*le", "5", "15", 5.0]),
        ("TextEquals(apple)", ["Apple"]),
        ("TextEquals(app*)", []),
        ("TextEquals(5.0)", ["5", 5.0]),
        ("TextEquals()", [""]),
        ("NOT(TextEquals(apple))", ["pineapple", "app*le", "5", "15", "", 5.0]),
        ("TextStartsWith(APP)", ["Apple", "app*le"]),
        ("TextStartsWith(a*)", []),
        ("TextEndsWith(Le)", ["Apple", "pineapple", "app*le"]),
        ("TextEndsWith(5)", ["5", "15", 5.0]),
    ],
)
def test_text_rules(rule, expected):
    assert highlighted(rule, WORDS) == expected


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("a*b*c", "xxaxbxcxx", True),
        ("a*b*c", "acb", False),
        ("a?c", "aac", True),
        ("a?c", "ac", False),
        ("?", "", False),
        ("ab?b", "abab?ab", True),
        ("~", "a~b", True),
        ("~~", "a~b", True),
        ("~?", "what", False),
        ("~a", "ab", True),
        ("ti~de", "ti~de", False),  # as in Excel, which wants ti~~de
    ],
)
def test_wildcards(pattern, text, expected):
    assert wildcard_matcher(pattern)(text) is expected


RANKED = ["1", "3", "3", "2", "", "x", "#N/A", "TRUE"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("Top(1)", ["3", "3"]),  # ties included
        ("Top(3)", ["3", "3", "2"]),
        ("Top(1000)", ["1", "3", "3", "2"]),
        ("Bottom(2)", ["1", "2"]),  # blanks, text and errors have no rank
        ("TopPercent(50)", ["3", "3"]),
        ("TopPercent(1)", ["3", "3"]),  # at least one cell
        ("BottomPercent(74)", ["1", "2"]),  # 2.96 cells are 2
        ("AboveAverage()", ["3", "3"]),
        ("BelowAverage()", ["1", "2"]),
    ],
)
def test_ranks(rule, expected):
    assert highlighted(rule, RANKED) == expected


def test_ranks_without_numbers_highlight_nothing():
    for rule in ("Top(1)", "Bottom(1)", "TopPercent(10)", "AboveAverage()", "BelowAverage()"):
        assert highlighted(rule, ["a", "", "#N/A"]) == []


def test_average_is_strict_and_never_overflows():
    assert highlighted("OR(AboveAverage(), BelowAverage())", ["0.1"] * 3) == []
    assert highlighted("AboveAverage()", ["1e308", "1e308", "1"]) == ["1e308", "1e308"]


def test_duplicates():
    cells = ["a", "A", "b", "12", 12, "12.0", "", "", "#N/A", "#N/A", "#REF!"]
    assert highlighted("Duplicates()", cells) == ["a", "A", "12", 12, "12.0", "#N/A", "#N/A"]
    assert highlighted("Unique()", cells) == ["b", "#REF!"]


DAYS = {
    "Yesterday": ("2024-05-14", "2024-05-14"),
    "Today": ("2024-05-15", "2024-05-15"),
    "Tomorrow": ("2024-05-16", "2024-05-16"),
    "Last7Days": ("2024-05-09", "2024-05-15"),
    "LastWeek": ("2024-05-05", "2024-05-11"),  # weeks start on Sunday
    "ThisWeek": ("2024-05-12", "2024-05-18"),
    "NextWeek": ("2024-05-19", "2024-05-25"),
    "LastMonth": ("2024-04-01", "2024-04-30"),
    "ThisMonth": ("2024-05-01", "2024-05-31"),
    "NextMonth": ("2024-06-01", "2024-06-30"),
}


@pytest.mark.parametrize("name", DAYS)
def test_date_rules(name):
    cells = [str(TODAY + datetime.timedelta(days=days)) for days in range(-100, 101)]
    found = highlighted(f"{name}()", [*cells, "45427", "x", "", "#N/A"])
    assert (found[0], found[-1]) == DAYS[name]
    assert len(found) == (datetime.date.fromisoformat(found[-1]) - datetime.date.fromisoformat(found[0])).days + 1


def test_months_wrap_around_the_year_and_times_belong_to_their_day():
    table = {"columns": ["d"], "rows": [["2023-12-31 23:59"], ["2024-01-01"], ["2024-12-01"]]}
    assert evaluate("LastMonth()", table, today=datetime.date(2024, 1, 3)) == [True, False, False]
    assert evaluate("NextMonth()", table, today=datetime.date(2023, 12, 3)) == [False, True, False]


TABLE = {"columns": ["Name", "Q1", "Q2"], "rows": [["Ann", "5", "7"], ["Bob", "8"], ["ann", "9", "9"]], "column": 1}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("GreaterThan(5)", [False, True, True]),
        ("GreaterThan(c[2], 7)", [False, False, True]),
        ("LessThan(c[1], c[2])", [True, False, False]),
        ("Equals(c[2])", [False, False, True]),
        ("Between(c[2], 5)", [True, False, True]),
        ("Between(c[1], c[2], 9)", [False, True, True]),
        ("TextContains(c[0], a)", [True, False, True]),
        ("Duplicates(c[0])", [True, False, True]),
        ("Blanks(c[2])", [False, True, False]),  # a short row ends in blanks
        ("AND(TextEquals(c[0], ann), Top(1))", [False, False, True]),
    ],
)
def test_columns(rule, expected):
    assert evaluate(rule, TABLE) == expected


def test_selected_column():
    assert selected_column(TABLE) == 1
    assert selected_column({"columns": ["a", "b"], "rows": []}) == 0
    assert selected_column([["Index", "Value", "Point"], [0, "5", "7"]]) == 1
    assert selected_column([["index"], [0]]) == 0
    assert selected_column({"columns": ["Index", "Value"], "rows": [], "column": 0}) == 0


def test_released_format():
    assert evaluate("GreaterThan(5)", [["Index", "Value"], [0, "4"], [9, "6"]]) == [False, True]


@pytest.mark.parametrize(
    ("rule", "table", "error", "reason"),
    [
        ("Top(1)", {"columns": [], "rows": []}, ValueError, "the table has no columns"),
        ("Top(1)", [], ValueError, "the table has no columns"),
        ("Top(1)", "abc", TypeError, "a table must be a dict or a list of rows, got str"),
        ("Top(1)", {"columns": ["a"], "rows": ["abc"]}, TypeError, "must be lists"),
        ("Top(1)", {"columns": ["a"], "rows": [], "header": 1}, ValueError, "unknown table key 'header'; allowed"),
        ("Top(1)", {"columns": ["a"], "rows": [], "column": 1}, ValueError, "column 1 is out of range"),
        ("Top(1)", {"columns": ["a"], "rows": [], "column": "a"}, TypeError, "must be an int, got str"),
        ("Top(c[1], 1)", {"columns": ["a"], "rows": []}, ValueError, r"c\[1\] does not exist; the table has 1"),
        ("ColorScale()", {"columns": ["a"], "rows": []}, ValueError, "no boolean outcome"),
        ("Nonsense()", {"columns": ["a"], "rows": []}, ValueError, "unknown rule"),
        (5, {"columns": ["a"], "rows": []}, TypeError, "a rule must be a string or a Node, got int"),
    ],
)
def test_errors_say_what_is_wrong(rule, table, error, reason):
    with pytest.raises(error, match=reason):
        evaluate(rule, table)


def test_work_is_bounded():
    rows = {"columns": ["a"], "rows": [["1"]] * 10_000}
    with pytest.raises(ValueError, match="too large for 10000 rows"):
        evaluate("AND(" + ", ".join(["Blanks()"] * 250) + ")", rows)
    assert not any(evaluate("AND(" + ", ".join(["Blanks()"] * 60) + ")", rows))


def test_wildcards_are_linear():
    table = {"columns": ["a"], "rows": [["ab" * 2500]] * 200}
    start = time.perf_counter()
    assert not any(evaluate("TextContains(" + "*a?" * 60 + "*c)", table))
    assert time.perf_counter() - start < 5
