"""
The interpreter of CF rules against LibreOffice: `make test-oracle` (not part of `make test`, it needs `soffice`).

Every rule is translated into a formula, LibreOffice paints the cells, and the painted cells must be the ones that our
interpreter highlights. docs/cf-semantics.md quotes the figures that this prints, and explains the known differences.
"""

import datetime
import random
import shutil

import pytest
from random_rules import TODAY, random_case
from spreadsheet import Case, libreoffice_masks, libreoffice_version

from codefusion_hf.languages.cf import Column, Node, evaluate, parse
from codefusion_hf.languages.cf.values import read_cell
from codefusion_hf.spreadsheets.formats import native_is_exact


SEEDS = (0, 1, 2)
RULES_PER_SEED = 500
PERIODS = (
    "Yesterday Today Tomorrow Last7Days LastWeek ThisWeek NextWeek LastMonth ThisMonth NextMonth"  # Excel's ten
).split()

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(not shutil.which("soffice"), reason="needs LibreOffice: make test-oracle installs it"),
]


def random_cases(kind: str, seed: int) -> list[Case]:
    draw = random.Random(f"{kind} {seed}")
    return [random_case(kind, draw) for _ in range(RULES_PER_SEED)]


def our_masks(cases: list[Case]) -> list[list[bool]]:
    return [evaluate(case.rule, case.table, today=TODAY) for case in cases]


def leaves(node: Node) -> list[Node]:
    if node.signature.group != "logic":
        return [node]
    return [leaf for operand in node.args for leaf in leaves(operand)]


def report(text: str) -> None:
    print(f"\n{libreoffice_version().partition(' 40(')[0]}: {text}", end="")


def explained(case: Case, ours: list[bool], theirs: list[bool]) -> bool:
    """
    Whether every cell that differs is a number in a column of dates and numbers, or is compared with one, under a text
    rule: docs/cf-semantics.md.
    """
    node = parse(case.rule)
    columns = [[read_cell(cell) for cell in cells] for cells in zip(*case.table["rows"])]
    mixed = {
        index
        for index, cells in enumerate(columns)
        if len({cell.is_date for cell in cells if cell.kind == "number"}) == 2
    }
    texts = [leaf for leaf in leaves(node) if leaf.signature.group == "text"]
    read = {case.table["column"] if leaf.column is None else leaf.column for leaf in texts}
    read |= {arg.index for leaf in texts for arg in leaf.args if isinstance(arg, Column)}
    return all(
        our == their or any(columns[index][row].kind == "number" for index in read & mixed)
        for row, (our, their) in enumerate(zip(ours, theirs))
    )


@pytest.mark.parametrize(
    ("kind", "least", "decided"), [("numeric", 1.0, 900), ("text", 1.0, 700), ("date", 1.0, 800), ("mixed", 0.96, 900)]
)
def test_equivalent_formulas(kind, least, decided):
    """`least`: share of rules with equal masks; `decided`: rules that highlight some cells and not others."""
    equal = total = cells = equal_cells = telling = 0
    different, unexplained = [], []
    for seed in SEEDS:
        cases = random_cases(kind, seed)
        for case, ours, theirs in zip(cases, our_masks(cases), libreoffice_masks(cases, today=TODAY)):
            total += 1
            equal += ours == theirs
            cells += len(ours)
            equal_cells += sum(our == their for our, their in zip(ours, theirs))
            telling += len(set(ours)) == 2
            if ours != theirs:
                different.append(f"{case.rule} [{sum(our != their for our, their in zip(ours, theirs))}]")
            if not explained(case, ours, theirs):
                unexplained.append((case, ours, theirs))
    report(
        f"formulas, {kind} columns: {equal}/{total} rules = {equal / total:.2%}, {equal_cells / cells:.3%} of "
        f"{cells} cells; {telling} rules highlight a part of their column"
    )
    print("".join(f"\n  differs [in cells]: {rule}" for rule in different), end="")
    assert total >= 1000 and telling >= decided
    assert unexplained == []
    assert equal / total >= least


def test_and_or_as_functions():
    """Excel's AND and OR fail on any error; ours can be decided by one operand. Nothing else may differ."""
    cases = random_cases("mixed", seed=0)
    differ = 0
    for case, ours, theirs, as_functions in zip(
        cases,
        our_masks(cases),
        libreoffice_masks(cases, today=TODAY),
        libreoffice_masks(cases, today=TODAY, excel_logic=True),
    ):
        differ += ours != as_functions
        if theirs != as_functions:
            assert parse(case.rule).signature.group == "logic" and {"#N/A", "#DIV/0!"} & {*sum(case.table["rows"], [])}
    report(f"AND and OR as the functions, mixed columns: {len(cases) - differ}/{len(cases)} rules")
    assert differ / len(cases) < 0.12


def like_excel(case: Case) -> bool:
    """Whether a single rule is outside the differences that docs/cf-semantics.md lists."""
    texts = [row[case.table["column"]] for row in case.table["rows"]]
    return native_is_exact(parse(case.rule), [read_cell(text) for text in texts], texts)


@pytest.mark.parametrize(("kind", "comparable"), [("numeric", 150), ("text", 150), ("mixed", 40)])
def test_native_formats(kind, comparable):
    """Where LibreOffice reads Excel's rule types as Excel documents them, they agree with us."""
    equal = total = inside = 0
    wrong = []
    for seed in SEEDS:
        cases = [case for case in random_cases(kind, seed) if parse(case.rule).signature.group != "date"]
        for case, ours, theirs in zip(cases, our_masks(cases), libreoffice_masks(cases, native=True)):
            if theirs is None:
                continue
            total += 1
            equal += ours == theirs
            if like_excel(case):
                inside += 1
                if ours != theirs:
                    wrong.append((case, ours, theirs))
    report(
        f"native formats, {kind} columns: {equal}/{total} rules = {equal / total:.2%}; outside the known differences "
        f"{inside - len(wrong)}/{inside}"
    )
    assert wrong == [] and inside >= comparable


def test_native_periods():
    """The ten date rules, counted from LibreOffice's own today."""
    for _ in range(2):  # midnight may pass
        today = datetime.date.today()
        days = [[str(today + datetime.timedelta(days=days))] for days in range(-65, 66)]
        cases = [Case(f"{name}()", {"columns": ["day"], "rows": days, "column": 0}) for name in PERIODS]
        native, formulas = libreoffice_masks(cases, native=True), libreoffice_masks(cases)
        if today == datetime.date.today():
            break
    ours = [evaluate(case.rule, case.table, today=today) for case in cases]
    assert all(any(mask) for mask in ours)
    assert native == formulas == ours
    report("native date rules: 10/10 periods")


# Rule, cells of one column, and what is highlighted by us, by LibreOffice's formula and by its native format.
DIFFERENCES = [
    ("TextContains(2024)", ["2024-05-01", "x 2024"], ["2024-05-01", "x 2024"], ["2024-05-01", "x 2024"], ["x 2024"]),
    ("TextContains(2024)", ["2024-05-01", "7", "8"], ["2024-05-01"], [], []),
    ("TextContains(7)", ["2024-05-01", "2024-06-01", "7"], ["7"], [], ["7"]),
    ("TextContains(5.0)", ["5.0", "x"], ["5.0"], [], []),
    ("Equals(ss)", ["SS", "ß"], ["SS", "ß"], ["SS"], ["SS"]),
    ("GreaterThan(o)", ["ø", "p"], ["ø", "p"], ["ø", "p"], ["ø", "p"]),
    ("GreaterThan(z)", ["ø", "α"], ["ø", "α"], ["α"], ["α"]),
    ("TextEquals(5)", ["5", "x"], ["5"], ["5"], []),
    ("TextContains(a*c)", ["abc", "x"], ["abc"], ["abc"], []),
    ("GreaterThan(5)", ["4", "x"], ["x"], ["x"], []),
    ("LessThan(5)", ["#N/A", "4"], ["4"], ["4"], ["#N/A", "4"]),
    ("TopPercent(10)", ["1", "2", "3"], ["3"], ["3"], []),
    ("Bottom(1)", ["1", "2", ""], ["1"], ["1"], ["1", ""]),
    ("BelowAverage()", ["1", "3", ""], ["1"], ["1"], ["1", ""]),
    ("Duplicates()", ["a", "A", "b"], ["a", "A"], ["a", "A"], []),
    ("Unique()", ["a", "", "b"], ["a", "b"], ["a", "b"], ["a", "", "b"]),
    ("Duplicates()", ["#N/A", "#N/A", "#DIV/0!"], ["#N/A", "#N/A"], ["#N/A", "#N/A"], ["#N/A", "#N/A", "#DIV/0!"]),
]


def test_known_differences():
    """Each line of the list in docs/cf-semantics.md, so that the list stays true."""
    cases = [
        Case(rule, {"columns": ["a"], "rows": [[cell] for cell in cells], "column": 0})
        for rule, cells, *_ in DIFFERENCES
    ]
    formulas, natives = libreoffice_masks(cases), libreoffice_masks(cases, native=True)
    for (rule, cells, *expected), ours, formula, native in zip(DIFFERENCES, our_masks(cases), formulas, natives):
        found = [[cell for cell, painted in zip(cells, mask) if painted] for mask in (ours, formula, native)]
        assert found == expected, rule
