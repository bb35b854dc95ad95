"""What a device can do, how a run was launched, and how fast it could be."""

import os
import time

import torch
from accelerate import Accelerator
from accelerate.utils import parse_flag_from_env


LAUNCH_HINT = "`ACCELERATE_USE_CPU=true torchrun --standalone --nproc_per_node N script.py ...`"


def on_cpu() -> bool:
    """Whether accelerate will train on CPU: there is nothing else, or it was told to."""
    return parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()


def default_attention() -> str:
    """`"eager"` on CPU, where the backward pass of torch's SDPA costs 37 % of a step; `"sdpa"` elsewhere."""
    return "eager" if on_cpu() else "sdpa"


def default_precision() -> str | None:
    """What accelerate was told (`None`: it knows), else `"bf16"` if the device computes in it, else `"no"`."""
    if "ACCELERATE_MIXED_PRECISION" in os.environ:
        return None
    if on_cpu():
        checks = [getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile")]
        return "bf16" if any(check is not None and check() for check in checks) else "no"
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    return "no"


def check_world_size(accelerator: Accelerator) -> None:
    """
    Refuses to start where fewer processes would train together than were asked for.

    Raises:
        RuntimeError: naming the command that works.
    """
    if accelerator.num_processes > 1:
        return
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RuntimeError(
            "several processes were started but accelerate sees one, so each would train a model of its own: on CPU "
            f"launch with {LAUNCH_HINT}"
        )
    # `accelerate launch --cpu --num_processes 2` and its MULTI_CPU configuration start one process, silently. They
    # leave an address for the others in the environment, but no number of them.
    by_accelerate = {"ACCELERATE_MIXED_PRECISION", "KMP_BLOCKTIME", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ)
    if by_accelerate and "WORLD_SIZE" not in os.environ and parse_flag_from_env("ACCELERATE_USE_CPU"):
        raise RuntimeError(
            "several processes were asked for but `accelerate launch` has started one, as it does on CPU: launch "
            f"with {LAUNCH_HINT}"
        )


@torch.no_grad()
def measure_peak(device: torch.device, dtype: torch.dtype, seconds: float = 0.3) -> float:
    """
    FLOP/s of a square matrix product, the best of several: what this process could reach on its device.

    Args:
        dtype (`torch.dtype`): In which the model's products are computed.
        seconds (`float`): How long to try.
    """
    size = 1024 if device.type == "cpu" else 8192
    factor = torch.ones(size, size, device=device, dtype=dtype)
    best, end = 0.0, time.perf_counter() + seconds
    for number in range(10_000):
        synchronize(device)
        started = time.perf_counter()
        factor @ factor
        synchronize(device)
        now = time.perf_counter()
        if number:  # the first product also sets up the library
            best = max(best, 2 * size**3 / (now - started))
            if now > end:
                break
    return best


def synchronize(device: torch.device) -> None:
    """Waits until the device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
