"""Grammar of conditional-formatting rules: abstract syntax, parser and canonical printer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .. import Span
from .values import canonical_number, read_cell


MAX_CHARACTERS = 4096
MAX_DEPTH = 32
MAX_NODES = 256
MAX_COLUMNS = 16_384  # Excel's last column is XFD
MAX_RANK = 1000


class Signature(NamedTuple):
    """`group` of a rule and the number of `values` it takes beside the optional column (logic: -1, two or more)."""

    group: str
    values: int


def _signatures(group: str, values: int, names: str) -> dict[str, Signature]:
    return {name: Signature(group, values) for name in names.split()}


SIGNATURES: dict[str, Signature] = {
    **_signatures("compare", 1, "Equals NotEquals GreaterThan GreaterThanEqual LessThan LessThanEqual"),
    **_signatures("compare", 2, "Between NotBetween"),
    **_signatures("text", 1, "TextEquals TextContains TextNotContains TextStartsWith TextEndsWith"),
    **_signatures("rank", 1, "Top Bottom TopPercent BottomPercent"),
    **_signatures("rank", 0, "AboveAverage BelowAverage"),
    **_signatures("set", 0, "Duplicates Unique"),
    **_signatures("kind", 0, "Blanks Errors"),
    **_signatures("date", 0, "Yesterday Today Tomorrow Last7Days LastWeek ThisWeek NextWeek"),
    **_signatures("date", 0, "LastMonth ThisMonth NextMonth"),
    **_signatures("logic", -1, "AND OR"),
    **_signatures("logic", 1, "NOT"),
    **_signatures("visual", 0, "ColorScale DataBar IconSet"),
}

# Spellings found in the wild, lower case. A value "NOT X" stands for the negation of X.
_ALIASES = {
    **{name.lower(): name for name in SIGNATURES},
    **dict(equal="Equals", notequal="NotEquals", notequals="NotEquals", greaterthanequals="GreaterThanEqual"),
    **dict(greaterthanorequal="GreaterThanEqual", greaterthanorequals="GreaterThanEqual"),
    **dict(greaterthanorequalto="GreaterThanEqual", lessthanequals="LessThanEqual"),
    **dict(lessthanorequal="LessThanEqual", lessthanorequals="LessThanEqual", lessthanorequalto="LessThanEqual"),
    **dict(textequal="TextEquals", textcontain="TextContains", contains="TextContains"),
    **dict(notcontains="TextNotContains", textnotcontain="TextNotContains", textdoesnotcontain="TextNotContains"),
    **dict(startswith="TextStartsWith", beginswith="TextStartsWith", textbeginswith="TextStartsWith"),
    **dict(textstartwith="TextStartsWith", endswith="TextEndsWith", textendwith="TextEndsWith"),
    **dict(duplicate="Duplicates", uniques="Unique", blank="Blanks", error="Errors"),
    **dict(colorscales="ColorScale", databars="DataBar", iconsets="IconSet"),
    **dict(notblanks="NOT Blanks", notblank="NOT Blanks", noblanks="NOT Blanks"),
    **dict(noterrors="NOT Errors", noterror="NOT Errors", noerrors="NOT Errors", textnotequals="NOT TextEquals"),
}

_HEAD = re.compile(r"([A-Za-z][A-Za-z0-9]*)\s*\(")
_COLUMN = re.compile(r"[cC]\s*\[\s*([0-9]+)\s*\]")
_NEXT_RULE = re.compile(r"\)\s*,\s*([A-Za-z][A-Za-z0-9]*)\s*\(")
_RANK_PERCENT = {"Top": "TopPercent", "Bottom": "BottomPercent"}


@dataclass(frozen=True)
class Column:
    """A column on the right-hand side, as in `LessThan(c[4], c[3])`; `index` counts from 0."""

    index: int


@dataclass(frozen=True)
class Node:
    """
    One call of a rule.

    Args:
        name (`str`): canonical name, a key of `SIGNATURES`.
        args (`tuple`): operands: nodes for AND, OR and NOT; else literals (`str`, as printed, unquoted) or `Column`.
        column (`int`, *optional*): the column the rule reads, from 0; `None` stands for the selected column.

    Raises:
        ValueError: if the name is unknown or the number of operands is wrong.
    """

    name: str
    args: tuple[Node | Column | str, ...] = ()
    column: int | None = None

    def __post_init__(self) -> None:
        if self.name not in SIGNATURES:
            raise ValueError(f"unknown rule {self.name!r}; available: {', '.join(SIGNATURES)}")
        wanted = self.signature.values
        if len(self.args) != wanted and not (wanted < 0 and len(self.args) >= 2):
            allowed = "two or more operands" if wanted < 0 else f"{wanted} operand(s)"
            raise ValueError(f"{self.name} takes {allowed}, got {len(self.args)}")

    @property
    def signature(self) -> Signature:
        """Group and number of values of the rule."""
        return SIGNATURES[self.name]


def parse(code: str) -> Node:
    """
    Reads one rule, in any of the spellings found in the wild.

    Raises:
        TypeError: if `code` is not a string.
        ValueError: with the reason, if `code` is not a rule or exceeds `MAX_CHARACTERS`, `MAX_DEPTH` or `MAX_NODES`.
    """
    return _Parser(code).node


def unparse(node: Node) -> str:
    """
    Prints `node` in its one canonical form, so that `parse(unparse(node)) == node`. The letter case of text is kept;
    text is quoted only where it would otherwise be read as something else.
    """
    return _print(node, nested=False)


def canonicalize(code: str) -> str:
    """`unparse(parse(code))`; raises like `parse`."""
    return unparse(parse(code))


def normalize(code: str) -> str:
    """
    Canonical text with the literals case-folded, since Excel ignores the case of text: the key for de-duplication.
    Text that does not parse is returned with its white space collapsed.
    """
    try:
        return unparse(_casefold(parse(code)))
    except ValueError:
        return " ".join(code.split())


def _casefold(node: Node) -> Node:
    def fold(arg: Node | Column | str) -> Node | Column | str:
        return _casefold(arg) if isinstance(arg, Node) else arg.casefold() if isinstance(arg, str) else arg

    return Node(node.name, tuple(fold(arg) for arg in node.args), node.column)


def rule_spans(code: str) -> list[Span]:
    """Spans of rule names (`"keyword"`) and column references (`"identifier"`) in `code`; raises like `parse`."""
    return sorted(_Parser(code).spans)


class _Parser:
    """Recursive descent over index ranges of `code`; the depth is checked, so nesting never fills Python's stack."""

    def __init__(self, code: str):
        if not isinstance(code, str):
            raise TypeError(f"a rule must be a string, got {type(code).__name__}")
        if not code.strip():
            raise ValueError("the rule is blank")
        if len(code) > MAX_CHARACTERS:
            raise ValueError(f"the rule has {len(code)} characters, at most {MAX_CHARACTERS} are allowed")
        self.code = code
        self.spans: list[Span] = []
        self.num_nodes = 0
        self.node = self._rule(0, len(code), depth=1)

    def _rule(self, start: int, end: int, depth: int) -> Node:
        start, end = self._strip(start, end)
        head = _HEAD.match(self.code, start, end)
        if head is None or self.code[end - 1] != ")":
            raise ValueError(f"expected a call such as GreaterThan(10), got {_excerpt(self.code[start:end])}")
        name = _ALIASES.get(head[1].lower())
        if name is None:
            raise ValueError(f"unknown rule {_excerpt(head[1])}; available: {', '.join(SIGNATURES)}")
        self.num_nodes += 1
        if depth > MAX_DEPTH or self.num_nodes > MAX_NODES:
            raise ValueError(f"the rule is too large; at most {MAX_DEPTH} levels and {MAX_NODES} calls are allowed")
        self.spans.append(Span(head.start(1), head.end(1), "keyword"))
        start, end = head.end(), end - 1
        if name.startswith("NOT "):
            return Node("NOT", (self._leaf(name[4:], start, end),))
        if SIGNATURES[name].group == "logic":
            return self._logic(name, start, end, depth)
        return self._leaf(name, start, end)

    def _logic(self, name: str, start: int, end: int, depth: int) -> Node:
        commas = self._commas(start, end) if name != "NOT" else []
        if name != "NOT" and not commas:  # a text with an unclosed parenthesis hides the comma: look for the next rule
            commas = [self.code.index(",", match.start()) for match in self._next_rules(start, end)]
        operands = tuple(self._rule(*piece, depth + 1) for piece in _pieces(start, end, commas))
        for operand in operands:
            if operand.signature.group == "visual":
                raise ValueError(f"{operand.name} has no boolean outcome and cannot stand inside {name}")
        return Node(name, operands)

    def _leaf(self, name: str, start: int, end: int) -> Node:
        group, values = SIGNATURES[name]
        start, end = self._strip(start, end)
        head = _COLUMN.match(self.code, start, end)
        after = self._strip(head.end(), end)[0] if head else start
        column = None
        if values == 0:
            if start != end and (head is None or after != end):
                got = _excerpt(self.code[start:end])
                raise ValueError(f"{name} takes no value, only an optional column such as c[0], got {got}")
            return Node(name, column=self._column(head) if head else None)
        if head and after < end and self.code[after] == ",":
            if values == 1 or self._split_pair(after + 1, end):
                column, (start, end) = self._column(head), self._strip(after + 1, end)
        if values == 1:
            pieces = [(start, end)]
        else:
            comma = self._split_pair(start, end)
            if comma is None:
                got = _excerpt(self.code[start:end])
                raise ValueError(f"{name} takes two values, as in {name}(5, 10), got {got}")
            pieces = _pieces(start, end, [comma])
        args = tuple(self._operand(name, group, *piece) for piece in pieces)
        return self._rank(name, args[0], column) if group == "rank" else Node(name, args, column)

    def _operand(self, name: str, group: str, start: int, end: int) -> Column | str:
        start, end = self._strip(start, end)
        head = _COLUMN.match(self.code, start, end)
        if head and head.end() == end:
            return Column(self._column(head))
        written = self.code[start:end]
        text = _unquote(written)
        quoted = text != written
        if not quoted and next(self._next_rules(start, end), None):
            raise ValueError(f"{name} is followed by another rule; join rules with AND or OR, or quote the text")
        if group == "text":
            return text
        number = canonical_number(text)
        if number is not None:
            return number
        if not quoted:
            if not text:
                raise ValueError(f"{name} needs a value, as in {name}(10)")
            if head or _HEAD.match(text):
                raise ValueError(f"{name} takes a number, date, text or column, not an expression: {_excerpt(text)}")
            if "," in text and all(_is_value(part) for part in text.split(",")):
                raise ValueError(f"{name} takes one value, got {_excerpt(text)}")
        return text

    def _rank(self, name: str, value: Column | str, column: int | None) -> Node:
        number = canonical_number(value) if isinstance(value, str) else None
        if number is None:
            raise ValueError(f"{name} takes a number, as in {name}(10), got {_excerpt(str(value))}")
        if number.endswith("%"):
            name, number = _RANK_PERCENT.get(name, name), number[:-1]
        limit = MAX_RANK if name in _RANK_PERCENT else 100
        if not number.isdigit() or not 1 <= int(number) <= limit:
            raise ValueError(f"{name} takes a whole number from 1 to {limit}, got {_excerpt(number)}")
        return Node(name, (number,), column)

    def _column(self, head: re.Match[str]) -> int:
        if len(head[1]) > 5 or int(head[1]) >= MAX_COLUMNS:
            raise ValueError(f"column {_excerpt(head[0])} does not exist; the last one is c[{MAX_COLUMNS - 1}]")
        self.spans.append(Span(head.start(), head.end(), "identifier"))
        return int(head[1])

    def _split_pair(self, start: int, end: int) -> int | None:
        """Where the comma between two values is; thousands commas are told apart by both sides being values."""
        commas = self._commas(start, end)
        between = [i for i in commas if _is_value(self.code[start:i]) and _is_value(self.code[i + 1 : end])]
        if len(between) != 1 and len(commas) != 1:
            return None
        return between[0] if between else commas[0]

    def _commas(self, start: int, end: int) -> list[int]:
        """Commas outside parentheses and quotes. A quote opens only where an argument starts: `don't` has none."""
        commas, depth, position, opens = [], 0, start, True
        quotes = {"'", '"'}
        while position < end:
            char = self.code[position]
            if opens and char in quotes:
                closing = self._closing_quote(position, end)
                if closing < 0:  # no later one closes either: searching again would take quadratic time
                    quotes.remove(char)
                position = max(position, closing)
            elif char == "(":
                depth += 1
            elif char == ")":
                depth = max(0, depth - 1)
            elif char == "," and depth == 0:
                commas.append(position)
            opens = char in "(," or (opens and char.isspace())
            position += 1
        return commas

    def _closing_quote(self, start: int, end: int) -> int:
        """Index of the quote that ends the literal opened at `start`, a doubled quote being a character; else -1."""
        position = start + 1
        while (position := self.code.find(self.code[start], position, end)) >= 0:
            if self.code.startswith(self.code[start], position + 1):
                position += 2
                continue
            after = self._strip(position + 1, end)[0]
            if after >= end or self.code[after] in ",)":
                return position
            position += 1
        return -1

    def _next_rules(self, start: int, end: int) -> Iterator[re.Match[str]]:
        return (match for match in _NEXT_RULE.finditer(self.code, start, end) if match[1].lower() in _ALIASES)

    def _strip(self, start: int, end: int) -> tuple[int, int]:
        while start < end and self.code[start].isspace():
            start += 1
        while end > start and self.code[end - 1].isspace():
            end -= 1
        return start, end


def _pieces(start: int, end: int, commas: list[int]) -> list[tuple[int, int]]:
    return list(zip([start, *(comma + 1 for comma in commas)], [*commas, end]))


def _is_value(text: str) -> bool:
    text = text.strip()
    return bool(_COLUMN.fullmatch(text)) or _unquote(text) != text or read_cell(text).kind == "number"


def _unquote(text: str) -> str:
    quote = text[:1]
    if len(text) < 2 or quote not in ("'", '"') or text[-1] != quote:
        return text
    inner = text[1:-1]
    return inner.replace(quote * 2, quote) if quote not in inner.replace(quote * 2, "") else text


def _print(node: Node, nested: bool) -> str:
    if node.signature.group == "logic":
        return f"{node.name}({', '.join(_print(operand, nested=True) for operand in node.args)})"
    plain = _call(node, quote=False)
    texts = [arg for arg in node.args if isinstance(arg, str) and canonical_number(arg) is None]
    if not texts:
        return plain
    hidden = nested and any(_splits(text) for text in texts)
    return plain if not hidden and ("" not in texts or node.column is None) and _reads_as(plain, node) else _call(node)


def _call(node: Node, quote: bool = True) -> str:
    parts = [] if node.column is None else [f"c[{node.column}]"]
    for arg in node.args:
        if isinstance(arg, Column):
            parts.append(f"c[{arg.index}]")
        elif quote and canonical_number(arg) is None:
            parts.append("'" + arg.replace("'", "''") + "'")
        else:
            parts.append(arg)
    return f"{node.name}({', '.join(parts)})"


def _splits(text: str) -> bool:
    """Whether `text`, unquoted inside AND or OR, could move the commas that separate the operands."""
    return any(char in text for char in ",()") or text[:1] in ("'", '"')


def _reads_as(text: str, node: Node) -> bool:
    try:
        return parse(text) == node
    except ValueError:
        return False


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "...")
