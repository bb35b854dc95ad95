"""What one training example is, for fine-tuning (pairs) and for the two pre-training tasks (code alone)."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

import numpy as np
from torch.utils.data import Dataset

from .cache import PackedRows
from .corruption import cut_paragraph, mask_code, paragraph_length
from .encoding import encode_pairs, sentinel_ids, text_hash


PRETRAIN_TASKS = ("both", "codegen", "cpd")
CPD_NOISE = ("all", "masked_only")
CPD_TARGETS = ("full", "span")
CPD_MASK_TOKENS = ("indexed", "single")


class PairDataset(Dataset):
    """
    (utterance, program) pairs, tokenised once.

    Args:
        rows (`Sequence[dict]` or `PackedRows`): `nl`, `code`, optionally `table`; or what [`cached_pairs`] returns.
        tokenizer: Of the model.
        max_source_length, max_target_length (`int`): Rows with more tokens are left out and counted in `num_too_long`:
            cutting a program would teach the model to cut.
        cond_dropout (`float`): Share of examples whose utterance is replaced by Gaussian noise.
        seed (`int`): Of that choice.
        indices (`Sequence[int]`, *optional*): Which of the rows; by default all.
    """

    def __init__(
        self,
        rows: Sequence[dict] | PackedRows,
        tokenizer,
        max_source_length: int,
        max_target_length: int,
        cond_dropout: float = 0.0,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ):
        self.rows = rows if isinstance(rows, PackedRows) else PackedRows.from_lists(encode_pairs(rows, tokenizer))
        indices = np.arange(len(self.rows)) if indices is None else np.asarray(indices, dtype=np.int64)
        lengths = np.stack([self.rows.lengths("source"), self.rows.lengths("target")], axis=1)[indices]
        short = (lengths <= [max_source_length, max_target_length]).all(axis=1)
        self.kept, self._lengths = indices[short], lengths[short]
        self.num_too_long = int((~short).sum())
        self.cond_dropout, self.seed, self.epoch = cond_dropout, seed, 0

    def __len__(self) -> int:
        return len(self.kept)

    def lengths(self) -> list[tuple[int, int]]:
        """Source and target length of each example, in tokens."""
        return list(map(tuple, self._lengths.tolist()))

    def __getitem__(self, index: int) -> dict:
        source, target = self.rows.row(int(self.kept[index]), "source", "target")
        dropped = self.cond_dropout > 0 and example_rng(self.seed, self.epoch, index).random() < self.cond_dropout
        return {"source": source, "target": target, "unconditional": dropped, "noised": None}


class PretrainingTask:
    """
    Makes an example of a program, at random one of unconditional generation (E_s is noise) or of CPD (E_s is the
    program with names masked).

    Args:
        tokenizer: Of the model, with `<extra_id_k>` tokens.
        tasks (`str`): `"both"` (each for half of the examples), `"codegen"` or `"cpd"`.
        mask_ratio (`float`): Share of a program's tokens that CPD hides, see [`mask_code`].
        cpd_noise (`str`): `"all"` of the target is noised, or the masked tokens only (`"masked_only"`): the paper says
            that tokens are masked (section 3.2) and that noise is applied to them only (section 1).
        cpd_target (`str`): The `"full"` program; or `"span"`, GENIE's own task: see [`cut_paragraph`].
        cpd_mask_token (`str`): One sentinel for each name (`"indexed"`) or the same for all (`"single"`).

    Raises:
        ValueError: for settings that are unknown or contradict each other, or a tokenizer without sentinels.
    """

    def __init__(
        self,
        tokenizer,
        tasks: str = "both",
        mask_ratio: float = 0.3,
        cpd_noise: str = "all",
        cpd_target: str = "full",
        cpd_mask_token: str = "indexed",
    ):
        for name, value, allowed in (
            ("tasks", tasks, PRETRAIN_TASKS),
            ("cpd_noise", cpd_noise, CPD_NOISE),
            ("cpd_target", cpd_target, CPD_TARGETS),
            ("cpd_mask_token", cpd_mask_token, CPD_MASK_TOKENS),
        ):
            if value not in allowed:
                raise ValueError(f"`{name}` must be one of {', '.join(allowed)}, got {value!r}")
        if not 0 < mask_ratio <= 1:
            raise ValueError(f"`mask_ratio` must be in (0, 1], got {mask_ratio}")
        if (cpd_noise, cpd_target) == ("masked_only", "span"):
            raise ValueError("`cpd_noise='masked_only'` needs `cpd_target='full'`: of a span, all is masked")
        self.tasks, self.mask_ratio, self.cpd_noise, self.cpd_target = tasks, mask_ratio, cpd_noise, cpd_target
        self.same_sentinel = cpd_mask_token == "single"
        self.sentinels = sentinel_ids(tokenizer)
        # Special tokens before and behind the program.
        special = tokenizer("")["input_ids"]
        if special[-1:] != [tokenizer.eos_token_id]:
            raise ValueError("a tokenizer must end every text with its end-of-sequence token")
        self.head = len(special) - 1

    def lengths(self, num_tokens: np.ndarray) -> np.ndarray:
        """Longest source and target, shape `(programs, 2)`, of examples made of programs of so many tokens."""
        if self.tasks != "cpd" or self.cpd_target == "full":
            return np.stack([num_tokens, num_tokens], axis=1)
        content = num_tokens - self.head - 1
        cut = np.array([paragraph_length(number, self.mask_ratio) for number in content.tolist()], dtype=np.int64)
        return np.stack([num_tokens - cut + 1, cut + self.head + 1], axis=1)

    def serves(self, num_tokens: np.ndarray, num_spans: np.ndarray) -> np.ndarray:
        """Whether a program serves: for CPD alone it must have names, or else tokens to cut."""
        if (self.tasks, self.cpd_target) == ("cpd", "full"):
            return num_spans > 0
        return num_tokens > self.head + 1

    def example(self, tokens: list[int], spans: list[int], rng: random.Random) -> dict:
        """
        Args:
            tokens (`list[int]`): The program, special tokens included.
            spans (`list[int]`): What may be masked, as `start, end, name` one after the other, see [`token_spans`]. A
                program without any gets the unconditional task.
            rng (`random.Random`): Source of all choices.

        Returns:
            `dict`: `source`, `target`, `unconditional`, and `noised`: for each token of the target whether it gets
            noise, `None` if all do.
        """
        example = {"source": tokens, "target": tokens, "unconditional": True, "noised": None}
        span = self.cpd_target == "span"
        if not (span or spans) or self.tasks == "codegen" or (self.tasks == "both" and rng.random() < 0.5):
            return example
        example["unconditional"] = False
        if span:
            head, content, tail = tokens[: self.head], tokens[self.head : -1], tokens[-1:]
            rest, cut = cut_paragraph(content, self.sentinels[0], rng, self.mask_ratio)
            return {**example, "source": [*head, *rest, *tail], "target": [*head, *cut, *tail]}
        found = list(zip(spans[::3], spans[1::3], spans[2::3]))
        example["source"], noised = mask_code(tokens, found, self.sentinels, rng, self.mask_ratio, self.same_sentinel)
        if self.cpd_noise == "masked_only":
            example["noised"] = noised
        return example


class CodeDataset(Dataset):
    """
    Programs alone, for pre-training.

    Args:
        programs (`PackedRows`): What [`cached_codes`] returns, or [`encode_programs`] in [`PackedRows.from_lists`].
        task (`PretrainingTask`): Makes the examples.
        max_source_length, max_target_length (`int`): Longer programs are left out and counted in `num_too_long`; those
            that CPD alone cannot use are counted in `num_without_names`.
        seed (`int`): Of the tasks and the masks.
        indices (`Sequence[int]`, *optional*): Which of the programs; by default all.
    """

    def __init__(
        self,
        programs: PackedRows,
        task: PretrainingTask,
        max_source_length: int,
        max_target_length: int,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ):
        self.programs, self.task = programs, task
        indices = np.arange(len(programs)) if indices is None else np.asarray(indices, dtype=np.int64)
        num_tokens = programs.lengths("tokens")[indices]
        serves = task.serves(num_tokens, programs.lengths("spans")[indices])
        lengths = task.lengths(num_tokens)
        short = (lengths <= [max_source_length, max_target_length]).all(axis=1)
        self.kept, self._lengths = indices[serves & short], lengths[serves & short]
        self.num_too_long, self.num_without_names = int((~short).sum()), int((short & ~serves).sum())
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return len(self.kept)

    def lengths(self) -> list[tuple[int, int]]:
        """Source and target length of each example, in tokens, or where they depend on the task the longer one."""
        return list(map(tuple, self._lengths.tolist()))

    def __getitem__(self, index: int) -> dict:
        tokens, spans = self.programs.row(int(self.kept[index]), "tokens", "spans")
        return self.task.example(tokens, spans, example_rng(self.seed, self.epoch, index))


def example_rng(seed: int, epoch: int, index: int) -> random.Random:
    """The source of an example's choices: not of which process makes it, nor when."""
    return random.Random(f"{seed} {epoch} {index}")


def select_programs(programs: PackedRows, held_out: Collection[str] = ()) -> tuple[np.ndarray, int]:
    """
    The first of each program, without those that evaluation files hold.

    Args:
        programs (`PackedRows`): What [`cached_codes`] returns.
        held_out (`Collection[str]`): Normal forms, see [`normalized_golds`].

    Returns:
        `tuple[np.ndarray, int]`: Rows in their order, and how many different programs there are in all.
    """
    _, first = np.unique(programs.numbers("code_hash"), return_index=True)
    first.sort()
    hidden = np.array([text_hash(text) for text in held_out], dtype=np.int64)
    return first[~np.isin(programs.numbers("normal_hash")[first], hidden)], len(first)
