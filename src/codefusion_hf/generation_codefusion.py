"""Sampling programs: from Gaussian noise to ranked, distinct candidates."""

import copy
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from transformers.generation import GenerationConfig
from transformers.generation.streamers import BaseStreamer
from transformers.modeling_outputs import ModelOutput
from transformers.utils import logging

from .ranking_codefusion import CHOICES, cut, rank
from .scheduling_codefusion import SAMPLERS, TIMESTEP_SPACINGS, VARIANCE_TYPES, CodeFusionScheduler


logger = logging.get_logger(__name__)

_CHOICES = {
    "sampler": SAMPLERS,
    "timestep_spacing": TIMESTEP_SPACINGS,
    "variance_type": VARIANCE_TYPES,
    "candidate_order": ("logprob", "seed"),
    "decode_with": ("head", "nearest"),
}
MAX_CANDIDATES = 1024
MIN_CANDIDATES = 10
UNCONDITIONAL_LENGTH = 8  # vectors in an E_s of noise, in training and in sampling
# Parameters of the base class that mean something here; any other would be a silent no-op and is refused.
_INHERITED = (
    "num_return_sequences",
    "max_length",
    "max_new_tokens",
    "return_dict_in_generate",
    "num_beams",
    "do_sample",
)
# What Seq2SeqTrainer hands to `generate` beside the inputs.
_TRAINER_KWARGS = ("labels", "decoder_input_ids", "decoder_attention_mask", "synced_gpus")


class CodeFusionGenerationConfig(GenerationConfig):
    """
    Parameters of [`DiffusionGenerationMixin.generate`]. Unset ones take the defaults in parentheses.

    Args:
        num_return_sequences (`int`, *optional*): Programs returned per utterance, best first (1).
        num_candidates (`int`, *optional*):
            Programs sampled per utterance, of which the best are returned. By default 10, or `num_return_sequences` if
            that is more, so that the first candidate does not depend on how many are asked for; without `dedupe`,
            `num_return_sequences`, and never less.
        max_length (`int`, *optional*): Size of the canvas in tokens (`config.max_target_length`).
        num_inference_steps (`int`, *optional*): Denoising steps, 1 to `config.num_diffusion_steps` (20).
        sampler (`str`, *optional*): `"dpmpp_2m"` (default), `"ddim"` or `"ddpm"`.
        timestep_spacing (`str`, *optional*): `"uniform"` (default) or `"logsnr"`.
        eta (`float`, *optional*): Stochasticity of `"ddim"`, 0 to 1 (0).
        variance_type (`str`, *optional*): Of `"ddpm"`: `"fixed_small"` (default) or `"fixed_large"` (as in GENIE).
        decode_with (`str`, *optional*):
            `"head"` (default): decoder and head; `"nearest"`: nearest row of L, the paper's "grounding" ablation.
        clamping (`bool`, *optional*): Replace x̂0 by its nearest rows of L at every step, an ablation (`False`).
        num_revisions (`int`, *optional*):
            How often the finished program is noised again and denoised in one step (0). A revision starts from whole
            tokens instead of a blend of several programs: positions that contradict each other get a second look.
        revision_strength (`float`, *optional*):
            How far back a revision goes, above 0 (keeps all) to 1 (pure noise), as a fraction of the schedule (0.8).
        candidate_order (`str`, *optional*):
            `"logprob"` (default): by mean token log-probability; `"seed"`: as sampled, for figures like the paper's.
        dedupe (`bool`, *optional*):
            Return distinct programs (`True`). If sampling found fewer than asked for, the remaining places hold the
            next most probable programs under the head, one token away from a sampled one.
        output_denoising_states (`bool`, *optional*): Return the program as read off after each step (`False`).
        denoising_state_interval (`int`, *optional*): Steps between those states (1).

    Raises:
        ValueError: for a value outside of these ranges, and for names of autoregressive decoding.
    """

    _own = (
        "num_candidates",
        "num_inference_steps",
        "sampler",
        "timestep_spacing",
        "eta",
        "variance_type",
        "decode_with",
        "clamping",
        "num_revisions",
        "revision_strength",
        "candidate_order",
        "dedupe",
        "output_denoising_states",
        "denoising_state_interval",
    )

    def __init__(self, **kwargs):
        for name in self._own:
            setattr(self, name, kwargs.pop(name, None))
        super().__init__(**kwargs)
        # Readers that use the base class reject num_return_sequences > 1 without it.
        self.do_sample = True

    @classmethod
    def from_model_config(cls, model_config) -> "CodeFusionGenerationConfig":
        """
        Special tokens and canvas size of a [`CodeFusionConfig`] (or its `dict`). Without a decoder, tokens are read
        off as the nearest rows of L.
        """
        values = model_config if isinstance(model_config, dict) else model_config.to_dict()
        names = ("pad_token_id", "bos_token_id", "eos_token_id")
        decode_with = None if values.get("num_decoder_layers", 1) else "nearest"
        return cls(
            decode_with=decode_with,
            max_length=values.get("max_target_length"),
            **{name: values.get(name) for name in names},
        )

    @staticmethod
    def _get_default_generation_params() -> dict[str, Any]:
        # `None` in the fields and the defaults here: `to_diff_dict` compares with the base class, where all are None.
        return {
            "num_return_sequences": 1,
            "num_inference_steps": 20,
            "sampler": "dpmpp_2m",
            "timestep_spacing": "uniform",
            "eta": 0.0,
            "variance_type": "fixed_small",
            "decode_with": "head",
            "clamping": False,
            "num_revisions": 0,
            "revision_strength": 0.8,
            "candidate_order": "logprob",
            "dedupe": True,
            "output_denoising_states": False,
            "denoising_state_interval": 1,
        }

    def validate(self, **unused_kwargs):
        """Raises `ValueError` for the first parameter that is out of range, naming what is allowed."""
        for name, allowed in _CHOICES.items():
            value = getattr(self, name, None)
            if value is not None and value not in allowed:
                raise ValueError(f"`{name}` must be one of {', '.join(allowed)}, got {value!r}")
        for name in ("num_return_sequences", "num_candidates", "num_inference_steps", "max_length", "max_new_tokens"):
            value = getattr(self, name, None)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"`{name}` must be an integer of at least 1, got {value!r}")
        revisions, strength = self.num_revisions, self.revision_strength
        if revisions is not None and (not isinstance(revisions, int) or isinstance(revisions, bool) or revisions < 0):
            raise ValueError(f"`num_revisions` must be an integer of at least 0, got {revisions!r}")
        if strength is not None and not 0 < strength <= 1:
            raise ValueError(f"`revision_strength` must be above 0 and at most 1, got {strength!r}")
        if self.denoising_state_interval is not None and self.denoising_state_interval < 1:
            raise ValueError(f"`denoising_state_interval` must be at least 1, got {self.denoising_state_interval}")
        for name in ("num_return_sequences", "num_candidates"):
            if (getattr(self, name) or 1) > MAX_CANDIDATES:
                raise ValueError(f"`{name}` must be at most {MAX_CANDIDATES}, got {getattr(self, name)}")
        returned = self.num_return_sequences or 1
        if self.num_candidates is not None and self.num_candidates < returned and self.dedupe is False:
            raise ValueError(
                f"without `dedupe`, `num_candidates` ({self.num_candidates}) must be at least `num_return_sequences` "
                f"({returned})"
            )
        if self.eta is not None and not 0 <= self.eta <= 1:
            raise ValueError(f"`eta` must be between 0 and 1, got {self.eta!r}")
        if self.do_sample is False:
            raise ValueError(
                "diffusion always samples: for a repeatable result pass `seed` instead of `do_sample=False`"
            )
        if self.num_beams is not None and self.num_beams > 1:
            raise ValueError("diffusion sampling has no beams: use `num_candidates` instead of `num_beams`")


@dataclass
class CodeFusionGenerationOutput(ModelOutput):
    """
    Args:
        sequences (`torch.LongTensor` of shape `(batch_size * num_return_sequences, length)`):
            Token ids, cut at the first pad or `</s>`, right-padded; the candidates of an utterance are consecutive,
            best first.
        sequences_scores (`torch.FloatTensor` of shape `(batch_size * num_return_sequences,)`):
            Mean log-probability of the tokens up to and including `</s>`, in nats.
        denoising_states (`torch.LongTensor` of shape `(num_states, batch_size * num_return_sequences, length)`):
            Token ids read off x̂0 during denoising, with `output_denoising_states=True`.
        denoising_timesteps (`torch.LongTensor` of shape `(num_states,)`): The timestep each state was predicted from.
    """

    sequences: torch.LongTensor
    sequences_scores: torch.FloatTensor | None = None
    denoising_states: torch.LongTensor | None = None
    denoising_timesteps: torch.LongTensor | None = None


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
        batch_size = 1 if input_ids is None else len(input_ids)
        if input_ids is None:  # one E_s of noise for each candidate
            shape = (config.num_candidates, UNCONDITIONAL_LENGTH)
            input_ids = torch.full(shape, self.config.pad_token_id, device=self.device)
            unconditional = torch.ones(config.num_candidates, dtype=torch.bool, device=self.device)
        if input_ids.ndim != 2 or not input_ids.numel():
            raise ValueError(f"`input_ids` must have shape (batch_size, source_length), got {tuple(input_ids.shape)}")
        if attention_mask is None:
            attention_mask = (input_ids != self.config.pad_token_id).long()
        device = input_ids.device
        if streamer is not None and batch_size > 1:
            raise ValueError(f"a streamer shows one utterance at a time, got a batch of {batch_size}")
        seeds = _row_seeds(seed, generator, batch_size)
        encode_generator = torch.Generator().manual_seed((seeds[0] + 1) * 1_000_003 - 1)  # no candidate's, see below
        memory = self.encode(input_ids, attention_mask, unconditional, encode_generator)
        table = self.embedding_table().float()

        # 2. Draw x_T: one generator for each candidate.
        scheduler = CodeFusionScheduler.from_config(self.config)
        scheduler.set_timesteps(
            config.num_inference_steps,
            sampler=config.sampler,
            timestep_spacing=config.timestep_spacing,
            eta=config.eta,
            variance_type=config.variance_type,
            signal_power=self.config.signal_power,
        )
        num_candidates, length = config.num_candidates, config.max_length
        noise = _CandidateNoise(seeds, num_candidates, (length, self.config.embedding_dim), device)
        latents = noise.draw()

        # 3. Denoise, then revise. The state stays in fp32 whatever the model computes in.
        grid = scheduler.timesteps.tolist()
        revision = max(0, round(config.revision_strength * self.config.num_diffusion_steps) - 1)
        if streamer is not None:
            streamer.put(input_ids.new_empty(0).cpu())  # streamers may skip the first thing they get, the prompt
        denoised, states, state_timesteps = None, [], []
        for step, timestep in enumerate(grid + [revision] * config.num_revisions):
            timesteps = torch.full((latents.shape[0],), timestep, device=device)
            if step >= len(grid):
                tokens = self._read_off(latents, memory, table, config)[1].argmax(-1)
                tokens = cut(tokens, self.config.pad_token_id, self.config.eos_token_id, keep_eos=True)
                latents, denoised = scheduler.add_noise(F.embedding(tokens, table), noise.draw(), timesteps), None
            denoised = self.denoise(latents, timesteps, memory, denoised, table)
            if config.clamping:
                denoised = F.embedding(_nearest(denoised, table).argmax(-1), table)
            if step < len(grid):
                fresh = noise.draw() if scheduler.is_stochastic else None
                latents = scheduler.step(denoised, timestep, latents, fresh)
            else:
                latents = denoised
            if callback_on_step_end is not None:
                latents, denoised = _call_back(callback_on_step_end, self, step, timestep, latents, denoised)
            show = streamer is not None and hasattr(streamer, "put_draft")
            keep = config.output_denoising_states and step % config.denoising_state_interval == 0
            if show or keep:
                tokens = self._read_off(denoised, memory, table, config)[1].argmax(-1)
                tokens = cut(tokens, self.config.pad_token_id, self.config.eos_token_id)
            if show:
                streamer.put_draft(tokens[0].cpu())
            if keep:
                states.append(tokens)
                state_timesteps.append(timestep)

        # 4. Decode: D and H once, or the nearest rows of L.
        _, scores = self._read_off(latents, memory, table, config)
        top_scores, top_tokens = F.log_softmax(scores, dim=-1).topk(min(CHOICES, scores.shape[-1]), dim=-1)

        # 5. Rank.
        ranked = [
            rank(
                top_tokens[start : start + num_candidates].cpu(),
                top_scores[start : start + num_candidates].cpu(),
                config,
                self.config.pad_token_id,
                self.config.eos_token_id,
            )
            for start in range(0, batch_size * num_candidates, num_candidates)
        ]
        sequences = torch.cat([tokens for tokens, _, _ in ranked])
        longest = int((sequences != self.config.pad_token_id).sum(-1).max().clamp(min=1))
        sequences = sequences[:, :longest].to(device)
        if streamer is not None:
            streamer.put(sequences[0].cpu())
            streamer.end()
        if not config.return_dict_in_generate:
            return sequences
        output = CodeFusionGenerationOutput(
            sequences=sequences, sequences_scores=torch.cat([score for _, score, _ in ranked]).to(device)
        )
        if states:
            rows = torch.cat([origin + row * num_candidates for row, (_, _, origin) in enumerate(ranked)])
            output.denoising_states = torch.stack(states)[:, rows.to(device)]
            output.denoising_timesteps = torch.tensor(state_timesteps)
        return output

    def _read_off(self, denoised, memory, table, config) -> tuple[torch.Tensor, torch.Tensor]:
        if config.decode_with == "nearest":
            return denoised, _nearest(denoised, table)
        return self.decode(denoised, memory, table)

    def _prepare_generation_config(
        self, generation_config: CodeFusionGenerationConfig | None, **kwargs
    ) -> CodeFusionGenerationConfig:
        # Precedence: call arguments, the given config, the model's config, global defaults.
        config = copy.deepcopy(generation_config or self.generation_config)
        if not isinstance(config, GenerationConfig) or not hasattr(config, "num_inference_steps"):
            config = type(self.generation_config)(**config.to_dict())
        config.update(**self.generation_config.to_dict(), defaults_only=True, allow_custom_entries=True)
        config.update(**type(self.generation_config)._get_default_generation_params(), defaults_only=True)
        kwargs = {key: value for key, value in kwargs.items() if key not in _TRAINER_KWARGS}
        for name in kwargs:
            if name not in (*config._own, *_INHERITED):
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
        if config.num_candidates is None:
            config.num_candidates = max(MIN_CANDIDATES if config.dedupe else 1, config.num_return_sequences)
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


class _CandidateNoise:
    """Standard normal noise in which row (utterance i, candidate j) depends on (seed of i, j) alone."""

    def __init__(self, seeds: list[int], num_candidates: int, shape: tuple[int, int], device: torch.device):
        # CPU generators: the same seed means the same noise on every device. Equal seeds share their draws.
        keys = [(seed, candidate) for seed in seeds for candidate in range(num_candidates)]
        self.generators = {
            key: torch.Generator().manual_seed(key[0] * 1_000_003 + key[1]) for key in dict.fromkeys(keys)
        }
        self.keys, self.shape, self.device = keys, shape, device

    def draw(self) -> torch.Tensor:
        """`(batch_size * num_candidates, length, latent_dim)`, fp32."""
        drawn = {key: torch.randn(self.shape, generator=generator) for key, generator in self.generators.items()}
        return torch.stack([drawn[key] for key in self.keys]).to(self.device)


def _row_seeds(seed: int | Sequence[int] | None, generator: torch.Generator | None, batch_size: int) -> list[int]:
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


def _nearest(embeddings: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    # Negative half squared distance to each row of L, up to a constant of the position: its argmax is the nearest row.
    return torch.matmul(embeddings.float(), table.float().T) - 0.5 * table.float().square().sum(-1)


def _call_back(callback, model, step, timestep, latents, denoised):
    returned = callback(model, step, timestep, {"latents": latents, "denoised": denoised}) or {}
    unknown = set(returned) - {"latents", "denoised"}
    if unknown:
        raise ValueError(f"`callback_on_step_end` may return latents and denoised, got {', '.join(sorted(unknown))}")
    return returned.get("latents", latents), returned.get("denoised", denoised)


__all__ = ["CodeFusionGenerationConfig", "CodeFusionGenerationOutput", "DiffusionGenerationMixin"]
