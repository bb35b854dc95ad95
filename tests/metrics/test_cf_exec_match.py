"""Execution match of CF rules: the definition by examples, hostile candidates, errors of the caller, speed."""

import time

import pytest

from codefusion_hf import metrics
from codefusion_hf.metrics.cf_exec_match.cf_exec_match import cf_exec_match


TABLE = {"columns": ["Name", "Score"], "rows": [["Ann", "5"], ["Bob", "12"], ["Cy", "20"]], "column": 1}


def outcome(prediction, gold, table=TABLE):
    """(execution, strict) of one candidate."""
    result = cf_exec_match([[prediction]], [[gold]], k=[1], tables=[table])
    assert result.keys() == {"top_1", "strict_top_1", "unparsable_references"}
    return result["top_1"], result["strict_top_1"]


@pytest.mark.parametrize(
    ("prediction", "gold", "expected"),
    [
        ("GreaterThan(10)", "GreaterThan(10)", (1, 1)),
        ("greaterthan( 10.0 )", "GreaterThan(c[1], 10)", (1, 1)),
        ("NOT(LessThanEqual(10))", "GreaterThan(10)", (1, 1)),
        ("NOT(LessThan(10))", "GreaterThanEqual(10)", (1, 1)),
        ("AND(GreaterThanEqual(5), LessThanEqual(12))", "Between(5, 12)", (1, 1)),
        ("GreaterThan(11)", "GreaterThan(10)", (1, 0)),  # equal on the table, not on the probes
        ("Top(2)", "GreaterThan(10)", (1, 0)),
        ("GreaterThan(12)", "GreaterThan(10)", (0, 0)),
        ("GreaterThan(c[0], 10)", "GreaterThan(10)", (0, 0)),
        ("GreaterThan(c[7], 10)", "GreaterThan(10)", (0, 0)),
        ("LessThan(100)", "LessThan(1000)", (1, 0)),  # everything
        ("Errors()", "GreaterThan(1000)", (1, 0)),  # nothing
        ("ColorScale()", "colorscales(c[1])", (1, 1)),  # visual rules: kind and column
        ("DataBar(c[0])", "DataBar(c[1])", (0, 0)),
        ("DataBar()", "ColorScale()", (0, 0)),
        ("DataBar()", "LessThan(1000)", (0, 0)),
        ("Errors()", "IconSet()", (0, 0)),
        ("", "GreaterThan(10)", (0, 0)),
        (" \n", "Errors()", (0, 0)),
        ("highlight", "Errors()", (0, 0)),
    ],
)
def test_definition(prediction, gold, expected):
    assert outcome(prediction, gold) == expected


@pytest.mark.parametrize("table", [None, {}, [], {"columns": ["Name", "Score"], "rows": []}, [["Index", "Score"]]])
def test_without_rows_the_probe_tables_decide_both_scores(table):
    assert outcome("GreaterThan(10.0)", "GreaterThan(10)", table) == (1, 1)
    assert outcome("Between(10, 5)", "Between(5, 10)", table) == (1, 1)
    assert outcome("GreaterThan(11)", "GreaterThan(10)", table) == (0, 0)
    assert outcome("Top(2)", "GreaterThan(10)", table) == (0, 0)


def test_sixty_tables_with_a_header_only():
    golds = [[f"GreaterThan({n})"] if n % 2 else [f"Top({n + 1})"] for n in range(60)]
    near = [[f"GreaterThanEqual({n})"] if n % 2 else [f"Top({n + 2})"] for n in range(60)]
    tables = [[["Index", "Value", "Point"]]] * 60
    everything = cf_exec_match(golds, golds, tables=tables)
    assert everything["top_1"] == everything["strict_top_1"] == 1
    nothing = cf_exec_match(near, golds, tables=tables)
    assert nothing["top_5"] == nothing["strict_top_5"] == 0


def test_ranked_candidates_and_several_references():
    predictions = [["Top(1)", "GreaterThan(11)", "GreaterThan(10)"], ["Blanks()"] * 4 + ["Bottom(1)"], []]
    references = [["GreaterThan(10)", "Top(7)"], ["Errors(c[0])", "LessThan(6)"], ["Top(1)"]]
    result = cf_exec_match(predictions, references, k=[1, 2, 3, 5], tables=[TABLE] * 3, per_item=True)
    assert result == {
        "top_1": pytest.approx(1 / 3),  # Blanks() and Errors() both highlight nothing
        "top_2": pytest.approx(2 / 3),
        "top_3": pytest.approx(2 / 3),
        "top_5": pytest.approx(2 / 3),
        "per_item": [[0, 1, 1], [1, 1, 1, 1, 1], []],
        "strict_top_1": 0,
        "strict_top_2": 0,
        "strict_top_3": pytest.approx(1 / 3),
        "strict_top_5": pytest.approx(1 / 3),
        "strict_per_item": [[0, 0, 1], [0, 0, 0, 0, 0], []],
        "unparsable_references": 0,
    }


def test_golds_that_do_not_parse_are_compared_as_text_and_counted():
    formula = "=SUMPRODUCT($A2=$A3)"
    predictions = [["=SUMPRODUCT($A2=$A3)  "], ["=SUMPRODUCT($A2=$A4)"], [" "], ["Top(2)"]]
    result = cf_exec_match(predictions, [[formula], [formula], [" "], [formula, "Top(2)"]], k=[1], tables=[TABLE] * 4)
    assert result == {"top_1": 0.5, "strict_top_1": 0.5, "unparsable_references": 3}


HOSTILE = [
    "\x00",
    "\ud800",
    "AND(" * 5000,
    "NOT(" * 31 + "Top(1)" + ")" * 31,
    "AND(" + ", ".join(["Blanks()"] * 250) + ")",
    "TextContains(" + "*a" * 1500 + "b)",
    "TextContains(" + "?x" * 1900 + ")",
    "OR(" + ", ".join(f"TextContains(*a{i}?)" for i in range(150)) + ")",
    "OR(" + ", ".join(f"TopPercent({i})" for i in range(1, 100)) + ")",
    "OR(" + ", ".join(f"GreaterThan(é{i})" for i in range(200)) + ")",
    "Top(1e308)",
    "Top(1000000)",
    "Top(nan)",
    "Equals(" + "9" * 4000 + ")",
    "GreaterThan(c[99999999], 1)",
    "__import__('os').system('false')",
]


@pytest.mark.parametrize("index", range(len(HOSTILE)))
def test_hostile_candidates_neither_raise_nor_hang(index):
    rows = [["ab" * 500], ["é" * 1000], ["1"], [""]] * 250
    start = time.process_time()
    for gold in ("GreaterThan(10)", "TextContains(ab)", "ColorScale()", "=A1"):
        for table in ({"columns": ["a"], "rows": rows}, None):
            assert outcome(HOSTILE[index], gold, table) == (0, 0)
    assert time.process_time() - start < 10


def test_a_rule_too_large_for_its_table_matches_only_itself():
    bomb = "AND(" + ", ".join(["Blanks()"] * 250) + ")"
    table = {"columns": ["a"], "rows": [["1"]] * 10_000}
    assert outcome(bomb, bomb, table) == (1, 1)
    assert outcome(bomb, "Blanks()", table) == outcome("Blanks()", bomb, table) == (0, 0)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (TABLE, "`tables` must be a list with one table or None per task, got dict"),
        ("abc", "`tables` must be a list with one table or None per task, got str"),
        ([TABLE], "2 predictions but 1 tables: one of each per task"),
        ([None, 5], r"tables\[1\]: a table must be a dict or a list of rows, got int"),
        ([None, {"columns": ["a"], "rows": [5]}], r"tables\[1\]: the columns, the rows and each row .* must be lists"),
        ([None, {"columns": ["a"], "rows": [], "column": 3}], r"tables\[1\]: the selected column 3 is out of range"),
        ([None, {"headers": ["a"], "rows": [["1"]]}], r"tables\[1\]: unknown table key 'headers'"),
    ],
)
def test_bad_tables_are_one_line_errors(tables, message):
    with pytest.raises(ValueError, match=message) as caught:
        cf_exec_match([["Top(1)"], ["Top(1)"]], [["Top(1)"], ["Top(1)"]], tables=tables)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("k", [[], [0], [True], "1", 3])
def test_bad_k_is_refused(k):
    with pytest.raises(ValueError, match="`k` must be"):
        cf_exec_match([["Top(1)"]], [["Top(1)"]], k=k)


def test_the_clock_does_not_matter():
    today = time.strftime("%Y-%m-%d")
    table = {"columns": ["day"], "rows": [[today], ["2024-05-15"]]}
    assert outcome("Today()", "Equals(2024-05-15)", table) == (1, 0)


def test_a_thousand_tasks_take_seconds():
    golds = [[f"AND(GreaterThan({n}), NOT(TextContains(a{n})))"] for n in range(1000)]
    # equal to the gold but written differently, so that all probes are needed, and four near misses
    equal = [f"AND(NOT(TextContains(A{n})), GreaterThan({n}))" for n in range(1000)]
    predictions = [
        [f"GreaterThan({n})", f"AND(GreaterThan({n + 0.5}), NOT(TextContains(b)))", "Top(3)", "Duplicates()", equal[n]]
        for n in range(1000)
    ]
    tables = [{"columns": ["a"], "rows": [[str(n + row)] for row in range(-25, 25)]} for n in range(1000)]
    start = time.process_time()
    result = cf_exec_match(predictions, golds, tables=tables)
    assert time.process_time() - start < 20
    assert (result["top_1"], result["strict_top_3"], result["strict_top_5"]) == (1, 0, 1)


def test_as_an_evaluate_module():
    metric = metrics.load_metric("cf_exec_match")
    arguments = dict(k=[1, 3], tables=[TABLE, None], per_item=True)
    predictions, references = [["Top(2)", "\ud800"], []], [["GreaterThan(10)"], ["Top(1)"]]
    result = metric.compute(predictions=predictions, references=references, **arguments)
    assert result == cf_exec_match(predictions, references, **arguments)
    assert (result["top_1"], result["strict_top_3"]) == (0.5, 0)
    flat = metric.compute(predictions=["Top(2)"], references=["Top(2)"])
    assert flat["top_5"] == flat["strict_top_1"] == 1
    with pytest.raises(ValueError, match="1 predictions but 2 tables"):
        metric.compute(predictions=["Top(2)"], references=["Top(2)"], tables=[None, None])
