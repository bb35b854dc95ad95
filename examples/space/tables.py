"""The tables that the Space shows: samples, and what a user uploads. Every one becomes a `spreadsheets.SheetTable`."""

import csv
import datetime
import tempfile
from pathlib import Path

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from codefusion_hf import spreadsheets
from codefusion_hf.languages.cf.values import MAX_CELL_CHARACTERS, read_cell


SAMPLES = {"Grades": "grades.csv", "Orders": "orders.csv"}
MAX_CELLS = 100_000  # more would keep a small machine busy for others
_DAY_0, _FIRST_SERIAL = datetime.datetime(1899, 12, 30), 61  # spreadsheets disagree on dates before March 1900


def read_sample(name: str) -> spreadsheets.SheetTable:
    """The sample table of this name, one of `SAMPLES`."""
    return read_upload(Path(__file__).parent / "samples" / SAMPLES[name])


def read_upload(path: str | Path) -> spreadsheets.SheetTable:
    """
    Reads a table from a .csv or .xlsx file; its first row holds the names of the columns.

    Raises:
        ValueError: In one sentence, which names the file without its folder, if it holds no table that can be read.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".csv":
            table = _read_csv(path)
        elif path.suffix.lower() in (".xlsx", ".xlsm"):
            table = spreadsheets.read_table(path)
        else:
            raise ValueError(f"{path} is neither .csv nor .xlsx: save the table as one of these")
    except ValueError as error:
        raise ValueError(str(error).replace(str(path), path.name)) from None
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error.strerror}") from None
    _check_size(path, table.num_rows * len(table.cells))
    return table


def _read_csv(path: Path) -> spreadsheets.SheetTable:
    """A CSV file as spreadsheet programs open it: what looks like a number, a date or a truth value is one."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=first.count))
            rows, num_cells = [], 0
            for row in filter(None, reader):
                rows.append(row)
                num_cells += len(row)
                _check_size(path, num_cells)
    except (csv.Error, UnicodeDecodeError):
        raise ValueError(f"{path} is no CSV file in UTF-8: save it as one, or as .xlsx") from None
    if not rows or not any(name.strip() for name in rows[0]):
        raise ValueError(f"{path} names no columns in its first row")
    if len(rows) == 1:
        raise ValueError(f"{path} has no row below the names of its columns")
    for number, row in enumerate(rows, start=1):
        if len(row) > len(rows[0]):
            raise ValueError(f"{path}, row {number}: {len(row)} cells, but the header names {len(rows[0])} columns")
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder, path.stem[:50] + ".xlsx")
        _write_book(rows, book)
        return spreadsheets.read_table(book, header_row=1)


def _write_book(rows: list[list[str]], path: Path) -> None:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Table")
    for number, row in enumerate(rows):
        cells = []
        for text in row:
            cell = WriteOnlyCell(sheet)
            text = ILLEGAL_CHARACTERS_RE.sub("\ufffd", text[:MAX_CELL_CHARACTERS])
            cell.value, cell.number_format = _typed(text) if number else (text, "General")
            if cell.data_type == "f":
                cell.data_type = "s"  # "=1+1" is text here
            cells.append(cell)
        sheet.append(cells)
    book.save(path)
    book.close()


def _typed(text: str) -> tuple[str | float | bool | datetime.datetime | None, str]:
    """A cell's value and its number format."""
    value = read_cell(text)
    if value.kind == "blank":
        return None, "General"
    if value.is_date and value.data >= _FIRST_SERIAL:
        return _DAY_0 + datetime.timedelta(days=value.data), "yyyy-mm-dd"
    if value.kind in ("number", "bool") and not value.is_date:
        return value.data, "0.##%" if text.strip().endswith("%") else "General"
    return text, "General"


def _check_size(path: Path, num_cells: int) -> None:
    if num_cells > MAX_CELLS:
        raise ValueError(f"{path.name} is too large: at most {MAX_CELLS} cells are read here")
