"""
The steps of the corpus as datatrove pipeline blocks. Ranks share the input by bytes and in order, so that line `i` of
rank `r` comes before line `j` of rank `s > r` in the corpus, and its rows do not depend on the number of tasks.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..benchmarks import read_benchmark
from ..leakage import normalize_utterance, normalized_golds, sha256
from .folders import NAMES, Block, detect_license, file_blocks
from .programs import extract_programs, find_fault, normal_form
from .stackexchange import (
    ANSWER,
    QUESTION,
    Questions,
    code_blocks,
    license_of,
    read_posts,
    tags_of,
    write_questions,
)


try:
    import numpy as np
    from datatrove.data import Document, DocumentsPipeline
    from datatrove.pipeline.base import PipelineStep
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import _mersenne_prime as _LARGEST_HASH
    from datatrove.pipeline.filters.base_filter import BaseFilter
    from datatrove.pipeline.writers.disk_base import DiskWriter
    from datatrove.utils.binaryio import read_tuples_from_file
    from datatrove.utils.hashing import HashConfig
    from datatrove.utils.word_tokenizers import WordTokenizer
except ImportError as error:
    raise ImportError(f"a corpus is built by datatrove: pip install 'codefusion-hf[corpus]' ({error})") from error


NUM_HASHES = 128  # MinHash permutations, shared out over the buckets
SHINGLE_TOKENS = 5
MIN_LINE_CHARS = 20  # a shorter gold, such as `import os`, is no leak when it is one line of a longer program

_TOKEN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\d[\w.]*|\w+|[^\w\s]""")


def share(pieces: list[dict[str, Any]], rank: int, world_size: int) -> Iterator[tuple[dict[str, Any], int, int]]:
    """
    The part of the input that a rank reads: of a dump a range of bytes, of other files those that begin in its range.

    Args:
        pieces (`list[dict]`): All input with `kind` (`"posts"` or `"file"`) and `size` in bytes, in order.
        rank (`int`): Of `world_size` ranks.

    Yields:
        `tuple[dict, int, int]`: A piece and the range of its bytes that is to be read.
    """
    total = sum(piece["size"] for piece in pieces)
    first, last = total * rank // world_size, total * (rank + 1) // world_size
    offset = 0
    for piece in pieces:
        begin, end = max(first - offset, 0), min(last - offset, piece["size"])
        if piece["kind"] == "posts" and begin < end:
            yield piece, begin, end
        elif piece["kind"] == "file" and first <= offset < last:
            yield piece, 0, piece["size"]
        offset += piece["size"]


class _InputStep(PipelineStep):
    """Reads the input that `manifest_file` lists, a JSON list of pieces as in [`share`]."""

    type = "📖 - READER"

    def __init__(self, manifest_file: str, language: str, tags: tuple[str, ...], questions_folder: str):
        super().__init__()
        self.manifest_file, self.language, self.tags = manifest_file, language, tuple(tags)
        self.questions_folder = questions_folder

    def _read(self, rank: int, world_size: int, kinds: tuple[str, ...]) -> Iterator[tuple[dict, Any]]:
        """Pieces of this rank's share, a dump's once for each row with its attributes; with a bar over the bytes."""
        pieces = json.loads(Path(self.manifest_file).read_bytes())
        pieces = [{**piece, "dump": number} for number, piece in enumerate(pieces) if piece["kind"] in kinds]
        parts = list(share(pieces, rank, world_size))
        total = sum(end - begin for _, begin, end in parts)
        name = f"{self.name}, task {rank + 1} of {world_size}"
        with tqdm(total=total, desc=name, unit="B", unit_scale=True, mininterval=1) as bar:
            done = 0
            for piece, begin, end in parts:
                if piece["kind"] == "posts":
                    for place, row in read_posts(piece["path"], begin, end):
                        bar.update(done + place - begin - bar.n)
                        yield piece, row
                else:
                    yield piece, None
                done += end - begin
                bar.update(done - bar.n)

    def drop(self, source: str, reason: str) -> None:
        """Counts what is left out, as [`BaseFilter`] does."""
        self.stat_update(_dropped(source, reason))


class QuestionIndexer(_InputStep):
    """Writes ids and titles of the questions with one of the tags into `questions_folder`, one file for each rank."""

    name = "questions"

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Writes `{rank}.sqlite`; yields nothing."""
        Path(self.questions_folder).mkdir(parents=True, exist_ok=True)
        rows = self._read(rank, world_size, ("posts",))
        wanted = (
            (piece["dump"], int(row["Id"]), row.get("Title", ""))
            for piece, row in rows
            if row and row.get("PostTypeId") == QUESTION and not tags_of(row).isdisjoint(self.tags)
        )
        write_questions(Path(self.questions_folder, f"{rank:05d}.sqlite"), wanted)
        yield from ()


class SourceReader(_InputStep):
    """Reads blocks of code, one document each, with `source`, `license`, `path` and `nl` as metadata."""

    name = "blocks"

    def __init__(self, manifest_file, language, tags, questions_folder, license: str | None = None):
        super().__init__(manifest_file, language, tags, questions_folder)
        self.license = license

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yields the blocks of this rank's share of the input."""
        questions = Questions(self.questions_folder)
        license_in = functools.cache(detect_license)
        for piece, row in self._read(rank, world_size, ("posts", "file")):
            if piece["kind"] == "posts" and row is None:
                self.drop(piece["source"], "damaged_row")
                continue
            elif piece["kind"] == "posts":
                found = self._post(piece, row, questions)
            else:
                found = self._file(piece, license_in(str(Path(piece["path"]).parent), piece["root"]) or self.license)
            for number, (block, metadata) in enumerate(found):
                if block.language and block.language not in NAMES[self.language]:
                    self.drop(piece["source"], "other_language")
                    continue
                metadata = {"source": piece["source"], **metadata, "nl": block.nl}
                yield Document(block.code, f"{metadata['path']}#{number}", metadata=metadata)

    def _post(self, piece: dict, row: dict[str, str], questions: Questions) -> Iterator[tuple[Block, dict[str, str]]]:
        if row.get("PostTypeId") == QUESTION and not tags_of(row).isdisjoint(self.tags):
            kind, title = "q", None  # the code of a question is what does not do what its title says
        elif row.get("PostTypeId") == ANSWER and row.get("ParentId"):
            kind, title = "a", questions.title(piece["dump"], int(row["ParentId"]))
            if title is None:
                return
        else:
            return
        metadata = {"license": license_of(row), "path": f"{kind}/{row['Id']}"}
        for code, hint in code_blocks(row.get("Body", "")):
            yield Block(code, title, None if hint in ("default", "none") else hint), metadata

    def _file(self, piece: dict, license: str | None) -> Iterator[tuple[Block, dict[str, str]]]:
        if license is None:
            self.drop(piece["source"], "no_license")
            return
        path = Path(piece["path"])
        try:
            for block in file_blocks(path, self.language):
                # Unlabelled fences are pseudo-code, output and configuration more often than programs.
                block = block if block.language else block._replace(language="text")
                yield block, {"license": license, "path": path.relative_to(piece["root"]).as_posix()}
        except ValueError:
            self.drop(piece["source"], "damaged_file")


class ProgramExtractor(PipelineStep):
    """Turns blocks into programs: [`extract_programs`]."""

    type = "🛢 - EXTRAC"
    name = "programs"

    def __init__(self, language: str, max_chars: int):
        super().__init__()
        self.language, self.max_chars = language, max_chars

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yields a document for each program."""
        for document in data:
            for code, sentence in extract_programs(document.text, self.language, self.max_chars):
                metadata = {**document.metadata, "nl": sentence or document.metadata["nl"]}
                yield Document(code, document.id, metadata=metadata)


class ProgramFilter(BaseFilter):
    """Drops what [`find_fault`] finds fault with, and by the number of tokens if there is a tokenizer."""

    name = "faults"

    def __init__(
        self, language: str, min_chars: int, max_chars: int, tokenizer_name=None, min_tokens=0, max_tokens=None
    ):
        super().__init__()
        self.language, self.min_chars, self.max_chars = language, min_chars, max_chars
        self.tokenizer_name, self.min_tokens, self.max_tokens = tokenizer_name, min_tokens, max_tokens

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether the program stays, or `(False, reason)`."""
        fault = find_fault(doc.text, self.language, self.min_chars, self.max_chars)
        if fault is None and self.tokenizer_name:
            tokens = len(_tokenizer(self.tokenizer_name)(doc.text, add_special_tokens=False)["input_ids"])
            if tokens < self.min_tokens:
                fault = "too_short"
            elif self.max_tokens is not None and tokens > self.max_tokens:
                fault = "too_long"
        return (False, f"{fault} | {doc.metadata['source']}") if fault else True


class EvaluationFilter(BaseFilter):
    """
    Drops rows that occur in evaluation files: whose program, or a line of it of `MIN_LINE_CHARS` characters or more,
    is a gold, both normalised, or whose text is an utterance up to case and space.
    """

    name = "evaluation"

    def __init__(self, files: list[str], language: str):
        super().__init__()
        self.files, self.language = tuple(map(str, files)), language

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        """Whether the row stays, or `(False, reason)`."""
        golds, utterances = _evaluation(self.files, self.language)
        lines = {line.strip() for line in doc.text.split("\n") if len(line.strip()) >= MIN_LINE_CHARS}
        if any(normal_form(code, self.language) in golds for code in (doc.text, *lines)):
            return False, f"evaluation_code | {doc.metadata['source']}"
        if doc.metadata["nl"] and normalize_utterance(doc.metadata["nl"]) in utterances:
            return False, f"evaluation_utterance | {doc.metadata['source']}"
        return True


class RowWriter(DiskWriter):
    """Writes the rows of each rank as JSON lines."""

    name = "rows"
    default_output_filename = "${rank}.jsonl"

    def __init__(self, output_folder: str):
        super().__init__(output_folder, compression=None, mode="wb")

    def _default_adapter(self, document: Document) -> dict[str, Any]:
        keys = ("nl", "source", "license", "path")
        return {"code": document.text, **{key: document.metadata[key] for key in keys}}

    def _write(self, document: dict, file_handler: Any, filename: str) -> None:
        file_handler.write(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


class CodeTokenizer(WordTokenizer):
    """Tokens of programs for MinHash; of Python every literal counts as the same token."""

    def word_tokenize(self, text: str) -> list[str]:
        """Words, numbers, quoted strings and single signs."""
        tokens = _TOKEN.findall(text)
        if self.language == "python":
            tokens = ["0" if token[0].isdigit() or token[0] in "'\"" else token for token in tokens]
        return tokens

    def sent_tokenize(self, text: str) -> list[str]:
        """Lines."""
        return text.splitlines()

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Where the tokens stand."""
        return [found.span() for found in _TOKEN.finditer(text)]


def minhash_config(threshold: float) -> MinhashConfig:
    """
    Buckets and hashes per bucket for a Jaccard similarity at which about half of the pairs are found, `(1 / buckets)
    ** (1 / hashes_per_bucket)`, and one bucket more: the first holds the program's own hash, for exact duplicates.

    Args:
        threshold (`float`): 0.5 to 1; at 1 only exact duplicates count.

    Raises:
        ValueError: for another threshold.
    """
    if not 0.5 <= threshold <= 1:
        raise ValueError(f"the near-duplicate threshold must be from 0.5 to 1, got {threshold}")
    hashes = min(range(2, 65), key=lambda r: abs((r / NUM_HASHES) ** (1 / r) - threshold))
    buckets = 0 if threshold == 1 else NUM_HASHES // hashes
    hash_config = HashConfig(precision=64, hash_fc="sha1")  # xxhash would be one dependency more
    return MinhashConfig(SHINGLE_TOKENS, 1 + buckets, hashes, hash_config=hash_config)


class ProgramSignature(MinhashDedupSignature):
    """MinHash signatures of programs, over shingles of code tokens, and in the first bucket the exact hash."""

    def __init__(self, output_folder: str, config: MinhashConfig, language: str):
        super().__init__(output_folder, config, language=CodeTokenizer(language))
        self.programs = language
        self.num_hashes = (config.num_buckets - 1) * config.hashes_per_bucket

    def get_shingles(self, text: str) -> np.ndarray:
        """Hashes `(1 + n, 1)`: of the normalised program, then of its `n` shingles, at least one."""
        key = normal_form(text, self.programs)
        tokens, n = self.word_tokenizer.word_tokenize(text), self.config.n_grams
        shingles = [" ".join(tokens[i : i + n]) for i in range(max(1, len(tokens) - n + 1))]
        return np.array([[self._hash_func(piece)] for piece in (key, *shingles)], dtype=np.uint64)

    def get_signature(self, shingles: np.ndarray) -> list[list[int]]:
        """The hashes of each bucket."""
        hashes = shingles % _LARGEST_HASH  # the next step reads no larger one
        exact = [[int(hashes[0, 0])] * self.config.hashes_per_bucket]
        if not self.num_hashes:
            return exact
        multiply, add = self.parameters
        lowest = np.min((shingles[1:] * multiply + add) % _LARGEST_HASH, axis=0)
        return exact + np.split(lowest, self.config.num_buckets - 1)


class CorpusMerger(PipelineStep):
    """
    Writes the corpus, of each group of duplicates the first row, and the report beside it: both replace an older file
    at once, when they are complete.
    """

    type = "💽 - WRITER"
    name = "corpus"

    def __init__(self, rows_folder, duplicates_folder, stats_folder, output: str, report: str, settings: dict):
        super().__init__()
        self.rows_folder, self.duplicates_folder, self.stats_folder = rows_folder, duplicates_folder, stats_folder
        self.output, self.report, self.settings = output, report, settings

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Writes `output` and `report`; yields nothing."""
        faults = self._faults()
        duplicates = self._duplicates()
        counts: dict[str, dict[str, int]] = {}
        for (reason, source), number in faults.items():
            counts.setdefault(source, {})[reason] = number
        kept: dict[str, int] = {}
        rows = 0
        with open(f"{self.output}.tmp", "wb") as file:
            for path in tqdm(sorted(Path(self.rows_folder).glob("*.jsonl")), desc="corpus", unit="file"):
                with open(path, "rb") as lines:
                    for number, line in enumerate(lines):
                        source = json.loads(line)["source"]
                        if reason := duplicates.get((int(path.stem), number)):
                            dropped = counts.setdefault(source, {})
                            dropped[reason] = dropped.get(reason, 0) + 1
                        else:
                            file.write(line)
                            kept[source] = kept.get(source, 0) + 1
                            rows += 1
        sources = {
            source: {
                "candidates": kept.get(source, 0) + sum(counts.get(source, {}).values()),
                "kept": kept.get(source, 0),
                "dropped": dict(sorted(counts.get(source, {}).items())),
            }
            for source in sorted({*counts, *kept})
        }
        report = {
            "output": Path(self.output).name,
            "sha256": sha256(f"{self.output}.tmp"),
            "rows": rows,
            "sources": sources,
            "settings": self.settings,
        }
        Path(f"{self.report}.tmp").write_text(
            json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        os.replace(f"{self.report}.tmp", self.report)
        os.replace(f"{self.output}.tmp", self.output)
        yield from ()

    def _faults(self) -> dict[tuple[str, str], int]:
        """How many candidates the filters dropped, by reason and source, over all ranks."""
        found: dict[tuple[str, str], int] = {}
        for path in Path(self.stats_folder).glob("*.json"):
            for step in json.loads(path.read_bytes()):
                for label, stat in step["stats"].items():
                    if label.startswith("dropped_") and " | " in label:
                        reason, _, source = label.removeprefix("dropped_").partition(" | ")
                        number = stat["total"] if isinstance(stat, dict) else stat
                        found[reason, source] = found.get((reason, source), 0) + int(number)
        return found

    def _duplicates(self) -> dict[tuple[int, int], str]:
        """Why `(rank, line)` goes: all but the first of each group that is connected by equal buckets."""
        groups: dict[tuple[int, int], tuple[int, int]] = {}

        def first(row: tuple[int, int]) -> tuple[int, int]:
            while (parent := groups.setdefault(row, row)) != row:
                groups[row] = row = groups[parent]  # halves the way for the next
            return row

        reasons: dict[tuple[int, int], str] = {}
        paths = sorted(Path(self.duplicates_folder).glob("*.dups"))  # the exact ones first: bucket 0
        for number, path in enumerate(paths):
            with open(path, "rb") as file:
                for rank_a, line_a, rank_b, line_b in read_tuples_from_file(file, "4I", lines_to_buffer=10_000):
                    one, other = sorted((first((rank_a, line_a)), first((rank_b, line_b))))
                    groups[other] = one
            if number == 0:
                reasons = {row: "duplicate" for row in list(groups) if first(row) != row}
        return {row: "near_duplicate" for row in list(groups) if first(row) != row} | reasons


def format_report(report: dict[str, Any]) -> str:
    """The counts of a report as a table: a line for each reason, a column for each source."""
    sources = report["sources"]
    reasons = sorted({reason for entry in sources.values() for reason in entry["dropped"]})
    lines = [["", *sources, "all"]]
    for name in ("candidates", *reasons, "kept"):
        numbers = [entry["dropped"].get(name, 0) if name in reasons else entry[name] for entry in sources.values()]
        lines.append([name, *(f"{number:,}" for number in (*numbers, sum(numbers)))])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))
        )
        for row in lines
    )


def _dropped(source: str, reason: str) -> str:
    return f"dropped_{reason} | {source}"


@functools.cache
def _evaluation(files: tuple[str, ...], language: str) -> tuple[set[str], set[str]]:
    """Golds and utterances, normalised, of evaluation files."""
    utterances = {normalize_utterance(row["nl"]) for path in files for row in read_benchmark(path)}
    return normalized_golds(files, language), utterances - {""}


@functools.cache
def _tokenizer(name: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(name, local_files_only=True)
