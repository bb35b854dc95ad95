"""
Continuous paragraph denoising (CPD; GENIE, Lin et al., 2023), adapted to code: only identifiers and keywords are
masked (paper, section 3.2). Works on tokens: spans of characters are aligned once, and masking then parses nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from ..languages import Span


# What a masked token may hold besides the name: ` foo` and `GreaterThan(` go as a whole. Blanks and parentheses beside
# a name are no part of a literal in any of the languages; a dot or a quote may be.
_HARMLESS = " \t\r\n()"


def token_spans(code: str, spans: Iterable[Span], offsets: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """
    The tokens of each identifier and keyword.

    A token that straddles the border of a span belongs to it if all else that it holds is blanks and parentheses. If
    it holds more (CodeT5's `.__` in `x.__init__`), masking it would hide what is no name, and keeping it would show a
    part of the name: then no occurrence of that name can be masked.

    Args:
        code (`str`): The program.
        spans (`Iterable[Span]`): Its identifiers and keywords, sorted and disjoint.
        offsets (`Sequence[tuple[int, int]]`): Characters `[start, end)` of each token, `(0, 0)` for special tokens:
            the `offset_mapping` of a fast tokenizer.

    Returns:
        `list[tuple[int, int, int]]`: `(start, end, name)` for what can be masked: tokens `start:end`, sorted, and a
        number that all occurrences of the same text share.
    """
    ranges, covered = [], 0
    for start, end in offsets:
        # Tokens share a character if it is written in several of them (its bytes), or if a normalizer put a space
        # behind it, which then counts as the character. An ASCII character is one byte, so it is the latter.
        if start < covered < end and code[start:covered].isascii():
            start = covered
        covered = max(covered, end)
        ranges.append((start, end))
    found, numbers, excluded = [], {}, set()
    first = 0
    for begin, stop, _ in spans:
        while first < len(ranges) and ranges[first][1] <= begin:
            first += 1
        last = first
        while last < len(ranges) and ranges[last][0] < stop and ranges[last][1] > begin:  # special tokens end at 0
            last += 1
        name = numbers.setdefault(code[begin:stop], len(numbers))
        if first == last or (code[ranges[first][0] : begin] + code[stop : ranges[last - 1][1]]).strip(_HARMLESS):
            excluded.add(name)
        found.append((first, last, name))
    return [span for span in found if span[2] not in excluded] if excluded else found


def mask_code(
    tokens: Sequence[int],
    spans: Sequence[tuple[int, int, int]],
    sentinels: Sequence[int],
    rng: random.Random,
    mask_ratio: float = 0.3,
    same_sentinel: bool = False,
) -> tuple[list[int], list[bool]]:
    """
    Masks randomly chosen names, as whole words and at every occurrence, until about `mask_ratio` of the tokens are
    hidden, at least one name. What is not masked stays as it is, token by token.

    Args:
        tokens (`Sequence[int]`): The program.
        spans (`Sequence[tuple[int, int, int]]`): See [`token_spans`]; at least one.
        sentinels (`Sequence[int]`): Ids of `<extra_id_0>`, `<extra_id_1>`, ...: one for each chosen name in the order
            of appearance, as in the training of CodeT5. There are never more chosen names than sentinels.
        rng (`random.Random`): Source of the choice.
        mask_ratio (`float`): Share of the tokens to mask, in (0, 1].
        same_sentinel (`bool`): The first sentinel for all names.

    Returns:
        `tuple[list[int], list[bool]]`: The masked program, in which each span of tokens is one sentinel; and for each
        token of the program whether it is masked.
    """
    costs: dict[int, int] = {}
    for start, end, name in spans:
        costs[name] = costs.get(name, 0) + end - start
    names = list(costs)
    rng.shuffle(names)
    budget, limit, hidden = max(1, round(mask_ratio * len(tokens))), len(sentinels), 0
    chosen: dict[int, int | None] = {}
    for name in names:
        # One more name if that brings the number of hidden tokens closer to what it should be.
        if hidden + costs[name] / 2 <= budget and (same_sentinel or len(chosen) < limit):
            chosen[name] = None
            hidden += costs[name]
    if not chosen:
        chosen[names[0]] = None
    masked: list[int] = []
    noised = [False] * len(tokens)
    end_before, used = 0, 0
    for start, end, name in spans:
        if name in chosen:
            sentinel = chosen[name]
            if sentinel is None:
                sentinel = chosen[name] = sentinels[0 if same_sentinel else used]
                used += 1
            masked += tokens[end_before:start]
            masked.append(sentinel)
            noised[start:end] = [True] * (end - start)
            end_before = end
    masked += tokens[end_before:]
    return masked, noised


def paragraph_length(num_tokens: int, mask_ratio: float) -> int:
    """How many of a program's tokens [`cut_paragraph`] takes."""
    return max(1, round(mask_ratio * num_tokens))


def cut_paragraph(
    tokens: Sequence[int], sentinel: int, rng: random.Random, mask_ratio: float = 0.3
) -> tuple[list[int], list[int]]:
    """
    CPD as in GENIE (train_util/pretrain_util.py:164-174): a contiguous paragraph of tokens, of whatever kind, becomes
    one mask, and it alone is the target.

    Args:
        tokens (`Sequence[int]`): The program without special tokens, at least one.
        sentinel (`int`): Id of the mask.
        rng (`random.Random`): Source of the place.
        mask_ratio (`float`): Share of the tokens to cut, in (0, 1].

    Returns:
        `tuple[list[int], list[int]]`: What is left, with the mask in it, and the paragraph.
    """
    length = paragraph_length(len(tokens), mask_ratio)
    start = rng.randrange(len(tokens) - length + 1)
    return [*tokens[:start], sentinel, *tokens[start + length :]], list(tokens[start : start + length])
