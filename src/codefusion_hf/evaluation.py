"""
Runs a model over utterances: a list in memory (`generate_candidates`) or a file of JSON lines (`predict`).

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

import torch
from tqdm.auto import tqdm
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.generation.streamers import BaseStreamer

from . import checkpoint_path
from .data.benchmarks import table_of
from .data.prompts import restore_case, source_text, table_columns
from .generation_config_codefusion import MAX_CANDIDATES, MIN_CANDIDATES
from .languages import get_language
from .memory import keep_freed_memory


if TYPE_CHECKING:
    import accelerate

CHECKPOINT_FILES = ("config.json", "model.safetensors", "tokenizer.json")
# NUL ends strings in the programs that a candidate is handed to; a lone surrogate is not text and cannot be saved.
_FORBIDDEN_CHARACTER = re.compile("[\x00\ud800-\udfff]")


def load(model_name_or_path: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """
    Loads a model in evaluation mode, and its tokenizer, for a process that is there to sample: it will keep the memory
    that it frees ([`memory.keep_freed_memory`]).

    Args:
        model_name_or_path (`str`): The name of a shipped model (`"cf"`) or a folder written by `save_pretrained`.

    Returns:
        `tuple`: The model, on the GPU if torch sees one, and the tokenizer.

    Raises:
        ValueError: If the model is unknown, or a file of it is missing, incomplete or does not fit the others.
    """
    path = _checkpoint_folder(model_name_or_path)
    keep_freed_memory()
    try:
        model, info = AutoModel.from_pretrained(path, local_files_only=True, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except Exception as error:  # damaged files raise many types: safetensors and tokenizers have their own
        raise ValueError(f"cannot load the model in {path}: {_one_line(error)}") from error
    # from_pretrained only warns about weights that a damaged file lacks, and leaves them random.
    unloaded = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if unloaded:
        raise ValueError(
            f"model.safetensors in {path} lacks {len(unloaded)} weights of config.json: {unloaded[0]}, ..."
        )
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


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


def check_examples(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: list[dict[str, Any]]) -> None:
    """
    Raises `ValueError` for the first example, named by its id, that `model` cannot read: unusable text or table, or a
    prompt of more than `model.config.max_source_length` tokens.
    """
    for example in examples:
        try:
            checked_prompt(model, tokenizer, example)
        except ValueError as error:
            raise ValueError(f"the row with id {example['id']}: {error}") from None


def generate_candidates(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: list[dict[str, Any]],
    num_return_sequences: int = 5,
    seed: int = 0,
    batch_size: int = 16,
    streamer: BaseStreamer | None = None,
    **settings: Any,
) -> list[list[dict[str, Any]]]:
    """
    Generates ranked programs for every example. The result for an example does not depend on its neighbours: all
    prompts start from the noise of the same seed.

    Args:
        model (`PreTrainedModel`): As returned by [`load`].
        tokenizer (`PreTrainedTokenizerBase`): As returned by [`load`].
        examples (`list[dict]`): Each with `nl` and, optionally, `table` (see [`check_table`]).
        num_return_sequences (`int`, defaults to 5): Candidates per example, at least 1; those that parse come
            first. Fewer are returned where several are the same program.
        seed (`int`, defaults to 0): Seed of the initial noise.
        batch_size (`int`, defaults to 16): Examples per batch, at least 1, of similar length. Changes speed, never
            results.
        streamer (`BaseStreamer`, *optional*): Receives the drafts; for one example at a time.
        settings: Parameters of [`CodeFusionGenerationConfig`], such as `num_inference_steps`, `sampler`,
            `num_revisions` or `clamping`; the model's own where there is none, or `None`.

    Returns:
        `list[list[dict]]`: For each example its candidates, best first: `code` (`str`), `score` (mean log-probability
        of a token, `float`) and `valid` (whether the model's language parses it; `None` if the model names none).

    Raises:
        ValueError: For an unusable utterance or table, a prompt of more than `model.config.max_source_length` tokens,
            or a setting out of range.
        TypeError: For an unknown setting.
    """
    check_count("num_return_sequences", num_return_sequences)
    check_count("batch_size", batch_size)
    prompts = [checked_prompt(model, tokenizer, example) for example in examples]
    settings = given(settings)
    # More are asked for than sampled: programs that differ in spelling alone count once, and invalid ones come last.
    drawn = max(num_return_sequences, min(8 * num_return_sequences, MAX_CANDIDATES))
    settings.setdefault("num_candidates", model.generation_config.num_candidates or MIN_CANDIDATES)
    settings["num_candidates"] = max(settings["num_candidates"], num_return_sequences)
    if settings.get("dedupe", model.generation_config.dedupe) is False:
        drawn = settings["num_candidates"]  # there are no others
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))  # little padding
    candidates: dict[int, list] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        inputs = tokenizer([prompts[i] for i in batch], return_tensors="pt", padding=True).to(model.device)
        output = model.generate(
            **inputs,
            num_return_sequences=drawn,
            seed=[seed] * len(batch),
            return_dict_in_generate=True,
            streamer=streamer,
            **settings,
        )
        texts = tokenizer.batch_decode(output.sequences, skip_special_tokens=True)
        scores = output.sequences_scores.tolist()
        for row, i in enumerate(batch):
            group = slice(row * drawn, (row + 1) * drawn)
            ranked = rank_candidates(texts[group], scores[group], examples[i], model.config.language)
            candidates[i] = ranked[:num_return_sequences]
    return [candidates[i] for i in range(len(examples))]


def given(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that are not `None`: what has no value here is the model's own."""
    return {name: value for name, value in settings.items() if value is not None}


def predict(
    model_name_or_path: str,
    data: str | Path,
    output: str | Path,
    num_return_sequences: int = 5,
    seed: int = 0,
    batch_size: int = 16,
    **settings: Any,
) -> int:
    """
    Generates candidates for a file and saves them, one line per row of the file and in its order.

    The output is flushed after every batch. A run that was interrupted goes on where it stopped when it is started
    again; `<output>.settings.json` beside the output records what the lines were made with, so that lines of different
    runs never mix.

    Args:
        model_name_or_path (`str`): See [`load`].
        data (`str` or `Path`): JSON lines `{"id", "nl"}`, with an optional `table`; other keys are ignored.
        output (`str` or `Path`): JSON lines `{"id", "nl", "candidates"}`, see [`generate_candidates`].
        num_return_sequences, seed, batch_size, settings: See [`generate_candidates`].

    Returns:
        `int`: The number of rows that this call generated.

    Raises:
        ValueError: If a row of the file is unusable (named by its line), or the output belongs to another run.
        OSError: If a file cannot be read or written.
    """
    data, output = Path(data), Path(output)
    check_count("num_return_sequences", num_return_sequences)
    check_count("batch_size", batch_size)
    rows = read_examples(data)
    if not output.parent.is_dir():
        raise ValueError(f"cannot write {output}: there is no folder {output.parent}")
    if output.exists() and output.samefile(data):
        raise ValueError(f"the output {output} is the data itself: choose another file")

    model, tokenizer = load(model_name_or_path)
    # All rows are checked before the first is generated: a bad one must not stop a run after an hour.
    try:
        check_examples(model, tokenizer, rows)
    except ValueError as error:
        raise ValueError(f"{data}, {error}") from None
    return predict_rows(model, tokenizer, rows, output, num_return_sequences, seed, batch_size, **settings)


def predict_rows(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[dict[str, Any]],
    output: str | Path,
    num_return_sequences: int = 5,
    seed: int = 0,
    batch_size: int = 16,
    accelerator: accelerate.Accelerator | None = None,
    **settings: Any,
) -> int:
    """
    Generates candidates for rows and saves them, resumably: see [`predict`]. Several processes share the batches; the
    output, written by the first one, is that of a single process and can be resumed by any number of them.

    Args:
        model, tokenizer: As returned by [`load`].
        rows (`list[dict]`): Each with `id`, `nl` and, optionally, `table`.
        output (`str` or `Path`): The file to write, or to go on with.
        num_return_sequences, seed, batch_size, settings: See [`generate_candidates`].
        accelerator (`accelerate.Accelerator`, *optional*): Of the processes that all call this function; one process
            by default.

    Returns:
        `int`: The number of rows that this call generated, in all processes together.

    Raises:
        ValueError: If a row or a setting is unusable, or the output belongs to another run.
        OSError: If a file cannot be read or written.
    """
    settings = given(settings)
    record = {
        "weights": weights_digest(model),
        "dtype": str(model.dtype).removeprefix("torch."),
        "num_return_sequences": num_return_sequences,
        "seed": seed,
        **settings,
    }

    def generate(batch: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        return generate_candidates(model, tokenizer, batch, num_return_sequences, seed, batch_size, **settings)

    return write_predictions(rows, output, record, generate, batch_size, accelerator)


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


def weights_digest(model: PreTrainedModel) -> str:
    """Identifies the files that `model` was loaded from; a model that is not from a folder is a `ValueError`."""
    if not os.path.isdir(model.name_or_path):
        raise ValueError(f"the model was loaded from no folder, but {model.name_or_path!r}: save it first")
    return folder_digest(model.name_or_path)


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
                row = _parse_object(line)
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


def _checkpoint_folder(model_name_or_path: str) -> str:
    """Returns the folder of a shipped model or a saved one, after checking that its files are there."""
    try:
        path = checkpoint_path(model_name_or_path)
    except ValueError as error:
        if not os.path.isdir(model_name_or_path):
            raise ValueError(f"{error}; a folder with {', '.join(CHECKPOINT_FILES)} will do, too") from None
        path = model_name_or_path
    missing = [name for name in CHECKPOINT_FILES if not os.path.isfile(os.path.join(path, name))]
    if missing:
        raise ValueError(f"the model in {path} is incomplete: {', '.join(missing)} is missing")
    return path


def folder_digest(path: str) -> str:
    """Identifies the files that decide what a model generates."""
    digest = hashlib.sha256()
    for file in sorted(Path(path).iterdir()):
        if file.suffix in (".json", ".safetensors"):
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def checked_prompt(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, example: dict[str, Any]) -> str:
    """Builds the model's input and refuses what does not fit: a truncated sentence would ask for something else."""
    prompt = source_text(check_utterance(example["nl"]), check_table(example.get("table")))
    length, limit = len(tokenizer(prompt, verbose=False).input_ids), model.config.max_source_length
    if length > limit:
        raise ValueError(
            f"the utterance with its columns has {length} tokens, but the model reads at most {limit} "
            "(max_source_length): shorten it or name fewer columns"
        )
    return prompt


def rank_candidates(
    texts: list[str], scores: list[float], example: dict[str, Any], name: str | None
) -> list[dict[str, Any]]:
    """Turns one prompt's decoded samples, best first, into distinct candidates: ungrounded, then invalid ones last."""
    language = get_language(name) if name else None
    is_grounded = getattr(language, "is_grounded", lambda code, nl, table: True)
    candidates: dict[str, dict[str, Any]] = {}
    places: dict[str, int] = {}
    for text, score in zip(texts, scores):
        code = text.strip()
        valid = language.is_valid(code) if language else None
        if valid:
            code = language.canonicalize(code)
            if language.IGNORES_CASE:  # then the tokenizer lower-cases
                code = restore_case(code, example["nl"], example.get("table"))
        key = language.normalize(code) if language else code
        if key not in candidates:
            candidates[key] = {"code": code, "score": score, "valid": valid}
            places[key] = 2 if valid is False else not is_grounded(code, example["nl"], example.get("table"))
    return [candidates[key] for key in sorted(candidates, key=places.__getitem__)]  # stable: best first within


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
            earlier = _parse_object(record_path.read_bytes())
            ids = [_parse_object(line)["id"] for line in content.split(b"\n")[:-1]]
            # A setting that a record lacks was the model's own.
            names = sorted({*settings, *earlier["settings"]})
            changed = [name for name in names if earlier["settings"].get(name) != settings.get(name)]
            answered = earlier["rows"][: len(ids)]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"cannot resume {output}: {_one_line(error)}; choose another output") from None
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


def _parse_object(line: bytes) -> dict[str, Any]:
    """Parses one JSON object; every fault of it is a `ValueError`, deep nesting included."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no valid JSON: {_one_line(error)}") from None
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, got {type(value).__name__}")
    return value


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


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
