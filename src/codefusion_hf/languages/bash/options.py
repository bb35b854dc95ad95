"""How commands read their arguments: the facts of `options.txt`, by command."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Facts(NamedTuple):
    """How a command reads its arguments: one line of `options.txt`."""

    values: frozenset[str]  # options that take a value
    glued: frozenset[str]  # of these, the ones whose value can only be glued
    verbatim: frozenset[str]  # of these, the ones whose value is part of the template
    programs: frozenset[str]  # of these, the ones whose value is a program
    traits: frozenset[str]


def _read(path: Path) -> dict[str, Facts]:
    table = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        names, _, words = line.partition(":")
        marked: dict[str, set[str]] = {mark: set() for mark in ("", "?", "!", "$", "trait")}
        for word in words.split():
            if word[0] == "-" and word != "-NUM":
                option = word.rstrip("?!$")
                marked[word[len(option) :]].add(option)
                marked[""].add(option)
            else:
                marked["trait"].add(word)
        facts = Facts(*(frozenset(marked[mark]) for mark in ("", "?", "!", "$", "trait")))
        table.update(dict.fromkeys(names.split(), facts))
    return table


FACTS = _read(Path(__file__).with_name("options.txt"))
