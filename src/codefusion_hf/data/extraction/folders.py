"""Blocks of code in folders of notebooks (.ipynb), of Markdown with fenced code, and of program files."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


# What a fence, a cell magic or a kernel calls each language.
NAMES = {
    "python": {"python", "python2", "python3", "py", "py3", "pycon", "ipython", "ipython3"},
    "bash": {"bash", "sh", "shell", "console", "zsh", "shell-session", "sh-session", "terminal"},
    "powershell": {"powershell", "pwsh", "ps1", "posh"},
}
SUFFIXES = {"python": (".py",), "bash": (".sh", ".bash"), "powershell": (".ps1",)}
MARKDOWN = (".md", ".markdown")
MAX_NL_CHARS = 300

_FENCE = re.compile(
    r"^[ >]*(`{3,}|~{3,})[ \t]*\{?\.?([\w+#-]*)[^\n`]*\n(.*?)^[ >]*\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL
)
_CELL_MAGIC = re.compile(r"\A\s*%%(\w+)[^\n]*\n?")
_PYTHON_MAGICS = {"time", "timeit", "capture", "prun"}  # of cells that still are Python
_SHELL_LINE = re.compile(r"^[ \t]*!(?=[\w./~$])(.*)$", re.MULTILINE)
_LICENSE_FILE = re.compile(r"(un)?licen[cs]e|copying", re.IGNORECASE)
# The text that tells each licence from the ones below it.
_LICENSES = [
    ("Apache-2.0", r"apache license,?\s+version 2\.0"),
    ("MIT", r"permission is hereby granted, free of charge, to any person obtaining a copy"),
    (
        "BSD-3-Clause",
        r"redistribution and use in source and binary forms.*(neither the name|names? of its contrib)",
    ),
    ("BSD-2-Clause", r"redistribution and use in source and binary forms"),
    ("ISC", r"permission to use, copy, modify, and/or distribute this software for any purpose"),
    ("AGPL-3.0", r"gnu affero general public license\s+version 3"),
    ("LGPL-3.0", r"gnu lesser general public license\s+version 3"),
    ("LGPL-2.1", r"gnu lesser general public license\s+version 2\.1"),
    ("GPL-3.0", r"gnu general public license\s+version 3"),
    ("GPL-2.0", r"gnu general public license\s+version 2"),
    ("MPL-2.0", r"mozilla public license,?\s+(version|v\.) ?2\.0"),
    ("PSF-2.0", r"python software foundation license version 2"),
    ("CC0-1.0", r"\bcc0\b|creative commons zero"),
    ("CC-BY-SA-4.0", r"attribution-sharealike 4\.0"),
    ("CC-BY-NC-4.0", r"attribution-noncommercial 4\.0"),
    ("CC-BY-4.0", r"attribution 4\.0"),
    ("Unlicense", r"free and unencumbered software released into the public domain"),
]


class Block(NamedTuple):
    """A block of code; `nl` is the text above it; `language` is what it is said to be, `None` if nobody said."""

    code: str
    nl: str | None
    language: str | None


def find_files(folder: str | Path, suffixes: tuple[str, ...]) -> list[Path]:
    """
    The files below a folder with one of these suffixes, sorted; hidden files and folders, such as
    `.ipynb_checkpoints`, and links to folders are left out.

    Raises:
        ValueError: if `folder` is none, or has no such file.
    """
    if not os.path.isdir(folder):
        raise ValueError(f"{folder} is no folder")
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in names if name.lower().endswith(suffixes) and not name.startswith(".")]
    found = sorted(path for path in found if path.is_file())  # a link may lead nowhere
    if not found:
        raise ValueError(f"{folder} holds no {', '.join(suffixes)} file")
    return found


def detect_license(folder: str | Path, root: str | Path) -> str | None:
    """
    SPDX name of the licence of the files in `folder`: of the nearest LICENSE or COPYING file that is recognised, up to
    `root`; `None` if there is none.
    """
    folder, root = Path(folder).resolve(), Path(root).resolve()
    while True:
        for path in sorted(folder.iterdir()):
            if _LICENSE_FILE.match(path.name) and path.is_file():
                text = " ".join(path.read_text(encoding="utf-8", errors="replace")[:20_000].lower().split())
                if name := next((name for name, pattern in _LICENSES if re.search(pattern, text)), None):
                    return name
        if folder == root or folder == folder.parent:
            return None
        folder = folder.parent


def file_blocks(path: str | Path, language: str) -> Iterator[Block]:
    """
    The blocks of a notebook, a Markdown file or a program file, by its suffix.

    Args:
        path (`str` or `Path`): The file.
        language (`str`): Wanted: `!` lines of a Python notebook are Bash, and its own only if they are asked for.

    Raises:
        ValueError: if it is no notebook, or no text.
    """
    suffix = Path(path).suffix.lower()
    try:
        if suffix == ".ipynb":
            yield from notebook_blocks(Path(path).read_text(encoding="utf-8"), language)
        elif suffix in MARKDOWN:
            yield from markdown_blocks(Path(path).read_text(encoding="utf-8"))
        else:
            said = next((name for name, suffixes in SUFFIXES.items() if suffix in suffixes), None)
            yield Block(Path(path).read_text(encoding="utf-8"), None, said)
    except ValueError as error:  # of the encoding, too
        raise ValueError(f"{path}: {error}") from None


def notebook_blocks(text: str, language: str) -> Iterator[Block]:
    """
    The code cells of a notebook (any version that nbformat reads), each with the end of the Markdown right above it.

    Raises:
        ImportError: without nbformat.
        ValueError: if the text is no notebook.
    """
    try:
        import nbformat
    except ImportError as error:
        raise ImportError("notebooks are read by nbformat: pip install 'codefusion-hf[corpus]'") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about cells without ids
            notebook = nbformat.reads(text, as_version=4)
        kernel = (notebook.metadata.get("kernelspec") or {}).get("language") or "python"
        kernel = (notebook.metadata.get("language_info") or {}).get("name") or kernel
        cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    except (AttributeError, KeyError, TypeError, ValueError, nbformat.ValidationError) as error:
        raise ValueError(
            f"no notebook ({str(error).splitlines()[0] if str(error) else type(error).__name__})"
        ) from None
    above = None
    for kind, source in cells:
        if kind == "code" and source.strip():
            said, code = kernel.lower(), source
            if magic := _CELL_MAGIC.match(source):
                code = source[magic.end() :]
                said = said if magic[1] in _PYTHON_MAGICS else magic[1].lower()
            if language == "bash" and said in NAMES["python"]:
                yield from (Block(line, None, "bash") for line in _SHELL_LINE.findall(code))
            else:
                yield Block(code, above, said)
        above = last_paragraph(source) if kind == "markdown" else None


def markdown_blocks(text: str) -> Iterator[Block]:
    """The fenced blocks of a Markdown file, each with the end of the text above it."""
    end = 0
    for fence in _FENCE.finditer(text):
        yield Block(fence[3], last_paragraph(text[end : fence.start()]), fence[2].lower() or None)
        end = fence.end()


def last_paragraph(markdown: str) -> str | None:
    """The last paragraph or heading of Markdown text as one line without marks; `None` if that is no sentence."""
    paragraph = re.split(r"\n\s*\n|\n(?=#)", markdown.strip())[-1]
    paragraph = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", paragraph)
    return tidy(re.sub(r"<[^>]*>|^\s*(?:#+|[-*+>]|\d+\.)\s|\*\*|__", " ", paragraph, flags=re.MULTILINE))


def first_sentence(docstring: str) -> str | None:
    """The first sentence of a docstring as one line; `None` if that is no sentence."""
    paragraph = re.split(r"\n\s*\n", docstring.strip())[0]
    paragraph = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", paragraph).replace("``", "`")
    return tidy(re.split(r"(?<=[.!?])\s", paragraph)[0])


def tidy(text: str) -> str | None:
    """One line without a full stop or colon at its end; `None` if it is not two words or more than `MAX_NL_CHARS`."""
    text = " ".join(text.split()).rstrip(".: ")
    return text if " " in text and len(text) <= MAX_NL_CHARS else None
