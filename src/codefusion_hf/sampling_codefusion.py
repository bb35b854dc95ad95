"""What `generate` carries from step to step: the rows, their noise, and what is held or finished."""

import copy
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from .layers_codefusion import CodeFusionBlocks, CodeFusionCache, CodeFusionMemory
from .ranking_codefusion import CHOICES, cut
from .scheduling_codefusion import CodeFusionScheduler


class CandidateNoise:
    """Standard normal noise in which row (utterance i, candidate j) depends on (seed of i, j) alone."""

    def __init__(self, seeds: list[int], num_candidates: int, shape: tuple[int, int], device: torch.device):
        # CPU generators: the same seed means the same noise on every device. Equal seeds share their draws.
        keys = [(seed, candidate) for seed in seeds for candidate in range(num_candidates)]
        self.generators = {
            key: torch.Generator().manual_seed(key[0] * 1_000_003 + key[1]) for key in dict.fromkeys(keys)
        }
        self.keys, self.shape, self.device, self.length = keys, shape, device, shape[0]

    def draw(self) -> torch.Tensor:
        """`(batch_size * num_candidates, length, latent_dim)`, fp32."""
        drawn = {key: torch.randn(self.shape, generator=generator) for key, generator in self.generators.items()}
        return torch.stack([drawn[key][: self.length] for key in self.keys]).to(self.device)

    def draw_uniform(self, length: int) -> torch.Tensor:
        """`(batch_size * num_candidates, length)` from 0 to 1."""
        drawn = {key: torch.rand(length, generator=generator) for key, generator in self.generators.items()}
        return torch.stack([drawn[key] for key in self.keys]).to(self.device)

    def select(self, chosen: list[bool], length: int | None = None) -> "CandidateNoise":
        """The noise of some utterances, from here on; on a shorter canvas, the noise of its positions."""
        num_candidates = len(self.keys) // len(chosen)
        selected = copy.copy(self)
        selected.keys = [key for i, key in enumerate(self.keys) if chosen[i // num_candidates]]
        selected.generators = {key: self.generators[key].clone_state() for key in dict.fromkeys(selected.keys)}
        selected.length = length or self.length
        return selected


@dataclass
class SamplingState:
    """
    The state of sampling: utterances in their batch, each with `num_candidates` rows.

    Args:
        utterances (`torch.LongTensor` of shape `(num_utterances,)`): Which of the batch are here.
        memory, null_memory: Of these utterances; the latter for guidance.
        noise: The draws of these rows.
        scheduler: With the solver's state for these rows.
        latents, denoised (`torch.FloatTensor` of shape `(rows, length, latent_dim)`): x_t and the last x0.
        fixed (`torch.LongTensor` of shape `(rows, length)`, *optional*): Tokens that are held, -1 where there is none.
        held_noise: The noise of held positions, the same in all steps.
        tokens, stable, finished: The last reading of each row, for how many steps it has been the same, and whether
            the row is left alone.
        choices, log_probabilities (`torch.Tensor` of shape `(rows, length, choices)`): With blocks, the tokens of
            those that are done, the chosen one first, and what else was probable.
        caches (`tuple` of three [`CodeFusionCache`]): With blocks, of the denoiser, the same for guidance, and of the
            decoder.
    """

    utterances: torch.Tensor
    memory: CodeFusionMemory
    null_memory: CodeFusionMemory | None
    noise: CandidateNoise
    scheduler: CodeFusionScheduler
    latents: torch.Tensor
    denoised: torch.Tensor | None = None
    fixed: torch.Tensor | None = None
    held_noise: torch.Tensor | None = None
    tokens: torch.Tensor | None = None
    stable: torch.Tensor | None = None
    finished: torch.Tensor | None = None
    choices: torch.Tensor | None = None
    log_probabilities: torch.Tensor | None = None
    caches: tuple[CodeFusionCache, CodeFusionCache, CodeFusionCache] | None = None

    def select(self, chosen: torch.Tensor, length: int | None = None) -> "SamplingState":
        """Some of the utterances (a boolean mask), on a canvas of `length` tokens."""
        rows = chosen.repeat_interleave(len(self.latents) // len(chosen))

        def of_rows(value: torch.Tensor | None) -> torch.Tensor | None:
            if value is None:
                return None
            return value[rows] if value.ndim == 1 or length is None else value[rows, :length]

        names = ("latents", "denoised", "fixed", "held_noise", "tokens", "stable", "finished")
        names = (*names, "choices", "log_probabilities")
        return replace(
            self,
            utterances=self.utterances[chosen],
            memory=self.memory.select(chosen),
            null_memory=None if self.null_memory is None else self.null_memory.select(chosen),
            noise=self.noise.select(chosen.tolist(), length),
            scheduler=self.scheduler.select(rows, length),
            caches=None if self.caches is None else tuple(cache.select(rows) for cache in self.caches),
            **{name: of_rows(getattr(self, name)) for name in names},
        )


class SamplingRun:
    """What all states of a call share: its settings, and what happens after each step."""

    def __init__(self, config, table, logits_processor, streamer, callback, whole: bool, editing: bool):
        self.config, self.table, self.logits_processor = config, table, logits_processor
        self.streamer, self.callback = streamer, callback
        self.whole, self.editing = whole, editing  # all rows stay together; there is a draft
        self.blocks = CodeFusionBlocks(config.block_size) if config.block_size else None
        self.step, self.states, self.state_timesteps = 0, [], []
        self.shows = streamer is not None or callback is not None or bool(config.output_denoising_states)

    def after_step(self, model, state: SamplingState, timestep: int) -> None:
        """Callback, streamer and recorded states."""
        if self.callback is not None:
            # Copies: blocks are written in place.
            tensors = {"latents": state.latents.clone(), "denoised": state.denoised}
            returned = self.callback(model, self.step, timestep, tensors) or {}
            if unknown := set(returned) - set(tensors):
                names = ", ".join(sorted(unknown))
                raise ValueError(f"`callback_on_step_end` may return latents and denoised, got {names}")
            if "latents" in returned:
                state.latents = returned["latents"].clone()
            state.denoised = returned.get("denoised", state.denoised)
        show = self.streamer is not None and hasattr(self.streamer, "put_draft")
        keep = self.config.output_denoising_states and self.step % self.config.denoising_state_interval == 0
        if show or keep:
            if self.blocks is None:
                scores = model._read_off(state.denoised, state, self)
            else:  # what is settled is a row of L
                scores = nearest_scores(state.denoised, self.table)
            tokens = scores.argmax(-1)
            tokens = cut(tokens, model.config.pad_token_id, model.config.eos_token_id)
        if show:
            self.streamer.put_draft(tokens[0].cpu())
        if keep:
            self.states.append(tokens)
            self.state_timesteps.append(timestep)
        self.step += 1


def stop_stable_rows(state: SamplingState, run: SamplingRun) -> None:
    """Finishes the rows whose tokens have stayed the same for long enough and are certain: their x0 is final."""
    scores, tokens = F.softmax(nearest_scores(state.denoised, run.table), dim=-1).max(-1)
    if state.tokens is None:
        state.stable = torch.zeros(len(tokens), dtype=torch.long, device=tokens.device)
        state.finished = torch.zeros_like(state.stable, dtype=torch.bool)
    else:
        state.stable = torch.where((tokens == state.tokens).all(-1), state.stable + 1, 0)
    state.tokens = tokens
    certain = (scores >= run.config.confidence_threshold).all(-1)
    newly = (state.stable >= run.config.stability_threshold) & certain & ~state.finished
    state.latents = torch.where(newly[:, None, None], state.denoised, state.latents)
    state.finished = state.finished | newly


def without_finished(state: SamplingState, done: list[SamplingState], run: SamplingRun) -> SamplingState | None:
    """Moves the utterances whose candidates are all finished to `done`; what is left, `None` if nothing is."""
    over = state.finished.view(len(state.utterances), -1).all(-1)
    if over.all():
        done.append(state)
        return None
    if not over.any() or run.whole:
        return state
    done.append(state.select(over))
    return state.select(~over)


def settle_block(state: SamplingState, scores: torch.Tensor, run: SamplingRun, config) -> None:
    """
    Chooses the tokens of the block that was denoised last from its `scores` `(rows, size, vocab_size)`, and puts their
    rows of L in its place: the first candidate takes the most probable ones, the others draw.
    """
    rows, size = scores.shape[:2]
    scores = F.log_softmax(scores, dim=-1)
    tokens = scores.argmax(-1)
    if run.config.temperature:
        cumulated = F.softmax(scores / run.config.temperature, dim=-1).cumsum(-1)
        places = state.noise.draw_uniform(size)[..., None] * cumulated[..., -1:]
        drawn = torch.searchsorted(cumulated, places, right=True)[..., 0].clamp(max=scores.shape[-1] - 1)
        is_first = torch.arange(rows, device=tokens.device) % run.config.num_candidates == 0
        tokens = torch.where(is_first[:, None], tokens, drawn)

    finished = torch.zeros_like(tokens[:, 0], dtype=torch.bool) if state.finished is None else state.finished
    tokens = tokens.masked_fill(finished[:, None], config.pad_token_id)
    _put_block(state, tokens, scores, run, config)


def settle_beams(state: SamplingState, scores: torch.Tensor, run: SamplingRun, config) -> None:
    """
    Continues the beginnings of each utterance by the block that was denoised last, from its `scores` `(rows, size,
    vocab_size)`, and keeps those with the highest mean log-probability of a token, in order (beam search); but the
    first candidate takes the most probable tokens, as in [`settle_block`]. A block's tokens do not depend on each
    other given what is on their left, so its best continuations are found token by token.
    """
    pad, beams = config.pad_token_id, run.config.num_beams
    scores = F.log_softmax(scores, dim=-1)
    rows, size, vocab_size = scores.shape
    group = torch.arange(rows, device=scores.device).view(-1, beams)  # the rows of each utterance
    origin, tokens = group, group.new_empty(*group.shape, 0)
    if state.choices is None:  # all rows are the same: what differs is their noise
        ended, count = torch.zeros_like(group, dtype=torch.bool), torch.zeros_like(group)
        total = torch.full(group.shape, float("-inf"), device=scores.device)
        total[:, 0] = 0
    else:
        ended, scored = state.finished.view_as(group), state.choices[..., 0] != pad  # an end is followed by padding
        count = scored.sum(-1).view_as(group)
        total = (state.log_probabilities[..., 0] * scored).sum(-1).view_as(group)
    for position in range(size):
        # An ended program goes on in one way, which costs nothing.
        more = scores[origin, position].masked_fill(ended[..., None], float("-inf"))
        more[..., pad] = torch.where(ended, 0.0, float("-inf"))
        sums = total[..., None] + more
        means = sums / (count + ~ended).clamp(min=1)[..., None]
        greedy = means[:, 0].argmax(-1, keepdim=True)
        others = means.flatten(1).scatter(1, greedy, float("-inf")).topk(beams - 1, dim=-1).indices
        best = torch.cat([greedy, others], dim=1)
        parent, token = best // vocab_size, best % vocab_size
        total = sums.flatten(1).gather(1, best)
        origin, count, ended = (x.gather(1, parent) for x in (origin, count, ended))
        tokens = tokens.gather(1, parent[..., None].expand(-1, -1, position))
        tokens, count = torch.cat([tokens, token[..., None]], dim=-1), count + ~ended
        ended = ended | (token == config.eos_token_id)

    origin = origin.flatten()
    moved = (origin != group.flatten()).nonzero()[:, 0]
    if len(moved):
        scores = scores[origin]
    if len(moved) and state.choices is not None:
        first = state.choices.shape[1]  # behind it all beams have the same noise
        state.latents[moved, :first] = state.latents[origin[moved], :first]
        for cache in state.caches:
            cache.replace(moved, origin[moved])
        state.choices, state.log_probabilities = state.choices[origin], state.log_probabilities[origin]
        state.finished = state.finished[origin]
    _put_block(state, tokens.flatten(0, 1), scores, run, config)


def _put_block(state: SamplingState, tokens: torch.Tensor, scores: torch.Tensor, run: SamplingRun, config) -> None:
    # The tokens `(rows, size)` become the state's next ones, with their log-probabilities from `scores`.
    first, size = 0 if state.choices is None else state.choices.shape[1], tokens.shape[1]
    finished = torch.zeros_like(tokens[:, 0], dtype=torch.bool) if state.finished is None else state.finished
    tokens = cut(tokens, config.pad_token_id, config.eos_token_id, keep_eos=True)
    ends = (tokens == config.eos_token_id) | (tokens == config.pad_token_id)
    state.finished = finished | ends.any(-1)
    state.latents[:, first : first + size] = F.embedding(tokens, run.table)

    top = scores.topk(min(CHOICES, scores.shape[-1]), dim=-1)
    choices = torch.cat([tokens[..., None], top.indices], dim=-1)
    values = top.values.masked_fill(top.indices == tokens[..., None], float("-inf"))
    values = torch.cat([scores.gather(-1, tokens[..., None]), values], dim=-1)
    state.choices = choices if first == 0 else torch.cat([state.choices, choices], dim=1)
    state.log_probabilities = values if first == 0 else torch.cat([state.log_probabilities, values], dim=1)


def on_canvas(name: str, ids: torch.LongTensor, canvas: tuple[int, int], config) -> torch.LongTensor:
    """`ids` padded to the canvas `(batch_size, length)`; raises `ValueError` for another shape or unknown tokens."""
    if ids.ndim != 2 or len(ids) != canvas[0] or not 1 <= ids.shape[1] <= canvas[1]:
        raise ValueError(f"`{name}` must have shape ({canvas[0]}, 1 to {canvas[1]}), got {tuple(ids.shape)}")
    if ids.min() < 0 or ids.max() >= config.vocab_size:
        raise ValueError(f"`{name}` must hold token ids from 0 to {config.vocab_size - 1}")
    return F.pad(ids, (0, canvas[1] - ids.shape[1]), value=config.pad_token_id)


def fixed_tokens(ids, mask, canvas: tuple[int, int], config) -> torch.LongTensor:
    """Held tokens, -1 where one is to be generated: where `mask` is set, and behind `ids` unless the program ends."""
    if ids is None or mask is None:
        raise ValueError("`infill_ids` and `infill_mask` belong together: give both or neither")
    if mask.shape != ids.shape or mask.dtype != torch.bool:
        raise ValueError(f"`infill_mask` must be a bool tensor of shape {tuple(ids.shape)}, got {tuple(mask.shape)}")
    fixed = on_canvas("infill_ids", ids, canvas, config).masked_fill(F.pad(mask, (0, canvas[1] - ids.shape[1])), -1)
    ended = ((fixed == config.eos_token_id) | (fixed == config.pad_token_id))[:, : ids.shape[1]].any(-1, keepdim=True)
    behind = torch.arange(canvas[1], device=ids.device) >= ids.shape[1]
    return fixed.masked_fill(behind & ~ended, -1)


def only_fixed(scores: torch.Tensor, fixed: torch.Tensor, pad: int, eos: int) -> torch.Tensor:
    """Held positions have one token, and no program ends before the last of them."""
    lowest = float("-inf")
    is_held = fixed >= 0
    only = torch.full_like(scores, lowest).scatter(-1, fixed.clamp(min=0)[..., None], 0.0)
    content = is_held & (fixed != pad) & (fixed != eos)
    before_content = content.flip(-1).cumsum(-1).flip(-1) > 0
    ends = torch.zeros(scores.shape[-1], dtype=torch.bool, device=scores.device)
    ends[[pad, eos]] = True
    scores = scores.masked_fill((before_content & ~is_held)[..., None] & ends, lowest)
    return torch.where(is_held[..., None], only, scores)


def null_generators(seeds: list[int], rows: int) -> list[torch.Generator]:
    """One for each row's E_s of noise, different from those of its candidates."""
    return [torch.Generator().manual_seed((seed + 1) * 1_000_003 - 1 - row) for seed in seeds for row in range(rows)]


def nearest_scores(embeddings: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Negative half squared distance to each row of L, up to a constant of the position: the argmax is the nearest."""
    return torch.matmul(embeddings.float(), table.float().T) - 0.5 * table.float().square().sum(-1)


def row_seeds(seed: int | Sequence[int] | None, generator: torch.Generator | None, batch_size: int) -> list[int]:
    """The seed of each utterance; raises `ValueError` for a wrong number of them or values out of range."""
    if generator is not None:
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
    elif seed is None:
        seed = torch.Generator().seed() % 2**31  # from the operating system; the global generator stays untouched
    seeds = [operator.index(s) for s in (seed if isinstance(seed, Sequence) else [seed] * batch_size)]
    if len(seeds) != batch_size:
        raise ValueError(
            f"`seed` must be one integer or one for each of the {batch_size} utterances, got {len(seeds)}"
        )
    if any(not 0 <= value < 2**32 for value in seeds):
        raise ValueError(f"`seed` must hold integers from 0 to 2**32 - 1, got {seed!r}")
    return seeds


__all__ = [
    "CandidateNoise",
    "SamplingRun",
    "SamplingState",
    "fixed_tokens",
    "nearest_scores",
    "null_generators",
    "on_canvas",
    "only_fixed",
    "row_seeds",
    "settle_beams",
    "settle_block",
    "stop_stable_rows",
    "without_finished",
]
