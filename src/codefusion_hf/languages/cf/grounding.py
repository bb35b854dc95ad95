"""Whether a rule can come from what the user wrote: its literals from the utterance, its columns from the table."""

from __future__ import annotations

import re
from typing import Any

from .syntax import Column, Node, parse


_QUOTES = str.maketrans("“”„«»‘’‚", '"""""\'\'\'')
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_DATE = re.compile(r"(\d{4})-\d\d-\d\d")
_WRITTEN = re.compile(r"(?<![\d.])\d+(?:\.\d+)?(?!\d|\.\d)")
_NUMBER = re.compile(r"-?(\d+(?:\.\d+)?)%?")
_SCALED = re.compile(r"\d\s*(?:k|m|mil|million|thousand|lakhs?|crores?|bn|billion)\b")
LARGEST_NUMBER_WORD = 12  # up to "twelve", a number may have been written as a word


def is_grounded(code: str, nl: str, table: dict[str, Any] | None = None) -> bool:
    """
    Whether a rule names only columns that the table has and only literals that the utterance can have given.

    A text must stand in the utterance as whole words, in the plural if need be, and so must the year of a date. A
    number must stand there, except where it may have been written in another way: in words, in thousands (`5k`), or
    rounded to hundreds. Letter case, thousands commas, zeros behind a point and the style of quotes and blanks do not
    matter.

    Args:
        code (`str`): A rule; what does not parse is not grounded.
        nl (`str`): The utterance.
        table (`dict`, *optional*): `{"columns": [...], ...}`; without it any column will do.
    """
    try:
        nodes = [parse(code)]
    except (TypeError, ValueError):
        return False
    text = _plain(nl)
    while nodes:
        node = nodes.pop()
        columns = [node.column, *(arg.index for arg in node.args if isinstance(arg, Column))]
        if table and any(column is not None and column >= len(table["columns"]) for column in columns):
            return False
        if not all(_stands_in(_plain(arg), text) for arg in node.args if isinstance(arg, str)):
            return False
        nodes += [arg for arg in node.args if isinstance(arg, Node)]
    return True


def _plain(text: str) -> str:
    return " ".join(_THOUSANDS.sub("", text.casefold().translate(_QUOTES)).split())


def _stands_in(literal: str, text: str) -> bool:
    # Whole words: half of one is what a pointer that stops too early leaves.
    words = rf"(?<![a-z0-9]){re.escape(literal)}" if literal[:1].isalnum() else re.escape(literal)
    words = rf"{words}(?:e?s)?(?![a-z0-9])" if literal[-1:].isalnum() else words
    if not _NUMBER.fullmatch(literal) and re.search(words, text):
        return True
    if date := _DATE.fullmatch(literal):
        return date[1] in text
    if number := _NUMBER.fullmatch(literal):
        digits = number[1]
        if float(digits) in map(float, _WRITTEN.findall(text)) or _SCALED.search(text):
            return True
        if "." in digits:
            return False
        return int(digits) <= LARGEST_NUMBER_WORD or digits.endswith("00") or not re.search(r"\d", text)
    return False
