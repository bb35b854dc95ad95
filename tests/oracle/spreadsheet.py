"""
Rules as LibreOffice sees them: the cells that it paints when a rule is a formula, or a native conditional format.

The formulas (`codefusion_hf.spreadsheets.formulas`) are made from the syntax tree and nothing else of our interpreter,
so that the two can disagree.
"""

import os
import re
import signal
import subprocess
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from openpyxl import Workbook
from openpyxl.formatting.rule import Rule
from openpyxl.utils import get_column_letter

from codefusion_hf.languages.cf import Node, parse
from codefusion_hf.languages.cf.values import read_cell
from codefusion_hf.spreadsheets import CellFormat, formulas
from codefusion_hf.spreadsheets.formats import native_rule
from codefusion_hf.spreadsheets.formulas import Area


COLOR = "FF0000"
COLUMNS_PER_SHEET = 300
BOOKS_PER_RUN = 100  # LibreOffice stops behind 247
SECONDS = 300  # of one conversion; a cold start takes 3 to 10


class Case(NamedTuple):
    """A rule on a table, `{"columns": [...], "rows": [...], "column": k}`."""

    rule: str
    table: dict[str, Any]


def formula(node: Node, area: Area, today: Any = None, excel_logic: bool = False) -> str:
    """
    The formula that is TRUE where `node` highlights the cell.

    Args:
        today (`datetime.date`, *optional*): the day that the date rules count from; else LibreOffice's own.
        excel_logic (`bool`): AND and OR fail on any error, as the functions do; else one decisive operand is enough.
    """
    if not excel_logic:
        return formulas.formula(node, area, today)
    if node.signature.group != "logic":
        return formulas.leaf_formula(node, area, today)
    return f"{node.name}({','.join(formula(operand, area, today, excel_logic) for operand in node.args)})"


def libreoffice_masks(
    cases: list[Case], native: bool = False, today: Any = None, excel_logic: bool = False
) -> list[list[bool] | None]:
    """
    What LibreOffice highlights, per case; `None` for a case without a native format if `native`.

    Args:
        cases (`list[Case]`): all tables are written as typed cells, text never as a formula.
        native (`bool`): use Excel's own rule types; else one equivalent formula per cell.
        today, excel_logic: see [`formula`].
    """
    book = Workbook()
    book.remove(book.active)
    places: list[tuple[int, int, int] | None] = []  # sheet, column, number of rows
    sheet, used = None, COLUMNS_PER_SHEET
    for case in cases:
        width, height = len(case.table["columns"]), len(case.table["rows"])
        if used + width > COLUMNS_PER_SHEET:
            sheet, used = book.create_sheet(), 0
        letters = [get_column_letter(used + 1 + index) for index in range(width)]
        area = Area(tuple(letters), case.table["column"], 2, height + 1, date_columns(case.table))
        node = parse(case.rule)
        if native:
            rule = native_rule(node, area)
        else:
            rule = Rule(type="expression", formula=[formula(node, area, today, excel_logic)])
        if rule is None:
            places.append(None)
            continue
        rule.dxf = CellFormat(fill=COLOR).openpyxl_style()
        for index, header in enumerate(case.table["columns"]):
            write_cell(sheet.cell(1, used + 1 + index), header, header=True)
            for row, cells in enumerate(case.table["rows"]):
                write_cell(sheet.cell(row + 2, used + 1 + index), cells[index])
        sheet.conditional_formatting.add(area.range(None).replace("$", ""), rule)
        places.append((len(book.worksheets) - 1, used + area.selected, height))
        used += width
    painted = _paint(book)
    masks: list[list[bool] | None] = []
    for place in places:
        if place is None:
            masks.append(None)
            continue
        table, column, height = place
        # trailing rows that hold nothing are not in the page
        rows = painted[table][1 : height + 1]
        masks.append([column < len(row) and row[column] for row in rows] + [False] * (height - len(rows)))
    return masks


def date_columns(table: dict[str, Any]) -> frozenset[int]:
    """The columns of a table whose numbers are dates."""
    found = []
    for index in range(len(table["columns"])):
        values = [read_cell(row[index]) for row in table["rows"]]
        numbers = [value.is_date for value in values if value.kind == "number"]
        if 2 * sum(numbers) > len(numbers):
            found.append(index)
    return frozenset(found)


def write_cell(target: Any, cell: str, header: bool = False) -> None:
    """Writes a cell of a table with its type; text is never a formula."""
    value = read_cell(cell)
    if header or value.kind == "text":
        target.value, target.data_type = cell, "s"  # never a formula, whatever the text starts with
    elif value.kind == "error":
        target.value, target.data_type = cell, "e"
    elif value.kind == "number":
        target.value = value.data
        if value.is_date:
            target.number_format = "yyyy-mm-dd"
    elif value.kind != "blank":
        raise ValueError(f"the oracle writes no {value.kind} cells: LibreOffice takes TRUE for the number 1")


def _paint(book: Workbook) -> list[list[list[bool]]]:
    """Per sheet, row and column: whether the page that LibreOffice makes of `book` has a coloured cell."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.xlsx"
        book.save(path)
        [tables] = painted_cells([path])
    if len(tables) != len(book.worksheets):
        raise RuntimeError(f"{len(book.worksheets)} sheets gave {len(tables)} tables")
    return tables


def painted_cells(paths: list[Path]) -> list[list[list[list[bool]]]]:
    """Per workbook, sheet, row and column: whether the pages that LibreOffice makes have a cell of the colour."""
    books = []
    with tempfile.TemporaryDirectory() as folder:
        profile = (Path(folder) / "profile").as_uri()
        for start in range(0, len(paths), BOOKS_PER_RUN):
            some = paths[start : start + BOOKS_PER_RUN]
            command = ["soffice", "--headless", f"-env:UserInstallation={profile}", "--convert-to", "html"]
            output = _run([*command, "--outdir", folder, *map(str, some)])
            for path in some:
                page = Path(folder) / f"{path.stem}.html"
                if not page.is_file():
                    raise RuntimeError(f"soffice made no page: {output}")
                reader = _Page()
                reader.feed(page.read_text(encoding="utf-8", errors="replace"))
                books.append(reader.tables)
    return books


def libreoffice_copy(path: Path, folder: Path) -> Path:
    """The workbook that LibreOffice writes when it has read `path`."""
    with tempfile.TemporaryDirectory() as profile:
        command = ["soffice", "--headless", f"-env:UserInstallation={Path(profile).as_uri()}", "--convert-to", "xlsx"]
        output = _run([*command, "--outdir", str(folder), str(path)])
    if not (folder / path.name).is_file():
        raise RuntimeError(f"soffice made no workbook: {output}")
    return folder / path.name


def _run(command: list[str]) -> str:
    # a session of its own: `soffice` is a script, and what it starts has to end with it
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        return process.communicate(timeout=SECONDS)[0]
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[bool]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects the cells of each table; a cell is painted if it has the colour."""
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag == "td":
            values = dict(attrs)
            if not re.fullmatch("1?", values.get("colspan") or ""):
                raise RuntimeError("the page has merged cells")
            self.tables[-1][-1].append((values.get("bgcolor") or "").upper() == f"#{COLOR}")


def libreoffice_version() -> str:
    """The version line of `soffice`."""
    return subprocess.run(["soffice", "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
