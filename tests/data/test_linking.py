"""Which words of an utterance name which column."""

import pytest

from codefusion_hf.data.linking import mentions
from codefusion_hf.data.prompts import source_text


def test_the_words_that_name_a_column_in_their_order_and_spelling():
    headers = ["SKU", "Unit Price", "On Hand", "Reorder Point"]
    assert mentions(headers, "SKUs whose stock on HAND is below the reorder point") == [
        "SKUs",
        "",
        "HAND",
        "reorder point",
    ]


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ("Salary", "salaries"),
        ("unit_price", "prices"),
        ("ShipDate", "shipped"),
        ("Rating", "rated"),
        ("Temp (°C)", "temperature"),
        ("Department", "dept"),
        ("Quantity", "qty"),
        ("Amt", "amounts"),
        ("Emp No", "employee"),
        ("Delivered", "delivery"),
        ("Address", "addresses"),
        ("Status", "statuses"),
        ("Sq Ft", "sqft"),
        ("pH", "PH"),
        ("Straße", "straße"),
        ("Q1", "q1"),
    ],
)
def test_forms_of_a_word(header, word):
    assert mentions([header, "Other"], f"mark {word} above 3") == [word, ""]


@pytest.mark.parametrize(
    ("header", "nl"),
    [
        ("Age", "agents in Leeds"),
        ("Bin", "values that begin with A"),
        ("On", "on Monday"),
        ("Sold At", "at least 3"),
        ("GD", "goal 10 difference"),
        ("Column 1", "above 1"),
        ("", "above 1"),
        ("§", "above 1"),
        ("Weight", "above 1"),
    ],
)
def test_what_only_looks_alike(header, nl):
    assert mentions([header, "Other"], nl) == ["", ""]


def test_initials():
    assert mentions(["GF", "GD"], "teams with a goal difference of -10") == ["", "goal difference"]


def test_a_column_that_has_more_of_the_words_is_meant():
    assert mentions(["Unit", "Unit Cost", "Cost"], "unit cost over 45") == ["", "unit cost", ""]
    assert mentions(["Min Temp", "Max Temp"], "temp below 5") == ["temp", "temp"]


def test_long_mentions_are_cut_and_repeated_words_shown_once():
    assert mentions(["a1 b2 c3 d4 e5"], "a1 b2 c3 d4 e5") == ["a1 b2 c3 d4"]
    assert mentions(["Total", "x"], "total or Total") == ["total", ""]


def test_the_model_reads_them_behind_the_kind_and_before_the_values():
    table = {"columns": ["Order", "Status"], "rows": [["A-1", "Cancelled"], ["A-2", "Open"]]}
    text = source_text("orders with status cancelled", table)
    assert text == "orders with status cancelled | c[0] Order text @ orders c[1] Status text @ status = Cancelled"
    assert "@" not in source_text("status open", {"columns": ["Status"], "rows": [["Open"]]})
