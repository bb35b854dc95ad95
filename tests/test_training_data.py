"""The data options of the training scripts: cache, streams, tasks of pre-training."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file


ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests" / "fixtures" / "cf_pairs.jsonl"
TINY = ROOT / "tests" / "fixtures" / "tiny-cf"
PRETRAIN = ("run_pretrain.py", "--config_name", "tiny", "--tokenizer_name", TINY, "--language", "cf")
PRETRAIN += ("--max_train_steps", 4, "--per_device_train_batch_size", 4, "--logging_steps", 1)


@pytest.fixture
def script(tmp_path, monkeypatch, capfd):
    """Runs the main function of a script in this process, which saves ten seconds of imports; gives what it wrote."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    def reset() -> None:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()

    def run(name: str, *arguments: object) -> str:
        spec = importlib.util.spec_from_file_location(name.removesuffix(".py"), ROOT / "examples" / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        reset()
        capfd.readouterr()
        module.main()
        return "".join(capfd.readouterr())

    yield run
    reset()


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_pretraining_streams_and_resumes(script, tmp_path):
    files = []
    for part in range(2):
        files.append(tmp_path / f"part{part}.jsonl")
        files[-1].write_text("".join(PAIRS.read_text().splitlines(keepends=True)[part::2]))
    stream = (*PRETRAIN, "--streaming", "--shuffle_buffer_size", 8, "--train_file", f"{tmp_path}/part?.jsonl")
    script(*stream, "--output_dir", tmp_path / "whole", "--max_train_steps", 12)  # into the second epoch
    script(*stream, "--output_dir", tmp_path / "parts", "--max_train_steps", 12, "--stop_after_steps", 5)
    script(*stream, "--output_dir", tmp_path / "parts", "--max_train_steps", 12, "--resume_from_checkpoint", "latest")
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts") and len(losses(tmp_path / "whole")) == 12
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(weight, parts[name]) for name, weight in whole.items())


def test_finetuning_streams(script, tmp_path):
    finetune = ("run_finetune.py", "--model_name_or_path", TINY, "--train_file", PAIRS, "--max_train_steps", 3)
    finetune += ("--per_device_train_batch_size", 4, "--logging_steps", 1, "--streaming", "--cond_dropout", 0.2)
    script(*finetune, "--output_dir", tmp_path / "out")
    assert len(losses(tmp_path / "out")) == 3


def test_prepared_data_are_found_again(script, tmp_path):
    options = ("--train_file", PAIRS, "--max_train_samples", 20)
    # As users run it: in a process of its own, and with two more that prepare.
    command = [*PRETRAIN, *options, "--preprocessing_num_workers", 2, "--output_dir", tmp_path / "a"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, str(ROOT / "examples" / command[0]), *map(str, command[1:])]
    first = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert first.returncode == 0, first.stderr[-3000:]
    second = script(*PRETRAIN, *options, "--output_dir", tmp_path / "b")
    assert "preparing cf_pairs.jsonl" in first.stderr and "preparing" not in second
    assert "20 examples" in first.stdout and "20 examples" in second
    assert len(list((tmp_path / "cache" / "codefusion").glob("codes-cf-*/shard-*.arrow"))) == 1
    script(*PRETRAIN, *options, "--cache_dir", tmp_path / "mine", "--output_dir", tmp_path / "c")
    assert losses(tmp_path / "b") == losses(tmp_path / "c") and list((tmp_path / "mine").glob("codes-cf-*"))


@pytest.mark.parametrize(
    "options",
    [
        ("--pretrain_tasks", "codegen"),
        ("--pretrain_tasks", "cpd", "--cpd_noise", "masked_only", "--cpd_mask_token", "single"),
        ("--pretrain_tasks", "cpd", "--cpd_target", "span", "--cpd_mask_ratio", 0.5),
    ],
)
def test_tasks_of_pretraining(script, tmp_path, options):
    for name, more in (("out", options), ("default", ())):
        script(*PRETRAIN, "--train_file", PAIRS, *more, "--output_dir", tmp_path / name)
    assert len(losses(tmp_path / "out")) == 4 and losses(tmp_path / "out") != losses(tmp_path / "default")


def test_no_pretraining_saves_the_weights_that_it_would_start_from(script, tmp_path):
    """Then an experiment without pre-training has the same steps as one with it."""
    for name in ("a", "b"):
        done = script(*PRETRAIN, "--train_file", PAIRS, "--pretrain_tasks", "none", "--output_dir", tmp_path / name)
        assert "nothing to train" in done
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("a", "b"))
    assert a and all(torch.equal(weight, b[name]) for name, weight in a.items())
    finetune = ("run_finetune.py", "--model_name_or_path", tmp_path / "a", "--train_file", PAIRS)
    script(*finetune, "--max_train_steps", 1, "--per_device_train_batch_size", 4, "--output_dir", tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--streaming", "--max_train_samples", 3], "does not go with --streaming"),
        (["--streaming", "--shuffle_buffer_size", 0], "`shuffle_buffer_size` must be at least 1"),
        (["--preprocessing_num_workers", 0], "`num_workers` must be at least 1"),
        (["--train_file", "missing*.jsonl"], "missing*.jsonl"),
        (["--cpd_mask_ratio", 2], "in (0, 1]"),
        (["--cpd_noise", "masked_only", "--cpd_target", "span"], "of a span, all is masked"),
    ],
)
def test_wrong_arguments(script, tmp_path, arguments, message):
    with pytest.raises((ValueError, OSError), match=re.escape(message)):
        script(*PRETRAIN, "--train_file", PAIRS, *arguments, "--output_dir", tmp_path / "out")
