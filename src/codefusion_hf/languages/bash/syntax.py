"""Bash text through tree-sitter: the parse tree, what can be masked in it, validity, canonical text."""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import Span


MAX_CHARS = 4_096  # the longest program of NL2Bash has 532
_RESERVED = frozenset(
    "if then elif else fi for select in while until do done case esac function declare typeset export readonly local "
    "unset unsetenv".split()
)
# Their first argument that names a command is one.
_WRAPPERS = frozenset(
    "builtin chroot chronic command doas env exec flock gksudo ionice nice nohup parallel setsid ssh stdbuf strace "
    "sudo time timeout watch xargs".split()
)
_EXEC_ACTIONS = frozenset(("-exec", "-execdir", "-ok", "-okdir"))
_OPTION = re.compile(r"--[A-Za-z][\w-]*|-[A-Za-z]{2,}[\w-]*|-[A-Za-z]", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_VERSION = re.compile(r"[-.\d]+$")
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_UNPRINTABLE = re.compile("[\x00\ud800-\udfff]")
_OPAQUE = frozenset(
    "string raw_string ansi_c_string translated_string expansion heredoc_body heredoc_redirect comment regex".split()
)
PROMPT = re.compile(r"\A(?:\$ +|# +(?!.*\n))(?=\S)")  # a comment is a prompt only if nothing follows
_BLANKS = re.compile(r"(?:[ \t]|\\\n)+")
_QUOTE_MATTERS = re.compile(r"['$`\\!\n]")
_ASCII = str.maketrans(dict.fromkeys("“”„", '"') | dict.fromkeys("‘’‚′", "'") | dict.fromkeys("–—", "-"))
_TYPOGRAPHIC = re.compile("[“”„‘’‚′–—]")
_HOLDS_LITERALS = frozenset(
    ("command", "for_statement", "file_redirect", "herestring_redirect", "variable_assignment")
)
_NO_LITERAL = re.compile(r"-.*|[-+!(){}\\;,=\[\]]+", re.DOTALL)
_local = threading.local()

_GROUPS = Path(__file__).with_name("commands.txt").read_text(encoding="utf-8").splitlines()
KNOWN_COMMANDS = frozenset(
    name for line in _GROUPS if not line.startswith("#") for name in line.partition(": ")[2].split()
)  # utilities and builtins that strict validity accepts


@functools.cache
def _grammar() -> Any:
    # Only who reads Bash waits for the import.
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Language(tree_sitter_bash.language())


def parse(code: str) -> Any:
    """
    The tree of `code`, errors and all.

    Returns:
        `tree_sitter.Node`: The root. Its offsets, called bytes, count the characters of `code`; see [`text_of`].

    Raises:
        TypeError: if `code` is not text.
        ValueError: if `code` holds NUL or a lone surrogate, or more than `MAX_CHARS` characters.
    """
    if not isinstance(code, str):
        raise TypeError(f"a program must be text, got {type(code).__name__}")
    if len(code) > MAX_CHARS:
        raise ValueError(f"the program has {len(code)} characters, at most {MAX_CHARS} are read")
    if found := _UNPRINTABLE.search(code):
        raise ValueError(f"the program holds the character U+{ord(found[0]):04X} at position {found.start()}")
    # A parser must not be shared between threads.
    if not hasattr(_local, "parser"):
        import tree_sitter

        _local.parser = tree_sitter.Parser(_grammar())
    # The grammar's scanner looks letters up in C's tables for bytes: the parser would crash on "{😀" (tree-sitter-bash
    # issue 337). To Bash every other letter is just part of a word, so one stands for all, one byte long.
    return _local.parser.parse(_NON_ASCII.sub("\x7f", code).encode()).root_node


def text_of(node: Any, code: str) -> str:
    """What `node` of the tree of `code` covers; `node.text` has another letter for all that is not ASCII."""
    return code[node.start_byte : node.end_byte]


def parse_valid(code: str) -> Any:
    """
    The tree of a program: [`parse`] without errors, and with something to run.

    Raises:
        TypeError, ValueError: as [`parse`]; and for blank text, comments alone and what is no Bash.
    """
    root = parse(code)
    if root.has_error:  # ERROR and MISSING nodes alike
        raise ValueError("the program is not Bash")
    if not code.strip() or all(child.type == "comment" for child in root.named_children):
        raise ValueError("the program is blank")
    return root


def walk(root: Any) -> Iterator[tuple[Any, Any]]:
    """
    Yields each node below and including `root` with its parent (`None` for `root`), in the order of the text and
    without recursion. `node.parent` would search from the root every time.
    """
    stack = [(root, None)]
    while stack:
        node, parent = stack.pop()
        yield node, parent
        stack += [(child, node) for child in reversed(node.children)]


def is_valid(code: str, strict: bool = False) -> bool:
    """
    Whether `code` parses as Bash. Never raises; blank text, comments alone, NUL and lone surrogates are invalid.

    Args:
        code (`str`): The program; it is not run.
        strict (`bool`): Also require each command name to be a known utility or builtin, a function of the program,
            a path or an expansion. 93 % of English sentences parse as Bash.
    """
    try:
        root = parse_valid(code)
    except (TypeError, ValueError):
        return False
    return not strict or not _unknown_commands(root, code)


def is_grounded(code: str, nl: str, table: Any = None) -> bool:
    """Whether `code` parses and each of its commands is a known one (see [`is_valid`]) or named by the utterance."""
    try:
        unknown = _unknown_commands(parse_valid(code), code)
    except (TypeError, ValueError):
        return False
    return all(name in nl for name in unknown)


def _unknown_commands(root: Any, code: str) -> set[str]:
    names, functions = set(), set()
    for node, _ in walk(root):
        if node.type == "command_name":
            names.add(text_of(node, code))
        elif node.type == "function_definition":
            functions.add(text_of(node.child_by_field_name("name"), code))
    return {name for name in names - functions if not is_known(name)}


def is_known(name: str) -> bool:
    """Whether a command name, as written, is a known utility or builtin, a path, or an expansion."""
    if any(character in name for character in "/~$`"):
        return True
    name = name.strip("\"'").removeprefix("\\")
    return name in KNOWN_COMMANDS or _VERSION.sub("", name) in KNOWN_COMMANDS


def spans(code: str) -> list[Span]:
    """
    What continuous paragraph denoising may mask, sorted and disjoint: command names, reserved words and options
    (`"keyword"`: a shell has few other built-in words), names of variables and functions (`"identifier"`). Literals
    are never spans; `--x=5` has the span `--x`. `[]` if `code` does not parse.
    """
    try:
        root = parse_valid(code)
    except (TypeError, ValueError):
        return []
    return list(_maskable(root))


def _maskable(root: Any) -> Iterator[Span]:
    wrapped = set()  # starts of the words that name a command though they are arguments
    for node, parent in walk(root):
        kind = node.type
        if kind == "variable_name" or (kind == "word" and parent.type == "function_definition"):
            if _NAME.fullmatch(node.text.decode()):
                yield Span(node.start_byte, node.end_byte, "identifier")
        elif kind == "command":
            wrapped.update(_wrapped_commands(node))
        elif kind == "word":
            if parent.type == "command_name" or node.start_byte in wrapped:
                yield Span(node.start_byte, node.end_byte, "keyword")
            elif parent.type == "command" or (parent.type == "concatenation" and node.start_byte == parent.start_byte):
                if option := _OPTION.match(node.text.decode()):
                    yield Span(node.start_byte, node.start_byte + option.end(), "keyword")
        elif kind in _RESERVED and not node.is_named:
            yield Span(node.start_byte, node.end_byte, "keyword")


def _wrapped_commands(command: Any) -> Iterator[int]:
    name, *words = [child for child in command.named_children if child.type in ("command_name", "word")] or [None]
    texts = [word.text.decode() for word in words]
    for before, word, text in zip(["", *texts], words, texts):
        if before in _EXEC_ACTIONS and is_known(text):
            yield word.start_byte
    if name is not None and name.text.decode() in _WRAPPERS:
        yield from [word.start_byte for word, text in zip(words, texts) if text in KNOWN_COMMANDS][:1]


def canonicalize(code: str) -> str:
    """
    The one way to print a program: prompt dropped, continued lines joined, runs of blanks between words collapsed,
    typographic quotes and dashes replaced where they stand for ASCII ones. Quoted text stays as it is.

    Raises:
        TypeError, ValueError: if `code` is not valid Bash.
    """
    parse_valid(code)
    text = code.strip()
    for repair in (functools.partial(PROMPT.sub, ""), straighten, _collapse):
        repaired = repair(text)
        if is_valid(repaired):
            text = repaired
    return text


def normalize(code: str) -> str:
    """
    Text that is equal for programs which differ in layout or in the style of quotes: [`canonicalize`] with single
    quotes wherever they mean the same. What does not parse is compared by its words.
    """
    try:
        text = canonicalize(code)
        pieces, end = [], 0
        for node in _tokens(parse_valid(text)):
            quoted = text_of(node, text)
            if node.type == "string" and not _QUOTE_MATTERS.search(quoted):
                pieces += [text[end : node.start_byte], "'", quoted[1:-1], "'"]
                end = node.end_byte
        return "".join([*pieces, text[end:]])
    except ValueError:
        return " ".join(code.split())


def literals(code: str) -> list[str]:
    """
    The literal arguments of a program, without their quotes and in order: words that are no option, numbers, quoted
    text without expansions. `[]` if `code` does not parse.
    """
    try:
        root = parse_valid(code)
    except (TypeError, ValueError):
        return []
    wrapped: set[int] = set()
    found = []
    for node, parent in walk(root):
        if node.type == "command":
            wrapped.update(_wrapped_commands(node))
        elif parent is not None and parent.type in _HOLDS_LITERALS and node.start_byte not in wrapped:
            text = text_of(node, code)
            if node.type == "raw_string" or (
                node.type == "string" and all(child.type == "string_content" for child in node.named_children)
            ):
                found.append(text[1:-1])
            elif node.type in ("word", "number") and not _NO_LITERAL.fullmatch(text):
                found.append(text)
    return found


def straighten(text: str) -> str:
    """Replaces typographic quotes and dashes, unless one stands in quoted text, where it may be meant."""
    if not _TYPOGRAPHIC.search(text):
        return text
    quoted = [text_of(token, text) for token in _tokens(parse(text)) if token.type in _OPAQUE]
    return text if any(map(_TYPOGRAPHIC.search, quoted)) else text.translate(_ASCII)


def _collapse(text: str) -> str:
    pieces, end = [], 0
    for token in _tokens(parse_valid(text)):
        pieces += [_BLANKS.sub(" ", text[end : token.start_byte]), text_of(token, text)]
        end = token.end_byte
    return "".join([*pieces, text[end:]])


def _tokens(root: Any) -> Iterator[Any]:
    """Yields the leaves, and in one piece what holds blanks that matter."""
    stack = [root]
    while stack:
        node = stack.pop()
        if node.type in _OPAQUE or not node.children:
            yield node
        else:
            stack += reversed(node.children)
