"""Sampling programs: from Gaussian noise to ranked, distinct candidates."""

import copy
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from transformers.generation import GenerationConfig, LogitsProcessorList
from transformers.generation.streamers import BaseStreamer
from transformers.utils import logging

from .generation_config_codefusion import (
    INHERITED,
    MIN_CANDIDATES,
    CodeFusionGenerationConfig,
    CodeFusionGenerationOutput,
)
from .layers_codefusion import CodeFusionBlocks, CodeFusionCache
from .ranking_codefusion import CHOICES, cut, is_search, rank
from .sampling_codefusion import (
    CandidateNoise,
    SamplingRun,
    SamplingState,
    fixed_tokens,
    nearest_scores,
    null_generators,
    on_canvas,
    only_fixed,
    row_seeds,
    settle_beams,
    settle_block,
    stop_stable_rows,
    without_finished,
)
from .scheduling_codefusion import CodeFusionScheduler


logger = logging.get_logger(__name__)

UNCONDITIONAL_LENGTH = 8  # vectors in an E_s of noise, in training and in sampling
MAX_SCORES = 2**22  # read off at once: larger tensors cost more in fetching memory than they save in calls
CANVAS_MARGIN = 2  # positions that a program must leave free on a shorter canvas, its end included
# What Seq2SeqTrainer hands to `generate` beside the inputs.
_TRAINER_KWARGS = ("labels", "decoder_input_ids", "decoder_attention_mask", "synced_gpus")


class DiffusionGenerationMixin:
    """`generate` for a model with `encode`, `denoise`, `decode`, `embedding_table` and a `scheduler`."""

    @torch.no_grad()
    def generate(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        unconditional: torch.BoolTensor | None = None,
        generation_config: CodeFusionGenerationConfig | None = None,
        seed: int | Sequence[int] | None = None,
        generator: torch.Generator | None = None,
        init_ids: torch.LongTensor | None = None,
        infill_ids: torch.LongTensor | None = None,
        infill_mask: torch.BoolTensor | None = None,
        logits_processor: LogitsProcessorList | None = None,
        streamer: BaseStreamer | None = None,
        callback_on_step_end: Callable | None = None,
        **kwargs,
    ) -> torch.LongTensor | CodeFusionGenerationOutput:
        r"""
        Samples programs for utterances: 1. encode the utterance, 2. draw x_T, 3. denoise, revise, 4. decode, 5. rank.

        The noise of a candidate depends only on its utterance's seed and its own number, so neither the batch, nor its
        padding, nor the device changes a result.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch_size, source_length)`, *optional*):
                Tokenised utterances. Without them, programs are sampled unconditionally.
            attention_mask (`torch.Tensor` of shape `(batch_size, source_length)`, *optional*):
                0 at padding; by default, wherever `input_ids` has the pad token.
            unconditional (`torch.BoolTensor` of shape `(batch_size,)`, *optional*):
                Rows that are sampled without their utterance.
            generation_config ([`CodeFusionGenerationConfig`], *optional*): Used instead of the model's own.
            seed (`int` or sequence of `batch_size` `int`, *optional*): One for all utterances, or one for each.
            generator (`torch.Generator`, *optional*): Alternative to `seed`: the seed is drawn from it.
            init_ids (`torch.LongTensor` of shape `(batch_size, length)`, *optional*):
                Drafts to edit, padded: a draft is noised to `strength` and denoised from there (SDEdit). Its tokens
                that the model, seeing it so, finds more probable than `draft_threshold` are held as in infilling.
            infill_ids (`torch.LongTensor` of shape `(batch_size, length)`, *optional*),
            infill_mask (`torch.BoolTensor` of shape `(batch_size, length)`, *optional*):
                Programs of which only the positions where the mask is `True` are generated. All others are held: in
                every step at the current noise level, and in the result to the token.
            logits_processor ([`~transformers.LogitsProcessorList`], *optional*):
                Applied wherever tokens are read off x0: `processor(tokens, scores)` with one row for each position,
                scores `(rows * length, vocab_size)` and, as context, its whole program `(rows * length, length)`.
            streamer (`BaseStreamer`, *optional*):
                For one utterance: its `put_draft` (if any) receives the tokens after each step, `put` the result.
            callback_on_step_end (`Callable`, *optional*):
                `callback(model, step, timestep, {"latents", "denoised"})` after each step, both
                `(batch_size * num_candidates, length, latent_dim)`; a returned dict may replace either.
            kwargs: Any parameter of [`CodeFusionGenerationConfig`], for this call only.

        Returns:
            `torch.LongTensor` of shape `(batch_size * num_return_sequences, length)`, or
            [`CodeFusionGenerationOutput`] with `return_dict_in_generate=True`.

        Raises:
            ValueError: for parameters out of range and inputs longer than `config.max_source_length`.
            TypeError: for unknown arguments.
        """
        config = self._prepare_generation_config(generation_config, **kwargs)
        if seed is not None and generator is not None:
            raise ValueError("pass either `seed` or `generator`, not both")

        # 1. Encode the utterance: E_s, and the keys and values of every cross-attention, once for all steps.
        batch_size, num_candidates = 1 if input_ids is None else len(input_ids), config.num_candidates
        has_utterances = input_ids is not None
        if not has_utterances:  # one E_s of noise for each candidate
            shape = (num_candidates, UNCONDITIONAL_LENGTH)
            input_ids = torch.full(shape, self.config.pad_token_id, device=self.device)
            unconditional = torch.ones(num_candidates, dtype=torch.bool, device=self.device)
        if input_ids.ndim != 2 or not input_ids.numel():
            raise ValueError(f"`input_ids` must have shape (batch_size, source_length), got {tuple(input_ids.shape)}")
        if attention_mask is None:
            attention_mask = (input_ids != self.config.pad_token_id).long()
        device = input_ids.device
        if streamer is not None and batch_size > 1:
            raise ValueError(f"a streamer shows one utterance at a time, got a batch of {batch_size}")
        seeds = row_seeds(seed, generator, batch_size)
        sources = null_generators(seeds, 1 if has_utterances else num_candidates)
        memory = self.encode(input_ids, attention_mask, unconditional, sources)
        null_memory = None
        if config.guidance_scale != 1:
            everywhere = torch.ones(len(input_ids), dtype=torch.bool, device=device)
            null_memory = self.encode(input_ids, attention_mask, everywhere, sources)
        table = self.embedding_table().float()

        # 2. Draw x_T: one generator for each candidate. An edit starts from its noised draft instead.
        editing = init_ids is not None and config.strength < 1
        infilling = infill_ids is not None or infill_mask is not None
        if editing or infilling:
            config.block_size = 0  # what is held may stand anywhere
        scheduler = self._prepare_scheduler(config, config.strength if editing else 1.0)
        noise = CandidateNoise(seeds, num_candidates, (config.max_length, self.config.embedding_dim), device)
        noise_T = noise.draw()
        state = SamplingState(
            torch.arange(batch_size, device=device), memory, null_memory, noise, scheduler, latents=noise_T
        )
        canvas = (batch_size, config.max_length)
        if infilling:
            fixed = fixed_tokens(infill_ids, infill_mask, canvas, self.config)
            state.fixed = fixed.to(device).repeat_interleave(num_candidates, dim=0)
        if editing:
            draft = on_canvas("init_ids", init_ids, canvas, self.config).to(device)
            draft = cut(draft, self.config.pad_token_id, self.config.eos_token_id, keep_eos=True)
            clean = F.embedding(draft, table).repeat_interleave(num_candidates, dim=0)
            if len(scheduler.timesteps):
                state.latents = scheduler.add_noise(clean, noise_T, int(scheduler.timesteps[0]))
            else:  # nothing is undone
                state.latents, state.fixed = clean, draft.repeat_interleave(num_candidates, dim=0)
        state.held_noise = noise_T if state.fixed is not None else None

        # 3. Denoise, revise and decode. The state stays in fp32 whatever the model computes in.
        whole = not has_utterances or callback_on_step_end is not None or bool(config.output_denoising_states)
        run = SamplingRun(config, table, logits_processor, streamer, callback_on_step_end, whole, editing)
        if streamer is not None:
            streamer.put(input_ids.new_empty(0).cpu())  # streamers may skip the first thing they get, the prompt
        timesteps = scheduler.timesteps.tolist()
        if editing and timesteps and config.draft_threshold < 1:
            trusted = self._trusted(draft, timesteps[0], state, run).repeat_interleave(num_candidates, dim=0)
            state.fixed = trusted if state.fixed is None else torch.where(state.fixed < 0, trusted, state.fixed)
            state.held_noise = noise_T
        buckets = [size for size in sorted(config.canvas_buckets or []) if size < config.max_length]
        if buckets and timesteps and not whole and state.fixed is None and run.blocks is None:
            programs = self._on_short_canvases(state, timesteps, buckets, run)
        else:
            programs = self._finish(state, timesteps, run)

        # 4. Rank.
        pad, eos = self.config.pad_token_id, self.config.eos_token_id
        ranked = [rank(*programs[index], config, pad, eos) for index in range(batch_size)]
        sequences = [F.pad(tokens, (0, config.max_length - tokens.shape[1]), value=pad) for tokens, _, _ in ranked]
        sequences = torch.cat(sequences)
        longest = int((sequences != pad).sum(-1).max().clamp(min=1))
        sequences = sequences[:, :longest].to(device)
        if streamer is not None:
            streamer.put(sequences[0].cpu())
            streamer.end()
        if not config.return_dict_in_generate:
            return sequences
        output = CodeFusionGenerationOutput(
            sequences=sequences, sequences_scores=torch.cat([score for _, score, _ in ranked]).to(device)
        )
        if run.states:
            rows = torch.cat([origin + row * num_candidates for row, (_, _, origin) in enumerate(ranked)])
            output.denoising_states = torch.stack(run.states)[:, rows.to(device)]
            output.denoising_timesteps = torch.tensor(run.state_timesteps)
        return output

    def _prepare_scheduler(self, config: CodeFusionGenerationConfig, strength: float = 1.0) -> CodeFusionScheduler:
        # The sampler that `config` names, on its grid.
        scheduler = CodeFusionScheduler.from_config(self.config)
        scheduler.set_timesteps(
            config.num_inference_steps,
            sampler=config.sampler,
            timestep_spacing=config.timestep_spacing,
            eta=config.eta,
            variance_type=config.variance_type,
            signal_power=self.config.signal_power,
            strength=strength,
        )
        return scheduler

    def _trusted(self, draft: torch.Tensor, timestep: int, state: SamplingState, run: SamplingRun) -> torch.Tensor:
        """The draft's probable tokens `(batch_size, length)`, on average over its candidates; -1 at the others."""
        found = []
        for part in self._pieces(state, run):
            scores = self._read_off(self._estimate(part.latents, timestep, None, part, run), part, run)
            scores = scores.unflatten(0, (len(part.utterances), -1))
            tokens = draft[part.utterances][:, None, :, None].expand(-1, scores.shape[1], -1, -1)
            log_probabilities = scores.gather(-1, tokens)[..., 0] - scores.logsumexp(-1)
            found.append(log_probabilities.exp().mean(1))
        doubted = torch.cat(found) <= run.config.draft_threshold
        ends = (draft == self.config.pad_token_id) | (draft == self.config.eos_token_id)
        open_end = (doubted & (ends.cumsum(-1) == 1)).any(-1, keepdim=True)  # the padding goes with the end
        return draft.masked_fill(torch.where(ends, open_end, doubted), -1)

    def _on_short_canvases(
        self, state: SamplingState, timesteps: list[int], buckets: list[int], run: SamplingRun
    ) -> dict:
        """Most programs are shorter than the canvas: an utterance gets the first that holds all its candidates."""
        full, programs = state.latents.shape[1], {}
        for size in (*buckets, full):
            everyone = torch.ones_like(state.utterances, dtype=torch.bool)
            found = self._finish(state.select(everyone, size), timesteps, run)
            fitting = {i for i, (tokens, _) in found.items() if size == full or self._fit(tokens[..., 0]).all()}
            programs |= {i: found[i] for i in fitting}
            rest = [i not in fitting for i in state.utterances.tolist()]
            if not any(rest):
                break
            state = state.select(torch.tensor(rest, device=state.utterances.device))
        return programs

    def _fit(self, tokens: torch.Tensor) -> torch.Tensor:
        # Whether programs `(rows, length)` end on their canvas, with a position to spare.
        pad = self.config.pad_token_id
        return cut(tokens, pad, self.config.eos_token_id).ne(pad).sum(-1) <= tokens.shape[1] - CANVAS_MARGIN

    def _finish(self, state: SamplingState, timesteps: list[int], run: SamplingRun) -> dict[int, tuple]:
        """Denoises, revises and decodes: the most probable tokens of each utterance and their log-probabilities."""
        programs = {}
        denoise = self._denoise if run.blocks is None else self._denoise_blocks
        for part in (piece for rest in denoise(state, timesteps, run) for piece in self._pieces(rest, run)):
            self._revise(part, timesteps, run)
            tokens, log_probabilities = part.choices, part.log_probabilities
            if tokens is None or run.config.num_revisions:
                scores = self._read_off(part.latents, part, run)
                top = scores.topk(min(CHOICES, scores.shape[-1]), dim=-1)
                tokens, log_probabilities = top.indices, top.values - scores.logsumexp(-1, keepdim=True)
            tokens, scores = (x.cpu().unflatten(0, (len(part.utterances), -1)) for x in (tokens, log_probabilities))
            programs |= {index: pair for index, *pair in zip(part.utterances.tolist(), tokens, scores)}
        return programs

    def _pieces(self, state: SamplingState, run: SamplingRun) -> list[SamplingState]:
        """Some utterances at a time: the scores of a large batch over the vocabulary would take gigabytes."""
        num_utterances, (rows, length) = len(state.utterances), state.latents.shape[:2]
        size = max(1, MAX_SCORES * num_utterances // (rows * length * self.config.vocab_size))
        if run.whole or size >= num_utterances:
            return [state]
        number = torch.arange(num_utterances, device=state.utterances.device) // size
        return [state.select(number == i) for i in range(int(number[-1]) + 1)]

    def _denoise(self, state: SamplingState, timesteps: list[int], run: SamplingRun) -> list[SamplingState]:
        """Walks the grid. Utterances whose candidates are all finished leave early, as states of their own."""
        done = []
        for timestep in timesteps:
            latents = self._hold(state.latents, timestep, state, run)
            denoised = self._estimate(latents, timestep, state.denoised, state, run)
            fresh = state.noise.draw() if state.scheduler.is_stochastic else None
            latents = state.scheduler.step(denoised, timestep, latents, fresh)
            if state.finished is not None:
                latents = torch.where(state.finished[:, None, None], state.latents, latents)
            state.latents, state.denoised = latents, denoised
            run.after_step(self, state, timestep)
            if timestep == timesteps[0] and latents.shape[1] < run.config.max_length and not run.whole:
                # What outgrows a short canvas mostly does so from the first estimate on, of any candidate.
                drafts = nearest_scores(denoised[:: run.config.num_candidates], run.table).argmax(-1)
                if not (fit := self._fit(drafts)).all():
                    state = state.select(fit)
                if not len(state.utterances):
                    return done
            if run.config.stability_threshold is None:
                continue
            stop_stable_rows(state, run)
            if (state := without_finished(state, done, run)) is None:
                return done
        return [*done, state]

    def _denoise_blocks(self, state: SamplingState, timesteps: list[int], run: SamplingRun) -> list[SamplingState]:
        """Walks the grid for one block after the other. Utterances whose candidates have all ended leave early."""
        done, length = [], state.latents.shape[1]
        settle = settle_block
        if is_search(run.config):  # what is compared starts from the same noise
            settle, beams = settle_beams, run.config.num_beams
            state.latents = state.latents[::beams].repeat_interleave(beams, dim=0)
        else:
            state.latents = state.latents.clone()  # written in place from here on, and x_T may be needed as it is
        state.caches = tuple(CodeFusionCache() for _ in range(3))
        for first in range(0, length, run.blocks.size):
            last = min(first + run.blocks.size, length)
            for timestep in timesteps:
                known = state.caches[0].length  # of what is left of it, these tokens are in the caches
                levels = F.pad(torch.full((last - first,), timestep), (first - known, 0))
                denoised = self._estimate(state.latents[:, known:last], levels, None, state, run, run.blocks)
                denoised = denoised[:, first - known :]
                fresh = state.noise.draw()[:, first:last] if state.scheduler.is_stochastic else None
                block = state.scheduler.step(denoised, timestep, state.latents[:, first:last], fresh)
                state.latents[:, first:last] = block
                if run.shows:
                    padding = run.table[self.config.pad_token_id].expand(len(block), length - last, -1)
                    state.denoised = torch.cat([state.latents[:, :first], denoised, padding], dim=1)
                run.after_step(self, state, timestep)
            clean = state.latents[:, state.caches[2].length : last]
            scores = self._read_off(clean, state, run, run.blocks, last - first)
            settle(state, scores, run, self.config)
            if (state := without_finished(state, done, run)) is None:
                return done
        return [*done, state]

    def _revise(self, state: SamplingState, timesteps: list[int], run: SamplingRun) -> None:
        """A finished program starts again from its tokens, noised, and is denoised in one step."""
        if not timesteps and run.editing:
            return  # a draft of which nothing is undone
        strength = run.config.revision_strength
        if run.editing:
            strength = min(strength, run.config.strength)  # no further back than the edit itself
        timestep = state.scheduler.timestep_at(strength)
        for _ in range(run.config.num_revisions):
            tokens = self._read_off(state.latents, state, run).argmax(-1)
            tokens = cut(tokens, self.config.pad_token_id, self.config.eos_token_id, keep_eos=True)
            latents = state.scheduler.add_noise(F.embedding(tokens, run.table), state.noise.draw(), timestep)
            state.latents = state.denoised = self._estimate(latents, timestep, None, state, run)
            run.after_step(self, state, timestep)

    def _estimate(
        self,
        latents: torch.Tensor,
        timestep: int | torch.Tensor,
        previous: torch.Tensor | None,
        state: SamplingState,
        run: SamplingRun,
        blocks: CodeFusionBlocks | None = None,
    ) -> torch.Tensor:
        """
        x0 as the denoiser sees it, after guidance, clamping and what is held; `timestep` is one for all tokens, or one
        for each.
        """
        timesteps = torch.as_tensor(timestep, device=latents.device).view(1, -1)
        cache, null_cache, _ = state.caches if blocks is not None else (None, None, None)
        denoised = self.denoise(latents, timesteps, state.memory, previous, run.table, blocks, cache)
        if state.null_memory is not None:
            null = self.denoise(latents, timesteps, state.null_memory, previous, run.table, blocks, null_cache)
            denoised = null + run.config.guidance_scale * (denoised - null)
        if run.config.clamping:
            denoised = F.embedding(nearest_scores(denoised, run.table).argmax(-1), run.table)
        if state.fixed is not None:
            held = F.embedding(state.fixed.clamp(min=0), run.table)
            denoised = torch.where((state.fixed >= 0)[..., None], held, denoised)
        return denoised

    def _hold(self, latents: torch.Tensor, timestep: int, state: SamplingState, run: SamplingRun) -> torch.Tensor:
        # The denoiser has seen no clean embeddings among noisy ones: held positions get the noise of the step.
        if state.fixed is None:
            return latents
        noisy = state.scheduler.add_noise(F.embedding(state.fixed.clamp(min=0), run.table), state.held_noise, timestep)
        return torch.where((state.fixed >= 0)[..., None], noisy, latents)

    def _read_off(
        self,
        denoised: torch.Tensor,
        state: SamplingState,
        run: SamplingRun,
        blocks: CodeFusionBlocks | None = None,
        scored: int | None = None,
    ) -> torch.Tensor:
        """
        Scores of the tokens `(rows, length, vocab_size)`, of decoder and head or of the nearest rows of L; only of the
        last `scored` positions, if given.
        """
        if run.config.decode_with == "nearest":
            scores = nearest_scores(denoised if scored is None else denoised[:, -scored:], run.table)
        else:
            cache = state.caches[2] if blocks is not None else None
            scores = self.decode(denoised, state.memory, run.table, blocks, scored, cache)[1]
        if run.logits_processor:
            context = scores.argmax(-1)
            if scored is not None and state.choices is not None:
                context = torch.cat([state.choices[..., 0], context], dim=1)
            context = context.repeat_interleave(scores.shape[1], dim=0)
            scores = run.logits_processor(context, scores.flatten(0, 1)).view_as(scores)
        if state.fixed is not None:
            scores = only_fixed(scores, state.fixed, self.config.pad_token_id, self.config.eos_token_id)
        return scores

    def _prepare_generation_config(
        self, generation_config: CodeFusionGenerationConfig | None, **kwargs
    ) -> CodeFusionGenerationConfig:
        # Precedence: call arguments, the given config, the model's config, global defaults.
        config = copy.copy(generation_config or self.generation_config)
        if not isinstance(config, GenerationConfig) or not hasattr(config, "num_inference_steps"):
            config = type(self.generation_config)(**config.to_dict())
        if generation_config is not None:
            config.update(**self.generation_config.to_dict(), defaults_only=True, allow_custom_entries=True)
        if config.block_size is None and kwargs.get("block_size") is None:
            config.block_size = self.config.block_size or 0
        config.update(**type(self.generation_config)._get_default_generation_params(), defaults_only=True)
        kwargs = {key: value for key, value in kwargs.items() if key not in _TRAINER_KWARGS}
        for name in kwargs:
            if name not in (*config._own, *INHERITED):
                known = hasattr(config, name)
                reason = "has no effect on diffusion sampling" if known else "is unknown"
                raise (ValueError if known else TypeError)(f"`generate` got `{name}`, which {reason}")
        config.update(**kwargs)
        if config.max_new_tokens is not None and kwargs.get("max_length") is None:
            config.max_length = config.max_new_tokens
        if config.max_length is None:
            config.max_length = self.config.max_target_length
        if config.max_length > self.config.max_target_length:
            raise ValueError(
                f"`max_length` ({config.max_length}) must be at most {self.config.max_target_length}, the canvas"
            )
        if config.block_size > (self.config.block_size or 0):
            raise ValueError(
                f"`block_size` must be at most {self.config.block_size or 0}, `config.block_size` of the model, got "
                f"{config.block_size}"
            )
        if kwargs.get("temperature") is not None and not config.block_size:
            raise ValueError("`temperature` needs a `block_size`: else candidates differ by their noise alone")
        if (kwargs.get("num_beams") or 1) > 1 and not config.block_size:
            raise ValueError("`num_beams` needs a `block_size`: without blocks use `num_candidates`")
        if kwargs.get("num_candidates") is None:
            fewest = config.num_candidates or (MIN_CANDIDATES if config.dedupe else 1)
            config.num_candidates = max(fewest, config.num_return_sequences)
        if is_search(config):
            if kwargs.get("num_beams") is None or kwargs.get("num_candidates") is not None:
                config.num_beams = max(config.num_beams, config.num_candidates)
            config.num_candidates = config.num_beams
        config.validate()
        return config

    def adjust_generation_fn(
        self,
        generation_config,
        from_auto_class,
        from_pipeline,
        pretrained_model_name_or_path,
        cache_dir,
        force_download,
        proxies,
        local_files_only,
        token,
        revision,
        subfolder,
        trust_remote_code,
        **unused_kwargs,
    ):
        """Called by `from_pretrained`: reads generation_config.json with this model's own class."""
        if generation_config is not None:
            self.generation_config = type(self.generation_config).from_dict(generation_config.to_dict())
        elif pretrained_model_name_or_path is not None:
            try:
                self.generation_config = self.generation_config_class.from_pretrained(
                    pretrained_model_name_or_path,
                    cache_dir=cache_dir,
                    force_download=force_download,
                    proxies=proxies,
                    local_files_only=local_files_only,
                    token=token,
                    revision=revision,
                    subfolder=subfolder,
                    _from_auto=from_auto_class,
                    _from_pipeline=from_pipeline,
                )
            except OSError:
                logger.info("No generation_config.json: using the defaults of the model's config.")


__all__ = ["UNCONDITIONAL_LENGTH", "DiffusionGenerationMixin"]
