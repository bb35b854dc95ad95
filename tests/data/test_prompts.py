"""What the model reads, and the spelling of what it writes."""

import pytest

from codefusion_hf.data.prompts import column_kind, humanise, restore_case, source_text


ORDERS = {
    "columns": ["order_id", "OrderStatus", "Ship Date", "Disc %", "Total"],
    "rows": [
        ["A-1", "Cancelled", "2024-05-01", "5%", "$1,200"],
        ["A-2", "Open", "2/5/2024", "7.5%", "90"],
        ["A-3", "on hold", "", "", "#N/A"],
    ],
}


def test_without_a_table_the_utterance_alone():
    assert source_text("  Highlight cells\tabove 10.  ") == "Highlight cells above 10"
    assert source_text("...") == "..."


def test_columns_carry_reference_name_kind_and_mentioned_values():
    text = source_text("Show CANCELLED orders", ORDERS)
    assert text == (
        "Show CANCELLED orders | c[0] order id text @ orders c[1] Order Status text @ orders = Cancelled "
        "c[2] Ship Date date c[3] Disc % percent c[4] Total number"
    )


def test_only_whole_values_match_and_the_longest_wins():
    table = {"columns": ["a", "b"], "rows": [["hold", "x"], ["on hold", "y"], ["old", "z"]]}
    assert "c[0] a text = on hold c[1]" in source_text("which are on hold", table)


def test_one_column_needs_no_reference():
    assert source_text("above 3", {"columns": ["Grade"], "rows": [["4"]]}) == "above 3 | Grade number"
    released = {"columns": ["Index", "Value", "Point"], "rows": [[0, "12", 3], [1, "15", 4]]}
    assert source_text("above 3", released) == "above 3 | number"


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "$2,000", "-3.5", ""], "number"),
        (["5%", "10 %"], "percent"),
        (["2024-01-01", "3/4/2021"], "date"),
        (["a", "b", "1"], "text"),
        (["", " ", "#N/A"], "empty"),
        (["1", "x"], "text"),
    ],
)
def test_column_kinds(cells, kind):
    assert column_kind(cells) == kind


def test_humanise():
    assert [humanise(h) for h in ("unit_price", "UnitPrice", " a  b ", "x|y")] == [
        "unit price",
        "Unit Price",
        "a b",
        "x y",
    ]


@pytest.mark.parametrize("table", [{"columns": []}, {"rows": [["a"]]}, {}, []])
def test_a_table_needs_columns(table):
    with pytest.raises(ValueError, match="a table needs columns"):
        source_text("above 3", table)


def test_rows_longer_than_the_header_are_refused():
    with pytest.raises(ValueError, match="row 1 of the table must be a list of at most 1"):
        source_text("x", {"columns": ["a"], "rows": [["1"], ["2", "3"]]})


def test_short_rows_are_padded():
    assert source_text("x", {"columns": ["a", "b"], "rows": [["1"], ["2", "t"]]}).endswith("c[0] a number c[1] b text")


@pytest.mark.parametrize(
    ("code", "nl", "restored"),
    [
        ("TextEquals(in progress)", "rows In Progress please", "TextEquals(In Progress)"),
        ("TextEquals(c[1], cancelled)", "the cancelled ones", "TextEquals(c[1], cancelled)"),
        ("TextEquals(c[1], open)", "nothing", "TextEquals(c[1], Open)"),
        ("AND(TextContains(c[0], a-1), Top(c[4], 5))", "A-1 top 5", "AND(TextContains(c[0], A-1), Top(c[4], 5))"),
        ("TextContains(a - 1)", "has A-1", "TextContains(A-1)"),
        ("TextEquals(unknown)", "nothing", "TextEquals(unknown)"),
        ("Duplicates(c[0])", "C[0] duplicates", "Duplicates(c[0])"),
        ("Equals(art)", "the Artist", "Equals(art)"),
    ],
)  # fmt: skip
def test_literals_get_the_spelling_of_utterance_or_table(code, nl, restored):
    assert restore_case(code, nl, ORDERS) == restored
