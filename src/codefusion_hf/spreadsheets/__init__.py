"""
Sentences and rules applied to workbooks: `codefusion apply`.

    table = read_table("grades.xlsx")
    highlight = prepare("TopPercent(10)", table, column="B")
    save(highlight, "highlighted.xlsx")

[`suggest`] asks a model for the rule. A rule comes from our own parser alone, and what it says reaches the workbook
only as quoted literals and printed numbers. Needs openpyxl: `pip install 'codefusion-hf[excel]'`.
"""

from __future__ import annotations

from .formats import CellFormat
from .highlights import Highlight, assess, check_output, choose, prepare, prompt_columns, report, save, suggest
from .preview import check_preview, write_preview
from .table import SheetTable, read_table


__all__ = [
    "CellFormat",
    "Highlight",
    "SheetTable",
    "assess",
    "check_output",
    "check_preview",
    "choose",
    "prepare",
    "prompt_columns",
    "read_table",
    "report",
    "save",
    "suggest",
    "write_preview",
]
