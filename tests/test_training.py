"""The training scripts: overfitting, exact resume, both stages, early stopping, adapters, logs, wrong arguments."""

import importlib.util
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoTokenizer, BertConfig, BertModel, BertTokenizer

from codefusion_hf import CodeFusionConfig, CodeFusionForConditionalGeneration
from codefusion_hf.training import (
    EMA,
    TrainingFlops,
    compare_rates,
    default_precision,
    lengthen_canvas,
    load_pretrained_encoder,
    move_to_tokenizer,
    replace_encoder,
    row_generator,
    set_dropout,
    training_rate,
)


ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests" / "fixtures" / "cf_pairs.jsonl"
TINY = ROOT / "tests" / "fixtures" / "tiny-cf"


def script(name: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if check:
        assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.fixture
def here(monkeypatch, capsys):
    """Runs a script in this process, which has imported everything already; returns what it printed."""

    def run(name: str, *arguments: object, fails: bool = False) -> str:
        AcceleratorState._reset_state(True)
        GradientState._reset_state()
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        if not fails:
            runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
            return capsys.readouterr().out
        with pytest.raises(SystemExit) as exit_:
            runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        return str(exit_.value.code) + capsys.readouterr().err

    yield run
    AcceleratorState._reset_state(True)
    GradientState._reset_state()


def assert_equal_weights(folder: Path, other: Path) -> None:
    mine, theirs = load_file(folder / "model.safetensors"), load_file(other / "model.safetensors")
    assert set(mine) == set(theirs)
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("steps", "noise"), [(500, []), (500, ["--block_size", 2])], ids=["even", "blocks"])
def test_32_real_pairs_are_overfitted_by_sampling(steps, noise, tmp_path):
    """The recipe can learn: from fresh weights, at least 95 % exact matches among sampled programs."""
    rows = PAIRS.read_text().splitlines()[:32]
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows) + "\n")
    script(
        *("run_finetune.py", "--config_name", "tiny", "--tokenizer_name", TINY, "--language", "cf"),
        *("--output_dir", tmp_path / "out"),
        *("--train_file", tmp_path / "pairs.jsonl", "--validation_file", tmp_path / "pairs.jsonl"),
        *("--max_train_steps", steps, "--per_device_train_batch_size", 32, "--learning_rate", "3e-3"),
        *("--num_warmup_steps", 50, "--ema_decay", 0.99, "--logging_steps", 250, "--checkpointing_steps", 1000),
        *noise,
    )
    scores = log(tmp_path / "out")[-1]
    assert scores["step"] == steps and scores["exact_1"] >= 95
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "log.jsonl", "arguments.json",
    }  # fmt: skip


def test_both_stages_and_exact_resume(tmp_path):
    """Pre-train, fine-tune; and 6 steps at once equal 3 steps, a new process, and 3 more, to the bit."""
    common = ("--tokenizer_name", TINY, "--train_file", PAIRS, "--per_device_train_batch_size", 8)
    common += ("--logging_steps", 1, "--num_warmup_steps", 2, "--max_train_steps", 6, "--canvas_buckets", 16)
    script(
        "run_pretrain.py",
        "--config_name",
        "tiny",
        "--language",
        "cf",
        *common,
        "--output_dir",
        tmp_path / "pretrained",
    )
    losses = [line["loss"] for line in log(tmp_path / "pretrained")]
    assert len(losses) == 6 and losses[-1] < losses[0]
    for line in log(tmp_path / "pretrained"):
        terms = line["denoising_loss"] + line["decoder_mse_loss"] + line["cross_entropy_loss"]
        assert line["loss"] == pytest.approx(terms, abs=1e-3)

    finetune = ("run_finetune.py", "--model_name_or_path", tmp_path / "pretrained", *common, "--cond_dropout", 0.1)
    script(*finetune, "--output_dir", tmp_path / "whole")
    script(*finetune, "--output_dir", tmp_path / "parts", "--stop_after_steps", 3)
    assert (tmp_path / "parts" / "step_3").is_dir()
    done = script(*finetune, "--output_dir", tmp_path / "parts", "--resume_from_checkpoint", "latest")
    assert "steps 3 to 6" in done.stdout and "5 steps an epoch" in done.stdout  # the resumed part crosses an epoch
    assert_equal_weights(tmp_path / "whole", tmp_path / "parts")
    pick = lambda rows: [(row["step"], row["loss"]) for row in rows]  # noqa: E731
    assert pick(log(tmp_path / "whole")) == pick(log(tmp_path / "parts"))


def test_a_used_output_folder_is_refused(tmp_path, here):
    (tmp_path / "step_7").mkdir()
    options = ("--model_name_or_path", TINY, "--train_file", PAIRS, "--output_dir", tmp_path)
    message = here("run_finetune.py", *options, "--per_device_train_batch_size", 8, fails=True)
    assert "holds checkpoints of another run" in message


def test_going_back_to_an_earlier_checkpoint_drops_the_later_ones(tmp_path, here):
    """Else `latest` would mean a course of the run that was given up, and a limit of 1 would remove the new one."""
    options = (*SHORT, "--output_dir", tmp_path / "out", "--max_train_steps", 4, "--checkpointing_steps", 1)
    here("run_finetune.py", *options, "--checkpoints_total_limit", 3)
    assert {path.name for path in (tmp_path / "out").glob("step_*")} == {"step_2", "step_3", "step_4"}
    whole = log(tmp_path / "out")
    again = ("--checkpoints_total_limit", 1, "--stop_after_steps", 3, "--resume_from_checkpoint")
    here("run_finetune.py", *options, *again, tmp_path / "out" / "step_2")
    assert [path.name for path in (tmp_path / "out").glob("step_*")] == ["step_3"]
    here("run_finetune.py", *options, "--resume_from_checkpoint", "latest")
    assert [line["loss"] for line in log(tmp_path / "out")] == [line["loss"] for line in whole]
    (tmp_path / "other" / "step_7").mkdir(parents=True)
    elsewhere = (*options, "--output_dir", tmp_path / "other")
    message = here("run_finetune.py", *elsewhere, *again, tmp_path / "out" / "step_4", fails=True)
    assert "holds checkpoints of another run than" in message and (tmp_path / "other" / "step_7").is_dir()


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    command = [sys.executable, str(ROOT / "examples" / "run_finetune.py"), "--model_name_or_path", str(TINY)]
    command += ["--train_file", str(PAIRS), "--output_dir", str(tmp_path), "--max_train_steps", "100000"]
    command += ["--per_device_train_batch_size", "8", "--logging_steps", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    deadline = time.time() + 120
    while not (tmp_path / "log.jsonl").exists() and time.time() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 130
    assert "--resume_from_checkpoint latest" in output
    (checkpoint,) = tmp_path.glob("step_*")
    assert log(tmp_path)[-1]["step"] == int(checkpoint.name[5:])


FROM_TINY = ["--model_name_or_path", TINY]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config_name", "huge", "--tokenizer_name", TINY], "presets are"),
        (["--config_name", "tiny"], "needs --tokenizer_name"),
        (["--config_name", "tiny", "--tokenizer_name", TINY], "a new model needs --language"),
        ([], "either --model_name_or_path or --config_name"),
        (["--model_name_or_path", "fc"], "unknown model 'fc': shipped models are"),
        ([*FROM_TINY, "--train_file", "missing.jsonl"], "missing.jsonl"),
        ([*FROM_TINY, "--canvas_buckets", "64"], "from 1 to 32"),
        ([*FROM_TINY, "--resume_from_checkpoint", "elsewhere"], "step_N"),
        ([*FROM_TINY, "--ema_decay", "1"], "ema_decay"),
        ([*FROM_TINY, "--per_device_train_batch_size", "64"], "40 examples do not fill a batch of 64"),
        ([*FROM_TINY, "--gradient_accumulation_steps", "6"], "batch of 48 examples (8 x 1 process(es) x 6 accumul"),
        ([*FROM_TINY, "--checkpoints_total_limit", "0"], "--checkpoints_total_limit must be at least 1, got 0"),
        ([*FROM_TINY, "--max_train_steps", "5", "--num_train_epochs", "2"], "not both"),
        ([*FROM_TINY, "--early_stopping_patience", "2"], "give --validation_file"),
        ([*FROM_TINY, "--report_to", "none", "tensorboard"], "none excludes"),
        ([*FROM_TINY, "--streaming"], "streamed data have no length: give --max_train_steps"),
        ([*FROM_TINY, "--push_to_hub"], "--push_to_hub needs --hub_model_id ORGANISATION/NAME"),
        ([*FROM_TINY, "--lora_rank", "0"], "--lora_rank must be at least 1"),
        ([*FROM_TINY, "--block_size", "-1"], "`block_size` must be None or from 1 to"),
        ([*FROM_TINY, "--dropout", "1"], "--dropout must be from 0 to below 1, got 1.0"),
        ([*FROM_TINY, "--torch_compile", "fast"], "--torch_compile must be one of"),
        ([*FROM_TINY, "--language", "cobol"], "choose from"),
        ([*FROM_TINY, "--max_train_samples", "-1"], "--max_train_samples must be at least 1, got -1"),
        ([*FROM_TINY, "--max_grad_norm", "0"], "--max_grad_norm must be positive, got 0.0"),
        ([*FROM_TINY, "--num_warmup_steps", "-1"], "--num_warmup_steps must be at least 0, got -1"),
        ([*FROM_TINY, "--cond_dropout", "10"], "--cond_dropout must be from 0 to 1, got 10.0"),
        ([*FROM_TINY, "--streaming", "--max_train_steps", "5", "--measure_speed"], "does not go with --streaming"),
    ],
)
def test_wrong_arguments_give_one_line(arguments, message, tmp_path, here):
    common = ("--train_file", PAIRS, "--output_dir", tmp_path, "--per_device_train_batch_size", 8)
    printed = here("run_finetune.py", *common, *arguments, fails=True)
    assert message in printed and "run_finetune.py: error: " in printed
    assert not (tmp_path / "log.jsonl").exists()


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed")
def test_a_tracker_that_is_not_installed_is_named(tmp_path, here):
    options = ("--train_file", PAIRS, "--output_dir", tmp_path, "--report_to", "tensorboard", "wandb")
    assert "--report_to wandb needs" in here("run_finetune.py", *FROM_TINY, *options, fails=True)


SHORT = (*FROM_TINY, "--train_file", PAIRS, "--per_device_train_batch_size", 8, "--logging_steps", 1)
SHORT += ("--mixed_precision", "no", "--num_warmup_steps", 0)


def test_early_stopping_keeps_the_best_weights_and_resumes(tmp_path, here):
    """A learning rate that destroys the model: the first validation is the best, and two more end the run."""
    options = (*SHORT, "--validation_file", PAIRS, "--max_eval_samples", 10, "--num_inference_steps", 2)
    options += ("--early_stopping_patience", 2, "--metric_for_best_model", "exact_5", "--eval_steps", 1)
    options += ("--learning_rate", 0.1, "--num_warmup_steps", 5, "--max_train_steps", 20)
    printed = here("run_finetune.py", *options, "--output_dir", tmp_path / "whole")
    lines = [line for line in log(tmp_path / "whole") if "exact_5" in line]
    scores = [line["exact_5"] for line in lines]
    best = max(range(len(scores)), key=scores.__getitem__)
    assert len(lines) == best + 3 < 20 and scores[-1] < scores[best]
    assert f"the best exact_5 was {scores[best]}, at step {best + 1}" in printed
    assert_equal_weights(tmp_path / "whole", tmp_path / "whole" / "best")
    assert (tmp_path / "whole" / "tokenizer.json").exists()

    here("run_finetune.py", *options, "--output_dir", tmp_path / "parts", "--stop_after_steps", best + 2)
    printed = here(
        "run_finetune.py", *options, "--output_dir", tmp_path / "parts", "--resume_from_checkpoint", "latest"
    )
    assert f"steps {best + 2} to 20" in printed
    assert [line for line in log(tmp_path / "parts") if "exact_5" in line] == lines
    assert_equal_weights(tmp_path / "whole", tmp_path / "parts")
    # Again: it is over.
    printed = here(
        "run_finetune.py", *options, "--output_dir", tmp_path / "parts", "--resume_from_checkpoint", "latest"
    )
    assert len(log(tmp_path / "parts")) == len(log(tmp_path / "whole"))
    message = here(
        "run_finetune.py", *options, "--output_dir", tmp_path / "c", "--metric_for_best_model", "bleu", fails=True
    )
    assert "--metric_for_best_model must be one of exact_1" in message


def test_lora_trains_adapters_resumes_and_saves_a_normal_checkpoint(tmp_path, here):
    options = (*SHORT, "--lora_rank", 4, "--learning_rate", 0.01, "--max_train_steps", 6, "--gradient_checkpointing")
    printed = here("run_finetune.py", *options, "--output_dir", tmp_path / "whole")
    trained = int(printed.split(" trained")[0].split("(")[-1].replace(",", ""))
    assert 0 < trained < 30_000
    before, after = load_file(TINY / "model.safetensors"), load_file(tmp_path / "whole" / "model.safetensors")
    assert set(before) == set(after), "a normal checkpoint, whose adapters are merged"
    moved = {name for name in before if not torch.allclose(before[name].float(), after[name], atol=1e-3)}
    parts = ("SelfAttention.", "DenseReluDense.", "_attn.", "up_proj", "down_proj", ".copy.")
    assert moved and all(any(part in name for part in parts) for name in moved)
    for part in ("encoder.", "denoiser.stack.", "decoder.stack.", "denoiser.copy.", "head.copy."):
        assert any(name.startswith(part) for name in moved), part

    from peft import PeftModel

    base = CodeFusionForConditionalGeneration.from_pretrained(TINY, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, tmp_path / "whole" / "adapter").merge_and_unload()
    for name, weight in adapted.state_dict().items():
        if name in after:
            torch.testing.assert_close(weight, after[name], rtol=1e-4, atol=1e-5)

    here("run_finetune.py", *options, "--output_dir", tmp_path / "parts", "--stop_after_steps", 4)
    here("run_finetune.py", *options, "--output_dir", tmp_path / "parts", "--resume_from_checkpoint", "latest")
    assert_equal_weights(tmp_path / "whole", tmp_path / "parts")


def test_ones_own_pairs_from_the_shipped_checkpoint(tmp_path, here):
    """docs/training.md: a file of sentences and programs, the name of a shipped model, and no more."""
    pairs = [{"nl": f"mark what is above {number}", "code": f"GreaterThan({number})"} for number in range(20)]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    options = ("--train_file", tmp_path / "mine.jsonl", "--output_dir", tmp_path / "out", "--lora_rank", 2)
    options += ("--num_train_epochs", 2, "--per_device_train_batch_size", 10, "--logging_steps", 1)
    printed = here("run_finetune.py", "--model_name_or_path", "cf", *options)
    assert "2 steps an epoch, steps 0 to 4 of 4" in printed
    arguments = json.loads((tmp_path / "out" / "arguments.json").read_text())
    assert arguments["language"] == "cf" and arguments["num_warmup_steps"] == 0
    assert json.loads((tmp_path / "out" / "config.json").read_text())["language"] == "cf"
    model = CodeFusionForConditionalGeneration.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    ids = model.generate(**tokenizer(["above 7"], return_tensors="pt"), seed=0, num_inference_steps=2)
    assert tokenizer.decode(ids[0], skip_special_tokens=True)


@pytest.mark.parametrize("script_name", ["run_finetune.py", "run_pretrain.py"])
def test_streams_are_trained_on_and_resumed(script_name, tmp_path, here):
    options = (*SHORT, "--streaming", "--shuffle_buffer_size", 16, "--learning_rate", 0.01, "--max_train_steps", 7)
    options += ("--cache_dir", tmp_path / "cache")
    here(script_name, *options, "--output_dir", tmp_path / "whole")
    assert log(tmp_path / "whole")[-1]["epoch"] >= 1, "the end of the stream is passed"
    here(script_name, *options, "--output_dir", tmp_path / "parts", "--stop_after_steps", 3)
    workers = ("--dataloader_num_workers", 2)
    here(script_name, *options, "--output_dir", tmp_path / "parts", "--resume_from_checkpoint", "latest", *workers)
    assert_equal_weights(tmp_path / "whole", tmp_path / "parts")
    assert [line["loss"] for line in log(tmp_path / "whole")] == [line["loss"] for line in log(tmp_path / "parts")]


def test_a_stream_without_a_batch_is_an_error(tmp_path, here):
    options = (*FROM_TINY, "--train_file", PAIRS, "--streaming", "--max_train_steps", 3, "--output_dir", tmp_path)
    options += ("--cache_dir", tmp_path / "cache")
    assert "do not fill one batch" in here("run_finetune.py", *options, fails=True)


def test_log_and_tensorboard_say_the_same(tmp_path, here):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = (*SHORT, "--output_dir", tmp_path, "--max_train_steps", 3, "--report_to", "tensorboard")
    printed = here("run_finetune.py", *options)
    lines = log(tmp_path)
    (folder,) = {path.parent for path in tmp_path.rglob("events.out.tfevents.*") if path.parent.name == "codefusion"}
    events = EventAccumulator(str(folder)).Reload().Scalars("loss")
    assert [event.step for event in events] == [1, 2, 3]
    assert [event.value for event in events] == pytest.approx([line["loss"] for line in lines])
    for line in lines:
        assert 0 < line["examples_per_second"] < line["tokens_per_second"]
        assert 0 < line["model_flops_utilization"] < 1
    assert "mixed precision no, eager attention, matrix products reach" in printed


def test_the_trained_model_is_pushed(tmp_path, hub):
    options = (*SHORT, "--output_dir", tmp_path / "out", "--max_train_steps", 1)
    options += ("--push_to_hub", "--hub_model_id", "someone/mine")
    command = [sys.executable, ROOT / "examples" / "run_finetune.py", *options]
    environment = {**os.environ, **hub.environment(tmp_path / "home")}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    files = hub.files("someone/mine")
    assert files["model.safetensors"] == (tmp_path / "out" / "model.safetensors").read_bytes()
    assert {"config.json", "tokenizer.json", "README.md"} < set(files) and "arguments.json" not in files


def test_compiled_layers_compute_the_same(tmp_path, here):
    """As far as torch.compile captures them; inductor would take minutes to build C++ kernels."""
    losses = []
    for extra in ((), ("--torch_compile", "eager")):
        output = tmp_path / str(len(losses))
        here("run_finetune.py", *SHORT, "--output_dir", output, "--max_train_steps", 2, *extra)
        losses.append([line["loss"] for line in log(output)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_precision_is_what_accelerate_was_told_or_the_device_can_do(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    assert default_precision() is None
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if flags:
        assert default_precision() == ("bf16" if "avx512_bf16" in flags or "amx_tile" in flags else "no")


def test_flops_are_those_of_a_real_step():
    model = CodeFusionForConditionalGeneration.from_pretrained(
        TINY, dtype=torch.float32, attn_implementation="eager"
    ).train()
    flops = TrainingFlops(model, [16, 32])
    assert model.training
    for width, canvas, twice in ((24, 16, False), (56, 32, True)):
        ids, labels = torch.full((3, width), 5), torch.full((3, canvas), 5)
        with FlopCounterMode(display=False) as counter:
            model(input_ids=ids, labels=labels, self_condition=twice, generator=torch.Generator()).loss.backward()
        # Backward is twice forward but for the gradients of the inputs, which nobody needs.
        assert flops(3, width, canvas, twice) == pytest.approx(counter.get_total_flops(), rel=0.05)


def test_speed_is_measured_on_a_copy(tmp_path, here):
    model = CodeFusionForConditionalGeneration.from_pretrained(TINY, dtype=torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = {"input_ids": torch.full((4, 16), 5), "labels": torch.full((4, 16), 5)}
    assert training_rate(model, [batch] * 3, "bf16", "sdpa") > 0
    rates = compare_rates(model, [batch] * 3)
    assert rates["speedup"] == pytest.approx(rates["bf16_eager"] / rates["fp32_sdpa"], abs=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="at least 2 batches, got 1"):
        training_rate(model, [batch])
    with pytest.raises(ValueError, match="must be 'no' or 'bf16', got 'fp8'"):
        training_rate(model, [batch] * 2, "fp8")
    printed = here("run_finetune.py", *SHORT, "--output_dir", tmp_path / "none", "--measure_speed")
    assert set(json.loads(printed)) == {"bf16_eager", "fp32_sdpa", "speedup"}
    assert not (tmp_path / "none").exists()


def test_noise_is_keyed_on_seed_epoch_and_example():
    draws = {key: torch.randn(2, generator=row_generator(*key)).tolist() for key in np.ndindex(3, 3, 3)}
    assert len({tuple(draw) for draw in draws.values()}) == 27
    assert torch.randn(2, generator=row_generator(2, 1, 0)).tolist() == draws[2, 1, 0]


def test_ema_warms_up_and_is_applied():
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    ema = EMA(layer, 0.999)
    with torch.no_grad():
        layer.weight.fill_(3.0)
    ema.update(layer)
    # First update: decay min(0.999, 2 / 11).
    assert ema.shadow["weight"].item() == pytest.approx(1 + (3 - 1) * (1 - 2 / 11))
    with ema.applied(layer):
        assert layer.weight.item() == pytest.approx(1 + 2 * 9 / 11) and not layer.training
    assert layer.weight.item() == 3.0 and layer.training
    assert ema.shadow["weight"].item() == pytest.approx(1 + 2 * 9 / 11)


def test_a_longer_canvas_keeps_what_a_checkpoint_does_on_its_own(tmp_path, here):
    model = CodeFusionForConditionalGeneration.from_pretrained(TINY).eval()
    length = model.config.max_target_length
    longer = lengthen_canvas(model, length + 8).eval()
    assert longer.config.max_target_length == longer.generation_config.max_length == length + 8
    source = torch.tensor([[5, 6, 7, 2]])
    settings = {"num_return_sequences": 3, "num_inference_steps": 3, "max_length": length, "seed": 0}
    torch.testing.assert_close(longer.generate(source, **settings), model.generate(source, **settings))
    assert longer(input_ids=source, labels=torch.full((1, length + 8), 9)).logits.shape[1] == length + 8
    with pytest.raises(ValueError, match=f"can only grow .it has {length} tokens"):
        lengthen_canvas(model, length - 1)
    output = tmp_path / "run"
    here(
        *("run_finetune.py", "--model_name_or_path", TINY, "--max_target_length", length + 8, "--train_file", PAIRS),
        *("--output_dir", output, "--max_train_steps", 1, "--per_device_train_batch_size", 4),
    )
    assert CodeFusionForConditionalGeneration.from_pretrained(output).config.max_target_length == length + 8


def test_a_model_is_mixed_with_the_one_it_began_as(load_script):
    script = load_script("ship_checkpoint")
    other = CodeFusionForConditionalGeneration.from_pretrained(TINY)
    model = lengthen_canvas(other, other.config.max_target_length + 4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    script.mix(model, other, 0.25)
    bias, positions = model.head.bias, model.decoder.stack.positions.weight
    torch.testing.assert_close(bias, other.head.bias + 0.75)
    torch.testing.assert_close(positions[-1], other.decoder.stack.positions.weight[-1] + 0.75)
    with pytest.raises(ValueError, match="--mix_share must be from 0 to 1, got 1.5"):
        script.mix(model, other, 1.5)
    smaller = CodeFusionForConditionalGeneration(CodeFusionConfig(vocab_size=50, d_model=32, num_heads=2))
    with pytest.raises(ValueError, match="a model of the same sizes"):
        script.mix(model, smaller, 0.5)


def test_a_checkpoint_moves_to_another_tokenizer(tmp_path, here):
    """`--tokenizer_name` beside a checkpoint: known tokens keep their rows, new ones have the mean of their pieces."""
    own, model = AutoTokenizer.from_pretrained(TINY), CodeFusionForConditionalGeneration.from_pretrained(TINY)
    first = json.loads(next(open(PAIRS, encoding="utf-8")))
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps({"nl": "shade shade", "code": first["code"]}) + "\n" for _ in range(50)))
    here("train_tokenizer.py", "--train_file", corpus, "--vocab_size", 400, "--output_dir", tmp_path / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    with torch.no_grad():
        model.head.bias.normal_(generator=torch.Generator().manual_seed(0))
    moved = move_to_tokenizer(model, own, tokenizer)
    assert moved.config.vocab_size == len(tokenizer) != model.config.vocab_size
    old, new = own.get_vocab(), tokenizer.get_vocab()
    tables = [
        lambda m: m.code_embeddings.weight,
        lambda m: m.head.bias,
        lambda m: m.encoder.get_input_embeddings().weight,
    ]
    fresh = sorted(new.keys() - old.keys() - set(tokenizer.all_special_tokens))
    assert fresh, "the corpus has words that are one token now"
    for table in tables:
        for token in new.keys() & old.keys():
            torch.testing.assert_close(table(moved)[new[token]], table(model)[old[token]])
        for token in fresh:
            pieces = own(tokenizer.convert_tokens_to_string([token]), add_special_tokens=False)["input_ids"]
            assert len(pieces) > 1
            torch.testing.assert_close(table(moved)[new[token]], table(model)[pieces].mean(0))
    same = [name for name, weight in model.state_dict().items() if weight.shape == moved.state_dict()[name].shape]
    assert len(same) >= len(model.state_dict()) - 4
    for name in same:
        torch.testing.assert_close(moved.state_dict()[name], model.state_dict()[name])
    output = tmp_path / "run"
    here(
        *("run_finetune.py", "--model_name_or_path", TINY, "--tokenizer_name", tmp_path / "tokenizer"),
        *("--train_file", PAIRS, "--output_dir", output, "--max_train_steps", 2, "--dropout", 0.25),
        *("--per_device_train_batch_size", 4),
    )
    config = json.loads((output / "config.json").read_text())
    assert config["vocab_size"] == len(tokenizer) == len(AutoTokenizer.from_pretrained(output))
    assert config["dropout"] == config["encoder_config"]["dropout_rate"] == 0.25


def test_dropout_is_one_draw_for_all_positions_of_a_row():
    config = CodeFusionConfig.from_pretrained(TINY)
    set_dropout(config, 0.5)
    layer = CodeFusionForConditionalGeneration(config).denoiser.stack.layers[0]
    states = torch.randn(3, 8, config.d_model, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():  # attention gives nothing, so that only the feed-forward part is added
        for attention in (layer.self_attn, layer.cross_attn):
            attention.o_proj.weight.zero_()
        keys = layer.cross_attn.key_values(states)
        update = layer.eval()(states, torch.zeros(1), keys) - states
        torch.manual_seed(0)
        dropped = layer.train()(states, torch.zeros(1), keys) - states
    kept = dropped != 0
    assert torch.equal(kept, kept[:, :1].expand_as(kept)) and 0.3 < kept.float().mean() < 0.7
    torch.testing.assert_close(dropped[kept], 2 * update[kept], atol=1e-5, rtol=1e-4)


def tiny_bert(folder):
    """A BERT with random weights and a vocabulary of a few words, saved in `folder`."""
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] high ##light rows above ##in ##g s ##s".split()
    BertTokenizer(vocab={word: index for index, word in enumerate(words)}).save_pretrained(folder)
    bert = BertModel(
        BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32
        )
    )
    bert.save_pretrained(folder)
    return bert


def test_a_pretrained_encoder_moves_to_our_tokenizer(tmp_path):
    """Each of our tokens starts as the mean of the pieces the encoder's own tokenizer makes of it."""
    bert = tiny_bert(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    encoder = load_pretrained_encoder(str(tmp_path), tokenizer, num_layers=2)
    old, new = bert.get_input_embeddings().weight, encoder.get_input_embeddings().weight
    assert new.shape == (len(tokenizer), 16) and len(encoder.encoder.layer) == 2
    highlight = tokenizer("highlight", add_special_tokens=False)["input_ids"]
    assert len(highlight) == 1
    torch.testing.assert_close(new[highlight[0]], (old[5] + old[6]) / 2)
    torch.testing.assert_close(new[tokenizer.eos_token_id], old[3])
    vocabulary = tokenizer.get_vocab()  # inside of a word a token has the pieces that stand inside of one
    torch.testing.assert_close(new[vocabulary["ing"]], (old[9] + old[10]) / 2)
    torch.testing.assert_close(new[vocabulary["s"]], old[12])
    torch.testing.assert_close(new[vocabulary["Ġs"]], old[11])
    torch.testing.assert_close(encoder.encoder.layer[1].output.dense.weight, bert.encoder.layer[1].output.dense.weight)
    assert encoder.config.hidden_dropout_prob == 0


def test_a_checkpoint_gets_another_encoder(tmp_path, here):
    """`--encoder_name_or_path` beside a checkpoint: all but the encoder and what depends on its width stays."""
    bert = tiny_bert(tmp_path / "bert")
    model, tokenizer = CodeFusionForConditionalGeneration.from_pretrained(TINY), AutoTokenizer.from_pretrained(TINY)
    set_dropout(model.config, 0.25)
    replaced = replace_encoder(model, load_pretrained_encoder(str(tmp_path / "bert"), tokenizer, 2))
    weights = replaced.state_dict()
    torch.testing.assert_close(
        weights["encoder.encoder.layer.1.output.dense.weight"], bert.encoder.layer[1].output.dense.weight
    )
    kept = [name for name in model.state_dict() if not name.startswith(("encoder.", "memory_proj."))]
    for name in kept:
        torch.testing.assert_close(weights[name], model.state_dict()[name])
    assert replaced.config.encoder_config.hidden_dropout_prob == 0.25
    again = replace_encoder(replaced, load_pretrained_encoder(str(tmp_path / "bert"), tokenizer, 1))
    torch.testing.assert_close(again.state_dict()["memory_proj.weight"], weights["memory_proj.weight"])
    output = tmp_path / "run"
    here(
        *("run_finetune.py", "--model_name_or_path", TINY, "--encoder_name_or_path", tmp_path / "bert"),
        *("--num_encoder_layers", 2, "--train_file", PAIRS, "--output_dir", output, "--max_train_steps", 2),
        *("--per_device_train_batch_size", 4),
    )
    config = json.loads((output / "config.json").read_text())
    assert config["encoder_config"]["model_type"] == "bert" and config["encoder_config"]["num_hidden_layers"] == 2
    settings = {"num_decoder_layers": 0, "copy_attention": False, "memory_add_input_embeddings": False}
    infill = CodeFusionForConditionalGeneration(CodeFusionConfig(vocab_size=50, conditioning="infill", **settings))
    with pytest.raises(ValueError, match="has no encoder"):
        replace_encoder(infill, bert)
    del bert.encoder.layer[1].output.dense.bias
    bert.config.vocab_size = len(tokenizer)
    bert.resize_token_embeddings(len(tokenizer))
    with pytest.raises(ValueError, match="lacks encoder.layer.1.output.dense.bias"):
        replace_encoder(model, bert)
