"""The training scripts, run as users run them: overfitting, exact resume, both stages, wrong arguments."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertConfig, BertModel, BertTokenizer

from codefusion_hf.training import EMA, load_pretrained_encoder


ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests" / "fixtures" / "cf_pairs.jsonl"
TINY = ROOT / "tests" / "fixtures" / "tiny-cf"


def script(name: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if check:
        assert done.returncode == 0, done.stderr[-3000:]
    return done


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_32_real_pairs_are_overfitted_by_sampling(tmp_path):
    """The recipe can learn: fresh weights, 500 steps, and at least 95 % exact matches among sampled programs."""
    rows = PAIRS.read_text().splitlines()[:32]
    (tmp_path / "pairs.jsonl").write_text("\n".join(rows) + "\n")
    script(
        *("run_finetune.py", "--config_name", "tiny", "--tokenizer_name", TINY, "--output_dir", tmp_path / "out"),
        *("--train_file", tmp_path / "pairs.jsonl", "--validation_file", tmp_path / "pairs.jsonl"),
        *("--max_train_steps", 500, "--per_device_train_batch_size", 32, "--learning_rate", "3e-3"),
        *("--num_warmup_steps", 50, "--ema_decay", 0.99, "--logging_steps", 250, "--checkpointing_steps", 1000),
    )
    scores = log(tmp_path / "out")[-1]
    assert scores["step"] == 500 and scores["exact_1"] >= 95
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "log.jsonl", "arguments.json",
    }  # fmt: skip


def test_both_stages_and_exact_resume(tmp_path):
    """Pre-train, fine-tune; and 6 steps at once equal 3 steps, a new process, and 3 more, to the bit."""
    common = ("--tokenizer_name", TINY, "--train_file", PAIRS, "--per_device_train_batch_size", 8)
    common += ("--logging_steps", 1, "--num_warmup_steps", 2, "--max_train_steps", 6, "--canvas_buckets", 16)
    script("run_pretrain.py", "--config_name", "tiny", *common, "--output_dir", tmp_path / "pretrained")
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
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    for name, weight in whole.items():
        assert torch.equal(weight, parts[name]), name
    pick = lambda rows: [(row["step"], row["loss"]) for row in rows]  # noqa: E731
    assert pick(log(tmp_path / "whole")) == pick(log(tmp_path / "parts"))


def test_two_processes_train_one_model(tmp_path):
    """Under torchrun, with gradient accumulation and bf16: the processes share the examples."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [
        str(ROOT / "examples" / "run_finetune.py"),
        "--model_name_or_path",
        str(TINY),
        "--train_file",
        str(PAIRS),
    ]
    command += ["--output_dir", str(tmp_path), "--max_train_steps", "4", "--per_device_train_batch_size", "4"]
    command += ["--gradient_accumulation_steps", "2", "--mixed_precision", "bf16", "--logging_steps", "1"]
    command += ["--gradient_checkpointing", "--encoder_learning_rate", "0"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 steps an epoch" in done.stdout
    assert [line["step"] for line in log(tmp_path)] == [1, 2, 3, 4]
    before, after = load_file(TINY / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    moved = {name for name in before if not torch.allclose(before[name].float(), after[name], atol=1e-6)}
    assert moved and not any(name.startswith("encoder.") for name in moved)


def test_a_used_output_folder_is_refused(tmp_path):
    (tmp_path / "step_7").mkdir()
    done = script(
        "run_finetune.py", "--model_name_or_path", TINY, "--train_file", PAIRS, "--output_dir", tmp_path, check=False
    )
    assert done.returncode != 0 and "holds checkpoints of another run" in done.stderr


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config_name", "huge", "--tokenizer_name", TINY], "presets are mini"),
        (["--config_name", "tiny"], "needs --tokenizer_name"),
        ([], "either --model_name_or_path or --config_name"),
        (["--model_name_or_path", TINY, "--train_file", "missing.jsonl"], "missing.jsonl"),
        (["--model_name_or_path", TINY, "--canvas_buckets", "64"], "from 1 to 32"),
        (["--model_name_or_path", TINY, "--resume_from_checkpoint", "elsewhere"], "step_N"),
        (["--model_name_or_path", TINY, "--ema_decay", "1"], "ema_decay"),
        (["--model_name_or_path", TINY, "--encoder_name_or_path", TINY], "goes with --config_name"),
        (["--model_name_or_path", TINY, "--per_device_train_batch_size", "64"], "do not fill"),
        (["--model_name_or_path", TINY, "--checkpoints_total_limit", "0"], "at least 1"),
    ],
)
def test_wrong_arguments_give_one_line(arguments, message, tmp_path):
    common = ("--train_file", PAIRS, "--output_dir", tmp_path, "--per_device_train_batch_size", 8)
    done = script("run_finetune.py", *common, *arguments, check=False)
    assert done.returncode != 0
    assert message in done.stderr and "Traceback" not in done.stderr


def test_ema_warms_up_and_swaps():
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(layer.weight)
    ema = EMA(layer, 0.999)
    with torch.no_grad():
        layer.weight.fill_(3.0)
    ema.update(layer)
    # First update: decay min(0.999, 2 / 11).
    assert ema.shadow["weight"].item() == pytest.approx(1 + (3 - 1) * (1 - 2 / 11))
    ema.swap(layer)
    assert layer.weight.item() == pytest.approx(1 + 2 * 9 / 11) and ema.shadow["weight"].item() == 3.0
    ema.swap(layer)
    assert layer.weight.item() == 3.0


def test_a_pretrained_encoder_moves_to_our_tokenizer(tmp_path):
    """Each of our tokens starts as the mean of the pieces the encoder's own tokenizer makes of it."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "high", "##light", "rows", "above"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    own = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    own.save_pretrained(tmp_path)
    config = BertConfig(vocab_size=9, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32)
    bert = BertModel(config)
    bert.save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(TINY)
    encoder = load_pretrained_encoder(str(tmp_path), tokenizer, num_layers=2)
    old, new = bert.get_input_embeddings().weight, encoder.get_input_embeddings().weight
    assert new.shape == (len(tokenizer), 16) and len(encoder.encoder.layer) == 2
    highlight = tokenizer("highlight", add_special_tokens=False)["input_ids"]
    assert len(highlight) == 1
    torch.testing.assert_close(new[highlight[0]], (old[5] + old[6]) / 2)
    torch.testing.assert_close(new[tokenizer.eos_token_id], old[3])
    torch.testing.assert_close(encoder.encoder.layer[1].output.dense.weight, bert.encoder.layer[1].output.dense.weight)
    assert encoder.config.hidden_dropout_prob == 0
