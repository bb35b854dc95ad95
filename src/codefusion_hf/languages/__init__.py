"""Program text in, facts about it out: one module per language, standard library or a parser only, never torch."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple, Protocol, cast


LANGUAGES = ("bash", "cf", "python")


class Span(NamedTuple):
    """Half-open character range `code[start:end]` of one token; `kind` is `"identifier"` or `"keyword"`."""

    start: int
    end: int
    kind: str


class Language(Protocol):
    """
    What every language module offers. No function executes the program, and only `spans` looks inside tokens. A module
    may also have `is_grounded(code, nl, table)`: whether a program can come from what the user wrote; those that
    cannot are ranked behind those that can.
    """

    NAME: str
    FILE_EXTENSION: str
    ATOMS: tuple[str, ...]
    IGNORES_CASE: bool

    def spans(self, code: str) -> list[Span]:
        """Identifiers and keywords, sorted and disjoint; `[]` if `code` does not parse."""

    def is_valid(self, code: str) -> bool:
        """Whether `code` parses. Never raises; blank text is invalid."""

    def normalize(self, code: str) -> str:
        """Canonical text: the key for de-duplication, leakage checks and exact match."""

    def canonicalize(self, code: str) -> str:
        """The one way to print the program; raises `ValueError` if `code` does not parse."""

    def literals(self, code: str) -> list[str]:
        """The literal values in the program, in order; `[]` if `code` does not parse."""

    def matches(self, prediction: str, reference: str, context: Any = None) -> bool:
        """Whether `prediction` does what `reference` does; `context` is language specific (CF: the table)."""


def get_language(name: str) -> Language:
    """
    The language module called `name`, imported on first use so that the command line starts fast.

    Raises:
        ValueError: if `name` is not one of `LANGUAGES`.
    """
    if name not in LANGUAGES:
        raise ValueError(f"unknown language {name!r}; available: {', '.join(LANGUAGES)}")
    return cast(Language, importlib.import_module(f"{__name__}.{name}"))
