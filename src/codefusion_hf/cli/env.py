"""`codefusion env`: what a bug report needs."""

import argparse
import os
import platform
import shutil
from importlib import metadata
from typing import Any

from .. import available_checkpoints
from .arguments import add_command


PACKAGES = (
    "codefusion-hf torch transformers tokenizers safetensors huggingface-hub accelerate datasets evaluate".split()
)
EXAMPLE = """\
example:
  codefusion env
"""


def add_to(commands: Any) -> None:
    """Adds the subcommand."""
    add_command(commands, "env", _run, "print versions, device and threads: what a bug report needs", EXAMPLE)


def _run(args: argparse.Namespace) -> None:
    for name in PACKAGES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            version = "not installed"
        print(f"{name + ':':17}{version}")
    facts = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "CPUs": os.cpu_count(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
        "NVIDIA driver": "found" if shutil.which("nvidia-smi") else "not found",
        "shipped models": ", ".join(available_checkpoints()) or "none",
    }
    for name, fact in facts.items():
        print(f"{name + ':':17}{fact}")
