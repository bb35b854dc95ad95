"""
`codefusion apply` against LibreOffice: the workbooks that it writes highlight what the interpreter says.

Part of `make test-oracle`.
"""

import datetime
import random
import shutil

import pytest
import random_rules
from openpyxl import Workbook, load_workbook
from openpyxl.utils import get_column_letter
from spreadsheet import COLOR, libreoffice_copy, libreoffice_version, painted_cells, write_cell

from codefusion_hf.languages.cf import evaluate
from codefusion_hf.spreadsheets import CellFormat, prepare, read_table, save


RULES_PER_KIND = 120
HEADER_ROW, FIRST_COLUMN = 3, 2  # behind a title in A1, so that no place is right by chance
LOOK = CellFormat(fill=COLOR)

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:.*extension is not supported:UserWarning"),  # openpyxl, reading back
    pytest.mark.skipif(not shutil.which("soffice"), reason="needs LibreOffice: make test-oracle installs it"),
]


def write_book(path, table):
    book = Workbook()
    sheet = book.active
    sheet["A1"] = "Report"
    for index, header in enumerate(table["columns"]):
        write_cell(sheet.cell(HEADER_ROW, FIRST_COLUMN + index), header, header=True)
        for number, row in enumerate(table["rows"], start=1):
            write_cell(sheet.cell(HEADER_ROW + number, FIRST_COLUMN + index), row[index])
    book.save(path)


def painted_column(tables, column, num_rows):
    rows = tables[0][HEADER_ROW : HEADER_ROW + num_rows]
    mask = [column < len(row) and row[column] for row in rows]
    return mask + [False] * (num_rows - len(mask))  # trailing rows that hold nothing are not in the page


def applied(case, path):
    """Applies the rule of a case to a workbook of its table."""
    column = get_column_letter(FIRST_COLUMN + case.table["column"])
    write_book(path, case.table)
    table = read_table(path, header_row=HEADER_ROW)
    highlight = prepare(case.rule, table, column)
    save(highlight, path, LOOK, overwrite=True)
    return highlight


@pytest.mark.parametrize("kind", ["numeric", "text", "date"])
def test_the_written_workbook_highlights_what_the_interpreter_says(kind, tmp_path, monkeypatch):
    today = datetime.date.today()
    monkeypatch.setattr(random_rules, "TODAY", today)  # a workbook counts from its own today
    draw = random.Random(f"apply {kind}")
    cases, highlights, paths = [], [], []
    while len(cases) < RULES_PER_KIND:
        case = random_rules.random_case(kind, draw)
        path = tmp_path / f"{len(cases)}.xlsx"
        try:
            highlights.append(applied(case, path))
        except ValueError as error:
            assert "needs dates" in str(error)  # a column that happens to be blank
            continue
        cases.append(case)
        paths.append(path)
    ours = [evaluate(case.rule, case.table, today=today) for case in cases]
    theirs = [
        painted_column(tables, FIRST_COLUMN - 1 + case.table["column"], len(case.table["rows"]))
        for case, tables in zip(cases, painted_cells(paths))
    ]
    if today != datetime.date.today():
        pytest.skip("midnight passed")
    # Trailing blank rows are outside of the table.
    counted = [highlight.mask + [False] * len(mask) for highlight, mask in zip(highlights, ours)]
    counted = [mask[: len(our)] for mask, our in zip(counted, ours)]
    rows = [highlight.table.num_rows for highlight in highlights]
    ours = [our[:height] + [False] * (len(our) - height) for our, height in zip(ours, rows)]
    assert counted == ours
    wrong = [case.rule for case, our, their in zip(cases, ours, theirs) if our != their]
    native = sum(highlight.format_rule.type != "expression" for highlight in highlights)
    telling = sum(len(set(mask)) == 2 for mask in ours)
    version = libreoffice_version().partition(" 40(")[0]
    print(
        f"\n{version}: apply, {kind} columns: {len(cases) - len(wrong)}/{len(cases)} rules, {native} of them native "
        f"formats; {telling} highlight a part of their column",
        end="",
    )
    assert wrong == []
    assert telling >= RULES_PER_KIND // 3 and native >= RULES_PER_KIND // 10


# Cells that the table of a text file does not have: formulas, white space, dates with a time, text that looks like a
# number. Column B of a sheet, and what rules on it highlight.
CELLS = [
    7,
    "",
    "  ",
    "x",
    "7",
    None,
    datetime.datetime(2024, 5, 1, 13, 20),
    datetime.datetime(2024, 5, 2),
    "=1+1",
    '=""',
    "a\nb",
    'say "hi"',
    -3,
    0.1 + 0.2,
]
RULES = [
    "Equals(0)",
    "LessThan(5)",
    "GreaterThan(5)",
    "Blanks()",
    "NOT(Blanks())",
    "NOT(Equals(x))",
    "Equals('')",
    "NotEquals('')",
    "TextEquals(7)",
    "TextContains(7)",
    "TextContains(*)",
    "TextContains('')",
    "TextNotContains('')",
    "TextContains(c[1], c[2])",
    "TextStartsWith(c[1], c[2])",
    "Equals(c[1], c[2])",
    "NOT(TextEquals(c[1], c[2]))",
    "TextContains(a*b)",
    "TextEquals('a\nb')",
    "TextEquals('say \"hi\"')",
    "TextContains(0.3)",
    "Equals(0.3)",
    "TextStartsWith(=)",
    "Duplicates()",
    "Unique()",
    "Bottom(2)",
    "BelowAverage()",
    "Between('', x)",
    "OR(Blanks(), GreaterThan(0))",
]


def test_cells_that_only_a_workbook_has(tmp_path):
    paths, ours = [], []
    for number, rule in enumerate(RULES):
        path = tmp_path / f"{number}.xlsx"
        book = Workbook()
        sheet = book.active
        sheet.append(["name", "cell", "other"])
        for row, cell in enumerate(CELLS, start=2):
            sheet.cell(row, 1, f"row {row}")
            sheet.cell(row, 3, (None, "x", 7, "?", 0)[row % 5])
            target = sheet.cell(row, 2, cell)
            if cell == "=1+1":
                target.data_type = "s"
            elif isinstance(cell, str) and not cell:
                target._value, target.data_type = "", "s"
        book.save(path)
        highlight = prepare(rule, read_table(path), "B")
        save(highlight, path, LOOK, overwrite=True)
        paths.append(path)
        ours.append(highlight.mask)
    for rule, our, tables in zip(RULES, ours, painted_cells(paths)):
        their = [row[1] for row in tables[0][1:]]
        assert [CELLS[k] for k in range(len(CELLS)) if our[k]] == [CELLS[k] for k in range(len(CELLS)) if their[k]], (
            rule
        )


def test_dates_counted_from_1904(tmp_path):
    days = [[f"2024-0{month}-1{day}"] for month in (4, 5, 6) for day in (0, 1)]
    rules = ["GreaterThan(2024-05-10)", "TextContains(-05-)", "TextEquals(2024-05-11)", "Top(1)", "LessThan(45413)"]
    rules += ["Between(2024-04-11, 2024-05-10)", "NOT(Equals(2024-05-10))"]
    paths, ours = [], []
    for number, rule in enumerate(rules):
        path = tmp_path / f"{number}.xlsx"
        book = Workbook()
        book.epoch = datetime.datetime(1904, 1, 1)
        book.active.append(["day"])
        for [day] in days:
            book.active.append([datetime.datetime.fromisoformat(day)])
        book.save(path)
        assert load_workbook(path).epoch.year == 1904
        highlight = prepare(rule, read_table(path))
        save(highlight, path, LOOK, overwrite=True)
        paths.append(path)
        ours.append(highlight.mask)
        assert ours[-1] == evaluate(rule, {"columns": ["day"], "rows": days, "column": 0}), rule
    for rule, our, tables in zip(rules, ours, painted_cells(paths)):
        assert [row[0] for row in tables[0][1:]] == our, rule


def test_a_workbook_that_libreoffice_wrote(tmp_path):
    """Its XML is not that of openpyxl; and its copy of the result shows that it knows every kind of rule."""
    table = {"columns": ["n", "t"], "rows": [[str(n), f"x{n}"] for n in range(20)], "column": 0}
    write_book(tmp_path / "book.xlsx", table)
    path = libreoffice_copy(tmp_path / "book.xlsx", tmp_path / "theirs")
    rules = ["Top(3)", "DataBar()", "IconSet()", "ColorScale()", "TextEquals(c[1], x7)", "Between(5, 6)"]
    masks = []
    for rule in rules:
        highlight = prepare(rule, read_table(path, header_row=HEADER_ROW), "n")
        save(highlight, path, None if highlight.is_visual else LOOK, overwrite=True)
        masks.append([False] * 20 if highlight.is_visual else highlight.mask)
    [tables] = painted_cells([path])
    assert painted_column(tables, FIRST_COLUMN - 1, 20) == [any(cells) for cells in zip(*masks)]
    again = load_workbook(libreoffice_copy(path, tmp_path / "again"))
    kinds = [rule.type for entry in again.active.conditional_formatting for rule in entry.rules]
    assert sorted(kinds) == ["cellIs", "colorScale", "dataBar", "expression", "iconSet", "top10"]
