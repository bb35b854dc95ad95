"""Literal-swap augmentation without a synthesiser: other names, paths and numbers on both sides of a pair."""

import random
import re
from collections.abc import Iterable


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


class LiteralSwapper:
    """
    Replaces literals that stand in an utterance and, as they are, in its program: a small corpus then teaches to copy
    instead of to remember (design notes, algorithms.md, section 5.2, "wrong literals").

    Args:
        pairs (`Iterable[tuple[str, str]]`): (utterance, program) pairs whose shared literals form the stock.
        probability (`float`): With which each shared literal is replaced.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]], probability: float = 0.5):
        self.probability = probability
        stock: dict[str, dict[str, None]] = {kind: {} for kind in _KINDS}
        for nl, code in pairs:
            for literal, kind in shared_literals(nl, code).items():
                stock[kind][literal] = None
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
        for literal, kind in shared_literals(nl, code).items():
            if rng.random() >= self.probability:
                continue
            if kind == "number" and len(literal) > 1:
                other = str(rng.randrange(10 ** (len(literal) - 1), 10 ** len(literal)))
            elif kind == "number":
                other = str(rng.randrange(2, 100))
            else:
                other = rng.choice(self.stock[kind])
            if other not in nl and other not in code and other not in swaps.values():
                swaps[literal] = other
        if not swaps:
            return nl, code
        pattern = re.compile("|".join(_bounded(literal) for literal in sorted(swaps, key=len, reverse=True)))

        def swap(text: str) -> str:
            return pattern.sub(lambda match: swaps[match[0]], text)

        return swap(nl), swap(code)


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
