"""Augmentation without a synthesiser: other names, paths and numbers on both sides of a pair, other words on one."""

import ast
import builtins
import random
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ..languages import python


# What a writer quotes or spells as it will stand in the program. The kinds keep a swap plausible: a path for a path.
_KINDS = {
    "glob": r"[\w.-]*\*\.[A-Za-z]\w*",
    "path": r"(?:~|\.{1,2})?/?[\w.-]+(?:/[\w.-]+)+/?|~?/[\w.-]+/?",
    "file": r"[A-Za-z_][\w-]*(?:\.[A-Za-z]\w*)+",
    "number": r"\d+",
    "name": r"(?<=['\"`])[A-Za-z_][\w-]*(?=['\"`])|[A-Za-z]\w*_\w+|[A-Z]{3,}|[a-z]+[A-Z]\w*",
}
_LITERAL = re.compile(
    "|".join(rf"(?P<{kind}>(?<![\w./*~-]){pattern}(?![\w/*~-]))" for kind, pattern in _KINDS.items())
)
# Python: what the utterance quotes, the strings that can be replaced, and the names that are no variables.
_QUOTED = re.compile(r"`[^`]+`|(?<!\w)'[^']+'(?!\w)|\"[^\"]+\"")
_STRINGS = {
    **{kind: _KINDS[kind] for kind in ("glob", "path", "file", "number")},
    "word": r"[A-Za-z_][\w-]*",
    "text": r"(?=.*[A-Za-z])\w[\w ,.:;!?@&/+-]*[\w.!?]",
}
_MODULES = {*sys.stdlib_module_names, *"np numpy pd pandas plt sns tf requests django flask bs4 scipy sklearn".split()}
_NO_VARIABLES = {*dir(builtins), *_MODULES, "self", "cls"}


class LiteralSwapper:
    """
    Replaces literals that stand in an utterance and, as they are, in its program: a small corpus then teaches to copy
    instead of to remember (design notes, algorithms.md, section 5.2, "wrong literals"). Knows nothing about the
    language; [`PythonLiteralSwapper`] does.

    Args:
        pairs (`Iterable[tuple[str, str]]`): (utterance, program) pairs whose shared literals form the stock.
        probability (`float`): With which each shared literal is replaced.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]], probability: float = 0.5):
        self.probability = probability
        stock: dict[str, dict[str, None]] = {}
        for nl, code in pairs:
            for literal, kind in self.find(nl, code).items():
                stock.setdefault(kind, {})[literal] = None
        self.stock = {kind: list(literals) for kind, literals in stock.items()}

    def __call__(self, nl: str, code: str, rng: random.Random) -> tuple[str, str]:
        """
        Args:
            nl (`str`): The utterance.
            code (`str`): Its program.
            rng (`random.Random`): Source of randomness.

        Returns:
            `tuple[str, str]`: Both with other literals; unchanged where nothing is shared.
        """
        swaps: dict[str, str] = {}
        for literal, kind in self.find(nl, code).items():
            if rng.random() >= self.probability:
                continue
            if kind == "number" and len(literal) > 1:
                other = str(rng.randrange(10 ** (len(literal) - 1), 10 ** len(literal)))
            elif kind == "number":
                other = str(rng.randrange(2, 100))
            else:
                other = rng.choice(self.stock.get(kind, [literal]))
            if other not in nl and other not in code and other not in swaps.values():
                swaps[literal] = other
        return self.replace(nl, code, swaps) if swaps else (nl, code)

    def find(self, nl: str, code: str) -> dict[str, str]:
        """The literals that can be replaced, and their kinds."""
        return shared_literals(nl, code)

    def replace(self, nl: str, code: str, swaps: dict[str, str]) -> tuple[str, str]:
        """Both with the keys of `swaps` replaced by its values."""
        return _substitute(nl, swaps, _bounded), _substitute(code, swaps, _bounded)


class PythonLiteralSwapper(LiteralSwapper):
    """
    As [`LiteralSwapper`], by the syntax tree: a variable is renamed wherever it stands (`df` in `df.columns`, too),
    strings and numbers are replaced as values, and names that mean something (attributes, arguments' names, built-in
    functions, modules, what is called) stay. Variables and strings must be quoted by the utterance, in backticks or
    quotes. Programs come out as `ast.unparse` prints them; those that do not parse stay as they are.
    """

    def find(self, nl: str, code: str) -> dict[str, str]:
        """The literals that the utterance quotes and whose places in the program are all known, and their kinds."""
        try:
            text = python.canonicalize(code)
            values = list(_values(ast.parse(text)))
        except ValueError:  # no program, or an integer of too many digits
            return {}
        places: dict[str, list[str]] = {}
        for literal, kind in values:
            places.setdefault(literal, []).append(kind)
        quoted = " ".join(match[0] for match in _QUOTED.finditer(nl))
        found = {}
        for literal, kinds in places.items():
            # It stands elsewhere, too, if attributes, arguments or parts of strings have its name: no swap would fit.
            if "fixed" in kinds or len(re.findall(_word(literal), text)) != len(kinds):
                continue
            if "number" in kinds:
                if len(kinds) == 1 == len(re.findall(_bounded(literal), nl)):
                    found[literal] = "number"
            elif re.search(_word(literal), quoted):
                found[literal] = "variable" if "variable" in kinds else kinds[0]
        return found

    def replace(self, nl: str, code: str, swaps: dict[str, str]) -> tuple[str, str]:
        """The program with other names and values, the utterance with other numbers and, in its quotes, literals."""
        tree = ast.parse(python.canonicalize(code))
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                node.id = swaps.get(node.id, node.id)
            elif isinstance(node, ast.arg):
                node.arg = swaps.get(node.arg, node.arg)
            elif isinstance(node, ast.Constant) and type(node.value) in (str, int):
                node.value = type(node.value)(swaps.get(str(node.value), node.value))
        numbers = {literal: other for literal, other in swaps.items() if literal.isdigit()}
        if numbers:
            nl = _substitute(nl, numbers, _bounded)
        if names := {literal: other for literal, other in swaps.items() if literal not in numbers}:
            nl = _QUOTED.sub(lambda match: _substitute(match[0], names, _word), nl)
        return nl, ast.unparse(tree)


class Paraphraser:
    """
    Says an utterance in other words: some of its words and phrases are replaced by others that mean the same for a
    program (`paraphrases.txt`), and some words that are no literals are left out. What is quoted stays.

    Args:
        swap_probability (`float`): With which each phrase that has others is replaced.
        drop_probability (`float`): With which each word is left out that stands neither in the program nor in quotes.
    """

    def __init__(self, swap_probability: float = 0.3, drop_probability: float = 0.06):
        self.swap_probability, self.drop_probability = swap_probability, drop_probability
        lines = Path(__file__).with_name("paraphrases.txt").read_text(encoding="utf-8").splitlines()
        groups = [[phrase.strip() for phrase in line.split("|")] for line in lines if line and line[0] != "#"]
        self.others = {phrase: [p for p in group if p != phrase] for group in groups for phrase in group}
        phrases = "|".join(re.escape(phrase) for phrase in sorted(self.others, key=len, reverse=True))
        self.pattern = re.compile(rf"(?<![\w./*-])(?:{phrases})(?![\w*-]|[./]\w)", re.IGNORECASE)

    def __call__(self, nl: str, code: str, rng: random.Random) -> str:
        """The utterance in other words; `code` is its program, whose words are kept."""
        pieces, start = [], 0
        for quoted in _QUOTED.finditer(nl):
            pieces += [self._reword(nl[start : quoted.start()], code, rng), quoted[0]]
            start = quoted.end()
        pieces.append(self._reword(nl[start:], code, rng))
        text = re.sub(r" {2,}", " ", "".join(pieces)).strip()
        return text if re.search(r"\w", text) else nl

    def _reword(self, text: str, code: str, rng: random.Random) -> str:
        return self._drop(self.pattern.sub(lambda match: self._swap(match[0], rng), text), code, rng)

    def _swap(self, phrase: str, rng: random.Random) -> str:
        if rng.random() >= self.swap_probability:
            return phrase
        other = rng.choice(self.others[phrase.lower()])
        return other[0].upper() + other[1:] if phrase[0].isupper() else other

    def _drop(self, text: str, code: str, rng: random.Random) -> str:
        def keep(match: re.Match) -> str:
            word = match[0]
            return word if word in code or rng.random() >= self.drop_probability else ""

        return re.sub(r"(?<!\S)[A-Za-z]+(?!\S)", keep, text)


def shared_literals(nl: str, code: str) -> dict[str, str]:
    """
    The literals of an utterance that stand in its program as they are, and their kinds. A number counts if it stands
    once on either side: a 2 may be anything.
    """
    found = {}
    for match in _LITERAL.finditer(nl):
        literal, kind = match[0].rstrip("."), match.lastgroup
        hits = re.findall(_bounded(literal), code)
        if not hits or (kind == "number" and not len(hits) == len(re.findall(_bounded(literal), nl)) == 1):
            continue
        found.setdefault(literal, kind)
    return found


def _bounded(literal: str) -> str:
    return rf"(?<![\w./*-]){re.escape(literal)}(?![\w*-]|\.\w|/\w)"


def _word(literal: str) -> str:
    return rf"(?<!\w){re.escape(literal)}(?!\w)"


def _substitute(text: str, swaps: dict[str, str], pattern: Callable[[str], str]) -> str:
    literals = "|".join(pattern(literal) for literal in sorted(swaps, key=len, reverse=True))
    return re.sub(literals, lambda match: swaps[match[0]], text)


def _values(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The names, strings and integers of a Python program and their kinds; `fixed` ones are not to be replaced."""
    nodes = list(ast.walk(tree))
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id, "fixed" if node.id in called | _NO_VARIABLES else "variable"
        elif isinstance(node, ast.arg):
            yield node.arg, "variable"
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            yield str(node.value), "number"
        elif isinstance(node, ast.Constant) and type(node.value) is str:
            yield node.value, next((kind for kind, p in _STRINGS.items() if re.fullmatch(p, node.value)), "fixed")
