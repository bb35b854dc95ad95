"""What one training example is, for fine-tuning (pairs) and for the two pre-training tasks (code alone)."""

import random
from collections.abc import Callable, Iterator, Sequence

import torch
from torch.utils.data import Dataset, Sampler

from .corruption import mask_code
from .prompts import source_text


PRETRAIN_TASKS = ("both", "codegen", "cpd")


class PairDataset(Dataset):
    """
    (utterance, program) pairs, tokenised once.

    Args:
        rows (`Sequence[dict]`): `nl`, `code`, optionally `table`.
        tokenizer: Of the model.
        max_source_length, max_target_length (`int`): Rows with more tokens are left out and counted in `num_too_long`:
            cutting a program would teach the model to cut.
        cond_dropout (`float`): Share of examples whose utterance is replaced by Gaussian noise.
        seed (`int`): Of that choice.
    """

    def __init__(
        self,
        rows: Sequence[dict],
        tokenizer,
        max_source_length: int,
        max_target_length: int,
        cond_dropout: float = 0.0,
        seed: int = 0,
    ):
        sources = tokenizer([source_text(row["nl"], row.get("table")) for row in rows])["input_ids"]
        targets = tokenizer([row["code"] for row in rows])["input_ids"]
        fits = [len(s) <= max_source_length and len(t) <= max_target_length for s, t in zip(sources, targets)]
        self.examples = [(s, t) for s, t, fit in zip(sources, targets, fits) if fit]
        self.num_too_long = len(rows) - len(self.examples)
        self.cond_dropout, self.seed, self.epoch = cond_dropout, seed, 0

    def __len__(self) -> int:
        return len(self.examples)

    def lengths(self) -> list[tuple[int, int]]:
        """Source and target length of each example, in tokens."""
        return [(len(source), len(target)) for source, target in self.examples]

    def __getitem__(self, index: int) -> dict:
        source, target = self.examples[index]
        dropped = random.Random(f"{self.seed} {self.epoch} {index}").random() < self.cond_dropout
        return {"source": source, "target": target, "unconditional": dropped}


class CodeDataset(Dataset):
    """
    Programs alone, for pre-training: each example is, at random, unconditional generation (E_s is noise) or CPD (E_s
    is the program with names masked). Both have the whole program as their target.

    Args:
        codes (`Sequence[str]`): Programs.
        tokenizer: Of the model.
        max_source_length, max_target_length (`int`): Longer programs are left out and counted in `num_too_long`.
        spans (`Callable[[str], list[Span]]`): Of the language; programs without spans get the unconditional task.
        tasks (`str`): `"both"`, `"codegen"` or `"cpd"`.
        mask_ratio (`float`): See [`mask_code`].
        seed (`int`): Of the tasks and the masks.

    Raises:
        ValueError: for unknown `tasks`, or a tokenizer without `<extra_id_k>` tokens.
    """

    def __init__(
        self,
        codes: Sequence[str],
        tokenizer,
        max_source_length: int,
        max_target_length: int,
        spans: Callable,
        tasks: str = "both",
        mask_ratio: float = 0.3,
        seed: int = 0,
    ):
        if tasks not in PRETRAIN_TASKS:
            raise ValueError(f"`tasks` must be one of {', '.join(PRETRAIN_TASKS)}, got {tasks!r}")
        targets = tokenizer(list(codes))["input_ids"]
        fits = [len(target) <= min(max_target_length, max_source_length) for target in targets]
        self.examples = [(code, target) for code, target, fit in zip(codes, targets, fits) if fit]
        self.num_too_long = len(codes) - len(self.examples)
        self.tokenizer, self.spans, self.tasks, self.mask_ratio = tokenizer, spans, tasks, mask_ratio
        self.sentinels = [
            i for k in range(100) if (i := tokenizer.convert_tokens_to_ids(f"<extra_id_{k}>")) is not None
        ]
        self.sentinels = [i for i in self.sentinels if i != tokenizer.unk_token_id]
        if not self.sentinels:
            raise ValueError("masking code needs a tokenizer with <extra_id_0>, <extra_id_1>, ... tokens")
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return len(self.examples)

    def lengths(self) -> list[tuple[int, int]]:
        """Source and target length of each example, in tokens; a masked program is about as long as the program."""
        return [(len(target), len(target)) for _, target in self.examples]

    def __getitem__(self, index: int) -> dict:
        code, target = self.examples[index]
        rng = random.Random(f"{self.seed} {self.epoch} {index}")
        spans = self.spans(code)
        unconditional = not spans or self.tasks == "codegen" or (self.tasks == "both" and rng.random() < 0.5)
        source = target if unconditional else self._masked_ids(mask_code(code, spans, rng, self.mask_ratio))
        return {"source": source, "target": target, "unconditional": unconditional}

    def _masked_ids(self, pieces: list[str | int]) -> list[int]:
        ids = []
        for piece in pieces:
            if isinstance(piece, int):
                ids.append(self.sentinels[min(piece, len(self.sentinels) - 1)])  # names beyond that share the last one
            else:
                ids += self.tokenizer(piece, add_special_tokens=False)["input_ids"]
        return [*ids, self.tokenizer.eos_token_id]


class LengthBatchSampler(Sampler):
    """
    Batches of examples that fit the same canvas and have similar source lengths, in an order that depends on
    (seed, epoch) alone, so that a run can be resumed.

    Args:
        lengths (`Sequence[tuple[int, int]]`): Source and target length of the examples.
        batch_size (`int`): Examples in each batch; what does not fill a batch is left out of an epoch.
        canvases (`Sequence[int]`): See [`Collator`].
        seed (`int`): Of the order.
        multiple_of (`int`): Batches of an epoch are a multiple of this: processes times accumulated batches.

    Raises:
        ValueError: if the examples do not fill one such group of batches.
    """

    def __init__(
        self,
        lengths: Sequence[tuple[int, int]],
        batch_size: int,
        canvases: Sequence[int],
        seed: int = 0,
        multiple_of: int = 1,
    ):
        if len(lengths) < batch_size * multiple_of:
            raise ValueError(f"{len(lengths)} examples do not fill {multiple_of} batch(es) of {batch_size}")
        self.keys = [(min(c for c in canvases if c >= target), source) for source, target in lengths]
        self.batch_size, self.multiple_of, self.seed, self.epoch = batch_size, multiple_of, seed, 0
        self.drop_last = True

    def set_epoch(self, epoch: int):
        """Selects the order of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.keys) // (self.batch_size * self.multiple_of) * self.multiple_of

    def __iter__(self) -> Iterator[list[int]]:
        rng = random.Random(f"{self.seed} {self.epoch}")
        order = list(range(len(self.keys)))
        rng.shuffle(order)
        order = order[: len(self) * self.batch_size]  # before sorting: else it is always the longest that are left out
        batches, pool = [], 50 * self.batch_size
        for start in range(0, len(order), pool):  # sorted within a pool, so that batches stay random
            chunk = sorted(order[start : start + pool], key=lambda i: self.keys[i])
            batches += [chunk[i : i + self.batch_size] for i in range(0, len(chunk), self.batch_size)]
        rng.shuffle(batches)
        return iter(batches)


class Collator:
    """
    Pads a batch: sources to a multiple of 8 tokens, programs to a canvas.

    Args:
        pad_token_id (`int`): Of the model.
        canvases (`Sequence[int]`):
            Canvas sizes in tokens, the largest of which is what the model samples on. Of those that hold the batch,
            the smallest is used every other time and the largest otherwise: short programs must also be learned on
            a long canvas, but most of the time that would be work on padding.
        max_source_length (`int`): Longest source, in tokens.
    """

    def __init__(self, pad_token_id: int, canvases: Sequence[int], max_source_length: int):
        self.pad_token_id, self.canvases, self.max_source_length = pad_token_id, sorted(canvases), max_source_length

    def __call__(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        width = -(-max(len(example["source"]) for example in examples) // 8) * 8
        width = min(width, self.max_source_length)
        longest = max(len(example["target"]) for example in examples)
        # A coin that needs no state to be resumed: the content of the batch itself.
        coin = random.Random(str(examples[0]["source"])).random() < 0.5
        canvas = self.canvases[-1] if coin else min(c for c in self.canvases if c >= longest)
        pad = [self.pad_token_id]
        lengths = torch.tensor([len(example["source"]) for example in examples])
        return {
            "input_ids": torch.tensor([e["source"] + pad * (width - len(e["source"])) for e in examples]),
            "attention_mask": (torch.arange(width) < lengths[:, None]).long(),
            "labels": torch.tensor([e["target"] + pad * (canvas - len(e["target"])) for e in examples]),
            "unconditional": torch.tensor([e["unconditional"] for e in examples]),
        }
