"""A rule on the table of a workbook: what it highlights there, and the workbook in which it does."""

from __future__ import annotations

import datetime
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..languages.cf import Column, Node, parse, unparse
from ..languages.cf.interpreter import evaluate_sheet
from .formats import DEFAULT_FORMAT, CellFormat, cell_colors, conditional_format
from .table import SheetTable


if TYPE_CHECKING:
    from openpyxl.formatting.rule import Rule

NUM_PROMPT_ROWS = 1000  # what `data.prompts.source_text` looks at
NUM_PROMPT_COLUMNS = 12  # more do not fit into what the shipped model reads
_NUMERAL = re.compile(r"\s*[-+]?[0-9][0-9.,]*%?\s*")


@dataclass(eq=False)
class Highlight:
    """
    A rule on a table.

    Attributes:
        rule (`str`): The rule, canonically printed; `c[0]` is the first column of the table.
        table (`SheetTable`): The table.
        column (`int`): The index of the column whose cells are highlighted.
        mask (`list[bool]`): Whether each of them is; for colour scales, data bars and icons, whether it is a number.
        format_rule (`openpyxl.formatting.rule.Rule`): What a workbook says for it.
    """

    rule: str
    table: SheetTable
    column: int
    mask: list[bool]
    format_rule: Rule

    @property
    def num_cells(self) -> int:
        """The number of cells that are highlighted."""
        return sum(self.mask)

    @property
    def range(self) -> str:
        """The cells that the rule decides on, such as `B2:B11`."""
        return self.table.range(self.column)

    @property
    def is_visual(self) -> bool:
        """Whether the rule is a colour scale, data bars or icons, which have colours of their own."""
        return parse(self.rule).signature.group == "visual"

    def colors(self, fill: str) -> list[str | None]:
        """The background of each cell of the column as `RRGGBB`, for a preview; `None` where nothing changes."""
        return cell_colors(parse(self.rule), self.table.column(self.column), self.mask, fill)


def prepare(
    rule: str | Node,
    table: SheetTable,
    column: str | None = None,
    today: datetime.date | None = None,
) -> Highlight:
    """
    Finds out what a rule highlights in a table, and what a workbook says for it.

    Args:
        rule (`str` or `Node`): The rule; `c[0]` is the first column of the table.
        table (`SheetTable`): See [`table.read_table`].
        column (`str`, *optional*): The letter or the header of the column to highlight; by default the only one, or
            the first that the rule names.
        today (`datetime.date`, *optional*): The day that the date rules count from; by default today.

    Raises:
        ValueError: If the rule does not parse or does not fit the table, or a workbook cannot say it.
    """
    node = parse(rule) if isinstance(rule, str) else rule
    leaves = _leaves(node)
    named = [leaf.column for leaf in leaves if leaf.column is not None]
    if column is not None:
        selected = table.find_column(column)
    elif named:
        selected = named[0]
    elif len(table.cells) == 1:
        selected = 0
    else:
        raise ValueError(f"{unparse(node)} names no column: say which one to highlight; {table.describe_columns()}")
    for leaf in leaves:
        own = selected if leaf.column is None else leaf.column
        for index in (own, selected, *(arg.index for arg in leaf.args if isinstance(arg, Column))):
            table.column(index)  # raises if there is none
        if leaf.signature.group == "date" and own not in table.dates:
            raise ValueError(f"{leaf.name} needs dates, and column {_name(table, own)} holds none or few")
        if leaf.signature.group == "visual" and own != selected:
            raise ValueError(f"{leaf.name} can only colour the column that it reads, {_name(table, own)}")
    values = table.column(selected)
    if node.signature.group == "visual":
        mask = [value.kind == "number" for value in values]
    else:
        mask = evaluate_sheet(node, table.as_sheet(selected, today or datetime.date.today()))
    mask = [shown and not covered for shown, covered in zip(mask, table.covered(selected))]
    format_rule = conditional_format(node, table.area(selected), values, [str(cell) for cell in table.cells[selected]])
    return Highlight(unparse(node), table, selected, mask, format_rule)


def suggest(
    utterance: str, table: SheetTable, column: str | None, model: Any, tokenizer: Any, **settings: Any
) -> list[dict[str, Any]]:
    """
    Asks a model for rules. It is shown the names of the columns and the first cells; if the column is given, or there
    are many, only that one and those that the utterance mentions.

    Args:
        utterance (`str`): What to highlight.
        table (`SheetTable`): See [`table.read_table`].
        column (`str`, *optional*): The letter or the header of the column to highlight.
        model, tokenizer: As returned by [`evaluation.load`].
        settings: See [`evaluation.generate_candidates`].

    Returns:
        `list[dict]`: The candidates, best first: `code`, `score` and `valid` as [`evaluation.generate_candidates`]
        gives them, `c[0]` being the table's first column; `highlight` ([`Highlight`]), or `None` and the `reason` why
        the rule cannot be applied.

    Raises:
        ValueError: If the utterance is unusable, the model writes no rules, or there is no such column.
    """
    from .. import evaluation

    if model.config.language != "cf":
        raise ValueError(f"the model writes {model.config.language or 'no known language'}, not cf: choose another")
    columns = prompt_columns(utterance, table, column)
    num_rows = min(table.num_rows, NUM_PROMPT_ROWS)
    prompt_table = {
        "columns": [table.headers[index] for index in columns],
        "rows": [[table.display(index, row) for index in columns] for row in range(num_rows)],
    }
    [candidates] = evaluation.generate_candidates(
        model, tokenizer, [{"nl": utterance, "table": prompt_table}], **settings
    )
    return assess(candidates, table, columns, column)


def prompt_columns(utterance: str, table: SheetTable, column: str | None = None) -> list[int]:
    """The indices of the columns that a model is shown, see [`suggest`]."""
    columns = list(range(len(table.cells)))
    if column is None and len(columns) <= NUM_PROMPT_COLUMNS:
        return columns
    selected = None if column is None else table.find_column(column)
    mentioned = [index for index in columns if index == selected or _mentions(utterance, table, index)]
    shown = (mentioned or columns)[:NUM_PROMPT_COLUMNS]
    if selected is not None and selected not in shown:
        shown[-1] = selected
    return shown


def assess(
    candidates: list[dict[str, Any]], table: SheetTable, columns: list[int], column: str | None = None
) -> list[dict[str, Any]]:
    """
    Adds to each candidate of [`evaluation.generate_candidates`] what it highlights, or why it cannot be applied, and
    turns its references to the `columns` of the prompt into those of the table: see [`suggest`].
    """
    if len(columns) == 1:
        column = table.letters[columns[0]]
    assessed = []
    for candidate in candidates:
        candidate = {**candidate, "highlight": None, "reason": None}
        try:
            node = _renumber(parse(candidate["code"]), columns)
            candidate["code"] = unparse(node)
            candidate["highlight"] = prepare(node, table, column)
        except ValueError as error:
            candidate["reason"] = str(error)
        assessed.append(candidate)
    return assessed


def choose(candidates: list[dict[str, Any]], number: int | None = None) -> int:
    """
    The number, from 1, of the candidate to apply: the first that can be, or the one that the caller wants.

    Raises:
        ValueError: With the reasons, if it, or none, can be applied.
    """
    if number is not None and not 1 <= number <= len(candidates):
        raise ValueError(f"there is no candidate {number}; there are {len(candidates)}")
    for rank, candidate in enumerate(candidates, start=1):
        if candidate["highlight"] is not None and number in (None, rank):
            return rank
    if number is not None:
        raise ValueError(f"candidate {number}, {candidates[number - 1]['code']}: {candidates[number - 1]['reason']}")
    raise ValueError(f"no candidate can be applied; the first, {candidates[0]['code']}: {candidates[0]['reason']}")


def report(candidates: list[dict[str, Any]], chosen: int) -> dict[str, Any]:
    """
    What `codefusion apply --json` prints.

    Args:
        candidates (`list[dict]`): As returned by [`suggest`].
        chosen (`int`): As returned by [`choose`].

    Returns:
        `dict`: `sheet`, `column` (the letter), `header`, `range`, `rule`, `cells` (the number of highlighted ones),
        `total` (cells of the range), `kind` (of conditional format) and `formula` of the chosen rule; `notes` on its
        cells; `candidates` with `code`, `score`, `valid`, `range`, `cells` and `reason`; `chosen`.
    """
    highlight = candidates[chosen - 1]["highlight"]
    entries = []
    for candidate in candidates:
        found = candidate["highlight"]
        entry = {key: candidate[key] for key in ("code", "score", "valid") if key in candidate}
        place = {"range": found and found.range, "cells": found and found.num_cells, "reason": candidate["reason"]}
        entries.append(entry | place)
    table = highlight.table
    return {
        "sheet": table.sheet,
        "column": table.letters[highlight.column],
        "header": table.headers[highlight.column],
        "range": highlight.range,
        "rule": highlight.rule,
        "cells": highlight.num_cells,
        "total": table.num_rows,
        "kind": highlight.format_rule.type,
        "formula": (highlight.format_rule.formula or [None])[0],
        "notes": notes(highlight),
        "candidates": entries,
        "chosen": chosen,
    }


def check_output(path: str | Path, table: SheetTable, overwrite: bool = False) -> None:
    """
    Raises `ValueError` if [`save`] cannot or must not write `path`: the file exists, the workbook itself included, and
    `overwrite` is not given; its ending is not that of the workbook, which spreadsheet programs do not forgive; or
    there is no such folder.
    """
    path, source = Path(path), table.package.path
    if path.suffix.lower() != source.suffix.lower():
        raise ValueError(f"the output {path} must end in {source.suffix}, as {source.name} does")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder")
    if path.exists() and not overwrite:
        what = f"{path} is the workbook itself" if os.path.samefile(path, source) else f"{path} exists"
        raise ValueError(f"{what}: choose another output, or allow it to be overwritten (--overwrite)")


def save(
    highlight: Highlight, output: str | Path, cell_format: CellFormat | None = None, overwrite: bool = False
) -> None:
    """
    Writes a copy of the workbook in which the rule is a conditional format of its column. Everything else in the
    workbook stays as it is: macros, charts, other sheets and formats.

    Args:
        highlight (`Highlight`): As returned by [`prepare`].
        output (`str` or `Path`): See [`check_output`].
        cell_format (`CellFormat`, *optional*): How highlighted cells look; light red with dark red text by default.
        overwrite (`bool`, defaults to `False`): Whether `output` may exist, and may be the workbook itself.

    Raises:
        ValueError: If the output must not be written, or colours are given for a rule that has its own.
        OSError: If it cannot be written.
    """
    table = highlight.table
    check_output(output, table, overwrite)
    if highlight.is_visual and cell_format is not None:
        raise ValueError(f"{highlight.rule} has colours of its own: leave the format out")
    style = None if highlight.is_visual else (cell_format or DEFAULT_FORMAT).openpyxl_style()
    table.package.add_format(table.sheet, highlight.range, highlight.format_rule, style, Path(output))


def notes(highlight: Highlight) -> list[str]:
    """What a user should know about the cells that a rule reads, one sentence each."""
    table, found = highlight.table, []
    columns = {highlight.column}
    for leaf in _leaves(parse(highlight.rule)):
        columns |= {leaf.column} - {None} | {arg.index for arg in leaf.args if isinstance(arg, Column)}
    for index in sorted(columns):
        name, cells = _name(table, index), table.cells[index]
        if index in table.uncomputed:
            found.append(
                f"{table.uncomputed[index]} formulas in column {name} have no saved value and count as blanks here: "
                "open and save the workbook in a spreadsheet program for right numbers"
            )
        texts = sum(isinstance(cell, str) and bool(_NUMERAL.fullmatch(cell)) for cell in cells)
        if texts:
            found.append(f"{texts} cells of column {name} look like numbers but are text, and are compared as text")
        dates = sum(isinstance(cell, datetime.date) for cell in cells)
        numbers = sum(value.kind == "number" for value in table.column(index))
        if 0 < dates < numbers:
            what = "its numbers count as dates" if index in table.dates else "its dates count as plain numbers"
            found.append(f"column {name} mixes dates and numbers: {what}")
    if table.package.is_signed:
        found.append("the workbook is digitally signed: the changed copy does not carry a valid signature")
    return found


def _leaves(node: Node) -> list[Node]:
    if node.signature.group != "logic":
        return [node]
    return [leaf for operand in node.args for leaf in _leaves(operand)]


def _name(table: SheetTable, index: int) -> str:
    return f"{table.letters[index]} ({table.headers[index]})"


def _mentions(utterance: str, table: SheetTable, index: int) -> bool:
    """Whether a word of the column's header, or one of its first cells, stands in the utterance."""
    words = _words(utterance)
    stems = [word[:5] for word in words if len(word) > 2]
    for word in _words(table.headers[index]):  # "grade" is mentioned by "grades", "price" by "prices"
        if len(word) > 2 and any(stem.startswith(word[:5]) or word.startswith(stem) for stem in stems):
            return True
    text = f" {' '.join(words)} "
    cells = (_words(str(cell)) for cell in table.cells[index][:NUM_PROMPT_ROWS] if isinstance(cell, str))
    return any(cell and f" {' '.join(cell)} " in text for cell in cells)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def _renumber(node: Node, columns: list[int]) -> Node:
    """The rule on the whole table for a rule on some of its columns, of which a single one needs no reference."""

    def place(index: int) -> int:
        if index >= len(columns):
            raise ValueError(f"it names column c[{index}], which does not exist")
        return columns[index]

    args = []
    for arg in node.args:
        if isinstance(arg, Node):
            arg = _renumber(arg, columns)
        elif isinstance(arg, Column):
            arg = Column(place(arg.index))
        args.append(arg)
    return Node(node.name, tuple(args), None if node.column is None else place(node.column))
