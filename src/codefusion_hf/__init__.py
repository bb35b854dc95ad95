"""CodeFusion: generate a whole program from a sentence by denoising all of its tokens at once."""

import os
import sys
from pathlib import Path


__version__ = "0.1.0"

_PUBLIC = {  # resolved on first use
    "CodeFusionConfig": "configuration_codefusion",
    "CodeFusionForConditionalGeneration": "modeling_codefusion",
    "CodeFusionGenerationConfig": "generation_config_codefusion",
    "CodeFusionGenerationOutput": "generation_config_codefusion",
    "CodeFusionPipeline": "pipeline_codefusion",
    "CodeFusionScheduler": "scheduling_codefusion",
    "DiffusionGenerationMixin": "generation_codefusion",
    "load_metric": "metrics",
}

__all__ = ["available_checkpoints", "checkpoint_path", "register", *_PUBLIC]


def __getattr__(name: str):
    if name in _PUBLIC:
        from importlib import import_module

        return getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def available_checkpoints() -> list[str]:
    """Names of the trained models that ship with the package."""
    folder = Path(__file__).parent / "checkpoints"
    return sorted(path.parent.name for path in folder.glob("*/config.json"))


def checkpoint_path(name: str) -> str:
    """
    Folder of a shipped model, for `AutoModel.from_pretrained`.

    Raises:
        ValueError: for an unknown name; the message lists the shipped ones.
    """
    names = available_checkpoints()
    if name not in names:
        raise ValueError(f"unknown model {name!r}: shipped models are {', '.join(names) or 'none'}")
    return str(Path(__file__).parent / "checkpoints" / name)


def register() -> None:
    """
    Makes transformers' auto classes and `pipeline("text-to-code")` know CodeFusion. `import codefusion_hf` does it.
    """
    from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM
    from transformers.pipelines import PIPELINE_REGISTRY

    from .configuration_codefusion import CodeFusionConfig
    from .modeling_codefusion import CodeFusionForConditionalGeneration
    from .pipeline_codefusion import CodeFusionPipeline

    AutoConfig.register("codefusion", CodeFusionConfig, exist_ok=True)
    AutoModel.register(CodeFusionConfig, CodeFusionForConditionalGeneration, exist_ok=True)
    AutoModelForSeq2SeqLM.register(CodeFusionConfig, CodeFusionForConditionalGeneration, exist_ok=True)
    CodeFusionConfig.register_for_auto_class()
    CodeFusionForConditionalGeneration.register_for_auto_class("AutoModel")
    if "text-to-code" not in PIPELINE_REGISTRY.get_supported_tasks():
        PIPELINE_REGISTRY.register_pipeline(
            "text-to-code", pipeline_class=CodeFusionPipeline, pt_model=AutoModelForSeq2SeqLM, type="text"
        )


# `codefusion --help` and `codefusion env` must answer at once: in the command line's own process nothing is registered
# (that imports torch and transformers, seconds) before a command asks for it.
if os.path.basename(sys.argv[0] if sys.argv else "") not in ("codefusion", "codefusion.exe"):
    register()
