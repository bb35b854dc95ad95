"""
Few-shot prompting, the paper's setting for GPT-3, ChatGPT, StarCoder and CodeT5+ (section 4.3 and appendix B.2): a
prompt shows the five training examples whose utterances are most similar, and the model writes the program.

Who answers the prompts is a backend: [`completions.OpenAIBackend`] or [`completions.LocalBackend`].
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tqdm.auto import tqdm

from ..data.leakage import normalize_utterance
from ..data.prompts import source_text
from ..languages import get_language


APIS = ("chat", "completions")
INSTRUCTIONS = {
    "bash": "Write a Bash command for each description. Answer with the command only.",
    "cf": (
        "Write an Excel conditional formatting rule for each description, as a call such as GreaterThan(10). Behind | "
        "stand the columns of the table, c[0] is the first. Answer with the rule only."
    ),
    "python": "Write Python code for each description. Answer with the code only.",
}
# A model that goes on after its program writes the next description.
STOP = "\nDescription:"
_FENCE = re.compile(r"```[^\S\n]*[\w+#.-]*[^\S\n]*\n(.*?)(?:\n[^\S\n]*```|```|\Z)", re.DOTALL)
# "The command is: `ls`", "You can use `ls -a`.": a sentence around one program. (In Bash backticks mean something.)
_SENTENCE = re.compile(r"[A-Z][a-z]*\b[^`]*\s`([^`]+)`[^`]*", re.DOTALL)
# NUL and lone surrogates are no text of a program, and the latter cannot be saved.
_FORBIDDEN_CHARACTER = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True)
class Request:
    """
    What a model is asked.

    Args:
        prompt (`str` or `list[dict]`): A text to go on with, or the messages of a chat.
        parameters (`dict`): Of decoding, such as `{"temperature": 0.5, "max_tokens": 128}`; without the number of
            samples, so that answers of an earlier run count when more are asked for.
        num_samples (`int`): How many answers are wanted.
    """

    prompt: str | list[dict[str, str]]
    parameters: dict[str, Any]
    num_samples: int

    def key(self, model: str) -> str:
        """Identifies the request in a [`CompletionCache`]: the same for the same model, prompt and parameters."""
        text = json.dumps([model, self.prompt, self.parameters], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Backend(Protocol):
    """A model that answers prompts; `name` identifies it in the cache."""

    name: str

    def complete(self, requests: Sequence[Request], cache: CompletionCache, progress: tqdm) -> dict[str, str]:
        """
        Adds to the cache what it lacks to answer the requests, each answer at once, and counts finished requests in
        `progress`. Returns why requests were refused, by their keys.
        """


class CompletionCache:
    """
    Answers in a file of JSON lines `{"key", "choices": [{"text", "score"}, ...]}`. A line is written, whole, when its
    answer arrives: a run that is killed loses no more than the requests under way.

    Args:
        path (`str` or `Path`): The file to write, or to go on with.

    Raises:
        ValueError: If the file is no such cache.
        OSError: If it cannot be read or written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.choices: dict[str, list[dict[str, Any]]] = {}
        content = self.path.read_bytes() if self.path.exists() else b""
        *lines, rest = content.split(b"\n")
        for number, line in enumerate(lines, start=1):
            try:
                record = json.loads(line)
                choices = [{"text": choice["text"], "score": choice["score"]} for choice in record["choices"]]
                self.choices.setdefault(record["key"], []).extend(choices)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{self.path}, line {number}: no answer of a model ({error})") from None
        if rest:  # half a line of a run that was killed
            os.truncate(self.path, len(content) - len(rest))
        self.file = open(self.path, "ab", buffering=0)

    def __getitem__(self, key: str) -> list[dict[str, Any]]:
        return self.choices.get(key, [])

    def add(self, key: str, choices: list[dict[str, Any]]) -> None:
        """Saves answers `{"text", "score"}`: the score is the mean log-probability of a token or `None`."""
        self.file.write(json.dumps({"key": key, "choices": choices}).encode() + b"\n")
        self.choices.setdefault(key, []).extend(choices)

    def __enter__(self) -> CompletionCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def usable_examples(train_rows: Iterable[dict[str, Any]], eval_rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    The training rows that may stand in a prompt: those whose utterance is not that of an evaluation row, without
    regard to case, spaces and final punctuation.
    """
    forbidden = {_utterance_key(row) for row in eval_rows}
    return [row for row in train_rows if _utterance_key(row) not in forbidden]


def build_prompt(
    row: dict[str, Any], examples: Sequence[dict[str, Any]], language: str, api: str = "chat"
) -> str | list[dict[str, str]]:
    """
    The prompt for a row. Descriptions are what CodeFusion reads ([`data.prompts.source_text`]): the utterance, and for
    CF the columns of the table.

    Args:
        row (`dict`): With `nl` and optionally `table`.
        examples (`Sequence[dict]`): Rows with `nl`, `code` and optionally `table`, most similar first; they are shown
            in reverse, so that the most similar one is next to the question.
        language (`str`): Of the programs.
        api (`str`, defaults to `"chat"`): `"completions"` for one text, `"chat"` for messages, an example being a
            question of the user and an answer of the assistant. The instruction opens the first question, since not
            every model knows system messages.

    Raises:
        ValueError: If the API or the language is unknown, or a table is unusable.
    """
    if api not in APIS:
        raise ValueError(f"`api` must be one of {', '.join(APIS)}, got {api!r}")
    instruction = INSTRUCTIONS[get_language(language).NAME]
    shown = [(source_text(example["nl"], example.get("table")), example["code"]) for example in reversed(examples)]
    question = source_text(row["nl"], row.get("table"))
    if api == "completions":
        parts = [f"Description: {nl}\nCode: {code}" for nl, code in shown]
        return "\n\n".join([instruction, *parts, f"Description: {question}\nCode:"])
    messages = []
    for nl, code in shown:
        messages += [{"role": "user", "content": nl}, {"role": "assistant", "content": code}]
    messages.append({"role": "user", "content": question})
    messages[0]["content"] = f"{instruction}\n\n{messages[0]['content']}"
    return messages


def extract_code(answer: str, language: str) -> str:
    """
    The program in a model's answer: without reasoning, code fences, backticks around all of it, the sentence around a
    quoted program, a leading `Code:`, and what follows the program. May be empty.
    """
    text = _FORBIDDEN_CHARACTER.sub("", answer).replace("\r\n", "\n")
    text = text.rpartition("</think>")[2].partition(STOP)[0].strip()
    fenced = _FENCE.search(text)
    if fenced:
        return fenced[1].strip("\n").rstrip()
    text = text.removeprefix("Code:").strip()
    quoted = re.fullmatch(r"(`+)([^`]+)\1", text) or _SENTENCE.fullmatch(text)
    if quoted:
        text = quoted[quoted.lastindex].strip()
    return text.partition("\n")[0].strip() if language == "cf" else text  # a rule is one line


def to_candidates(
    choices: Sequence[dict[str, Any]], language: str, num_return_sequences: int = 5
) -> list[dict[str, Any]]:
    """
    Distinct programs of a model's answers: best first if every answer has a score, else in the order of the answers.
    Unlike CodeFusion's own candidates they are not ranked by whether they parse.

    Args:
        choices (`Sequence[dict]`): `{"text", "score"}`.
        language (`str`): Of the programs; its `normalize` tells which are the same.
        num_return_sequences (`int`, defaults to 5): Candidates at most.

    Returns:
        `list[dict]`: `code` (in canonical form if it parses), `score` (mean log-probability of a token, or `None`) and
        `valid`.
    """
    module = get_language(language)
    if all(choice["score"] is not None for choice in choices):
        choices = sorted(choices, key=lambda choice: -choice["score"])
    candidates: dict[str, dict[str, Any]] = {}
    for choice in choices:
        code = extract_code(choice["text"], language)
        if not code:
            continue
        valid = module.is_valid(code)
        code = module.canonicalize(code) if valid else code
        candidates.setdefault(module.normalize(code), {"code": code, "score": choice["score"], "valid": valid})
    return list(candidates.values())[:num_return_sequences]


def answer(
    backend: Backend, requests: Sequence[Request], cache: CompletionCache, desc: str = "ask"
) -> tuple[list[list[dict[str, Any]]], dict[str, str]]:
    """
    Answers requests from the cache, and by the backend what is not there.

    Args:
        backend (`Backend`): The model.
        requests (`Sequence[Request]`): Equal ones are asked once.
        cache (`CompletionCache`): Is added to.
        desc (`str`, defaults to `"ask"`): What the progress bar is called.

    Returns:
        `tuple`: For each request its answers `{"text", "score"}` (none if it was refused), and the reasons of refused
        requests by their keys.

    Raises:
        RuntimeError: If the model cannot be asked.
    """
    distinct = {request.key(backend.name): request for request in requests}
    done = sum(len(cache[key]) >= request.num_samples for key, request in distinct.items())
    # The delay keeps the bar away from an error at the first request.
    with tqdm(total=len(distinct), initial=done, unit="request", desc=desc, file=sys.stderr, delay=1e-3) as progress:
        refused = backend.complete(list(distinct.values()), cache, progress)
    return [cache[request.key(backend.name)][: request.num_samples] for request in requests], refused


def mean_log_probability(values: Sequence[float]) -> float | None:
    """The score of an answer from the log-probabilities of its tokens; `None` without any, or if one is infinite."""
    mean = math.fsum(values) / len(values) if values else math.nan
    return round(mean, 6) if math.isfinite(mean) else None


def _utterance_key(row: dict[str, Any]) -> str:
    return normalize_utterance(source_text(row["nl"]))
