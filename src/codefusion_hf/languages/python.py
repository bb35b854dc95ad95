"""
Python programs: parsed by `ast`, split by `tokenize`, never compiled or run. What this interpreter's parser refuses
but tree-sitter accepts without an error (Python 2, newer syntax) is invalid, yet still has spans.
"""

from __future__ import annotations

import ast
import bisect
import io
import itertools
import keyword
import re
import tokenize
import warnings
from typing import Any

from . import Span


NAME = "python"
FILE_EXTENSION = ".py"
# What a tokenizer should keep in one piece: nothing, it learns its own pieces. Upper and lower case differ.
ATOMS: tuple[str, ...] = ()
IGNORES_CASE = False

# Longer text is no program to us: the depth of a syntax tree, and with it the C stack of `ast`, grows with the text.
MAX_CHARS = 10_000
# tree-sitter's search for a repair of broken text takes quadratic time (25 s for 10,000 characters).
MAX_TOLERANT_CHARS = 1_000
# Everything that `ast` and `tokenize` raise on text: bombs end as RecursionError or MemoryError, lone surrogates as
# UnicodeEncodeError, NUL and integers of too many digits as ValueError, unbalanced brackets as TokenError.
PARSE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError)

LONE_CARRIAGE_RETURN = re.compile(r"\r(?!\n)")
U_PREFIX = re.compile(r"[uU]['\"]")
WORD = re.compile(r"\w+")
# What opens a statement with `match`, `case` or `type`, and more.
SOFT_START = re.compile(r"(?:^|[;:])\s*(?:match|case|type)\b", re.MULTILINE)
# Of a program that parses: strings, comments and numbers, so that what they hold is not read as names; and names.
LEXEME = re.compile(
    r"""
    (?:[bB][rR]?|[rR][bBfFtT]?|[fFtT][rR]?|[uU])?
        (?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}
        |"(?:[^"\\\n]|\\\r\n|\\.)*"|'(?:[^'\\\n]|\\\r\n|\\.)*')
    |\#[^\n]*
    |0[xX](?:_?[0-9a-fA-F])+|0[bB](?:_?[01])+|0[oO](?:_?[0-7])+
    |(?:\d(?:_?\d)*\.?|\.(?=\d))(?:\d(?:_?\d)*)?(?:[eE][-+]?\d(?:_?\d)*)?[jJ]?
    |(?P<name>[^\W\d]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)
F_PREFIX = re.compile(r"[fFtT][rR]?['\"]|[rR][fFtT]['\"]")
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}
SOFT_KEYWORDS = {"match", "case", "type"}
SOFT_STATEMENTS = tuple(getattr(ast, name) for name in ("Match", "TypeAlias") if hasattr(ast, name))
# From Python 3.12 on an f-string is several tokens: by how much each changes the depth.
FSTRING_ENDS = {
    getattr(tokenize, f"{letter}STRING_{end}"): step
    for letter in "FT"
    for end, step in (("START", 1), ("END", -1))
    if hasattr(tokenize, f"{letter}STRING_{end}")
}


def is_valid(code: str) -> bool:
    """
    Whether this interpreter's `ast.parse` accepts `code`, space around it apart. Never raises, never compiles or runs
    it; blank text, a comment alone and text of more than `MAX_CHARS` characters are invalid.
    """
    try:
        _parse(code)
    except PARSE_ERRORS:
        return False
    return True


def spans(code: str) -> list[Span]:
    """
    Identifiers (variables, functions, attributes, arguments, modules, built-in functions) and keywords of `code`,
    `match`, `case` and `type` only where they are used as such, as sorted and disjoint ranges of characters. Comments
    and literals, f-strings included, have no spans. `[]` for text that neither `ast` nor, up to `MAX_TOLERANT_CHARS`
    characters, tree-sitter can parse.
    """
    try:
        tree = _parse(code)
        return _token_spans(code, tree)
    except PARSE_ERRORS:
        return _tolerant_spans(code)


def normalize(code: str) -> str:
    """
    The program as `ast.unparse` prints it, so that layout, comments, quotes, redundant parentheses and `u''` prefixes
    do not matter; text that does not parse is only stripped.
    """
    try:
        return canonicalize(code)
    except ValueError:
        return code.strip()


def canonicalize(code: str) -> str:
    """
    The program as `ast.unparse` prints it, or stripped if it parses but cannot be printed (too deep, or an integer of
    too many digits).

    Raises:
        ValueError: if `code` is no valid program.
    """
    try:
        tree = _parse(code)
    except PARSE_ERRORS as error:
        reason = getattr(error, "msg", None) or str(error) or type(error).__name__
        raise ValueError(f"no Python program: {reason}") from None
    try:
        return ast.unparse(tree)
    except PARSE_ERRORS:
        return code.strip()


def literals(code: str) -> list[str]:
    """
    The literal values in the program in the order of the text: strings as their text, the fixed parts of f-strings
    included, numbers and bytes as Python prints them; not True, False, None and `...`. `[]` if `code` does not parse.
    """
    try:
        constants = [node for node in ast.walk(_parse(code)) if isinstance(node, ast.Constant)]
        constants.sort(key=lambda node: (node.lineno, node.col_offset))
        values = [node.value for node in constants]
        return [v if isinstance(v, str) else repr(v) for v in values if type(v) in (str, bytes, int, float, complex)]
    except PARSE_ERRORS:
        return []


def matches(prediction: str, reference: str, context: Any = None) -> bool:
    """
    Whether the syntax trees are equal. A reference that does not parse is compared as stripped text; a blank
    prediction matches nothing. Names are not unified: `[x for x in y]` does not match `[i for i in y]`.

    Args:
        prediction (`str`): any text at all.
        reference (`str`): the gold program.
        context: unused; of the common signature.
    """
    if not isinstance(prediction, str) or not prediction.strip():
        return False
    guess, gold = _dump(prediction), _dump(reference)
    if gold is None or guess is None:
        return guess is gold and normalize(prediction) == normalize(reference)
    return guess == gold


def _parse(code: str) -> ast.Module:
    """The syntax tree of the text without space around it, never of an empty program. Raises `PARSE_ERRORS`."""
    if not isinstance(code, str):
        raise ValueError(f"a program must be text, got {type(code).__name__}")
    if len(code) > MAX_CHARS:
        raise ValueError(f"longer than {MAX_CHARS} characters")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SyntaxWarning: invalid escape sequences, `1 is 1`
        tree = ast.parse(_unix_lines(code).strip())
    if not tree.body:
        raise SyntaxError("there is no statement")
    if U_PREFIX.search(code):
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant):
                node.kind = None  # u'' of Python 2 means nothing in Python 3
    return tree


def _dump(code: str) -> str | None:
    """The syntax tree as text without positions; `None` if there is none or if it is too deep."""
    try:
        return ast.dump(_parse(code))
    except PARSE_ERRORS:
        return None


def _unix_lines(code: str) -> str:
    """A carriage return alone ends a line for `ast` but not for `tokenize`. Offsets stay."""
    return LONE_CARRIAGE_RETURN.sub("\n", code) if "\r" in code else code


def _token_spans(code: str, tree: ast.Module) -> list[Span]:
    program = _unix_lines(code).strip()
    # One pass of a regular expression, several times as fast as `tokenize`, unless a name's place in the grammar
    # matters: soft keywords, and f-strings that may hold their own quotes.
    if not SOFT_START.search(program) and not (FSTRING_ENDS and F_PREFIX.search(program)):
        first = len(code) - len(code.lstrip())
        names = (match for match in LEXEME.finditer(program) if match.lastgroup)
        return [
            Span(first + m.start(), first + m.end(), "keyword" if keyword.iskeyword(m[0]) else "identifier")
            for m in names
        ]
    lines = list(io.StringIO(program, newline="\n"))
    starts = list(itertools.accumulate(map(len, lines), initial=len(code) - len(code.lstrip())))
    tokens = [token for token in tokenize.generate_tokens(iter(lines).__next__) if token[0] not in LAYOUT]
    soft = _soft_keywords(tokens, tree) if any(word in program for word in SOFT_KEYWORDS) else set()
    found, fstrings = [], 0
    for kind, text, start, _, _ in tokens:
        if kind == tokenize.NAME and not fstrings:
            offset = starts[start[0] - 1] + start[1]
            is_keyword = keyword.iskeyword(text) or start in soft
            found.append(Span(offset, offset + len(text), "keyword" if is_keyword else "identifier"))
        elif kind in FSTRING_ENDS:
            fstrings += FSTRING_ENDS[kind]
    return found


def _soft_keywords(tokens: list[tokenize.TokenInfo], tree: ast.Module) -> set[tuple[int, int]]:
    """Where `match`, `case` and `type` open a statement or a case: (row, column) of the token, as in `tokenize`."""
    heads = [tokens[0], *(token for before, token in itertools.pairwise(tokens) if before.type == tokenize.NEWLINE)]
    rows = [head.start[0] for head in heads]
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, SOFT_STATEMENTS):
            row = node.lineno
        elif isinstance(node, ast.match_case):  # has no position of its own
            row = node.pattern.lineno
        else:
            continue
        head = heads[bisect.bisect_right(rows, row) - 1]
        if head.string in SOFT_KEYWORDS:
            found.add(head.start)
    return found


def _tolerant_spans(code: str) -> list[Span]:
    """Spans of text that `ast` refuses; `[]` unless tree-sitter parses all of it."""
    if not isinstance(code, str) or len(code) > MAX_TOLERANT_CHARS or "\0" in code:
        return []
    try:
        data = code.encode("utf-8")
    except UnicodeEncodeError:
        return []
    import tree_sitter  # only for the rare text that comes here
    import tree_sitter_python

    root = tree_sitter.Parser(tree_sitter.Language(tree_sitter_python.language())).parse(data).root_node
    if root.has_error:
        return []
    found: list[Span] = []
    nodes, byte, offset = [root], 0, 0
    while nodes:  # never recursion: the depth is the text's choice
        node = nodes.pop()
        if node.type == "string":
            continue
        if node.child_count:
            nodes += reversed(node.children)
        elif node.type in ("identifier", "true", "false", "none") or not node.is_named:
            offset += len(data[byte : node.start_byte].decode("utf-8"))  # tree-sitter counts bytes, we characters
            byte = node.start_byte
            text = data[byte : node.end_byte].decode("utf-8")
            kind = "identifier" if node.type == "identifier" else "keyword"
            found += [Span(offset + word.start(), offset + word.end(), kind) for word in WORD.finditer(text)]
    return found
