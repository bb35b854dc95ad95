"""
Prepared once, read for ever: rows of integers in flat arrays, in shards of Arrow files that are memory mapped, so that
a corpus may be larger than the memory. A preparation that was interrupted goes on at the shard where it stopped.
"""

from __future__ import annotations

import bisect
import gzip
import hashlib
import itertools
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from .benchmarks import read_codes, read_training_pairs
from .encoding import CodeEncoder, Columns, PairEncoder, code_version, tokenizer_fingerprint
from .leakage import sha256


ROWS_PER_SHARD = 10_000
_INSTALL = "a prepared corpus needs `datasets`: pip install 'codefusion-hf[train]'"


class PackedRows:
    """
    Columns of integer lists: for each shard and column one flat array of values and one of offsets.

    Args:
        shards (`Sequence[dict[str, tuple[np.ndarray, np.ndarray]]]`):
            `{column: (offsets, values)}`; row `i` of a shard is `values[offsets[i]:offsets[i + 1]]`.
        paths (`Sequence[Path]`, *optional*):
            The Arrow files that the arrays are views of: a copy for another process maps them again.
    """

    def __init__(self, shards: Sequence[dict[str, tuple[np.ndarray, np.ndarray]]], paths: Sequence[Path] = ()):
        self.shards, self.paths = list(shards), list(paths)
        sizes = [len(next(iter(shard.values()))[0]) - 1 for shard in self.shards]
        self.ends = list(itertools.accumulate(sizes))

    @classmethod
    def from_lists(cls, columns: Mapping[str, Sequence[Sequence[int]]]) -> PackedRows:
        """Rows in memory."""
        shard = {}
        for name, rows in columns.items():
            offsets = np.zeros(len(rows) + 1, dtype=np.int64)
            np.cumsum([len(row) for row in rows], out=offsets[1:])
            values = np.fromiter(itertools.chain.from_iterable(rows), dtype=np.int64, count=offsets[-1])
            shard[name] = (offsets, values)
        return cls([shard])

    @classmethod
    def open(cls, paths: Sequence[Path]) -> PackedRows:
        """Rows of Arrow files as [`write_shard`] writes them, memory mapped."""
        try:
            import pyarrow as pa
        except ImportError:
            raise ImportError(_INSTALL) from None

        shards = []
        for path in paths:
            table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()  # one batch each
            shard = {}
            for name in table.column_names:
                column = table.column(name)
                # A stream of no batches has no chunk.
                array = column.chunk(0) if column.num_chunks else pa.array([], type=column.type)
                shard[name] = (array.offsets.to_numpy(), array.values.to_numpy())
            shards.append(shard)
        return cls(shards, paths)

    def __reduce__(self):
        return (PackedRows.open, (self.paths,)) if self.paths else (PackedRows, (self.shards,))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def row(self, index: int, *columns: str) -> list[list[int]]:
        """The lists of row `index` in these columns."""
        number = bisect.bisect_right(self.ends, index)
        shard = self.shards[number]
        index -= self.ends[number - 1] if number else 0
        lists = []
        for column in columns:
            offsets, values = shard[column]
            lists.append(values[offsets[index] : offsets[index + 1]].tolist())
        return lists

    def lengths(self, column: str) -> np.ndarray:
        """Length of each row in a column, shape `(rows,)`."""
        return self._concatenate([np.diff(shard[column][0]) for shard in self.shards])

    def numbers(self, column: str) -> np.ndarray:
        """A column of one number each, shape `(rows,)`."""
        return self._concatenate([shard[column][1] for shard in self.shards])

    @staticmethod
    def _concatenate(parts: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def default_cache_dir() -> Path:
    """Beside the datasets that `datasets` caches (environment variable `HF_DATASETS_CACHE`)."""
    try:
        from datasets import config
    except ImportError:
        raise ImportError(_INSTALL) from None
    return Path(config.HF_DATASETS_CACHE) / "codefusion"


def cached_codes(
    files: Sequence[str | Path],
    tokenizer,
    language: str,
    cache_dir: str | Path | None = None,
    num_workers: int = 1,
    rows_per_shard: int = ROWS_PER_SHARD,
) -> PackedRows:
    """
    The valid programs of JSON lines files as [`CodeEncoder`] gives them, prepared on the first call.

    The place depends on the content of the files, the tokenizer, the language and the code that prepares; not on
    lengths, masks or evaluation files, which are applied to what is cached.

    Args:
        files (`Sequence[str or Path]`): See [`read_codes`].
        tokenizer: Of the model.
        language (`str`): Of the programs.
        cache_dir (`str` or `Path`, *optional*): By default [`default_cache_dir`].
        num_workers (`int`): Processes that prepare.
        rows_per_shard (`int`): What an interruption loses at most, for each worker.

    Raises:
        ValueError: for a file that [`read_codes`] refuses, or `num_workers` below 1.
        OSError: if a file cannot be read or the cache cannot be written.
    """
    rows = lambda: itertools.chain.from_iterable(map(read_codes, files))  # noqa: E731
    encoder = CodeEncoder(tokenizer, language)
    return _cached(f"codes-{language}", files, rows, encoder, cache_dir, num_workers, rows_per_shard)


def cached_pairs(
    files: Sequence[str | Path],
    tokenizer,
    cache_dir: str | Path | None = None,
    num_workers: int = 1,
    rows_per_shard: int = ROWS_PER_SHARD,
) -> PackedRows:
    """The pairs of JSON lines files as [`encode_pairs`] gives them. Arguments and errors as in [`cached_codes`]."""
    rows = lambda: itertools.chain.from_iterable(map(read_training_pairs, files))  # noqa: E731
    return _cached("pairs", files, rows, PairEncoder(tokenizer), cache_dir, num_workers, rows_per_shard)


def _cached(
    kind: str,
    files: Sequence[str | Path],
    rows: Callable[[], Iterator[Any]],
    encode: Callable[[list[Any]], Columns],
    cache_dir: str | Path | None,
    num_workers: int,
    rows_per_shard: int,
) -> PackedRows:
    if num_workers < 1:
        raise ValueError(f"`num_workers` must be at least 1, got {num_workers}")
    from filelock import FileLock  # comes with huggingface_hub

    key = {
        "files": [sha256(file) for file in files],
        "tokenizer": tokenizer_fingerprint(encode.tokenizer),
        "code": code_version(),
        "rows_per_shard": rows_per_shard,
    }
    name = hashlib.sha256(json.dumps([kind, key]).encode()).hexdigest()[:16]
    folder = Path(cache_dir or default_cache_dir()) / f"{kind}-{name}"
    done = folder / "done.json"
    folder.mkdir(parents=True, exist_ok=True)
    # Of several processes that train together one prepares; the others wait and then find the cache.
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists():
            count = _write_shards(folder, files, rows, encode, num_workers, rows_per_shard)
            names = [Path(file).name for file in files]
            _replace(done, json.dumps({"shards": count, "file_names": names, **key}, indent=2).encode())
    count = json.loads(done.read_text())["shards"]
    return PackedRows.open([_shard_path(folder, number) for number in range(count)])


def _write_shards(folder, files, rows, encode, num_workers: int, rows_per_shard: int) -> int:
    """Writes the shards that are missing and returns how many there are."""
    from tqdm.auto import tqdm

    total = sum(_count_lines(file) for file in files)
    names = ", ".join(Path(file).name for file in files[:3]) + (", ..." if len(files) > 3 else "")
    bar = tqdm(total=total, unit="row", desc=f"preparing {names}")
    executor = None
    if num_workers > 1:
        executor = ProcessPoolExecutor(num_workers, initializer=_set_encoder, initargs=(encode,))
    running: list[tuple[Future, int]] = []
    iterator, number = rows(), 0
    try:
        while part := list(itertools.islice(iterator, rows_per_shard)):
            path = _shard_path(folder, number)
            number += 1
            if path.exists():
                bar.update(len(part))
                bar.initial += len(part)  # what an earlier run did says nothing about the rate
            elif executor is None:
                write_shard(path, encode(part))
                bar.update(len(part))
            else:
                if len(running) > num_workers:  # never more in memory than the workers need
                    _finish(running.pop(0), bar)
                running.append((executor.submit(_encode_shard, path, part), len(part)))
        while running:
            _finish(running.pop(0), bar)
    finally:
        bar.close()
        if executor is not None:
            executor.shutdown(cancel_futures=True)
    return number


def _finish(job: tuple[Future, int], bar) -> None:
    future, count = job
    future.result()
    bar.update(count)


_encode: Callable[[list[Any]], Columns] | None = None  # of a worker process


def _set_encoder(encode: Callable[[list[Any]], Columns]) -> None:
    global _encode
    _encode = encode
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # there are as many workers as there should be threads


def _encode_shard(path: Path, rows: list[Any]) -> None:
    assert _encode is not None
    write_shard(path, _encode(rows))


def write_shard(path: Path, columns: Columns) -> None:
    """
    Writes columns as an Arrow stream, the format of `datasets` (`Dataset.from_file` opens it), whole or not at all.

    Raises:
        OSError: if it cannot be written.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise ImportError(_INSTALL) from None

    arrays = {}
    for name, rows in columns.items():
        width = pa.int64() if name.endswith("_hash") else pa.int32()
        arrays[name] = pa.array(rows, type=pa.list_(width))
    table = pa.table(arrays)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    _replace(path, sink.getvalue())


def _replace(path: Path, content) -> None:
    # Another name first: a file under its own name is complete.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.arrow"


def _count_lines(path: str | Path) -> int:
    opener = gzip.open if str(path).endswith(".gz") else open
    try:
        with opener(path, "rb") as file:
            return sum(1 for line in file if line.strip())
    except (EOFError, zlib.error):
        return 0  # a damaged file: reading it for good says where
