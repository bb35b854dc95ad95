"""
Rules as LibreOffice sees them: translation into spreadsheet formulas and native conditional formats, and the mask that
LibreOffice paints.

The translation reads the syntax tree and nothing else of our interpreter, so that the two can disagree.
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
from openpyxl.formatting.rule import CellIsRule, FormulaRule, Rule
from openpyxl.styles import PatternFill
from openpyxl.styles.differential import DifferentialStyle
from openpyxl.utils import get_column_letter

from codefusion_hf.languages.cf import Column, Node, parse
from codefusion_hf.languages.cf.values import read_cell


COLOR = "FF0000"
COLUMNS_PER_SHEET = 300
SECONDS = 300  # of one conversion; a cold start takes 3 to 10
COMPARISONS = {
    "Equals": "=",
    "NotEquals": "<>",
    "GreaterThan": ">",
    "GreaterThanEqual": ">=",
    "LessThan": "<",
    "LessThanEqual": "<=",
}
_OPERATORS = {
    "Equals": "equal",
    "NotEquals": "notEqual",
    "GreaterThan": "greaterThan",
    "GreaterThanEqual": "greaterThanOrEqual",
    "LessThan": "lessThan",
    "LessThanEqual": "lessThanOrEqual",
    "Between": "between",
    "NotBetween": "notBetween",
}
_PERIODS = {
    "Yesterday": "yesterday",
    "Today": "today",
    "Tomorrow": "tomorrow",
    "Last7Days": "last7Days",
    "LastWeek": "lastWeek",
    "ThisWeek": "thisWeek",
    "NextWeek": "nextWeek",
    "LastMonth": "lastMonth",
    "ThisMonth": "thisMonth",
    "NextMonth": "nextMonth",
}


class Case(NamedTuple):
    """A rule on a table, `{"columns": [...], "rows": [...], "column": k}`."""

    rule: str
    table: dict[str, Any]


class Block(NamedTuple):
    """Where the table of a case lies on its sheet: letters of its columns, first and last row of data."""

    letters: list[str]
    selected: int
    first: int
    last: int

    def letter(self, index: int | None) -> str:
        return self.letters[self.selected if index is None else index]

    def cell(self, index: int | None) -> str:
        """The cell of the row at hand, `$C2`: the format is anchored on the first row."""
        return f"${self.letter(index)}{self.first}"

    def range(self, index: int | None) -> str:
        return f"${self.letter(index)}${self.first}:${self.letter(index)}${self.last}"


def formula(node: Node, block: Block, today: Any = None, excel_logic: bool = False) -> str:
    """
    The formula that is TRUE where `node` highlights the cell, an error where the outcome is unknown.

    Args:
        today (`datetime.date`, *optional*): the day that the date rules count from; else LibreOffice's own.
        excel_logic (`bool`): AND and OR fail on any error, as the functions do; else one decisive operand is enough.
    """
    group = node.signature.group
    if group == "logic":
        operands = [formula(operand, block, today, excel_logic) for operand in node.args]
        if node.name == "NOT":
            return f"NOT({operands[0]})"
        plain = f"{node.name}({','.join(operands)})"
        if excel_logic:
            return plain
        if node.name == "OR":
            return f"IF(OR({','.join(f'IFERROR({operand},FALSE)' for operand in operands)}),TRUE,{plain})"
        return f"IF(AND({','.join(f'IFERROR({operand},TRUE)' for operand in operands)}),{plain},FALSE)"
    cell, cells = block.cell(node.column), block.range(node.column)
    if group == "compare":
        return _comparison(node, cell, [_operand(arg, block) for arg in node.args])
    if group == "text":
        return _text(node, cell, block)
    if group == "rank":
        return f"IF(COUNT({cells})=0,FALSE,IF(ISNUMBER({cell}),{_rank(node, cell, cells)},FALSE))"
    if group == "set":
        same = f"IFERROR(IF(ISBLANK({cells}),FALSE,{cells}={cell}),FALSE)"
        # ERROR.TYPE does not look at a whole range; the tables hold #N/A and one other error
        same_error = f"IF(ISNA({cell}),SUMPRODUCT(--ISNA({cells})),SUMPRODUCT(--ISERR({cells})))"
        count = f"IF(ISERROR({cell}),{same_error},SUMPRODUCT(--{same}))"
        return f"IF(ISBLANK({cell}),FALSE,{count}{'>' if node.name == 'Duplicates' else '='}1)"
    if node.name == "Blanks":
        return f"IF(ISERROR({cell}),FALSE,LEN(TRIM({cell}))=0)"
    if node.name == "Errors":
        return f"ISERROR({cell})"
    day = "TODAY()" if today is None else f"DATE({today.year},{today.month},{today.day})"
    return f"IF(ISNUMBER({cell}),{_date(node.name, f'INT({cell})', day)},FALSE)"


def _literal(text: str) -> str:
    value = read_cell(text)
    if value.kind == "number":
        return repr(value.data)
    return '"' + text.replace('"', '""') + '"'


def _operand(arg: Column | str, block: Block) -> str:
    return block.cell(arg.index) if isinstance(arg, Column) else _literal(arg)


def _comparison(node: Node, cell: str, operands: list[str]) -> str:
    if len(operands) == 1:
        return f"{cell}{COMPARISONS[node.name]}{operands[0]}"
    low, high = operands
    inside = f"IF({low}<={high},AND({cell}>={low},{cell}<={high}),AND({cell}>={high},{cell}<={low}))"
    return inside if node.name == "Between" else f"NOT({inside})"


def _text(node: Node, cell: str, block: Block) -> str:
    arg = node.args[0]
    text = f'{block.cell(arg.index)}&""' if isinstance(arg, Column) else '"' + arg.replace('"', '""') + '"'
    if node.name == "TextEquals":
        if isinstance(arg, Column):
            other = block.cell(arg.index)
            return f'IF(AND(ISNUMBER({cell}),ISNUMBER({other})),{cell}={other},{cell}&""={text})'
        if read_cell(arg).kind == "number":
            return f'IF(ISNUMBER({cell}),{cell}={_literal(arg)},{cell}&""={text})'
        return f'{cell}&""={text}'
    if node.name == "TextContains":
        return f"ISNUMBER(SEARCH({text},{cell}))"
    if node.name == "TextNotContains":
        return f"ISERROR(SEARCH({text},{cell}))"
    side = "LEFT" if node.name == "TextStartsWith" else "RIGHT"
    return f'{side}({cell}&"",LEN({text}))={text}'


def _rank(node: Node, cell: str, cells: str) -> str:
    # AGGREGATE with option 6 leaves errors out, which LARGE and AVERAGE do not
    if node.name in ("AboveAverage", "BelowAverage"):
        return f"{cell}{'>' if node.name == 'AboveAverage' else '<'}_xlfn.AGGREGATE(1,6,{cells})"
    number = node.args[0]
    if node.name.endswith("Percent"):
        number = f"MAX(1,INT({number}*COUNT({cells})/100))"
    large, sign = (14, ">=") if node.name.startswith("Top") else (15, "<=")
    return f"{cell}{sign}_xlfn.AGGREGATE({large},6,{cells},MIN({number},COUNT({cells})))"


def _date(name: str, cell: str, day: str) -> str:
    if name in ("Yesterday", "Today", "Tomorrow"):
        return f"{cell}={day}{ {'Yesterday': '-1', 'Today': '', 'Tomorrow': '+1'}[name] }"
    if name == "Last7Days":
        return f"AND({day}-{cell}<=6,{cell}<={day})"
    shift = {"Last": -1, "This": 0, "Next": 1}[name[:4]]
    if name.endswith("Week"):
        saturday = f"{day}-WEEKDAY({day})+7+{7 * shift}"
        return f"AND({cell}<={saturday},{cell}>{saturday}-7)"
    month = f"EDATE({day},{shift})"
    return f"AND(MONTH({cell})=MONTH({month}),YEAR({cell})=YEAR({month}))"


def native_format(node: Node, block: Block) -> Rule | None:
    """The conditional format that Excel's menu makes of a single rule on its own column; `None` if it has none."""
    if node.column not in (None, block.selected) or any(isinstance(arg, Column) for arg in node.args):
        return None
    group, cell = node.signature.group, f"{block.letter(None)}{block.first}"
    style = DifferentialStyle(fill=_fill())
    if group == "compare":
        return CellIsRule(_OPERATORS[node.name], formula=[_literal(arg) for arg in node.args], fill=_fill())
    if group == "text":
        return _native_text(node, cell, style)
    if group == "rank":
        if node.args:
            flags = {"bottom": node.name.startswith("Bottom"), "percent": node.name.endswith("Percent")}
            return Rule(type="top10", rank=int(node.args[0]), dxf=style, **flags)
        return Rule(type="aboveAverage", aboveAverage=node.name == "AboveAverage", dxf=style)
    if group == "set":
        return Rule(type="duplicateValues" if node.name == "Duplicates" else "uniqueValues", dxf=style)
    if node.name == "Blanks":
        return Rule(type="containsBlanks", formula=[f"LEN(TRIM({cell}))=0"], dxf=style)
    if node.name == "Errors":
        return Rule(type="containsErrors", formula=[f"ISERROR({cell})"], dxf=style)
    if group == "date":
        return Rule(type="timePeriod", timePeriod=_PERIODS[node.name], dxf=style)
    return None


def _native_text(node: Node, cell: str, style: DifferentialStyle) -> Rule:
    text = node.args[0]
    quoted = '"' + text.replace('"', '""') + '"'
    if node.name == "TextEquals":
        return CellIsRule("equal", formula=[quoted], fill=_fill())
    kind, operator, test = {
        "TextContains": ("containsText", "containsText", f"NOT(ISERROR(SEARCH({quoted},{cell})))"),
        "TextNotContains": ("notContainsText", "notContains", f"ISERROR(SEARCH({quoted},{cell}))"),
        "TextStartsWith": ("beginsWith", "beginsWith", f"LEFT({cell},{len(text)})={quoted}"),
        "TextEndsWith": ("endsWith", "endsWith", f"RIGHT({cell},{len(text)})={quoted}"),
    }[node.name]
    return Rule(type=kind, operator=operator, text=text, formula=[test], dxf=style)


def _fill() -> PatternFill:
    return PatternFill(bgColor=COLOR, fill_type="solid")


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
        block = Block(letters, case.table["column"], 2, height + 1)
        node = parse(case.rule)
        rule = (
            native_format(node, block)
            if native
            else FormulaRule(formula=[formula(node, block, today, excel_logic)], fill=_fill())
        )
        if rule is None:
            places.append(None)
            continue
        for index, header in enumerate(case.table["columns"]):
            _write(sheet.cell(1, used + 1 + index), header, header=True)
            for row, cells in enumerate(case.table["rows"]):
                _write(sheet.cell(row + 2, used + 1 + index), cells[index])
        area = f"{block.letter(None)}{block.first}:{block.letter(None)}{block.last}"
        sheet.conditional_formatting.add(area, rule)
        places.append((len(book.worksheets) - 1, used + block.selected, height))
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


def _write(target: Any, cell: str, header: bool = False) -> None:
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
        command = ["soffice", "--headless", f"-env:UserInstallation={(Path(folder) / 'profile').as_uri()}"]
        command += ["--convert-to", "html", "--outdir", folder, str(path)]
        output = _run(command)
        page = path.with_suffix(".html")
        if not page.is_file():
            raise RuntimeError(f"soffice made no page: {output}")
        reader = _Page()
        reader.feed(page.read_text(encoding="utf-8", errors="replace"))
    if len(reader.tables) != len(book.worksheets):
        raise RuntimeError(f"{len(book.worksheets)} sheets gave {len(reader.tables)} tables")
    return reader.tables


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
