"""Checkpoints and metrics as they are published."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import available_checkpoints, checkpoint_path
from ..metrics import METRICS
from .card import benchmark_result, model_card, read_results
from .upload import Upload, content_size


if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PACKAGE = Path(__file__).parents[1]
CODE = "*_codefusion.py"
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")
# Of a folder only these are sent: beside them stand arguments with local paths, logs, and states of the optimiser.
CHECKPOINT_FILES = (
    *("config.json", "generation_config.json", *WEIGHTS),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "LICENSE"),
)
# As `save_pretrained` of the model and of the pipeline write them.
AUTO_MAP = {
    "AutoConfig": "configuration_codefusion.CodeFusionConfig",
    "AutoModel": "modeling_codefusion.CodeFusionForConditionalGeneration",
    "AutoModelForSeq2SeqLM": "modeling_codefusion.CodeFusionForConditionalGeneration",
}
CUSTOM_PIPELINES = {
    "text-to-code": {
        "impl": "pipeline_codefusion.CodeFusionPipeline",
        "pt": ["AutoModelForSeq2SeqLM"],
        "type": "text",
    }
}


def save_for_release(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str | Path) -> None:
    """
    Saves a model at half its size: fp16 on disk, while the config asks for fp32, which every CPU computes fast and in
    which a batch equals its rows. `from_pretrained(folder, dtype=torch.bfloat16)` is faster on CPUs that know bf16.

    Args:
        model ([`CodeFusionForConditionalGeneration`]): Its weights are converted in place.
        tokenizer (`PreTrainedTokenizerBase`): Saved beside it.
        folder (`str` or `Path`): Created if it does not exist; without the model's code, which the package has.
    """
    folder = Path(folder)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["dtype"] = "float32"
    config.get("encoder_config", {}).pop("dtype", None)
    config.pop("auto_map", None)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    for code in folder.glob(CODE):
        code.unlink()


def checkpoint_upload(
    checkpoint: str | Path,
    repo_id: str,
    revision: str = "main",
    results: str | Path | None = None,
    benchmarks: dict[str, tuple[str, str]] | None = None,
) -> Upload:
    """
    A checkpoint as a repository from which transformers loads it without this package: weights, tokenizer and
    generation config as they are, the config with references to the code, the code of this package, and a card.

    Args:
        checkpoint (`str` or `Path`): The name of a shipped model, or a folder that `save_pretrained` wrote.
        repo_id (`str`): `"organisation/name"`.
        revision (`str`, *optional*, defaults to `"main"`): The branch.
        results (`str` or `Path`, *optional*): `results.json` of `examples/run_evaluate.py` for this checkpoint. Its
            scores go into the card: its metadata (`model-index`) and, if the checkpoint has no README.md, its text.
        benchmarks (`dict[str, tuple[str, str]]`, *optional*): For a data file of `results`, a dataset of the Hub that
            is registered as a benchmark, and the benchmark's task: adds `.eval_results/<dataset>.yaml`.

    Returns:
        [`Upload`]: for [`push`].

    Raises:
        ValueError: if the checkpoint is unknown, incomplete or damaged, or `results` is of another one.
    """
    folder = Path(checkpoint_path(checkpoint) if checkpoint in available_checkpoints() else checkpoint)
    if not folder.is_dir():
        names = ", ".join(available_checkpoints()) or "none"
        raise ValueError(f"no checkpoint {str(checkpoint)!r}: neither a folder nor a shipped model ({names})")
    config, parameters = _read_config(folder), _count_parameters(folder)
    upload = Upload(repo_id, {}, revision=revision, replaces=(*WEIGHTS, "*.bin", CODE))
    for pattern in CHECKPOINT_FILES:
        upload.files |= {file.name: file for file in folder.glob(pattern)}
    if "tokenizer.json" not in upload.files:
        raise ValueError(f"the model in {folder} has no tokenizer.json: save its tokenizer there, too")
    upload.files["config.json"] = (json.dumps(config, indent=2, sort_keys=True) + "\n").encode()
    size = sum(map(content_size, upload.files.values()))
    upload.files |= {file.name: file for file in PACKAGE.glob(CODE)}
    scores = read_results(results, folder) if results is not None else None
    for data, (dataset, task) in (benchmarks or {}).items():
        if scores is None:
            raise ValueError("a benchmark's score comes from a results file, and none is given")
        path = f".eval_results/{dataset.rpartition('/')[2]}.yaml"
        upload.files[path] = benchmark_result(scores, data, dataset, task, repo_id)
    card = model_card(folder, config, repo_id, revision, parameters, size, scores)
    upload.files["README.md"] = card.encode()
    upload.left_out = sorted(f"{f.name}{'/' * f.is_dir()}" for f in folder.iterdir() if f.name not in upload.files)
    return upload


def metric_upload(name: str, namespace: str) -> Upload:
    """
    A metric as a Space, which `evaluate.load("namespace/name")` loads and where it can be tried out.

    Raises:
        ValueError: for an unknown metric; the message lists the known ones.
    """
    if name not in METRICS:
        raise ValueError(f"unknown metric {name!r}; available: {', '.join(METRICS)}")
    folder = PACKAGE / "metrics" / name
    texts = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if file.is_file()}
    # The app and the examples load the metric by its id.
    files = {path: text.replace(f"codefusion/{name}", f"{namespace}/{name}").encode() for path, text in texts.items()}
    return Upload(f"{namespace}/{name}", files, repo_type="space")


def _read_config(folder: Path) -> dict[str, Any]:
    # The generation config is only checked: `from_pretrained` would do without it, and generate with other settings.
    configs = []
    for name in ("config.json", "generation_config.json"):
        try:
            configs.append(json.loads((folder / name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ValueError(f"the model in {folder} has no {name}") from None
        except ValueError as error:
            raise ValueError(f"{folder / name} is damaged: {error}") from None
    config = configs[0]
    if not isinstance(config, dict) or config.get("model_type") != "codefusion":
        raise ValueError(f"the model in {folder} is no CodeFusion model")
    for part in (config, config.get("encoder_config") or {}):
        part.pop("_name_or_path", None)  # a local path
    return {**config, "auto_map": AUTO_MAP, "custom_pipelines": CUSTOM_PIPELINES}


def _count_parameters(folder: Path) -> int:
    """Also checks that no file of the weights is missing or cut off."""
    from safetensors import SafetensorError, safe_open

    names, index = ["model.safetensors"], folder / "model.safetensors.index.json"
    if index.is_file() and not (folder / names[0]).is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{index} is damaged: {error!r}") from None
    count = 0
    for name in names:
        try:
            with safe_open(folder / name, "numpy") as weights:
                count += sum(math.prod(weights.get_slice(key).get_shape()) for key in weights.keys())
        except FileNotFoundError:
            raise ValueError(f"the model in {folder} has no {name}") from None
        except SafetensorError as error:
            raise ValueError(f"{folder / name} is damaged: {error}") from None
    return count
