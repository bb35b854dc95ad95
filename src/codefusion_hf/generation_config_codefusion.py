"""The parameters and the output of `generate`."""

from dataclasses import dataclass
from typing import Any

import torch
from transformers.generation import GenerationConfig
from transformers.modeling_outputs import ModelOutput

from .ranking_codefusion import CANDIDATE_ORDERS
from .scheduling_codefusion import SAMPLERS, TIMESTEP_SPACINGS, VARIANCE_TYPES


_CHOICES = {
    "sampler": SAMPLERS,
    "timestep_spacing": TIMESTEP_SPACINGS,
    "variance_type": VARIANCE_TYPES,
    "candidate_order": CANDIDATE_ORDERS,
    "decode_with": ("head", "nearest"),
}
MAX_CANDIDATES = 1024
MIN_CANDIDATES = 10
# Parameters of the base class that mean something here; any other would be a silent no-op and is refused.
INHERITED = (
    "num_return_sequences",
    "max_length",
    "max_new_tokens",
    "return_dict_in_generate",
    "num_beams",
    "do_sample",
    "temperature",
)


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
        block_size (`int`, *optional*):
            Of a model with blocks: how many tokens are denoised at once, each block seeing those before it; 0 is the
            whole canvas (`config.block_size`). Every block takes `num_inference_steps`; the end of a program ends its
            sampling, so `canvas_buckets` and `stability_threshold` have nothing to do. Edits and infilling denoise the
            whole canvas.
        temperature (`float`, *optional*):
            With blocks, the first candidate takes the most probable tokens of each, and the others draw theirs from
            the head's probabilities at this temperature; 0: none draws (1.0).
        num_beams (`int`, *optional*):
            With blocks, candidates are not drawn but searched for: after every block so many beginnings stay, the one
            of the most probable tokens and, of all others, those with the highest mean log-probability. In the end
            they are the candidates, in this order; more than that if `num_candidates` is more. 1: no search (1).
        num_revisions (`int`, *optional*):
            How often the finished program is noised again and denoised in one step (0). A revision starts from whole
            tokens instead of a blend of several programs: positions that contradict each other get a second look.
        revision_strength (`float`, *optional*):
            How far back a revision goes, above 0 (keeps all) to 1 (pure noise), as a fraction of the schedule (0.8).
        strength (`float`, *optional*):
            With `init_ids`, how much of the draft is undone: 0 returns it, 1 ignores it (0.6).
        draft_threshold (`float`, *optional*):
            With `init_ids`, only tokens of the draft that are at most that probable are regenerated (0.001: about
            as rare as a token drawn at random would be); 1 regenerates all.
        guidance_scale (`float`, *optional*):
            Classifier-free guidance: x0 = x0_u + scale (x0_c - x0_u), where E_s of x0_u is noise. 1 is off (1.0); the
            model must have been trained with `--cond_dropout`, and every step costs twice.
        stability_threshold (`int`, *optional*), confidence_threshold (`float`, *optional*):
            A candidate is finished once its tokens have stayed the same for that many steps (never) and each of them
            is at least that probable (0.9). It is then left alone, and an utterance whose candidates are all finished
            costs nothing any more.
        canvas_buckets (`list[int]`, *optional*):
            Shorter canvases, in tokens, tried from the smallest: an utterance whose candidates do not all end there,
            with a position to spare, is sampled again on the next one, last on the full canvas (none).
        candidate_order (`str`, *optional*):
            `"logprob"` (default): by mean token log-probability; `"mbr"`: minimum Bayes risk, by mean similarity to
            all sampled candidates; `"seed"`: as sampled, for figures like the paper's.
        diversity_penalty (`float`, *optional*):
            Of the next candidate's score, this times its similarity to the most similar one already chosen (0.0).
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
        "block_size",
        "num_revisions",
        "revision_strength",
        "strength",
        "draft_threshold",
        "guidance_scale",
        "stability_threshold",
        "confidence_threshold",
        "canvas_buckets",
        "candidate_order",
        "diversity_penalty",
        "dedupe",
        "output_denoising_states",
        "denoising_state_interval",
    )

    def __init__(self, **kwargs):
        own = {name: kwargs.pop(name, None) for name in self._own}
        self.__dict__.update(own)  # `super` validates
        super().__init__(**kwargs)
        self.__dict__.update(own)  # the base class has some of the names, too, and resets them
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
            "num_beams": 1,
            "num_inference_steps": 20,
            "sampler": "dpmpp_2m",
            "timestep_spacing": "uniform",
            "eta": 0.0,
            "variance_type": "fixed_small",
            "decode_with": "head",
            "clamping": False,
            "temperature": 1.0,
            "num_revisions": 0,
            "revision_strength": 0.8,
            "strength": 0.6,
            "draft_threshold": 0.001,
            "guidance_scale": 1.0,
            "confidence_threshold": 0.9,
            "candidate_order": "logprob",
            "diversity_penalty": 0.0,
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
        counts = (
            "num_return_sequences num_candidates num_beams num_inference_steps max_length max_new_tokens "
            "stability_threshold"
        )
        for name in counts.split():
            value = getattr(self, name, None)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"`{name}` must be an integer of at least 1, got {value!r}")
        revisions, strength = self.num_revisions, self.revision_strength
        if revisions is not None and (not isinstance(revisions, int) or isinstance(revisions, bool) or revisions < 0):
            raise ValueError(f"`num_revisions` must be an integer of at least 0, got {revisions!r}")
        if strength is not None and not 0 < strength <= 1:
            raise ValueError(f"`revision_strength` must be above 0 and at most 1, got {strength!r}")
        for name, low, high in (
            ("strength", 0, 1),
            ("draft_threshold", 0, 1),
            ("confidence_threshold", 0, 1),
            ("guidance_scale", 0, 20),
            ("diversity_penalty", 0, 100),
            ("temperature", 0, 10),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"`{name}` must be between {low} and {high}, got {value!r}")
        if self.block_size is not None and (not isinstance(self.block_size, int) or self.block_size < 0):
            raise ValueError(f"`block_size` must be an integer of at least 0, got {self.block_size!r}")
        buckets = self.canvas_buckets
        sizes = buckets if isinstance(buckets, list) else [None]
        if buckets is not None and not all(isinstance(size, int) and size >= 1 for size in sizes):
            raise ValueError(f"`canvas_buckets` must be a list of integers of at least 1, got {buckets!r}")
        if self.denoising_state_interval is not None and self.denoising_state_interval < 1:
            raise ValueError(f"`denoising_state_interval` must be at least 1, got {self.denoising_state_interval}")
        for name in ("num_return_sequences", "num_candidates", "num_beams"):
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


__all__ = ["INHERITED", "MAX_CANDIDATES", "MIN_CANDIDATES", "CodeFusionGenerationConfig", "CodeFusionGenerationOutput"]
