"""
The two ends of a file of predictions: rows that a model can read, and their candidates, saved so that a run can go on.

Generating and scoring are two independent steps: predictions are saved, so that scoring never needs the model.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from .data.benchmarks import parse_object, table_of
from .data.prompts import table_columns


if TYPE_CHECKING:
    import accelerate

# NUL ends strings in the programs that a candidate is handed to; a lone surrogate is not text and cannot be saved.
_FORBIDDEN_CHARACTER = re.compile("[\x00\ud800-\udfff]")


def check_text(text: str, what: str) -> None:
    """Raises `TypeError` or `ValueError` for what is not text that a file can hold, naming it as `what`."""
    if not isinstance(text, str):
        raise TypeError(f"{what} must be text, got {type(text).__name__}")
    found = _FORBIDDEN_CHARACTER.search(text)
    if found:
        kind = "NUL" if found[0] == "\x00" else "a lone surrogate, which is not text"
        raise ValueError(f"{what} holds the character U+{ord(found[0]):04X} ({kind}) at position {found.start()}")


def check_count(name: str, value: int) -> None:
    """Raises `TypeError` or `ValueError` for what is not a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    if value < 1:
        raise ValueError(f"{name} must be >= 1, got {value}")


def check_utterance(nl: str) -> str:
    """
    Returns the utterance unchanged if a model can read it. Any language and any script is fine.

    Raises:
        TypeError: If it is no string.
        ValueError: If it is blank, or holds NUL or a lone surrogate.
    """
    check_text(nl, "the utterance")
    if not nl.strip():
        raise ValueError("the utterance is empty: say in a sentence what the program should do")
    return nl


def check_table(table: dict[str, Any] | None) -> dict[str, Any] | None:
    """
    Returns the table `{"columns": [name, ...], "rows": [[cell, ...], ...]}` unchanged if a model can read it.

    Raises:
        ValueError: For the shapes that [`data.prompts.table_columns`] refuses, and text with NUL or a lone surrogate.
    """
    for name, cells in table_columns(table):
        for text in (name, *cells):
            check_text(text, "the table")
    return table


def read_examples(path: str | Path) -> list[dict[str, Any]]:
    """
    Reads JSON lines `{"id", "nl"}` with an optional `table`, or `data`, the released form of a table; blank lines are
    skipped, other keys are kept.

    Raises:
        ValueError: If there is no row, or a line is no JSON object, lacks `id` or `nl`, or holds unusable text; the
            message gives the line's number.
        OSError: If the file cannot be read.
    """
    rows = []
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = parse_object(line)
                for key in ("id", "nl"):
                    if key not in row:
                        raise ValueError(f'the row has no "{key}"; its keys are {", ".join(row) or "none"}')
                if not isinstance(row["id"], int):
                    check_text(row["id"], "the id")
                check_utterance(row["nl"])
                row["table"] = check_table(table_of(row))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
            rows.append(row)
    if not rows:
        raise ValueError(f"{path} holds no rows")
    return rows


def write_predictions(
    rows: list[dict[str, Any]],
    output: str | Path,
    settings: dict[str, Any],
    generate: Callable[[list[dict[str, Any]]], list[list[dict[str, Any]]]],
    batch_size: int = 16,
    state: accelerate.Accelerator | accelerate.PartialState | None = None,
) -> int:
    """
    Saves what anything that answers rows answers, batch by batch, and goes on where an interrupted run stopped.
    Several processes share the batches; the first one writes.

    Args:
        rows (`list[dict]`): Each with `id`, `nl` and, optionally, `table`.
        output (`str` or `Path`): JSON lines `{"id", "nl", "candidates"}` to write, or to go on with.
        settings (`dict`): What decides the predictions, weights included: an output made with others is refused.
        generate (`Callable`): Ranked candidates `{"code", "score", "valid"}` for each row of a batch.
        batch_size (`int`, defaults to 16): Rows per batch and process.
        state (`accelerate.Accelerator` or `PartialState`, *optional*): Of the processes that all call this function;
            one process by default.

    Returns:
        `int`: The number of rows that this call predicted, in all processes together.

    Raises:
        ValueError: If the output belongs to another run, or the batch size is out of range.
        OSError: If the output cannot be read or written.
    """
    check_count("batch_size", batch_size)
    output = Path(output)
    rank, num_processes = (state.process_index, state.num_processes) if state else (0, 1)
    # Only the first process touches the files.
    done = _from_all_processes([_resume(output, settings, rows) if rank == 0 else None], num_processes)[0]

    # The delay keeps the bar away until the first batch is done: a wrong setting ends in one line of error, no bar.
    progress = tqdm(
        total=len(rows), initial=done, unit="row", desc="predict", file=sys.stderr, delay=1e-3, disable=rank > 0
    )
    with open(output if rank == 0 else os.devnull, "a", encoding="utf-8") as file, progress:
        for start in range(done, len(rows), batch_size * num_processes):
            first = start + batch_size * rank
            batch = rows[first : first + batch_size]
            lines = [
                json.dumps({"id": row["id"], "nl": row["nl"], "candidates": candidates}, ensure_ascii=False) + "\n"
                for row, candidates in zip(batch, generate(batch) if batch else [])
            ]
            lines = _from_all_processes(lines, num_processes)
            file.write("".join(lines))
            file.flush()
            progress.update(len(lines))
    return len(rows) - done


def _resume(output: Path, settings: dict[str, Any], rows: list[dict[str, Any]]) -> int:
    """Prepares the output and its record for appending; returns how many rows the output already answers."""
    record_path = output.with_name(output.name + ".settings.json")
    record = {"settings": settings, "rows": [_row_digest(row) for row in rows]}
    done = 0
    if output.exists() and output.stat().st_size > 0:
        if not record_path.exists():
            raise ValueError(f"{output} exists and {record_path.name} is not beside it: choose another output")
        content = output.read_bytes()
        try:
            earlier = parse_object(record_path.read_bytes())
            ids = [parse_object(line)["id"] for line in content.split(b"\n")[:-1]]
            # A setting that a record lacks was the model's own.
            names = sorted({*settings, *earlier["settings"]})
            changed = [name for name in names if earlier["settings"].get(name) != settings.get(name)]
            answered = earlier["rows"][: len(ids)]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"cannot resume {output}: {one_line(error)}; choose another output") from None
        if changed:
            raise ValueError(
                f"{output} was made with other {', '.join(changed)}: go on with the same, or choose another output"
            )
        if answered != record["rows"][: len(ids)] or ids != [row["id"] for row in rows[: len(ids)]]:
            raise ValueError(f"{output} answers other rows than the data holds: choose another output")
        done = len(ids)
        if not content.endswith(b"\n"):  # a run that was killed may have left half a line
            os.truncate(output, content.rfind(b"\n") + 1)
    write_atomically(record_path, json.dumps(record))
    return done


def _from_all_processes(values: list[Any], num_processes: int) -> list[Any]:
    """The values of all processes, in the order of the processes."""
    if num_processes > 1:
        from accelerate.utils import gather_object

        values = gather_object(values)
    return values


def _row_digest(row: dict[str, Any]) -> str:
    """Identifies what the model is told about a row."""
    return hashlib.sha256(json.dumps([row["id"], row["nl"], row.get("table")]).encode()).hexdigest()[:16]


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file at once or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
