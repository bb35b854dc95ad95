"""Batches of examples that fit one canvas, in an order that depends on seed and epoch alone, and their padding."""

import random
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Dataset, IterableDataset, Sampler


# Examples are sorted by length within a pool of this many global batches, so that batches stay random.
POOL = 50


class LengthBatchSampler(Sampler):
    """
    Batches of examples that fit the same canvas and have similar source lengths. What an update of the weights sees,
    its *global batch*, is formed first and then shared out, so it does not depend on how many processes there are or
    how many batches are accumulated. A share of the global batches is put on the largest canvas, the others on the
    smallest that holds them: short programs must also be learned on the long canvas that the model may sample on, but
    most of that is work on padding.

    Args:
        lengths (`Sequence[tuple[int, int]]`): Source and target length of the examples, in tokens.
        batch_size (`int`): Examples in each batch; what does not fill a global batch is left out of an epoch.
        canvases (`Sequence[int]`): Canvas sizes in tokens, the largest of which holds every program.
        seed (`int`): Of the order.
        accumulation_steps, num_processes, process_index (`int`):
            Batches that each process accumulates, how many processes share the examples, and which one this is.
        full_canvas_share (`float`): Of the global batches, from 0 to 1.

    Yields:
        `list[tuple[int, int]]`: For each batch of this process, index and canvas of its examples: keys for
        [`IndexedDataset`].

    Raises:
        ValueError: if the examples do not fill one global batch.
    """

    def __init__(
        self,
        lengths: Sequence[tuple[int, int]],
        batch_size: int,
        canvases: Sequence[int],
        seed: int = 0,
        accumulation_steps: int = 1,
        num_processes: int = 1,
        process_index: int = 0,
        full_canvas_share: float = 0.5,
    ):
        self.global_batch_size = batch_size * accumulation_steps * num_processes
        if len(lengths) < self.global_batch_size:
            parts = (
                f"{batch_size} examples"
                if self.global_batch_size == batch_size
                else (
                    f"{self.global_batch_size} examples ({batch_size} x {num_processes} process(es) x "
                    f"{accumulation_steps} accumulated)"
                )
            )
            raise ValueError(
                f"{len(lengths)} examples do not fill a batch of {parts}: lower --per_device_train_batch_size"
            )
        self.canvases, self.largest = sorted(canvases), max(canvases)
        self.keys = [(min(c for c in self.canvases if c >= target), source) for source, target in lengths]
        self.batch_size, self.accumulation_steps, self.seed = batch_size, accumulation_steps, seed
        self.num_processes, self.process_index = num_processes, process_index
        self.full_canvas_share = full_canvas_share
        self.set_epoch(0)

    def set_epoch(self, epoch: int, first_update: int = 0) -> None:
        """Selects the order of an epoch, and with which of its updates to begin."""
        self.epoch, self.first_update = epoch, first_update

    @property
    def num_updates(self) -> int:
        """Global batches of an epoch."""
        return len(self.keys) // self.global_batch_size

    def __len__(self) -> int:
        return (self.num_updates - self.first_update) * self.accumulation_steps

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = random.Random(f"{self.seed} {self.epoch}")
        order = list(range(len(self.keys)))
        rng.shuffle(order)
        size, batches = self.global_batch_size, []
        order = order[: self.num_updates * size]  # before sorting: else it is always the longest that are left out
        for start in range(0, len(order), POOL * size):
            pool = sorted(order[start : start + POOL * size], key=lambda i: self.keys[i])
            batches += [pool[i : i + size] for i in range(0, len(pool), size)]
        rng.shuffle(batches)
        coins = [rng.random() for _ in batches]
        for batch, coin in list(zip(batches, coins))[self.first_update :]:
            canvas = self.largest if coin < self.full_canvas_share else max(self.keys[i][0] for i in batch)
            for number in range(self.accumulation_steps):
                start = (number * self.num_processes + self.process_index) * self.batch_size
                yield [(i, canvas) for i in batch[start : start + self.batch_size]]


class IndexedDataset(Dataset):
    """Examples of a map-style dataset by the keys of [`LengthBatchSampler`], which they carry with them."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset

    def __getitem__(self, key: tuple[int, int]) -> dict:
        index, canvas = key
        return {**self.dataset[index], "index": index, "canvas": canvas}


class LengthBatchStream(IterableDataset):
    """
    What [`LengthBatchSampler`] is for a dataset of unknown length: batches sorted by length within a pool of examples.
    The end of the stream that does not fill an update is left out.

    Args:
        dataset (`IterableDataset`): This process's share of the examples, with `set_epoch` and `skip`.
        batch_size, canvases, seed, accumulation_steps, full_canvas_share: See [`LengthBatchSampler`].

    Yields:
        `list[dict]`: The examples of a batch.
    """

    def __init__(
        self,
        dataset,
        batch_size: int,
        canvases: Sequence[int],
        seed: int = 0,
        accumulation_steps: int = 1,
        full_canvas_share: float = 0.5,
    ):
        self.dataset, self.batch_size, self.accumulation_steps = dataset, batch_size, accumulation_steps
        self.canvases, self.seed, self.full_canvas_share = sorted(canvases), seed, full_canvas_share
        self.set_epoch(0)

    def set_epoch(self, epoch: int, first_update: int = 0) -> None:
        """Selects the order of an epoch, and with which of its updates to begin."""
        self.epoch, self.first_update = epoch, first_update

    def __iter__(self) -> Iterator[list[dict]]:
        size = self.batch_size * self.accumulation_steps
        number, done = divmod(self.first_update, POOL)
        self.dataset.set_epoch(self.epoch)
        self.dataset.skip(number * POOL * size)
        pool = []
        for example in self.dataset:
            pool.append(example)
            if len(pool) == POOL * size:
                yield from self._batches(pool, number, done)
                number, done, pool = number + 1, 0, []
        yield from self._batches(pool, number, done)

    def _canvas(self, example: dict) -> int:
        return min(c for c in self.canvases if c >= len(example["target"]))

    def _batches(self, pool: list[dict], number: int, done: int) -> Iterator[list[dict]]:
        size = self.batch_size * self.accumulation_steps
        rng = random.Random(f"{self.seed} {self.epoch} {number}")
        updates = rng.sample(range(len(pool) // size), len(pool) // size)
        coins = [rng.random() for _ in updates]
        pool = pool[: len(updates) * size]
        pool = sorted(pool, key=lambda example: (self._canvas(example), len(example["source"])))
        for position, coin in list(zip(updates, coins))[done:]:
            update = pool[position * size : (position + 1) * size]
            canvas = self.canvases[-1] if coin < self.full_canvas_share else max(map(self._canvas, update))
            for start in range(0, size, self.batch_size):
                yield [{**example, "canvas": canvas} for example in update[start : start + self.batch_size]]


class Collator:
    """
    Pads a batch: sources to a multiple of 8 tokens, programs to a canvas.

    Args:
        pad_token_id (`int`): Of the model.
        canvases (`Sequence[int]`):
            Canvas sizes in tokens. An example's own `canvas`, which the samplers above set, goes first; without one,
            a coin decides as they do.
        max_source_length (`int`): Longest source, in tokens.

    Returns:
        `dict`: `input_ids`, `attention_mask`, `labels` and `unconditional` for the model; `noise_mask` if an example
        says which of its tokens are `noised` (its padding is not, then); and `index`, a list, if the examples carry
        theirs.
    """

    def __init__(self, pad_token_id: int, canvases: Sequence[int], max_source_length: int):
        self.pad_token_id, self.canvases, self.max_source_length = pad_token_id, sorted(canvases), max_source_length

    def __call__(self, examples: list[dict]) -> dict:
        width = -(-max(len(example["source"]) for example in examples) // 8) * 8
        width = min(width, self.max_source_length)
        canvas = examples[0].get("canvas") or self._canvas(examples)
        pad = [self.pad_token_id]
        lengths = torch.tensor([len(example["source"]) for example in examples])
        batch = {
            "input_ids": torch.tensor([e["source"] + pad * (width - len(e["source"])) for e in examples]),
            "attention_mask": (torch.arange(width) < lengths[:, None]).long(),
            "labels": torch.tensor([e["target"] + pad * (canvas - len(e["target"])) for e in examples]),
            "unconditional": torch.tensor([e["unconditional"] for e in examples]),
        }
        if any(example.get("noised") is not None for example in examples):
            noised = [e.get("noised") for e in examples]
            rows = [[True] * canvas if row is None else row + [False] * (canvas - len(row)) for row in noised]
            batch["noise_mask"] = torch.tensor(rows)
        if "index" in examples[0]:
            batch["index"] = [example["index"] for example in examples]
        return batch

    def _canvas(self, examples: list[dict]) -> int:
        # A coin that needs no state to be resumed: the content of the batch itself.
        if random.Random(str(examples[0]["source"])).random() < 0.5:
            return self.canvases[-1]
        longest = max(len(example["target"]) for example in examples)
        return min(c for c in self.canvases if c >= longest)
