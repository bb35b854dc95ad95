"""
Leakage: which rows of an evaluation file occur in the files that a model was trained on.

A row is compared by its golds and by its utterance, each verbatim and normalised: programs by the language's
`normalize`, utterances by lower-casing and collapsing whitespace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..languages import get_language
from .benchmarks import golds, read_benchmark, read_rows


KINDS = ("code_verbatim", "code_normalized", "utterance_verbatim", "utterance_normalized")
LEAKED = "a gold, normalised, or the utterance, lower-cased with whitespace collapsed, occurs in a training file"


def normalize_utterance(nl: str) -> str:
    """The utterance in lower case, each run of whitespace one space."""
    return " ".join(nl.lower().split())


def find_leaks(rows: Sequence[dict[str, Any]], train_file: str | Path, language: str) -> list[dict[str, int]]:
    """
    Where each evaluation row occurs in a training file.

    Args:
        rows (`Sequence[dict]`): With `nl`, `code` and optionally `refs`, as [`read_benchmark`] gives them.
        train_file (`str` or `Path`): JSON lines with `code`, `nl` or both, optionally gzipped, or the release's JSON.
        language (`str`): Of the programs.

    Returns:
        `list[dict]`: For each row `{kind: number}` over those of `KINDS` that hold; `number` is the row of the
        training file, from 1, where the text is found first.

    Raises:
        ValueError: if the file is damaged or empty, or a row of it has neither `code` nor `nl`.
        OSError: if the file cannot be read.
    """
    normalize = get_language(language).normalize
    # Only what the evaluation rows hold is remembered, so that the training file may be of any size.
    wanted = [_keys(golds(row), row["nl"], normalize) for row in rows]
    found: dict[tuple[str, str], int] = {key: 0 for keys in wanted for key in keys}
    number = 0
    for number, row in enumerate(read_rows(train_file), start=1):
        texts = [text for text in (row.get("code"), row.get("nl")) if text is not None]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{train_file}, row {number}: a training row has `code`, `nl` or both, as text")
        for key in _keys([row.get("code") or ""], row.get("nl") or "", normalize):
            if found.get(key) == 0:
                found[key] = number
    if not number:
        raise ValueError(f"{train_file} holds no rows")
    leaks: list[dict[str, int]] = [{} for _ in rows]
    for places, keys in zip(leaks, wanted):
        for key in keys:
            if found[key]:  # of several golds, the one that is found first in the file counts
                places[key[0]] = min(found[key], places.get(key[0], found[key]))
    return leaks


def find_leaked(rows: Sequence[dict[str, Any]], train_files: Iterable[str | Path], language: str) -> list[bool]:
    """Whether each evaluation row is leaked by any of the training files: see `LEAKED` and [`find_leaks`]."""
    leaked = [False] * len(rows)
    for path in train_files:
        leaked = [before or is_leaked(places) for before, places in zip(leaked, find_leaks(rows, path, language))]
    return leaked


def is_leaked(places: Collection[str]) -> bool:
    """Whether a row that occurs in these ways (some of `KINDS`) is left out of clean scores: see `LEAKED`."""
    return "code_normalized" in places or "utterance_normalized" in places


def leakage_report(train_files: Sequence[str | Path], eval_file: str | Path, language: str) -> dict[str, Any]:
    """
    Counts and shares of the rows of `eval_file` that occur in each training file and in all of them together.

    Returns:
        `dict`: `language`, `definition`; `eval` (`file`, `sha256`, `rows`); `train`, one `{"file", "sha256",
        "overlap"}` each; `overlap` with all files together; `found`, the rows that occur at all, with their `id` and,
        for each kind, `[file, row number]`. An overlap is `{kind: {"rows": count, "share": fraction}}` over `KINDS`
        and `"leaked"`.

    Raises:
        ValueError, OSError: see [`find_leaks`] and [`read_benchmark`].
    """
    rows = read_benchmark(eval_file)
    per_file = [find_leaks(rows, path, language) for path in train_files]
    names = [Path(path).name for path in train_files]
    merged: list[dict[str, list[Any]]] = [{} for _ in rows]
    for name, leaks in zip(names, per_file):
        for row, places in zip(merged, leaks):
            for kind, number in places.items():
                row.setdefault(kind, [name, number])
    return {
        "language": language,
        "definition": LEAKED,
        "eval": {"file": Path(eval_file).name, "sha256": sha256(eval_file), "rows": len(rows)},
        "train": [
            {"file": name, "sha256": sha256(path), "overlap": _overlap(leaks)}
            for name, path, leaks in zip(names, train_files, per_file)
        ],
        "overlap": _overlap(merged),
        "found": [{"id": row["id"], **places} for row, places in zip(rows, merged) if places],
    }


def format_report(report: dict[str, Any]) -> str:
    """The report as a table: one line for each training file, counts and percentages of the evaluation rows."""
    columns = ["training file", "code", "normalised", "utterance", "normalised", "leaked"]
    lines = [[entry["file"], *_cells(entry["overlap"])] for entry in report["train"]]
    if len(lines) > 1:
        lines.append(["together", *_cells(report["overlap"])])
    widths = [max(map(len, column)) for column in zip(columns, *lines)]
    text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in (columns, *lines)]
    head = f"{report['eval']['file']}: {report['eval']['rows']} rows that occur in training, and per cent"
    return "\n".join([head, *text, f"leaked: {report['definition']}"])


def normalized_golds(paths: Iterable[str | Path], language: str) -> set[str]:
    """The golds of evaluation files, normalised: what pre-training must not see. Raises like [`read_benchmark`]."""
    normalize = get_language(language).normalize
    return {normalize(gold) for path in paths for row in read_benchmark(path) for gold in golds(row)}


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _keys(codes: list[str], nl: str, normalize: Callable[[str], str]) -> list[tuple[str, str]]:
    """`(kind, text)` of everything that could be found again; blank texts are in every file and mean nothing."""
    keys = []
    for code in codes:
        if code.strip():
            keys += [("code_verbatim", code.strip()), ("code_normalized", normalize(code))]
    if nl.strip():
        keys += [("utterance_verbatim", nl.strip()), ("utterance_normalized", normalize_utterance(nl))]
    return keys


def _overlap(leaks: Sequence[Collection[str]]) -> dict[str, dict[str, float]]:
    counts = {kind: sum(kind in places for places in leaks) for kind in KINDS}
    counts["leaked"] = sum(map(is_leaked, leaks))
    return {kind: {"rows": count, "share": round(count / len(leaks), 6)} for kind, count in counts.items()}


def _cells(overlap: dict[str, dict[str, float]]) -> list[str]:
    return [f"{entry['rows']} ({100 * entry['share']:.1f})" for entry in overlap.values()]
