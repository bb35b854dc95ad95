"""Continuous paragraph denoising (CPD), adapted to code: identifiers and keywords are masked (paper, section 3.2)."""

import random
from collections.abc import Iterable

from ..languages import Span


def mask_code(code: str, spans: Iterable[Span], rng: random.Random, mask_ratio: float = 0.3) -> list[str | int]:
    """
    Masks randomly chosen identifiers and keywords until about `mask_ratio` of the program's words are hidden, at least
    one. Every occurrence of a chosen name gets the same sentinel, as in the training of CodeT5; literals stay.

    Args:
        code (`str`): The program.
        spans (`Iterable[Span]`): Its identifiers and keywords, sorted and disjoint.
        rng (`random.Random`): Source of the choice.
        mask_ratio (`float`): Share of the program's words to mask, in (0, 1].

    Returns:
        `list[str | int]`: The program as pieces: text, and the number of a sentinel (`k` for `<extra_id_k>`) for each
        masked span. Joining the pieces with the masked names put back gives the program.

    Raises:
        ValueError: if `mask_ratio` is out of range.
    """
    if not 0 < mask_ratio <= 1:
        raise ValueError(f"`mask_ratio` must be in (0, 1], got {mask_ratio}")
    spans = list(spans)
    names = list(dict.fromkeys(code[span.start : span.end] for span in spans))
    rng.shuffle(names)
    budget = max(1, round(mask_ratio * (len(code.replace("(", " ").replace(",", " ").split()))))
    chosen: dict[str, int] = {}
    for name in names:
        if budget <= 0:
            break
        chosen[name] = len(chosen)
        budget -= sum(code[span.start : span.end] == name for span in spans)
    sentinels: dict[str, int] = {}
    pieces, end = [], 0
    for span in spans:
        name = code[span.start : span.end]
        if name in chosen:
            pieces += [code[end : span.start], sentinels.setdefault(name, len(sentinels))]  # numbered as they appear
            end = span.end
    pieces.append(code[end:])
    return [piece for piece in pieces if piece != ""]
