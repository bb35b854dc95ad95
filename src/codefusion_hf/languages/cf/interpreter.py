"""
Total interpreter of conditional-formatting rules: which rows of a table does a rule highlight?

The semantics are Excel's, from its documentation. Our own choices: a numeric literal of TextEquals equals the number,
a percentage of a short column is at least one cell, equal errors are duplicates, errors inside AND and OR (`Mask`).
"""

from __future__ import annotations

import datetime
import functools
import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .syntax import Column, Node, parse
from .values import Value, date_serial, read_cell, round_number, sort_key


MAX_WORK = 2_000_000  # calls of the rule x rows of the table, and a quarter of the characters that a `?` has to scan

# True, False, or None where the comparison met an error cell. AND, OR and NOT follow Kleene's logic: `NOT(Equals(1))`
# is still unknown on an error and does not highlight it, `OR(Errors(), Equals(1))` does (Excel's OR would fail).
Mask = list[bool | None]


class Table(NamedTuple):
    """A table as read by `read_table`: `headers`, `rows` of raw cells, `width` in columns, `selected` column index."""

    headers: list[str]
    rows: list[Sequence[Any]]
    width: int
    selected: int


class Sheet(NamedTuple):
    """What a rule is evaluated on: typed columns of `num_rows` cells each, and the index of the selected one."""

    column: Callable[[int], list[Value]]
    num_rows: int
    selected: int
    today: datetime.date


def read_table(table: Mapping[str, Any] | Sequence[Sequence[Any]]) -> Table:
    """
    Reads `{"columns": [...], "rows": [[...], ...], "column": k}` or the released format, a list of rows whose first is
    the header. The selected column is `"column"` if given; else 1 if the first header is "Index" (the released format:
    row number, value, distractor); else 0. Short rows are filled with blanks.

    Raises:
        TypeError: if `table` is neither form.
        ValueError: if the table has no columns or `"column"` is out of range.
    """
    if isinstance(table, Mapping):
        unknown = set(table) - {"columns", "rows", "column"}
        if unknown:
            raise ValueError(f"unknown table key {sorted(map(str, unknown))[0]!r}; allowed: columns, rows, column")
        headers, rows, selected = table.get("columns") or [], table.get("rows") or [], table.get("column")
    elif _is_list(table):
        headers, rows, selected = (table[0] if table else []), table[1:], None
    else:
        raise TypeError(f"a table must be a dict or a list of rows, got {type(table).__name__}")
    if not _is_list(headers) or not _is_list(rows) or not all(_is_list(row) for row in rows):
        raise TypeError("the columns, the rows and each row of a table must be lists")
    headers = ["" if header is None else str(header) for header in headers]
    width = max([len(headers), *(len(row) for row in rows)])
    if width == 0:
        raise ValueError("the table has no columns")
    if selected is None:
        selected = 1 if width > 1 and headers and headers[0].strip().casefold() == "index" else 0
    if isinstance(selected, bool) or not isinstance(selected, int):
        raise TypeError(f"the selected column of a table must be an int, got {type(selected).__name__}")
    if not 0 <= selected < width:
        raise ValueError(f"the selected column {selected} is out of range; the table has {width} column(s)")
    return Table(headers, list(rows), width, selected)


def selected_column(table: Mapping[str, Any] | Sequence[Sequence[Any]]) -> int:
    """Index, from 0, of the column that a rule without a column reference reads; raises like `read_table`."""
    return read_table(table).selected


def evaluate(
    rule: str | Node, table: Mapping[str, Any] | Sequence[Sequence[Any]], today: datetime.date | None = None
) -> list[bool]:
    """
    Executes `rule` and returns, for each row of `table`, whether it is highlighted.

    Args:
        rule (`str` or `Node`): the rule, as text or parsed.
        table (`dict` or `list`): see `read_table`.
        today (`datetime.date`, *optional*): the day that the date rules count from; defaults to the current day.

    Raises:
        ValueError: if the rule does not parse, has no boolean outcome (ColorScale, DataBar, IconSet), names a column
            that the table does not have, or is too large for the table (`MAX_WORK`).
    """
    node = parse(rule) if isinstance(rule, str) else rule
    if not isinstance(node, Node):
        raise TypeError(f"a rule must be a string or a Node, got {type(node).__name__}")
    return evaluate_sheet(node, open_sheet(read_table(table), today or datetime.date.today()))


def open_sheet(table: Table, today: datetime.date) -> Sheet:
    """Types the columns of `table` on first use, once each."""
    typed: dict[int, list[Value]] = {}

    def column(index: int) -> list[Value]:
        if not 0 <= index < table.width:
            raise ValueError(f"column c[{index}] does not exist; the table has {table.width} column(s)")
        if index not in typed:
            typed[index] = [read_cell(row[index] if index < len(row) else None) for row in table.rows]
        return typed[index]

    return Sheet(column, len(table.rows), table.selected, today)


def evaluate_sheet(node: Node, sheet: Sheet) -> list[bool]:
    """`evaluate` on typed columns."""
    if _work(node, sheet) > MAX_WORK:
        raise ValueError(f"the rule is too large for {sheet.num_rows} rows; at most {MAX_WORK} steps are allowed")
    return [outcome is True for outcome in _evaluate(node, sheet)]


def referenced_columns(node: Node, selected: int) -> set[int]:
    """Every column that `node` reads when `selected` is the selected one."""
    if node.signature.group == "logic":
        return set().union(*(referenced_columns(operand, selected) for operand in node.args))
    own = selected if node.column is None else node.column
    return {own, *(arg.index for arg in node.args if isinstance(arg, Column))}


def _work(node: Node, sheet: Sheet) -> int:
    if node.signature.group == "logic":
        return sheet.num_rows + sum(_work(operand, sheet) for operand in node.args)
    if node.name not in ("TextContains", "TextNotContains"):
        return sheet.num_rows
    scans = isinstance(node.args[0], Column) or "?" in node.args[0]
    cells = sheet.column(sheet.selected if node.column is None else node.column) if scans else []
    return sheet.num_rows + sum(len(cell.text) for cell in cells) // 4


def _evaluate(node: Node, sheet: Sheet) -> Mask:
    group = node.signature.group
    if group == "visual":
        raise ValueError(f"{node.name} has no boolean outcome, so there is nothing to evaluate")
    if group == "logic":
        return _logic(node.name, [_evaluate(operand, sheet) for operand in node.args])
    cells = sheet.column(sheet.selected if node.column is None else node.column)
    if group == "compare":
        return _compare(node.name, cells, [_operand(arg, sheet) for arg in node.args])
    if group == "text":
        return _text(node.name, cells, node.args[0], sheet)
    if group == "rank":
        return _rank(node, cells)
    if group == "date":
        first, last = _period(node.name, sheet.today)
        # floor: a date with a time of day belongs to its day
        return [cell.is_date and date_serial(first) <= math.floor(cell.data) <= date_serial(last) for cell in cells]
    if group == "set":
        keys = [_identity(cell) for cell in cells]
        counts = Counter(keys)
        return [key is not None and (counts[key] > 1) == (node.name == "Duplicates") for key in keys]
    return [cell.kind == ("blank" if node.name == "Blanks" else "error") for cell in cells]


def _logic(name: str, masks: list[Mask]) -> Mask:
    if name == "NOT":
        return [None if outcome is None else not outcome for outcome in masks[0]]
    decisive = name == "OR"  # one True decides OR, one False decides AND
    return [
        decisive if decisive in outcomes else None if None in outcomes else not decisive for outcomes in zip(*masks)
    ]


def _operand(arg: Column | str, sheet: Sheet) -> list[Value]:
    return sheet.column(arg.index) if isinstance(arg, Column) else [read_cell(arg)] * sheet.num_rows


_ORDER = {"number": 0, "text": 1, "bool": 2}
_ZERO = {"number": 0.0, "text": "", "bool": False}
_OPERATORS = {
    "Equals": operator.eq,
    "NotEquals": operator.ne,
    "GreaterThan": operator.gt,
    "GreaterThanEqual": operator.ge,
    "LessThan": operator.lt,
    "LessThanEqual": operator.le,
}


def _compare(name: str, cells: list[Value], operands: list[list[Value]]) -> Mask:
    if len(operands) == 1:
        holds = _OPERATORS[name]
        orders = [_order(cell, value) for cell, value in zip(cells, operands[0])]
        return [None if order is None else holds(order, 0) for order in orders]
    outcomes: Mask = []
    for cell, low, high in zip(cells, *operands):
        swap = _order(low, high)
        if swap is not None and swap > 0:
            low, high = high, low
        above, below = _order(cell, low), _order(cell, high)
        unknown = above is None or below is None
        outcomes.append(None if unknown else (above >= 0 and below <= 0) == (name == "Between"))
    return outcomes


def _order(left: Value, right: Value) -> int | None:
    """
    -1, 0 or 1 in Excel's order number < text < boolean, a blank being 0, "" or FALSE; `None` if one is an error. Text
    has the order of a dictionary (`sort_key`), not of character codes.
    """
    if left.kind == "error" or right.kind == "error":
        return None
    left_kind = left.kind if left.kind != "blank" else right.kind if right.kind != "blank" else "number"
    right_kind = right.kind if right.kind != "blank" else left_kind
    if left_kind != right_kind:
        return 1 if _ORDER[left_kind] > _ORDER[right_kind] else -1
    first = _ZERO[left_kind] if left.kind == "blank" else left.data
    second = _ZERO[right_kind] if right.kind == "blank" else right.data
    if left_kind == "text" and first != second:
        first, second = (sort_key(first), first), (sort_key(second), second)
    return (first > second) - (first < second)


def _text(name: str, cells: list[Value], arg: Column | str, sheet: Sheet) -> Mask:
    holds = _TEXT_RULES[name]
    if isinstance(arg, Column):
        return [holds(cell, value) for cell, value in zip(cells, sheet.column(arg.index))]
    literal = read_cell(arg)
    if literal.kind != "number":  # "TRUE" or "#N/A" in a text rule is just text
        literal = Value("text", arg.casefold(), arg.casefold())
    if name in ("TextContains", "TextNotContains"):  # compile the pattern once
        contains = functools.cache(wildcard_matcher(literal.text))
        return [_contains(cell, literal, contains) == (name == "TextContains") for cell in cells]
    return [holds(cell, literal) for cell in cells]


def _contains(cell: Value, literal: Value, matcher: Callable[[str], bool]) -> bool:
    if cell.kind in ("error", "blank"):  # SEARCH fails on an error; a blank holds no text, whatever the wildcards
        return cell.kind == "blank" and literal.text == ""
    return matcher(cell.text)


def _text_equals(cell: Value, literal: Value) -> bool | None:
    if cell.kind == "error" or literal.kind == "error":
        return None
    if cell.kind == "number" and literal.kind == "number":
        return cell.data == literal.data
    return cell.text == literal.text


_TEXT_RULES: dict[str, Callable[[Value, Value], bool | None]] = {
    "TextEquals": _text_equals,
    "TextContains": lambda cell, value: _contains(cell, value, wildcard_matcher(value.text)),
    "TextNotContains": lambda cell, value: not _contains(cell, value, wildcard_matcher(value.text)),
    "TextStartsWith": lambda cell, value: None if cell.kind == "error" else cell.text.startswith(value.text),
    "TextEndsWith": lambda cell, value: None if cell.kind == "error" else cell.text.endswith(value.text),
}


def wildcard_matcher(pattern: str) -> Callable[[str], bool]:
    """
    Excel's SEARCH: whether `pattern` occurs anywhere in a text, `*` standing for any characters, `?` for one, `~` for
    the literal next character. Both must be case-folded. Linear per segment between stars: no backtracking, no `re`.
    """
    segments: list[list[str | None]] = [[]]
    position = 0
    while position < len(pattern):
        char = pattern[position]
        if char == "~" and position + 1 < len(pattern):
            position += 1
            segments[-1].append(pattern[position])
        elif char == "*":
            segments.append([])
        else:
            segments[-1].append(None if char == "?" else char)
        position += 1
    finders = [_segment_finder(segment) for segment in segments if segment]

    def matches(text: str) -> bool:
        end = 0
        for find in finders:  # the leftmost occurrence of each segment leaves most room for the rest
            end = find(text, end)
            if end < 0:
                return False
        return True

    return matches


def _segment_finder(segment: list[str | None]) -> Callable[[str, int], int]:
    """A function (text, start) -> end of the leftmost occurrence of `segment` (`None` is any character), or -1."""
    if None not in segment:
        literal = "".join(char for char in segment if char is not None)

        def find(text: str, start: int) -> int:
            found = text.find(literal, start)
            return found + len(literal) if found >= 0 else -1

        return find

    # Shift-And: bit i of `state` says that segment[: i + 1] matches the text up to here
    anything = sum(1 << i for i, char in enumerate(segment) if char is None)
    masks: dict[str, int] = {}
    for i, char in enumerate(segment):
        if char is not None:
            masks[char] = masks.get(char, anything) | 1 << i
    final = 1 << (len(segment) - 1)

    def shift_and(text: str, start: int) -> int:
        state = 0
        for position in range(start, len(text)):
            state = (state << 1 | 1) & masks.get(text[position], anything)
            if state & final:
                return position + 1
        return -1

    return shift_and


def _rank(node: Node, cells: list[Value]) -> Mask:
    numbers = [cell.data for cell in cells if cell.kind == "number"]
    if not numbers:
        return [False] * len(cells)
    if node.name in ("AboveAverage", "BelowAverage"):
        # dividing first cannot overflow; the rounding undoes what it costs
        mean = round_number(math.fsum(number / len(numbers) for number in numbers))
        sign = 1 if node.name == "AboveAverage" else -1
        return [cell.kind == "number" and sign * cell.data > sign * mean for cell in cells]
    count = int(node.args[0])
    if node.name.endswith("Percent"):
        count = max(1, len(numbers) * count // 100)
    ranked = sorted(numbers, reverse=node.name.startswith("Top"))
    threshold = ranked[min(count, len(ranked)) - 1]
    if node.name.startswith("Top"):
        return [cell.kind == "number" and cell.data >= threshold for cell in cells]
    return [cell.kind == "number" and cell.data <= threshold for cell in cells]


def _identity(cell: Value) -> tuple[str, Any] | None:
    """What makes two cells duplicates: the typed value, text without case; two equal errors are duplicates too."""
    if cell.kind == "blank":
        return None
    return cell.kind, cell.text if cell.kind == "error" else cell.data


def _period(name: str, today: datetime.date) -> tuple[datetime.date, datetime.date]:
    """First and last day of a date rule; weeks start on Sunday."""
    day = datetime.timedelta(days=1)
    if name in ("Yesterday", "Today", "Tomorrow"):
        shifted = today + {"Yesterday": -1, "Today": 0, "Tomorrow": 1}[name] * day
        return shifted, shifted
    if name == "Last7Days":
        return today - 6 * day, today
    shift = {"Last": -1, "This": 0, "Next": 1}[name[:4]]
    if name.endswith("Week"):
        sunday = today - (today.weekday() + 1) % 7 * day + 7 * shift * day
        return sunday, sunday + 6 * day
    first = _month_start(today, shift)
    return first, _month_start(today, shift + 1) - day


def _month_start(today: datetime.date, shift: int) -> datetime.date:
    months = today.year * 12 + today.month - 1 + shift
    return datetime.date(months // 12, months % 12 + 1, 1)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))
