"""
Command templates after NL2Bash (Lin et al., 2018, section 5.1; its bashlint): a program with its literals left out.

Two programs are alike if they call the same utilities with the same options and the same number of arguments, in the
same structure. Written anew on tree-sitter, with one placeholder where the original has typed ones (utility, option
and position imply the type), and with the facts about options in `options.txt`. Unlike the original it reads
redirections, lists, compound commands and utilities outside its list of 124.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from .options import FACTS, Facts
from .syntax import PROMPT, parse_valid, straighten, text_of


MODES = ("ordered", "unordered")
MAX_DEPTH = 60
ARG = "<arg>"
RAW = "RAW"

_EXEC = frozenset(("-exec", "-execdir", "-ok", "-okdir"))
_FIND_GLOBAL = re.compile(r"-[HLPEXdsx]+|-O\d?|--")
_FIND_WORDS = {"-o": "-or", "-a": "-and", ",": "-and", "(": "(", ")": ")", "!": "!"}
_GREPS = {"egrep": ("grep", "-E"), "fgrep": ("grep", "-F")}
_STANDARD_PATH = re.compile(r"\A(/usr(/local)?)?/s?bin/(?=[^/]+\Z)")
_REDIRECTS = ("file_redirect", "heredoc_redirect", "herestring_redirect")
_SUBSTITUTIONS = ("command_substitution", "process_substitution")
# Where statements follow each other, parted by ; or by a new line.
_BLOCKS = frozenset(
    "program do_group compound_statement subshell if_statement elif_clause else_clause while_statement case_item "
    "command_substitution process_substitution".split()
)
_OPEN_BLOCKS = ("program", "command_substitution", "process_substitution")  # the end of the block ends the statement
_STATEMENTS = frozenset(
    "command pipeline list subshell negated_command test_command declaration_command unset_command "
    "variable_assignment variable_assignments redirected_statement compound_statement for_statement "
    "c_style_for_statement while_statement if_statement case_statement function_definition".split()
)
_WORDS = frozenset(
    "word number string raw_string ansi_c_string translated_string concatenation simple_expansion expansion "
    "arithmetic_expansion brace_expression command_substitution process_substitution regex extglob_pattern "
    "variable_name special_variable_name subscript array file_descriptor heredoc_start test_operator".split()
)


class Word(NamedTuple):
    """One argument as written, and its node; `None` for a word that no program holds."""

    text: str
    node: Any = None


Unit = tuple[str, ...]  # tokens that stay together whatever the order: an option with its value, a test of find


@functools.lru_cache(maxsize=8192)
def template(code: str, mode: str = "ordered") -> tuple[str, ...] | None:
    """
    The template of a program, as tokens.

    Args:
        code (`str`): The program; it is not run.
        mode (`str`): `"ordered"` keeps options and tests of find in the order written, as NL2Bash does (its comments
            claim otherwise); `"unordered"` sorts them.

    Returns:
        `tuple[str, ...]` or `None`: `None` if `code` does not parse, or nests deeper than `MAX_DEPTH`.

    Raises:
        ValueError: if `mode` is not one of `MODES`.
    """
    if mode not in MODES:
        raise ValueError(f"`mode` must be one of {', '.join(MODES)}, got {mode!r}")
    try:
        return _Reader(sort=mode == "unordered").program(code, 0)
    except (TypeError, ValueError):
        return None


def comparable(code: str, mode: str = "ordered") -> tuple[str, ...]:
    """What two programs are compared by: the [`template`] or, tagged `RAW`, the words. `()` for blank text."""
    words = code.split()
    if not words:
        return ()
    return template(code, mode) or (RAW, *words)


def matches(prediction: str, reference: str, context: Any = None, mode: str = "ordered") -> bool:
    """
    Whether two programs have the same [`template`]; programs that do not parse are compared by their words. Blank
    text matches nothing, not even blank text.

    Args:
        prediction (`str`): A program.
        reference (`str`): Another.
        context (`Any`): Not used: Bash programs are not run.
        mode (`str`): See [`template`].
    """
    tokens = comparable(prediction, mode)
    return tokens != () and tokens == comparable(reference, mode)


class _Reader:
    """Turns trees into tokens. Every method that can nest takes the depth and refuses what is too deep."""

    def __init__(self, sort: bool):
        self.sort = sort
        self.source = ""  # the program that is being read

    def program(self, code: str, depth: int) -> Unit:
        text = straighten(PROMPT.sub("", code.strip()))
        try:
            root = parse_valid(text)
        except ValueError:
            if "find" not in text:
                raise
            # NL2Bash forgives parentheses that lack their backslashes.
            text = re.sub(r"(?<=\s)([()])(?=\s|$)", r"\\\1", text)
            root = parse_valid(text)
        outer, self.source = self.source, text
        try:
            return self.node(root, depth)
        finally:
            self.source = outer

    def text(self, node: Any) -> str:
        return text_of(node, self.source)

    def word(self, node: Any) -> Word:
        return Word(self.text(node), node)

    def node(self, node: Any, depth: int) -> Unit:
        if depth > MAX_DEPTH:
            raise ValueError(f"the program nests deeper than {MAX_DEPTH}")
        kind = node.type
        if kind == "comment":
            return ()
        if kind == "command":
            return self.simple_command(node.children, depth + 1)
        if kind == "redirected_statement" and node.children[0].type == "command":
            return self.simple_command([*node.children[0].children, *node.children[1:]], depth + 1)
        if kind == "test_operator":
            return (self.text(node),)
        if kind in _WORDS:
            return self.operand(self.word(node), depth)
        if kind == "variable_assignment":
            value = node.child_by_field_name("value")
            return ("=", *(self.node(value, depth + 1) if value else ()))
        if kind in _REDIRECTS:
            return self.redirect(node, depth)[0]
        if not node.children:
            text = " ".join(self.text(node).split())
            return (text,) if text else ()
        if kind == "declaration_command":
            name, *words = node.children
            return self.arguments(self.text(name), [self.word(child) for child in words], depth + 1)
        return self.children(kind, node.children, depth)

    def children(self, kind: str, nodes: list[Any], depth: int) -> Unit:
        tokens: list[str] = []
        for node in nodes:
            if node.type in (";", "\n"):
                continue
            if node.type == "&" and tokens and tokens[-1] == ";":
                tokens.pop()
            tokens += self.node(node, depth + 1)
            if kind in _BLOCKS and node.type in _STATEMENTS and tokens:
                tokens.append(";")
        if kind in _OPEN_BLOCKS and tokens and tokens[-1] == ";":
            tokens.pop()
        return tuple(tokens)

    def redirect(self, node: Any, depth: int) -> tuple[Unit, list[Word]]:
        """The tokens, and the words behind the target: in `sort < file -u` the tree has all of them here."""
        if node.type != "file_redirect":
            return (next(child.type for child in node.children if not child.is_named), ARG), []
        signs = [child for child in node.children if not child.is_named or child.type == "file_descriptor"]
        targets = [child for child in node.children if child.is_named and child.type != "file_descriptor"]
        sign = "".join(self.text(child) for child in signs)
        rest = [self.word(target) for target in targets[1:]]
        if not targets or targets[0].type == "number":  # 2>&1
            return (sign + "".join(self.text(target) for target in targets[:1]),), rest
        return (sign, *self.node(targets[0], depth + 1)), rest

    def simple_command(self, nodes: list[Any], depth: int) -> Unit:
        before: list[str] = []
        after: list[str] = []
        words = []
        for node in nodes:
            if node.type == "variable_assignment":
                before += self.node(node, depth)
            elif node.type in _REDIRECTS:
                tokens, rest = self.redirect(node, depth)
                after += tokens
                words += rest
            else:
                words.append(self.word(node))
        return (*before, *self.words(words, depth), *after)

    def words(self, words: list[Word], depth: int) -> Unit:
        """A simple command given by its words."""
        if depth > MAX_DEPTH:
            raise ValueError(f"the program nests deeper than {MAX_DEPTH}")
        if not words:
            return ()
        first, *rest = words
        if "$" in first.text or "`" in first.text:
            return (*self.operand(first, depth), *self.arguments("", rest, depth + 1))
        name = _STANDARD_PATH.sub("", _plain(first.text))
        if name in ("sudo", "gksudo") and rest:
            # Who runs a program is not what it does.
            _, command = self.options(FACTS["sudo"], rest, depth)
            return self.words(command or rest, depth + 1)
        return self.arguments(name, rest, depth + 1)

    def arguments(self, name: str, words: list[Word], depth: int) -> Unit:
        facts = FACTS.get(name)
        head: Unit = _GREPS.get(name, (name,) if name else ())
        if name in ("find", "gfind"):
            return ("find", *self.find(words, depth))
        if name in ("xargs", "gxargs"):
            return ("xargs", *self.xargs(words, depth))
        if facts and "BARE" in facts.traits and words and words[0].text.isalpha():
            words = [Word("-" + words[0].text), *words[1:]]
        units, rest = self.options(facts, words, depth)
        if rest:
            units.append(self.command(rest, depth))
        return (*head, *self.flatten(units))

    def command(self, words: list[Word], depth: int) -> Unit:
        """The words behind ssh, nohup, -exec: a command, or a single quoted program."""
        if len(words) == 1 and words[0].text[:1] in ("'", '"'):
            return self.script(words[0], depth)
        return self.words(words, depth + 1)

    def script(self, word: Word, depth: int) -> Unit:
        """A quoted program: the value of `bash -c`."""
        if word.text[:1] not in "'\"":
            return self.operand(word, depth)
        text = word.text[1:-1]
        if word.text[0] == '"':
            text = re.sub(r'\\(["$`\\])', r"\1", text)
        try:
            return ("'", *self.program(text, depth + 1), "'")
        except ValueError:
            return self.operand(word, depth)

    def flatten(self, units: list[Unit]) -> Iterable[str]:
        if self.sort:
            # Options first, sorted; operands keep their order.
            options = [unit for unit in units if _is_option(unit)]
            units = sorted(options) + [unit for unit in units if not _is_option(unit)]
        return (token for unit in units for token in unit)

    def operand(self, word: Word, depth: int) -> Unit:
        """A word that is a literal: a placeholder, or the template of what the shell puts there."""
        if word.node is not None and ("(" in word.text or "`" in word.text):
            found = _substitutions(word.node)
            if found:
                return tuple(token for node in found for token in self.substitution(node, depth))
        text = _plain(word.text)
        if text == "{}":
            return (text,)
        return (word.text[0] + ARG if re.match("[-+].", word.text) else ARG,)

    def substitution(self, node: Any, depth: int) -> Unit:
        opening = node.children[0].type
        return ("$(" if opening == "`" else opening, *self.children(node.type, node.children[1:-1], depth), ")")

    def options(self, facts: Facts | None, words: list[Word], depth: int) -> tuple[list[Unit], list[Word]]:
        """Reads options and operands; stops where the words become a command of their own (`CMD`)."""
        traits = facts.traits if facts else frozenset()
        operands = 1 if "ARG" in traits else 0
        units: list[Unit] = []
        queue = list(reversed(words))
        is_first = True
        while queue:
            word = queue.pop()
            text = _plain(word.text)
            if text == "--":
                continue
            if len(text) > 1 and text[0] == "-" and word.text[:1] not in "'\"$":
                units += self.option(facts, word, text, queue, depth)
                continue
            if operands == 0 and "CMD" in traits and not ("=" in text and not units):
                return units, [word, *reversed(queue)]
            operands -= 1
            if is_first and "SUB" in traits and "$" not in text:
                units.append((text,))
            elif "+FORMAT" in traits and text[:1] == "+":
                units.append((_unquoted(word.text),))
            elif "KEYS" in traits and "=" in text:
                units.append((text.partition("=")[0] + "=", ARG))
            else:
                units.append(self.operand(word, depth))
            is_first = False
        return units, []

    def option(self, facts: Facts | None, word: Word, text: str, queue: list[Word], depth: int) -> list[Unit]:
        """One word of options, with the next word if that is the value of the last one."""

        def glued(name: str, value: str) -> Unit:
            if facts and name in facts.verbatim:
                return (name, value)
            if word.node is not None and _substitutions(word.node):
                return (name, *self.operand(word, depth))
            return (name, *self.operand(Word(value), depth))

        if text.startswith("--"):
            name, equals, value = text.partition("=")
            return [glued(name, value)] if equals else [self.with_value(facts, name, queue, depth)]
        if facts and "-NUM" in facts.traits and (text[1:].isdecimal() or text[1] == "$"):
            return [("-", ARG)]
        if facts is None or "WORDS" in facts.traits:
            if facts and text[:2] in facts.values and not text[1:].isalpha() and text not in facts.values:
                return [glued(text[:2], text[2:])]
            if found := re.fullmatch(r"(-[A-Za-z])(\d.*|[^\w-].*)", text, re.DOTALL):
                return [glued(found[1], found[2])]
            name, equals, value = text.partition("=")
            return [glued(name, value)] if equals else [self.with_value(facts, name, queue, depth)]
        units: list[Unit] = []
        for position, letter in enumerate(text[1:], start=2):
            name, rest = "-" + letter, text[position:]
            # A bundle goes on behind an option that may have no value; so do those of `tar cfz` and `ps aux`.
            ends = not rest[:1].isalpha() if name in facts.glued else not (word.node is None and rest.isalpha())
            if rest and name in facts.values and ends:
                return [*units, glued(name, rest)]
            if rest and not rest[0].isalnum() and name not in facts.values:
                return [*units, (name, ARG)]
            units.append((name,) if rest else self.with_value(facts, name, queue, depth))
        return units

    def with_value(self, facts: Facts | None, name: str, queue: list[Word], depth: int) -> Unit:
        """An option and, if it takes one, its value from the words to come (`queue`, the next one last)."""
        if facts is None or not queue or name not in facts.values or name in facts.glued:
            return (name,)
        value = queue.pop()
        if name in facts.verbatim:
            return (name, _unquoted(value.text))
        if name in facts.programs:
            return (name, *self.script(value, depth))
        return (name, *self.operand(value, depth))

    def find(self, words: list[Word], depth: int) -> Iterable[str]:
        facts = FACTS["find"]
        queue = list(reversed(words))
        start: list[Unit] = []
        while queue and _FIND_GLOBAL.fullmatch(queue[-1].text):
            start.append((queue.pop().text,))
        paths = []
        while queue and not _plain(queue[-1].text).startswith(("-", "(", "!", ")", ",")):
            paths.append(self.operand(queue.pop(), depth))
        start += paths or [(ARG,)]
        # The expression: a stack of groups, each a list of units, for the parentheses.
        groups: list[list[Unit]] = [[]]
        while queue:
            word = queue.pop()
            text = _plain(word.text)
            sign = _FIND_WORDS.get(text)
            if sign == "(":
                groups.append([])
            elif sign == ")" and len(groups) > 1:
                units = groups.pop()
                groups[-1].append(self.group(units))
            elif sign:
                groups[-1].append((sign,))
            elif text in _EXEC:
                groups[-1].append((text, *self.action(queue, depth)))
            elif text == "-fprintf" and len(queue) > 1:
                path, form = queue.pop(), queue.pop()
                groups[-1].append((text, *self.operand(path, depth), _unquoted(form.text)))
            elif text.startswith("-newer") and queue:
                groups[-1].append((text, *self.operand(queue.pop(), depth)))
            elif text.startswith("-") and not text[1:2].isdecimal():
                groups[-1].append(self.with_value(facts, text, queue, depth))
            else:
                groups[-1].append(self.operand(word, depth))
        while len(groups) > 1:  # a parenthesis that is never closed
            units = groups.pop()
            groups[-1].append(self.group(units))
        return (token for unit in [*start, *self.conjunctions(groups[0])] for token in unit)

    def group(self, units: list[Unit]) -> Unit:
        tokens = tuple(token for unit in self.conjunctions(units) for token in unit)
        return tokens if len(self.merged(units)) == 1 else ("(", *tokens, ")")

    def merged(self, units: list[Unit]) -> list[Unit]:
        """Joins each negation with what it negates."""
        result: list[Unit] = []
        prefix: Unit = ()
        for unit in units:
            if unit in (("!",), ("-not",)):
                prefix += unit
            else:
                result.append(prefix + unit)
                prefix = ()
        return [*result, prefix] if prefix else result

    def conjunctions(self, units: list[Unit]) -> list[Unit]:
        """In unordered mode: the tests between two -or, sorted, without -and."""
        if not self.sort:
            return units
        result: list[Unit] = []
        run: list[Unit] = []
        for unit in [*self.merged(units), ("-or",)]:
            if unit == ("-or",):
                result += [*sorted(run), unit]
                run = []
            elif unit != ("-and",):
                run.append(unit)
        return result[:-1]

    def action(self, queue: list[Word], depth: int) -> Unit:
        """The command of -exec, up to its ; or +, one of which may be missing."""
        words: list[Word] = []
        while queue:
            word = queue.pop()
            text = _plain(word.text)
            if text == ";" or (text == "+" and words and _plain(words[-1].text) == "{}"):
                return (*self.words(words, depth + 1), "\\" + text if text == ";" else text)
            words.append(word)
        return (*self.words(words, depth + 1), "\\;")

    def xargs(self, words: list[Word], depth: int) -> Iterable[str]:
        units, command = self.options(FACTS["xargs"], words, depth)
        replaced = {"-I", "-i", "--replace"}
        plain = [_plain(word.text) for word in words[: len(words) - len(command)]]
        has_replacement = any(unit[0] in replaced for unit in units)
        mark = "{}"
        for text, following in zip(plain, [*plain[1:], ""]):
            if text == "-I":
                mark = following
            elif found := re.fullmatch(r"(?:-[0prtx]*[Ii]|--replace=)(.+)", text):
                mark = found[1]
        if command:
            command = [Word("{}") if _plain(word.text) == mark else word for word in command]
            if not has_replacement:
                command.append(Word("{}"))
            units = [("-I", "{}"), *(unit for unit in units if unit[0] not in replaced)]
        return (*self.flatten(units), *(self.command(command, depth) if command else ()))


def _is_option(unit: Unit) -> bool:
    return unit != () and unit[0][:1] == "-" and unit[0] != "-" + ARG


def _plain(text: str) -> str:
    """A word without its quotes and backslashes."""
    return re.sub(r"\\(.)|['\"]", r"\1", text, flags=re.DOTALL)


def _unquoted(text: str) -> str:
    """A word that is part of the template: quotes do not count, the backslashes of a format do."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else _plain(text)


def _substitutions(node: Any) -> list[Any]:
    """The outermost `$(...)`, `` `...` `` and `<(...)` in a word."""
    found, stack = [], [node]
    while stack:
        node = stack.pop()
        if node.type in _SUBSTITUTIONS:
            found.append(node)
        else:
            stack += reversed(node.children)
    return found
