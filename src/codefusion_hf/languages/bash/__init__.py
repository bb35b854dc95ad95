"""
Bash one-liners, e.g. `find . -name '*.c' -exec grep -l main {} \\;`, read by tree-sitter and never run.

[`matches`] compares two programs by their templates, after NL2Bash (Lin et al., 2018): utilities, options and the
shape of the arguments, but not the arguments themselves.
"""

from __future__ import annotations

from .syntax import KNOWN_COMMANDS, canonicalize, is_grounded, is_valid, literals, normalize, spans
from .templates import MODES, comparable, matches, template


NAME = "bash"
FILE_EXTENSION = ".sh"
# What a tokenizer should keep in one piece: nothing, its own pieces follow the text. Upper and lower case differ.
ATOMS: tuple[str, ...] = ()
IGNORES_CASE = False

__all__ = [
    "ATOMS",
    "FILE_EXTENSION",
    "IGNORES_CASE",
    "KNOWN_COMMANDS",
    "MODES",
    "NAME",
    "canonicalize",
    "comparable",
    "is_grounded",
    "is_valid",
    "literals",
    "matches",
    "normalize",
    "spans",
    "template",
]
