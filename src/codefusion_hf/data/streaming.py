"""
Training examples from corpora that do not fit a disk: read, filtered and tokenised as they are needed.

The *stream* of an epoch is all rows in an order that depends on (seed, epoch) alone. Files are dealt out to lanes, at
most `MAX_LANES`; each lane reads its files one after the other through its own shuffle buffer; row `p` of lane `l` has
the number `p * lanes + l` in the stream. Process `r` of `n` takes the rows whose number is `r` modulo `n`. If `n`
divides the number of lanes these are whole lanes, and it reads only their files; otherwise it reads all and passes
over what belongs to others. Rows that are invalid, too long or held out leave gaps in the numbers, so that what
happens to a row never depends on another one.
"""

from __future__ import annotations

import glob
import hashlib
import itertools
import json
import os
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from torch.utils.data import IterableDataset, get_worker_info

from ..languages import get_language
from .benchmarks import read_jsonl
from .cache import default_cache_dir
from .encoding import canonical, code_version, encode_pairs, encode_programs, tokenizer_fingerprint
from .tasks import PretrainingTask, example_rng


MAX_LANES = 64
BLOCK = 256  # rows that are tokenised together
_KEYS = ("nl", "code", "table", "data")  # all that the shuffle buffer keeps of a row

Source = tuple[str, Callable[[], Iterator[dict]]]


def open_sources(names: Sequence[str]) -> list[Source]:
    """
    The parts of a corpus that can be read independently.

    Args:
        names (`Sequence[str]`):
            JSON lines files, optionally gzipped; patterns of such (`data/*.jsonl.gz`); folders with a dataset; and
            datasets of the Hub as `hf://datasets/OWNER/NAME[@REVISION][/PATTERN]`, streamed by `datasets` from their
            split `train`.

    Returns:
        `list[tuple[str, Callable]]`: For each part what identifies it, and a function that gives its rows.

    Raises:
        OSError: if there is no such file.
        ValueError: for a dataset that cannot be found.
    """
    sources: list[Source] = []
    for name in names:
        if name.startswith("hf://") or Path(name).is_dir():
            sources += _dataset_sources(name)
        else:
            for path in expand_files([name]):
                stat = path.stat()
                sources.append((f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}", partial(read_jsonl, path)))
    return sources


def expand_files(names: Sequence[str | Path]) -> list[Path]:
    """
    Files by name or by pattern (`*`, `?`, `[`, `**`), the matches of each pattern sorted.

    Raises:
        FileNotFoundError: for a name or a pattern of no file.
    """
    files = []
    for name in map(str, names):
        found = [name] if Path(name).is_file() else sorted(glob.glob(name, recursive=True))
        found = [Path(path) for path in found if Path(path).is_file()]
        files += found
        if not found:
            raise FileNotFoundError(2, "No such file, and no pattern of files", name)
    return files


def _dataset_sources(name: str) -> list[Source]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise ImportError("reading a dataset needs `datasets`: pip install 'codefusion-hf[train]'") from None

    path, options = name, {}
    if name.startswith("hf://"):
        owner, _, rest = name.removeprefix("hf://datasets/").partition("/")
        repository, _, pattern = rest.partition("/")
        repository, _, revision = repository.partition("@")
        if not name.startswith("hf://datasets/") or not owner or not repository:
            raise ValueError(f"a dataset of the Hub is hf://datasets/OWNER/NAME[@REVISION][/PATTERN], got {name!r}")
        path, options = f"{owner}/{repository}", {"revision": revision or None, "data_files": pattern or None}
    dataset = load_dataset(path, split="train", streaming=True, **options)
    count = dataset.num_shards
    return [(f"{name} {i}/{count}", partial(iter, dataset.shard(count, i))) for i in range(count)]


class StreamDataset(IterableDataset):
    """
    What [`StreamingPairs`] and [`StreamingCodes`] have in common: order, sharding and resuming. See the module.

    Args:
        sources (`list`): See [`open_sources`].
        shuffle_buffer_size (`int`): Rows in all shuffle buffers together; 1 keeps the order of the files.
        seed (`int`): Of the order and of the examples.
        rank, world_size (`int`, *optional*): Which of how many processes this is; by default as `torch.distributed`
            or the environment (`RANK`, `WORLD_SIZE`) say when the examples are read.
        cache_dir (`str` or `Path`, *optional*): Where it is noted how many rows gave how many examples, so that
            [`skip`] need not look at the rows; by default with the prepared corpora.

    Attributes:
        num_too_long, num_left_out (`int`): Rows that were passed over so far: too long; invalid or held out.

    Yields:
        `dict`: Examples like those of the map-style datasets, and `index`, the row's number in the stream.
    """

    def __init__(
        self,
        sources: list[Source],
        shuffle_buffer_size: int = 10_000,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
        cache_dir: str | Path | None = None,
    ):
        if shuffle_buffer_size < 1:
            raise ValueError(f"`shuffle_buffer_size` must be at least 1, got {shuffle_buffer_size}")
        if not sources:
            raise ValueError("there are no files to stream")
        self.sources, self.shuffle_buffer_size, self.seed = sources, shuffle_buffer_size, seed
        # A power of two, which most numbers of processes divide.
        self.num_lanes = 1 << (min(len(sources), MAX_LANES).bit_length() - 1)
        self.rank, self.world_size, self.epoch, self.to_skip = rank, world_size, 0, 0
        self.cache_dir = Path(cache_dir) if cache_dir else default_cache_dir()
        self.num_too_long = self.num_left_out = 0

    def set_epoch(self, epoch: int) -> None:
        """Selects the order of an epoch."""
        self.epoch = epoch

    def skip(self, n: int) -> None:
        """
        The next pass over the data begins behind the first `n` examples of this process. Rows are read again, but not
        parsed or tokenised, up to the last note of an earlier run that got as far; without one each is looked at.
        """
        self.to_skip = n

    def _prepare(self, rows: list[dict]) -> list[list | None]:
        """What [`_example`] needs of each row, or `None` for those that are left out."""
        raise NotImplementedError

    def _example(self, prepared: list, rng: random.Random) -> dict:
        raise NotImplementedError

    def _settings(self) -> list:
        """All that decides which rows are left out."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[dict]:
        worker = get_worker_info()
        if worker is not None and worker.num_workers > 1:
            raise ValueError("a stream is read by one worker at most: more would change the order of the examples")
        rank, world_size = self._process()
        to_skip, self.to_skip = self.to_skip, 0
        notes = _Notes(self._notes_path(rank, world_size), self.epoch)
        examples, position = notes.find(to_skip)
        rows = itertools.islice(self._rows(rank, world_size), position, None)
        while block := list(itertools.islice(rows, BLOCK)):
            for (index, _), prepared in zip(block, self._prepare([row for _, row in block])):
                if prepared is not None:
                    examples += 1
                    if examples > to_skip:
                        rng = example_rng(self.seed, self.epoch, index)
                        yield {**self._example(prepared, rng), "index": index}
            position += len(block)
            notes.add(examples, position)

    def _process(self) -> tuple[int, int]:
        if self.rank is not None and self.world_size is not None:
            return self.rank, self.world_size
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
        return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))

    def _rows(self, rank: int, world_size: int) -> Iterator[tuple[int, dict]]:
        """This process's rows with their numbers."""
        count = self.num_lanes
        whole = count % world_size == 0
        lanes = {lane: self._lane(lane) for lane in range(count) if not whole or lane % world_size == rank}
        for position in itertools.count():
            if not lanes:
                return
            for lane in list(lanes):
                row = next(lanes[lane], None)
                if row is None:
                    del lanes[lane]
                elif (index := position * count + lane) % world_size == rank:
                    yield index, row

    def _lane(self, lane: int) -> Iterator[dict]:
        sources = self.sources[lane :: self.num_lanes]
        rng = random.Random(f"{self.seed} {self.epoch} lane {lane}")
        size, buffer = 0, []
        if self.shuffle_buffer_size > 1:
            size = max(2, self.shuffle_buffer_size // self.num_lanes)
            rng.shuffle(sources)
        for row in itertools.chain.from_iterable(read() for _, read in sources):
            row = {key: row[key] for key in _KEYS if key in row}
            if not size:
                yield row
            elif len(buffer) < size:
                buffer.append(row)
            else:
                place = rng.randrange(size)
                yield buffer[place]
                buffer[place] = row
        rng.shuffle(buffer)
        yield from buffer

    def _notes_path(self, rank: int, world_size: int) -> Path:
        identity = [[name for name, _ in self.sources], self.shuffle_buffer_size, self.seed, rank, world_size]
        name = hashlib.sha256(json.dumps([identity, code_version(), self._settings()]).encode()).hexdigest()[:16]
        return self.cache_dir / "streams" / f"{name}.jsonl"


class StreamingPairs(StreamDataset):
    """
    (utterance, program) pairs of a stream: see [`PairDataset`] and [`StreamDataset`].

    Args:
        sources, shuffle_buffer_size, seed, rank, world_size, cache_dir: See [`StreamDataset`].
        tokenizer, max_source_length, max_target_length, cond_dropout: See [`PairDataset`].

    Raises:
        ValueError: when it comes to a row without `nl` and `code`.
    """

    def __init__(
        self,
        sources: list[Source],
        tokenizer,
        max_source_length: int,
        max_target_length: int,
        cond_dropout: float = 0.0,
        **options,
    ):
        super().__init__(sources, **options)
        self.tokenizer, self.cond_dropout = tokenizer, cond_dropout
        self.max_source_length, self.max_target_length = max_source_length, max_target_length

    def _settings(self) -> list:
        return ["pairs", tokenizer_fingerprint(self.tokenizer), self.max_source_length, self.max_target_length]

    def _prepare(self, rows: list[dict]) -> list[list | None]:
        for row in rows:
            _check(row, "nl", "code")
        encoded = encode_pairs(rows, self.tokenizer)
        prepared: list[list | None] = []
        for source, target in zip(encoded["source"], encoded["target"]):
            fits = len(source) <= self.max_source_length and len(target) <= self.max_target_length
            self.num_too_long += not fits
            prepared.append([source, target] if fits else None)
        return prepared

    def _example(self, prepared: list, rng: random.Random) -> dict:
        source, target = prepared
        dropped = rng.random() < self.cond_dropout
        return {"source": source, "target": target, "unconditional": dropped, "noised": None}


class StreamingCodes(StreamDataset):
    """
    Programs of a stream, for pre-training: see [`CodeDataset`] and [`StreamDataset`]. Invalid programs and those that
    are held out are left out; copies are not found, since that takes the whole corpus.

    Args:
        sources, shuffle_buffer_size, seed, rank, world_size, cache_dir: See [`StreamDataset`].
        tokenizer: Of the model.
        language (`str`): Of the programs.
        task, max_source_length, max_target_length: See [`CodeDataset`].
        held_out (`Collection[str]`): Normal forms of programs to leave out, see [`normalized_golds`].

    Raises:
        ValueError: when it comes to a row without `code`.
    """

    def __init__(
        self,
        sources: list[Source],
        tokenizer,
        language: str,
        task: PretrainingTask,
        max_source_length: int,
        max_target_length: int,
        held_out: Collection[str] = (),
        **options,
    ):
        super().__init__(sources, **options)
        self.tokenizer, self.language, self.task, self.held_out = tokenizer, language, task, set(held_out)
        self.max_source_length, self.max_target_length = max_source_length, max_target_length

    def _settings(self) -> list:
        return [
            *("codes", tokenizer_fingerprint(self.tokenizer), self.language),
            *(self.max_source_length, self.max_target_length, sorted(self.held_out)),
            *(self.task.tasks, self.task.cpd_target, self.task.mask_ratio),
        ]

    def _prepare(self, rows: list[dict]) -> list[list | None]:
        language = get_language(self.language)
        programs: list[str | None] = []
        for row in rows:
            _check(row, "code")
            program = canonical(row["code"], language)
            if program is not None and self.held_out and language.normalize(program) in self.held_out:
                program = None
            programs.append(program)
        encoded = encode_programs([p for p in programs if p is not None], self.tokenizer, language.spans)
        num_tokens = np.array(list(map(len, encoded["tokens"])), dtype=np.int64)
        serves = self.task.serves(num_tokens, np.array(list(map(len, encoded["spans"])), dtype=np.int64))
        short = (self.task.lengths(num_tokens) <= [self.max_source_length, self.max_target_length]).all(axis=1)
        self.num_too_long += int((~short).sum())
        kept = serves & short
        self.num_left_out += len(rows) - len(num_tokens) + int((short & ~serves).sum())
        found = iter(zip(encoded["tokens"], encoded["spans"], kept.tolist()))
        prepared: list[list | None] = []
        for program in programs:
            tokens, spans, keep = (None, None, False) if program is None else next(found)
            prepared.append([tokens, spans] if keep else None)
        return prepared

    def _example(self, prepared: list, rng: random.Random) -> dict:
        tokens, spans = prepared
        return self.task.example(tokens, spans, rng)


def _check(row: dict, *keys: str) -> None:
    for key in keys:
        if not isinstance(row.get(key), str):
            raise ValueError(f"a row of the training data: `{key}` must be text, got {row.get(key)!r:.80}")


class _Notes:
    """Up to which row a process had how many examples, in an epoch: what it takes to skip rows unseen."""

    INTERVAL = 2_000  # rows

    def __init__(self, path: Path, epoch: int):
        self.path, self.epoch, self.noted = path, epoch, 0

    def find(self, examples: int) -> tuple[int, int]:
        """The note closest to that many examples, and not behind them: `(examples, rows)`."""
        best = (0, 0)
        if examples and self.path.exists():
            for line in self.path.read_text().splitlines():
                try:
                    epoch, *note = json.loads(line)
                except ValueError:
                    continue  # half a line of a run that was killed
                if epoch == self.epoch and best[0] < note[0] <= examples:
                    best = (note[0], note[1])
        self.noted = best[1]
        return best

    def add(self, examples: int, rows: int) -> None:
        """Notes a position, now and then."""
        if rows - self.noted >= self.INTERVAL:
            self.noted = rows
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with open(self.path, "a", encoding="utf-8") as file:
                    file.write(json.dumps([self.epoch, examples, rows]) + "\n")
            except OSError:
                pass  # a cache that cannot be written only makes skipping slow
