"""From text to integers: programs and pairs as tokens, with the tokens that pre-training may mask."""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .. import languages
from ..languages import Span, get_language
from .benchmarks import table_of
from .corruption import token_spans
from .prompts import source_text


Columns = dict[str, list[list[int]]]


def encode_programs(codes: Sequence[str], tokenizer, spans: Callable[[str], list[Span]] | None = None) -> Columns:
    """
    Programs as tokens.

    Args:
        codes (`Sequence[str]`): Programs.
        tokenizer: Of the model; a fast one, which knows from where in the text a token comes.
        spans (`Callable`, *optional*): Of the language; without it no token can be masked.

    Returns:
        `dict[str, list[list[int]]]`: For each program `tokens`, special tokens included, and `spans`, what may be
        masked, as a flat list of `start, end, name`: see [`token_spans`].

    Raises:
        ValueError: for a tokenizer without offsets.
    """
    if not tokenizer.is_fast:
        raise ValueError(f"{type(tokenizer).__name__} gives no offsets of its tokens: use the fast tokenizer")
    if not codes:
        return {"tokens": [], "spans": []}
    encoded = tokenizer(list(codes), return_offsets_mapping=spans is not None, return_attention_mask=False)
    found: list[list[int]] = [[] for _ in codes]
    if spans is not None:
        found = [
            [number for span in token_spans(code, spans(code), offsets) for number in span]
            for code, offsets in zip(codes, encoded["offset_mapping"])
        ]
    return {"tokens": encoded["input_ids"], "spans": found}


def encode_pairs(rows: Sequence[dict], tokenizer) -> Columns:
    """
    (utterance, program) pairs as `source` and `target` tokens: rows with `nl`, `code` and optionally `table`, or its
    released form `data`.
    """
    if not rows:
        return {"source": [], "target": []}
    sources = [source_text(row["nl"], table_of(row)) for row in rows]
    return {
        "source": tokenizer(sources, return_attention_mask=False)["input_ids"],
        "target": tokenizer([row["code"] for row in rows], return_attention_mask=False)["input_ids"],
    }


def text_hash(text: str) -> int:
    """64 bits (signed) that tell texts apart: two of a hundred million are mixed up with a chance of 3 in 10,000."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


class PairEncoder:
    """[`encode_pairs`] as a picklable object, for worker processes."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __call__(self, rows: Sequence[dict]) -> Columns:
        return encode_pairs(rows, self.tokenizer)


class CodeEncoder:
    """
    Programs in canonical form as [`encode_programs`] gives them, without those that are invalid. Two more columns of
    one number each: `code_hash` of the program and `normal_hash` of its normal form, by which copies and golds of
    evaluation files are found.

    Args:
        tokenizer: Of the model.
        language (`str`): Of the programs.
    """

    def __init__(self, tokenizer, language: str):
        self.tokenizer, self.language = tokenizer, language

    def __call__(self, codes: Sequence[str]) -> Columns:
        language = get_language(self.language)
        programs = [program for code in codes if (program := canonical(code, language)) is not None]
        return {
            **encode_programs(programs, self.tokenizer, language.spans),
            "code_hash": [[text_hash(program)] for program in programs],
            "normal_hash": [[text_hash(language.normalize(program))] for program in programs],
        }


def canonical(code: str, language) -> str | None:
    """The program in canonical form, `None` if it is invalid."""
    try:
        return language.canonicalize(code)
    except (TypeError, ValueError):
        return None


def tokenizer_fingerprint(tokenizer) -> str:
    """Changes with anything that changes tokens. Padding and truncation are no part of a tokenizer's content."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError(f"{type(tokenizer).__name__} has no backend of `tokenizers`: use the fast tokenizer")
    backend = type(backend).from_str(backend.to_str())
    backend.no_padding()
    backend.no_truncation()
    return _sha256(backend.to_str().encode(), str(getattr(tokenizer, "split_special_tokens", "")).encode())


def code_version() -> str:
    """Changes with the code that makes tokens and spans of text, and with what that code relies on."""
    here, root = Path(__file__).parent, Path(languages.__file__).parent
    files = [here / name for name in ("corruption.py", "encoding.py", "prompts.py")]
    files += sorted(path for path in root.rglob("*") if path.suffix in (".py", ".txt"))
    versions = [importlib.metadata.version(f"tree-sitter{name}") for name in ("", "-bash", "-python")]
    versions += [importlib.metadata.version("tokenizers"), *map(str, sys.version_info[:2])]
    return _sha256(*(path.read_bytes() for path in files), " ".join(versions).encode())


def _sha256(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def sentinel_ids(tokenizer) -> list[int]:
    """
    Ids of `<extra_id_0>`, `<extra_id_1>`, ...

    Raises:
        ValueError: for a tokenizer without them.
    """
    ids: Iterable[int | None] = tokenizer.convert_tokens_to_ids([f"<extra_id_{k}>" for k in range(100)])
    found = [i for i in ids if i is not None and i != tokenizer.unk_token_id]
    if not found:
        raise ValueError("masking code needs a tokenizer with <extra_id_0>, <extra_id_1>, ... tokens")
    return found
