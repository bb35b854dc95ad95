"""Readers: JSON lines as this project writes them, and the format of the released benchmark."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..languages import get_language


_RELEASED_NAMES = {"ID": "id", "NL Utterance": "nl", "Code": "code", "Data": "data", "Labels": "labels"}


def read_jsonl(path: str | Path) -> Iterator[dict]:
    """
    Rows of a JSON lines file, optionally gzipped.

    Raises:
        ValueError: for a line that is no JSON object; the message gives its number.
        OSError: if the file cannot be read.
    """
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rb") as file:
        lines = enumerate(file, start=1)
        while True:
            try:
                number, line = next(lines)
            except StopIteration:
                return
            except (EOFError, zlib.error) as error:
                raise ValueError(f"{path} is damaged: {error}") from None
            if not line.strip():
                continue
            try:
                row = parse_object(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            yield row


def parse_object(text: bytes | str) -> dict:
    """One JSON object; every fault of it is a `ValueError` of one line, deep nesting included."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no valid JSON ({' '.join(str(error).split())})") from None
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {type(value).__name__}")
    return value


def read_rows(path: str | Path) -> Iterator[dict]:
    """
    Rows of JSON lines ([`read_jsonl`]) or of the release's JSON (`{"train": [{"ID", "NL Utterance", "Code", "Data",
    "Labels"}]}`, microsoft/prose-benchmarks, CodeFusion/) under the names of this project: `id`, `nl`, `code`, `data`.

    Raises:
        ValueError: for a damaged file.
        OSError: if the file cannot be read.
    """
    if Path(path).suffix != ".json":
        yield from read_jsonl(path)
        return
    try:
        content = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no valid JSON ({error})") from None
    splits = list(content.values()) if isinstance(content, dict) else [None]
    if not all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in splits):
        raise ValueError(f'{path}: expected the release\'s format {{"train": [...]}} or JSON lines')
    for row in (row for rows in splits for row in rows):
        yield {_RELEASED_NAMES.get(key, key): value for key, value in row.items()}


def read_benchmark(path: str | Path) -> list[dict]:
    """
    An evaluation file, every row of it: golds stay as they are, whether they parse or not.

    Args:
        path (`str` or `Path`): JSON lines or the release's JSON, see [`read_rows`].

    Returns:
        `list[dict]`: Rows `{"id", "nl", "code", "refs", "table"}`: `refs` has `code` first and then the other golds,
        `table` is `None` or `{"columns", "rows"}`; a row without `id` gets its number, from 0.

    Raises:
        ValueError: for a row without utterance or program, a damaged file, or one without rows.
        OSError: if the file cannot be read.
    """
    rows = []
    for number, row in enumerate(read_rows(path)):
        where = f"{path}, row {number + 1}"
        nl, code, identifier = row.get("nl"), row.get("code"), row.get("id", number)
        if not isinstance(nl, str) or not isinstance(code, str):
            raise ValueError(f"{where}: a pair needs `nl` and `code`, its keys are {', '.join(row) or 'none'}")
        if isinstance(identifier, bool) or not isinstance(identifier, (int, str)):
            raise ValueError(f"{where}: the id must be a whole number or text, got {identifier!r:.80}")
        refs = row.get("refs") or []
        if not isinstance(refs, list) or not all(isinstance(gold, str) for gold in refs):
            raise ValueError(f"{where}: `refs` must be a list of programs, got {refs!r:.80}")
        try:
            table = table_of(row)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
        refs = list(dict.fromkeys([code, *refs]))
        rows.append({"id": identifier, "nl": nl, "code": code, "refs": refs, "table": table})
    if not rows:
        raise ValueError(f"{path} holds no rows")
    return rows


def golds(row: dict) -> list[str]:
    """The right programs of a row: `code` and, if it has them, `refs`; each once."""
    return list(dict.fromkeys([row["code"], *(row.get("refs") or [])]))


def table_of(row: dict) -> dict | None:
    """
    The `table` of a row; `data`, the released form with the header as its first row, is converted.

    Raises:
        ValueError: if `data` is no list of rows.
    """
    data = row.get("data")
    if row.get("table") or not data:
        return row.get("table")
    if not isinstance(data, list) or not all(isinstance(cells, list) for cells in data):
        raise ValueError("`data` must be a list of rows, the first of which is the header")
    return {"columns": [str(name) for name in data[0]], "rows": data[1:]}


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
    (utterance, program) pairs to train on: [`read_benchmark`] with golds in canonical form, without the rows whose
    gold is no program of the language. The released `Labels` are placeholders and are ignored.

    Returns:
        `list[dict]`: Rows `{"id", "nl", "code", "refs", "table"}`.

    Raises:
        ValueError: see [`read_benchmark`]; or if there is no usable row.
    """
    is_valid, canonicalize = get_language(language).is_valid, get_language(language).canonicalize
    rows = []
    for row in read_benchmark(path):
        if is_valid(row["code"]):
            refs = [canonicalize(gold) if is_valid(gold) else gold for gold in row["refs"]]
            rows.append({**row, "code": canonicalize(row["code"]), "refs": refs})
    if not rows:
        raise ValueError(f"{path} holds no pair whose program is valid {language}")
    return rows
