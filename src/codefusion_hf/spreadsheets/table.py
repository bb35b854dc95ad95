"""
The table on a worksheet: header, cells, and their meaning for a rule.

A workbook knows the types of its cells, so text that looks like a number is text here, as it is for a formula.
"""

from __future__ import annotations

import datetime
import functools
import itertools
import math
import re
import warnings
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..languages.cf.interpreter import Sheet
from ..languages.cf.values import Value, read_cell
from .formulas import Area
from .package import Package, SheetScan, check_package, reading


MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384  # of a worksheet
MAX_CELLS = 10_000_000
_INSTALL = "workbooks are read by openpyxl: pip install 'codefusion-hf[excel]'"
_DAYS_TO_1904 = 1462
_ESCAPED = re.compile("_x(0009|000[AaDd]|005[Ff])_")  # how Excel saves tabs, line ends, and what looks like these


class CellError(str):
    """An error cell, such as `#N/A`: not the text of the same spelling."""


@dataclass(eq=False)
class SheetTable:
    """
    The table of a worksheet, read by [`read_table`].

    Attributes:
        package (`Package`): its workbook.
        sheet (`str`): the worksheet's name.
        headers, letters (`list[str]`): of the columns; a column without a header is called by its letter.
        first_row (`int`): the row of the first cells, from 1.
        cells (`list[list]`): for each column its cells as Python values, `None` for blanks.
        merged (`list`): the merged ranges, as indices of their first and last column, and first and last row.
        percents (`frozenset[int]`): the columns that show their numbers as percentages.
        uncomputed (`dict[int, int]`): column to the number of formulas in it whose value the file does not hold.
        epoch_1904 (`bool`): whether the workbook counts days from 1904.
    """

    package: Package
    sheet: str
    headers: list[str]
    letters: list[str]
    first_row: int
    cells: list[list[Any]]
    merged: list[tuple[int, int, int, int]] = field(default_factory=list)
    percents: frozenset[int] = frozenset()
    uncomputed: dict[int, int] = field(default_factory=dict)
    epoch_1904: bool = False
    _columns: dict[int, list[Value]] = field(default_factory=dict)

    @property
    def num_rows(self) -> int:
        """The number of rows of data."""
        return len(self.cells[0])

    @functools.cached_property
    def dates(self) -> frozenset[int]:
        """
        The columns with more dates than other numbers. A formula cannot tell the two apart, so all numbers of such a
        column are dates, and no number of another.
        """
        found = []
        for index, column in enumerate(self.cells):
            num_dates = sum(isinstance(cell, datetime.date) for cell in column)
            numbers = sum(isinstance(cell, (int, float)) and not isinstance(cell, bool) for cell in column)
            if num_dates > numbers:
                found.append(index)
        return frozenset(found)

    @functools.cached_property
    def _mixed_errors(self) -> frozenset[int]:
        kinds = [{cell.upper() for cell in column if isinstance(cell, CellError)} for column in self.cells]
        return frozenset(index for index, errors in enumerate(kinds) if len(errors - {"#N/A"}) > 1)

    def column(self, index: int) -> list[Value]:
        """The typed cells of a column, typed once; raises `ValueError` if the table does not have it."""
        if not 0 <= index < len(self.cells):
            raise ValueError(f"column c[{index}] does not exist; {self.describe_columns()}")
        if index not in self._columns:
            dated = index in self.dates
            self._columns[index] = [_typed(cell, dated, self.epoch_1904) for cell in self.cells[index]]
        return self._columns[index]

    def covered(self, index: int) -> list[bool]:
        """Whether each cell of a column lies under a merged one, and so shows nothing."""
        depth = [0] * (self.num_rows + 1)
        for left, right, top, bottom in self.merged:
            first, behind = max(0, top + (index == left)), min(bottom + 1, self.num_rows)
            if left <= index <= right and first < behind:
                depth[first] += 1
                depth[behind] -= 1
        return [number > 0 for number in itertools.accumulate(depth[:-1])]

    def as_sheet(self, selected: int, today: datetime.date) -> Sheet:
        """What the interpreter of rules evaluates."""
        return Sheet(self.column, self.num_rows, selected, today)

    def area(self, selected: int) -> Area:
        """Where the table lies, for formulas."""
        offset = _DAYS_TO_1904 if self.epoch_1904 else 0
        last = self.first_row + self.num_rows - 1
        return Area(tuple(self.letters), selected, self.first_row, last, self.dates, offset, self._mixed_errors)

    def range(self, index: int) -> str:
        """The cells of a column, such as `B2:B11`."""
        return f"{self.letters[index]}{self.first_row}:{self.letters[index]}{self.first_row + self.num_rows - 1}"

    def display(self, index: int, row: int) -> str:
        """The text of a cell, about as a spreadsheet shows it."""
        return _display(self.cells[index][row], index in self.percents)

    def describe_columns(self) -> str:
        """The columns of the table, for messages."""
        names = [f"{letter} ({header})" for letter, header in zip(self.letters, self.headers)]
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        return f"the columns of {self.sheet!r} are {shown}"

    def find_column(self, name: str) -> int:
        """
        The index of the column with this letter, or with this header, in any letter case.

        Raises:
            ValueError: with the columns that there are, if none or several have it.
        """
        wanted = " ".join(name.split()).casefold()
        if wanted.upper() in self.letters:
            return self.letters.index(wanted.upper())
        found = [k for k, header in enumerate(self.headers) if " ".join(header.split()).casefold() == wanted]
        if len(found) == 1:
            return found[0]
        fault = (
            f"there is no column {name!r}"
            if not found
            else f"{len(found)} columns are called {name!r}: say which by letter"
        )
        raise ValueError(f"{fault}; {self.describe_columns()}")


def read_table(path: str | Path, sheet: str | None = None, header_row: int | None = None) -> SheetTable:
    """
    Reads the table of a worksheet: its used range, whose first row holds the names of the columns. Formulas are not
    computed: their cells have the values that the spreadsheet program saved with them.

    Args:
        path (`str` or `Path`): an .xlsx or .xlsm file.
        sheet (`str`, *optional*): the worksheet's name; by default the one that is shown when the file is opened.
        header_row (`int`, *optional*): the row of the names, from 1; 0 if there are none.

    Raises:
        ValueError: with the reason, if the file cannot be read or the worksheet holds no table.
        ImportError: if openpyxl is not installed.
        OSError: if there is no such file.
    """
    try:
        import openpyxl
    except ImportError:
        raise ImportError(_INSTALL) from None
    if header_row is not None and not 0 <= header_row <= MAX_ROWS:
        raise ValueError(f"the header row must be from 1 to {MAX_ROWS}, or 0 for none, got {header_row}")
    check_package(path)
    package = Package(path)
    name = package.active if sheet is None else sheet
    if name not in package.sheets:
        kind = "is no worksheet" if name in package.other_sheets else "does not exist"
        raise ValueError(f"the sheet {name!r} {kind}; {path} has {', '.join(map(repr, package.sheets))}")
    scan = package.scan(name)
    with warnings.catch_warnings(), reading(path), open(path, "rb") as file:
        warnings.simplefilter("ignore")  # openpyxl names what it would not save, and it saves nothing here
        # `data_only`: the saved values of formulas. `read_only`: row by row, in little memory.
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        epoch_1904 = book.epoch.year == 1904
        rows, percents = _read_rows(book[name], path)
        book.close()
    if not rows:
        raise ValueError(f"the sheet {name!r} is empty; {path} has {', '.join(map(repr, package.sheets))}")
    header_row = min(rows) if header_row is None else header_row
    first = max(header_row + 1, min(rows))
    if max(rows) < first:
        raise ValueError(f"the sheet {name!r} has no row below the header in row {header_row}")
    rows = {row: cells for row, cells in rows.items() if row >= header_row}
    used = [column for cells in rows.values() for column in (min(cells), max(cells))]
    columns = range(min(used), max(used) + 1)
    num_rows = max(rows) - first + 1
    if num_rows * len(columns) > MAX_CELLS:
        raise ValueError(
            f"the sheet {name!r} spans {num_rows} rows x {len(columns)} columns; at most {MAX_CELLS} cells"
        )
    letters = [openpyxl.utils.get_column_letter(column) for column in columns]
    header = rows.pop(header_row, {}) if header_row else {}
    texts = [" ".join(_display(header.get(column)).split()) for column in columns]
    cells: list[list[Any]] = [[None] * num_rows for _ in columns]
    for row, found in rows.items():
        for column, cell in found.items():
            cells[column - columns.start][row - first] = cell
    table = SheetTable(
        package,
        name,
        [text or letter for text, letter in zip(texts, letters)],
        letters,
        first,
        cells,
        percents=frozenset(column - columns.start for column in percents if column in columns),
        epoch_1904=epoch_1904,
    )
    with reading(path):
        _mark(table, scan)
    return table


def general(number: float) -> str:
    """A number as text, as spreadsheets turn it into text: fifteen digits, no exponent where it can be avoided."""
    text = f"{number:.15g}"
    if "e" not in text:
        return text
    return f"{Decimal(text):f}" if 1e-10 < abs(number) < 1e20 else text.upper()


def date_text(date: datetime.date) -> str:
    """`2024-05-31`, or `2024-05-31 13:20:00` unless it is midnight."""
    return date.isoformat(sep=" ").removesuffix(" 00:00:00") if isinstance(date, datetime.datetime) else str(date)


def _display(cell: Any, as_percent: bool = False) -> str:
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, (int, float)):
        return f"{general(cell * 100)}%" if as_percent else general(cell)
    return date_text(cell) if isinstance(cell, datetime.date) else str("" if cell is None else cell)


def _read_rows(worksheet: Any, path: str | Path) -> tuple[dict[int, dict[int, Any]], set[int]]:
    """Row to column to value, without blanks, and the columns that show percentages."""
    rows: dict[int, dict[int, Any]] = {}
    percents: dict[int, bool] = {}
    worksheet.reset_dimensions()  # what the file says of them may be wrong
    num_cells = 0
    for number, row in enumerate(worksheet.iter_rows(), start=1):
        num_cells += len(row)
        if number > MAX_ROWS or len(row) > MAX_COLUMNS or num_cells > MAX_CELLS:
            raise ValueError(
                f"the sheet {worksheet.title!r} of {path} is too large: at most {MAX_CELLS} cells are read"
            )
        found = {}
        for column, cell in enumerate(row, start=1):
            value = cell.value
            if value is None:
                continue
            if cell.data_type == "e":
                value = CellError(value)
            elif cell.data_type == "n":
                if not math.isfinite(value):
                    raise OverflowError(f"cell {cell.coordinate} holds no number")
                if column not in percents:
                    percents[column] = "%" in (cell.number_format or "")
            elif isinstance(value, str):
                value = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), value)
            elif isinstance(value, datetime.datetime):
                value = (value + datetime.timedelta(milliseconds=500)).replace(microsecond=0)
            elif isinstance(value, (datetime.time, datetime.timedelta)):
                value = _time_of_day(value)
            found[column] = value
        if found:
            rows[number] = found
    return rows, {column for column, is_percent in percents.items() if is_percent}


def _time_of_day(value: datetime.time | datetime.timedelta) -> float:
    if isinstance(value, datetime.time):
        return (value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6) / 86_400
    return value.total_seconds() / 86_400


def _mark(table: SheetTable, scan: SheetScan) -> None:
    """Finds the merged cells of the table, and the formulas without a value."""
    from openpyxl.utils import column_index_from_string, range_boundaries

    column, row = column_index_from_string(table.letters[0]), table.first_row
    for merged in scan.merged:
        left, top, right, bottom = range_boundaries(merged)
        table.merged.append((left - column, right - column, top - row, bottom - row))
    indices = {letter: index for index, letter in enumerate(table.letters)}
    for place in scan.formulas:
        match = re.fullmatch("([A-Z]{1,3})([0-9]{1,7})", place)
        if match and match[1] in indices:
            index, row = indices[match[1]], int(match[2]) - table.first_row
            if 0 <= row < table.num_rows and table.cells[index][row] is None:
                table.uncomputed[index] = table.uncomputed.get(index, 0) + 1


def _typed(cell: Any, dated: bool, epoch_1904: bool) -> Value:
    from openpyxl.utils.datetime import MAC_EPOCH, WINDOWS_EPOCH, from_excel, to_excel

    epoch = MAC_EPOCH if epoch_1904 else WINDOWS_EPOCH
    if isinstance(cell, CellError):
        return Value("error", None, cell.casefold())
    if isinstance(cell, str):
        text = cell.casefold()
        return Value("text", text, text) if cell.strip() else Value("blank", None, text)
    if cell is None or isinstance(cell, bool):
        return read_cell(cell)
    if isinstance(cell, (int, float)) and dated:
        try:
            cell = from_excel(cell, epoch)
        except (OverflowError, ValueError):
            pass
    if isinstance(cell, datetime.date):
        if dated:
            return read_cell(cell)._replace(text=date_text(cell))
        cell = to_excel(cell, epoch)
    if isinstance(cell, (datetime.time, datetime.timedelta)):
        cell = _time_of_day(cell)
    value = read_cell(cell)
    return value._replace(text=general(value.data).casefold()) if value.kind == "number" else value
