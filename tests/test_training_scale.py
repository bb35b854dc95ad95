"""Runs that are killed, resumed, shared out over processes and sharded: what must come out is always the same."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from accelerate import Accelerator
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_simple_launcher_cmd_env
from safetensors.torch import load_file

from codefusion_hf.training import check_world_size


ROOT = Path(__file__).parents[1]
PAIRS = ROOT / "tests" / "fixtures" / "cf_pairs.jsonl"
TINY = ROOT / "tests" / "fixtures" / "tiny-cf"
CONFIGS = ROOT / "examples" / "accelerate_configs"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "TOKENIZERS_PARALLELISM": "false"}
# Fresh weights: what is trained already hardly moves. Some rows are unconditional, and there are two canvases.
TRAIN = ("--config_name", "tiny", "--tokenizer_name", TINY, "--language", "cf", "--train_file", PAIRS)
TRAIN += ("--cond_dropout", "0.2", "--canvas_buckets", "16", "--mixed_precision", "no", "--logging_steps", "2")
TRAIN += ("--max_train_steps", "13", "--num_warmup_steps", "2", "--checkpointing_steps", "3")
SHARED_OUT = {
    "1 x 8": ((), ("--per_device_train_batch_size", "8")),
    "1 x 4 x 2": ((), ("--per_device_train_batch_size", "4", "--gradient_accumulation_steps", "2")),
    "2 x 4": (TORCHRUN, ("--per_device_train_batch_size", "4")),
}


def command(kind: str, output: Path, *options: object) -> list[str]:
    launcher, batches = SHARED_OUT[kind]
    script = ROOT / "examples" / "run_finetune.py"
    return [sys.executable, *map(str, (*launcher, script, *TRAIN, *batches, "--output_dir", output, *options))]


def run(kind: str, output: Path, *options: object) -> str:
    done = subprocess.run(command(kind, output, *options), capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def curve(folder: Path) -> list[dict]:
    """The log without what the clock decides."""
    timed = ("examples_per_second", "tokens_per_second", "model_flops_utilization")
    return [{name: value for name, value in line.items() if name not in timed} for line in log(folder)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted runs, made when they are first asked for."""
    folders = {}

    def get(kind: str) -> Path:
        if kind not in folders:
            folders[kind] = tmp_path_factory.mktemp("whole")
            run(kind, folders[kind])
        return folders[kind]

    return get


@pytest.mark.parametrize("kind", ["1 x 8", "2 x 4"])
def test_killed_in_the_second_epoch_and_resumed_is_the_same_run(kind, whole, tmp_path):
    """To the bit, weights and losses: kill -9 at step 8 of 13, of 5 an epoch, two steps behind a checkpoint."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = psutil.Popen(command(kind, tmp_path), env=ENVIRONMENT, **quiet)
    deadline = time.time() + 300
    path = tmp_path / "log.jsonl"
    while not (path.exists() and '"step": 8' in path.read_text()) and time.time() < deadline:
        time.sleep(0.005)
    processes = [process, *process.children(recursive=True)]  # torchrun's workers have process groups of their own
    for one in processes:
        one.suspend()
    for one in processes:
        one.kill()  # SIGKILL
    psutil.wait_procs(processes, timeout=60)
    assert 8 <= log(tmp_path)[-1]["step"] <= 10, "it was to be killed in the second epoch"
    steps = sorted(int(folder.name[5:]) for folder in tmp_path.glob("step_*"))
    (tmp_path / "unfinished").mkdir(exist_ok=True)  # as if killed while saving
    with open(path, "a") as file:
        file.write('{"step": 11, "lo')  # as if killed while logging
    workers = ("--dataloader_num_workers", "1")
    printed = run(kind, tmp_path, "--resume_from_checkpoint", "latest", *workers)
    assert f"steps {steps[-1]} to 13 of 13" in printed and steps[-1] % 5 != 0
    assert curve(tmp_path) == curve(whole(kind)) and len(curve(tmp_path)) == 7
    mine, other = (load_file(folder / "model.safetensors") for folder in (tmp_path, whole(kind)))
    assert all(torch.equal(mine[name], weight) for name, weight in other.items())
    assert not (tmp_path / "unfinished").exists()


@pytest.mark.parametrize("kind", ["1 x 4 x 2", "2 x 4"])
def test_processes_and_accumulation_do_not_change_the_losses(kind, whole):
    """
    At an equal global batch, in fp32: 1 process of 8 examples, 1 of 4 that accumulates two batches, 2 of 4. What is
    left is rounding, which Adam's first steps, the signs of the gradients, enlarge to 8e-5 of a loss.
    """
    one, other = curve(whole("1 x 8")), curve(whole(kind))
    assert len(one) == len(other) == 7 and one[-1]["loss"] < 0.9 * one[0]["loss"]
    assert one[0]["loss"] == pytest.approx(other[0]["loss"], rel=1e-5)
    for mine, theirs in zip(one, other):
        assert mine["step"] == theirs["step"] and mine["epoch"] == theirs["epoch"]
        for name in ("loss", "denoising_loss", "decoder_mse_loss", "cross_entropy_loss", "grad_norm"):
            tolerance = 5e-3 if name == "grad_norm" else 3e-4
            assert mine[name] == pytest.approx(theirs[name], rel=tolerance), (mine["step"], name)
    weights, others = (load_file(whole(name) / "model.safetensors") for name in ("1 x 8", kind))
    flat = [torch.cat([part[name].flatten() for name in sorted(weights)]) for part in (weights, others)]
    assert (flat[0] - flat[1]).norm() < 1e-4 * flat[0].norm()


LAUNCH = ("-m", "accelerate.commands.launch", "--main_process_port", "0")
REFUSED = {
    "torchrun": ({"ACCELERATE_USE_CPU": "false"}, TORCHRUN, "each would train a model of its own"),
    "one process": ({}, (*LAUNCH, "--cpu", "--num_processes", "2"), "`accelerate launch` has started one"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_launches_that_would_silently_be_something_else_are_refused(case, tmp_path):
    if torch.accelerator.is_available() and case != "one process":
        pytest.skip("with a GPU these launches are right")
    change, launcher, message = REFUSED[case]
    environment = {**ENVIRONMENT, **change}
    script = ROOT / "examples" / "run_finetune.py"
    whole_command = [sys.executable, *launcher, script, *TRAIN, "--per_device_train_batch_size", "4"]
    done = subprocess.run(
        [*map(str, whole_command), "--output_dir", str(tmp_path)], capture_output=True, text=True, env=environment
    )
    assert done.returncode != 0 and message in done.stderr
    assert "ACCELERATE_USE_CPU=true torchrun --standalone --nproc_per_node N" in done.stderr
    assert not list(tmp_path.iterdir())


def test_one_process_by_accelerate_launch_is_not_refused(monkeypatch):
    """In the environment that `accelerate launch --cpu --num_processes 1` and a Slurm script leave."""
    for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    parser = launch_command_parser()
    arguments = parser.parse_args(["--cpu", "--num_processes", "1", "script.py"])
    environment = prepare_simple_launcher_cmd_env(_validate_launch_command(arguments)[0])[1]
    for name, value in {**environment, "ACCELERATE_USE_CPU": "true"}.items():
        monkeypatch.setenv(name, value)
    check_world_size(Accelerator(cpu=True))
    for name, value in {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match="has started one"):
        check_world_size(Accelerator(cpu=True))
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION")
    check_world_size(Accelerator(cpu=True))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_knows_every_key_of_the_configurations(path):
    config = load_config_from_file(str(path))  # raises for unknown keys of the first level
    known = {action.dest for action in launch_command_parser()._actions}
    for part in (config.fsdp_config, config.deepspeed_config):
        assert set(part) <= known
    options = ["--config_file", str(path), "script.py"]
    arguments, defaults, _ = _validate_launch_command(launch_command_parser().parse_args(options))
    assert arguments.mixed_precision == "bf16" and defaults.distributed_type == config.distributed_type
    kinds = {"multi_gpu": arguments.multi_gpu, "fsdp": arguments.use_fsdp, "deepspeed": arguments.use_deepspeed}
    chosen = {"fsdp2": {"fsdp"}, "deepspeed_zero2": {"deepspeed"}, "single_cpu": set(), "single_gpu": set()}
    assert {kind for kind, on in kinds.items() if on} == chosen.get(path.stem, {"multi_gpu"})


def test_there_is_a_configuration_for_every_kind_of_machine():
    names = {path.stem for path in CONFIGS.glob("*.yaml")}
    kinds = ("single_cpu", "multi_cpu", "single_gpu", "multi_gpu", "multi_node", "fsdp2", "deepspeed_zero2")
    assert names == set(kinds)
    assert subprocess.run(["bash", "-n", str(CONFIGS / "slurm.sbatch")]).returncode == 0


def test_multi_cpu_gives_two_processes_that_train_one_model(tmp_path):
    """As its first lines say; with bf16, checkpointing of activations and an encoder that does not learn."""
    options = ("--model_name_or_path", TINY, "--train_file", PAIRS, "--output_dir", tmp_path, "--max_train_steps", 4)
    options += ("--per_device_train_batch_size", 4, "--gradient_accumulation_steps", 2, "--logging_steps", 1)
    options += ("--gradient_checkpointing", "--encoder_learning_rate", 0)
    launcher = (*LAUNCH, "--config_file", CONFIGS / "multi_cpu.yaml", ROOT / "examples" / "run_finetune.py")
    whole_command = [sys.executable, *map(str, (*launcher, *options))]
    done = subprocess.run(whole_command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 steps an epoch" in done.stdout and "2 process(es) on cpu, mixed precision bf16" in done.stdout
    assert [line["step"] for line in log(tmp_path)] == [1, 2, 3, 4]
    assert json.loads((tmp_path / "arguments.json").read_text())["num_processes"] == 2
    before, after = load_file(TINY / "model.safetensors"), load_file(tmp_path / "model.safetensors")
    moved = {name for name in before if not torch.allclose(before[name].float(), after[name], atol=1e-6)}
    assert moved and not any(name.startswith("encoder.") for name in moved)


SHARDED = """
import sys
from pathlib import Path

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import AutoTokenizer

from codefusion_hf import CodeFusionForConditionalGeneration
from codefusion_hf.training import EMA, full_state_dict, full_tensor, save_model, scalars_to_vectors

tiny, output = sys.argv[1], Path(sys.argv[2])
distributed.init_process_group("gloo")
mesh = init_device_mesh("cpu", (2,))
ids = torch.arange(5, 21)[None]


def build(sharded):
    model = CodeFusionForConditionalGeneration.from_pretrained(tiny, dtype=torch.float32)
    if sharded:
        scalars_to_vectors(model)
        fully_shard(model, mesh=mesh)
    return model, EMA(model, 0.5), torch.optim.AdamW(model.parameters(), lr=1e-3)


def step(model, ema, optimizer):
    generator = torch.Generator().manual_seed(0)
    model(input_ids=ids, labels=ids, generator=generator, self_condition=True).loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    ema.update(model)
    return float(full_tensor(norm))


whole, sharded = build(False), build(True)
assert all(isinstance(value, DTensor) for value in sharded[1].shadow.values())
for _ in range(2):
    norms = step(*whole), step(*sharded)
    assert abs(norms[0] - norms[1]) < 1e-4 * norms[0], norms
expected, got = whole[1].state_dict(), sharded[1].state_dict()
assert expected["step"] == got["step"] == 2
for name, value in expected["shadow"].items():
    torch.testing.assert_close(got["shadow"][name].view_as(value), value, rtol=1e-4, atol=1e-4, msg=name)

again = build(True)[1]
again.load_state_dict(got)
for name, value in again.state_dict()["shadow"].items():
    assert torch.equal(value, got["shadow"][name])

first = distributed.get_rank() == 0
before = full_state_dict(sharded[0])
with sharded[1].applied(sharded[0]):
    save_model(sharded[0], AutoTokenizer.from_pretrained(tiny), output, main=first)
after = full_state_dict(sharded[0])
if first:
    assert all(torch.equal(before[name], after[name]) for name in before)
    whole[0].load_state_dict(before)
    loaded = CodeFusionForConditionalGeneration.from_pretrained(output)
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, got["shadow"][name].view_as(parameter)), name
    print("sharded as whole")
distributed.destroy_process_group()
"""


def test_sharded_weights_are_averaged_saved_and_resumed(tmp_path):
    """With torch's own `fully_shard` on two processes: accelerate has no FSDP on CPU."""
    (tmp_path / "sharded.py").write_text(SHARDED)
    launched = [sys.executable, *TORCHRUN, str(tmp_path / "sharded.py"), str(TINY), str(tmp_path / "saved")]
    done = subprocess.run(launched, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "sharded as whole" in done.stdout
