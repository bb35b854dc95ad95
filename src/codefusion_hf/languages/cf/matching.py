"""Execution match of two rules: do they highlight the same rows, on the table at hand and on probe tables?"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .interpreter import Sheet, Table, evaluate_sheet, open_sheet, read_table, referenced_columns
from .syntax import Node, normalize, parse
from .values import Value, read_cell


# A fixed Wednesday in a month's middle, so that the ten date rules differ and a score never depends on the clock.
PROBE_TODAY = datetime.date(2024, 5, 15)
MAX_PROBE_CELLS = 300
_COMMON_CELLS = [None, "", " ", "TRUE", "FALSE", "#N/A", "#N/A", "#DIV/0!", "a", "A", "b", "zz", "~", "*", "?"]
_COMMON_CELLS += [-1e9, -100, -1, 0, 0.5, 1, 1, 2, 3, 5, 10, 50, 100, 1e9]
_COMMON_CELLS = [read_cell(cell) for cell in _COMMON_CELLS]
_DATE_CELLS = [read_cell(str(PROBE_TODAY + datetime.timedelta(days=days))) for days in range(-50, 51)]


def matches(
    prediction: str,
    reference: str,
    context: Mapping[str, Any] | Sequence[Sequence[Any]] | None = None,
    strict: bool = False,
) -> bool:
    """
    Whether `prediction` highlights what `reference` highlights. Rules without a boolean outcome (ColorScale, DataBar,
    IconSet) match if kind and column are equal; a reference that does not parse is compared as normalized text.

    Args:
        prediction (`str`): any text at all; blank or unparseable text never matches a rule.
        reference (`str`): the gold rule.
        context (`dict` or `list`, *optional*): the table, see `read_table`. Without data rows the probe tables decide.
        strict (`bool`, defaults to `False`): also require equality on the probe tables, which are built from the
            constants of both rules and tell apart rules that the table at hand happens not to.

    Raises:
        TypeError, ValueError: if `context` is malformed; never because of `prediction`.
    """
    return getattr(Matcher([reference], context).outcome(prediction), "strict" if strict else "execution")


class Outcome(NamedTuple):
    """Whether a prediction matches on the table at hand (`execution`), and on the probe tables as well (`strict`)."""

    execution: bool
    strict: bool


class Matcher:
    """
    The golds of one task on its table, for any number of predictions: golds are parsed and executed once.

    Args:
        references (`Sequence[str]`): the gold rules; a prediction is right if it matches any of them.
        context (`dict` or `list`, *optional*): the table, see `read_table`. Without data rows the probe tables decide.

    Raises:
        TypeError, ValueError: if `context` is malformed.
    """

    def __init__(self, references: Sequence[str], context: Mapping[str, Any] | Sequence[Sequence[Any]] | None = None):
        self.table: Table | None = None if _is_empty(context) else read_table(context)
        self.sheet = open_sheet(self.table, PROBE_TODAY) if self.table and self.table.rows else None
        self.golds: list[Node] = []
        self.texts: list[str] = []  # of golds that do not parse
        for reference in references:
            try:
                self.golds.append(parse(reference))
            except ValueError:
                self.texts.append(normalize(reference))
        self.masks: dict[Node, list[bool] | None] = {}

    def outcome(self, prediction: str) -> Outcome:
        """Compares `prediction`, any text at all, with the golds. Never raises."""
        if not isinstance(prediction, str) or not prediction.strip():
            return Outcome(False, False)
        if self.texts and normalize(prediction) in self.texts:
            return Outcome(True, True)
        try:
            guess = parse(prediction)
        except ValueError:
            return Outcome(False, False)
        execution = False
        for gold in self.golds:
            try:
                outcome = self._compare(guess, gold)
            except ValueError:  # names a column that the table lacks, or exceeds the work limit
                continue
            if outcome.strict:
                return outcome
            execution |= outcome.execution
        return Outcome(execution, False)

    def _compare(self, guess: Node, gold: Node) -> Outcome:
        selected = self.table.selected if self.table else 0
        if _resolve(guess, selected) == _resolve(gold, selected):
            return Outcome(True, True)
        if "visual" in (guess.signature.group, gold.signature.group):
            return Outcome(False, False)
        columns = referenced_columns(guess, selected)
        if self.table and max(columns) >= self.table.width:
            return Outcome(False, False)
        columns |= referenced_columns(gold, selected)
        executed = self.sheet is not None and max(columns) < self.table.width
        if executed and evaluate_sheet(guess, self.sheet) != self._mask(gold):
            return Outcome(False, False)
        try:
            probes = _probes([*_leaves(gold), *_leaves(guess)], sorted(columns), selected)
            strict = all(evaluate_sheet(guess, sheet) == evaluate_sheet(gold, sheet) for sheet in probes)
        except ValueError:  # exceeds the work limit on a probe table
            strict = False
        return Outcome(executed or strict, strict)

    def _mask(self, gold: Node) -> list[bool] | None:
        if gold not in self.masks:
            try:
                self.masks[gold] = evaluate_sheet(gold, self.sheet)
            except ValueError:  # exceeds the work limit: equals no mask
                self.masks[gold] = None
        return self.masks[gold]


def _resolve(node: Node, selected: int) -> Node:
    """`node` with the selected column written out and its text case-folded, so that equal nodes mean the same."""
    if node.signature.group == "logic":
        return Node(node.name, tuple(_resolve(operand, selected) for operand in node.args))
    args = tuple(arg.casefold() if isinstance(arg, str) else arg for arg in node.args)
    return Node(node.name, args, selected if node.column is None else node.column)


def _leaves(node: Node) -> Iterator[Node]:
    if node.signature.group != "logic":
        yield node
    else:
        for operand in node.args:
            yield from _leaves(operand)


def _probes(leaves: list[Node], columns: list[int], selected: int) -> Iterator[Sheet]:
    """
    Deterministic tables that tell rules apart: boundary values of the constants, variants of the texts in case and
    affix, blanks, errors, booleans, duplicates, dates around `PROBE_TODAY`, and enough numbers for every rank.
    """

    def sheet(cells: list[Value], offsets: Iterable[int] = (7,)) -> Sheet:
        # column j is rotated by j x offset, so that the cells of a row differ; one block of rows per offset
        rotated = {
            index: [cells[(row + j * offset) % len(cells)] for offset in offsets for row in range(len(cells))]
            for j, index in enumerate(columns)
        }
        return Sheet(rotated.__getitem__, len(rotated[columns[0]]), selected, PROBE_TODAY)

    groups = {leaf.signature.group for leaf in leaves}
    literals = [arg for leaf in leaves if leaf.signature.group != "rank" for arg in leaf.args if isinstance(arg, str)]
    literals = list(dict.fromkeys(literals))
    cells = _probe_cells(literals, dates="date" in groups)
    yield sheet(cells)
    if len(columns) > 1:  # every cell beside twelve others, itself included
        yield sheet(cells, [len(cells) * k // 12 for k in range(12)])
    if "set" in groups:  # the second half of the values becomes unique
        yield sheet(cells + cells[: len(cells) // 2])
    if "rank" in groups:
        largest = max((int(leaf.args[0]) for leaf in leaves if leaf.name in ("Top", "Bottom")), default=0)
        for cells in _ranked_cells(largest):
            yield sheet(cells)
        for number in _numbers(literals)[:16]:  # a cut at the constant within the top and bottom ranks
            step = max(abs(number), 1.0) * 1e-3
            yield sheet([read_cell(number + i * step) for i in range(-6, 7)])


@functools.lru_cache(maxsize=64)
def _ranked_cells(largest: int) -> list[list[Value]]:
    """Columns of numbers without and with ties, longer than `largest`."""
    columns = []
    # two sizes of 200 or more: any two percentages differ, and no rank equals the same percentage of both
    for size in (largest + 203, 2 * largest + 517):
        columns.append([read_cell(float(i * abs(i))) for i in range(-size // 3, size - size // 3)])
        columns.append([read_cell(float(i // 2 * 3)) for i in range(size)])
    return columns


def _numbers(literals: list[str]) -> list[float]:
    values = [read_cell(literal) for literal in literals]
    return [value.data for value in values if value.kind == "number"]


def _probe_cells(literals: list[str], dates: bool) -> list[Value]:
    common = _COMMON_CELLS + _DATE_CELLS if dates else _COMMON_CELLS
    cells: list[Any] = []
    for literal in literals:
        value = read_cell(literal)
        if value.kind == "number":
            number, step = value.data, 1.0 if value.is_date else max(abs(value.data), 1.0) * 1e-3
            cells += [number, number, number - step, number + step, number - 1, number + 1, -number]
        if value.is_date:
            cells += [literal]
        cells += [literal, literal.upper(), f"x{literal}", f"{literal}x", f"x{literal}x", f"{literal} ", literal[1:]]
        cells += [literal[:-1], literal.replace("~", ""), f"{literal} {literal}", f"{literal}x{literal}"]
        if "*" in literal or "?" in literal:
            cells += [literal.replace("*", star).replace("?", mark) for star in ("", "zz") for mark in ("", "q")]
    return common + [read_cell(cell) for cell in cells[: MAX_PROBE_CELLS - len(common)]]


def _is_empty(context: Any) -> bool:
    if isinstance(context, Mapping):
        return not context.get("columns") and not context.get("rows")
    return context is None or (isinstance(context, (list, tuple)) and not any(context))
