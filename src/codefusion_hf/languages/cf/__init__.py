"""
Excel conditional-formatting rules, e.g. `AND(GreaterThan(10), NOT(Blanks()))`.

[`parse`] and [`unparse`] know every spelling found in the wild and the one canonical form; [`evaluate`] executes a
rule on a table; [`matches`] compares two rules by what they highlight.
"""

from __future__ import annotations

from .. import Span
from .grounding import is_grounded
from .interpreter import evaluate, read_table, selected_column
from .matching import Matcher, matches
from .syntax import SIGNATURES, Column, Node, canonicalize, normalize, parse, rule_spans, unparse


NAME = "cf"
FILE_EXTENSION = ".cf"
# What a tokenizer should keep in one piece, and whether it may lower-case its text (Excel compares text without case).
ATOMS = (*(f"{name}(" for name in SIGNATURES), *(f"c[{k}]" for k in range(16)), ", ")
IGNORES_CASE = True

__all__ = [
    "ATOMS",
    "FILE_EXTENSION",
    "IGNORES_CASE",
    "NAME",
    "SIGNATURES",
    "Column",
    "Matcher",
    "Node",
    "canonicalize",
    "evaluate",
    "is_grounded",
    "is_valid",
    "literals",
    "matches",
    "normalize",
    "parse",
    "read_table",
    "selected_column",
    "spans",
    "unparse",
]


def is_valid(code: str) -> bool:
    """Whether `code` parses, arity and argument types included. Never raises."""
    try:
        parse(code)
    except (TypeError, ValueError):
        return False
    return True


def spans(code: str) -> list[Span]:
    """
    Rule names, AND, OR and NOT (`"keyword"`) and column references (`"identifier"`) of `code`, sorted and disjoint.
    Literals are never spans. `[]` if `code` does not parse.
    """
    try:
        return rule_spans(code)
    except (TypeError, ValueError):
        return []


def literals(code: str) -> list[str]:
    """The literal arguments of a rule, as canonically printed, in order; `[]` if `code` does not parse."""
    try:
        nodes = [parse(code)]
    except (TypeError, ValueError):
        return []
    found = []
    while nodes:
        node = nodes.pop()
        found += [arg for arg in node.args if isinstance(arg, str)]
        nodes += reversed([arg for arg in node.args if isinstance(arg, Node)])
    return found
