"""Typed cell values: the strings of a table become numbers, dates, booleans, errors, blanks or text, as in Excel."""

from __future__ import annotations

import datetime
import functools
import math
import re
import unicodedata
from typing import Any, NamedTuple


ERRORS = frozenset(
    "#N/A #DIV/0! #VALUE! #REF! #NAME? #NUM! #NULL! #SPILL! #CALC! #FIELD! #BLOCKED! #GETTING_DATA".split()
)
MAX_CELL_CHARACTERS = 32_767  # Excel's own limit

_NUMBER = re.compile(r"([+-]?)([0-9]{1,3}(?:,[0-9]{3})+|[0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,3}))?[ ]?(%?)")
_ISO_DATE = re.compile(r"([0-9]{4})[-/]([0-9]{1,2})[-/]([0-9]{1,2})")
_SLASH_DATE = re.compile(r"([0-9]{1,2})[-/]([0-9]{1,2})[-/]([0-9]{4})")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?(?:\.[0-9]+)?Z?")
_CURRENCY = "$€£¥₹"
_LONGEST_NUMBER = 64
_SORTED_CHARACTERS = 256
# Signs stand before digits, and digits before letters, in this order (Unicode's, CLDR root collation); control
# characters come first. A sign becomes one of the characters 1 to 33, all below the digits.
_SIGNS = {code: "\0" + chr(code) for code in range(32)}
_SIGNS |= {ord(sign): chr(rank) for rank, sign in enumerate(" _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$", start=1)}
_EPOCH = datetime.date(1899, 12, 30)


class Value(NamedTuple):
    """
    One typed cell.

    Attributes:
        kind (`str`): `"number"`, `"text"`, `"bool"`, `"error"` or `"blank"`; a date is a number, days since
            1899-12-30.
        data (`float`, `str`, `bool` or `None`): the number, the case-folded text, the truth value.
        text (`str`): the cell as written, case-folded: what the text rules read.
        is_date (`bool`): whether a number was written as a date.
    """

    kind: str
    data: float | str | bool | None
    text: str
    is_date: bool = False


def canonical_number(text: str) -> str | None:
    """`text` without `+`, thousands commas and needless zeros (`"+1,000.50%"` -> `"1000.5%"`); `None` if no number."""
    match = _NUMBER.fullmatch(text) if len(text) <= _LONGEST_NUMBER else None
    if match is None or not (match[2] or match[3]):
        return None
    whole, fraction = match[2].replace(",", "").lstrip("0") or "0", (match[3] or "").rstrip("0")
    digits = f"{whole}.{fraction}" if fraction else whole
    if match[4] and int(match[4]):
        digits += f"e{int(match[4])}"
    if math.isinf(float(digits)):
        return None
    return ("-" if match[1] == "-" and float(digits) else "") + digits + match[5]


def read_cell(cell: Any) -> Value:
    """
    Types one cell, a string or any scalar of Python. Dates with slashes read day first (`3/4/2021` is 3 April), and
    month first only where that is impossible (`8/20/2021`). Text beyond `MAX_CELL_CHARACTERS` is cut.
    """
    if cell is None:
        return Value("blank", None, "")
    if isinstance(cell, bool):
        return Value("bool", cell, str(cell).casefold())
    if isinstance(cell, (int, float)):
        return _read_float(cell)
    if isinstance(cell, datetime.datetime):
        cell = cell.isoformat(sep=" ")
    text = str(cell)[:MAX_CELL_CHARACTERS].casefold()
    stripped = text.strip()
    if not stripped:
        return Value("blank", None, text)
    if stripped in ("true", "false"):
        return Value("bool", stripped == "true", text)
    if stripped[0] == "#" and stripped.upper() in ERRORS:
        return Value("error", None, text)
    if len(stripped) <= _LONGEST_NUMBER:
        number = _number(stripped)
        if number is not None:
            return Value("number", number, text)
        serial = _date_serial(stripped)
        if serial is not None:
            return Value("number", serial, text, is_date=True)
    return Value("text", text, text)


def date_serial(day: datetime.date) -> int:
    """Excel's serial number of `day`: days since 1899-12-30."""
    return (day - _EPOCH).days


def round_number(number: float) -> float:
    """Fifteen significant digits, the precision at which Excel compares (`144.69999999999999` is 144.7)."""
    return float(f"{number:.15g}")


@functools.lru_cache(maxsize=8192)
def sort_key(text: str) -> str:
    """
    What decides the order of two different case-folded texts, as in a dictionary: signs before digits before letters,
    and accents last (`"elan" < "élan" < "em"`). Only the first 256 characters count; texts with equal keys differ in
    accents or further right.
    """
    text = text[:_SORTED_CHARACTERS]
    if text.isascii():
        return text.translate(_SIGNS)
    decomposed = unicodedata.normalize("NFD", text).translate(_SIGNS)
    letters = (char for char in decomposed if not unicodedata.combining(char))
    # character 34, between the other signs and the digits, goes before a sign beyond ASCII
    return "".join(char if char.isascii() or char.isalnum() else chr(34) + char for char in letters)


def _read_float(number: float) -> Value:
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if math.isnan(number):  # the missing value of data frames
        return Value("blank", None, "")
    if math.isinf(number):
        return Value("error", None, "#num!")
    return Value("number", round_number(number), f"{number:.15g}")


def _number(text: str) -> float | None:
    sign = 1.0
    if text[0] == "(" and text[-1] == ")":  # accounting format
        sign, text = -1.0, text[1:-1].strip()
        if text[:1] in ("+", "-"):
            return None
    for symbol in _CURRENCY:
        if symbol in text:
            minus = text.startswith("-")
            text = text[minus:].strip().removeprefix(symbol).removesuffix(symbol).strip()
            sign = -sign if minus else sign
            if minus and text[:1] in ("+", "-"):
                return None
            break
    canonical = canonical_number(text)
    if canonical is None:
        return None
    number = float(canonical.rstrip("%")) / (100 if canonical.endswith("%") else 1)
    return sign * round_number(number)


def _date_serial(text: str) -> float | None:
    day_text, _, time_text = text.replace("t", " ", 1).partition(" ")
    if match := _ISO_DATE.fullmatch(day_text):
        candidates = [(int(match[1]), int(match[2]), int(match[3]))]
    elif match := _SLASH_DATE.fullmatch(day_text):
        first, second, year = int(match[1]), int(match[2]), int(match[3])
        candidates = [(year, second, first), (year, first, second)]
    else:
        return None
    fraction = 0.0
    if time_text:
        time = _TIME.fullmatch(time_text.strip().upper())
        if time is None:
            return None
        fraction = (int(time[1]) * 3600 + int(time[2]) * 60 + int(time[3] or 0)) / 86_400
    for year, month, day in candidates:
        try:
            return date_serial(datetime.date(year, month, day)) + fraction
        except ValueError:
            continue
    return None
