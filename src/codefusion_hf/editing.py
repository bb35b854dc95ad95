"""
What only a model that denoises the whole program at once can do with text: edit a draft, and fill the holes of a
template (`codefusion generate --draft`, `--fill`).
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase
from transformers.generation.streamers import BaseStreamer

from .data.encoding import canonical
from .evaluation import checked_prompt, given, rank_candidates
from .generation_codefusion import CANVAS_MARGIN
from .generation_config_codefusion import MAX_CANDIDATES, MIN_CANDIDATES
from .languages import get_language
from .predictions import check_count, check_text


HOLE = "____"
MAX_TEMPLATES = 64  # ways to size the holes of one template, each a call of `generate`
DEFAULT_TEMPLATES, DEFAULT_HOLE_TOKENS = 32, 8  # at most, if nobody says how many tokens a hole has
# Digits are tokens of their own, so what stands in for a hole does not change the tokens beside it.
_STAND_IN = "0"


def edit_candidates(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    example: dict[str, Any],
    draft: str,
    strength: float | None = None,
    num_return_sequences: int = 5,
    seed: int = 0,
    streamer: BaseStreamer | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """
    Changes a draft into what the utterance asks for (SDEdit; Meng et al., 2022).

    Args:
        model, tokenizer: As returned by [`evaluation.load`].
        example (`dict`): `nl` and, optionally, `table`, see [`evaluation.generate_candidates`].
        draft (`str`): A program, which need not be valid.
        strength (`float`, *optional*): How much of it is undone, 0 (nothing) to 1 (all); the model's own by default.
        num_return_sequences, seed, streamer, settings: See [`evaluation.generate_candidates`].

    Returns:
        `list[dict]`: The candidates, best first, as [`evaluation.generate_candidates`] gives them; literals of the
        draft count as given, like those of the utterance.

    Raises:
        ValueError: For a draft that is empty or longer than the canvas, and for what
            [`evaluation.generate_candidates`] refuses.
        TypeError: For an unknown setting.
    """
    check_text(draft, "the draft")
    if not draft.strip():
        raise ValueError("the draft is empty: give a program to edit")
    language = get_language(model.config.language) if model.config.language else None
    ids = tokenizer(canonical(draft, language) or draft if language else draft, verbose=False).input_ids
    limit = _canvas(model, settings)
    if len(ids) > limit:
        raise ValueError(f"the draft has {len(ids)} tokens, but a program at most {limit} (max_length): shorten it")
    change = {"init_ids": torch.tensor([ids]), "strength": strength}
    return _generate(model, tokenizer, example, draft, [change], num_return_sequences, seed, streamer, settings)


def fill_candidates(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    example: dict[str, Any],
    template: str,
    hole: str = HOLE,
    hole_tokens: int | Sequence[int] | None = None,
    num_return_sequences: int = 5,
    seed: int = 0,
    streamer: BaseStreamer | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """
    Fills the holes of a template, such as `GreaterThan(____)`; all else in it is kept.

    A hole has a number of tokens while it is denoised, and nobody knows it beforehand: all given numbers are tried,
    and the programs of all of them are ranked together, by their scores.

    Args:
        model, tokenizer: As returned by [`evaluation.load`].
        example (`dict`): `nl` and, optionally, `table`, see [`evaluation.generate_candidates`].
        template, hole, hole_tokens: See [`templates`].
        num_return_sequences, seed, streamer, settings: See [`evaluation.generate_candidates`]. `candidate_order` and
            `diversity_penalty` need holes of one size.

    Returns:
        `list[dict]`: The candidates, best first, as [`evaluation.generate_candidates`] gives them; literals of the
        template count as given, like those of the utterance.

    Raises:
        ValueError: For what [`templates`] and [`evaluation.generate_candidates`] refuse.
        TypeError: For an unknown setting.
    """
    found = templates(tokenizer, template, hole, hole_tokens, _canvas(model, settings))
    ordered = sorted({"candidate_order", "diversity_penalty"} & given(settings).keys())
    if ordered and len(found) > 1:
        raise ValueError(
            f"{ordered[0]} needs holes of one size, such as hole_tokens=3: candidates of several are ordered by score"
        )
    text = template.replace(hole, " ")
    return _generate(model, tokenizer, example, text, found, num_return_sequences, seed, streamer, settings)


def templates(
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    hole: str = HOLE,
    hole_tokens: int | Sequence[int] | None = None,
    max_length: int = 128,
) -> list[dict[str, Any]]:
    """
    A template with holes as arguments of `generate`, one set of them for each way to size the holes.

    Where the vocabulary has whole what a hole cuts in two, such as `GreaterThan(` for `____(250)` or `c[1]` for
    `c[____]`, the rest of it becomes part of the hole, which then begins or ends with tokens that fit.

    Args:
        tokenizer (`PreTrainedTokenizerBase`): A fast one, which knows from where in the text a token comes.
        template (`str`): A program with holes.
        hole (`str`, defaults to `"____"`): What marks a hole.
        hole_tokens (`int` or sequence of `int`, *optional*): The numbers of tokens that a hole may have; by default 1
            to 8, or fewer if there are many holes.
        max_length (`int`, defaults to 128): Tokens of the canvas; what is longer is left out.

    Returns:
        `list[dict]`: `infill_ids` and `infill_mask` of shape `(1, length)`, `max_length`, a canvas that just holds
        them, and `logits_processor`.

    Raises:
        ValueError: If there is no hole, a hole cannot be told from the text beside it, the numbers are out of range or
            their combinations are too many, or no template fits on the canvas.
    """
    check_text(template, "the template")
    check_text(hole, "the mark of a hole")
    if not hole.strip():
        raise ValueError("the mark of a hole is empty")
    parts = re.split(f"(?:{re.escape(hole)})+", template)
    if len(parts) == 1:
        raise ValueError(f"the template has no hole: put {hole} where something is to be filled in")
    sizes = _hole_sizes(hole_tokens, len(parts) - 1)
    ids, holes = _find_holes(tokenizer, parts, hole)
    found: list[dict[str, Any]] = []
    shortest = sys.maxsize
    for combination in itertools.product(sizes, repeat=len(holes)):
        row, mask, allowed = [], [], {}
        end = 0
        for (start, next_start, first, last), size in zip(holes, combination):
            row += [*ids[end:start], *[ids[start]] * size]
            mask += [*[False] * (start - end), *[True] * size]
            end = next_start
            if first:
                allowed[len(row) - size] = [token for token in first if size > 1 or not last or token in last]
            if last and not (first and size == 1):
                allowed[len(row) - 1] = last
        row += ids[end:]
        mask += [False] * (len(ids) - end)
        shortest = min(shortest, len(row))
        if len(row) <= max_length:
            found.append(
                {
                    "infill_ids": torch.tensor([row]),
                    "infill_mask": torch.tensor([mask]),
                    "max_length": min(max_length, len(row) + CANVAS_MARGIN),
                    "logits_processor": LogitsProcessorList([_OnlyAt(allowed)]) if allowed else None,
                }
            )
    if not found:
        raise ValueError(
            f"the template has {shortest} tokens or more, but a program at most {max_length} (max_length): shorten it"
        )
    return found


class _OnlyAt(LogitsProcessor):
    """Allows only some tokens at some positions."""

    def __init__(self, allowed: dict[int, list[int]]):
        self.allowed = allowed

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        scores = scores.clone()
        programs = scores.view(-1, input_ids.shape[1], scores.shape[-1])
        for position, tokens in self.allowed.items():
            forbidden = torch.ones(scores.shape[-1], dtype=torch.bool, device=scores.device)
            forbidden[tokens] = False
            programs[:, position].masked_fill_(forbidden, float("-inf"))
        return scores


def _find_holes(
    tokenizer: PreTrainedTokenizerBase, parts: list[str], hole: str
) -> tuple[list[int], list[tuple[int, int, list[int], list[int]]]]:
    """
    The tokens of a template with a stand-in for each hole, and for each hole where it starts, where the text behind it
    does, and the tokens that it may start and end with (all if there are none).
    """
    text = _STAND_IN.join(parts)
    encoded = tokenizer(text, return_offsets_mapping=True, verbose=False)
    ids, spans = encoded["input_ids"], encoded["offset_mapping"]
    vocabulary, atoms = tokenizer.get_vocab(), tokenizer.get_added_vocab()
    holes, place = [], -1
    for part in parts[:-1]:
        place += len(part) + 1
        inside = [i for i, (a, b) in enumerate(spans) if a <= place < b]  # a space in front may be a token of its own
        before = "".join(text[spans[i][0] : place] for i in inside).strip()
        after = "".join(text[place + 1 : spans[i][1]] for i in inside).strip()
        names = {tokenizer.convert_ids_to_tokens(ids[i]) for i in inside}
        if not inside or (before or after) and not names <= atoms.keys():
            raise ValueError(f"the tokenizer cannot tell {hole} from the text beside it: set it off with spaces")
        start, end = inside[0], inside[-1] + 1
        behind = text[slice(*spans[end])].strip() if end < len(ids) else ""
        if behind and not after and any(atom.endswith(behind) and atom != behind for atom in atoms):
            after, end = behind, end + 1
        first = [token for name, token in vocabulary.items() if before and name.startswith(before)]
        last = [token for name, token in vocabulary.items() if after and name.endswith(after)]
        holes.append((start, end, first, last))
    return ids, holes


def _hole_sizes(hole_tokens: int | Sequence[int] | None, num_holes: int) -> list[int]:
    """The numbers of tokens to try for each hole."""
    if hole_tokens is None:
        return [n for n in range(1, DEFAULT_HOLE_TOKENS + 1) if n == 1 or n**num_holes <= DEFAULT_TEMPLATES]
    sizes = list(hole_tokens) if isinstance(hole_tokens, Sequence) else [hole_tokens]
    for size in sizes:
        check_count("hole_tokens", size)
    if not 1 <= len(sizes) ** num_holes <= MAX_TEMPLATES:
        raise ValueError(
            f"{len(sizes)} sizes for each of {num_holes} holes are {len(sizes) ** num_holes} templates, but at most "
            f"{MAX_TEMPLATES} are tried: give fewer hole_tokens"
        )
    return sizes


def _canvas(model: PreTrainedModel, settings: dict[str, Any]) -> int:
    return settings.get("max_length") or model.generation_config.max_length or model.config.max_target_length


def _generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    example: dict[str, Any],
    text: str,
    variants: list[dict[str, Any]],
    num_return_sequences: int,
    seed: int,
    streamer: BaseStreamer | None,
    settings: dict[str, Any],
) -> list[dict[str, Any]]:
    """Candidates of several calls of `generate`, ranked together; `text` gives literals beside the utterance."""
    check_count("num_return_sequences", num_return_sequences)
    inputs = tokenizer([checked_prompt(model, tokenizer, example)], return_tensors="pt").to(model.device)
    settings = given(settings)
    # As in `generate_candidates`: more are asked for than returned.
    drawn = max(num_return_sequences, min(8 * num_return_sequences, MAX_CANDIDATES))
    settings.setdefault("num_candidates", model.generation_config.num_candidates or MIN_CANDIDATES)
    settings["num_candidates"] = max(settings["num_candidates"], num_return_sequences)
    found: list[tuple[str, float]] = []
    for variant in variants:
        tensors = {name: x.to(model.device) if isinstance(x, torch.Tensor) else x for name, x in variant.items()}
        output = model.generate(
            **inputs,
            num_return_sequences=drawn,
            seed=[seed],
            return_dict_in_generate=True,
            streamer=streamer,
            **(settings | given(tensors)),
        )
        found += zip(
            tokenizer.batch_decode(output.sequences, skip_special_tokens=True), output.sequences_scores.tolist()
        )
    if len(variants) > 1:
        found.sort(key=lambda candidate: -candidate[1])
    known = {**example, "nl": " | ".join([example["nl"], *re.split(r"[(),]", text)])}
    ranked = rank_candidates([code for code, _ in found], [score for _, score in found], known, model.config.language)
    return ranked[:num_return_sequences]
