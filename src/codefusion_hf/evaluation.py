"""Runs a model over utterances: a list in memory (`generate_candidates`) or a file of JSON lines (`predict`)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.generation.streamers import BaseStreamer

from . import checkpoint_path
from .data.prompts import restore_case, source_text
from .generation_config_codefusion import MAX_CANDIDATES, MIN_CANDIDATES
from .languages import get_language
from .memory import keep_freed_memory
from .predictions import check_count, check_table, check_utterance, one_line, read_examples, write_predictions


if TYPE_CHECKING:
    import accelerate

CHECKPOINT_FILES = ("config.json", "model.safetensors", "tokenizer.json")


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
        raise ValueError(f"cannot load the model in {path}: {one_line(error)}") from error
    # from_pretrained only warns about weights that a damaged file lacks, and leaves them random.
    unloaded = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if unloaded:
        raise ValueError(
            f"model.safetensors in {path} lacks {len(unloaded)} weights of config.json: {unloaded[0]}, ..."
        )
    tokenizer.backend_tokenizer.no_padding()  # saved with it: switching it off later is not for several threads
    tokenizer.backend_tokenizer.no_truncation()
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


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
        # Padding by the backend is a setting of it: other threads that read it at that moment would fail.
        inputs = tokenizer.pad(tokenizer([prompts[i] for i in batch]), return_tensors="pt").to(model.device)
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


def weights_digest(model: PreTrainedModel) -> str:
    """Identifies the files that `model` was loaded from; a model that is not from a folder is a `ValueError`."""
    if not os.path.isdir(model.name_or_path):
        raise ValueError(f"the model was loaded from no folder, but {model.name_or_path!r}: save it first")
    return folder_digest(model.name_or_path)


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
