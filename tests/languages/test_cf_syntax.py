"""Parser and printer of CF rules: every spelling in, one canonical form out."""

import json
import os
from pathlib import Path

import pytest

from codefusion_hf.languages.cf import (
    SIGNATURES,
    Column,
    Node,
    canonicalize,
    is_valid,
    normalize,
    parse,
    spans,
    unparse,
)


DATA = Path(os.environ.get("CODEFUSION_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.parametrize(
    ("code", "canonical"),
    [
        ("GreaterThan(10)", "GreaterThan(10)"),
        (" greaterthan ( 10 ) ", "GreaterThan(10)"),
        ("GreaterThanEquals(1)", "GreaterThanEqual(1)"),
        ("lessThanEqual(1)", "LessThanEqual(1)"),
        ("GreaterThan(+1,000.50)", "GreaterThan(1000.5)"),
        ("GreaterThan(10.0)", "GreaterThan(10)"),
        ("GreaterThan(-0.0)", "GreaterThan(0)"),
        ("GreaterThan(.5)", "GreaterThan(0.5)"),
        ("LessThan(2E+36)", "LessThan(2e36)"),
        ("GreaterThan(50.0%)", "GreaterThan(50%)"),
        ("GreaterThan('5')", "GreaterThan(5)"),
        ("GreaterThan($E$13)", "GreaterThan($E$13)"),
        ("GreaterThan(13 Days)", "GreaterThan(13 Days)"),
        ("GreaterThan(2024-05-01)", "GreaterThan(2024-05-01)"),
        ("Equals(Smith, John)", "Equals(Smith, John)"),
        ("GreaterThan(c[ 3 ],10)", "GreaterThan(c[3], 10)"),
        ("GreaterThan(c[3])", "GreaterThan(c[3])"),
        ("LessThan(C[4], c[3])", "LessThan(c[4], c[3])"),
        ("Between(6,4)", "Between(6, 4)"),
        ("Between(1,000, 2,000)", "Between(1000, 2000)"),
        ("Between(c[1], 5, 10)", "Between(c[1], 5, 10)"),
        ("Between(c[1], c[2], c[3])", "Between(c[1], c[2], c[3])"),
        ("Between(c[1], 10)", "Between(c[1], 10)"),
        ("Between('a, b', c)", "Between('a, b', 'c')"),
        ("NotBetween(1, 2)", "NotBetween(1, 2)"),
        ("top(10%)", "TopPercent(10)"),
        ("Bottom(1%)", "BottomPercent(1)"),
        ("TopPercent(10%)", "TopPercent(10)"),
        ("Top(c[1],2)", "Top(c[1], 2)"),
        ("aboveAverage()", "AboveAverage()"),
        ("belowaverage( c[0] )", "BelowAverage(c[0])"),
        ("Duplicate()", "Duplicates()"),
        ("NotBlanks()", "NOT(Blanks())"),
        ("Not(blank())", "NOT(Blanks())"),
        ("StartsWith(abc)", "TextStartsWith(abc)"),
        ("TextEquals()", "TextEquals()"),
        ('TextEquals("")', "TextEquals()"),
        ("TextEquals(c[0], '')", "TextEquals(c[0], '')"),
        ('TextEquals("In Progress")', "TextEquals(In Progress)"),
        ("TextEquals('it''s')", "TextEquals(it's)"),
        ("TextContains(don't)", "TextContains(don't)"),
        ("TextEquals('')')", "TextEquals('')')"),
        ("TextContains( in progress )", "TextContains(in progress)"),
        ("TextContains(' x ')", "TextContains(' x ')"),
        ("TextContains(c[0], in progress)", "TextContains(c[0], in progress)"),
        ("TextContains('c[0]')", "TextContains('c[0]')"),
        ("TextContains(c[0], c[1])", "TextContains(c[0], c[1])"),
        ("TextContains(Non-pooled, en)", "TextContains(Non-pooled, en)"),
        ("TextContains(Yes-adhoc(if needed)", "TextContains(Yes-adhoc(if needed)"),
        ("TextContains(G*/Sin(Delta) 67°C)", "TextContains(G*/Sin(Delta) 67°C)"),
        ("TextContains(0.50)", "TextContains(0.50)"),
        ("TextEquals(選必)", "TextEquals(選必)"),
        ('AND(Top(1),OR(NOT(TextEquals("A")),Blanks()))', "AND(Top(1), OR(NOT(TextEquals(A)), Blanks()))"),
        ("AND(TextContains(a, b), LessThan(5))", "AND(TextContains('a, b'), LessThan(5))"),
        ("AND(TextContains(:)), LessThan(5))", "AND(TextContains(':)'), LessThan(5))"),
        ("OR(TextContains(:(), LessThan(5))", "OR(TextContains(':('), LessThan(5))"),
        ("OR(TextContains('x), Top(1'), LessThan(5))", "OR(TextContains('x), Top(1'), LessThan(5))"),
        ("OR(TextContains(don't), TextContains(won't))", "OR(TextContains(don't), TextContains(won't))"),
    ],
)  # fmt: skip
def test_canonical_form(code, canonical):
    assert canonicalize(code) == canonical
    assert canonicalize(canonical) == canonical
    assert parse(canonical) == parse(code)


def test_tree():
    assert parse("AND(LessThan(c[4], c[3]), TextEquals(Yes))") == Node(
        "AND", (Node("LessThan", (Column(3),), column=4), Node("TextEquals", ("Yes",)))
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "blank"),
        ("GreaterThan", "expected a call"),
        ("GreaterThan(10", "expected a call"),
        ("=GreaterThan(10)", "expected a call"),
        ("SUMPRODUCT(1)", "unknown rule 'SUMPRODUCT'; available: Equals"),
        ("GreaterThan()", "GreaterThan needs a value"),
        ("GreaterThan(5, 10)", "GreaterThan takes one value, got '5, 10'"),
        ("GreaterThan(LEN(c[0]))", "not an expression"),
        ("GreaterThan(c[0]*2)", "not an expression"),
        ("Between(5)", "Between takes two values"),
        ("Between(1, 2, 3)", "Between takes two values"),
        ("Top()", "Top needs a value"),
        ("Top(many)", "Top takes a number"),
        ("Top(0)", "whole number from 1 to 1000"),
        ("Top(1001)", "whole number from 1 to 1000"),
        ("Top(-1)", "whole number from 1 to 1000"),
        ("Top(2.5)", "whole number from 1 to 1000"),
        ("Top(1e2)", "whole number from 1 to 1000"),
        ("Top(١)", "Top takes a number"),
        ("top(150%)", "whole number from 1 to 100"),
        ("Top(c[1], c[2])", "Top takes a number"),
        ("Blanks(5)", "Blanks takes no value"),
        ("AND(Blanks())", "AND takes two or more operands, got 1"),
        ("NOT(Blanks(), Errors())", "followed by another|takes no value"),
        ("AND(DataBar(), Blanks())", "DataBar has no boolean outcome"),
        ("AND(Blanks(), foo)", "expected a call"),
        ("TextContains(a), TextContains(b)", "followed by another rule"),
        ("Top(c[16384], 1)", "the last one is c\\[16383\\]"),
        ("Top(c[99999999], 1)", "does not exist"),
        ("NOT(" * 32 + "Blanks()" + ")" * 32, "at most 32 levels"),
        ("OR(" + ", ".join(["Blanks()"] * 256) + ")", "256 calls"),
        ("TextEquals(" + "a" * 4096 + ")", "at most 4096"),
    ],
)
def test_errors_say_what_is_wrong(code, reason):
    with pytest.raises(ValueError, match=reason):
        parse(code)
    assert not is_valid(code)
    assert spans(code) == []


def test_limits_are_inclusive():
    assert is_valid("NOT(" * 31 + "Blanks()" + ")" * 31)
    assert is_valid("OR(" + ", ".join(["Blanks()"] * 255) + ")")
    assert is_valid("TextEquals(" + "a" * 4084 + ")")


def test_not_a_string():
    with pytest.raises(TypeError, match="a rule must be a string, got int"):
        parse(5)
    assert not is_valid(None)


def test_nodes_check_their_name_and_operands():
    with pytest.raises(ValueError, match="unknown rule 'top'; available"):
        Node("top", ("5",))
    with pytest.raises(ValueError, match=r"Between takes 2 operand\(s\), got 1"):
        Node("Between", ("5",))


@pytest.mark.parametrize("name", [name for name, signature in SIGNATURES.items() if signature.group != "logic"])
def test_every_rule_takes_a_column(name):
    values = ("5", "10")[: SIGNATURES[name].values]
    node = Node(name, values, column=3)
    assert unparse(node) == f"{name}({', '.join(['c[3]', *values])})"
    assert parse(unparse(node).lower()) == node


@pytest.mark.parametrize(
    "text", ["", " ", "'", "''", "'a'", '"', "a,b", "(", ")", "), Top(1", "c[1], x", "'a', 'b", "a\nb"]
)
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("column", [None, 2])
def test_any_text_survives_printing(text, nested, column):
    node = Node("TextContains", (text,), column)
    if nested:
        node = Node("OR", (Node("NOT", (node,)), node, Node("Top", ("3",))))
    assert parse(unparse(node)) == node


def test_normalize_folds_the_case_of_text():
    assert normalize("AND(textequals('Foo'),Top(5))") == normalize("AND(TextEquals(FOO), top( 5 ))")
    assert normalize("TextEquals(Foo)") == "TextEquals(foo)"
    assert canonicalize("TextEquals(Foo)") == "TextEquals(Foo)"
    assert normalize(" not  a\nrule ") == "not a rule"


def test_spans_mark_names_and_columns_only():
    code = "AND( GreaterThan(c[ 3 ], 10),NOT(TextContains('c[1] Top(1)')))"
    found = [(code[span.start : span.end], span.kind) for span in spans(code)]
    assert found == [
        ("AND", "keyword"),
        ("GreaterThan", "keyword"),
        ("c[ 3 ]", "identifier"),
        ("NOT", "keyword"),
        ("TextContains", "keyword"),
    ]


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the data pack: set CODEFUSION_DATA")
def test_the_data_parses_and_round_trips():
    raw = json.loads((DATA / "raw" / "CFRuleBenchmarks.train-only.json").read_text(encoding="utf-8"))["train"]
    lines = (DATA / "prepared" / "cf_pretrain.jsonl").read_text(encoding="utf-8").splitlines()
    for codes, parsed in (([row["Code"] for row in raw], 710), ([json.loads(line)["code"] for line in lines], 3669)):
        valid = [code for code in codes if is_valid(code)]
        assert len(valid) >= parsed
        assert [code for code in valid if parse(canonicalize(code)) != parse(code)] == []
