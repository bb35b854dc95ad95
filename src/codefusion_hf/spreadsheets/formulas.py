"""
A rule as spreadsheets compute it: one formula for the first cell of a range, TRUE where the rule highlights the cell.

The formulas have the meaning that `languages.cf.evaluate` gives a rule (docs/cf-semantics.md), in Excel and in
LibreOffice. They are built from the syntax tree alone: text is always a quoted literal, a number is printed from the
parsed number, so nothing that a rule says can become a part of the formula itself.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from ..languages.cf import Column, Node
from ..languages.cf.values import Value, date_serial, read_cell


# Excel's limits: of a formula, of calls inside calls, of what SEARCH looks for, of a number.
MAX_FORMULA_CHARACTERS = 8192
MAX_NESTING = 64
MAX_PATTERN_CHARACTERS = 255
MAX_NUMBER = 9.99999999999999e307
# A literal in a formula has at most 255 characters, UTF-16 units; longer text is joined from pieces.
_PIECE = 120
# How the file format writes characters that XML lacks: it must not be read into a text that happens to look so.
ESCAPE = "_x[0-9A-Fa-f]{4}_"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_FIRST_DAY = datetime.date(1900, 3, 1)  # Excel believes in a 29 February 1900
_COMPARISONS = {
    "Equals": "=",
    "NotEquals": "<>",
    "GreaterThan": ">",
    "GreaterThanEqual": ">=",
    "LessThan": "<",
    "LessThanEqual": "<=",
}
_NEVER_ERRORS = ("TextContains", "TextNotContains", "Blanks", "Errors", "Duplicates", "Unique")


@dataclass(frozen=True)
class Area:
    """
    Where a table lies on its sheet.

    Args:
        letters (`tuple[str, ...]`): of its columns; `c[0]` is the first.
        selected (`int`): the column that a rule without a reference reads, and that is highlighted.
        first, last (`int`): the first and the last row of data, from 1.
        dates (`frozenset[int]`): the columns whose numbers are dates; text rules read those as `2024-05-31`.
        epoch_offset (`int`): days between the workbook's day 0 and Excel's usual one: 0 or 1462 ("1904 dates").
        mixed_errors (`frozenset[int]`): the columns with several kinds of errors beside `#N/A`, which LibreOffice
            cannot count by kind.
    """

    letters: tuple[str, ...]
    selected: int
    first: int
    last: int
    dates: frozenset[int] = frozenset()
    epoch_offset: int = 0
    mixed_errors: frozenset[int] = frozenset()

    def index(self, index: int | None) -> int:
        """The column that a node's `column` stands for."""
        return self.selected if index is None else index

    def cell(self, index: int | None) -> str:
        """The cell of the row at hand, such as `$C2`: a conditional format is anchored on its first row."""
        return f"${self.letters[self.index(index)]}{self.first}"

    def range(self, index: int | None) -> str:
        """All data of a column, such as `$C$2:$C$11`."""
        letter = self.letters[self.index(index)]
        return f"${letter}${self.first}:${letter}${self.last}"


def formula(node: Node, area: Area, today: datetime.date | None = None) -> str:
    """
    The formula, without `=`, that is TRUE where `node` highlights the cell, and FALSE or an error elsewhere.

    Args:
        node (`Node`): a rule with a boolean outcome.
        area (`Area`): where its table lies.
        today (`datetime.date`, *optional*): the day that the date rules count from; else the day of looking at it.

    Raises:
        ValueError: if a formula cannot say it: a limit of Excel, a character that a workbook cannot hold.
    """
    text = _holds(node, area, today) if node.signature.group == "logic" else leaf_formula(node, area, today)
    if len(text) > MAX_FORMULA_CHARACTERS:
        raise ValueError(f"its formula has {len(text)} characters, Excel allows {MAX_FORMULA_CHARACTERS}")
    depth = nesting = 0
    for char in re.sub('"[^"]*"', "", text):
        depth += (char == "(") - (char == ")")
        nesting = max(nesting, depth)
    if nesting > MAX_NESTING:
        raise ValueError(f"its formula nests {nesting} calls, Excel allows {MAX_NESTING}")
    return text


def leaf_formula(node: Node, area: Area, today: datetime.date | None = None) -> str:
    """The formula of a rule other than AND, OR and NOT; an error where the outcome is unknown."""
    group, cell, cells = node.signature.group, area.cell(node.column), area.range(node.column)
    if group == "compare":
        return _comparison(node, area)
    if group == "text":
        return _text_rule(node, area)
    if group == "rank":
        return f"IF(COUNT({cells})=0,FALSE,IF(ISNUMBER({cell}),{_rank(node, cell, cells)},FALSE))"
    if group == "set":
        same = f"IFERROR(IF(LEN(TRIM({cells}))=0,FALSE,{cells}={cell}),FALSE)"
        same_error = f"IF(ISNA({cell}),SUMPRODUCT(--ISNA({cells})),SUMPRODUCT(--ISERR({cells})))"
        if area.index(node.column) in area.mixed_errors:
            same_error = f"SUMPRODUCT(--(IFERROR(ERROR.TYPE({cells}),0)=ERROR.TYPE({cell})))"
        count = f"SUMPRODUCT(--{same}){'>' if node.name == 'Duplicates' else '='}1"
        count_error = f"{same_error}{'>' if node.name == 'Duplicates' else '='}1"
        return f"IF(ISERROR({cell}),{count_error},IF(LEN(TRIM({cell}))=0,FALSE,{count}))"
    if group == "date":
        day = "TODAY()" if today is None else f"DATE({today.year},{today.month},{today.day})"
        return f"IF(ISNUMBER({cell}),{period_formula(node.name, f'INT({cell})', day)},FALSE)"
    if node.name == "Blanks":
        return f"IF(ISERROR({cell}),FALSE,LEN(TRIM({cell}))=0)"
    if node.name == "Errors":
        return f"ISERROR({cell})"
    raise ValueError(f"{node.name} has no boolean outcome, so there is no formula for it")


def period_formula(name: str, cell: str, day: str = "TODAY()") -> str:
    """Whether the whole day `cell` lies in the period `name`, counted from `day`."""
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


def quoted(text: str) -> str:
    """
    `text` as a literal of a formula.

    Raises:
        ValueError: if no cell can hold the text.
    """
    if found := _UNPRINTABLE.search(text):
        raise ValueError(f"no cell can hold the character U+{ord(found[0]):04X}")
    pieces = []
    for part in re.split(rf"([\t\n\r])|(?<=_)(?={ESCAPE[1:]})", text):
        if part in ("\t", "\n", "\r"):
            pieces.append(f"CHAR({ord(part)})")
        elif part:
            part_pieces = [part[start : start + _PIECE] for start in range(0, len(part), _PIECE)]
            pieces += ['"' + piece.replace('"', '""') + '"' for piece in part_pieces]
    return f"({'&'.join(pieces)})" if len(pieces) > 1 else pieces[0] if pieces else '""'


def literal(text: str, area: Area, column: int | None = None) -> str:
    """What the literal `text` of a rule is in a formula that compares it with a cell of `column`."""
    value = read_cell(text)
    if value.kind == "number":
        dated = area.index(column) in area.dates
        return _date(value, area) if value.is_date and dated else _number(value.data, area if dated else None)
    if value.kind == "bool":
        return "TRUE" if value.data else "FALSE"
    return "NA()" if value.kind == "error" else '""' if value.kind == "blank" else quoted(text)


def _holds(node: Node, area: Area, today: datetime.date | None, wanted: bool = True) -> str:
    """
    TRUE where the outcome of `node` is `wanted`, else FALSE, never an error. Negation goes down to the leaves, so that
    an unknown outcome stays unknown under NOT (Kleene's logic) and the formula grows no faster than the rule.
    """
    if node.name == "NOT":
        return _holds(node.args[0], area, today, not wanted)
    if node.signature.group == "logic":
        name = node.name if wanted else {"AND": "OR", "OR": "AND"}[node.name]
        return f"{name}({','.join(_holds(operand, area, today, wanted) for operand in node.args)})"
    text = leaf_formula(node, area, today)
    text = text if wanted else f"NOT({text})"
    return text if node.name in _NEVER_ERRORS else f"IFERROR({text},FALSE)"


def _comparison(node: Node, area: Area) -> str:
    cell = Column(area.index(node.column))

    def compare(left: Column | str, operator: str, right: Column | str) -> str:
        return f"{_side(left, right, cell.index, area)}{operator}{_side(right, left, cell.index, area)}"

    if len(node.args) == 1:
        return compare(cell, _COMPARISONS[node.name], node.args[0])
    low, high = node.args
    inside = f"AND({compare(cell, '>=', low)},{compare(cell, '<=', high)})"
    swapped = f"AND({compare(cell, '>=', high)},{compare(cell, '<=', low)})"
    inside = f"IF({compare(low, '<=', high)},{inside},{swapped})"
    return inside if node.name == "Between" else f"NOT({inside})"


def _side(operand: Column | str, other: Column | str, column: int, area: Area) -> str:
    """One side of a comparison. A blank, also white space or a formula's "", is 0, "" or FALSE, as the other needs."""
    if isinstance(other, Column):
        far = area.cell(other.index)
        zero = f'IF(ISNUMBER({far}),0,IF(LEN(TRIM({far}))=0,0,IF(ISTEXT({far}),"",FALSE)))'
    else:
        zero = {"text": '""', "bool": "FALSE"}.get(read_cell(other).kind, "0")
    if isinstance(operand, str):
        return zero if read_cell(operand).kind == "blank" else literal(operand, area, column)
    near = area.cell(operand.index)
    return near if zero == '""' else f"IF(LEN(TRIM({near}))=0,{zero},{near})"


def _text_rule(node: Node, area: Area) -> str:
    arg, cell = node.args[0], area.cell(node.column)
    own = _as_text(area.index(node.column), area)
    other = _as_text(arg.index, area) if isinstance(arg, Column) else quoted(arg)
    if node.name == "TextEquals":
        if isinstance(arg, Column):
            far = area.cell(arg.index)
            return f"IF(AND(ISNUMBER({cell}),ISNUMBER({far})),{cell}={far},{own}={other})"
        if read_cell(arg).kind == "number":
            return f"IF(ISNUMBER({cell}),{cell}={literal(arg, area, node.column)},{own}={other})"
        return f"{own}={other}"
    if node.name in ("TextContains", "TextNotContains"):
        contains = _contains(arg, own.removesuffix('&""'), other)
        return contains if node.name == "TextContains" else f"NOT({contains})"
    if isinstance(arg, Column):  # here an error is no text to begin or end with, but a known one
        other = f'IFERROR({other},"#N/A")'
    return f"{'LEFT' if node.name == 'TextStartsWith' else 'RIGHT'}({own},LEN({other}))={other}"


def _contains(arg: Column | str, own: str, other: str) -> str:
    # LibreOffice's SEARCH does not find "", which is in every text.
    if isinstance(arg, Column):
        found = f"IF(LEN(TRIM({own}))=0,FALSE,ISNUMBER(SEARCH({other},{own})))"
        return f"IFERROR(IF(LEN({other})=0,LEN({own})>=0,{found}),FALSE)"
    if not arg:
        return f"NOT(ISERROR({own}))"
    if len(arg.encode("utf-16-le")) // 2 > MAX_PATTERN_CHARACTERS:
        raise ValueError(f"it looks for {len(arg)} characters, Excel for at most {MAX_PATTERN_CHARACTERS}")
    # `~` before an ordinary character, or at the end, has no documented meaning: print what the interpreter reads.
    pattern = re.sub("~(.)", lambda match: match[0] if match[1] in "*?~" else match[1], arg, flags=re.DOTALL)
    if re.fullmatch("(?:~[*?~]|[^~])*~", pattern, flags=re.DOTALL):
        pattern += "~"
    found = f"ISNUMBER(SEARCH({quoted(pattern)},{own}))"
    # A pattern of wildcards and blanks would find itself in a blank cell.
    may_be_blank = not pattern.strip("*? \t\r\n")
    return f"IFERROR(IF(LEN(TRIM({own}))=0,FALSE,{found}),FALSE)" if may_be_blank else found


def _as_text(index: int, area: Area) -> str:
    cell = area.cell(index)
    if index not in area.dates:
        return f'{cell}&""'
    # TEXT() would do, but its format codes depend on the language of the spreadsheet program.
    day = f'YEAR({cell})&"-"&RIGHT("0"&MONTH({cell}),2)&"-"&RIGHT("0"&DAY({cell}),2)'
    time = '&":"&'.join(f'RIGHT("0"&{part}({cell}),2)' for part in ("HOUR", "MINUTE", "SECOND"))
    return f'IFERROR(IF(ISNUMBER({cell}),{day}&IF(MOD({cell},1)=0,""," "&{time}),{cell}&""),{cell}&"")'


def _rank(node: Node, cell: str, cells: str) -> str:
    # AGGREGATE with option 6 leaves errors out, which LARGE and AVERAGE do not.
    if node.name in ("AboveAverage", "BelowAverage"):
        return f"{cell}{'>' if node.name == 'AboveAverage' else '<'}_xlfn.AGGREGATE(1,6,{cells})"
    number = str(int(node.args[0]))
    if node.name.endswith("Percent"):
        number = f"MAX(1,INT({number}*COUNT({cells})/100))"
    large, sign = (14, ">=") if node.name.startswith("Top") else (15, "<=")
    return f"{cell}{sign}_xlfn.AGGREGATE({large},6,{cells},MIN({number},COUNT({cells})))"


def _date(value: Value, area: Area) -> str:
    """A date as a call of DATE, which both of Excel's calendars understand."""
    day = datetime.date(1899, 12, 30) + datetime.timedelta(days=int(value.data // 1))
    seconds = round(value.data % 1 * 86_400)
    if day < (datetime.date(1904, 1, 1) if area.epoch_offset else _FIRST_DAY):
        return _number(date_serial(day) + value.data % 1, area)
    time = f"+TIME({seconds // 3600},{seconds // 60 % 60},{seconds % 60})" if seconds else ""
    return f"DATE({day.year},{day.month},{day.day}){time}"


def _number(number: float, area: Area | None = None) -> str:
    if abs(number) > MAX_NUMBER:
        raise ValueError(f"Excel has no number as large as {number:g}")
    number -= area.epoch_offset if area else 0
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.15g}".upper()
