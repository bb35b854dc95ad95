import datetime
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import openpyxl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openpyxl.chart import BarChart, Reference
from openpyxl.drawing.image import Image
from openpyxl.formatting.rule import CellIsRule
from openpyxl.styles import PatternFill
from PIL import Image as Picture

from codefusion_hf import cli
from codefusion_hf.languages.cf import Node, evaluate, parse
from codefusion_hf.spreadsheets import (
    CellFormat,
    assess,
    check_output,
    choose,
    package,
    prepare,
    prompt_columns,
    read_table,
    report,
    save,
    write_preview,
)
from codefusion_hf.spreadsheets.formulas import ESCAPE, Area, formula


HEADER = ["Name", "Grade", "Status", "Due"]
ROWS = [
    ["Ann", 7, "open", datetime.datetime(2024, 5, 1)],
    ["Bob", 91, "closed", datetime.datetime(2024, 6, 1, 13, 20)],
    ["=cmd|' /C calc'!A0", 55, "Open", None],
    ["<script>alert(1)</script>", None, "on hold", datetime.datetime(2024, 5, 9)],
    ["Eve", 91.5, None, datetime.datetime(2023, 5, 9)],
]

pytestmark = pytest.mark.filterwarnings("ignore:.*extension is not supported:UserWarning")  # openpyxl, reading back

AREA = Area(letters=("B", "C"), selected=0, first=2, last=9)
HOSTILE = [
    '"&HYPERLINK("http://example.com","click")&"',
    "=cmd|' /C calc'!A0",
    '")+WEBSERVICE("http://example.com")+("',
    "it's \"quoted\", isn't it",
    "two\nlines and a\ttab",
    "<x>&amp;]]>",
    "+1-1",
    "@SUM(A1)",
    "{=A1:A9}",
    'x"",""y',
    '"' * 40,
    "🎉" * 120,
    "_x0022_&WEBSERVICE(A1)&_x0022_",
]
FUNCTIONS = set(
    "AND OR NOT IF IFERROR ISNUMBER ISERROR ISTEXT LEN TRIM SEARCH LEFT RIGHT CHAR NA DATE TIME COUNT MIN MAX INT "
    "_xlfn.AGGREGATE SUMPRODUCT ISNA ISERR".split()
)


def write_book(path, rows=(HEADER, *ROWS), sheet="Grades"):
    book = openpyxl.Workbook()
    book.active.title = sheet
    for number, row in enumerate(rows, start=1):
        for column, value in enumerate(row, start=1):
            cell = book.active.cell(number, column, value)
            if isinstance(value, str):
                cell.data_type = "s"
    book.save(path)
    return path


@pytest.fixture
def book(tmp_path):
    return write_book(tmp_path / "grades.xlsx")


def formats(path, sheet="Grades"):
    """Range, kind, formulas and fill of the conditional formats of a sheet, in their order."""
    rules = openpyxl.load_workbook(path)[sheet].conditional_formatting
    found = [(rule.priority, str(entry.sqref), rule) for entry in rules for rule in entry.rules]
    return [
        (cells, rule.type, rule.formula, rule.dxf and rule.dxf.fill and rule.dxf.fill.bgColor.rgb)
        for _, cells, rule in sorted(found, key=lambda entry: entry[0])
    ]


def parts(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path, change):
    """Changes the parts of a workbook by a function of their dict."""
    content = parts(path)
    content = change(content) or content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def apply(path, rule, column=None, output=None, **options):
    highlight = prepare(rule, read_table(path), column)
    output = output or path.with_name("out" + path.suffix)
    save(highlight, output, overwrite=True, **options)
    return highlight, output


def run(capsys, *argv):
    try:
        status = cli.main(["apply", *map(str, argv)])
    except SystemExit as exit:
        status = exit.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def fails(capsys, *argv):
    """The message of a command that must fail with one line."""
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert err.startswith("codefusion: error: ") and err.count("\n") == 1
    return err


# --- rules and what they highlight


@pytest.mark.parametrize(
    ("rule", "column", "rows", "kind"),
    [
        ("GreaterThan(50)", "B", [1, 2, 4], "expression"),
        ("TopPercent(20)", "grade", [4], "expression"),
        ("LessThan(8)", "B", [0, 3], "expression"),  # a blank is 0
        ("GreaterThan(c[1], 50)", "Name", [1, 2, 4], "expression"),
        ("TextContains(c[0], '=cmd|')", None, [2], "containsText"),
        ("AND(TextEquals(c[2], open), GreaterThan(c[1], 50))", None, [2], "expression"),
        ("NOT(TextEquals(c[2], OPEN))", None, [1, 3, 4], "expression"),
        ("Blanks()", "C", [4], "containsBlanks"),
        ("Errors()", "C", [], "containsErrors"),
        ("TextStartsWith(2024-05)", "Due", [0, 3], "expression"),
        ("GreaterThan(2024-05-09)", "D", [1], "expression"),
        ("Equals(2024-06-01 13:20)", "D", [1], "expression"),
        ("ThisMonth()", "D", [0, 3], "timePeriod"),
        ("ColorScale()", "B", [0, 1, 2, 4], "colorScale"),
        ("DataBar(c[1])", None, [0, 1, 2, 4], "dataBar"),
        ("IconSet()", "B", [0, 1, 2, 4], "iconSet"),
    ],
)
def test_rules_become_conditional_formats(book, tmp_path, rule, column, rows, kind):
    highlight = prepare(rule, read_table(book), column, today=datetime.date(2024, 5, 15))
    assert [row for row, shown in enumerate(highlight.mask) if shown] == rows
    save(highlight, tmp_path / "out.xlsx")
    [(cells, found, texts, fill)] = formats(tmp_path / "out.xlsx")
    assert (cells, found) == (highlight.range, kind)
    assert texts == highlight.format_rule.formula
    assert fill == (None if highlight.is_visual else "FFFFC7CE")


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ("Top(3)", "top10"),
        ("BottomPercent(10)", "top10"),
        ("BelowAverage()", "aboveAverage"),
        ("Between(9, 3)", "cellIs"),
        ("Duplicates()", "duplicateValues"),
        ("Unique()", "uniqueValues"),
        ("TextEndsWith(5)", "endsWith"),
        ("TextNotContains(5)", "notContainsText"),
        ("TextEquals(5)", "expression"),  # in a native format, text is never a number
        ("TextContains(?)", "expression"),  # LibreOffice's native format has no wildcards
        ("GreaterThan(x)", "expression"),  # for LibreOffice's native format, text is never above a number
    ],
)
def test_native_kinds_on_a_column_of_numbers(tmp_path, rule, kind):
    path = write_book(tmp_path / "book.xlsx", [["n"], *([number % 17] for number in range(40))])
    highlight, output = apply(path, rule)
    assert formats(output)[0][1] == kind
    cells = [[str(number % 17)] for number in range(40)]
    assert highlight.mask == evaluate(rule, {"columns": ["n"], "rows": cells})
    # A blank cell, as later a cell may become, is what LibreOffice's native formats get wrong.
    path = write_book(tmp_path / "blank.xlsx", [["n"], *([number % 17] for number in range(40)), [None], [1]])
    assert prepare(rule, read_table(path)).format_rule.type == "expression"


def test_text_of_several_spellings_is_counted_by_a_formula(tmp_path):
    for cells, kind in [(["a", "b", "b"], "duplicateValues"), (["a", "A"], "expression"), (["1", "a"], "expression")]:
        path = write_book(tmp_path / "book.xlsx", [["t"], *([cell] for cell in cells)])
        assert prepare("Duplicates()", read_table(path)).format_rule.type == kind


@pytest.mark.parametrize(
    ("rule", "column", "message"),
    [
        ("GreaterThan(5)", None, "GreaterThan(5) names no column"),
        ("GreaterThan(5)", None, "A (Name), B (Grade), C (Status), D (Due)"),
        ("GreaterThan(5)", "Grades", "there is no column 'Grades'; the columns of 'Grades' are A (Name)"),
        ("Equals(c[9], 5)", None, "column c[9] does not exist"),
        ("Equals(c[0], c[9])", None, "column c[9] does not exist"),
        ("Today()", "B", "Today needs dates, and column B (Grade) holds none or few"),
        ("OR(Blanks(), Today(c[2]))", "D", "Today needs dates, and column C (Status)"),
        ("DataBar(c[1])", "A", "DataBar can only colour the column that it reads, B (Grade)"),
        ("=SUM(A1)", "B", "expected a call such as GreaterThan(10)"),
        ("GreaterThan(1e308)", "B", "no number as large"),
        ("TextContains('a\x01')", "A", "U+0001"),
    ],
)
def test_rules_that_do_not_fit(book, rule, column, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        prepare(rule, read_table(book), column)


def test_a_column_is_found_by_letter_before_header(tmp_path):
    table = read_table(write_book(tmp_path / "book.xlsx", [["B", "x", " Unit  price ", "x"], [1, 2, 3, 4]]))
    assert [table.find_column(name) for name in ("b", "C", "unit price")] == [1, 2, 2]
    with pytest.raises(ValueError, match="2 columns are called 'X'"):
        table.find_column("X")


# --- what reaches the workbook


def skeleton_of(text):
    """A formula without its string literals."""
    return re.sub(r'"(?:[^"]|"")*"', "", text)


@pytest.mark.parametrize("name", ["Equals", "GreaterThan", "TextEquals", "TextContains", "TextStartsWith"])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_literals_stay_literals(tmp_path, name, text):
    path = write_book(tmp_path / "book.xlsx", [["t"], [text], ["other"], [None], [3]])
    highlight, output = apply(path, Node(name, (text,)))
    assert highlight.mask[0] == (name != "GreaterThan")
    [(_, kind, [found], _)] = formats(output)  # what a reader of the file sees is what was meant
    assert kind == "expression" and found == highlight.format_rule.formula[0]
    skeleton = skeleton_of(found)
    assert set(re.findall(r"[\w.]+(?=\()", skeleton)) <= FUNCTIONS
    assert not re.search(r"[A-Za-z]{4,}(?!\w*\()", re.sub("TRUE|FALSE|_xlfn|AGGREGATE", "", skeleton))
    assert read_table(output).cells == read_table(path).cells


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["Equals", "NotEquals", "TextEquals", "TextContains", "TextEndsWith", "TextNotContains"]),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=300) | st.text('"&()=,~*?\n\t ', max_size=40),
)
@example("TextContains", "~")
@example("TextContains", "a~b~")
@example("Equals", " ")
@example("TextEquals", "_x0022_x0041_")
def test_a_formula_is_the_same_whatever_its_literal_says(name, text):
    try:
        found = formula(Node(name, (text,)), AREA)
    except ValueError as error:
        assert re.search("no cell can hold|at most 255|no number as large", str(error))
        return
    assert not re.search(ESCAPE, found)  # what the file format takes for a character
    skeleton = skeleton_of(found)
    assert set(re.findall(r"[\w.]+(?=\()", skeleton)) <= FUNCTIONS
    # Outside of literals: functions, the cell, numbers, operators. Nothing of the text.
    rest = re.sub(r"[\w.]+\(|\$[BC]\$?\d+|TRUE|FALSE|\d+(\.\d+)?(E[+-]?\d+)?|<>|>=|<=|[&=(),+*/><-]", "", skeleton)
    assert rest == ""
    # Every literal is closed, and none is longer than Excel allows.
    assert found.count('"') % 2 == 0
    pieces = re.findall(r'"(?:[^"]|"")*"', found)
    assert all(len(piece[1:-1].replace('""', '"').encode("utf-16-le")) // 2 <= 255 for piece in pieces)


def test_limits_of_formulas():
    text = "x" * 2000
    assert formula(Node("TextEquals", (text,)), AREA).count("x") == 2000
    with pytest.raises(ValueError, match="looks for 2000 characters, Excel for at most 255"):
        formula(Node("TextContains", (text,)), AREA)
    with pytest.raises(ValueError, match="formula has .* characters, Excel allows 8192"):
        formula(parse(f"OR({', '.join(f'TopPercent({k})' for k in range(1, 100))})"), AREA)
    # Nested logic stays small: the operands are not written twice.
    deep = "Equals(1)"
    for _ in range(15):
        deep = f"NOT(AND({deep}, OR(Equals(2), Blanks())))"
    assert len(formula(parse(deep), AREA)) < 3000
    nested = parse("Equals(1)")
    for _ in range(70):
        nested = Node("AND", (nested, parse("Errors()")))
    with pytest.raises(ValueError, match="its formula nests 7. calls, Excel allows 64"):
        formula(nested, AREA)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("Equals(1,000.50)", "1000.5"),
        ("Equals(-5%)", "-0.05"),
        ("Equals(1e-7)", "1E-07"),
        ("Equals(TRUE)", "TRUE"),
        ("Equals(#N/A)", "NA()"),
    ],
)
def test_numbers_are_printed_from_what_was_parsed(rule, text):
    assert formula(parse(rule), AREA).endswith(f"={text}")


# --- everything else in the workbook


def test_everything_else_stays_byte_for_byte(tmp_path):
    path = tmp_path / "book.xlsm"
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Grades"
    for row in (HEADER, *ROWS[:2]):
        sheet.append(row)
    sheet.conditional_formatting.add("B2:B3", CellIsRule("equal", formula=["7"], fill=PatternFill(bgColor="FF00FF00")))
    chart = BarChart()
    chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=3))
    sheet.add_chart(chart, "F2")
    picture = io.BytesIO()
    Picture.new("RGB", (4, 4), "red").save(picture, "PNG")
    sheet.add_image(Image(picture), "F20")
    sheet.merge_cells("H1:I2")
    sheet.auto_filter.ref = "A1:D3"
    validation = openpyxl.worksheet.datavalidation.DataValidation("list", formula1='"open,closed"')
    validation.add("C2:C9")
    sheet.add_data_validation(validation)
    sheet["K1"].hyperlink = "https://example.com"
    sheet["K2"] = "=1+1"
    book.create_sheet("Other")["A1"] = "kept"
    book.save(path)

    sparklines = (
        b'<extLst><ext xmlns:x14="http://schemas.microsoft.com/office/spreadsheetml/2009/9/main" uri="{05C60535}">'
        b'<x14:conditionalFormattings><x14:conditionalFormatting><x14:cfRule type="dataBar" priority="41" id="{A}"/>'
        b"</x14:conditionalFormatting></x14:conditionalFormattings></ext></extLst></worksheet>"
    )

    def add_macros(content):
        content["xl/vbaProject.bin"] = b"\xd0\xcf macros"
        content["[Content_Types].xml"] = content["[Content_Types].xml"].replace(
            b"vnd.openxmlformats-officedocument.spreadsheetml.sheet.main", b"vnd.ms-excel.sheet.macroEnabled.main"
        )
        content["xl/worksheets/sheet1.xml"] = content["xl/worksheets/sheet1.xml"].replace(b"</worksheet>", sparklines)

    rewrite(path, add_macros)
    before = parts(path)
    _, output = apply(path, "GreaterThan(50)", "B")
    after = parts(output)
    assert parts(path) == before
    assert list(after) == list(before)
    assert {name for name in after if after[name] != before[name]} == {"xl/worksheets/sheet1.xml", "xl/styles.xml"}
    # The sheet has one more element, at a place that the schema allows.
    name = "xl/worksheets/sheet1.xml"
    start = next(k for k, pair in enumerate(zip(before[name], after[name])) if pair[0] != pair[1])
    grown = len(after[name]) - len(before[name])
    assert after[name][:start] + after[name][start + grown :] == before[name]
    order = "mergeCells conditionalFormatting conditionalFormatting dataValidations hyperlinks drawing extLst"
    assert re.findall(f"<({order.replace(' ', '|')})\\b", after[name].decode()) == order.split()
    assert formats(output) == [
        ("B2:B3", "cellIs", ["7"], "FF00FF00"),
        ("B2:B3", "cellIs", ["50"], "FFFFC7CE"),
    ]
    assert b'priority="42"' in after[name]  # behind those of the extension, too
    # A second time on the result.
    _, output = apply(output, "Blanks()", "C", output.with_name("twice.xlsm"), cell_format=CellFormat(bold=True))
    assert [kind for _, kind, *_ in formats(output)] == ["cellIs", "cellIs", "containsBlanks"]


def test_other_spellings_of_the_xml(book, tmp_path):
    def prefix(content):
        for name in ("xl/worksheets/sheet1.xml", "xl/styles.xml"):
            content[name] = re.sub(rb"<(/?)(?=[A-Za-z])", rb"<\1x:", content[name]).replace(b"xmlns=", b"xmlns:x=")

    rewrite(book, prefix)
    _, output = apply(book, "GreaterThan(50)", "B")
    assert formats(output)[0][3] == "FFFFC7CE"
    rewrite(output, lambda content: content.update({"xl/styles.xml": re.sub(
        rb"<x:dxfs.*</x:dxfs>", rb'<x:dxfs count="0" />', content["xl/styles.xml"]
    )}))  # fmt: skip
    assert b'<x:dxfs count="0" />' in parts(output)["xl/styles.xml"]
    rewrite(output, lambda content: content.update({"xl/worksheets/sheet1.xml": re.sub(
        rb"<x:conditionalFormatting .*</x:conditionalFormatting>", b"", content["xl/worksheets/sheet1.xml"]
    )}))  # fmt: skip
    _, again = apply(output, "LessThan(50)", "B", tmp_path / "again.xlsx")
    assert [rule[1] for rule in formats(again)] == ["expression"] and formats(again)[0][3] == "FFFFC7CE"
    rewrite(output, lambda content: content.update({"xl/styles.xml": re.sub(
        rb"<x:dxfs[^>]*>", b"", content["xl/styles.xml"]
    )}))  # fmt: skip
    _, again = apply(output, "LessThan(50)", "B", tmp_path / "again.xlsx")
    assert formats(again)[0][3] == "FFFFC7CE"


# --- outputs


def test_the_workbook_is_never_overwritten_unasked(book, tmp_path):
    table, saved = read_table(book), book.read_bytes()
    link = tmp_path / "link.xlsx"
    link.symlink_to(book)
    for path in (book, link, tmp_path / "." / book.name):
        with pytest.raises(ValueError, match="is the workbook itself.*--overwrite"):
            save(prepare("Blanks()", table, "B"), path)
    other = write_book(tmp_path / "other.xlsx")
    with pytest.raises(ValueError, match="other.xlsx exists"):
        check_output(other, table)
    with pytest.raises(ValueError, match="must end in .xlsx"):
        check_output(tmp_path / "out.xlsm", table)
    with pytest.raises(ValueError, match="there is no folder"):
        check_output(tmp_path / "missing" / "out.xlsx", table)
    assert book.read_bytes() == saved
    book.chmod(0o640)
    save(prepare("Blanks()", table, "B"), link, overwrite=True)
    assert link.is_symlink() and len(formats(book)) == 1 and book.stat().st_mode & 0o777 == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"grades.xlsx", "link.xlsx", "other.xlsx"}


def test_nothing_is_left_of_an_output_that_fails(book, tmp_path):
    highlight = prepare("Blanks()", read_table(book), "B")
    rewrite(book, lambda content: content.update({"xl/styles.xml": b"<styleSheet"}))
    with pytest.raises(ValueError, match="xl/styles.xml is damaged"):
        save(highlight, tmp_path / "out.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["grades.xlsx"]


@pytest.mark.parametrize(
    ("text", "cell_format"),
    [
        ("fill=ffc7ce", CellFormat(fill="FFC7CE")),
        ("font=#9C0006, bold", CellFormat(font="9C0006", bold=True)),
        ("italic,underline,strike", CellFormat(italic=True, underline=True, strike=True)),
    ],
)
def test_formats(book, text, cell_format):
    assert CellFormat.parse(text) == cell_format
    _, output = apply(book, "Blanks()", "B", cell_format=cell_format)
    [entry] = openpyxl.load_workbook(output)["Grades"].conditional_formatting
    [rule] = entry.rules
    fill, font = rule.dxf.fill, rule.dxf.font
    assert (fill and fill.bgColor.rgb) == (cell_format.fill and f"FF{cell_format.fill}")
    assert bool(font) == (cell_format.fill is None)
    if font:
        assert (font.b or False, font.i or False, font.strike or False) == (
            cell_format.bold,
            cell_format.italic,
            cell_format.strike,
        )
        assert (font.u == "single") == cell_format.underline
        assert (font.color and font.color.rgb) == (cell_format.font and f"FF{cell_format.font}")


def test_a_colour_is_a_colour():
    with pytest.raises(ValueError, match="fill must be a colour as RRGGBB, got '\"><script>'"):
        CellFormat(fill='"><script>')


@pytest.mark.parametrize("text", ["", "fill", "fill=red", "fill=12345", "size=4", "bold=1", "bold,bold", "fill=1;x:y"])
def test_unknown_formats(text):
    with pytest.raises(ValueError, match="fill=RRGGBB|twice"):
        CellFormat.parse(text)


def test_visual_rules_have_their_own_colours(book):
    with pytest.raises(ValueError, match="has colours of its own"):
        apply(book, "DataBar()", "B", cell_format=CellFormat(bold=True))


def test_previews(book, tmp_path):
    table = read_table(book)
    highlight = prepare("GreaterThan(50)", table, "B")
    write_preview(highlight, tmp_path / "a.html", CellFormat.parse("fill=ABCDEF,font=123456,bold,underline"))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    style = "background: #ABCDEF; color: #123456; font-weight: bold; text-decoration: underline"
    assert re.findall(r'<td style="([^"]*)">([^<]*)</td>', page) == [(style, text) for text in ("91", "55", "91.5")]
    assert "<script>" not in page and "&lt;script&gt;" in page and "highlights 3 of 5 cells in Grades, B2:B6" in page
    hostile = prepare(Node("TextEquals", ("<img src=x onerror=alert(1)>",)), table, "A")
    write_preview(hostile, tmp_path / "b.html")
    assert "<img" not in (tmp_path / "b.html").read_text(encoding="utf-8")

    write_preview(highlight, tmp_path / "a.png", CellFormat(fill="00FF00"))
    colors = Picture.open(tmp_path / "a.png").convert("RGB").getcolors(1 << 24)
    assert max(count for count, color in colors if color == (0, 255, 0)) > 1000
    write_preview(prepare("ColorScale()", table, "B"), tmp_path / "scale.html")
    colors = re.findall('style="background: #(......)', (tmp_path / "scale.html").read_text())
    assert colors[0] == "F8696B" and colors[-1] == "63BE7B" and len(set(colors)) == 4
    with pytest.raises(ValueError, match="must end in .html or .png"):
        write_preview(highlight, tmp_path / "a.pdf")


def test_long_previews_show_the_highlighted_rows(tmp_path):
    path = write_book(tmp_path / "long.xlsx", [["n"], *([number] for number in range(3000))])
    write_preview(prepare("Top(1)", read_table(path)), tmp_path / "long.html")
    page = (tmp_path / "long.html").read_text()
    assert page.count("<tr>") == 1 + 100 + 1 + 1 and ">2999</td>" in page and "2899 more rows" in page


# --- unusual and hostile workbooks


def test_tables_anywhere_on_a_sheet(tmp_path):
    path = tmp_path / "book.xlsx"
    book = openpyxl.Workbook()
    sheet = book.create_sheet("Täble & 'more'")
    sheet["C4"], sheet["D4"], sheet["D5"], sheet["C7"] = "a", 2024, 5, "last"
    sheet["Z90"].fill = PatternFill("solid", fgColor="FF0000")  # formatted, but empty
    book.active = 1
    book.save(path)
    table = read_table(path)
    assert (table.sheet, table.headers, table.letters) == ("Täble & 'more'", ["a", "2024"], ["C", "D"])
    assert (table.range(1), table.cells) == ("D5:D7", [[None, None, "last"], [5, None, None]])
    table = read_table(path, header_row=0)
    assert (table.headers, table.range(1)) == (["C", "D"], "D4:D7")
    assert read_table(path, header_row=5).headers == ["C", "5"]
    for row, message in [(7, "no row below the header"), (-1, "from 1 to"), (2_000_000, "from 1 to")]:
        with pytest.raises(ValueError, match=message):
            read_table(path, header_row=row)
    with pytest.raises(ValueError, match="sheet 'Sheet' is empty"):
        read_table(path, "Sheet")
    with pytest.raises(ValueError, match="sheet 'x' does not exist; .* has 'Sheet', .Täble & 'more'"):
        read_table(path, "x")


def test_formulas_have_their_saved_values(tmp_path):
    path = tmp_path / "book.xlsx"
    book = openpyxl.Workbook()
    for cell in ("n", 1, "=1+1", "=HYPERLINK(1)", '=""', "=cmd|' /C calc'!A0"):
        book.active.append([cell])
    book.save(path)
    computed = [b"<v>2</v>", b"<v/>", b"<v/>", b"<v>#REF!</v>"]

    def compute(content):
        sheet = content["xl/worksheets/sheet1.xml"]
        values = iter(computed)
        sheet = re.sub(rb"<v ?/>|<v></v>", lambda match: next(values), sheet)
        sheet = sheet.replace(b'r="A6"', b'r="A6" t="e"').replace(b'r="A5"', b'r="A5" t="str"')
        content["xl/worksheets/sheet1.xml"] = sheet

    rewrite(path, compute)
    table = read_table(path)
    assert table.cells == [[1, 2, None, None, "#REF!"]]
    assert [value.kind for value in table.column(0)] == ["number", "number", "blank", "blank", "error"]
    highlight, output = apply(path, "GreaterThan(0)")
    candidates = [{"code": highlight.rule, "highlight": highlight, "reason": None}]
    [note] = report(candidates, 1)["notes"]
    assert note.startswith("1 formulas in column A (n) have no saved value")
    assert b"cmd|' /C calc'!A0" in parts(output)["xl/worksheets/sheet1.xml"]  # the author's own formula stays


def test_errors_are_duplicates_by_kind(tmp_path):
    errors = ["#N/A", "#DIV/0!", "#DIV/0!", "#VALUE!", "#VALUE!x"]
    for cells, function in [(errors[:3], "ISERR"), (errors, "ERROR.TYPE")]:
        path = write_book(tmp_path / "book.xlsx", [["e"], *([cell] for cell in cells)])
        book = openpyxl.load_workbook(path)
        for [cell] in book["Grades"]["A2:A5"]:
            cell.data_type = "e" if cell.value else "n"
        book.save(path)
        highlight = prepare("Duplicates()", read_table(path))
        assert highlight.mask == [False, True, True, False, False][: len(cells)]
        assert f"{function}($A" in highlight.format_rule.formula[0]


def test_dates_counted_from_1904(tmp_path):
    path = write_book(tmp_path / "book.xlsx", [["d"]])
    book = openpyxl.load_workbook(path)
    book.epoch = datetime.datetime(1904, 1, 1)
    for month in (4, 5, 6):
        book["Grades"].append([datetime.datetime(2024, month, 1)])
    book.save(path)
    for rule, mask, text in [
        ("GreaterThan(2024-05-01)", [False, False, True], "DATE(2024,5,1)"),
        ("LessThan(45413)", [True, False, False], "43951"),  # 2024-05-01 without and with 1904 dates
        ("GreaterThan(1903-05-01)", [True, True, True], "-245"),
    ]:
        highlight = prepare(rule, read_table(path))
        assert (highlight.mask, highlight.format_rule.formula) == (mask, [text])


def test_notes_on_cells(tmp_path):
    day = datetime.datetime(2024, 5, 1)
    path = write_book(tmp_path / "book.xlsx", [["t", "d"], ["7", day], ["7.5%", day], ["x", 3], ["8", 4], ["9", 5]])
    highlight = prepare("AND(Equals(c[0], 7), Equals(c[1], 5))", read_table(path))
    found = report([{"code": "", "highlight": highlight, "reason": None}], 1)["notes"]
    assert found == [
        "4 cells of column A (t) look like numbers but are text, and are compared as text",
        "column B (d) mixes dates and numbers: its dates count as plain numbers",
    ]


def test_merged_cells(tmp_path):
    path = write_book(tmp_path / "book.xlsx", [["a", "b"], [1, 2], [None, 3], [4, None], [5, 6]])
    book = openpyxl.load_workbook(path)
    book.active.merge_cells("A2:A3")
    book.active.merge_cells("A4:B4")
    book.save(path)
    table = read_table(path)
    assert prepare("Blanks()", table, "A").num_cells == 0
    assert prepare("LessThan(5)", table, "B").mask == [True, True, False, False]


def test_escaped_line_ends(tmp_path):
    path = write_book(tmp_path / "book.xlsx", [["t"], ["a_x000D_\nb"], ["_x005F_x000D_"], ["_x0022_"]])
    assert read_table(path).cells == [["a\r\nb", "_x000D_", "_x0022_"]]


def test_percentages_and_dates_are_shown_to_the_model_as_written(tmp_path):
    path = write_book(tmp_path / "book.xlsx", [["p", "d", "t"], [0.5, datetime.date(2024, 5, 1), datetime.time(6)]])
    book = openpyxl.load_workbook(path)
    book["Grades"]["A2"].number_format = "0.0%"
    book.save(path)
    table = read_table(path)
    assert [table.display(index, 0) for index in range(3)] == ["50%", "2024-05-01", "0.25"]


def test_a_large_sheet(tmp_path):
    path = tmp_path / "large.xlsx"
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["n", "t"])
    for number in range(100_000):
        sheet.append([number * 7919 % 100_003, f"x{number % 2900}"])
    book.save(path)
    table = read_table(path)
    for rule, kind, count in [("Top(10)", "top10", 10), ("Duplicates(c[1])", "duplicateValues", 100_000)]:
        highlight = prepare(rule, table, "A" if kind == "top10" else None)
        assert (highlight.format_rule.type, highlight.num_cells) == (kind, count)


def test_an_empty_sheet(capsys, tmp_path):
    path = write_book(tmp_path / "empty.xlsx", [])
    assert "sheet 'Grades' is empty" in fails(capsys, path, "--rule", "Equals(5)")


DOCTYPE = '<!DOCTYPE x [<!ENTITY a "b">]><styleSheet/>'


def damage(name, content):
    return lambda parts: parts.update({name: content})


def replace(old, new, name="xl/worksheets/sheet1.xml"):
    return lambda parts: parts.update({name: parts[name].replace(old, new, 1)})


def drop(name):
    return lambda parts: {key: value for key, value in parts.items() if key != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("[Content_Types].xml"), "is no .xlsx workbook"),
        (drop("xl/workbook.xml"), "is damaged"),
        (drop("xl/worksheets/sheet1.xml"), "has no worksheet"),
        (drop("xl/styles.xml"), "is damaged|has no list of styles"),
        (damage("xl/workbook.bin", b""), "binary format .xlsb"),
        (damage("xl/worksheets/sheet1.xml", b"<worksheet"), "is damaged"),
        (damage("xl/worksheets/sheet1.xml", b"<html><p/></html>"), "is no worksheet"),
        (damage("xl/worksheets/sheet1.xml", b"<worksheet/>"), "is damaged"),
        (damage("xl/workbook.xml", b"PK"), "is damaged"),
        (damage("xl/styles.xml", DOCTYPE.encode()), "xl/styles.xml declares a document type"),
        (damage("xl/styles.xml", f"<!--{'x' * 9999}-->{DOCTYPE}".encode()), "declares a document type"),
        (damage("xl/any", DOCTYPE.encode("utf-16")), "xl/any declares a document type"),
        (damage("xl/worksheets/sheet1.xml", "<worksheet><x/></worksheet>".encode("utf-16")), "written in UTF-16"),
        (replace(b"<v>7</v>", b"<v>1E999</v>"), "is damaged: cell B2 holds no number"),
        (replace(b"<v>7</v>", b"<v>" + b"9" * 400 + b"</v>"), "is damaged"),
        (replace(b"<v>7</v>", b"<v>NaN</v>"), "is damaged"),
        (replace(b"</sheetData>", b'</sheetData><mergeCells><mergeCell ref="?"/></mergeCells>'), "is damaged"),
    ],
)
def test_damaged_workbooks(capsys, book, tmp_path, change, message):
    rewrite(book, change)
    found = fails(capsys, book, "--rule", "Equals(5)", "--column", "B", "-o", tmp_path / "out.xlsx")
    assert re.search(message, found) and str(book) in found
    assert not (tmp_path / "out.xlsx").exists()


def test_rows_and_columns_beyond_a_worksheet(capsys, book):
    for old, new in [(b'r="6"', b'r="99999999"'), (b'r="D6"', b'r="ZZZ6"')]:
        copy = Path(shutil.copy(book, book.with_name("copy.xlsx")))
        rewrite(copy, lambda content, old=old, new=new: content.update(
            {"xl/worksheets/sheet1.xml": content["xl/worksheets/sheet1.xml"].replace(old, new)}
        ))  # fmt: skip
        assert "is too large" in fails(capsys, copy, "--rule", "Equals(5)", "--column", "B")


def test_files_that_are_no_workbooks(capsys, tmp_path, book, monkeypatch):
    path = tmp_path / "x.xlsx"
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
    for content, message in [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "is no .xlsx workbook"),
        (b"PK\x03\x04" + bytes(50), "is no .xlsx workbook"),
        (ole, r"before 2007 \(.xls\): save it as .xlsx"),
        (ole + "EncryptedPackage".encode("utf-16-le"), "protected by a password"),
        (book.read_bytes()[:-30], "is no .xlsx workbook|is damaged"),
    ]:
        path.write_bytes(content)
        assert re.search(message, fails(capsys, path, "--rule", "Equals(5)"))
    assert "No such file" in fails(capsys, tmp_path / "missing.xlsx", "--rule", "Equals(5)")
    assert "Is a directory" in fails(capsys, tmp_path, "--rule", "Equals(5)")
    monkeypatch.setattr(package, "MAX_UNCOMPRESSED_BYTES", 1 << 20)
    rewrite(book, lambda content: content.update({"xl/media/bomb.bin": bytes(2 << 20)}))
    assert "2 MiB when unpacked" in fails(capsys, book, "--rule", "Equals(5)")


def test_charts_are_no_tables(capsys, book):
    content = openpyxl.load_workbook(book)
    content.create_chartsheet("Chart").add_chart(BarChart())
    content.save(book)
    assert "the sheet 'Chart' is no worksheet" in fails(capsys, book, "--sheet", "Chart", "--rule", "Equals(5)")


# --- the command


def test_apply_shows_candidates_and_applies_the_first_that_fits(capsys, tiny_cf, book, tmp_path):
    output, preview = tmp_path / "out.xlsx", tmp_path / "preview.html"
    argv = [book, "--model", tiny_cf, "--column", "B", "cells with a value greater than 50"]
    status, out, err = run(capsys, *argv, "-o", output, "--preview", preview)
    assert (status, err) == (0, f"wrote {output}\nwrote {preview}\n")
    lines = out.splitlines()
    assert all(re.fullmatch(r"[* ]\d  \S.*", line) for line in lines)
    assert [line[0] for line in lines].count("*") == 1
    status, out, err = run(capsys, *argv, "--json")
    answer = json.loads(out)
    chosen = answer["candidates"][answer["chosen"] - 1]
    assert (answer["nl"], answer["output"], answer["sheet"], answer["header"]) == (argv[-1], None, "Grades", "Grade")
    assert (chosen["code"], chosen["cells"], chosen["range"]) == (answer["rule"], answer["cells"], "B2:B6")
    assert all((entry["cells"] is None) == (entry["reason"] is not None) for entry in answer["candidates"])
    assert formats(output)[0][:2] == ("B2:B6", answer["kind"])
    assert answer["rule"] in preview.read_text()
    fitting = [rank for rank, entry in enumerate(answer["candidates"], 1) if entry["reason"] is None]
    assert answer["chosen"] == fitting[0]
    answer = json.loads(run(capsys, *argv, "--json", "--candidate", fitting[-1])[1])
    assert answer["chosen"] == fitting[-1]
    assert "there is no candidate 99" in fails(capsys, *argv, "--candidate", 99)


def test_the_model_reads_the_columns_that_matter(book, tmp_path):
    table = read_table(book)
    for utterance, column, columns in [
        ("grades above 50", None, [0, 1, 2, 3]),
        ("grades above 50", "B", [1]),
        ("those that are on hold", "B", [1, 2]),  # a cell of the column Status
        ("students whose names start with A and that are due", "b", [0, 1, 3]),
    ]:
        assert prompt_columns(utterance, table, column) == columns, utterance
    wide = read_table(write_book(tmp_path / "wide.xlsx", [[*(f"column{k}" for k in range(40)), "Price"], [7] * 41]))
    assert prompt_columns("prices above 5", wide) == [40]
    assert prompt_columns("above 5", wide) == list(range(12))
    assert prompt_columns("columns above 5", wide, "Price") == [*range(11), 40]


def test_candidates_on_some_columns_are_candidates_on_the_table(book):
    table = read_table(book)
    codes = ["GreaterThan(c[1], 50)", "AND(Equals(c[0], c[1]), Blanks())", "GreaterThan(5", "Blanks(c[7])"]
    candidates = [{"code": code, "score": 0.0, "valid": True} for code in codes]
    assessed = assess(candidates, table, [1, 2], "B")
    assert [entry["code"] for entry in assessed[:2]] == ["GreaterThan(c[2], 50)", "AND(Equals(c[1], c[2]), Blanks())"]
    assert [entry["highlight"] and entry["highlight"].range for entry in assessed] == ["B2:B6", "B2:B6", None, None]
    assert assessed[2]["reason"] and assessed[3]["reason"] == "it names column c[7], which does not exist"
    # A single column needs no reference, and none has to be given.
    [entry] = assess([{"code": "GreaterThan(50)", "score": 0.0, "valid": True}], table, [1])
    assert (entry["code"], entry["highlight"].range, entry["highlight"].num_cells) == ("GreaterThan(50)", "B2:B6", 3)


def test_apply_a_rule_needs_no_model(capsys, book, tmp_path):
    output = tmp_path / "out.xlsx"
    argv = [book, "--rule", "GreaterThan(50)", "--column", "grade", "--format", "fill=00FF00", "-o", output]
    assert run(capsys, *argv) == (0, "*1  GreaterThan(50)  3 of 5 cells in B2:B6\n", f"wrote {output}\n")
    assert formats(output)[0][3] == "FF00FF00"
    assert "out.xlsx exists" in fails(capsys, *argv)
    assert run(capsys, *argv, "--overwrite")[0] == 0
    assert run(capsys, book, "--rule", "Blanks(c[2])", "-o", book, "--overwrite")[0] == 0
    assert formats(book)[0][:2] == ("C2:C6", "containsBlanks")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "the following arguments are required: UTTERANCE"),
        (["x", "--rule", "Blanks()"], "--rule goes without an utterance"),
        (["--rule", "Blanks()", "--candidate", "1"], "--rule goes without"),
        (["x", "--format", "fill=red"], "unknown format 'fill=red'"),
        (["x", "--sheet", "Nope"], "the sheet 'Nope' does not exist"),
        (["x", "--column", "Nope"], "there is no column 'Nope'"),
        (["x", "--preview", "a.pdf"], "must end in .html or .png"),
        (["x", "-o", "no/out.xlsx"], "there is no folder no"),
        (["x", "--header-row", "6"], "no row below the header"),
        ([" "], "the utterance is empty"),
        (["x", "--model", "klingon"], "klingon"),
        (["--rule", "Frobnicate(3)"], "Frobnicate"),
    ],
)
def test_wrong_options(capsys, book, options, message):
    assert message in fails(capsys, book, *options)


def test_the_best_candidate_that_fits_is_chosen(book):
    table = read_table(book)
    candidates = [
        {"code": "Today(c[1])", "highlight": None, "reason": "no dates"},
        {"code": "Blanks(c[1])", "highlight": prepare("Blanks(c[1])", table), "reason": None},
    ]
    assert (choose(candidates), choose(candidates, 2)) == (2, 2)
    for number, message in [(1, "candidate 1, Today(c[1]): no dates"), (3, "there is no candidate 3")]:
        with pytest.raises(ValueError, match=re.escape(message)):
            choose(candidates, number)
    with pytest.raises(ValueError, match="no candidate can be applied; the first, .*: no dates"):
        choose(candidates[:1])


def test_help_shows_an_example(capsys):
    status, out, _ = run(capsys, "--help")
    assert status == 0 and "example:\n  codefusion apply" in out
