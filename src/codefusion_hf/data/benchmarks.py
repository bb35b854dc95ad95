"""Readers: JSON lines as this project writes them, and the format of the released benchmark."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from ..languages import get_language


def read_jsonl(path: str | Path) -> Iterator[dict]:
    """
    Rows of a JSON lines file, optionally gzipped.

    Raises:
        ValueError: for a line that is no JSON object; the message gives its number.
        OSError: if the file cannot be read.
    """
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: no valid JSON ({error})") from None
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: expected a JSON object, got {type(row).__name__}")
            yield row


def read_training_pairs(path: str | Path) -> Iterator[dict]:
    """
    Rows of a JSON lines file that have an utterance `nl` and a program `code`, both text.

    Raises:
        ValueError: for a row without them; the message gives its number.
        OSError: if the file cannot be read.
    """
    return _read_with(path, "nl", "code")


def read_codes(path: str | Path) -> Iterator[str]:
    """The programs of a JSON lines file. Raises like [`read_training_pairs`]."""
    return (row["code"] for row in _read_with(path, "code"))


def _read_with(path: str | Path, *keys: str) -> Iterator[dict]:
    for number, row in enumerate(read_jsonl(path), start=1):
        for key in keys:
            if not isinstance(row.get(key), str):
                raise ValueError(f"{path}, row {number}: `{key}` must be text, got {row.get(key)!r}")
        yield row


def read_pairs(path: str | Path, language: str) -> list[dict]:
    """
    (utterance, program) pairs in the project's format, from JSON lines or from the release's JSON
    (`{"train": [{"ID", "NL Utterance", "Code", "Data", "Labels"}]}`, microsoft/prose-benchmarks, CodeFusion/). Golds
    are put in canonical form; rows whose gold is no program of the language are left out.
    `Labels` are placeholders and are ignored.

    Returns:
        `list[dict]`: Rows `{"id", "nl", "code", "refs", "table"}`.

    Raises:
        ValueError: for a row without utterance or program, a damaged file, or one without a usable row.
    """
    is_valid, canonicalize = get_language(language).is_valid, get_language(language).canonicalize
    rows = []
    for number, row in enumerate(_raw_rows(Path(path))):
        nl, code = row.get("nl", row.get("NL Utterance")), row.get("code", row.get("Code"))
        if not isinstance(nl, str) or not isinstance(code, str):
            raise ValueError(f"{path}, row {number}: a pair needs `nl` and `code`, its keys are {', '.join(row)}")
        if not is_valid(code):
            continue
        golds = dict.fromkeys([code, *(row.get("refs") or [])])
        rows.append(
            {
                "id": row.get("id", row.get("ID", number)),
                "nl": nl,
                "code": canonicalize(code),
                "refs": [canonicalize(gold) if is_valid(gold) else gold for gold in golds],
                "table": _table(row),
            }
        )
    if not rows:
        raise ValueError(f"{path} holds no pair whose program is valid {language}")
    return rows


def _raw_rows(path: Path) -> list[dict]:
    if path.suffix != ".json":
        return list(read_jsonl(path))
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not all(isinstance(rows, list) for rows in content.values()):
        raise ValueError(f'{path}: expected the release\'s format {{"train": [...]}} or JSON lines')
    return [row for rows in content.values() for row in rows]


def _table(row: dict) -> dict | None:
    if row.get("table"):
        return row["table"]
    data = row.get("data", row.get("Data"))  # a list of rows, the first of which is the header
    return {"columns": [str(name) for name in data[0]], "rows": data[1:]} if data else None
