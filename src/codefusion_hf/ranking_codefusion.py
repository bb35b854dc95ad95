"""From sampled tokens to ranked, distinct programs."""

from collections import Counter

import torch
from transformers.generation import GenerationConfig


CANDIDATE_ORDERS = ("logprob", "mbr", "seed")
CHOICES = 12  # tokens considered at a position where sampled programs do not suffice


def cut(tokens: torch.Tensor, pad: int, eos: int, keep_eos: bool = False) -> torch.Tensor:
    """Programs end at their first pad or `</s>`: all behind becomes pad, and so does `</s>` unless it is kept."""
    ends = (tokens == pad) | (tokens == eos)
    ended = ends.cumsum(-1) - ends.long() * keep_eos > 0
    return tokens.masked_fill(ended, pad)


def rank(
    top_tokens: torch.Tensor, top_scores: torch.Tensor, config: GenerationConfig, pad: int, eos: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    Args:
        top_tokens, top_scores (`torch.Tensor` of shape `(num_candidates, length, choices)`): CPU.

    Returns:
        `num_return_sequences` token rows, their mean log-probabilities, and the candidates they stem from.
    """
    tokens = cut(top_tokens[..., 0], pad, eos)
    lengths = (tokens != pad).sum(-1)
    positions = torch.arange(tokens.shape[1])
    scored = positions < (lengths + 1).unsqueeze(-1)  # the token that ends the program counts
    counts = scored.sum(-1)
    scores = (top_scores[..., 0] * scored).sum(-1) / counts
    order = list(range(len(tokens)))
    by_score = config.candidate_order == "logprob" and not is_search(config)  # beams come in the order of the search
    if by_score:
        order = torch.argsort(scores, descending=True, stable=True).tolist()
    elif config.candidate_order == "mbr":
        keys = [tuple(row[:length]) for row, length in zip(tokens.tolist(), lengths.tolist())]
        order.sort(key=lambda i: (-sum(similarity(keys[i], other) for other in keys), -float(scores[i])))

    wanted = config.num_return_sequences
    chosen: dict[tuple, tuple[float, int]] = {}
    if not config.dedupe:
        rows = list(order)[:wanted]
        return tokens[rows], scores[rows], torch.tensor(rows)
    programs, values = tokens.tolist(), scores.tolist()
    for row in order:
        chosen.setdefault(tuple(programs[row]), (values[row], row))
    picked = list(chosen.items())
    if config.diversity_penalty:
        picked = _diverse(picked, config.diversity_penalty)
    picked = picked[:wanted]
    if len(picked) < wanted:
        picked += _substitutions(picked, top_tokens, top_scores, tokens, counts, wanted - len(picked), (pad, eos))
        if by_score and not config.diversity_penalty:
            picked.sort(key=lambda candidate: -candidate[1][0])
    while len(picked) < wanted:  # a vocabulary or canvas too small for that many distinct programs
        picked.append(picked[-1])
    sequences = torch.tensor([key for key, _ in picked])
    return sequences, torch.tensor([s for _, (s, _) in picked]), torch.tensor([row for _, (_, row) in picked])


def is_search(config: GenerationConfig) -> bool:
    """Whether candidates are searched for, block by block, instead of drawn."""
    return bool(config.block_size) and config.num_beams > 1


def similarity(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """F1 of the token unigrams and bigrams (ends included) that two programs share, 0 to 1."""
    grams = []
    for tokens in (a, b):
        ends = (-1, *tokens, -1)
        grams.append(Counter(tokens) + Counter(zip(ends, ends[1:])))
    return 2 * (grams[0] & grams[1]).total() / (grams[0].total() + grams[1].total())


def _diverse(picked: list, penalty: float) -> list:
    """Maximal marginal relevance (Carbonell and Goldstein, 1998): the best first, then the best that is unlike it."""
    rest, chosen = list(picked), []
    while rest:
        best = max(
            rest,
            key=lambda candidate: (
                candidate[1][0] - penalty * max((similarity(candidate[0], other) for other, _ in chosen), default=0.0)
            ),
        )
        if not chosen:
            best = rest[0]  # the order's own first
        chosen.append(best)
        rest.remove(best)
    return chosen


def _substitutions(picked, top_tokens, top_scores, tokens, counts, wanted: int, ends: tuple[int, int]) -> list:
    """The `wanted` most probable programs that differ in one token from a picked one and from all of them."""
    rows = torch.tensor([row for _, (_, row) in picked])
    scores = torch.tensor([score for _, (score, _) in picked], dtype=torch.float64)
    choices, likely = top_tokens[rows, :, 1:], top_scores[rows].double()
    scores = scores[:, None, None] + (likely[..., 1:] - likely[..., :1]) / counts[rows][:, None, None]
    is_content = (tokens[rows] != ends[0])[..., None]
    # A token that ends the program would cut it short; the others are held or forbidden.
    possible = is_content & (choices != ends[0]) & (choices != ends[1]) & (likely[..., 1:] != float("-inf"))
    scores = scores.masked_fill(~possible, float("-inf")).flatten()
    order = scores.argsort(descending=True, stable=True)[: int(possible.sum())]

    seen, found = {key for key, _ in picked}, []
    length, num_choices = choices.shape[1:]
    for index in order.tolist():
        row, place = divmod(index, length * num_choices)
        position, choice = divmod(place, num_choices)
        key, (_, origin) = picked[row]
        key = (*key[:position], int(choices[row, position, choice]), *key[position + 1 :])
        if key not in seen:
            seen.add(key)
            found.append((key, (float(scores[index]), origin)))
        if len(found) == wanted:
            break
    return found


__all__ = ["CANDIDATE_ORDERS", "CHOICES", "cut", "is_search", "rank", "similarity"]
