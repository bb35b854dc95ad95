"""How fast a model trains: FLOPs of a step, and a comparison of number format and attention path."""

import copy
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ..modeling_codefusion import CodeFusionForConditionalGeneration
from .devices import synchronize
from .models import set_attention


class TrainingFlops:
    """
    FLOPs of the matrix products of a training step, counted once for each canvas on one example. The backward pass
    counts as two forward passes; the first pass of self-conditioning has none. A product counts 2 FLOPs for a
    multiplication and an addition, and what is frozen or recomputed counts as if it was not (model FLOPs, Chowdhery
    et al., 2022, appendix B).

    Args:
        model ([`CodeFusionForConditionalGeneration`]): Before it is prepared for training.
        canvases (`Sequence[int]`): Target lengths that will be asked for.
    """

    def __init__(self, model: CodeFusionForConditionalGeneration, canvases: Sequence[int]):
        implementation, training = model.config._attn_implementation, model.training
        set_attention(model.config, "eager")  # the counter does not know SDPA's CPU kernel
        model.eval()
        # In the length of the source the count is a polynomial of degree 2: three lengths are enough.
        longest = min(32, model.config.max_source_length)
        widths = sorted({longest, max(1, longest // 2), max(1, longest // 4)})
        try:
            self.polynomials = {
                (canvas, twice, blocks): np.polyfit(
                    widths, [_forward_flops(model, width, canvas, twice, blocks) for width in widths], len(widths) - 1
                )
                for canvas in canvases
                for twice in (False, True)
                for blocks in ((False, True) if model.config.block_size else (False,))
            }
        finally:
            set_attention(model.config, implementation)
            model.train(training)

    def __call__(
        self, rows: int, source_length: int, canvas: int, self_condition: bool, blocks: bool = False
    ) -> float:
        """FLOPs of forward and backward pass for a batch of this shape, in blocks (of whatever size) or whole."""
        once = np.polyval(self.polynomials[canvas, False, blocks], source_length)
        twice = np.polyval(self.polynomials[canvas, self_condition, blocks], source_length)
        return rows * float(3 * once + (twice - once))


@torch.no_grad()
def _forward_flops(model, source_length: int, canvas: int, self_condition: bool, blocks: bool) -> int:
    ids = torch.full((1, source_length), model.config.eos_token_id, device=model.device)
    labels = torch.full((1, canvas), model.config.eos_token_id, device=model.device)
    generator = torch.Generator().manual_seed(0)
    with FlopCounterMode(display=False) as counter:
        model(
            **{"input_ids": ids, "labels": labels, "self_condition": self_condition},
            **{"block_size": int(blocks), "generator": generator},
        )
    return counter.get_total_flops()


def training_rate(
    model: CodeFusionForConditionalGeneration,
    batches: Sequence[dict],
    mixed_precision: str = "no",
    attn_implementation: str = "eager",
) -> float:
    """
    Examples per second of whole training steps: forward, backward, clipping, AdamW.

    Args:
        model ([`CodeFusionForConditionalGeneration`]): Stays as it is; a copy is trained.
        batches (`Sequence[dict]`): From [`Collator`], at least two; the first one only warms up.
        mixed_precision (`str`): `"bf16"` or `"no"`.
        attn_implementation (`str`): `"eager"` or `"sdpa"`.

    Raises:
        ValueError: for fewer than two batches or an unknown precision.
    """
    return _rates(model, batches, {"": (mixed_precision, attn_implementation)})[""]


def compare_rates(model: CodeFusionForConditionalGeneration, batches: Sequence[dict]) -> dict[str, float]:
    """
    [`training_rate`] of bf16 with eager attention and of fp32 with SDPA. They take turns, batch by batch, so that
    other work on the machine slows both.

    Returns:
        `dict`: `"bf16_eager"` and `"fp32_sdpa"` in examples per second, and their ratio as `"speedup"`.
    """
    rates = _rates(model, batches, {"bf16_eager": ("bf16", "eager"), "fp32_sdpa": ("no", "sdpa")})
    return {**rates, "speedup": round(rates["bf16_eager"] / rates["fp32_sdpa"], 3)}


def _rates(model, batches: Sequence[dict], settings: dict[str, tuple[str, str]]) -> dict[str, float]:
    if len(batches) < 2:
        raise ValueError(f"measuring needs at least 2 batches, got {len(batches)}")
    steps, seconds = {}, dict.fromkeys(settings, 0.0)
    for name, (mixed_precision, attn_implementation) in settings.items():
        if mixed_precision not in ("no", "bf16"):
            raise ValueError(f"`mixed_precision` must be 'no' or 'bf16', got {mixed_precision!r}")
        steps[name] = _training_step(model, mixed_precision, attn_implementation)
    for number, batch in enumerate(batches):
        for name, step in steps.items():
            synchronize(model.device)
            started = time.perf_counter()
            step(number, batch)
            synchronize(model.device)
            seconds[name] += time.perf_counter() - started if number else 0.0
    examples = sum(len(batch["labels"]) for batch in batches[1:])
    return {name: round(examples / spent, 2) for name, spent in seconds.items()}


def _training_step(model, mixed_precision: str, attn_implementation: str) -> Callable[[int, dict], None]:
    model = copy.deepcopy(model).train()
    set_attention(model.config, attn_implementation)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)

    def step(number: int, batch: dict) -> None:
        inputs = {name: value.to(model.device) for name, value in batch.items() if isinstance(value, torch.Tensor)}
        generator = torch.Generator().manual_seed(number)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=mixed_precision == "bf16"):
            drawn = {"self_condition": number % 2 == 0, "generator": generator}
            loss = model(**inputs, **drawn, output_logits=False).loss  # as in training
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step
