"""From sampled tokens to ranked, distinct programs."""

import torch
from transformers.generation import GenerationConfig


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
    order = range(len(tokens))
    if config.candidate_order == "logprob":
        order = torch.argsort(scores, descending=True, stable=True).tolist()

    wanted = config.num_return_sequences
    chosen: dict[tuple, tuple[float, int]] = {}
    if not config.dedupe:
        rows = list(order)[:wanted]
        return tokens[rows], scores[rows], torch.tensor(rows)
    for row in order:
        chosen.setdefault(tuple(tokens[row].tolist()), (float(scores[row]), row))
    picked = list(chosen.items())[:wanted]
    if len(picked) < wanted:
        picked += _substitutions(picked, top_tokens, top_scores, tokens, counts, wanted - len(picked), (pad, eos))
        if config.candidate_order == "logprob":
            picked.sort(key=lambda candidate: -candidate[1][0])
    while len(picked) < wanted:  # a vocabulary or canvas too small for that many distinct programs
        picked.append(picked[-1])
    sequences = torch.tensor([key for key, _ in picked])
    return sequences, torch.tensor([s for _, (s, _) in picked]), torch.tensor([row for _, (_, row) in picked])


def _substitutions(picked, top_tokens, top_scores, tokens, counts, wanted: int, ends: tuple[int, int]) -> list:
    """The `wanted` most probable programs that differ in one token from a picked one and from all of them."""
    options = []
    for key, (score, row) in picked:
        for position in range(int((tokens[row] != ends[0]).sum())):
            for choice in range(1, top_tokens.shape[-1]):
                token = int(top_tokens[row, position, choice])
                if token in ends:  # would cut the program short
                    continue
                loss = float(top_scores[row, position, choice] - top_scores[row, position, 0]) / int(counts[row])
                options.append((score + loss, (*key[:position], token, *key[position + 1 :]), row))
    seen, found = {key for key, _ in picked}, []
    for score, key, row in sorted(options, key=lambda option: -option[0]):
        if key not in seen:
            seen.add(key)
            found.append((key, (score, row)))
        if len(found) == wanted:
            break
    return found


__all__ = ["CHOICES", "cut", "rank"]
